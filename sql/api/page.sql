-- Pages of results. The first page freezes the list of its search in a signed token, so that the pages behind it
-- have neither doubles nor gaps whatever is written meanwhile, and the server keeps nothing.

-- Declarations of extension/src/cursor.rs.
CREATE FUNCTION vectorstore._list_token(
    secret bytea, fingerprint bytea, issued_at bigint, chunk_ids bigint[], scores double precision[]
) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'list_token_wrapper';
CREATE FUNCTION vectorstore._keyset_token(secret bytea, fingerprint bytea, issued_at bigint, last bigint) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyset_token_wrapper';
CREATE FUNCTION vectorstore._read_token(token text, secret bytea, fingerprint bytea)
RETURNS TABLE (chunk_ids bigint[], scores double precision[], last bigint)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'read_token_wrapper';
COMMENT ON FUNCTION vectorstore._list_token(bytea, bytea, bigint, bigint[], double precision[]) IS 'Page token of a list of at most 1,000 chunks.';
COMMENT ON FUNCTION vectorstore._keyset_token(bytea, bytea, bigint, bigint) IS 'Page token of a listing that goes on behind a chunk.';
COMMENT ON FUNCTION vectorstore._read_token(text, bytea, bytea) IS 'What a page token leads to; 22023 for a token that is not ours or belongs to another request.';

-- One page of a search, or without any query of the store's chunks in their order.
CREATE FUNCTION vectorstore._page(
    p_store_id bigint, p_texts text[], p_vectors @extschema:vector@.vector[], p_options jsonb, p_page text, p_tenant bigint,
    OUT hits vectorstore.search_hit[], OUT next_page text
)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    k integer := CASE WHEN p_options ? 'k' THEN p_options->>'k' ELSE '10' END;
    secret bytea := (SELECT s.value FROM vectorstore.secrets s WHERE s.name = 'cursor');
    -- The page size may change from page to page, what is asked may not.
    fingerprint bytea := sha256(coalesce(array_send(p_vectors), '')
        || convert_to(jsonb_build_array(p_tenant, p_store_id, p_texts, p_options - 'k')::text, 'UTF8'));
    issued_at bigint := extract(epoch FROM now());
    listing boolean := coalesce(num_nonnulls(VARIADIC p_texts), 0) + coalesce(num_nonnulls(VARIADIC p_vectors), 0) = 0;
    ids bigint[];
    scores double precision[];
    last bigint := 0;
    place integer;
BEGIN
    IF p_page IS NULL AND NOT listing THEN
        hits := ARRAY(SELECT s FROM vectorstore._search(p_store_id, p_texts, p_vectors, p_options || '{"list": 1000}') s);
        SELECT array_agg(h.chunk_id), array_agg(h.score) INTO ids, scores FROM unnest(hits[k + 1:]) h;
        hits := hits[:k];
        next_page := vectorstore._list_token(secret, fingerprint, issued_at, ids, scores);
        RETURN;
    END IF;
    IF k IS NULL OR k NOT BETWEEN 1 AND 10000 THEN
        PERFORM vectorstore._fail('22023', 'k must be from 1 to 10000.', 'invalid_value', 'k');
    END IF;
    IF p_page IS NOT NULL THEN
        SELECT t.chunk_ids, t.scores, t.last INTO ids, scores, last FROM vectorstore._read_token(p_page, secret, fingerprint) t;
    END IF;
    IF listing THEN
        hits := vectorstore._list_chunks(p_store_id, p_options, coalesce(last, 0), k + 1);
        IF cardinality(hits) > k THEN
            hits := hits[:k];
            next_page := vectorstore._keyset_token(secret, fingerprint, issued_at, hits[k].chunk_id);
        END IF;
        RETURN;
    END IF;
    -- What was deleted meanwhile is left out, and the page filled up by what comes next.
    hits := ARRAY(
        SELECT ROW(e.chunk_id, u.score, NULL, NULL, NULL, e.id, e.file_id, e.filename, e.content, e.metadata)::vectorstore.search_hit
        FROM unnest(ids, scores) WITH ORDINALITY AS u(chunk_id, score, place)
        JOIN vectorstore.embeddings e ON e.store_id = p_store_id AND e.chunk_id = u.chunk_id ORDER BY u.place LIMIT k);
    IF cardinality(hits) = k THEN
        place := array_position(ids, hits[k].chunk_id);
        next_page := vectorstore._list_token(secret, fingerprint, issued_at, nullif(ids[place + 1:], '{}'), scores[place + 1:]);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._page(bigint, text[], @extschema:vector@.vector[], jsonb, text, bigint) IS
    'One page of a search, or of all chunks when there is no query; next_page is NULL on the last one.';

CREATE FUNCTION vectorstore._list_chunks(p_store_id bigint, p_options jsonb, p_after bigint, p_rows integer) RETURNS vectorstore.search_hit[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    filter jsonb := nullif(p_options->'filter', 'null');
    path jsonpath := vectorstore._filter_path(filter)::jsonpath;
    mandatory jsonb := p_options->'mandatory';
    mandatory_path jsonpath := vectorstore._filter_path(mandatory)::jsonpath;
    virtual boolean := coalesce(vectorstore._filter_is_virtual(filter), false) OR coalesce(vectorstore._filter_is_virtual(mandatory), false);
    created_from bigint := (p_options->>'created_from')::bigint;
    created_to bigint := (p_options->>'created_to')::bigint;
BEGIN
    RETURN ARRAY(
        SELECT ROW(e.chunk_id, 0, NULL, NULL, NULL, e.id, e.file_id, e.filename, e.content, e.metadata)::vectorstore.search_hit
        FROM vectorstore.embeddings e
        WHERE e.store_id = p_store_id AND e.chunk_id > p_after
          AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path)
          AND (mandatory_path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ mandatory_path)
          AND (created_from IS NULL OR vectorstore._microseconds(e.created_at) >= created_from)
          AND (created_to IS NULL OR vectorstore._microseconds(e.created_at) < created_to)
        ORDER BY e.chunk_id LIMIT p_rows);
END
$$;
COMMENT ON FUNCTION vectorstore._list_chunks(bigint, jsonb, bigint, integer) IS 'Chunks of a store that pass the options'' filter and times, in the order in which they were written.';

-- What a filter sees of a row: its metadata, and under a filter that asks for them the file's name and id,
-- unless the metadata has such keys itself. A chunk without a file stands for itself.
CREATE FUNCTION vectorstore._passes(virtual boolean, metadata jsonb, filename text, file_id text, id text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN virtual
        THEN pg_catalog.jsonb_build_object('filename', coalesce(filename, 'document.txt'), 'file_id', coalesce(file_id, id))
             OPERATOR(pg_catalog.||) metadata
        ELSE metadata END
$$;
COMMENT ON FUNCTION vectorstore._passes(boolean, jsonb, text, text, text) IS 'The object that a filter is applied to.';

-- API: public
CREATE FUNCTION @extschema@.vs_search_page(
    store text, query text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, k integer DEFAULT 10,
    mode text DEFAULT 'hybrid', vector_weight double precision DEFAULT 0.7, keyword_weight double precision DEFAULT 0.3,
    filter jsonb DEFAULT NULL, score_threshold double precision DEFAULT 0, fusion text DEFAULT 'weighted',
    created_from timestamptz DEFAULT NULL, created_to timestamptz DEFAULT NULL, page text DEFAULT NULL
) RETURNS TABLE (
    id text, file_id text, filename text, score double precision, content text, metadata jsonb, next_page text
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 10
AS $$
#variable_conflict use_variable
DECLARE
    number bigint := vectorstore._store(store);
    found record;
BEGIN
    PERFORM vectorstore._require_active(number);
    SELECT p.hits, p.next_page INTO found FROM vectorstore._page(number, ARRAY[query], ARRAY[embedding], jsonb_build_object(
        'k', k, 'mode', mode, 'vector_weight', vectorstore._finite(vector_weight), 'keyword_weight', vectorstore._finite(keyword_weight),
        'filter', filter, 'score_threshold', coalesce(vectorstore._finite(score_threshold), -1), 'fusion', coalesce(fusion, ''),
        'created_from', vectorstore._microseconds(created_from), 'created_to', vectorstore._microseconds(created_to)),
        page, vectorstore._current_tenant()) p;
    RETURN QUERY
    SELECT h.id, h.file_id, h.filename, h.score, h.content, h.metadata, found.next_page FROM unnest(found.hits) h;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_search_page(text, text, @extschema:vector@.vector, integer, text, double precision, double precision, jsonb, double precision, text, timestamptz, timestamptz, text) IS
    'One page of k results. Give next_page of any row as page, with the same arguments, for the next one; it is NULL on the last page. The list is frozen by the first page: the best 60 of each leg, or four times k (beyond k = 50: twice k and 100 more), and 1,000 at most. Without query and embedding: all chunks that pass the filter, in the order in which they were written. 22023 for a page of another search.';
