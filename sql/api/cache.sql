-- The embedding cache. It knows texts by their hashes only, and tells nothing about who has used them: no key is needed.

CREATE FUNCTION vectorstore.api_cached_embeddings(p_model text, p_revision text, p_dimensions integer, p_hashes bytea[])
RETURNS @extschema:vector@.vector[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT array_agg(c.embedding ORDER BY h.place)
            FROM unnest(p_hashes) WITH ORDINALITY AS h(hash, place)
            LEFT JOIN vectorstore.embedding_cache c
                ON c.model = p_model AND c.revision = p_revision AND c.dimensions = p_dimensions AND c.input_hash = h.hash);
END
$$;
COMMENT ON FUNCTION vectorstore.api_cached_embeddings(text, text, integer, bytea[]) IS
    'The vectors that are known of texts with these SHA-256 hashes, NULL for the others. Counts nothing: it also runs on a replica.';

CREATE FUNCTION vectorstore.api_cache_embeddings(
    p_model text, p_revision text, p_dimensions integer, p_hashes bytea[], p_embeddings @extschema:vector@.vector[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added bigint;
BEGIN
    IF cardinality(p_hashes) IS DISTINCT FROM cardinality(p_embeddings)
       OR EXISTS (SELECT FROM unnest(p_embeddings) e WHERE @extschema:vector@.vector_dims(e) IS DISTINCT FROM p_dimensions) THEN
        PERFORM vectorstore._fail('22023', 'Hashes and embeddings do not go together.', 'invalid_value', 'embeddings');
    END IF;
    -- In one order, so that two proxies with the same texts cannot wait for each other.
    INSERT INTO vectorstore.embedding_cache (model, revision, dimensions, input_hash, embedding)
    SELECT p_model, p_revision, p_dimensions, u.hash, u.embedding
    FROM unnest(p_hashes, p_embeddings) AS u(hash, embedding) ORDER BY u.hash
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;
COMMENT ON FUNCTION vectorstore.api_cache_embeddings(text, text, integer, bytea[], @extschema:vector@.vector[]) IS
    'Keeps vectors of texts; what is known already stays. Returns how many are new. 22023 when the vectors have other dimensions.';

CREATE FUNCTION vectorstore.api_count_cache_hits(
    p_models text[], p_revisions text[], p_dimensions integer[], p_hashes bytea[], p_hits bigint[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    counted bigint;
BEGIN
    UPDATE vectorstore.embedding_cache c SET hits = c.hits + u.hits, used_at = now()
    FROM unnest(p_models, p_revisions, p_dimensions, p_hashes, p_hits) AS u(model, revision, dimensions, hash, hits)
    WHERE c.model = u.model AND c.revision = u.revision AND c.dimensions = u.dimensions AND c.input_hash = u.hash;
    GET DIAGNOSTICS counted = ROW_COUNT;
    PERFORM vectorstore._stat_count('cache.hits', (SELECT sum(h)::bigint FROM unnest(p_hits) h));
    RETURN counted;
END
$$;
COMMENT ON FUNCTION vectorstore.api_count_cache_hits(text[], text[], integer[], bytea[], bigint[]) IS
    'Adds hits to entries; those that are gone meanwhile are passed over. Returns how many were there.';

CREATE FUNCTION vectorstore.api_sweep_cache(p_bytes bigint, p_seconds bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    swept bigint;
BEGIN
    -- One sweeper is enough; the others find the work done.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.sweep_cache', 0)) THEN
        RETURN 0;
    END IF;
    WITH entries AS (
        SELECT c.ctid AS place, c.used_at,
               -- What a row takes, keys and index too.
               sum(4 * c.dimensions + 300) OVER (ORDER BY c.used_at DESC, c.input_hash) AS bytes
        FROM vectorstore.embedding_cache c
    )
    DELETE FROM vectorstore.embedding_cache c
    USING (SELECT e.place FROM entries e
           WHERE e.bytes > p_bytes OR e.used_at < now() - make_interval(secs => p_seconds)
           -- The rest is left to the next time.
           LIMIT 20000) old
    WHERE c.ctid = old.place;
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN swept;
END
$$;
COMMENT ON FUNCTION vectorstore.api_sweep_cache(bigint, bigint) IS
    'Deletes entries that were not used for p_seconds, and beyond p_bytes those whose use is longest ago, at most 20,000 of them. Returns how many.';
