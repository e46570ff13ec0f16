-- Search. Each leg yields candidates of its own with the filter inside it; then both scores of every candidate
-- are computed exactly and fused. Nothing is written, so search runs on a standby too.

-- The engine under vs_search and api_search. Arguments are checked by the callers' shared _check_search.
-- Plans are made for the values at hand: a store's size decides between its key and the keyword index.
CREATE FUNCTION vectorstore._search(
    p_store_id bigint, p_query text, p_embedding @extschema:vector@.vector, p_k integer, p_mode text,
    p_vector_weight double precision, p_keyword_weight double precision,
    p_filter jsonb, p_threshold double precision, p_explain boolean
) RETURNS TABLE (
    chunk_id bigint, score double precision, vector_score double precision, keyword_score double precision, explain jsonb
)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    path jsonpath;
    virtual boolean := false;
    terms tsvector;
    words tsquery;
    counters record;
    average double precision;
    hits vectorstore.bm25_hits;
    nearest bigint[];
    -- Candidates of each leg: enough that fusion rarely needs one that neither leg named.
    depth integer := greatest(100, 4 * p_k);
BEGIN
    IF p_filter IS NOT NULL THEN
        path := vectorstore._filter_path(p_filter)::jsonpath;
        virtual := vectorstore._filter_is_virtual(p_filter);
    END IF;

    IF p_mode = 'vector_only' THEN
        RETURN QUERY
        SELECT n.chunk_id, vectorstore._vector_score(1 - n.distance), vectorstore._vector_score(1 - n.distance), NULL::double precision,
               CASE WHEN p_explain THEN jsonb_build_object('mode', p_mode, 'vector', jsonb_build_object(
                   'cosine', 1 - n.distance, 'score', vectorstore._vector_score(1 - n.distance), 'rank', n.rank)) END
        FROM (
            SELECT c.chunk_id, c.distance, row_number() OVER (ORDER BY c.distance, c.chunk_id) AS rank
            FROM (
                SELECT e.chunk_id, e.embedding OPERATOR(@extschema:vector@.<=>) p_embedding AS distance
                FROM vectorstore.embeddings e
                WHERE e.store_id = p_store_id
                  AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path)
                ORDER BY distance, e.chunk_id LIMIT p_k
            ) c
        ) n
        WHERE vectorstore._vector_score(1 - n.distance) >= p_threshold
        ORDER BY n.rank;
        RETURN;
    END IF;

    SELECT c.chunks, c.tokens, s.language INTO counters
    FROM vectorstore.store_counters c JOIN vectorstore.stores s USING (store_id) WHERE c.store_id = p_store_id;
    average := counters.tokens::double precision / nullif(counters.chunks, 0);
    terms := vectorstore.document_tsv(counters.language, p_query);
    words := vectorstore._any_of(terms)::tsquery;
    IF words IS NOT NULL THEN
        hits := vectorstore._keyword_hits(p_store_id, terms, words, path, virtual, counters.chunks, average,
                                          CASE p_mode WHEN 'keyword_only' THEN p_k ELSE depth END);
    END IF;

    IF p_mode = 'keyword_only' THEN
        RETURN QUERY
        SELECT h.chunk_id, vectorstore._keyword_score(h.bm25), NULL::double precision, vectorstore._keyword_score(h.bm25),
               CASE WHEN p_explain THEN jsonb_build_object('mode', p_mode, 'keyword', jsonb_build_object(
                   'bm25', h.bm25, 'score', vectorstore._keyword_score(h.bm25), 'rank', h.rank,
                   'terms', (SELECT vectorstore._matched_terms(e.tsv, terms) FROM vectorstore.embeddings e
                             WHERE e.store_id = p_store_id AND e.chunk_id = h.chunk_id))) END
        FROM unnest(hits.chunk_ids, hits.scores) WITH ORDINALITY AS h(chunk_id, bm25, rank)
        WHERE vectorstore._keyword_score(h.bm25) >= p_threshold
        ORDER BY h.rank;
        RETURN;
    END IF;

    -- A weight of zero skips its leg.
    IF p_vector_weight > 0 THEN
        nearest := ARRAY(
            SELECT e.chunk_id
            FROM vectorstore.embeddings e
            WHERE e.store_id = p_store_id
              AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path)
            ORDER BY e.embedding OPERATOR(@extschema:vector@.<=>) p_embedding, e.chunk_id LIMIT depth
        );
    END IF;
    RETURN QUERY
    SELECT f.chunk_id, f.fused, f.vector_scale, f.keyword_scale,
           CASE WHEN p_explain THEN jsonb_build_object(
               'mode', p_mode,
               'vector', jsonb_build_object('cosine', f.cosine, 'score', f.vector_scale, 'weight', p_vector_weight,
                                            'rank', array_position(nearest, f.chunk_id)),
               'keyword', jsonb_build_object('bm25', f.bm25, 'score', f.keyword_scale, 'weight', p_keyword_weight,
                                             'rank', array_position(hits.chunk_ids, f.chunk_id), 'terms', f.matched)) END
    FROM (
        SELECT s.*, vectorstore._fused_score(s.vector_scale, s.keyword_scale, p_vector_weight, p_keyword_weight) AS fused
        FROM (
            SELECT b.*, vectorstore._vector_score(b.cosine) AS vector_scale, vectorstore._keyword_score(b.bm25) AS keyword_scale
            FROM (
                SELECT e.chunk_id, 1 - (e.embedding OPERATOR(@extschema:vector@.<=>) p_embedding) AS cosine,
                       coalesce(vectorstore._bm25_score(e.tsv, terms, hits.idfs, average), 0) AS bm25,
                       CASE WHEN p_explain THEN vectorstore._matched_terms(e.tsv, terms) END AS matched
                FROM (SELECT DISTINCT unnest(nearest || hits.chunk_ids) AS chunk_id) c
                JOIN vectorstore.embeddings e ON e.store_id = p_store_id AND e.chunk_id = c.chunk_id
            ) b
        ) s
    ) f
    WHERE f.fused >= p_threshold
    ORDER BY f.fused DESC, f.chunk_id LIMIT p_k;
END
$$;
COMMENT ON FUNCTION vectorstore._search(bigint, text, @extschema:vector@.vector, integer, text, double precision, double precision, jsonb, double precision, boolean) IS
    'Searches one store; best first, equal scores by chunk_id.';

-- The keyword leg. The planner takes `@@` for a cheap operator and would test every row; a test costs microseconds
-- and the keyword index knows the answer, so sequential scans are ruled out here. But that index holds the words of
-- every store: a store that is a small part of the table is read whole by its key, and the aggregate passes over
-- the rows without a term.
CREATE FUNCTION vectorstore._keyword_hits(
    p_store_id bigint, terms tsvector, words tsquery, path jsonpath, virtual boolean,
    documents bigint, average double precision, depth integer
) RETURNS vectorstore.bm25_hits
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    -- The table's size is -1 until it was first analysed: then the index is used.
    by_key boolean := documents * 16 < (SELECT c.reltuples FROM pg_class c WHERE c.oid = 'vectorstore.embeddings'::regclass);
BEGIN
    RETURN (
        SELECT vectorstore._bm25_top(e.chunk_id, e.tsv,
            path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path,
            terms, documents, average, depth)
        FROM vectorstore.embeddings e
        WHERE e.store_id = p_store_id AND (by_key OR e.tsv @@ words)
    );
END
$$;
COMMENT ON FUNCTION vectorstore._keyword_hits(bigint, tsvector, tsquery, jsonpath, boolean, bigint, double precision, integer) IS
    'The depth best chunks of a store by BM25 that pass the filter; statistics are those of the whole store.';

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

-- Checks and completes the arguments of a search: which legs run, and with which vector.
CREATE FUNCTION vectorstore._check_search(
    p_store_id bigint, INOUT query text, INOUT embedding @extschema:vector@.vector, k integer, INOUT mode text,
    vector_weight double precision, keyword_weight double precision, threshold double precision
)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store record;
BEGIN
    IF k IS NULL OR k NOT BETWEEN 1 AND 10000 THEN
        PERFORM vectorstore._fail('22023', 'k must be from 1 to 10000.', 'invalid_value', 'k');
    ELSIF mode IS NULL OR mode NOT IN ('hybrid', 'vector_only', 'keyword_only') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for the search mode. Supported values are: ''hybrid'', ''vector_only'' and ''keyword_only''.', 'invalid_value', 'search_mode');
    ELSIF threshold IS NULL OR NOT threshold BETWEEN 0 AND 1 THEN
        PERFORM vectorstore._fail('22023', 'score_threshold must be from 0 to 1.', 'invalid_value', 'score_threshold');
    ELSIF octet_length(query) > 8192 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''query'': string too long. Expected at most 8192 bytes.', 'string_above_max_length', 'query');
    ELSIF query IS NOT NULL AND btrim(query, E' \t\r\n\f\v') = '' THEN
        PERFORM vectorstore._fail('22023', 'The query must not be empty.', 'invalid_value', 'query');
    END IF;
    -- Refuses weights that are negative, not finite or both zero.
    PERFORM vectorstore._fused_score(0, 0, coalesce(vector_weight, 'nan'), coalesce(keyword_weight, 'nan'));
    SELECT s.dimensions, s.embedding_model INTO store FROM vectorstore.stores s WHERE s.store_id = p_store_id;

    IF mode = 'keyword_only' AND query IS NULL THEN
        PERFORM vectorstore._fail('22023', 'Missing required parameter: ''query''.', 'missing_required_parameter', 'query');
    ELSIF mode <> 'keyword_only' AND embedding IS NULL AND store.embedding_model = 'local' AND query IS NOT NULL THEN
        embedding := vectorstore._embed_content(query);
    END IF;
    IF mode <> 'keyword_only' AND embedding IS NOT NULL THEN
        IF @extschema:vector@.vector_dims(embedding) <> store.dimensions THEN
            PERFORM vectorstore._fail('22023', format('The embedding has %s dimensions, but the store takes %s.',
                @extschema:vector@.vector_dims(embedding), store.dimensions), 'invalid_value', 'embedding');
        ELSIF @extschema:vector@.vector_norm(embedding) = 0 THEN
            PERFORM vectorstore._fail('22023', 'The embedding is all zeros and has no direction.', 'invalid_value', 'embedding');
        END IF;
    ELSIF mode = 'vector_only' THEN
        PERFORM vectorstore._fail('22023', 'A vector search needs an embedding, or a query and a store with an embedding model.', 'missing_required_parameter', 'embedding');
    END IF;
    IF mode = 'hybrid' THEN
        -- With one side missing the other answers alone, on its own scale.
        mode := CASE WHEN query IS NULL THEN 'vector_only' WHEN embedding IS NULL THEN 'keyword_only' ELSE 'hybrid' END;
        IF query IS NULL AND embedding IS NULL THEN
            PERFORM vectorstore._fail('22023', 'Missing required parameter: ''query''.', 'missing_required_parameter', 'query');
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_search(bigint, text, @extschema:vector@.vector, integer, text, double precision, double precision, double precision) IS
    'Checks the arguments of a search, embeds its text where needed, and says which mode can run; 22023 names what is wrong.';

-- API: public
CREATE FUNCTION @extschema@.vs_search(
    store text, query text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, k integer DEFAULT 10,
    mode text DEFAULT 'hybrid', vector_weight double precision DEFAULT 0.7, keyword_weight double precision DEFAULT 0.3,
    filter jsonb DEFAULT NULL, score_threshold double precision DEFAULT 0, explain boolean DEFAULT false
) RETURNS TABLE (
    id text, file_id text, filename text, score double precision, vector_score double precision,
    keyword_score double precision, content text, metadata jsonb, explanation jsonb
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 10
AS $$
DECLARE
    number bigint := vectorstore._store(store);
    run record;
BEGIN
    PERFORM vectorstore._require_active(number);
    run := vectorstore._check_search(number, query, embedding, k, mode, vector_weight, keyword_weight, score_threshold);
    RETURN QUERY
    SELECT e.id, e.file_id, e.filename, s.score, s.vector_score, s.keyword_score, e.content, e.metadata, s.explain
    FROM vectorstore._search(number, run.query, run.embedding, k, run.mode, vector_weight, keyword_weight, filter, score_threshold, explain) s
    JOIN vectorstore.embeddings e ON e.store_id = number AND e.chunk_id = s.chunk_id
    ORDER BY s.score DESC, s.chunk_id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_search(text, text, @extschema:vector@.vector, integer, text, double precision, double precision, jsonb, double precision, boolean) IS
    'Searches a store (id or name) by text, by vector, or both; best first, score in 0..1. mode: hybrid (default), vector_only, keyword_only. Weights are relative. filter: the OpenAI filter grammar over metadata, filename and file_id. k: 1..10000. explain: fills explanation with raw scores, ranks and matched terms.';
