-- Search and direct inserts over HTTP.

CREATE FUNCTION vectorstore.api_search(
    p_store_id bigint, p_store text, p_key bytea, p_queries text[], p_embeddings @extschema:vector@.vector[], p_options jsonb,
    p_page text DEFAULT NULL, p_facets text[] DEFAULT NULL
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
    positive integer := greatest(cardinality(p_queries), cardinality(p_embeddings)) - coalesce((p_options->>'negatives')::integer, 0);
    found record;
    answer jsonb;
BEGIN
    PERFORM vectorstore._require_active(number);
    p_options := vectorstore._restricted(p_options);
    IF greatest(cardinality(p_queries), cardinality(p_embeddings)) > 64 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''query'': array too long. Expected at most 64 queries.', 'array_above_max_length', 'query');
    END IF;
    PERFORM vectorstore._touch(number);
    SELECT p.hits, p.next_page INTO found FROM vectorstore._page(number, p_queries, p_embeddings, p_options, p_page, tenant) p;
    answer := jsonb_build_object(
        'object', 'vector_store.search_results.page', 'search_query', coalesce(to_jsonb(array_remove(p_queries[:positive], NULL)), '[]'),
        'data', (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'file_id', coalesce(h.file_id, h.id), 'filename', coalesce(nullif(h.filename, ''), 'document.txt'),
                    'score', h.score, 'attributes', h.metadata,
                    'content', jsonb_build_array(jsonb_build_object('type', 'text', 'text', h.content)))
                    || CASE WHEN h.explanation IS NULL THEN '{}' ELSE jsonb_build_object('explain', h.explanation) END), '[]')
            FROM unnest(found.hits) h),
        'has_more', found.next_page IS NOT NULL, 'next_page', found.next_page);
    IF p_facets IS NOT NULL THEN
        answer := answer || jsonb_build_object('facets', vectorstore._api_facets(number, p_queries, p_embeddings, p_options, p_facets));
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION vectorstore.api_search(bigint, text, bytea, text[], @extschema:vector@.vector[], jsonb, text, text[]) IS
    'POST /vector_stores/{id}/search. Queries and embeddings go together by place; without any the chunks are listed. p_page: next_page of an answer to the same request. p_facets: metadata keys whose values are counted.';

CREATE FUNCTION vectorstore._api_facets(
    p_store_id bigint, p_queries text[], p_embeddings @extschema:vector@.vector[], p_options jsonb, p_keys text[]
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A count is not of pages, groups or explanations, and there is one query.
    options jsonb := p_options - '{k,mode,negatives,negative_weight,group_by,group_size,explain}'::text[];
    counts jsonb := (
        SELECT jsonb_object_agg(k.key, k.counts)
        FROM (
            SELECT f.key, jsonb_agg(jsonb_build_object('value', f.value, 'count', f.count) ORDER BY f.place) AS counts
            FROM vectorstore._facet_list(p_store_id, p_keys, options, p_queries[1], p_embeddings[1], 1000,
                                         coalesce(p_options->>'mode', 'hybrid'), 10, NULL)
                 WITH ORDINALITY AS f(key, value, count, exact, place)
            GROUP BY f.key
        ) k);
BEGIN
    RETURN (
        SELECT jsonb_object_agg(k.key, jsonb_build_object(
            'exact', p_queries[1] IS NULL AND p_embeddings[1] IS NULL, 'values', coalesce(counts->k.key, '[]')))
        FROM unnest(p_keys) AS k(key));
END
$$;
COMMENT ON FUNCTION vectorstore._api_facets(bigint, text[], @extschema:vector@.vector[], jsonb, text[]) IS
    'Counts of the most frequent values of metadata keys as an object by key: exact over all chunks that pass the filter, or over the 1,000 best of the first query.';

-- Search counts as activity, which matters only to a store that expires. Written at most once a minute, and
-- never on a standby, so that search itself stays free of writes.
CREATE FUNCTION vectorstore._touch(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.stores s
    WHERE s.store_id = p_store_id AND s.expires_after_days IS NOT NULL AND s.last_active_at < now() - interval '1 minute';
    IF FOUND AND current_setting('transaction_read_only') = 'off' THEN
        PERFORM vectorstore._touch_active(p_store_id);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._touch(bigint) IS 'Moves the expiry of a store that has one, at most once a minute.';

CREATE FUNCTION vectorstore.api_insert_embeddings(
    p_store_id bigint, p_store text, p_key bytea, p_contents text[], p_embeddings @extschema:vector@.vector[], p_metadata jsonb[],
    p_single boolean DEFAULT NULL
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
    ids text[] := vectorstore._upsert(number, p_contents, NULL, p_embeddings, p_metadata);
    data jsonb;
BEGIN
    PERFORM vectorstore._touch_active(number);
    data := (
        SELECT jsonb_agg(jsonb_build_object(
            'id', u.id, 'object', 'embedding', 'vector_store_id', p_store, 'content', u.content,
            'metadata', coalesce(u.metadata, '{}'), 'created_at', vectorstore._epoch(now())) ORDER BY u.item)
        FROM unnest(ids, p_contents, p_metadata) WITH ORDINALITY AS u(id, content, metadata, item));
    RETURN CASE WHEN p_single THEN data->0
                WHEN NOT p_single THEN jsonb_build_object('object', 'embedding.batch', 'data', data, 'created', vectorstore._epoch(now()))
                ELSE data END;
END
$$;
COMMENT ON FUNCTION vectorstore.api_insert_embeddings(bigint, text, bytea, text[], @extschema:vector@.vector[], jsonb[], boolean) IS
    'POST /vector_stores/{id}/embeddings[/batch]: the embedding object, or with p_single false the batch; without p_single an array of the objects, in order. A missing embedding is made from the content.';
