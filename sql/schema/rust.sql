-- Declarations of the functions in extension/src. All private.

CREATE FUNCTION vectorstore._library_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'library_version_wrapper';
COMMENT ON FUNCTION vectorstore._library_version() IS 'Version of the loaded library; differs from the extension''s until ALTER EXTENSION vectorstore UPDATE.';

-- Ids
CREATE FUNCTION vectorstore._new_id(prefix text, number bigint) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'new_id_wrapper';
CREATE FUNCTION vectorstore._id_number(prefix text, id text) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'id_number_wrapper';
CREATE FUNCTION vectorstore._random_id(prefix text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'random_id_wrapper';
COMMENT ON FUNCTION vectorstore._new_id(text, bigint) IS 'Fresh public id of the row with this number.';
COMMENT ON FUNCTION vectorstore._id_number(text, text) IS 'Row number inside a public id; NULL when the id has another form. Compare the whole id afterwards.';
COMMENT ON FUNCTION vectorstore._random_id(text) IS 'Fresh id without a row number (120 random bits).';

-- Embedding model
CREATE FUNCTION vectorstore._embed(content text) RETURNS real[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'embed_wrapper';
CREATE FUNCTION vectorstore._model_dimensions() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'model_dimensions_wrapper';
COMMENT ON FUNCTION vectorstore._embed(text) IS 'Embeds a text with the local model: unit length, or zeros for a text without tokens. 55000 when there is no model.';
COMMENT ON FUNCTION vectorstore._model_dimensions() IS 'Dimensions of the local model. 55000 when there is none.';

-- Filters
CREATE FUNCTION vectorstore._filter_path(filter jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'filter_path_wrapper';
CREATE FUNCTION vectorstore._filter_is_virtual(filter jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'filter_is_virtual_wrapper';
COMMENT ON FUNCTION vectorstore._filter_path(jsonb) IS 'Compiles a filter of the OpenAI grammar to the text of a jsonpath predicate over the metadata. 22023 names the bad part.';
COMMENT ON FUNCTION vectorstore._filter_is_virtual(jsonb) IS 'Whether the filter asks for filename or file_id, which are no part of the metadata.';

-- Scores
CREATE FUNCTION vectorstore._vector_score(cosine double precision) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'vector_score_wrapper';
CREATE FUNCTION vectorstore._keyword_score(bm25 double precision) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyword_score_wrapper';
CREATE FUNCTION vectorstore._fused_score(
    vector double precision, keyword double precision, vector_weight double precision, keyword_weight double precision
) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fused_score_wrapper';
COMMENT ON FUNCTION vectorstore._vector_score(double precision) IS '(1 + cosine) / 2, in 0..1.';
COMMENT ON FUNCTION vectorstore._keyword_score(double precision) IS 's / (s + 10) of a BM25 score s, in 0..1.';
COMMENT ON FUNCTION vectorstore._fused_score(double precision, double precision, double precision, double precision) IS 'Weighted mean of both scores, in 0..1. 22023 for weights that are negative, not finite or both zero.';

-- Keywords
CREATE FUNCTION vectorstore._tsv_length(doc tsvector) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tsv_length_wrapper';
CREATE FUNCTION vectorstore._any_of(query tsvector) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'any_of_wrapper';
CREATE FUNCTION vectorstore._matched_terms(doc tsvector, query tsvector) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'matched_terms_wrapper';
CREATE FUNCTION vectorstore._bm25_score(
    doc tsvector, query tsvector, idfs double precision[], average_length double precision
) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bm25_score_wrapper';
COMMENT ON FUNCTION vectorstore._tsv_length(tsvector) IS 'Number of tokens of a document.';
COMMENT ON FUNCTION vectorstore._any_of(tsvector) IS 'Text of a tsquery that any lexeme satisfies; NULL when there is none.';
COMMENT ON FUNCTION vectorstore._matched_terms(tsvector, tsvector) IS 'Lexemes of the query that occur in the document.';
COMMENT ON FUNCTION vectorstore._bm25_score(tsvector, tsvector, double precision[], double precision) IS 'BM25 (k1 1.2, b 0.75) of one document; idfs in the order of the query''s lexemes.';

CREATE TYPE vectorstore.bm25_hits AS (chunk_ids bigint[], scores double precision[], idfs double precision[]);
COMMENT ON TYPE vectorstore.bm25_hits IS 'Best documents of a store, best first, and the inverse document frequency of each lexeme of the query.';

CREATE FUNCTION vectorstore._bm25_step(
    state internal, chunk_id bigint, doc tsvector, eligible boolean, query tsvector,
    documents bigint, average_length double precision, depth integer
) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'bm25_step_wrapper';
CREATE FUNCTION vectorstore._bm25_final(state internal) RETURNS vectorstore.bm25_hits
    LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'bm25_final_wrapper';
CREATE AGGREGATE vectorstore._bm25_top(
    chunk_id bigint, doc tsvector, eligible boolean, query tsvector,
    documents bigint, average_length double precision, depth integer
) (
    SFUNC = vectorstore._bm25_step, STYPE = internal, FINALFUNC = vectorstore._bm25_final, PARALLEL = RESTRICTED
);
COMMENT ON FUNCTION vectorstore._bm25_step(internal, bigint, tsvector, boolean, tsvector, bigint, double precision, integer) IS 'Transition of _bm25_top.';
COMMENT ON FUNCTION vectorstore._bm25_final(internal) IS 'Final function of _bm25_top.';
COMMENT ON AGGREGATE vectorstore._bm25_top(bigint, tsvector, boolean, tsvector, bigint, double precision, integer) IS
    'The depth best documents by BM25. Feed it every document of the store that holds a term of the query: document frequencies are counted on the way; eligible = false counts a document without returning it.';
