-- Search. The work is done by vectorstore._search, in extension/src/search; here are its faces. Nothing is written,
-- so search runs on a standby too.

-- The engine: queries and embeddings go together by place, either may be NULL.
CREATE TYPE vectorstore.search_hit AS (
    chunk_id bigint, score double precision, vector_score double precision, keyword_score double precision,
    explanation jsonb, id text, file_id text, filename text, content text, metadata jsonb
);
COMMENT ON TYPE vectorstore.search_hit IS 'A chunk that a search found.';

CREATE FUNCTION vectorstore._search(
    store_id bigint, queries text[], embeddings @extschema:vector@.vector[], options jsonb
) RETURNS SETOF vectorstore.search_hit
    LANGUAGE c STABLE ROWS 10 AS 'MODULE_PATHNAME', 'search_wrapper';
COMMENT ON FUNCTION vectorstore._search(bigint, text[], @extschema:vector@.vector[], jsonb) IS
    'Searches one store; best first, equal scores by chunk_id. The last options.negatives queries are negative. Other options: those of vs_search; list: so many hits in all, of which those behind the first k are nothing but chunk_id and score.';

-- JSON knows no NaN and no infinity; what is neither a number nor NULL becomes one that every range refuses.
CREATE FUNCTION vectorstore._finite(number double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN number OPERATOR(pg_catalog.<) 'infinity'::pg_catalog.float8
                 AND number OPERATOR(pg_catalog.>) '-infinity'::pg_catalog.float8 THEN number
                WHEN number IS NOT NULL THEN '-1'::pg_catalog.float8 END
$$;
COMMENT ON FUNCTION vectorstore._finite(double precision) IS 'The number, or -1 for one that is not finite.';

-- Times as the engine counts them.
CREATE FUNCTION vectorstore._microseconds(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE at WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN -9223372036854775808
                   ELSE (extract(epoch FROM at) * 1000000)::bigint - 946684800000000 END
$$;
COMMENT ON FUNCTION vectorstore._microseconds(timestamptz) IS 'Microseconds since 2000-01-01 UTC.';

-- API: public
CREATE FUNCTION @extschema@.vs_search(
    store text, query text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, k integer DEFAULT 10,
    mode text DEFAULT 'hybrid', vector_weight double precision DEFAULT 0.7, keyword_weight double precision DEFAULT 0.3,
    filter jsonb DEFAULT NULL, score_threshold double precision DEFAULT 0, explain boolean DEFAULT false,
    fusion text DEFAULT 'weighted', rrf_k double precision DEFAULT 60,
    queries text[] DEFAULT NULL, embeddings @extschema:vector@.vector[] DEFAULT NULL, combine text DEFAULT 'max',
    negative_queries text[] DEFAULT NULL, negative_embeddings @extschema:vector@.vector[] DEFAULT NULL,
    negative_weight double precision DEFAULT 1,
    vector_threshold double precision DEFAULT 0, keyword_threshold double precision DEFAULT 0,
    created_from timestamptz DEFAULT NULL, created_to timestamptz DEFAULT NULL,
    group_by text DEFAULT NULL, group_size integer DEFAULT 1
) RETURNS TABLE (
    id text, file_id text, filename text, score double precision, vector_score double precision,
    keyword_score double precision, content text, metadata jsonb, explanation jsonb
)
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 10 AS 'MODULE_PATHNAME', 'vs_search_wrapper';
COMMENT ON FUNCTION @extschema@.vs_search(text, text, @extschema:vector@.vector, integer, text, double precision, double precision, jsonb, double precision, boolean, text, double precision, text[], @extschema:vector@.vector[], text, text[], @extschema:vector@.vector[], double precision, double precision, double precision, timestamptz, timestamptz, text, integer) IS
    'Searches a store (id or name) by text, by vector, or both; best first, score in 0..1. k: 1..10000. mode: hybrid (default), vector_only, keyword_only. Weights are relative; a weight of 0 skips its leg. In a query "words in quotes" must stand together and -excluded words must not occur. filter: the OpenAI filter grammar over metadata, filename and file_id. fusion: weighted (default, absolute scales), minmax, dbsf, zscore or rrf (with rrf_k). queries, embeddings: further queries, combined by max, sum or rrf; negative ones subtract negative_weight times their score. Thresholds: least score of a result, fused or of a leg. created_from (inclusive), created_to (exclusive). group_by: a metadata key, of whose values each gives at most group_size results. explain: fills explanation with raw scores, ranks and matched terms.';
