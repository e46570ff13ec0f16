-- Search and direct inserts over HTTP.

CREATE FUNCTION vectorstore.api_search(
    p_store_id bigint, p_store text, p_key bytea, p_queries text[], p_k integer, p_mode text,
    p_vector_weight double precision, p_keyword_weight double precision, p_filter jsonb,
    p_score_threshold double precision, p_embedding @extschema:vector@.vector DEFAULT NULL, p_explain boolean DEFAULT false
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._key_tenant(p_key));
    k integer := coalesce(p_k, 10);
    mode text := coalesce(p_mode, 'hybrid');
    vector_weight double precision := coalesce(p_vector_weight, 0.7);
    keyword_weight double precision := coalesce(p_keyword_weight, 0.3);
    threshold double precision := coalesce(p_score_threshold, 0);
    query text;
    run record;
    queries text[] := '{}';
    embeddings @extschema:vector@.vector[] := '{}';
    modes text[] := '{}';
    data jsonb;
BEGIN
    PERFORM vectorstore._require_active(number);
    IF coalesce(cardinality(p_queries), 0) = 0 AND p_embedding IS NULL THEN
        PERFORM vectorstore._fail('22023', 'Missing required parameter: ''query''.', 'missing_required_parameter', 'query');
    ELSIF cardinality(p_queries) > 32 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''query'': array too long. Expected at most 32 queries.', 'array_above_max_length', 'query');
    END IF;
    IF p_filter IS NOT NULL THEN
        PERFORM vectorstore._filter_path(p_filter);
    END IF;
    PERFORM vectorstore._touch(number);
    -- Checked by statements of their own: inside the query below the plan would decide whether a check runs.
    FOREACH query IN ARRAY coalesce(nullif(p_queries, '{}'), ARRAY[NULL::text]) LOOP
        run := vectorstore._check_search(number, query, p_embedding, k, mode, vector_weight, keyword_weight, threshold);
        queries := array_append(queries, run.query);
        embeddings := array_append(embeddings, run.embedding);
        modes := array_append(modes, run.mode);
    END LOOP;
    -- Several queries: a chunk counts with its best score.
    SELECT jsonb_agg(jsonb_build_object(
            'file_id', coalesce(e.file_id, e.id), 'filename', coalesce(nullif(e.filename, ''), 'document.txt'),
            'score', h.score, 'attributes', e.metadata,
            'content', jsonb_build_array(jsonb_build_object('type', 'text', 'text', e.content)))
            || CASE WHEN p_explain THEN jsonb_build_object('explain', h.explain) ELSE '{}' END
            ORDER BY h.score DESC, h.chunk_id)
    INTO data
    FROM (
        SELECT * FROM (
            SELECT DISTINCT ON (s.chunk_id) s.chunk_id, s.score, s.explain
            FROM unnest(queries, embeddings, modes) AS q(query, embedding, mode)
            CROSS JOIN LATERAL vectorstore._search(number, q.query, q.embedding, k, q.mode, vector_weight, keyword_weight, p_filter, threshold, p_explain) AS s
            ORDER BY s.chunk_id, s.score DESC
        ) best ORDER BY best.score DESC, best.chunk_id LIMIT k
    ) h
    JOIN vectorstore.embeddings e ON e.store_id = number AND e.chunk_id = h.chunk_id;
    RETURN jsonb_build_object('object', 'vector_store.search_results.page', 'search_query', coalesce(to_jsonb(p_queries), '[]'),
        'data', coalesce(data, '[]'), 'has_more', false, 'next_page', NULL);
END
$$;
COMMENT ON FUNCTION vectorstore.api_search(bigint, text, bytea, text[], integer, text, double precision, double precision, jsonb, double precision, @extschema:vector@.vector, boolean) IS
    'POST /vector_stores/{id}/search. NULL means the default; several queries give one ranked list.';

-- Search counts as activity, which matters only to a store that expires. Written at most once a minute, and
-- never on a standby, so that search itself stays free of writes.
CREATE FUNCTION vectorstore._touch(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.stores s
    WHERE s.store_id = p_store_id AND s.expires_after_days IS NOT NULL AND s.last_active_at < now() - interval '1 minute';
    IF FOUND AND current_setting('transaction_read_only') = 'off' THEN
        UPDATE vectorstore.stores s SET last_active_at = now() WHERE s.store_id = p_store_id;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._touch(bigint) IS 'Moves the expiry of a store that has one, at most once a minute.';

CREATE FUNCTION vectorstore.api_insert_embeddings(
    p_store_id bigint, p_store text, p_key bytea, p_contents text[], p_embeddings @extschema:vector@.vector[], p_metadata jsonb[]
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._key_tenant(p_key));
    ids text[] := vectorstore._upsert(number, p_contents, NULL, p_embeddings, p_metadata);
BEGIN
    UPDATE vectorstore.stores s SET last_active_at = now() WHERE s.store_id = number;
    RETURN (
        SELECT jsonb_agg(jsonb_build_object(
            'id', u.id, 'object', 'embedding', 'vector_store_id', p_store, 'content', u.content,
            'metadata', coalesce(u.metadata, '{}'), 'created_at', vectorstore._epoch(now())) ORDER BY u.item)
        FROM unnest(ids, p_contents, p_metadata) WITH ORDINALITY AS u(id, content, metadata, item));
END
$$;
COMMENT ON FUNCTION vectorstore.api_insert_embeddings(bigint, text, bytea, text[], @extschema:vector@.vector[], jsonb[]) IS
    'POST /vector_stores/{id}/embeddings[/batch]: array of the embedding objects, in order. A missing embedding is made from the content.';
