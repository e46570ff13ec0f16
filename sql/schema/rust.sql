-- Declarations of the functions in extension/src. All private.

CREATE FUNCTION vectorstore._library_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'library_version_wrapper';
COMMENT ON FUNCTION vectorstore._library_version() IS 'Version of the loaded library; differs from the extension''s until ALTER EXTENSION vectorstore UPDATE.';

-- Settings
CREATE FUNCTION vectorstore._preload_libraries() RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'preload_libraries_wrapper';
COMMENT ON FUNCTION vectorstore._preload_libraries() IS 'Setting shared_preload_libraries, which by SQL only superusers may read.';

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

-- Keywords
CREATE FUNCTION vectorstore._tsv_length(doc tsvector) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tsv_length_wrapper';
COMMENT ON FUNCTION vectorstore._tsv_length(tsvector) IS 'Number of tokens of a document.';

-- Merges
CREATE FUNCTION vectorstore._tail_limit() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tail_limit_wrapper';
CREATE FUNCTION vectorstore._background_merge() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'background_merge_wrapper';
CREATE FUNCTION vectorstore._want_merge(p_store_id bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'want_merge_wrapper';
COMMENT ON FUNCTION vectorstore._tail_limit() IS 'Setting vectorstore.tail_limit.';
COMMENT ON FUNCTION vectorstore._background_merge() IS 'Setting vectorstore.background_merge.';
COMMENT ON FUNCTION vectorstore._want_merge(bigint) IS 'Starts a background worker for this store when the transaction commits; store 0 only sweeps.';
-- Languages
CREATE FUNCTION vectorstore._language_number(name text) RETURNS smallint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'language_number_wrapper';
CREATE FUNCTION vectorstore._language_names() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'language_names_wrapper';
CREATE FUNCTION vectorstore._detect_language(content text, fallback smallint) RETURNS smallint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'detect_language_wrapper';
CREATE FUNCTION vectorstore._bigrams(content text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bigrams_wrapper';
COMMENT ON FUNCTION vectorstore._language_number(text) IS 'Code of a language by its name in any case, 127 for auto; NULL for an unknown one.';
COMMENT ON FUNCTION vectorstore._language_names() IS 'Names of all languages, by code.';
COMMENT ON FUNCTION vectorstore._detect_language(text, smallint) IS 'Code of the language that a text is written in; the fallback when that is not certain or not one of ours.';
COMMENT ON FUNCTION vectorstore._bigrams(text) IS 'The text with runs of Chinese, Japanese and Korean characters cut into single characters and pairs; other scripts unchanged.';
CREATE FUNCTION vectorstore._document_lexemes(language smallint, content text) RETURNS tsvector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'document_lexemes_wrapper';
COMMENT ON FUNCTION vectorstore._document_lexemes(smallint, text) IS 'Lexemes of a text in the language with this code, as to_tsvector() gives them for its configuration; Chinese, Japanese and Korean are cut into _bigrams() first.';
CREATE FUNCTION vectorstore._query_lexemes(store_id bigint, query text) RETURNS tsvector
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'query_lexemes_wrapper';
COMMENT ON FUNCTION vectorstore._query_lexemes(bigint, text) IS 'Lexemes that a query looks for in a store: what document_tsv() makes of it. Of a store that detects languages they are those of all its languages, and their positions are not the order of the words.';

-- Segments
CREATE FUNCTION vectorstore._pack(store_id bigint, chunk_ids bigint[]) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pack_wrapper';
CREATE FUNCTION vectorstore._segment_chunks(store_id bigint, segment_id bigint) RETURNS bigint[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'segment_chunks_wrapper';
CREATE FUNCTION vectorstore._mark_deleted(store_id bigint, segment_id bigint, chunk_ids bigint[]) RETURNS bigint[]
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mark_deleted_wrapper';
COMMENT ON FUNCTION vectorstore._pack(bigint, bigint[]) IS 'Packs chunks of a store into a segment and returns its number; NULL when the statement sees none of them.';
COMMENT ON FUNCTION vectorstore._segment_chunks(bigint, bigint) IS 'Numbers of the chunks of a segment that are not marked as deleted, ascending.';
COMMENT ON FUNCTION vectorstore._mark_deleted(bigint, bigint, bigint[]) IS 'Marks chunks of a segment as deleted and returns those that are in it.';
