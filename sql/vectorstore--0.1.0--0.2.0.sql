\echo Use "ALTER EXTENSION vectorstore UPDATE TO '0.2.0'" to load this file. \quit
-- Written by scripts/build-upgrade.
--
-- Every function is replaced by that of version 0.2.0. What is dropped first is gone, or returns something else.
-- SELECT vs_install() migrates the tables afterwards.

ALTER EXTENSION vectorstore DROP FUNCTION @extschema@.vs_create_api_key(text,bytea,timestamp with time zone);
DROP FUNCTION @extschema@.vs_create_api_key(text,bytea,timestamp with time zone);
ALTER EXTENSION vectorstore DROP FUNCTION @extschema@.vs_revoke_api_key(text);
DROP FUNCTION @extschema@.vs_revoke_api_key(text);
ALTER EXTENSION vectorstore DROP FUNCTION vectorstore._api_batch(bigint,text,bytea,text);
DROP FUNCTION vectorstore._api_batch(bigint,text,bytea,text);
ALTER EXTENSION vectorstore DROP FUNCTION vectorstore._api_store_file(bigint,text,bytea,text);
DROP FUNCTION vectorstore._api_store_file(bigint,text,bytea,text);
ALTER EXTENSION vectorstore DROP FUNCTION vectorstore._key_tenant(bytea);
DROP FUNCTION vectorstore._key_tenant(bytea);
ALTER EXTENSION vectorstore DROP FUNCTION vectorstore._store(text);
DROP FUNCTION vectorstore._store(text);

-- ---- schema/roles.sql
-- Roles and the schema.
--
-- Roles are shared by the whole cluster and no members of an extension. They are made here, and not by a
-- separate step, so that pg_restore into a fresh cluster finds them: CREATE EXTENSION comes before the tables.
DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['vectorstore_owner', 'vectorstore_admin', 'vectorstore_user', 'vectorstore_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) wanted) THEN
            BEGIN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database of the cluster was quicker.
            END;
        END IF;
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_catalog.pg_roles
        WHERE rolname OPERATOR(pg_catalog.=) 'vectorstore_owner' AND (rolsuper OR rolbypassrls OR rolcreaterole)
    ) THEN
        RAISE EXCEPTION 'role vectorstore_owner exists and has more rights than it may have'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'The role must be neither superuser, nor BYPASSRLS, nor CREATEROLE.';
    END IF;
    -- Whoever is given a tenant becomes a member; the functions that do it belong to the owner.
    GRANT vectorstore_user TO vectorstore_owner WITH ADMIN OPTION;
END
$roles$;

-- The schema is no member of the extension: it holds the data, and DROP EXTENSION must never take that.
-- It belongs to pg_database_owner, a role that every cluster has, so that a dump restores everywhere.
DO $schema$
BEGIN
    -- A user named vectorstore would have it first in the search_path.
    IF pg_catalog.current_schema() OPERATOR(pg_catalog.=) 'vectorstore' THEN
        RAISE EXCEPTION 'the functions of vectorstore cannot live in the schema of its data'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'CREATE EXTENSION vectorstore SCHEMA public;';
    END IF;
    IF pg_catalog.to_regnamespace('vectorstore') IS NULL THEN
        CREATE SCHEMA vectorstore AUTHORIZATION pg_database_owner;
        ALTER EXTENSION vectorstore DROP SCHEMA vectorstore;
    ELSIF NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace n
        WHERE n.nspname OPERATOR(pg_catalog.=) 'vectorstore'
          AND n.nspowner OPERATOR(pg_catalog.=) 'pg_database_owner'::pg_catalog.regrole
    ) THEN
        RAISE EXCEPTION 'schema vectorstore exists and is not the one of this extension'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Rename or drop it. The schema of this extension belongs to pg_database_owner.';
    END IF;
END
$schema$;
COMMENT ON SCHEMA vectorstore IS 'Data and internals of the extension vectorstore. SQL users call vs_*; the HTTP proxy calls api_*.';
GRANT USAGE, CREATE ON SCHEMA vectorstore TO vectorstore_owner;
GRANT USAGE ON SCHEMA vectorstore TO vectorstore_admin, vectorstore_user, vectorstore_app;
GRANT USAGE ON SCHEMA @extschema@ TO vectorstore_owner, vectorstore_admin, vectorstore_user;
GRANT USAGE ON SCHEMA @extschema:vector@ TO vectorstore_owner, vectorstore_admin, vectorstore_user, vectorstore_app;


-- ---- schema/rust.sql
-- Declarations of the functions in extension/src. All private.

CREATE OR REPLACE FUNCTION vectorstore._library_version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'library_version_wrapper';
COMMENT ON FUNCTION vectorstore._library_version() IS 'Version of the loaded library; differs from the extension''s until ALTER EXTENSION vectorstore UPDATE.';

-- Settings
CREATE FUNCTION vectorstore._preload_libraries() RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'preload_libraries_wrapper';
COMMENT ON FUNCTION vectorstore._preload_libraries() IS 'Setting shared_preload_libraries, which by SQL only superusers may read.';

-- Ids
CREATE OR REPLACE FUNCTION vectorstore._new_id(prefix text, number bigint) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'new_id_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._id_number(prefix text, id text) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'id_number_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._random_id(prefix text) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'random_id_wrapper';
COMMENT ON FUNCTION vectorstore._new_id(text, bigint) IS 'Fresh public id of the row with this number.';
COMMENT ON FUNCTION vectorstore._id_number(text, text) IS 'Row number inside a public id; NULL when the id has another form. Compare the whole id afterwards.';
COMMENT ON FUNCTION vectorstore._random_id(text) IS 'Fresh id without a row number (120 random bits).';

-- Embedding model
CREATE OR REPLACE FUNCTION vectorstore._embed(content text) RETURNS real[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'embed_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._model_dimensions() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'model_dimensions_wrapper';
COMMENT ON FUNCTION vectorstore._embed(text) IS 'Embeds a text with the local model: unit length, or zeros for a text without tokens. 55000 when there is no model.';
COMMENT ON FUNCTION vectorstore._model_dimensions() IS 'Dimensions of the local model. 55000 when there is none.';

-- Filters
CREATE OR REPLACE FUNCTION vectorstore._filter_path(filter jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'filter_path_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._filter_is_virtual(filter jsonb) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'filter_is_virtual_wrapper';
COMMENT ON FUNCTION vectorstore._filter_path(jsonb) IS 'Compiles a filter of the OpenAI grammar to the text of a jsonpath predicate over the metadata. 22023 names the bad part.';
COMMENT ON FUNCTION vectorstore._filter_is_virtual(jsonb) IS 'Whether the filter asks for filename or file_id, which are no part of the metadata.';

-- Keywords
CREATE OR REPLACE FUNCTION vectorstore._tsv_length(doc tsvector) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tsv_length_wrapper';
COMMENT ON FUNCTION vectorstore._tsv_length(tsvector) IS 'Number of tokens of a document.';

-- Merges
CREATE OR REPLACE FUNCTION vectorstore._tail_limit() RETURNS integer
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'tail_limit_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._background_merge() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'background_merge_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._want_merge(p_store_id bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'want_merge_wrapper';
COMMENT ON FUNCTION vectorstore._tail_limit() IS 'Setting vectorstore.tail_limit.';
COMMENT ON FUNCTION vectorstore._background_merge() IS 'Setting vectorstore.background_merge.';
COMMENT ON FUNCTION vectorstore._want_merge(bigint) IS 'Starts a background worker for this store when the transaction commits; store 0 only sweeps.';
-- Languages
CREATE OR REPLACE FUNCTION vectorstore._language_number(name text) RETURNS smallint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'language_number_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._language_names() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'language_names_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._detect_language(content text, fallback smallint) RETURNS smallint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'detect_language_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._bigrams(content text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bigrams_wrapper';
COMMENT ON FUNCTION vectorstore._language_number(text) IS 'Code of a language by its name in any case, 127 for auto; NULL for an unknown one.';
COMMENT ON FUNCTION vectorstore._language_names() IS 'Names of all languages, by code.';
COMMENT ON FUNCTION vectorstore._detect_language(text, smallint) IS 'Code of the language that a text is written in; the fallback when that is not certain or not one of ours.';
COMMENT ON FUNCTION vectorstore._bigrams(text) IS 'The text with runs of Chinese, Japanese and Korean characters cut into single characters and pairs; other scripts unchanged.';
CREATE FUNCTION vectorstore._document_lexemes(language smallint, content text) RETURNS tsvector
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'document_lexemes_wrapper';
COMMENT ON FUNCTION vectorstore._document_lexemes(smallint, text) IS 'Lexemes of a text in the language with this code, as to_tsvector() gives them for its configuration; Chinese, Japanese and Korean are cut into _bigrams() first.';
CREATE OR REPLACE FUNCTION vectorstore._query_lexemes(store_id bigint, query text) RETURNS tsvector
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'query_lexemes_wrapper';
COMMENT ON FUNCTION vectorstore._query_lexemes(bigint, text) IS 'Lexemes that a query looks for in a store: what document_tsv() makes of it. Of a store that detects languages they are those of all its languages, and their positions are not the order of the words.';

-- Segments
CREATE OR REPLACE FUNCTION vectorstore._pack(store_id bigint, chunk_ids bigint[]) RETURNS bigint
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'pack_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._segment_chunks(store_id bigint, segment_id bigint) RETURNS bigint[]
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'segment_chunks_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._mark_deleted(store_id bigint, segment_id bigint, chunk_ids bigint[]) RETURNS bigint[]
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mark_deleted_wrapper';
COMMENT ON FUNCTION vectorstore._pack(bigint, bigint[]) IS 'Packs chunks of a store into a segment and returns its number; NULL when the statement sees none of them.';
COMMENT ON FUNCTION vectorstore._segment_chunks(bigint, bigint) IS 'Numbers of the chunks of a segment that are not marked as deleted, ascending.';
COMMENT ON FUNCTION vectorstore._mark_deleted(bigint, bigint, bigint[]) IS 'Marks chunks of a segment as deleted and returns those that are in it.';


-- ---- schema/stats.sql
-- Declarations of the functions in extension/src/stats. All private.

CREATE FUNCTION vectorstore._stat_preloaded() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'stat_preloaded_wrapper';
COMMENT ON FUNCTION vectorstore._stat_preloaded() IS 'Whether the library is in shared_preload_libraries, without which nothing is counted or limited.';

CREATE FUNCTION vectorstore._stat_pending() RETURNS TABLE (
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint,
    would_limit bigint, rows bigint, tokens bigint, microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_pending_wrapper';
CREATE FUNCTION vectorstore._stat_take() RETURNS TABLE (
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint,
    would_limit bigint, rows bigint, tokens bigint, microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_take_wrapper';
CREATE FUNCTION vectorstore._stat_ever() RETURNS TABLE (
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint,
    would_limit bigint, rows bigint, tokens bigint, microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_ever_wrapper';
CREATE FUNCTION vectorstore._stat_memory() RETURNS TABLE (entries bigint, capacity bigint, overflow bigint, flush_age double precision, buckets bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_memory_wrapper';
COMMENT ON FUNCTION vectorstore._stat_pending() IS 'What was counted of this database since the last flush; no row when the library is not preloaded.';
COMMENT ON FUNCTION vectorstore._stat_take() IS 'The same, taken out of shared memory, where it returns unless the transaction commits. 55000 when the library is not preloaded.';
COMMENT ON FUNCTION vectorstore._stat_ever() IS 'What was counted of this database since the server started, by operation alone.';
COMMENT ON FUNCTION vectorstore._stat_memory() IS 'How full the shared memory of statistics is, calls that found no place in it, seconds since the last flush, and buckets of rate limits in use.';

CREATE FUNCTION vectorstore._stat_note(
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, microseconds bigint
) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'stat_note_wrapper';
CREATE FUNCTION vectorstore._note_usage(tenant_id bigint, store_id bigint, texts bigint, bytes bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'note_usage_wrapper';
CREATE FUNCTION vectorstore._stat_count(name text, by bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'stat_count_wrapper';
COMMENT ON FUNCTION vectorstore._stat_count(text, bigint) IS 'Counts something that only GET /metrics tells, since the server started.';
COMMENT ON FUNCTION vectorstore._stat_note(bigint, bigint, bigint, text, bigint, bigint, bigint) IS 'Counts requests that the proxy answered without a function of their own.';
COMMENT ON FUNCTION vectorstore._note_usage(bigint, bigint, bigint, bigint) IS 'Counts texts that came to a store, or went, when the transaction commits.';

CREATE FUNCTION vectorstore._add_buckets(one bigint[], other bigint[]) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'add_buckets_wrapper';
CREATE FUNCTION vectorstore._bucket_quantile(buckets bigint[], share double precision) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bucket_quantile_wrapper';
CREATE FUNCTION vectorstore._bucket_bound(bucket integer) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bucket_bound_wrapper';
CREATE AGGREGATE vectorstore._sum_buckets(bigint[]) (SFUNC = vectorstore._add_buckets, STYPE = bigint[], PARALLEL = SAFE);
COMMENT ON FUNCTION vectorstore._add_buckets(bigint[], bigint[]) IS 'Two histograms together.';
COMMENT ON FUNCTION vectorstore._bucket_quantile(bigint[], double precision) IS 'Seconds below which this share of the calls of a histogram took; NULL without calls.';
COMMENT ON FUNCTION vectorstore._bucket_bound(integer) IS 'Upper bound of a bucket in seconds, counted from 1; NULL for the last one.';
COMMENT ON AGGREGATE vectorstore._sum_buckets(bigint[]) IS 'Histograms together.';

-- Rate limits, in extension/src/limits.rs
CREATE FUNCTION vectorstore._rate_charge() RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'rate_charge_wrapper';
CREATE FUNCTION vectorstore._charge_tokens(tokens bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'charge_tokens_wrapper';
CREATE FUNCTION vectorstore._charge_repetition() RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'charge_repetition_wrapper';
COMMENT ON FUNCTION vectorstore._charge_repetition() IS 'Charges the API key of the call in progress for a request that is answered without being run; 54000 in the same way.';
COMMENT ON FUNCTION vectorstore._rate_charge() IS
    'Charges the API key of the call in progress for it. 54000 when that is too much: DETAIL has type (requests or tokens) and retry_after_ms.';
COMMENT ON FUNCTION vectorstore._charge_tokens(bigint) IS 'Charges the API key of the call in progress for tokens; 54000 in the same way.';
CREATE FUNCTION vectorstore._require_preload() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'require_preload_wrapper';
COMMENT ON FUNCTION vectorstore._require_preload() IS '55000 when the library is not preloaded.';
-- A leaf for the proxy, asked in the same statement as the call itself.
CREATE FUNCTION vectorstore.api_rate_state() RETURNS jsonb
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rate_state_wrapper';
COMMENT ON FUNCTION vectorstore.api_rate_state() IS
    'Rate limits of the call before it in the same statement: {"requests": {"limit", "remaining", "reset_ms"}, "tokens": …}; NULL when nothing limits it.';
CREATE FUNCTION vectorstore.api_uncounted() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_uncounted_wrapper';
COMMENT ON FUNCTION vectorstore.api_uncounted() IS
    'In a WHERE clause: the call in the same statement is a part of a request that is counted and charged already. True.';


-- ---- schema/errors.sql
CREATE FUNCTION vectorstore._rate_shown() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rate_shown_wrapper';
COMMENT ON FUNCTION vectorstore._rate_shown() IS 'Rate limits of the call in progress, as api_rate_state() tells them; NULL when nothing limits it.';

-- Every error of ours goes through this function, so that its DETAIL has the shape that programs read:
-- {"code": text|null, "param": text|null}, and "rate" when rate limits hold for the caller. The proxy shows only such
-- errors to its clients.
CREATE OR REPLACE FUNCTION vectorstore._fail(
    sqlstate_ text, message text, code text DEFAULT NULL, param text DEFAULT NULL, hint text DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail text := json_build_object('code', code, 'param', param)::text;
    rate jsonb := vectorstore._rate_shown();
BEGIN
    IF rate IS NOT NULL THEN
        detail := json_build_object('code', code, 'param', param, 'rate', rate)::text;
    END IF;
    IF hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = sqlstate_, MESSAGE = message, DETAIL = detail;
    END IF;
    RAISE EXCEPTION USING ERRCODE = sqlstate_, MESSAGE = message, DETAIL = detail, HINT = hint;
END
$$;
COMMENT ON FUNCTION vectorstore._fail(text, text, text, text, text) IS 'Raises an error with this SQLSTATE and a DETAIL of {"code", "param"}, and "rate" when rate limits hold for the caller.';

-- A value as it may stand in a message: never the whole of a long one.
CREATE OR REPLACE FUNCTION vectorstore._shown(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN length(value) > 80 THEN left(value, 77) || '...' ELSE value END $$;
COMMENT ON FUNCTION vectorstore._shown(text) IS 'A user''s value, cut to 80 characters for a message.';

-- What a JSON value is, for a message.
CREATE OR REPLACE FUNCTION vectorstore._kind(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'object' THEN 'an object' WHEN 'array' THEN 'an array' WHEN 'null' THEN 'null'
           ELSE 'a ' || jsonb_typeof(value) END
$$;
COMMENT ON FUNCTION vectorstore._kind(jsonb) IS 'The type of a JSON value with its article.';

-- Unix seconds, as the HTTP API writes times.
CREATE OR REPLACE FUNCTION vectorstore._epoch(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT floor(extract(epoch FROM moment))::bigint $$;
COMMENT ON FUNCTION vectorstore._epoch(timestamptz) IS 'Unix seconds.';


-- ---- schema/migrate_0001.sql
-- Step 1: the tables of version 0.1.0.
--
-- Rules (they keep sharding by store possible): every key and index of a per-store table starts with
-- store_id; every table has a primary key; numbers are bigint; storage is set before indexes, and foreign keys
-- come last. Everything here belongs to vectorstore_owner, because vs_install() runs as that role.
CREATE OR REPLACE FUNCTION vectorstore._migrate_0001() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    CREATE TABLE vectorstore.schema_migrations (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    );

    CREATE TABLE vectorstore.tenants (
        tenant_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text COLLATE "C" NOT NULL UNIQUE,
        name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    );

    CREATE TABLE vectorstore.api_keys (
        tenant_id bigint NOT NULL REFERENCES vectorstore.tenants ON DELETE CASCADE,
        key_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        -- SHA-256 of the whole key: 256 random bits need no salt, and the key itself is stored nowhere.
        key_hash bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        PRIMARY KEY (tenant_id, key_id)
    );

    CREATE TABLE vectorstore.stores (
        store_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        tenant_id bigint NOT NULL,
        id text COLLATE "C" NOT NULL,
        name text NOT NULL DEFAULT '',
        description text,
        metadata jsonb NOT NULL DEFAULT '{}',
        embedding_model text NOT NULL,
        dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 16000),
        language smallint NOT NULL,
        expires_after_days integer CHECK (expires_after_days BETWEEN 1 AND 365),
        last_active_at timestamptz NOT NULL DEFAULT now(),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX stores_tenant_created ON vectorstore.stores (tenant_id, created_at, store_id);
    CREATE INDEX stores_tenant_name ON vectorstore.stores (tenant_id, name);

    -- One row a store, kept by the triggers below. Apart from stores, so that counting does not rewrite them.
    CREATE TABLE vectorstore.store_counters (
        store_id bigint PRIMARY KEY,
        tenant_id bigint NOT NULL,
        chunks bigint NOT NULL DEFAULT 0,
        tokens bigint NOT NULL DEFAULT 0,
        usage_bytes bigint NOT NULL DEFAULT 0,
        files_in_progress bigint NOT NULL DEFAULT 0,
        files_completed bigint NOT NULL DEFAULT 0,
        files_failed bigint NOT NULL DEFAULT 0,
        files_cancelled bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);

    CREATE TABLE vectorstore.files (
        tenant_id bigint NOT NULL,
        file_id bigint GENERATED ALWAYS AS IDENTITY,
        id text COLLATE "C" NOT NULL,
        filename text NOT NULL,
        purpose text NOT NULL,
        bytes bigint NOT NULL DEFAULT 0,
        parts integer NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        PRIMARY KEY (tenant_id, file_id)
    );
    CREATE INDEX files_tenant_created ON vectorstore.files (tenant_id, created_at, file_id);

    CREATE TABLE vectorstore.file_parts (
        tenant_id bigint NOT NULL,
        file_id bigint NOT NULL,
        part integer NOT NULL,
        data bytea NOT NULL,
        PRIMARY KEY (tenant_id, file_id, part)
    );
    -- Out of line and not compressed: parts are streamed as they came.
    ALTER TABLE vectorstore.file_parts ALTER COLUMN data SET STORAGE EXTERNAL;

    CREATE TABLE vectorstore.store_files (
        store_id bigint NOT NULL,
        tenant_id bigint NOT NULL,
        id text COLLATE "C" NOT NULL,
        filename text NOT NULL,
        status text NOT NULL CHECK (status IN ('in_progress', 'completed', 'cancelled', 'failed')),
        last_error jsonb,
        attributes jsonb NOT NULL DEFAULT '{}',
        chunking_strategy jsonb NOT NULL,
        usage_bytes bigint NOT NULL DEFAULT 0,
        -- The text as extracted, without the overlap of the chunks.
        content text,
        batch_id bigint,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (store_id, id)
    );
    CREATE INDEX store_files_created ON vectorstore.store_files (store_id, created_at, id);
    -- Deleting a file takes it out of every store: the one look-up that does not know the store.
    CREATE INDEX store_files_file ON vectorstore.store_files (tenant_id, id);

    -- Several files attached by one request.
    CREATE TABLE vectorstore.file_batches (
        store_id bigint NOT NULL,
        batch_id bigint GENERATED ALWAYS AS IDENTITY,
        tenant_id bigint NOT NULL,
        id text COLLATE "C" NOT NULL,
        status text NOT NULL CHECK (status IN ('in_progress', 'completed', 'cancelled', 'failed')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (store_id, batch_id)
    );

    -- The immutable function under the generated column. It is no member of the extension, so that DROP
    -- EXTENSION cannot take the column. Codes are stored and never change their meaning; 0 is no language.
    CREATE FUNCTION vectorstore.document_tsv(language smallint, content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $tsv$
        SELECT CASE
            WHEN language OPERATOR(pg_catalog.=) 1 THEN pg_catalog.to_tsvector('pg_catalog.english', content)
            WHEN language OPERATOR(pg_catalog.=) 2 THEN pg_catalog.to_tsvector('pg_catalog.german', content)
            WHEN language OPERATOR(pg_catalog.=) 3 THEN pg_catalog.to_tsvector('pg_catalog.french', content)
            WHEN language OPERATOR(pg_catalog.=) 4 THEN pg_catalog.to_tsvector('pg_catalog.spanish', content)
            WHEN language OPERATOR(pg_catalog.=) 5 THEN pg_catalog.to_tsvector('pg_catalog.italian', content)
            WHEN language OPERATOR(pg_catalog.=) 6 THEN pg_catalog.to_tsvector('pg_catalog.portuguese', content)
            WHEN language OPERATOR(pg_catalog.=) 7 THEN pg_catalog.to_tsvector('pg_catalog.dutch', content)
            WHEN language OPERATOR(pg_catalog.=) 8 THEN pg_catalog.to_tsvector('pg_catalog.swedish', content)
            WHEN language OPERATOR(pg_catalog.=) 9 THEN pg_catalog.to_tsvector('pg_catalog.danish', content)
            WHEN language OPERATOR(pg_catalog.=) 10 THEN pg_catalog.to_tsvector('pg_catalog.norwegian', content)
            WHEN language OPERATOR(pg_catalog.=) 11 THEN pg_catalog.to_tsvector('pg_catalog.finnish', content)
            WHEN language OPERATOR(pg_catalog.=) 12 THEN pg_catalog.to_tsvector('pg_catalog.russian', content)
            ELSE pg_catalog.to_tsvector('pg_catalog.simple', content)
        END
    $tsv$;
    COMMENT ON FUNCTION vectorstore.document_tsv(smallint, text) IS 'Lexemes of a text in the language with this code.';

    -- A chunk of text with its vector: the row that search returns.
    CREATE TABLE vectorstore.embeddings (
        store_id bigint NOT NULL,
        chunk_id bigint GENERATED ALWAYS AS IDENTITY,
        tenant_id bigint NOT NULL,
        id text COLLATE "C" NOT NULL,
        file_id text COLLATE "C",
        chunk_index integer NOT NULL DEFAULT 0,
        language smallint NOT NULL,
        version integer NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        embedding @extschema:vector@.vector NOT NULL,
        metadata jsonb NOT NULL DEFAULT '{}',
        filename text,
        content text NOT NULL CHECK (octet_length(content) <= 262144),
        tsv tsvector GENERATED ALWAYS AS (vectorstore.document_tsv(language, content)) STORED
    );
    -- Vectors and lexemes stay in the row, so that scoring reads one page; content goes out of line first.
    ALTER TABLE vectorstore.embeddings
        ALTER COLUMN embedding SET STORAGE MAIN,
        ALTER COLUMN tsv SET STORAGE MAIN;
    ALTER TABLE vectorstore.embeddings ADD PRIMARY KEY (store_id, chunk_id);
    ALTER TABLE vectorstore.embeddings ADD CONSTRAINT embeddings_id UNIQUE (store_id, id);
    CREATE INDEX embeddings_file ON vectorstore.embeddings (store_id, file_id, chunk_index) WHERE file_id IS NOT NULL;
    CREATE INDEX embeddings_tsv ON vectorstore.embeddings USING gin (tsv);

    CREATE FUNCTION vectorstore.count_embeddings() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $count$
    DECLARE
        change record;
        direction integer := CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END;
    BEGIN
        -- The transition table is read by a statement of its own, and stores are locked in the order of their
        -- numbers, so that two writers cannot wait for each other.
        FOR change IN
            SELECT c.store_id, count(*) AS chunks, sum(vectorstore._tsv_length(c.tsv)) AS tokens,
                   sum(octet_length(c.content) + 4 * @extschema:vector@.vector_dims(c.embedding)) AS bytes
            FROM changed c GROUP BY c.store_id ORDER BY c.store_id
        LOOP
            UPDATE vectorstore.store_counters s
            SET chunks = s.chunks + direction * change.chunks,
                tokens = s.tokens + direction * change.tokens,
                usage_bytes = s.usage_bytes + direction * change.bytes
            WHERE s.store_id = change.store_id;
        END LOOP;
        RETURN NULL;
    END
    $count$;

    CREATE FUNCTION vectorstore.recount_embeddings() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $recount$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT c.store_id, sum(c.sign * vectorstore._tsv_length(c.tsv)) AS tokens,
                   sum(c.sign * (octet_length(c.content) + 4 * @extschema:vector@.vector_dims(c.embedding))) AS bytes
            FROM (SELECT 1 AS sign, n.store_id, n.tsv, n.content, n.embedding FROM new_rows n
                  UNION ALL SELECT -1, o.store_id, o.tsv, o.content, o.embedding FROM old_rows o) c
            GROUP BY c.store_id ORDER BY c.store_id
        LOOP
            IF change.tokens <> 0 OR change.bytes <> 0 THEN
                UPDATE vectorstore.store_counters s
                SET tokens = s.tokens + change.tokens, usage_bytes = s.usage_bytes + change.bytes
                WHERE s.store_id = change.store_id;
            END IF;
        END LOOP;
        RETURN NULL;
    END
    $recount$;

    CREATE FUNCTION vectorstore.count_store_files() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $files$
    DECLARE
        old_status text := CASE WHEN TG_OP <> 'INSERT' THEN OLD.status END;
        new_status text := CASE WHEN TG_OP <> 'DELETE' THEN NEW.status END;
        store bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.store_id ELSE NEW.store_id END;
    BEGIN
        IF old_status IS NOT DISTINCT FROM new_status THEN
            RETURN NULL;
        END IF;
        UPDATE vectorstore.store_counters s SET
            files_in_progress = s.files_in_progress + coalesce(new_status = 'in_progress', false)::int - coalesce(old_status = 'in_progress', false)::int,
            files_completed = s.files_completed + coalesce(new_status = 'completed', false)::int - coalesce(old_status = 'completed', false)::int,
            files_failed = s.files_failed + coalesce(new_status = 'failed', false)::int - coalesce(old_status = 'failed', false)::int,
            files_cancelled = s.files_cancelled + coalesce(new_status = 'cancelled', false)::int - coalesce(old_status = 'cancelled', false)::int
        WHERE s.store_id = store;
        RETURN NULL;
    END
    $files$;
    COMMENT ON FUNCTION vectorstore.count_embeddings() IS 'Keeps store_counters when chunks come or go.';
    COMMENT ON FUNCTION vectorstore.recount_embeddings() IS 'Keeps store_counters when chunks change.';
    COMMENT ON FUNCTION vectorstore.count_store_files() IS 'Keeps the file counts of store_counters.';

    CREATE TRIGGER embeddings_inserted AFTER INSERT ON vectorstore.embeddings
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_embeddings();
    CREATE TRIGGER embeddings_deleted AFTER DELETE ON vectorstore.embeddings
        REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_embeddings();
    CREATE TRIGGER embeddings_updated AFTER UPDATE ON vectorstore.embeddings
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.recount_embeddings();
    CREATE TRIGGER store_files_counted AFTER INSERT OR UPDATE OF status OR DELETE ON vectorstore.store_files
        FOR EACH ROW EXECUTE FUNCTION vectorstore.count_store_files();

    ALTER TABLE vectorstore.stores ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants;
    ALTER TABLE vectorstore.files ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants;
    ALTER TABLE vectorstore.file_parts ADD FOREIGN KEY (tenant_id, file_id) REFERENCES vectorstore.files ON DELETE CASCADE;
    ALTER TABLE vectorstore.store_counters ADD FOREIGN KEY (store_id) REFERENCES vectorstore.stores ON DELETE CASCADE;
    ALTER TABLE vectorstore.store_files ADD FOREIGN KEY (store_id) REFERENCES vectorstore.stores ON DELETE CASCADE;
    ALTER TABLE vectorstore.file_batches ADD FOREIGN KEY (store_id) REFERENCES vectorstore.stores ON DELETE CASCADE;
    ALTER TABLE vectorstore.store_files ADD FOREIGN KEY (store_id, batch_id) REFERENCES vectorstore.file_batches;
    ALTER TABLE vectorstore.embeddings ADD FOREIGN KEY (store_id) REFERENCES vectorstore.stores ON DELETE CASCADE;
    ALTER TABLE vectorstore.embeddings ADD FOREIGN KEY (store_id, file_id) REFERENCES vectorstore.store_files ON DELETE CASCADE;

    -- A second wall: the functions carry the tenant themselves and belong to the owner, whom policies do not
    -- bind. Anybody else who is ever granted a table sees no row of it.
    ALTER TABLE vectorstore.tenants ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.api_keys ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.stores ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.store_counters ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.files ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.file_parts ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.store_files ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.file_batches ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.embeddings ENABLE ROW LEVEL SECURITY;

    REVOKE ALL ON FUNCTION vectorstore.document_tsv(smallint, text), vectorstore.count_embeddings(),
        vectorstore.recount_embeddings(), vectorstore.count_store_files() FROM PUBLIC;

    COMMENT ON TABLE vectorstore.schema_migrations IS 'Migration steps that ran.';
    COMMENT ON TABLE vectorstore.tenants IS 'Organisations. A fresh install has one, default.';
    COMMENT ON TABLE vectorstore.api_keys IS 'Keys of the HTTP API, as SHA-256.';
    COMMENT ON TABLE vectorstore.stores IS 'Vector stores.';
    COMMENT ON TABLE vectorstore.store_counters IS 'Chunks, tokens, bytes and files of each store, kept by triggers.';
    COMMENT ON TABLE vectorstore.files IS 'Uploaded files; their bytes are in file_parts.';
    COMMENT ON TABLE vectorstore.file_parts IS 'Bytes of files, in order of part.';
    COMMENT ON TABLE vectorstore.store_files IS 'Files attached to stores.';
    COMMENT ON TABLE vectorstore.file_batches IS 'Batches of files attached to stores.';
    COMMENT ON TABLE vectorstore.embeddings IS 'Chunks of text with their vectors, lexemes and metadata.';

    INSERT INTO vectorstore.tenants (id, name) VALUES ('default', 'Default');
    INSERT INTO vectorstore.schema_migrations (version) VALUES (1);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0001() IS 'Migration step 1: the tables of version 0.1.0.';


-- ---- schema/migrate_0002_languages.sql
-- Step 2, the languages: more codes for document_tsv(), and the languages of stores that detect them.

CREATE OR REPLACE FUNCTION vectorstore._migrate_0002_languages() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- Codes 0 to 12 mean what they meant, so no row is written anew. Chinese, Japanese and Korean have no
    -- spaces to split at: their characters are made words before the parser sees them.
    -- By EXECUTE because pgspot refuses OR REPLACE, which could take over a stranger's function. Step 1 made this
    -- one as the same role, and only its owner may replace it.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.document_tsv(language smallint, content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $tsv$
        SELECT CASE
            WHEN language OPERATOR(pg_catalog.=) 1 THEN pg_catalog.to_tsvector('pg_catalog.english', content)
            WHEN language OPERATOR(pg_catalog.=) 2 THEN pg_catalog.to_tsvector('pg_catalog.german', content)
            WHEN language OPERATOR(pg_catalog.=) 3 THEN pg_catalog.to_tsvector('pg_catalog.french', content)
            WHEN language OPERATOR(pg_catalog.=) 4 THEN pg_catalog.to_tsvector('pg_catalog.spanish', content)
            WHEN language OPERATOR(pg_catalog.=) 5 THEN pg_catalog.to_tsvector('pg_catalog.italian', content)
            WHEN language OPERATOR(pg_catalog.=) 6 THEN pg_catalog.to_tsvector('pg_catalog.portuguese', content)
            WHEN language OPERATOR(pg_catalog.=) 7 THEN pg_catalog.to_tsvector('pg_catalog.dutch', content)
            WHEN language OPERATOR(pg_catalog.=) 8 THEN pg_catalog.to_tsvector('pg_catalog.swedish', content)
            WHEN language OPERATOR(pg_catalog.=) 9 THEN pg_catalog.to_tsvector('pg_catalog.danish', content)
            WHEN language OPERATOR(pg_catalog.=) 10 THEN pg_catalog.to_tsvector('pg_catalog.norwegian', content)
            WHEN language OPERATOR(pg_catalog.=) 11 THEN pg_catalog.to_tsvector('pg_catalog.finnish', content)
            WHEN language OPERATOR(pg_catalog.=) 12 THEN pg_catalog.to_tsvector('pg_catalog.russian', content)
            WHEN language OPERATOR(pg_catalog.=) 13 THEN pg_catalog.to_tsvector('pg_catalog.romanian', content)
            WHEN language OPERATOR(pg_catalog.=) 14 THEN pg_catalog.to_tsvector('pg_catalog.hungarian', content)
            WHEN language OPERATOR(pg_catalog.=) 15 THEN pg_catalog.to_tsvector('pg_catalog.turkish', content)
            WHEN language OPERATOR(pg_catalog.=) 16 THEN pg_catalog.to_tsvector('pg_catalog.greek', content)
            WHEN language OPERATOR(pg_catalog.=) 17 THEN pg_catalog.to_tsvector('pg_catalog.arabic', content)
            WHEN language OPERATOR(pg_catalog.=) 18 THEN pg_catalog.to_tsvector('pg_catalog.catalan', content)
            WHEN language OPERATOR(pg_catalog.=) 19 THEN pg_catalog.to_tsvector('pg_catalog.hindi', content)
            WHEN language OPERATOR(pg_catalog.=) 20 THEN pg_catalog.to_tsvector('pg_catalog.indonesian', content)
            WHEN language OPERATOR(pg_catalog.>=) 21 AND language OPERATOR(pg_catalog.<=) 23
                THEN pg_catalog.to_tsvector('pg_catalog.simple', vectorstore._bigrams(content))
            ELSE pg_catalog.to_tsvector('pg_catalog.simple', content)
        END
    $tsv$
    $replace$;

    ALTER TABLE vectorstore.stores ADD COLUMN languages smallint[] NOT NULL DEFAULT '{}';
    COMMENT ON COLUMN vectorstore.stores.languages IS 'Of a store that detects languages (language 127): codes that its chunks have had. Empty for others.';
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0002_languages() IS 'Part of migration step 2.';


-- ---- schema/migrate_0002.sql
-- Step 2: search segments. The rules of step 1 hold.
--
-- What a statement did to a store's chunks is noted in vectorstore.changes; merges turn notes into segments.
-- The triggers only gather: what follows from a change is decided by functions of the extension, which an
-- update of the extension replaces.
CREATE OR REPLACE FUNCTION vectorstore._migrate_0002() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    PERFORM vectorstore._migrate_0002_languages();

    -- One row a store that was ever merged, has HNSW or is watched; writers of chunks only read it.
    CREATE TABLE vectorstore.search_indexes (
        store_id bigint PRIMARY KEY,
        kind text NOT NULL DEFAULT 'segments' CHECK (kind IN ('segments', 'hnsw')),
        -- How many noted ids merges have consumed: store_counters.added less this many are waiting.
        packed bigint NOT NULL DEFAULT 0,
        merges bigint NOT NULL DEFAULT 0,
        merged_at timestamptz,
        -- What the recall watch found: k of the last sample, mean recall, samples, time of the last.
        recall_k integer,
        recall double precision,
        recall_samples bigint NOT NULL DEFAULT 0,
        recall_at timestamptz
    ) WITH (fillfactor = 70);

    CREATE TABLE vectorstore.segments (
        store_id bigint NOT NULL,
        segment_id bigint GENERATED ALWAYS AS IDENTITY,
        rows bigint NOT NULL,
        pages integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        header bytea NOT NULL,
        -- Slots whose chunks are gone, as little-endian words of 32 bits; NULL for none.
        deleted bytea
    );
    ALTER TABLE vectorstore.segments
        ALTER COLUMN header SET STORAGE PLAIN,
        ALTER COLUMN deleted SET STORAGE EXTERNAL;
    ALTER TABLE vectorstore.segments ADD PRIMARY KEY (store_id, segment_id);

    CREATE TABLE vectorstore.segment_pages (
        store_id bigint NOT NULL,
        segment_id bigint NOT NULL,
        page integer NOT NULL,
        data bytea NOT NULL
    ) WITH (
        -- Pages come and go by whole segments and nothing but a segment's own key finds them: dead ones are
        -- taken out early, so that the next segment fills their place.
        autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_insert_scale_factor = 0.2, autovacuum_analyze_scale_factor = 0.5
    );
    -- Read in place by tid: a page is a tuple, neither compressed nor out of line, and not worth a sample.
    ALTER TABLE vectorstore.segment_pages
        ALTER COLUMN data SET STORAGE PLAIN,
        ALTER COLUMN data SET STATISTICS 0;
    ALTER TABLE vectorstore.segment_pages ADD PRIMARY KEY (store_id, segment_id, page);

    -- Chunk ids that a statement added to or removed from a store, until a merge consumes the row.
    CREATE TABLE vectorstore.changes (
        store_id bigint NOT NULL,
        change_id bigint GENERATED ALWAYS AS IDENTITY,
        added bigint[] NOT NULL DEFAULT '{}',
        removed bigint[] NOT NULL DEFAULT '{}'
    ) WITH (
        -- A queue: every row dies soon, and readers pass over the dead ones.
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
    );
    ALTER TABLE vectorstore.changes
        ALTER COLUMN added SET STATISTICS 0,
        ALTER COLUMN removed SET STATISTICS 0;
    ALTER TABLE vectorstore.changes ADD PRIMARY KEY (store_id, change_id);

    -- Stores that are gone and whose rows still wait to be swept.
    CREATE TABLE vectorstore.dropped_stores (
        store_id bigint PRIMARY KEY,
        dropped_at timestamptz NOT NULL DEFAULT now()
    );

    CREATE TABLE vectorstore.secrets (
        name text COLLATE "C" PRIMARY KEY,
        value bytea NOT NULL
    );
    -- Three random ids hold 366 random bits.
    INSERT INTO vectorstore.secrets (name, value)
    VALUES ('cursor', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8')));

    ALTER TABLE vectorstore.store_counters ADD COLUMN added bigint NOT NULL DEFAULT 0;

    -- Segments and the tail answer keyword queries.
    DROP INDEX vectorstore.embeddings_tsv;

    -- A store is dropped by its own row; the rows that refer to it are swept later.
    ALTER TABLE vectorstore.embeddings DROP CONSTRAINT embeddings_store_id_fkey;
    ALTER TABLE vectorstore.store_files DROP CONSTRAINT store_files_store_id_fkey;
    ALTER TABLE vectorstore.file_batches DROP CONSTRAINT file_batches_store_id_fkey;

    DROP TRIGGER embeddings_inserted ON vectorstore.embeddings;
    DROP TRIGGER embeddings_deleted ON vectorstore.embeddings;
    DROP TRIGGER embeddings_updated ON vectorstore.embeddings;
    DROP FUNCTION vectorstore.count_embeddings();
    DROP FUNCTION vectorstore.recount_embeddings();
    DROP TRIGGER store_files_counted ON vectorstore.store_files;
    DROP FUNCTION vectorstore.count_store_files();

    -- In all of them the transition table is read by a statement of its own, and stores are locked in the order
    -- of their numbers, so that two writers cannot wait for each other.
    CREATE FUNCTION vectorstore.note_inserted() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $inserted$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT n.store_id, count(*) AS chunks, sum(vectorstore._tsv_length(n.tsv)) AS tokens,
                   sum(octet_length(n.content) + 4 * @extschema:vector@.vector_dims(n.embedding)) AS bytes,
                   array_agg(n.chunk_id ORDER BY n.chunk_id) AS added, array_agg(DISTINCT n.language) AS languages
            FROM new_rows n GROUP BY n.store_id ORDER BY n.store_id
        LOOP
            PERFORM vectorstore._note_change(change.store_id, change.chunks, change.tokens, change.bytes,
                                             change.added, '{}', change.languages);
        END LOOP;
        RETURN NULL;
    END
    $inserted$;

    CREATE FUNCTION vectorstore.note_deleted() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $deleted$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT o.store_id, count(*) AS chunks, sum(vectorstore._tsv_length(o.tsv)) AS tokens,
                   sum(octet_length(o.content) + 4 * @extschema:vector@.vector_dims(o.embedding)) AS bytes,
                   array_agg(o.chunk_id ORDER BY o.chunk_id) AS removed
            FROM old_rows o GROUP BY o.store_id ORDER BY o.store_id
        LOOP
            PERFORM vectorstore._note_change(change.store_id, -change.chunks, -change.tokens, -change.bytes,
                                             '{}', change.removed, '{}');
        END LOOP;
        RETURN NULL;
    END
    $deleted$;

    -- A row that kept its chunk_id did not change in anything that is counted or searched.
    CREATE FUNCTION vectorstore.note_updated() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $updated$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT coalesce(n.store_id, o.store_id) AS store_id, count(n.chunk_id) - count(o.chunk_id) AS chunks,
                   sum(coalesce(vectorstore._tsv_length(n.tsv), 0) - coalesce(vectorstore._tsv_length(o.tsv), 0)) AS tokens,
                   sum(coalesce(octet_length(n.content) + 4 * @extschema:vector@.vector_dims(n.embedding), 0)
                       - coalesce(octet_length(o.content) + 4 * @extschema:vector@.vector_dims(o.embedding), 0)) AS bytes,
                   coalesce(array_agg(n.chunk_id ORDER BY n.chunk_id) FILTER (WHERE n.chunk_id IS NOT NULL), '{}') AS added,
                   coalesce(array_agg(o.chunk_id ORDER BY o.chunk_id) FILTER (WHERE o.chunk_id IS NOT NULL), '{}') AS removed,
                   coalesce(array_agg(DISTINCT n.language) FILTER (WHERE n.chunk_id IS NOT NULL), '{}') AS languages
            FROM old_rows o FULL JOIN new_rows n ON n.store_id = o.store_id AND n.chunk_id = o.chunk_id
            WHERE o.chunk_id IS NULL OR n.chunk_id IS NULL
            GROUP BY 1 ORDER BY 1
        LOOP
            PERFORM vectorstore._note_change(change.store_id, change.chunks, change.tokens, change.bytes,
                                             change.added, change.removed, change.languages);
        END LOOP;
        RETURN NULL;
    END
    $updated$;

    -- A chunk_id names one version of a row: what segments say of it stays true for ever.
    CREATE FUNCTION vectorstore.renumber_chunk() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $renumber$
    BEGIN
        IF (NEW.store_id, NEW.id, NEW.file_id, NEW.filename, NEW.language, NEW.created_at, NEW.metadata, NEW.content)
           IS DISTINCT FROM (OLD.store_id, OLD.id, OLD.file_id, OLD.filename, OLD.language, OLD.created_at, OLD.metadata, OLD.content)
           OR NEW.embedding OPERATOR(@extschema:vector@.<>) OLD.embedding THEN
            NEW.chunk_id := nextval('vectorstore.embeddings_chunk_id_seq');
        END IF;
        RETURN NEW;
    END
    $renumber$;

    CREATE FUNCTION vectorstore.clear_segments() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $clear$
    BEGIN
        TRUNCATE vectorstore.segments, vectorstore.segment_pages, vectorstore.changes;
        PERFORM vectorstore._clear_hnsw();
        UPDATE vectorstore.store_counters SET chunks = 0, tokens = 0, usage_bytes = 0;
        UPDATE vectorstore.search_indexes i SET packed = c.added
        FROM vectorstore.store_counters c WHERE c.store_id = i.store_id;
        RETURN NULL;
    END
    $clear$;

    -- Whoever adds a file to a store waits for a concurrent drop of it, and then learns of it.
    CREATE FUNCTION vectorstore.count_store_files() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $files$
    DECLARE
        old_status text := CASE WHEN TG_OP <> 'INSERT' THEN OLD.status END;
        new_status text := CASE WHEN TG_OP <> 'DELETE' THEN NEW.status END;
        store bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.store_id ELSE NEW.store_id END;
    BEGIN
        IF old_status IS NOT DISTINCT FROM new_status THEN
            RETURN NULL;
        END IF;
        UPDATE vectorstore.store_counters s SET
            files_in_progress = s.files_in_progress + coalesce(new_status = 'in_progress', false)::int - coalesce(old_status = 'in_progress', false)::int,
            files_completed = s.files_completed + coalesce(new_status = 'completed', false)::int - coalesce(old_status = 'completed', false)::int,
            files_failed = s.files_failed + coalesce(new_status = 'failed', false)::int - coalesce(old_status = 'failed', false)::int,
            files_cancelled = s.files_cancelled + coalesce(new_status = 'cancelled', false)::int - coalesce(old_status = 'cancelled', false)::int
        WHERE s.store_id = store;
        IF NOT FOUND AND TG_OP = 'INSERT' THEN
            PERFORM vectorstore._fail_dropped();
        END IF;
        RETURN NULL;
    END
    $files$;

    CREATE FUNCTION vectorstore.require_store() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $require$
    BEGIN
        PERFORM FROM vectorstore.store_counters s WHERE s.store_id = NEW.store_id FOR KEY SHARE;
        IF NOT FOUND THEN
            PERFORM vectorstore._fail_dropped();
        END IF;
        RETURN NULL;
    END
    $require$;

    CREATE FUNCTION vectorstore.note_dropped_stores() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $dropped$
    BEGIN
        INSERT INTO vectorstore.dropped_stores (store_id) SELECT o.store_id FROM old_rows o;
        IF FOUND THEN
            PERFORM vectorstore._want_merge(0);
        END IF;
        RETURN NULL;
    END
    $dropped$;

    COMMENT ON FUNCTION vectorstore.note_inserted() IS 'Notes which chunks came, and counts them.';
    COMMENT ON FUNCTION vectorstore.note_deleted() IS 'Notes which chunks went, and counts them.';
    COMMENT ON FUNCTION vectorstore.note_updated() IS 'Notes which chunks changed, and counts the difference.';
    COMMENT ON FUNCTION vectorstore.renumber_chunk() IS 'Gives a chunk whose content changes a new chunk_id.';
    COMMENT ON FUNCTION vectorstore.clear_segments() IS 'Empties what was made from the chunks when their table is truncated.';
    COMMENT ON FUNCTION vectorstore.count_store_files() IS 'Keeps the file counts of store_counters.';
    COMMENT ON FUNCTION vectorstore.require_store() IS 'Refuses a row of a store that does not exist.';
    COMMENT ON FUNCTION vectorstore.note_dropped_stores() IS 'Leaves the rows of dropped stores to the sweep.';

    -- What is there is the first tail.
    INSERT INTO vectorstore.changes (store_id, added)
    SELECT e.store_id, array_agg(e.chunk_id ORDER BY e.chunk_id) FROM vectorstore.embeddings e GROUP BY e.store_id;
    UPDATE vectorstore.store_counters s SET added = cardinality(c.added)
    FROM vectorstore.changes c WHERE c.store_id = s.store_id;

    CREATE TRIGGER embeddings_renumbered BEFORE UPDATE ON vectorstore.embeddings
        FOR EACH ROW EXECUTE FUNCTION vectorstore.renumber_chunk();
    CREATE TRIGGER embeddings_inserted AFTER INSERT ON vectorstore.embeddings
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.note_inserted();
    CREATE TRIGGER embeddings_deleted AFTER DELETE ON vectorstore.embeddings
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.note_deleted();
    CREATE TRIGGER embeddings_updated AFTER UPDATE ON vectorstore.embeddings
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.note_updated();
    CREATE TRIGGER embeddings_truncated AFTER TRUNCATE ON vectorstore.embeddings
        FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.clear_segments();
    CREATE TRIGGER store_files_counted AFTER INSERT OR UPDATE OF status OR DELETE ON vectorstore.store_files
        FOR EACH ROW EXECUTE FUNCTION vectorstore.count_store_files();
    CREATE TRIGGER file_batches_checked AFTER INSERT ON vectorstore.file_batches
        FOR EACH ROW EXECUTE FUNCTION vectorstore.require_store();
    CREATE TRIGGER stores_dropped AFTER DELETE ON vectorstore.stores
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.note_dropped_stores();

    ALTER TABLE vectorstore.search_indexes ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.segments ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.segment_pages ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.changes ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.dropped_stores ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.secrets ENABLE ROW LEVEL SECURITY;

    REVOKE ALL ON FUNCTION vectorstore.note_inserted(), vectorstore.note_deleted(), vectorstore.note_updated(),
        vectorstore.renumber_chunk(), vectorstore.clear_segments(), vectorstore.count_store_files(),
        vectorstore.require_store(), vectorstore.note_dropped_stores() FROM PUBLIC;

    COMMENT ON TABLE vectorstore.search_indexes IS 'How each store is searched, and what merges have done to it.';
    COMMENT ON TABLE vectorstore.segments IS 'Segments: immutable search structures over a part of a store''s chunks.';
    COMMENT ON TABLE vectorstore.segment_pages IS 'Pages of the segments.';
    COMMENT ON TABLE vectorstore.changes IS 'Chunk ids that came and went since the last merge, a row a statement and store.';
    COMMENT ON TABLE vectorstore.dropped_stores IS 'Dropped stores whose rows are not swept yet.';
    COMMENT ON TABLE vectorstore.secrets IS 'Keys by which this database signs what it hands out. Granted to nobody.';
    COMMENT ON COLUMN vectorstore.store_counters.added IS 'Chunk ids ever written to changes, coming and going; never falls.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (2);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0002() IS 'Migration step 2: search segments, and stores that are dropped in no time.';


-- ---- schema/migrate_0003.sql
-- Step 3: files of stores are read by jobs, which survive whoever works on them; batches of files; expiry. The rules
-- of step 1 hold.
CREATE OR REPLACE FUNCTION vectorstore._migrate_0003() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- One row for each file of a store that is in progress; gone when the file reaches another status.
    CREATE TABLE vectorstore.ingest_jobs (
        store_id bigint NOT NULL,
        tenant_id bigint NOT NULL,
        id text COLLATE "C" NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        -- From when on somebody may take the job: while it is leased, when the lease ends. So one index finds new
        -- jobs, those to be tried again, and those whose worker died.
        run_at timestamptz NOT NULL DEFAULT now(),
        -- Who shows it may finish the job; NULL when nobody works on it.
        lease text COLLATE "C",
        worker text,
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (
        -- A queue: every row dies soon, and readers pass over the dead ones.
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
    );
    ALTER TABLE vectorstore.ingest_jobs ADD PRIMARY KEY (store_id, id);
    -- Workers take from all stores: the one look-up that does not know the store. Jobs in their last attempt stand
    -- apart: nobody takes them again, but somebody must see that it ended.
    CREATE INDEX ingest_jobs_run ON vectorstore.ingest_jobs (run_at) WHERE attempts < 3;
    CREATE INDEX ingest_jobs_last ON vectorstore.ingest_jobs (run_at) WHERE attempts >= 3;

    -- A batch is completed when none of its files is in progress: that is read from the files, so that the two can
    -- never disagree. Only a cancellation is an event of its own.
    ALTER TABLE vectorstore.file_batches DROP COLUMN status, ADD COLUMN cancelled_at timestamptz;
    CREATE INDEX store_files_batch ON vectorstore.store_files (store_id, batch_id, created_at, id) WHERE batch_id IS NOT NULL;

    CREATE INDEX files_expiring ON vectorstore.files (expires_at) WHERE expires_at IS NOT NULL;
    -- Once set, the store can neither be filled nor come back, so that its rows can be deleted bit by bit.
    ALTER TABLE vectorstore.stores ADD COLUMN expired_at timestamptz;
    CREATE INDEX stores_expiring ON vectorstore.stores (store_id) WHERE expires_after_days IS NOT NULL;

    -- Files are counted once a statement: a batch brings two thousand of them.
    DROP TRIGGER store_files_counted ON vectorstore.store_files;
    DROP FUNCTION vectorstore.count_store_files();

    CREATE FUNCTION vectorstore.count_store_files() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $files$
    DECLARE
        change record;
    BEGIN
        -- Stores are locked in the order of their numbers, so that two writers cannot wait for each other.
        IF TG_OP = 'INSERT' THEN
            FOR change IN SELECT n.store_id, array_agg(n.status) AS come FROM new_rows n GROUP BY n.store_id ORDER BY n.store_id LOOP
                PERFORM vectorstore._count_files(change.store_id, '{}', change.come);
            END LOOP;
        ELSIF TG_OP = 'DELETE' THEN
            FOR change IN SELECT o.store_id, array_agg(o.status) AS gone FROM old_rows o GROUP BY o.store_id ORDER BY o.store_id LOOP
                PERFORM vectorstore._count_files(change.store_id, change.gone, '{}');
            END LOOP;
        ELSE
            FOR change IN
                SELECT n.store_id, array_agg(o.status) AS gone, array_agg(n.status) AS come
                FROM old_rows o JOIN new_rows n ON n.store_id = o.store_id AND n.id = o.id
                WHERE n.status <> o.status GROUP BY n.store_id ORDER BY n.store_id
            LOOP
                PERFORM vectorstore._count_files(change.store_id, change.gone, change.come);
            END LOOP;
        END IF;
        RETURN NULL;
    END
    $files$;
    COMMENT ON FUNCTION vectorstore.count_store_files() IS 'Keeps the file counts of store_counters.';

    CREATE TRIGGER store_files_inserted AFTER INSERT ON vectorstore.store_files
        REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_store_files();
    CREATE TRIGGER store_files_updated AFTER UPDATE ON vectorstore.store_files
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_store_files();
    CREATE TRIGGER store_files_deleted AFTER DELETE ON vectorstore.store_files
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_store_files();

    ALTER TABLE vectorstore.ingest_jobs ADD FOREIGN KEY (store_id, id) REFERENCES vectorstore.store_files ON DELETE CASCADE;
    ALTER TABLE vectorstore.ingest_jobs ENABLE ROW LEVEL SECURITY;

    REVOKE ALL ON FUNCTION vectorstore.count_store_files() FROM PUBLIC;

    COMMENT ON TABLE vectorstore.ingest_jobs IS 'Files of stores that are to be read: one row for each that is in progress.';
    COMMENT ON COLUMN vectorstore.stores.expired_at IS 'When the store was found to have expired; its files and chunks go.';
    COMMENT ON COLUMN vectorstore.file_batches.cancelled_at IS 'When the batch was cancelled; its other states follow from its files.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (3);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0003() IS 'Migration step 3: jobs that read files, batches of files, expiry.';


-- ---- schema/migrate_0004.sql
-- Step 4: uploads in parts, and the answers kept for Idempotency-Key. The rules of step 1 hold.
--
-- A part of an upload is a file that no list shows: files.upload_id says whose part it is. Completing an upload
-- only renumbers rows of file_parts; the bytes, which are stored out of line, are not written again.
CREATE OR REPLACE FUNCTION vectorstore._migrate_0004() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    CREATE TABLE vectorstore.uploads (
        tenant_id bigint NOT NULL,
        upload_id bigint GENERATED ALWAYS AS IDENTITY,
        id text COLLATE "C" NOT NULL,
        filename text NOT NULL,
        purpose text NOT NULL,
        mime_type text NOT NULL,
        bytes bigint NOT NULL CHECK (bytes >= 0),
        -- Of the file, counted from the moment it is made.
        file_expires_seconds integer,
        status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'cancelled', 'expired')),
        -- The file that was made of it; it may have been deleted since.
        file_id bigint,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
        PRIMARY KEY (tenant_id, upload_id)
    );
    -- For the sweep, which knows no tenant.
    CREATE INDEX uploads_expires ON vectorstore.uploads (expires_at);

    ALTER TABLE vectorstore.files ADD COLUMN upload_id bigint;
    CREATE INDEX files_upload ON vectorstore.files (tenant_id, upload_id, file_id) WHERE upload_id IS NOT NULL;

    CREATE TABLE vectorstore.idempotency_keys (
        tenant_id bigint NOT NULL,
        -- SHA-256 of the API key: another key's names are not ours.
        key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
        name text COLLATE "C" NOT NULL,
        -- SHA-256 of the request; unknown while a streamed one is still coming.
        digest bytea,
        -- Who is at it, and until when that is believed without a sign of life.
        lease bytea NOT NULL,
        lease_until timestamptz,
        -- The answer, as soon as there is an effect.
        status smallint,
        content_type text,
        body bytea,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, key_hash, name)
    );
    CREATE INDEX idempotency_keys_created ON vectorstore.idempotency_keys (created_at);

    ALTER TABLE vectorstore.uploads ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants;
    ALTER TABLE vectorstore.files ADD FOREIGN KEY (tenant_id, upload_id) REFERENCES vectorstore.uploads;
    ALTER TABLE vectorstore.idempotency_keys ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants;

    ALTER TABLE vectorstore.uploads ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.idempotency_keys ENABLE ROW LEVEL SECURITY;

    COMMENT ON TABLE vectorstore.uploads IS 'Uploads in parts; each part is a row of files until the upload becomes a file.';
    COMMENT ON COLUMN vectorstore.files.upload_id IS 'The upload that this is a part of; NULL for a file.';
    COMMENT ON TABLE vectorstore.idempotency_keys IS 'Requests with an Idempotency-Key, and their answers, for 24 hours.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (4);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0004() IS 'Migration step 4: uploads and idempotency keys.';


-- ---- schema/migrate_0005.sql
-- Step 5: the embedding cache. The rules of step 1 hold.
CREATE OR REPLACE FUNCTION vectorstore._migrate_0005() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- The one table whose key begins with neither store nor tenant: a vector is a function of model and text, and
    -- every tenant's text has the same.
    CREATE TABLE vectorstore.embedding_cache (
        model text COLLATE "C" NOT NULL,
        revision text COLLATE "C" NOT NULL,
        dimensions integer NOT NULL,
        -- SHA-256 of the text.
        input_hash bytea NOT NULL CHECK (octet_length(input_hash) = 32),
        embedding @extschema:vector@.vector NOT NULL,
        hits bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        used_at timestamptz NOT NULL DEFAULT now()
    ) WITH (
        -- Room for counters to change in place.
        fillfactor = 90
    );
    ALTER TABLE vectorstore.embedding_cache
        ALTER COLUMN embedding SET STORAGE EXTERNAL,
        ALTER COLUMN embedding SET STATISTICS 0;
    ALTER TABLE vectorstore.embedding_cache ADD PRIMARY KEY (model, revision, dimensions, input_hash);
    ALTER TABLE vectorstore.embedding_cache ENABLE ROW LEVEL SECURITY;

    COMMENT ON TABLE vectorstore.embedding_cache IS
        'Vectors that embedding providers have computed, shared by all tenants: a row holds no text and names no tenant. Granted to nobody; only the proxy reads it, by the hash of a text that it has.';
    COMMENT ON COLUMN vectorstore.embedding_cache.revision IS 'As configured; another one whenever the model gives other vectors.';
    COMMENT ON COLUMN vectorstore.embedding_cache.input_hash IS 'SHA-256 of the text.';
    COMMENT ON COLUMN vectorstore.embedding_cache.hits IS 'How often the vector was used again; proxies write it every few seconds.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (5);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0005() IS 'Migration step 5: the embedding cache.';


-- ---- schema/migrate_0006.sql
-- Step 6: the text of a chunk stays in its row where that fits a page, and what merges leave is vacuumed soon.
--
-- An answer is read row by row, and a text out of line costs an index scan and two more pages each (measured: 0.1 ms of
-- an answer of 10 rows, a sixth of a hybrid search of 60,000). Rows that are there already stay as they are until they
-- are written again; both forms read the same.

CREATE OR REPLACE FUNCTION vectorstore._migrate_0006() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    ALTER TABLE vectorstore.embeddings SET (toast_tuple_target = 8160);
    -- A merge leaves whole segments behind, whose space the next ones can take.
    ALTER TABLE vectorstore.segment_pages SET (
        autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
    ALTER TABLE vectorstore.changes SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
    INSERT INTO vectorstore.schema_migrations (version) VALUES (6);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0006() IS 'Migration step 6: texts of chunks in line, and how soon search tables are vacuumed.';


-- ---- schema/migrate_0007.sql
-- Step 7: tenants, and what their keys and roles may do. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0007() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
DECLARE
    target text;
BEGIN
    ALTER TABLE vectorstore.tenants ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

    -- Keys of before could do everything in their tenant.
    ALTER TABLE vectorstore.api_keys
        ADD COLUMN key bigint GENERATED ALWAYS AS IDENTITY,
        ADD COLUMN role text NOT NULL DEFAULT 'admin' CHECK (role IN ('read', 'write', 'admin', 'operator')),
        -- Numbers of the stores that the key is narrowed to; NULL for all.
        ADD COLUMN stores bigint[],
        ADD COLUMN allowed_ips cidr[],
        -- What chunks and files must pass to be read; such a key reads only.
        ADD COLUMN filter jsonb CHECK (filter IS NULL OR role = 'read'),
        -- The key that this one takes the place of.
        ADD COLUMN rotated_from bigint,
        -- The first of those that took each other's place, whose number what they made bears; NULL for the first itself.
        ADD COLUMN origin bigint,
        ADD COLUMN last_used_at timestamptz,
        ADD CONSTRAINT api_keys_key UNIQUE (key);

    ALTER TABLE vectorstore.files ADD COLUMN created_by bigint NOT NULL DEFAULT 0;
    ALTER TABLE vectorstore.uploads ADD COLUMN created_by bigint NOT NULL DEFAULT 0;

    CREATE TABLE vectorstore.tenant_roles (
        tenant_id bigint NOT NULL,
        role text COLLATE "C" NOT NULL,
        access text NOT NULL CHECK (access IN ('read', 'write', 'admin')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, role)
    );
    CREATE UNIQUE INDEX tenant_roles_role ON vectorstore.tenant_roles (role, tenant_id);

    CREATE TABLE vectorstore.audit_log (
        tenant_id bigint NOT NULL,
        audit_id bigint GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        -- key_... or a database role.
        actor text NOT NULL,
        action text NOT NULL,
        object text NOT NULL,
        detail jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, audit_id)
    );

    -- For policies: whose rows a role sees that was granted a table. No member of the extension, so that dropping that
    -- takes no policy.
    CREATE FUNCTION vectorstore.current_tenant() RETURNS bigint
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $tenant$
    DECLARE
        tenant bigint;
    BEGIN
        EXECUTE 'SELECT vectorstore._current_tenant()' INTO tenant;
        RETURN tenant;
    EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value OR undefined_function THEN
        RETURN NULL;
    END
    $tenant$;
    COMMENT ON FUNCTION vectorstore.current_tenant() IS 'Number of the tenant of the SQL user, or NULL: for row-level security.';
    REVOKE ALL ON FUNCTION vectorstore.current_tenant() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION vectorstore.current_tenant() TO vectorstore_user;

    FOREACH target IN ARRAY ARRAY['tenants', 'api_keys', 'stores', 'store_counters', 'files', 'file_parts', 'store_files',
                                  'file_batches', 'embeddings', 'uploads', 'idempotency_keys', 'ingest_jobs', 'tenant_roles', 'audit_log'] LOOP
        EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY tenant ON vectorstore.%I USING (tenant_id = (SELECT vectorstore.current_tenant()))', target);
    END LOOP;

    ALTER TABLE vectorstore.tenant_roles ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants ON DELETE CASCADE;

    COMMENT ON TABLE vectorstore.tenant_roles IS 'Database roles and the tenants that they work for.';
    COMMENT ON TABLE vectorstore.audit_log IS 'Administrative acts. Rows of a tenant stay when it is deleted.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (7);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0007() IS 'Migration step 7: tenants, and what their keys and roles may do.';


-- ---- schema/migrate_0008.sql
-- Step 8: usage and its statistics, and rate limits. The rules of step 1 hold; tenant 0 is nobody's: calls without a valid
-- key. Nothing here refers to tenants and stores by a constraint: what was counted of them may come later than they go.
CREATE FUNCTION vectorstore._migrate_0008() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
DECLARE
    target text;
BEGIN
    CREATE TABLE vectorstore.usage_logs (
        tenant_id bigint NOT NULL,
        logged_at timestamptz NOT NULL,
        log_id bigint GENERATED ALWAYS AS IDENTITY,
        store_id bigint NOT NULL,
        api_key bigint NOT NULL,
        operation text COLLATE "C" NOT NULL,
        calls bigint NOT NULL,
        errors bigint NOT NULL,
        limited bigint NOT NULL,
        would_limit bigint NOT NULL,
        rows bigint NOT NULL,
        tokens bigint NOT NULL,
        microseconds bigint NOT NULL,
        created bigint NOT NULL,
        deleted bigint NOT NULL,
        bytes bigint NOT NULL,
        buckets bigint[] NOT NULL,
        PRIMARY KEY (tenant_id, logged_at, log_id)
    ) PARTITION BY RANGE (logged_at);
    CREATE INDEX usage_logs_store ON vectorstore.usage_logs (store_id, logged_at);

    CREATE TABLE vectorstore.usage_rollups (
        tenant_id bigint NOT NULL,
        -- minute, hour or day
        step text COLLATE "C" NOT NULL,
        began_at timestamptz NOT NULL,
        store_id bigint NOT NULL,
        api_key bigint NOT NULL,
        operation text COLLATE "C" NOT NULL,
        calls bigint NOT NULL,
        errors bigint NOT NULL,
        limited bigint NOT NULL,
        would_limit bigint NOT NULL,
        rows bigint NOT NULL,
        tokens bigint NOT NULL,
        microseconds bigint NOT NULL,
        created bigint NOT NULL,
        deleted bigint NOT NULL,
        bytes bigint NOT NULL,
        buckets bigint[] NOT NULL,
        PRIMARY KEY (tenant_id, step, began_at, store_id, api_key, operation)
    ) WITH (fillfactor = 70);
    CREATE INDEX usage_rollups_store ON vectorstore.usage_rollups (store_id, step, began_at);

    CREATE TABLE vectorstore.usage_totals (
        tenant_id bigint NOT NULL,
        store_id bigint NOT NULL,
        api_key bigint NOT NULL,
        operation text COLLATE "C" NOT NULL,
        calls bigint NOT NULL,
        errors bigint NOT NULL,
        limited bigint NOT NULL,
        would_limit bigint NOT NULL,
        rows bigint NOT NULL,
        tokens bigint NOT NULL,
        microseconds bigint NOT NULL,
        created bigint NOT NULL,
        deleted bigint NOT NULL,
        bytes bigint NOT NULL,
        buckets bigint[] NOT NULL,
        since timestamptz NOT NULL,
        used_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, store_id, api_key, operation)
    ) WITH (fillfactor = 70);

    CREATE TABLE vectorstore.rate_limits (
        -- 0 for all tenants.
        tenant_id bigint NOT NULL,
        -- 0 for every key without a row of its own.
        api_key bigint NOT NULL,
        requests_per_second bigint CHECK (requests_per_second BETWEEN 1 AND 1000000),
        requests_burst bigint CHECK (requests_burst BETWEEN 1 AND 1000000),
        requests_per_minute bigint CHECK (requests_per_minute BETWEEN 1 AND 60000000),
        tokens_per_minute bigint CHECK (tokens_per_minute BETWEEN 1 AND 1000000000000),
        dry_run boolean NOT NULL DEFAULT false,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, api_key)
    );

    FOREACH target IN ARRAY ARRAY['usage_logs', 'usage_rollups', 'usage_totals', 'rate_limits'] LOOP
        EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY tenant ON vectorstore.%I USING (tenant_id = (SELECT vectorstore.current_tenant()))', target);
    END LOOP;

    COMMENT ON TABLE vectorstore.usage_logs IS 'What was called: a row a flush for each store, API key and operation. A partition a day (UTC), made ahead and dropped after vectorstore.usage_log_retention days.';
    COMMENT ON COLUMN vectorstore.usage_logs.logged_at IS 'When it was flushed: at most one flush interval after the calls.';
    COMMENT ON COLUMN vectorstore.usage_logs.store_id IS 'Number of the store; 0 for calls that are about none, or about none of the caller''s.';
    COMMENT ON COLUMN vectorstore.usage_logs.api_key IS 'Number of the API key; 0 for SQL users.';
    COMMENT ON COLUMN vectorstore.usage_logs.limited IS 'Calls that a rate limit refused; they are among the errors.';
    COMMENT ON COLUMN vectorstore.usage_logs.would_limit IS 'Calls that a rate limit would have refused, were it not a dry run.';
    COMMENT ON COLUMN vectorstore.usage_logs.rows IS 'Results of searches.';
    COMMENT ON COLUMN vectorstore.usage_logs.tokens IS 'Tokens that were embedded by the proxy.';
    COMMENT ON COLUMN vectorstore.usage_logs.buckets IS 'Histogram of times; see _bucket_bound. Empty buckets at the end are left out.';
    COMMENT ON TABLE vectorstore.usage_rollups IS 'The same added up by the minute, the hour and the day (UTC).';
    COMMENT ON TABLE vectorstore.usage_totals IS 'The same added up since vs_stat_reset().';
    COMMENT ON TABLE vectorstore.rate_limits IS 'Rate limits: of a key, else of its tenant, else of all. NULL limits nothing.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (8);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0008() IS 'Migration step 8: usage logs, statistics and rate limits.';


-- ---- schema/migrate_0009.sql
-- Step 9: quotas. The rules of step 1 hold.
--
-- The limits of a store stand in the row of its counters, which every writer of the store updates anyway. A tenant is
-- counted only while it has limits: its row is one that all writers of its stores wait for.
CREATE FUNCTION vectorstore._migrate_0009() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    ALTER TABLE vectorstore.store_counters
        ADD COLUMN max_chunks bigint CHECK (max_chunks >= 0),
        ADD COLUMN max_bytes bigint CHECK (max_bytes >= 0);

    CREATE TABLE vectorstore.tenant_quotas (
        tenant_id bigint PRIMARY KEY,
        max_stores bigint CHECK (max_stores >= 0),
        max_chunks bigint CHECK (max_chunks >= 0),
        max_bytes bigint CHECK (max_bytes >= 0),
        stores bigint NOT NULL DEFAULT 0,
        chunks bigint NOT NULL DEFAULT 0,
        usage_bytes bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);

    -- One row for each time that a limit was met; resolved when there is room again.
    CREATE TABLE vectorstore.quota_events (
        tenant_id bigint NOT NULL,
        event_id bigint GENERATED ALWAYS AS IDENTITY,
        -- 0: the quota of the whole tenant.
        store_id bigint NOT NULL,
        resource text NOT NULL CHECK (resource IN ('stores', 'chunks', 'bytes')),
        refused bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        resolved_at timestamptz,
        PRIMARY KEY (tenant_id, event_id)
    );
    CREATE UNIQUE INDEX quota_events_open ON vectorstore.quota_events (tenant_id, store_id, resource) WHERE resolved_at IS NULL;

    CREATE FUNCTION vectorstore.count_stores() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $count$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT r.tenant_id, count(*) AS stores, sum(r.chunks)::bigint AS chunks, sum(r.usage_bytes)::bigint AS bytes
            FROM rows r GROUP BY r.tenant_id ORDER BY r.tenant_id
        LOOP
            IF TG_OP = 'INSERT' THEN
                PERFORM vectorstore._count_tenant(change.tenant_id, change.stores, change.chunks, change.bytes);
            ELSE
                PERFORM vectorstore._count_tenant(change.tenant_id, -change.stores, -change.chunks, -change.bytes);
            END IF;
        END LOOP;
        RETURN NULL;
    END
    $count$;

    -- Whoever writes to a store holds its tenant before its counters; so must whoever deletes them.
    CREATE FUNCTION vectorstore.hold_tenant() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $hold$
    BEGIN
        PERFORM vectorstore._count_tenant(OLD.tenant_id, 0, 0, 0);
        RETURN OLD;
    END
    $hold$;

    CREATE FUNCTION vectorstore.clear_quotas() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $clear$
    BEGIN
        UPDATE vectorstore.tenant_quotas SET chunks = 0, usage_bytes = 0;
        UPDATE vectorstore.quota_events SET resolved_at = now() WHERE resolved_at IS NULL AND resource <> 'stores';
        RETURN NULL;
    END
    $clear$;

    CREATE TRIGGER store_counters_inserted AFTER INSERT ON vectorstore.store_counters
        REFERENCING NEW TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_stores();
    CREATE TRIGGER store_counters_deleted AFTER DELETE ON vectorstore.store_counters
        REFERENCING OLD TABLE AS rows FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.count_stores();
    CREATE TRIGGER store_counters_held BEFORE DELETE ON vectorstore.store_counters
        FOR EACH ROW EXECUTE FUNCTION vectorstore.hold_tenant();
    CREATE TRIGGER quotas_truncated AFTER TRUNCATE ON vectorstore.embeddings
        FOR EACH STATEMENT EXECUTE FUNCTION vectorstore.clear_quotas();

    ALTER TABLE vectorstore.tenant_quotas ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants ON DELETE CASCADE;
    ALTER TABLE vectorstore.quota_events ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants ON DELETE CASCADE;
    ALTER TABLE vectorstore.tenant_quotas ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.quota_events ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON FUNCTION vectorstore.count_stores(), vectorstore.hold_tenant(), vectorstore.clear_quotas() FROM PUBLIC;

    COMMENT ON TABLE vectorstore.tenant_quotas IS 'Limits of tenants that have any, and what counts against them, kept by triggers.';
    COMMENT ON TABLE vectorstore.quota_events IS 'Times at which a quota was met.';
    COMMENT ON COLUMN vectorstore.store_counters.max_chunks IS 'Most chunks that the store may hold; NULL for no limit.';
    COMMENT ON COLUMN vectorstore.store_counters.max_bytes IS 'Most bytes that the store may hold, counted as usage_bytes; NULL for no limit.';
    COMMENT ON FUNCTION vectorstore.count_stores() IS 'Keeps tenant_quotas when stores come or go.';
    COMMENT ON FUNCTION vectorstore.hold_tenant() IS 'Locks the counts of a tenant before those of a store of it.';
    COMMENT ON FUNCTION vectorstore.clear_quotas() IS 'Keeps tenant_quotas when all chunks are truncated.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (9);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0009() IS 'Migration step 9: quotas.';


-- ---- schema/migrate_0010.sql
-- Step 10: stores that are deleted softly can be restored. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0010() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- The rows of the store and of its counters, as they were; columns that later steps add get their defaults.
    ALTER TABLE vectorstore.dropped_stores
        ADD COLUMN tenant_id bigint,
        ADD COLUMN id text COLLATE "C",
        ADD COLUMN store jsonb,
        ADD COLUMN counters jsonb,
        ADD COLUMN restorable_until timestamptz;
    CREATE INDEX dropped_stores_restorable ON vectorstore.dropped_stores (tenant_id, id) WHERE restorable_until IS NOT NULL;
    COMMENT ON COLUMN vectorstore.dropped_stores.restorable_until IS 'Until then the store can be restored, and is not swept; NULL: never.';
    COMMENT ON COLUMN vectorstore.dropped_stores.store IS 'Row of vectorstore.stores, of a store that can be restored.';
    COMMENT ON COLUMN vectorstore.dropped_stores.counters IS 'Row of vectorstore.store_counters, of a store that can be restored.';
    INSERT INTO vectorstore.schema_migrations (version) VALUES (10);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0010() IS 'Migration step 10: restoring stores.';


-- ---- schema/migrate_0011.sql
-- Step 11: writing many chunks takes less time. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0011() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- The lexemes of a document come from the library, which knows the words of earlier ones. They are what to_tsvector()
    -- says, so that no row changes. By EXECUTE as in step 2.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.document_tsv(language smallint, content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT vectorstore._document_lexemes(language, content)'
    $replace$;

    -- As in step 2, but what is sorted are numbers and not whole rows: OFFSET keeps the two queries apart.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.note_inserted() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $inserted$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT r.store_id, count(*) AS chunks, sum(r.tokens) AS tokens, sum(r.bytes) AS bytes,
                   array_agg(r.chunk_id ORDER BY r.chunk_id) AS added, array_agg(DISTINCT r.language) AS languages
            FROM (SELECT n.store_id, n.chunk_id, n.language, vectorstore._tsv_length(n.tsv) AS tokens,
                         octet_length(n.content) + 4 * @extschema:vector@.vector_dims(n.embedding) AS bytes
                  FROM new_rows n OFFSET 0) r
            GROUP BY r.store_id ORDER BY r.store_id
        LOOP
            PERFORM vectorstore._note_change(change.store_id, change.chunks, change.tokens, change.bytes,
                                             change.added, '{}', change.languages);
        END LOOP;
        RETURN NULL;
    END
    $inserted$
    $replace$;
    INSERT INTO vectorstore.schema_migrations (version) VALUES (11);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0011() IS 'Migration step 11: faster writing.';


-- ---- schema/migrate_0012.sql
-- Step 12: each crossing of a quota is an event of its own. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0012() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    ALTER TABLE vectorstore.store_counters
        ADD COLUMN chunks_room_at timestamptz NOT NULL DEFAULT 'epoch',
        ADD COLUMN bytes_room_at timestamptz NOT NULL DEFAULT 'epoch';
    ALTER TABLE vectorstore.tenant_quotas
        ADD COLUMN stores_room_at timestamptz NOT NULL DEFAULT 'epoch',
        ADD COLUMN chunks_room_at timestamptz NOT NULL DEFAULT 'epoch',
        ADD COLUMN bytes_room_at timestamptz NOT NULL DEFAULT 'epoch';
    ALTER TABLE vectorstore.quota_events ADD COLUMN room_at timestamptz NOT NULL DEFAULT 'epoch';
    -- An open event is the one that more refusals belong to; the times of the others only have to differ.
    UPDATE vectorstore.quota_events SET room_at = created_at + event_id * interval '1 microsecond' WHERE resolved_at IS NOT NULL;
    DROP INDEX vectorstore.quota_events_open;
    CREATE UNIQUE INDEX quota_events_room ON vectorstore.quota_events (tenant_id, store_id, resource, room_at);
    CREATE INDEX quota_events_open ON vectorstore.quota_events (tenant_id, store_id) WHERE resolved_at IS NULL;

    -- By EXECUTE as in step 2.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.clear_quotas() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $clear$
    BEGIN
        UPDATE vectorstore.tenant_quotas SET chunks = 0, usage_bytes = 0;
        PERFORM vectorstore._make_room(q.tenant_id, 0) FROM vectorstore.tenant_quotas q;
        PERFORM vectorstore._make_room(c.tenant_id, c.store_id) FROM vectorstore.store_counters c
        WHERE c.max_chunks IS NOT NULL OR c.max_bytes IS NOT NULL;
        RETURN NULL;
    END
    $clear$
    $replace$;

    COMMENT ON COLUMN vectorstore.store_counters.chunks_room_at IS 'When something was last deleted, or the quota raised, that made room for chunks; 1970 for never. Refusals since are one event.';
    COMMENT ON COLUMN vectorstore.store_counters.bytes_room_at IS 'The same for bytes.';
    COMMENT ON COLUMN vectorstore.tenant_quotas.stores_room_at IS 'When something was last deleted, or the quota raised or made, that made room for stores. Refusals since are one event.';
    COMMENT ON COLUMN vectorstore.tenant_quotas.chunks_room_at IS 'The same for chunks.';
    COMMENT ON COLUMN vectorstore.tenant_quotas.bytes_room_at IS 'The same for bytes.';
    COMMENT ON COLUMN vectorstore.quota_events.room_at IS 'When there was room last before.';
    INSERT INTO vectorstore.schema_migrations (version) VALUES (12);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0012() IS 'Migration step 12: crossings of quotas.';


-- ---- schema/install.sql
-- Makes and migrates the data's tables. They are ordinary objects, no members of the extension: a dump holds
-- them whole, with indexes, triggers and policies, and DROP EXTENSION leaves them alone.

CREATE OR REPLACE FUNCTION vectorstore._schema_version() RETURNS integer
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    version integer := 0;
BEGIN
    IF to_regclass('vectorstore.schema_migrations') IS NOT NULL THEN
        SELECT coalesce(max(m.version), 0) INTO version FROM vectorstore.schema_migrations m;
    END IF;
    RETURN version;
END
$$;
COMMENT ON FUNCTION vectorstore._schema_version() IS 'Number of the last migration step that ran; 0 before vs_install().';

-- The last step that this version of the extension knows.
CREATE OR REPLACE FUNCTION vectorstore._schema_target() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT 12 $$;
COMMENT ON FUNCTION vectorstore._schema_target() IS 'Number of the last migration step of this version.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_install() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
BEGIN
    IF vectorstore._schema_version() = vectorstore._schema_target() THEN
        RETURN vectorstore._schema_target();
    END IF;
    -- One installer at a time; the second finds the work done.
    PERFORM pg_advisory_xact_lock(hashtextextended('vectorstore.install', 0));
    IF vectorstore._schema_version() < 1 THEN
        PERFORM vectorstore._migrate_0001();
    END IF;
    IF vectorstore._schema_version() < 2 THEN
        PERFORM vectorstore._migrate_0002();
    END IF;
    IF vectorstore._schema_version() < 3 THEN
        PERFORM vectorstore._migrate_0003();
    END IF;
    IF vectorstore._schema_version() < 4 THEN
        PERFORM vectorstore._migrate_0004();
    END IF;
    IF vectorstore._schema_version() < 5 THEN
        PERFORM vectorstore._migrate_0005();
    END IF;
    IF vectorstore._schema_version() < 6 THEN
        PERFORM vectorstore._migrate_0006();
    END IF;
    IF vectorstore._schema_version() < 7 THEN
        PERFORM vectorstore._migrate_0007();
    END IF;
    IF vectorstore._schema_version() < 8 THEN
        PERFORM vectorstore._migrate_0008();
    END IF;
    IF vectorstore._schema_version() < 9 THEN
        PERFORM vectorstore._migrate_0009();
    END IF;
    IF vectorstore._schema_version() < 10 THEN
        PERFORM vectorstore._migrate_0010();
    END IF;
    IF vectorstore._schema_version() < 11 THEN
        PERFORM vectorstore._migrate_0011();
    END IF;
    IF vectorstore._schema_version() < 12 THEN
        PERFORM vectorstore._migrate_0012();
    END IF;
    IF vectorstore._schema_version() > vectorstore._schema_target() THEN
        PERFORM vectorstore._fail('55000', 'The data was made by a newer version of vectorstore.', NULL, NULL,
            'Install that version of the extension, then run ALTER EXTENSION vectorstore UPDATE.');
    END IF;
    RETURN vectorstore._schema_version();
END
$$;
COMMENT ON FUNCTION @extschema@.vs_install() IS
    'Creates the tables of vectorstore, or migrates them after ALTER EXTENSION UPDATE. Returns the schema''s version. Safe to call again; vs_create_store calls it by itself.';


-- ---- api/lookup.sql
-- Who calls, and which store is meant. Every public function starts here.

-- Declarations of extension/src/principal.rs, which remembers the caller until the transaction ends.
CREATE OR REPLACE FUNCTION vectorstore._current_tenant() RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'current_tenant_wrapper';
CREATE FUNCTION vectorstore._enter_key(known bytea, given bytea, tenant bigint, key bigint, role text, stores bigint[], filter jsonb) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'enter_key_wrapper';
CREATE FUNCTION vectorstore._enter_store(p_store_id bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'enter_store_wrapper';
CREATE FUNCTION vectorstore._choose_tenant(tenant bigint) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'choose_tenant_wrapper';
CREATE FUNCTION vectorstore._require_access(access text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'require_access_wrapper';
CREATE FUNCTION vectorstore._has_access(access text) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'has_access_wrapper';
CREATE FUNCTION vectorstore._scope() RETURNS bigint[]
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'scope_wrapper';
CREATE FUNCTION vectorstore._mandatory_filter() RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mandatory_filter_wrapper';
CREATE FUNCTION vectorstore._caller_key() RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'caller_key_wrapper';
COMMENT ON FUNCTION vectorstore._current_tenant() IS
    'Tenant of the SQL user, who becomes the caller; NULL before vs_install(). 42501 for a role without a tenant, 22023 for one with several that has chosen none.';
COMMENT ON FUNCTION vectorstore._enter_key(bytea, bytea, bigint, bigint, text, bigint[], jsonb) IS 'Makes the owner of an API key the caller; false when the hashes differ, which are compared in constant time.';
COMMENT ON FUNCTION vectorstore._enter_store(bigint) IS 'Whether the caller may see this store of the tenant; if so, the call is about it.';
COMMENT ON FUNCTION vectorstore._choose_tenant(bigint) IS 'Remembers for the session which tenant the SQL user wants; NULL for none.';
COMMENT ON FUNCTION vectorstore._require_access(text) IS '42501 when the caller has less than this access: read, write, admin or operator.';
COMMENT ON FUNCTION vectorstore._has_access(text) IS 'Whether the caller has this access or more.';
COMMENT ON FUNCTION vectorstore._scope() IS 'Numbers of the stores that the caller is narrowed to; NULL for all.';
COMMENT ON FUNCTION vectorstore._mandatory_filter() IS 'The filter that all must pass which the caller reads; NULL for none.';
COMMENT ON FUNCTION vectorstore._caller_key() IS 'Number of the caller''s API key; 0 for a SQL user.';

CREATE FUNCTION vectorstore._fail_forbidden() RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._fail('42501', 'You have insufficient permissions for this operation.', 'insufficient_permissions');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_forbidden() IS '42501: the caller may not do that.';

-- The client's address as the proxy saw it, behind the hash in a credential.
CREATE FUNCTION vectorstore._client_address(p_key bytea) RETURNS inet
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    address bytea := substr(p_key, 33);
BEGIN
    RETURN CASE octet_length(address)
        WHEN 4 THEN format('%s.%s.%s.%s', get_byte(address, 0), get_byte(address, 1), get_byte(address, 2), get_byte(address, 3))::inet
        WHEN 16 THEN rtrim(regexp_replace(encode(address, 'hex'), '(....)', '\1:', 'g'), ':')::inet END;
END
$$;
COMMENT ON FUNCTION vectorstore._client_address(bytea) IS 'Address inside a credential; NULL when there is none.';

-- Every function of the HTTP API begins here. A credential is the SHA-256 of an API key, and behind it the address of
-- the client (4 or 16 bytes), if it is known. What is wrong with a key nobody is told.
CREATE FUNCTION vectorstore._open_key(p_key bytea, p_access text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    IF to_regclass('vectorstore.tenant_roles') IS NULL THEN
        PERFORM vectorstore._fail('55000', 'vectorstore is not set up in this database yet.', NULL, NULL, 'SELECT vs_install();');
    END IF;
    SELECT k.* INTO known FROM vectorstore.api_keys k WHERE k.key_hash = substr(p_key, 1, 32);
    IF known.key IS NULL
       OR NOT vectorstore._enter_key(known.key_hash, substr(p_key, 1, 32), known.tenant_id, known.key, known.role, known.stores, known.filter)
       OR known.revoked_at <= now() OR known.expires_at <= now()
       OR known.allowed_ips IS NOT NULL AND NOT coalesce(vectorstore._client_address(p_key) <<= ANY (known.allowed_ips), false) THEN
        PERFORM vectorstore._fail('28000', 'Incorrect API key provided.', 'invalid_api_key');
    END IF;
    PERFORM vectorstore._rate_charge();
    -- A key that is narrowed to stores manages nothing: it could make itself one that is not.
    IF p_access IN ('create', 'admin', 'operator') AND known.stores IS NOT NULL OR p_access <> 'search' AND known.filter IS NOT NULL THEN
        PERFORM vectorstore._fail_forbidden();
    END IF;
    PERFORM vectorstore._require_access(CASE p_access WHEN 'search' THEN 'read' WHEN 'create' THEN 'write' ELSE p_access END);
    RETURN known.tenant_id;
END
$$;
COMMENT ON FUNCTION vectorstore._open_key(bytea, text) IS
    'Makes the owner of a credential the caller and returns the tenant. Access: search (read, and the function heeds the mandatory filter of a key), read, write, create (write, and the function makes stores), admin or operator. 28000 for a key that is unknown, revoked, expired or used from elsewhere, 54000 when it comes too often, 42501 when it may not do that much.';

-- What a key with a mandatory filter reads. It stands beside the filter of the search and not around it, so that the one
-- may be as big as the other, and errors are about what the client wrote.
CREATE FUNCTION vectorstore._restricted(p_options jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mandatory jsonb := vectorstore._mandatory_filter();
BEGIN
    RETURN CASE WHEN mandatory IS NULL THEN p_options ELSE coalesce(p_options, '{}') || jsonb_build_object('mandatory', mandatory) END;
END
$$;
COMMENT ON FUNCTION vectorstore._restricted(jsonb) IS 'Options of a search with the caller''s mandatory filter added.';

CREATE FUNCTION vectorstore._allowed(metadata jsonb, filename text, file_id text, id text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mandatory jsonb := vectorstore._mandatory_filter();
BEGIN
    RETURN mandatory IS NULL OR coalesce(vectorstore._passes(true, metadata, filename, file_id, id) @@ vectorstore._filter_path(mandatory)::jsonpath, false);
END
$$;
COMMENT ON FUNCTION vectorstore._allowed(jsonb, text, text, text) IS 'Whether a chunk or a file of a store passes the caller''s mandatory filter.';

-- A key that was rotated stays the one that made its files and uploads.
CREATE FUNCTION vectorstore._creator() RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller bigint := vectorstore._caller_key();
BEGIN
    RETURN coalesce((SELECT k.origin FROM vectorstore.api_keys k WHERE k.key = caller), caller);
END
$$;
COMMENT ON FUNCTION vectorstore._creator() IS 'Number that what the caller makes bears: that of the API key, or of the first one that it took the place of; 0 for a SQL user.';

-- Files belong to a tenant, not to a store: a key that is narrowed to stores sees those it made, and those in its stores.
CREATE FUNCTION vectorstore._file_attached(p_tenant bigint, p_file text, p_stores bigint[]) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The row of a file that could not be attached, because it does not exist or was not to be seen, is no file. Of
    -- dropped stores there may be rows left.
    RETURN EXISTS (
        SELECT FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id)
        WHERE f.tenant_id = p_tenant AND f.id = p_file AND f.store_id = ANY (p_stores) AND f.chunking_strategy->>'type' IS DISTINCT FROM 'other');
END
$$;
COMMENT ON FUNCTION vectorstore._file_attached(bigint, text, bigint[]) IS 'Whether a file of the tenant is in one of these stores.';

CREATE FUNCTION vectorstore._file_in_scope(p_tenant bigint, p_file text, p_created_by bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope bigint[] := vectorstore._scope();
BEGIN
    RETURN scope IS NULL OR p_created_by = vectorstore._creator() OR vectorstore._file_attached(p_tenant, p_file, scope);
END
$$;
COMMENT ON FUNCTION vectorstore._file_in_scope(bigint, text, bigint) IS 'Whether the caller may see a file of the tenant.';

-- For requests that need nothing else from the database.
CREATE OR REPLACE FUNCTION vectorstore.api_check_key(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._open_key(p_key, 'search') IS NOT NULL;
END
$$;
COMMENT ON FUNCTION vectorstore.api_check_key(bytea) IS 'True for a valid API key; 28000 for any other.';

-- The models are known to the proxy alone; who asks for them is known here, and charged as for any other request.
CREATE FUNCTION vectorstore.api_list_models(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._open_key(p_key, 'search') IS NOT NULL;
END
$$;
CREATE FUNCTION vectorstore.api_retrieve_model(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._open_key(p_key, 'search') IS NOT NULL;
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_models(bytea) IS 'GET /models: charges the key, true for a valid one; 28000 for any other, 54000 when it comes too often.';
COMMENT ON FUNCTION vectorstore.api_retrieve_model(bytea) IS 'GET /models/{model}: the same.';

-- Store of an HTTP request. The number was decoded from the id by the caller; the whole id must match.
-- A store of another tenant, or outside of the key's scope, looks like one that does not exist.
CREATE OR REPLACE FUNCTION vectorstore._api_store(p_store_id bigint, p_store text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.stores s WHERE s.store_id = p_store_id AND s.id = p_store AND s.tenant_id = p_tenant;
    -- Not in the statement, which may ask it of other stores, too: it would take the last of them for the caller's.
    IF NOT FOUND OR NOT vectorstore._enter_store(p_store_id) THEN
        PERFORM vectorstore._fail_unknown('vs_', p_store, 'vector_store_id',
            format('No vector store found with id ''%s''.', vectorstore._shown(p_store)));
    END IF;
    RETURN p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._api_store(bigint, text, bigint) IS 'Checks the store of a request; P0002 when it is unknown, 22023 when the id is of another form.';

-- The id rule: an unknown id of the right form is "not found", one of another form is a bad value.
CREATE OR REPLACE FUNCTION vectorstore._fail_unknown(prefix text, id text, param text, not_found text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF starts_with(id, prefix) THEN
        PERFORM vectorstore._fail('P0002', not_found, NULL, param);
    END IF;
    PERFORM vectorstore._fail('22023', format('Invalid ''%s'': ''%s''. Expected an ID that begins with ''%s''.',
        param, vectorstore._shown(id), rtrim(prefix, '_-')), 'invalid_value', param);
END
$$;
COMMENT ON FUNCTION vectorstore._fail_unknown(text, text, text, text) IS 'Raises P0002 for an unknown id with this prefix, else 22023.';

-- Store of a SQL user: an id, or a name that only one store bears.
CREATE OR REPLACE FUNCTION vectorstore._store(p_store text, p_access text DEFAULT 'read') RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
    found_ids bigint[];
BEGIN
    IF p_store IS NULL THEN
        PERFORM vectorstore._fail('22023', 'The store must not be null.', 'missing_required_parameter', 'store');
    ELSIF tenant IS NOT NULL THEN
        SELECT array_agg(s.store_id) INTO found_ids FROM vectorstore.stores s
        WHERE s.store_id = vectorstore._id_number('vs_', p_store) AND s.id = p_store AND s.tenant_id = tenant;
        IF found_ids IS NULL THEN
            SELECT array_agg(s.store_id) INTO found_ids
            FROM (SELECT n.store_id FROM vectorstore.stores n WHERE n.tenant_id = tenant AND n.name = p_store LIMIT 2) s;
        END IF;
    END IF;
    IF found_ids IS NULL THEN
        PERFORM vectorstore._fail('P0002', format('No vector store found with id or name ''%s''.', vectorstore._shown(p_store)),
            NULL, 'store', 'SELECT * FROM vs_stores lists the stores.');
    ELSIF cardinality(found_ids) > 1 THEN
        PERFORM vectorstore._fail('22023', format('More than one vector store is named ''%s''.', vectorstore._shown(p_store)),
            'invalid_value', 'store', 'Give the id: SELECT id FROM vs_stores.');
    END IF;
    PERFORM vectorstore._require_access(p_access);
    PERFORM vectorstore._enter_store(found_ids[1]);
    RETURN found_ids[1];
END
$$;
COMMENT ON FUNCTION vectorstore._store(text, text) IS 'Number of the store with this id or name; P0002 when there is none, 22023 when a name is not unique, 42501 when the SQL user has less than this access.';


-- ---- api/stats.sql
-- Statistics: flushing what was counted in shared memory, and reading it.
--
-- Who flushes holds an advisory lock until the end of the transaction; who reads holds it, shared, while reading: what
-- is on its way from memory to the tables is never seen in neither or in both. Readers write nothing, so that they
-- work on a standby, which counts its own calls and keeps them in memory.

CREATE FUNCTION vectorstore._stat_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT hashtextextended('vectorstore.stat_flush', 0) $$;
COMMENT ON FUNCTION vectorstore._stat_lock() IS 'Advisory lock of a flush of statistics.';

CREATE FUNCTION vectorstore._usage_retention(p_now timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM vectorstore.usage_rollups r
    USING (VALUES ('minute', 'vectorstore.usage_minute_retention'), ('hour', 'vectorstore.usage_hour_retention'), ('day', 'vectorstore.usage_day_retention')) k(step, setting)
    WHERE r.step = k.step AND current_setting(k.setting)::integer > 0
      AND r.began_at < p_now - make_interval(hours => 24 * current_setting(k.setting)::integer);
END
$$;
COMMENT ON FUNCTION vectorstore._usage_retention(timestamptz) IS 'Deletes rollups that are too old.';

-- Days are those of UTC, whatever the session's time zone. A day has a partition before it begins.
CREATE FUNCTION vectorstore._usage_partitions(p_now timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning SET timezone = 'UTC'
AS $$
DECLARE
    day date;
    part text;
    keep integer := current_setting('vectorstore.usage_log_retention')::integer;
BEGIN
    FOREACH day IN ARRAY ARRAY[p_now::date, p_now::date + 1] LOOP
        part := 'usage_logs_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('vectorstore.' || part) IS NULL THEN
            -- Attached afterwards, which locks out nobody who reads.
            EXECUTE format('CREATE TABLE vectorstore.%I (LIKE vectorstore.usage_logs INCLUDING ALL EXCLUDING IDENTITY)', part);
            EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('COMMENT ON TABLE vectorstore.%I IS %L', part, 'A day of usage_logs.');
            EXECUTE format('ALTER TABLE vectorstore.usage_logs ATTACH PARTITION vectorstore.%I FOR VALUES FROM (%L) TO (%L)', part, day::timestamptz, (day + 1)::timestamptz);
            -- Once a day is enough.
            PERFORM vectorstore._usage_retention(p_now);
        END IF;
    END LOOP;
    IF keep > 0 THEN
        FOR part IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'vectorstore.usage_logs'::regclass AND c.relname < 'usage_logs_' || to_char(p_now::date - keep, 'YYYYMMDD')
        LOOP
            EXECUTE format('DROP TABLE vectorstore.%I', part);
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._usage_partitions(timestamptz) IS 'Makes the partitions of usage_logs for today and tomorrow, and drops those that are too old.';

CREATE FUNCTION vectorstore._stat_flush() RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment timestamptz;
    flushed bigint;
BEGIN
    IF vectorstore._schema_version() < 12 THEN
        RETURN 0;
    END IF;
    PERFORM vectorstore._require_preload();
    PERFORM pg_advisory_xact_lock(vectorstore._stat_lock());
    moment := clock_timestamp();
    PERFORM vectorstore._usage_partitions(moment);
    WITH taken AS MATERIALIZED (
        SELECT * FROM vectorstore._stat_take()
    ), known AS MATERIALIZED (
        -- A tenant may be gone meanwhile, with all that was kept of it.
        SELECT t.* FROM taken t WHERE (t.tenant_id = 0 OR EXISTS (SELECT FROM vectorstore.tenants o WHERE o.tenant_id = t.tenant_id)) AND t.operation NOT LIKE 'quota.%'
    ), quotas AS (
        -- Refusals between two times of room are one event. The time stands where others have their API key.
        INSERT INTO vectorstore.quota_events AS q (tenant_id, store_id, resource, room_at, refused, created_at)
        SELECT t.tenant_id, t.store_id, substr(t.operation, 7), timestamptz 'epoch' + t.api_key * interval '1 microsecond', t.calls, moment
        FROM taken t JOIN vectorstore.tenants o USING (tenant_id) WHERE t.operation LIKE 'quota.%'
        ON CONFLICT (tenant_id, store_id, resource, room_at) DO UPDATE SET refused = q.refused + excluded.refused
    ), logs AS (
        INSERT INTO vectorstore.usage_logs (tenant_id, logged_at, store_id, api_key, operation, calls, errors, limited, would_limit, rows, tokens, microseconds, created, deleted, bytes, buckets)
        SELECT k.tenant_id, moment, k.store_id, k.api_key, k.operation, k.calls, k.errors, k.limited, k.would_limit, k.rows, k.tokens, k.microseconds, k.created, k.deleted, k.bytes, k.buckets
        FROM known k ORDER BY k.tenant_id, k.store_id, k.api_key, k.operation
    ), rollups AS (
        INSERT INTO vectorstore.usage_rollups AS r (tenant_id, step, began_at, store_id, api_key, operation, calls, errors, limited, would_limit, rows, tokens, microseconds, created, deleted, bytes, buckets)
        SELECT k.tenant_id, s.step, date_trunc(s.step, moment, 'UTC'), k.store_id, k.api_key, k.operation, k.calls, k.errors, k.limited, k.would_limit, k.rows, k.tokens, k.microseconds, k.created, k.deleted, k.bytes, k.buckets
        FROM known k CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) s(step)
        ON CONFLICT (tenant_id, step, began_at, store_id, api_key, operation) DO UPDATE SET
            calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, limited = r.limited + excluded.limited,
            would_limit = r.would_limit + excluded.would_limit, rows = r.rows + excluded.rows, tokens = r.tokens + excluded.tokens,
            microseconds = r.microseconds + excluded.microseconds, created = r.created + excluded.created,
            deleted = r.deleted + excluded.deleted, bytes = r.bytes + excluded.bytes,
            buckets = vectorstore._add_buckets(r.buckets, excluded.buckets)
    ), totals AS (
        INSERT INTO vectorstore.usage_totals AS t (tenant_id, store_id, api_key, operation, calls, errors, limited, would_limit, rows, tokens, microseconds, created, deleted, bytes, buckets, since, used_at)
        SELECT k.tenant_id, k.store_id, k.api_key, k.operation, k.calls, k.errors, k.limited, k.would_limit, k.rows, k.tokens, k.microseconds, k.created, k.deleted, k.bytes, k.buckets, moment, moment
        FROM known k
        ON CONFLICT (tenant_id, store_id, api_key, operation) DO UPDATE SET
            calls = t.calls + excluded.calls, errors = t.errors + excluded.errors, limited = t.limited + excluded.limited,
            would_limit = t.would_limit + excluded.would_limit, rows = t.rows + excluded.rows, tokens = t.tokens + excluded.tokens,
            microseconds = t.microseconds + excluded.microseconds, created = t.created + excluded.created,
            deleted = t.deleted + excluded.deleted, bytes = t.bytes + excluded.bytes,
            buckets = vectorstore._add_buckets(t.buckets, excluded.buckets), used_at = excluded.used_at
    ), keys AS (
        UPDATE vectorstore.api_keys a SET last_used_at = moment
        FROM (SELECT DISTINCT k.api_key FROM known k WHERE k.calls > 0 AND k.api_key <> 0) u WHERE a.key = u.api_key
    )
    SELECT count(*) INTO flushed FROM known;
    PERFORM vectorstore._end_quota_events(moment);
    RETURN flushed;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_flush() IS 'Moves what was counted in shared memory to the tables, and returns how many rows that made. 55000 when the library is not preloaded.';

-- API: public
CREATE FUNCTION @extschema@.vs_stat_flush() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._stat_flush();
END
$$;
COMMENT ON FUNCTION @extschema@.vs_stat_flush() IS
    'Moves what was counted in shared memory to usage_logs, its rollups and totals; returns how many rows of usage_logs that made. A background worker does it every vectorstore.stat_flush_interval. 55000 when vectorstore is not preloaded.';

-- What was counted since vs_stat_reset(), flushed or not. The lock is one of the session, given back at once: a
-- transaction that reads statistics and stays open stops nobody.
CREATE TYPE vectorstore.usage_row AS (
    store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint, would_limit bigint, rows bigint, tokens bigint,
    microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[], since timestamptz, used_at timestamptz
);
COMMENT ON TYPE vectorstore.usage_row IS 'What calls of one kind added up to.';

CREATE FUNCTION vectorstore._stat_totals(p_tenant bigint) RETURNS SETOF vectorstore.usage_row
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    row vectorstore.usage_row;
BEGIN
    IF p_tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_lock_shared(vectorstore._stat_lock());
    BEGIN
        FOR row IN
            SELECT u.store_id, u.api_key, u.operation, sum(u.calls), sum(u.errors), sum(u.limited), sum(u.would_limit), sum(u.rows), sum(u.tokens),
                   sum(u.microseconds), sum(u.created), sum(u.deleted), sum(u.bytes), vectorstore._sum_buckets(u.buckets), min(u.since), max(u.used_at)
            FROM (SELECT t.store_id, t.api_key, t.operation, t.calls, t.errors, t.limited, t.would_limit, t.rows, t.tokens, t.microseconds, t.created, t.deleted, t.bytes, t.buckets, t.since, t.used_at
                  FROM vectorstore.usage_totals t WHERE t.tenant_id = p_tenant
                  UNION ALL
                  SELECT p.store_id, p.api_key, p.operation, p.calls, p.errors, p.limited, p.would_limit, p.rows, p.tokens, p.microseconds, p.created, p.deleted, p.bytes, p.buckets, clock_timestamp(), clock_timestamp()
                  FROM vectorstore._stat_pending() p WHERE p.tenant_id = p_tenant AND p.operation NOT LIKE 'quota.%') u
            GROUP BY u.store_id, u.api_key, u.operation
        LOOP
            RETURN NEXT row;
        END LOOP;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock_shared(vectorstore._stat_lock());
        RAISE;
    END;
    PERFORM pg_advisory_unlock_shared(vectorstore._stat_lock());
END
$$;
COMMENT ON FUNCTION vectorstore._stat_totals(bigint) IS 'What a tenant''s calls added up to since vs_stat_reset().';

-- API: public
CREATE FUNCTION @extschema@.vs_stat_reset() RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    PERFORM vectorstore._require_access('admin');
    PERFORM vectorstore._stat_flush();
    DELETE FROM vectorstore.usage_totals t WHERE t.tenant_id = tenant;
    PERFORM vectorstore._audit(tenant, 'statistics.reset', '');
    RETURN clock_timestamp();
END
$$;
COMMENT ON FUNCTION @extschema@.vs_stat_reset() IS
    'Sets what vs_stat_requests, vs_stat_stores and vs_stat_keys show of the caller''s tenant to zero; usage_logs and vs_stats keep what they have. Returns the time. For administrators of the tenant; 55000 when vectorstore is not preloaded.';


-- ---- api/stores.sql
-- Vector stores for SQL users, and the parts that the HTTP functions share.

-- Codes of languages are stored; the library knows their names, document_tsv() what they mean. 127 is `auto`: every
-- chunk has the language that it is written in, and the store keeps a list of those. A text whose language is not
-- certain gets `simple`, which keeps all its words: such texts are mostly short, or names, codes and numbers. So the
-- lexemes depend on the text alone, not on what the store held before.
CREATE OR REPLACE FUNCTION vectorstore._language_code(language text) RETURNS smallint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code smallint := vectorstore._language_number(language);
BEGIN
    IF code IS NULL THEN
        PERFORM vectorstore._fail('22023', format('Unknown language ''%s''.', vectorstore._shown(language)), 'invalid_value', 'language',
            format('Known are %s.', vectorstore._language_names()));
    END IF;
    RETURN code;
END
$$;
COMMENT ON FUNCTION vectorstore._language_code(text) IS 'Code under which a language is stored; 22023 for an unknown one.';

CREATE OR REPLACE FUNCTION vectorstore._note_languages(p_store_id bigint, p_codes smallint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.stores s
    SET languages = ARRAY(SELECT DISTINCT u.code FROM unnest(s.languages || p_codes) AS u(code) WHERE u.code IS NOT NULL ORDER BY u.code)
    WHERE s.store_id = p_store_id AND s.language = 127 AND NOT s.languages @> p_codes;
END
$$;
COMMENT ON FUNCTION vectorstore._note_languages(bigint, smallint[]) IS
    'Adds the codes of new chunks to the languages of a store that detects them. Writes only when one is new; none is ever taken out.';

-- A query is mostly too short to tell its language, so it is read in all of them. A lexeme of several languages
-- counts as often as in the first: `||` alone would add up its positions.
-- Stop words of the languages with a stemmer are left out of the readings that know none. The few chunks that are
-- `simple` would make a "the" look rare and precious, and win every question.
CREATE OR REPLACE FUNCTION vectorstore._union_lexemes(p_codes smallint[], p_query text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code smallint;
    reading tsvector;
    stemmed tsvector[] := '{}';
    plain tsvector[] := '{}';
    stops text[] := '{}';
    lexemes tsvector := '';
BEGIN
    FOREACH code IN ARRAY p_codes LOOP
        reading := vectorstore.document_tsv(code, p_query);
        IF code BETWEEN 1 AND 20 THEN
            stemmed := array_append(stemmed, reading);
            lexemes := lexemes || ts_delete(reading, tsvector_to_array(lexemes));
        ELSE
            plain := array_append(plain, reading);
        END IF;
    END LOOP;
    IF stemmed <> '{}' AND plain <> '{}' THEN
        -- Every reading numbers the same words, and lacks the numbers of its stop words.
        stemmed := array_prepend(to_tsvector('simple', p_query), stemmed);
        stops := ARRAY(
            SELECT min(w.lexeme) FILTER (WHERE r.item = 1)
            FROM unnest(stemmed) WITH ORDINALITY AS r(vector, item), unnest(r.vector) AS w, unnest(w.positions) AS p(position)
            GROUP BY p.position HAVING count(*) < cardinality(stemmed));
    END IF;
    FOREACH reading IN ARRAY plain LOOP
        lexemes := lexemes || ts_delete(reading, stops || tsvector_to_array(lexemes));
    END LOOP;
    -- Nothing but stop words is still a query.
    RETURN CASE WHEN length(lexemes) = 0 AND plain <> '{}' THEN plain[1] ELSE lexemes END;
END
$$;
COMMENT ON FUNCTION vectorstore._union_lexemes(smallint[], text) IS 'Lexemes of a text in any of these languages, each counted as in the first that has it.';

-- Metadata and attributes follow OpenAI's limits: at most 16 pairs, keys of 64 characters, strings of 512.
CREATE OR REPLACE FUNCTION vectorstore._check_attributes(attributes jsonb, param text, numbers boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pair record;
BEGIN
    IF attributes IS NULL OR attributes = 'null' THEN
        RETURN '{}';
    ELSIF jsonb_typeof(attributes) <> 'object' THEN
        PERFORM vectorstore._fail('22023', format('Invalid type for ''%s'': expected an object, but got %s instead.', param, vectorstore._kind(attributes)), 'invalid_type', param);
    ELSIF (SELECT count(*) FROM jsonb_object_keys(attributes)) > 16 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': too many properties. Expected an object with at most 16 properties.', param), 'object_above_max_properties', param);
    END IF;
    FOR pair IN SELECT * FROM jsonb_each(attributes) LOOP
        IF length(pair.key) > 64 THEN
            PERFORM vectorstore._fail('22023', format('Invalid property name in ''%s'': string too long. Expected at most 64 characters.', param), 'string_above_max_length', param);
        ELSIF jsonb_typeof(pair.value) NOT IN ('string', 'number', 'boolean') OR (NOT numbers AND jsonb_typeof(pair.value) <> 'string') THEN
            PERFORM vectorstore._fail('22023', format('Invalid type for ''%s.%s'': expected %s, but got %s instead.', param, pair.key,
                CASE WHEN numbers THEN 'a string, number or boolean' ELSE 'a string' END, vectorstore._kind(pair.value)), 'invalid_type', param || '.' || pair.key);
        ELSIF length(pair.value #>> '{}') > 512 THEN
            PERFORM vectorstore._fail('22023', format('Invalid ''%s.%s'': string too long. Expected at most 512 characters.', param, pair.key), 'string_above_max_length', param || '.' || pair.key);
        END IF;
    END LOOP;
    RETURN attributes;
END
$$;
COMMENT ON FUNCTION vectorstore._check_attributes(jsonb, text, boolean) IS 'Checks metadata or attributes against OpenAI''s limits; NULL becomes {}.';

-- What a new or changed store may be.
CREATE OR REPLACE FUNCTION vectorstore._check_store(name text, description text, expires_after_days integer) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF length(name) > 256 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''name'': string too long. Expected at most 256 characters.', 'string_above_max_length', 'name');
    ELSIF length(description) > 1024 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''description'': string too long. Expected at most 1024 characters.', 'string_above_max_length', 'description');
    ELSIF expires_after_days < 1 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''expires_after.days'': integer below minimum value. Expected a value >= 1.', 'integer_below_min_value', 'expires_after.days');
    ELSIF expires_after_days > 365 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''expires_after.days'': integer above maximum value. Expected a value <= 365.', 'integer_above_max_value', 'expires_after.days');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_store(text, text, integer) IS '22023 for a name, description or expiry out of range.';

-- Inserts a store; the checks of its callers differ, this part does not.
CREATE OR REPLACE FUNCTION vectorstore._create_store(
    tenant bigint, name text, description text, metadata jsonb, expires_after_days integer,
    embedding_model text, dimensions integer, language text, provided boolean DEFAULT false
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := nextval('vectorstore.stores_store_id_seq');
    model text := coalesce(embedding_model, 'local');
    size integer := dimensions;
BEGIN
    PERFORM vectorstore._check_store(name, description, expires_after_days);
    IF model = 'local' THEN
        size := vectorstore._model_dimensions();
        IF dimensions <> size THEN
            PERFORM vectorstore._fail('22023', format('The model ''local'' has %s dimensions, not %s.', size, dimensions), 'invalid_value', 'dimensions');
        END IF;
    ELSIF model <> 'none' AND NOT provided THEN
        PERFORM vectorstore._fail('22023', format('Unknown embedding model ''%s''.', vectorstore._shown(model)), 'invalid_value', 'embedding_model',
            'Use ''local'' for the model of this server, or ''none'' to bring your own vectors.');
    ELSIF size IS NULL THEN
        PERFORM vectorstore._fail('22023', 'A store without an embedding model needs its dimensions.', 'missing_required_parameter', 'dimensions');
    ELSIF size NOT BETWEEN 1 AND 16000 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''dimensions'': %s. Expected a value from 1 to 16000.', size), 'invalid_value', 'dimensions');
    END IF;
    INSERT INTO vectorstore.stores AS s
        (store_id, tenant_id, id, name, description, metadata, embedding_model, dimensions, language, expires_after_days)
        OVERRIDING SYSTEM VALUE
    VALUES (number, tenant, vectorstore._new_id('vs_', number), coalesce(name, ''), description,
            vectorstore._check_attributes(metadata, 'metadata', false), model, size,
            vectorstore._language_code(coalesce(language, 'english')), expires_after_days);
    INSERT INTO vectorstore.store_counters (store_id, tenant_id) VALUES (number, tenant);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._create_store(bigint, text, text, jsonb, integer, text, integer, text, boolean) IS 'Inserts a store and its counters; returns its number. provided: the proxy embeds for this model, of which the database knows nothing.';

-- Names are not unique over HTTP, as with OpenAI. For SQL users they are, because there they stand for the store.
CREATE OR REPLACE FUNCTION vectorstore._claim_name(tenant bigint, name text, p_store_id bigint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(name, tenant));
    PERFORM FROM vectorstore.stores s
    WHERE s.tenant_id = tenant AND s.name = _claim_name.name AND s.store_id IS DISTINCT FROM p_store_id;
    IF FOUND THEN
        PERFORM vectorstore._fail('23505', format('A vector store named ''%s'' exists already.', vectorstore._shown(name)), NULL, 'name');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._claim_name(bigint, text, bigint) IS '23505 when another store of the tenant bears the name; holds the name until the transaction ends.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_create_store(
    name text, description text DEFAULT NULL, metadata jsonb DEFAULT NULL, embedding_model text DEFAULT 'local',
    dimensions integer DEFAULT NULL, language text DEFAULT 'english', expires_after_days integer DEFAULT NULL,
    index text DEFAULT 'segments'
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    number bigint;
BEGIN
    IF coalesce(name, '') = '' THEN
        PERFORM vectorstore._fail('22023', 'A store needs a name.', 'missing_required_parameter', 'name');
    END IF;
    PERFORM @extschema@.vs_install();
    tenant := vectorstore._current_tenant();
    PERFORM vectorstore._require_access('write');
    PERFORM vectorstore._claim_name(tenant, name);
    number := vectorstore._create_store(tenant, name, description, metadata, expires_after_days, embedding_model, dimensions, language);
    IF index IS DISTINCT FROM 'segments' THEN
        PERFORM vectorstore._set_index(number, index);
    END IF;
    RETURN (SELECT s.id FROM vectorstore.stores s WHERE s.store_id = number);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_create_store(text, text, jsonb, text, integer, text, integer, text) IS
    'Creates a vector store and returns its id (vs_...). embedding_model: local (texts are embedded here) or none (bring vectors; give dimensions, 1..16000). language: of the keyword leg, or auto (each chunk''s is detected). metadata: at most 16 pairs of strings. index: segments (default) or hnsw, see vs_set_index. 23505 when the name is taken.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_update_store(
    store text, name text DEFAULT NULL, description text DEFAULT NULL, metadata jsonb DEFAULT NULL,
    expires_after_days integer DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
BEGIN
    IF name <> '' THEN
        PERFORM vectorstore._claim_name(vectorstore._current_tenant(), name, number);
    END IF;
    PERFORM vectorstore._update_store(number, jsonb_strip_nulls(jsonb_build_object('name', name, 'description', description, 'expires_after_days', expires_after_days))
        || CASE WHEN metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', metadata) END);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update_store(text, text, text, jsonb, integer) IS
    'Changes what is given of a store (by id or name); NULL leaves a field as it is. metadata is replaced whole. 23505 when the name is taken.';

-- Changes the fields that are keys of the object; JSON null clears one.
CREATE OR REPLACE FUNCTION vectorstore._update_store(p_store_id bigint, changes jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._check_store(changes->>'name', changes->>'description', (changes->>'expires_after_days')::integer);
    PERFORM vectorstore._require_active(p_store_id);
    UPDATE vectorstore.stores s SET
        name = CASE WHEN changes ? 'name' THEN coalesce(changes->>'name', '') ELSE s.name END,
        description = CASE WHEN changes ? 'description' THEN changes->>'description' ELSE s.description END,
        metadata = CASE WHEN changes ? 'metadata' THEN vectorstore._check_attributes(changes->'metadata', 'metadata', false) ELSE s.metadata END,
        expires_after_days = CASE WHEN changes ? 'expires_after_days' THEN (changes->>'expires_after_days')::integer ELSE s.expires_after_days END,
        last_active_at = now(), updated_at = now()
    WHERE s.store_id = p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._update_store(bigint, jsonb) IS 'Changes the fields of a store that are keys of the object; JSON null clears one.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_delete_store(store text, mode text DEFAULT 'cascade') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._delete_store_in_mode(vectorstore._store(store, 'write'), mode);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_store(text, text) IS
    'Deletes a store (by id or name) with everything in it; uploaded files stay. mode: cascade (default), restrict, which raises 2BP01 for a store that is not empty, or soft: vs_restore_store brings it back within 7 days.';

CREATE OR REPLACE FUNCTION vectorstore._delete_store_in_mode(p_store_id bigint, p_mode text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_mode IS NULL OR p_mode NOT IN ('cascade', 'restrict', 'soft') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''cascade'', ''restrict'', and ''soft''.', vectorstore._shown(coalesce(p_mode, 'null'))), 'invalid_value', 'mode');
    ELSIF p_mode = 'restrict' THEN
        PERFORM vectorstore._require_empty(p_store_id);
    ELSIF p_mode = 'soft' THEN
        IF vectorstore._schema_version() < 10 THEN
            PERFORM vectorstore._fail('55000', 'Stores cannot be deleted softly before vs_install() has been run.', NULL, 'mode');
        END IF;
        PERFORM vectorstore._delete_store_softly(p_store_id);
        RETURN;
    END IF;
    PERFORM vectorstore._delete_store(p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore._delete_store_in_mode(bigint, text) IS 'Deletes a store, softly if asked; 2BP01 in the mode restrict when it is not empty.';

CREATE OR REPLACE FUNCTION vectorstore._delete_store(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone record;
BEGIN
    -- The counters first, as writers do: the drop waits there for those that began before it, and stops later ones.
    DELETE FROM vectorstore.store_counters c WHERE c.store_id = p_store_id RETURNING c.tenant_id, c.chunks, c.usage_bytes INTO gone;
    PERFORM vectorstore._note_usage(gone.tenant_id, p_store_id, -gone.chunks, -gone.usage_bytes);
    DELETE FROM vectorstore.stores s WHERE s.store_id = p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_store(bigint) IS 'Deletes a store; the rows that belong to it are out of sight at once and are swept later.';


-- ---- api/restore.sql
-- Soft deletion: the store's own rows go, so that nothing leads to its data any more, as when it is dropped for good; but
-- they are kept aside, and the data are not swept before the window in which they can be restored has passed.

CREATE FUNCTION vectorstore._restore_window() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT interval '168 hours' $$;
COMMENT ON FUNCTION vectorstore._restore_window() IS 'How long a store that was deleted softly can be restored: 7 days.';

-- The column is named in JSON because it comes by a later step of migration than the table.
CREATE FUNCTION vectorstore._is_restorable(p_store_id bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM vectorstore.dropped_stores d WHERE d.store_id = p_store_id AND to_jsonb(d)->>'restorable_until' IS NOT NULL);
END
$$;
COMMENT ON FUNCTION vectorstore._is_restorable(bigint) IS 'Whether a store was deleted softly and is not swept yet.';

CREATE FUNCTION vectorstore._delete_store_softly(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept_counters jsonb;
    kept_store jsonb;
BEGIN
    -- Whoever reads a file of it loses the job, which waits for the store to come back.
    UPDATE vectorstore.ingest_jobs j SET attempts = 0, lease = NULL, worker = NULL, run_at = now() + vectorstore._restore_window()
    WHERE j.store_id = p_store_id;
    -- The counters first, as writers do: what they have counted by then is kept.
    DELETE FROM vectorstore.store_counters c WHERE c.store_id = p_store_id RETURNING to_jsonb(c) INTO kept_counters;
    DELETE FROM vectorstore.stores s WHERE s.store_id = p_store_id RETURNING to_jsonb(s) INTO kept_store;
    UPDATE vectorstore.dropped_stores d SET
        tenant_id = (kept_store->>'tenant_id')::bigint, id = kept_store->>'id', store = kept_store, counters = kept_counters,
        restorable_until = now() + vectorstore._restore_window()
    WHERE d.store_id = p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_store_softly(bigint) IS 'Deletes a store so that it can be restored.';

-- A row from its JSON. Columns that the JSON does not know keep their defaults.
CREATE FUNCTION vectorstore._insert_kept(p_table text, p_row jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text := (
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = format('vectorstore.%I', p_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped AND p_row ? a.attname);
BEGIN
    EXECUTE format('INSERT INTO vectorstore.%1$I (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM jsonb_populate_record(NULL::vectorstore.%1$I, $1)',
        p_table, columns) USING p_row;
END
$$;
COMMENT ON FUNCTION vectorstore._insert_kept(text, jsonb) IS 'Inserts a row that was kept as JSON.';

CREATE FUNCTION vectorstore._restore_store(p_tenant bigint, p_store text, p_claim_name boolean) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
    kept record;
    was_expired boolean;
BEGIN
    IF vectorstore._schema_version() < 10 THEN
        RETURN NULL;
    END IF;
    SELECT d.store_id INTO number FROM vectorstore.dropped_stores d WHERE d.tenant_id = p_tenant AND d.id = p_store;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Somebody may be sweeping it, or restoring it just now: that is seen by the statement behind the lock.
    PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(number));
    SELECT d.store, d.counters, d.dropped_at INTO kept FROM vectorstore.dropped_stores d
    WHERE d.store_id = number AND d.restorable_until > clock_timestamp();
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    was_expired := kept.store->>'expired_at' IS NOT NULL OR coalesce(
        vectorstore._expires_at((kept.store->>'last_active_at')::timestamptz, (kept.store->>'expires_after_days')::integer) <= kept.dropped_at, false);
    IF p_claim_name AND kept.store->>'name' <> '' THEN
        PERFORM vectorstore._claim_name(p_tenant, kept.store->>'name');
    END IF;
    DELETE FROM vectorstore.dropped_stores d WHERE d.store_id = number;
    -- Its days begin anew, unless they had passed before.
    PERFORM vectorstore._insert_kept('stores', kept.store
        || CASE WHEN was_expired THEN '{}' ELSE jsonb_build_object('last_active_at', now()) END);
    PERFORM vectorstore._insert_kept('store_counters', kept.counters);
    PERFORM vectorstore._recount_restored(number);
    UPDATE vectorstore.ingest_jobs j SET run_at = now() WHERE j.store_id = number;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._restore_store(bigint, text, boolean) IS
    'Brings a store back that was deleted softly; returns its number, NULL when there is none to restore. 23505 when its name is taken and must not be.';

-- Files that were deleted or that expired meanwhile have left the store, too, without anybody counting.
CREATE FUNCTION vectorstore._recount_restored(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present record;
    index_kind text;
    consumed bigint;
BEGIN
    UPDATE vectorstore.store_counters c SET
        files_in_progress = f.in_progress, files_completed = f.completed, files_failed = f.failed, files_cancelled = f.cancelled
    FROM (SELECT count(*) FILTER (WHERE o.status = 'in_progress') AS in_progress, count(*) FILTER (WHERE o.status = 'completed') AS completed,
                 count(*) FILTER (WHERE o.status = 'failed') AS failed, count(*) FILTER (WHERE o.status = 'cancelled') AS cancelled
          FROM vectorstore.store_files o WHERE o.store_id = p_store_id) f
    WHERE c.store_id = p_store_id;
    SELECT count(*) AS chunks INTO present FROM vectorstore.embeddings e WHERE e.store_id = p_store_id;
    -- Nothing can come to a store that is deleted: as many as before are the same.
    IF present.chunks = (SELECT c.chunks FROM vectorstore.store_counters c WHERE c.store_id = p_store_id) THEN
        RETURN;
    END IF;
    SELECT coalesce(sum(vectorstore._tsv_length(e.tsv)), 0) AS tokens,
           coalesce(sum(octet_length(e.content) + 4 * @extschema:vector@.vector_dims(e.embedding)), 0)::bigint AS bytes,
           coalesce(array_agg(e.chunk_id ORDER BY e.chunk_id), '{}') AS ids
    INTO present FROM vectorstore.embeddings e WHERE e.store_id = p_store_id;
    -- What is there is the tail, until a merge packs it anew.
    DELETE FROM vectorstore.changes c WHERE c.store_id = p_store_id;
    DELETE FROM vectorstore.segment_pages p WHERE p.store_id = p_store_id;
    DELETE FROM vectorstore.segments s WHERE s.store_id = p_store_id;
    IF cardinality(present.ids) > 0 THEN
        INSERT INTO vectorstore.changes (store_id, added) VALUES (p_store_id, present.ids);
    END IF;
    SELECT i.packed, i.kind INTO consumed, index_kind FROM vectorstore.search_indexes i WHERE i.store_id = p_store_id;
    -- They were counted as they had been.
    PERFORM vectorstore._count_tenant(c.tenant_id, 0, cardinality(present.ids) - c.chunks, present.bytes - c.usage_bytes)
    FROM vectorstore.store_counters c WHERE c.store_id = p_store_id;
    UPDATE vectorstore.store_counters c SET
        chunks = cardinality(present.ids), tokens = present.tokens, usage_bytes = present.bytes,
        added = coalesce(consumed, 0) + cardinality(present.ids)
    WHERE c.store_id = p_store_id;
    IF index_kind = 'hnsw' THEN
        PERFORM vectorstore._set_index(p_store_id, 'segments');
        PERFORM vectorstore._set_index(p_store_id, 'hnsw');
    END IF;
    IF cardinality(present.ids) > vectorstore._tail_limit() THEN
        PERFORM vectorstore._consider_merge(p_store_id, cardinality(present.ids));
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._recount_restored(bigint) IS 'Makes counters and search of a restored store agree with the rows that are left. The caller holds its merge lock.';

-- API: public
CREATE FUNCTION @extschema@.vs_restore_store(store text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    PERFORM vectorstore._require_access('write');
    IF vectorstore._restore_store(tenant, store, true) IS NULL THEN
        PERFORM vectorstore._fail('P0002', format('No deleted vector store ''%s'' can be restored.', vectorstore._shown(coalesce(store, 'null'))), NULL, 'store');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_restore_store(text) IS
    'Brings a store back, by its id, that was deleted in the mode soft less than 7 days ago, with everything in it. Uploaded files that were deleted meanwhile stay away. P0002 when there is none, 23505 when another store has its name by now.';

CREATE FUNCTION vectorstore.api_restore_vector_store(p_store_id bigint, p_store text, p_key bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._restore_store(tenant, p_store, false);
BEGIN
    IF number IS NULL OR NOT vectorstore._enter_store(number) THEN
        -- A store that is there needs no restoring, so that the request can be repeated; one outside of the key's scope
        -- is not there.
        number := vectorstore._api_store(p_store_id, p_store, tenant);
    END IF;
    -- A statement of its own, which sees the rows.
    RETURN vectorstore._store_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_restore_vector_store(bigint, text, bytea) IS 'POST /vector_stores/{id}/restore.';


-- ---- api/embeddings.sql
-- Chunks of text: insert, read, delete.

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_embed(content text) RETURNS @extschema:vector@.vector
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT vectorstore._embed(content)::@extschema:vector@.vector $$;
COMMENT ON FUNCTION @extschema@.vs_embed(text) IS
    'Embeds a text with the local model: 256 dimensions, length 1 (all zeros for a text without tokens). At most 262,144 bytes. 55000 when vectorstore.model_path names no model.';

-- Refuses arrays that do not fit each other or the store, naming the first bad item.
CREATE OR REPLACE FUNCTION vectorstore._check_embeddings(
    p_store_id bigint, contents text[], ids text[], embeddings @extschema:vector@.vector[], metadata jsonb[]
) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store record;
    bad record;
    items integer := coalesce(cardinality(contents), 0);
BEGIN
    SELECT s.dimensions, s.name, s.embedding_model INTO store FROM vectorstore.stores s WHERE s.store_id = p_store_id;
    IF items = 0 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''embeddings'': empty array. Expected at least one item.', 'empty_array', 'embeddings');
    ELSIF cardinality(ids) <> items OR cardinality(embeddings) <> items OR cardinality(metadata) <> items THEN
        PERFORM vectorstore._fail('22023', 'The arrays must have one item for each content.', 'invalid_value', 'embeddings');
    END IF;
    SELECT min(u.item) FILTER (WHERE u.content IS NULL) AS no_content,
           min(u.item) FILTER (WHERE octet_length(u.content) > 262144) AS long_content,
           min(u.item) FILTER (WHERE @extschema:vector@.vector_dims(u.embedding) <> store.dimensions) AS other_dimensions,
           min(u.item) FILTER (WHERE @extschema:vector@.vector_norm(u.embedding) = 0) AS zero,
           min(u.item) FILTER (WHERE jsonb_typeof(u.metadata) <> 'object') AS no_object,
           min(u.item) FILTER (WHERE octet_length(u.metadata::text) > 65536) AS long_metadata,
           min(u.item) FILTER (WHERE u.embedding IS NULL) AS no_embedding,
           min(u.item) FILTER (WHERE u.id = '' OR length(u.id) > 256) AS bad_id,
           count(u.id) <> count(DISTINCT u.id) AS twice
    INTO bad
    FROM unnest(contents, ids, embeddings, metadata) WITH ORDINALITY AS u(content, id, embedding, metadata, item);
    IF bad.no_content IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Item %s has no content.', bad.no_content), 'missing_required_parameter', 'content');
    ELSIF bad.long_content IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The content of item %s is too long. Expected at most 262144 bytes.', bad.long_content), 'string_above_max_length', 'content');
    ELSIF bad.other_dimensions IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The embedding of item %s has %s dimensions, but the store takes %s.', bad.other_dimensions,
            @extschema:vector@.vector_dims(embeddings[bad.other_dimensions]), store.dimensions), 'invalid_value', 'embedding');
    ELSIF bad.zero IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The embedding of item %s is all zeros and has no direction.', bad.zero), 'invalid_value', 'embedding');
    ELSIF bad.no_object IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The metadata of item %s is not an object.', bad.no_object), 'invalid_type', 'metadata');
    ELSIF bad.long_metadata IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The metadata of item %s is too long. Expected at most 65536 bytes.', bad.long_metadata), 'invalid_value', 'metadata');
    ELSIF bad.bad_id IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The id of item %s is empty or longer than 256 characters.', bad.bad_id), 'invalid_value', 'id');
    ELSIF bad.twice THEN
        PERFORM vectorstore._fail('22023', 'An id stands more than once.', 'invalid_value', 'id');
    ELSIF bad.no_embedding IS NOT NULL AND store.embedding_model <> 'local' THEN
        PERFORM vectorstore._fail('22023', format('Item %s has no embedding, and the store ''%s'' has no embedding model.', bad.no_embedding, store.name),
            'missing_required_parameter', 'embedding');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_embeddings(bigint, text[], text[], @extschema:vector@.vector[], jsonb[]) IS '22023, naming the first bad item, for chunks that the store cannot take.';

-- The embedding of a text for a row: a text without tokens has no direction and cannot be stored.
CREATE OR REPLACE FUNCTION vectorstore._embed_content(content text) RETURNS @extschema:vector@.vector
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    embedding @extschema:vector@.vector := vectorstore._embed(content)::@extschema:vector@.vector;
BEGIN
    IF @extschema:vector@.vector_norm(embedding) = 0 THEN
        PERFORM vectorstore._fail('22023', 'A text without words cannot be embedded.', 'invalid_value', 'content');
    END IF;
    RETURN embedding;
END
$$;
COMMENT ON FUNCTION vectorstore._embed_content(text) IS 'Embeds a text for storage; 22023 for one without tokens.';

CREATE OR REPLACE FUNCTION vectorstore._upsert(
    p_store_id bigint, contents text[], ids text[], embeddings @extschema:vector@.vector[], metadata jsonb[]
) RETURNS text[]
    -- Words of more than 2,047 bytes are left out of the keyword index; a notice for each helps nobody. The rows of a call
    -- pass through a sort and a transition table, and should not go through files for that.
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning SET work_mem = '64MB'
AS $$
DECLARE
    store record;
    names text[];
    numbers bigint[];
BEGIN
    IF cardinality(contents) > 10000 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''embeddings'': array too long. Expected at most 10000 items, but got %s.', cardinality(contents)), 'array_above_max_length', 'embeddings');
    END IF;
    PERFORM vectorstore._check_embeddings(p_store_id, contents, ids, embeddings, metadata);
    PERFORM vectorstore._require_active(p_store_id);
    SELECT s.tenant_id, s.language INTO store FROM vectorstore.stores s WHERE s.store_id = p_store_id;
    names := ARRAY(SELECT coalesce(u.id, vectorstore._random_id('emb_')) FROM unnest(contents, ids) WITH ORDINALITY AS u(content, id, item) ORDER BY u.item);
    numbers := ARRAY(SELECT nextval('vectorstore.embeddings_chunk_id_seq') FROM unnest(contents));
    INSERT INTO vectorstore.embeddings AS e (store_id, chunk_id, tenant_id, id, language, embedding, metadata, filename, content)
    OVERRIDING SYSTEM VALUE
    SELECT p_store_id, u.number, store.tenant_id, u.name,
           CASE store.language WHEN 127 THEN vectorstore._detect_language(u.content, 0::smallint) ELSE store.language END,
           coalesce(u.embedding, vectorstore._embed_content(u.content)), coalesce(u.metadata, '{}'),
           u.metadata->>'filename', u.content
    FROM unnest(numbers, contents, names, ids, embeddings, metadata) AS u(number, content, name, id, embedding, metadata)
    -- Whoever writes the same ids locks them in the same order. The numbers keep the order in which the chunks came.
    ORDER BY u.id COLLATE "C", u.number
    ON CONFLICT (store_id, id) DO UPDATE SET
        content = excluded.content, embedding = excluded.embedding, metadata = excluded.metadata,
        filename = excluded.filename, language = excluded.language, version = e.version + 1, updated_at = now();
    RETURN names;
END
$$;
COMMENT ON FUNCTION vectorstore._upsert(bigint, text[], text[], @extschema:vector@.vector[], jsonb[]) IS 'Checks and writes chunks; returns their ids in order.';

-- The array form has other argument names, so that a call with named arguments is never ambiguous.
-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_upsert(
    store text, contents text[], ids text[] DEFAULT NULL, embeddings @extschema:vector@.vector[] DEFAULT NULL, metadatas jsonb[] DEFAULT NULL
) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._upsert(vectorstore._store(store, 'write'), contents, ids, embeddings, metadatas);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_upsert(text, text[], text[], @extschema:vector@.vector[], jsonb[]) IS
    'Inserts chunks, or replaces those whose ids exist; returns the ids in order. All or nothing. At most 10,000 contents of 262,144 bytes. A missing embedding is made from the content by the store''s model.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_upsert(
    store text, content text, id text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, metadata jsonb DEFAULT NULL
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (vectorstore._upsert(vectorstore._store(store, 'write'), ARRAY[content], ARRAY[id], ARRAY[embedding], ARRAY[metadata]))[1];
END
$$;
COMMENT ON FUNCTION @extschema@.vs_upsert(text, text, text, @extschema:vector@.vector, jsonb) IS
    'Inserts one chunk, or replaces the one with this id; returns the id. A missing embedding is made from the content by the store''s model.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_get(
    store text, INOUT id text, OUT file_id text, OUT filename text, OUT content text, OUT metadata jsonb,
    OUT embedding @extschema:vector@.vector, OUT version integer, OUT created_at timestamptz, OUT updated_at timestamptz
) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store);
BEGIN
    RETURN QUERY
    SELECT e.id, e.file_id, e.filename, e.content, e.metadata, e.embedding, e.version, e.created_at, e.updated_at
    FROM vectorstore.embeddings e
    WHERE e.store_id = number AND e.id = vs_get.id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_get(text, text) IS 'The chunk with this id, as one row; no row when there is none.';

CREATE FUNCTION vectorstore._hold_embeddings(p_store_id bigint, p_ids text[]) RETURNS text[]
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT e.id FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.id = ANY (p_ids) ORDER BY e.id FOR UPDATE);
END
$$;
COMMENT ON FUNCTION vectorstore._hold_embeddings(bigint, text[]) IS
    'Locks chunks in the order of their ids, as whoever writes them does (a delete alone takes them as they lie), and returns the ids of those that exist.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_delete(store text, ids text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
    deleted bigint;
BEGIN
    ids := vectorstore._hold_embeddings(number, ids);
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = ANY (ids);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete(text, text[]) IS 'Deletes chunks by id; returns how many existed.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_delete(store text, id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
BEGIN
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = vs_delete.id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete(text, text) IS 'Deletes one chunk; false when there was none.';


-- ---- api/search.sql
-- Search. The work is done by vectorstore._search, in extension/src/search; here are its faces. Nothing is written,
-- so search runs on a standby too.

-- The engine: queries and embeddings go together by place, either may be NULL.
COMMENT ON TYPE vectorstore.search_hit IS 'A chunk that a search found.';

CREATE OR REPLACE FUNCTION vectorstore._search(
    store_id bigint, queries text[], embeddings @extschema:vector@.vector[], options jsonb
) RETURNS SETOF vectorstore.search_hit
    LANGUAGE c STABLE ROWS 10 AS 'MODULE_PATHNAME', 'search_wrapper';
COMMENT ON FUNCTION vectorstore._search(bigint, text[], @extschema:vector@.vector[], jsonb) IS
    'Searches one store; best first, equal scores by chunk_id. The last options.negatives queries are negative. Other options: those of vs_search; list: so many hits in all, of which those behind the first k are nothing but chunk_id and score.';

-- JSON knows no NaN and no infinity; what is neither a number nor NULL becomes one that every range refuses.
CREATE OR REPLACE FUNCTION vectorstore._finite(number double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN number OPERATOR(pg_catalog.<) 'infinity'::pg_catalog.float8
                 AND number OPERATOR(pg_catalog.>) '-infinity'::pg_catalog.float8 THEN number
                WHEN number IS NOT NULL THEN '-1'::pg_catalog.float8 END
$$;
COMMENT ON FUNCTION vectorstore._finite(double precision) IS 'The number, or -1 for one that is not finite.';

-- Times as the engine counts them.
CREATE OR REPLACE FUNCTION vectorstore._microseconds(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE at WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN -9223372036854775808
                   ELSE (extract(epoch FROM at) * 1000000)::bigint - 946684800000000 END
$$;
COMMENT ON FUNCTION vectorstore._microseconds(timestamptz) IS 'Microseconds since 2000-01-01 UTC.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_search(
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


-- ---- api/page.sql
-- Pages of results. The first page freezes the list of its search in a signed token, so that the pages behind it
-- have neither doubles nor gaps whatever is written meanwhile, and the server keeps nothing.

-- Declarations of extension/src/cursor.rs.
CREATE OR REPLACE FUNCTION vectorstore._list_token(
    secret bytea, fingerprint bytea, issued_at bigint, chunk_ids bigint[], scores double precision[]
) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'list_token_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._keyset_token(secret bytea, fingerprint bytea, issued_at bigint, last bigint) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keyset_token_wrapper';
CREATE OR REPLACE FUNCTION vectorstore._read_token(token text, secret bytea, fingerprint bytea)
RETURNS TABLE (chunk_ids bigint[], scores double precision[], last bigint)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'read_token_wrapper';
COMMENT ON FUNCTION vectorstore._list_token(bytea, bytea, bigint, bigint[], double precision[]) IS 'Page token of a list of at most 1,000 chunks.';
COMMENT ON FUNCTION vectorstore._keyset_token(bytea, bytea, bigint, bigint) IS 'Page token of a listing that goes on behind a chunk.';
COMMENT ON FUNCTION vectorstore._read_token(text, bytea, bytea) IS 'What a page token leads to; 22023 for a token that is not ours or belongs to another request.';

-- One page of a search, or without any query of the store's chunks in their order.
CREATE OR REPLACE FUNCTION vectorstore._page(
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

CREATE OR REPLACE FUNCTION vectorstore._list_chunks(p_store_id bigint, p_options jsonb, p_after bigint, p_rows integer) RETURNS vectorstore.search_hit[]
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
CREATE OR REPLACE FUNCTION vectorstore._passes(virtual boolean, metadata jsonb, filename text, file_id text, id text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN virtual
        THEN pg_catalog.jsonb_build_object('filename', coalesce(filename, 'document.txt'), 'file_id', coalesce(file_id, id))
             OPERATOR(pg_catalog.||) metadata
        ELSE metadata END
$$;
COMMENT ON FUNCTION vectorstore._passes(boolean, jsonb, text, text, text) IS 'The object that a filter is applied to.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_search_page(
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


-- ---- api/facets.sql
-- Facets: how often each value of a metadata key occurs.

CREATE OR REPLACE FUNCTION vectorstore._facets(store_id bigint, keys text[], options jsonb)
RETURNS TABLE (key text, value jsonb, count bigint)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'facets_wrapper';
COMMENT ON FUNCTION vectorstore._facets(bigint, text[], jsonb) IS
    'Counts the values of metadata keys over all chunks that pass options.filter and the times created_from and created_to.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_facets(
    store text, keys text[], filter jsonb DEFAULT NULL, query text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL,
    candidates integer DEFAULT 1000, mode text DEFAULT 'hybrid', max_values integer DEFAULT 10,
    created_from timestamptz DEFAULT NULL, created_to timestamptz DEFAULT NULL, boundaries double precision[] DEFAULT NULL
) RETURNS TABLE (key text, value jsonb, count bigint, exact boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    number bigint := vectorstore._store(store);
    options jsonb := jsonb_build_object('filter', filter, 'created_from', vectorstore._microseconds(created_from),
                                        'created_to', vectorstore._microseconds(created_to));
BEGIN
    PERFORM vectorstore._require_active(number);
    RETURN QUERY SELECT f.key, f.value, f.count, f.exact
    FROM vectorstore._facet_list(number, keys, options, query, embedding, candidates, mode, max_values, boundaries) f;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_facets(text, text[], jsonb, text, @extschema:vector@.vector, integer, text, integer, timestamptz, timestamptz, double precision[]) IS
    'Values of metadata keys with their counts, the most frequent max_values (1..1000) of each key. Without query and embedding: exact, over all chunks that pass the filter. With one: over the best candidates (1..10000) of that search, and exact is false. boundaries: ascending numbers; numeric values are then counted by range, as {"from", "to"}, from inclusive.';

CREATE OR REPLACE FUNCTION vectorstore._facet_list(
    p_store_id bigint, p_keys text[], p_options jsonb, p_query text, p_embedding @extschema:vector@.vector,
    p_candidates integer, p_mode text, p_max_values integer, p_boundaries double precision[]
) RETURNS TABLE (key text, value jsonb, count bigint, exact boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    all_rows boolean := p_query IS NULL AND p_embedding IS NULL;
    -- Each once.
    keys text[] := ARRAY(SELECT DISTINCT u.key FROM unnest(p_keys) AS u(key));
    bounds double precision[] := '-infinity'::double precision || p_boundaries || 'infinity'::double precision;
BEGIN
    IF coalesce(cardinality(p_keys), 0) NOT BETWEEN 1 AND 32 OR array_position(p_keys, NULL) IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', 'Facets take from 1 to 32 keys.', 'invalid_value', 'keys');
    ELSIF p_max_values IS NULL OR p_max_values NOT BETWEEN 1 AND 1000 THEN
        PERFORM vectorstore._fail('22023', 'max_values must be from 1 to 1000.', 'invalid_value', 'max_values');
    ELSIF p_candidates IS NULL OR p_candidates NOT BETWEEN 1 AND 10000 THEN
        PERFORM vectorstore._fail('22023', 'candidates must be from 1 to 10000.', 'invalid_value', 'candidates');
    ELSIF p_boundaries IS NOT NULL
          -- Equal to what is left of it: no NULL, nothing twice or infinite, and one dimension.
          AND p_boundaries IS DISTINCT FROM ARRAY(SELECT DISTINCT b FROM unnest(p_boundaries) b WHERE vectorstore._bound(b) IS NOT NULL ORDER BY b) THEN
        PERFORM vectorstore._fail('22023', 'boundaries must be finite numbers that ascend.', 'invalid_value', 'boundaries');
    END IF;
    RETURN QUERY
    WITH counted AS (
        SELECT f.key, f.value, f.count FROM vectorstore._facets(p_store_id, keys, p_options) f WHERE all_rows
        UNION ALL
        SELECT k.key, r.row->k.key, count(*)
        FROM vectorstore._search(p_store_id, ARRAY[p_query], ARRAY[p_embedding],
                                 p_options || jsonb_build_object('k', p_candidates, 'mode', p_mode)) h
        CROSS JOIN LATERAL vectorstore._passes(true, h.metadata, h.filename, h.file_id, h.id) AS r(row)
        CROSS JOIN unnest(keys) AS k(key)
        WHERE NOT all_rows AND jsonb_typeof(r.row->k.key) IN ('string', 'number', 'boolean')
        GROUP BY 1, 2
    ), ranged AS (
        SELECT c.key, CASE WHEN p_boundaries IS NULL OR jsonb_typeof(c.value) <> 'number' THEN c.value
                           ELSE jsonb_strip_nulls(jsonb_build_object(
                               'from', vectorstore._bound(bounds[width_bucket((c.value)::double precision, p_boundaries) + 1]),
                               'to', vectorstore._bound(bounds[width_bucket((c.value)::double precision, p_boundaries) + 2]))) END AS value,
               c.count
        FROM counted c
    ), summed AS (
        SELECT r.key, r.value, sum(r.count)::bigint AS count,
               row_number() OVER (PARTITION BY r.key ORDER BY sum(r.count) DESC, r.value) AS place
        FROM ranged r GROUP BY r.key, r.value
    )
    SELECT s.key, s.value, s.count, all_rows FROM summed s
    WHERE s.place <= p_max_values ORDER BY array_position(p_keys, s.key), s.place;
END
$$;
COMMENT ON FUNCTION vectorstore._facet_list(bigint, text[], jsonb, text, @extschema:vector@.vector, integer, text, integer, double precision[]) IS
    'Counts over all rows, or over the candidates of a search; 22023 names what is wrong.';

CREATE OR REPLACE FUNCTION vectorstore._bound(bound double precision) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN bound BETWEEN '-1.7976931348623157e308' AND '1.7976931348623157e308' THEN to_jsonb(bound) END $$;
COMMENT ON FUNCTION vectorstore._bound(double precision) IS 'A boundary as JSON; NULL for an infinite one.';


-- ---- api/quotas.sql
-- Quotas: how much a store and a tenant may hold. They are checked where rows are counted, so SQL cannot pass them
-- either; whoever meets one changes nothing at all. Deletes always pass.

CREATE FUNCTION vectorstore._enforce_quotas() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'enforce_quotas_wrapper';
COMMENT ON FUNCTION vectorstore._enforce_quotas() IS 'Setting vectorstore.enforce_quotas.';

-- A quota is crossed once from the time at which there was room to the next: that time names the event. It stands in
-- the row that is counted in, so whoever is refused reads it under the lock that keeps the counts exact.
CREATE FUNCTION vectorstore._fail_quota(p_tenant bigint, p_store_id bigint, p_resource text, p_limit bigint, p_room_at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The transaction will leave no trace of it; shared memory does, where the time takes the place of the API key.
    PERFORM vectorstore._stat_note(p_tenant, p_store_id, (extract(epoch FROM p_room_at) * 1000000)::bigint, 'quota.' || p_resource, 1, 0, 0);
    PERFORM vectorstore._fail('53400', format('You exceeded your quota: the %s may hold at most %s %s.',
        CASE p_store_id WHEN 0 THEN 'tenant' ELSE 'vector store' END, p_limit,
        CASE p_resource WHEN 'stores' THEN 'vector stores' ELSE p_resource END), 'insufficient_quota', NULL,
        'Delete something, or have the quota raised: vs_set_quota, vs_set_tenant_quota.');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_quota(bigint, bigint, text, bigint, timestamptz) IS '53400: a quota is used up, in which there was room last at the time given.';

CREATE FUNCTION vectorstore._quota_lock(p_tenant bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT hashtextextended('vectorstore.quota', p_tenant) $$;
COMMENT ON FUNCTION vectorstore._quota_lock(bigint) IS 'Key of the advisory lock that writers share, and that whoever begins or ends to count a tenant holds alone.';

-- Writers of a tenant without limits only share a lock in memory. Nobody who began before the counting did is left
-- uncounted: who sets the first limit waits for them.
CREATE FUNCTION vectorstore._count_tenant(p_tenant bigint, p_stores bigint, p_chunks bigint, p_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    quota record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(vectorstore._quota_lock(p_tenant));
    UPDATE vectorstore.tenant_quotas q
    SET stores = q.stores + p_stores, chunks = q.chunks + p_chunks, usage_bytes = q.usage_bytes + p_bytes
    WHERE q.tenant_id = p_tenant RETURNING q.* INTO quota;
    IF NOT FOUND THEN
        -- An older snapshot may not see the row.
        IF current_setting('transaction_isolation') <> 'read committed' AND vectorstore._is_limited(p_tenant) THEN
            PERFORM vectorstore._fail('40001', 'The quotas of the tenant were changed by another transaction.', NULL, NULL, 'Try again.');
        END IF;
        RETURN;
    END IF;
    IF p_stores > 0 AND quota.stores > quota.max_stores AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_tenant, 0, 'stores', quota.max_stores, quota.stores_room_at);
    ELSIF p_chunks > 0 AND quota.chunks > quota.max_chunks AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_tenant, 0, 'chunks', quota.max_chunks, quota.chunks_room_at);
    ELSIF p_bytes > 0 AND quota.usage_bytes > quota.max_bytes AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_tenant, 0, 'bytes', quota.max_bytes, quota.bytes_room_at);
    END IF;
    IF p_stores < 0 OR p_chunks < 0 OR p_bytes < 0 THEN
        PERFORM vectorstore._make_room(p_tenant, 0);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._count_tenant(bigint, bigint, bigint, bigint) IS
    'Adds to the counts of a tenant that has quotas, and holds them until the transaction ends; 53400 when one is exceeded by what was added.';

CREATE FUNCTION vectorstore._hold_tenants(p_store_ids bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
BEGIN
    FOR tenant IN
        SELECT DISTINCT c.tenant_id FROM vectorstore.store_counters c WHERE c.store_id = ANY (p_store_ids) ORDER BY 1
    LOOP
        PERFORM vectorstore._count_tenant(tenant, 0, 0, 0);
    END LOOP;
END
$$;
COMMENT ON FUNCTION vectorstore._hold_tenants(bigint[]) IS 'Locks the counts of the tenants of these stores, as everybody does before the counters of a store.';

CREATE FUNCTION vectorstore._check_quota(p_counters record, p_chunks bigint, p_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_chunks > 0 AND p_counters.chunks > p_counters.max_chunks AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_counters.tenant_id, p_counters.store_id, 'chunks', p_counters.max_chunks, p_counters.chunks_room_at);
    ELSIF p_bytes > 0 AND p_counters.usage_bytes > p_counters.max_bytes AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_counters.tenant_id, p_counters.store_id, 'bytes', p_counters.max_bytes, p_counters.bytes_room_at);
    ELSIF (p_chunks < 0 OR p_bytes < 0) AND (p_counters.max_chunks IS NOT NULL OR p_counters.max_bytes IS NOT NULL) THEN
        PERFORM vectorstore._make_room(p_counters.tenant_id, p_counters.store_id);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_quota(record, bigint, bigint) IS '53400 when a change exceeded a quota of its store.';

CREATE FUNCTION vectorstore._is_limited(p_tenant bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'is_limited_wrapper';
COMMENT ON FUNCTION vectorstore._is_limited(bigint) IS 'Whether the tenant has quotas by now, whatever the transaction sees.';

-- Whoever makes room holds the counts. The clock may be set back; times of room only grow.
CREATE FUNCTION vectorstore._room_at(p_used bigint, p_limit bigint, p_room_at timestamptz) RETURNS timestamptz
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p_used < p_limit OR p_limit IS NULL THEN greatest(clock_timestamp(), p_room_at + interval '1 microsecond')
                ELSE p_room_at END
$$;
COMMENT ON FUNCTION vectorstore._room_at(bigint, bigint, timestamptz) IS 'When there was room last in a quota: now, if there is any.';

CREATE FUNCTION vectorstore._make_room(p_tenant bigint, p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_store_id = 0 THEN
        UPDATE vectorstore.tenant_quotas q SET
            stores_room_at = vectorstore._room_at(q.stores, q.max_stores, q.stores_room_at),
            chunks_room_at = vectorstore._room_at(q.chunks, q.max_chunks, q.chunks_room_at),
            bytes_room_at = vectorstore._room_at(q.usage_bytes, q.max_bytes, q.bytes_room_at)
        WHERE q.tenant_id = p_tenant;
    ELSE
        UPDATE vectorstore.store_counters c SET
            chunks_room_at = vectorstore._room_at(c.chunks, c.max_chunks, c.chunks_room_at),
            bytes_room_at = vectorstore._room_at(c.usage_bytes, c.max_bytes, c.bytes_room_at)
        WHERE c.store_id = p_store_id;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._make_room(bigint, bigint) IS
    'To be called when less is held or more is allowed: from now on refusals are another event in each quota that has room. 0: the quotas of the tenant.';

-- Whoever makes room leaves the events alone, or flushes of statistics would wait for its transaction.
CREATE FUNCTION vectorstore._end_quota_events(p_moment timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.quota_events e SET resolved_at = p_moment
    WHERE e.resolved_at IS NULL
      AND NOT EXISTS (SELECT FROM vectorstore._room_times(e.tenant_id, e.store_id) r WHERE r.resource = e.resource AND r.room_at = e.room_at);
END
$$;
COMMENT ON FUNCTION vectorstore._end_quota_events(timestamptz) IS 'Ends the events since which there was room.';

CREATE FUNCTION vectorstore._room_times(p_tenant bigint, p_store_id bigint) RETURNS TABLE (resource text, room_at timestamptz)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.resource, r.room_at FROM vectorstore.tenant_quotas q
    CROSS JOIN LATERAL (VALUES ('stores', q.stores_room_at), ('chunks', q.chunks_room_at), ('bytes', q.bytes_room_at)) AS r(resource, room_at)
    WHERE p_store_id = 0 AND q.tenant_id = p_tenant
    UNION ALL
    SELECT r.resource, r.room_at FROM vectorstore.store_counters c
    CROSS JOIN LATERAL (VALUES ('chunks', c.chunks_room_at), ('bytes', c.bytes_room_at)) AS r(resource, room_at)
    WHERE c.store_id = p_store_id
$$;
COMMENT ON FUNCTION vectorstore._room_times(bigint, bigint) IS 'When there was room last in each quota of a store, or, 0, of the tenant.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_quota(store text, max_chunks bigint DEFAULT NULL, max_bytes bigint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._set_quota(vectorstore._store(store, 'admin'), max_chunks, max_bytes);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_quota(text, bigint, bigint) IS
    'Limits a store (id or name) to so many chunks and so many bytes, counted as usage_bytes is; NULL for no limit. What is there already stays; while it is more, nothing can be added. 53400 for whoever exceeds it, SQL and HTTP alike.';

CREATE FUNCTION vectorstore._set_quota(p_store_id bigint, p_max_chunks bigint, p_max_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
BEGIN
    PERFORM vectorstore._check_limits(jsonb_build_object('max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
    UPDATE vectorstore.store_counters c SET max_chunks = p_max_chunks, max_bytes = p_max_bytes
    WHERE c.store_id = p_store_id RETURNING c.tenant_id INTO tenant;
    PERFORM vectorstore._make_room(tenant, p_store_id);
    PERFORM vectorstore._audit(tenant, 'quota.set', (SELECT s.id FROM vectorstore.stores s WHERE s.store_id = p_store_id),
        jsonb_build_object('max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
END
$$;
COMMENT ON FUNCTION vectorstore._set_quota(bigint, bigint, bigint) IS 'Sets the quotas of a store.';

CREATE FUNCTION vectorstore._check_limits(p_limits jsonb) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bad text := (SELECT min(l.key) FROM jsonb_each_text(p_limits) AS l WHERE l.value::bigint < 0);
BEGIN
    IF bad IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': integer below minimum value. Expected a value >= 0.', bad), 'integer_below_min_value', bad);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_limits(jsonb) IS '22023 for a negative limit.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_tenant_quota(
    tenant text, max_stores bigint DEFAULT NULL, max_chunks bigint DEFAULT NULL, max_bytes bigint DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._require_operator();
    PERFORM vectorstore._set_tenant_quota(vectorstore._find_tenant(tenant), max_stores, max_chunks, max_bytes);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_tenant_quota(text, bigint, bigint, bigint) IS
    'Limits a tenant to so many stores, chunks and bytes over all its stores; NULL for no limit. While a tenant has quotas its writers wait for each other. Waits for those under way; 25001 in a transaction that is not READ COMMITTED. For members of vectorstore_admin.';

CREATE FUNCTION vectorstore._set_tenant_quota(p_tenant bigint, p_max_stores bigint, p_max_chunks bigint, p_max_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._check_limits(jsonb_build_object('max_stores', p_max_stores, 'max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
    -- The counts are read after everybody has gone who was not counted, and an older snapshot would not see them.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM vectorstore._fail('25001', 'Quotas of a tenant can be set only in a READ COMMITTED transaction.');
    END IF;
    PERFORM pg_advisory_xact_lock(vectorstore._quota_lock(p_tenant));
    IF num_nonnulls(p_max_stores, p_max_chunks, p_max_bytes) = 0 THEN
        DELETE FROM vectorstore.tenant_quotas q WHERE q.tenant_id = p_tenant;
    ELSE
        INSERT INTO vectorstore.tenant_quotas (tenant_id, max_stores, max_chunks, max_bytes, stores, chunks, usage_bytes, stores_room_at, chunks_room_at, bytes_room_at)
        SELECT p_tenant, p_max_stores, p_max_chunks, p_max_bytes, count(*), coalesce(sum(c.chunks), 0), coalesce(sum(c.usage_bytes), 0),
               clock_timestamp(), clock_timestamp(), clock_timestamp()
        FROM vectorstore.store_counters c WHERE c.tenant_id = p_tenant
        ON CONFLICT (tenant_id) DO UPDATE SET max_stores = excluded.max_stores, max_chunks = excluded.max_chunks, max_bytes = excluded.max_bytes;
    END IF;
    PERFORM vectorstore._make_room(p_tenant, 0);
    PERFORM vectorstore._audit(p_tenant, 'quota.set', (SELECT t.id FROM vectorstore.tenants t WHERE t.tenant_id = p_tenant),
        jsonb_build_object('max_stores', p_max_stores, 'max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
END
$$;
COMMENT ON FUNCTION vectorstore._set_tenant_quota(bigint, bigint, bigint, bigint) IS
    'Sets the quotas of a tenant, and counts it from now on when it has any. Waits for its writers. 25001 in a transaction that is not READ COMMITTED.';

-- A statement sees counts and rows of one moment: what it finds is drift, whatever others write meanwhile.
CREATE FUNCTION vectorstore._counts(p_store_ids bigint[])
RETURNS TABLE (store_id bigint, counter text, counted bigint, actual bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT c.store_id, n.counter, n.counted, n.actual
    FROM vectorstore.store_counters c
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks, coalesce(sum(vectorstore._tsv_length(e.tsv)), 0)::bigint AS tokens,
               coalesce(sum(octet_length(e.content) + 4 * @extschema:vector@.vector_dims(e.embedding)), 0)::bigint AS bytes
        FROM vectorstore.embeddings e WHERE e.store_id = c.store_id) e
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE f.status = 'in_progress') AS in_progress, count(*) FILTER (WHERE f.status = 'completed') AS completed,
               count(*) FILTER (WHERE f.status = 'failed') AS failed, count(*) FILTER (WHERE f.status = 'cancelled') AS cancelled
        FROM vectorstore.store_files f WHERE f.store_id = c.store_id) f
    CROSS JOIN LATERAL (VALUES
        ('chunks', c.chunks, e.chunks), ('tokens', c.tokens, e.tokens), ('usage_bytes', c.usage_bytes, e.bytes),
        ('files_in_progress', c.files_in_progress, f.in_progress), ('files_completed', c.files_completed, f.completed),
        ('files_failed', c.files_failed, f.failed), ('files_cancelled', c.files_cancelled, f.cancelled)) AS n(counter, counted, actual)
    WHERE c.store_id = ANY (p_store_ids);
END
$$;
COMMENT ON FUNCTION vectorstore._counts(bigint[]) IS 'The counters of stores, each beside what is there.';

CREATE FUNCTION vectorstore._tenant_counts(p_tenant bigint)
RETURNS TABLE (counter text, counted bigint, actual bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT n.counter, n.counted, n.actual
    FROM vectorstore.tenant_quotas q
    CROSS JOIN LATERAL (
        SELECT count(*) AS stores, coalesce(sum(c.chunks), 0)::bigint AS chunks, coalesce(sum(c.usage_bytes), 0)::bigint AS bytes
        FROM vectorstore.store_counters c WHERE c.tenant_id = q.tenant_id) c
    CROSS JOIN LATERAL (VALUES ('tenant_stores', q.stores, c.stores), ('tenant_chunks', q.chunks, c.chunks),
        ('tenant_usage_bytes', q.usage_bytes, c.bytes)) AS n(counter, counted, actual)
    WHERE q.tenant_id = p_tenant;
END
$$;
COMMENT ON FUNCTION vectorstore._tenant_counts(bigint) IS 'The counts of a tenant that has quotas, each beside the sum over its stores.';

-- API: public
CREATE FUNCTION @extschema@.vs_verify_stats(store text DEFAULT NULL, fix boolean DEFAULT false)
RETURNS TABLE (store_id text, counter text, counted bigint, actual bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant bigint := vectorstore._current_tenant();
    numbers bigint[];
BEGIN
    IF tenant IS NOT NULL THEN
        PERFORM vectorstore._require_access('admin');
    END IF;
    IF store IS NOT NULL THEN
        numbers := ARRAY[vectorstore._store(store, 'admin')];
    ELSIF tenant IS NOT NULL THEN
        numbers := ARRAY(SELECT s.store_id FROM vectorstore.stores s WHERE s.tenant_id = tenant ORDER BY s.store_id);
    END IF;
    IF fix AND numbers <> '{}' THEN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM vectorstore._fail('25001', 'Counters can be put right only in a READ COMMITTED transaction.');
        END IF;
        -- Writers wait here; the next statement sees what they have committed.
        PERFORM pg_advisory_xact_lock(vectorstore._quota_lock(tenant));
        PERFORM FROM vectorstore.store_counters c WHERE c.store_id = ANY (numbers) ORDER BY c.store_id FOR UPDATE;
    END IF;
    RETURN QUERY
    SELECT s.id, n.counter, n.counted, n.actual FROM vectorstore._counts(numbers) n JOIN vectorstore.stores s USING (store_id)
    WHERE n.counted <> n.actual ORDER BY s.store_id, n.counter;
    IF fix AND numbers <> '{}' THEN
        UPDATE vectorstore.store_counters c SET
            chunks = n.chunks, tokens = n.tokens, usage_bytes = n.usage_bytes, files_in_progress = n.files_in_progress,
            files_completed = n.files_completed, files_failed = n.files_failed, files_cancelled = n.files_cancelled
        FROM (
            SELECT n.store_id, max(n.actual) FILTER (WHERE n.counter = 'chunks') AS chunks, max(n.actual) FILTER (WHERE n.counter = 'tokens') AS tokens,
                   max(n.actual) FILTER (WHERE n.counter = 'usage_bytes') AS usage_bytes,
                   max(n.actual) FILTER (WHERE n.counter = 'files_in_progress') AS files_in_progress,
                   max(n.actual) FILTER (WHERE n.counter = 'files_completed') AS files_completed,
                   max(n.actual) FILTER (WHERE n.counter = 'files_failed') AS files_failed,
                   max(n.actual) FILTER (WHERE n.counter = 'files_cancelled') AS files_cancelled
            FROM vectorstore._counts(numbers) n GROUP BY n.store_id HAVING bool_or(n.counted <> n.actual)) n
        WHERE c.store_id = n.store_id;
    END IF;
    IF store IS NULL THEN
        RETURN QUERY SELECT NULL::text, n.counter, n.counted, n.actual FROM vectorstore._tenant_counts(tenant) n
        WHERE n.counted <> n.actual ORDER BY n.counter;
    END IF;
    IF fix THEN
        UPDATE vectorstore.tenant_quotas q SET stores = n.stores, chunks = n.chunks, usage_bytes = n.bytes
        FROM (SELECT max(n.actual) FILTER (WHERE n.counter = 'tenant_stores') AS stores, max(n.actual) FILTER (WHERE n.counter = 'tenant_chunks') AS chunks,
                     max(n.actual) FILTER (WHERE n.counter = 'tenant_usage_bytes') AS bytes
              FROM vectorstore._tenant_counts(tenant) n) n
        WHERE q.tenant_id = tenant;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_verify_stats(text, boolean) IS
    'Compares the counters of a store (id or name), or of all stores of the tenant and the tenant''s own, with what is stored; a row for each that differs, none when all are exact. store_id is NULL for the tenant. Exact under concurrent writes; reads every chunk. fix: puts them right, and keeps writers of the tenant waiting meanwhile.';

CREATE FUNCTION vectorstore._quotas_of(p_tenant bigint)
RETURNS TABLE (store_id text, name text, resource text, used bigint, quota bigint, exceeded_at timestamptz, refused bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT l.id, l.name, l.resource, l.used, l.quota, e.created_at, e.refused
    FROM (
        SELECT 0::bigint AS store_id, NULL::text AS id, NULL::text AS name, n.resource, n.used, n.quota, n.room_at
        FROM vectorstore.tenant_quotas q
        CROSS JOIN LATERAL (VALUES ('stores', q.stores, q.max_stores, q.stores_room_at), ('chunks', q.chunks, q.max_chunks, q.chunks_room_at),
                                   ('bytes', q.usage_bytes, q.max_bytes, q.bytes_room_at)) AS n(resource, used, quota, room_at)
        WHERE q.tenant_id = p_tenant
        UNION ALL
        SELECT s.store_id, s.id, s.name, n.resource, n.used, n.quota, n.room_at
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        CROSS JOIN LATERAL (VALUES ('chunks', c.chunks, c.max_chunks, c.chunks_room_at),
                                   ('bytes', c.usage_bytes, c.max_bytes, c.bytes_room_at)) AS n(resource, used, quota, room_at)
        WHERE s.tenant_id = p_tenant) l
    LEFT JOIN vectorstore.quota_events e ON e.tenant_id = p_tenant AND e.store_id = l.store_id AND e.resource = l.resource AND e.room_at = l.room_at
    WHERE l.quota IS NOT NULL
    ORDER BY l.store_id, l.resource;
END
$$;
COMMENT ON FUNCTION vectorstore._quotas_of(bigint) IS 'The quotas of a tenant and of its stores, and how much of them is used.';

CREATE FUNCTION vectorstore._quotas()
RETURNS TABLE (store_id text, name text, resource text, used bigint, quota bigint, exceeded_at timestamptz, refused bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM vectorstore._quotas_of(vectorstore._current_tenant());
END
$$;
COMMENT ON FUNCTION vectorstore._quotas() IS 'Rows of vs_quotas.';

CREATE VIEW @extschema@.vs_quotas AS SELECT * FROM vectorstore._quotas();
COMMENT ON VIEW @extschema@.vs_quotas IS 'The quotas of the caller''s tenant and of its stores.';
COMMENT ON COLUMN @extschema@.vs_quotas.store_id IS 'Public id of the store; NULL for a quota of the whole tenant.';
COMMENT ON COLUMN @extschema@.vs_quotas.name IS 'Name of the store.';
COMMENT ON COLUMN @extschema@.vs_quotas.resource IS 'What is limited: stores, chunks or bytes.';
COMMENT ON COLUMN @extschema@.vs_quotas.used IS 'How much there is.';
COMMENT ON COLUMN @extschema@.vs_quotas.quota IS 'How much there may be.';
COMMENT ON COLUMN @extschema@.vs_quotas.exceeded_at IS 'Since when writes have been refused; NULL when none was since something was deleted, or the quota raised, that made room.';
COMMENT ON COLUMN @extschema@.vs_quotas.refused IS 'How many writes were refused since.';


-- ---- api/merge.sql
-- Changes of a store's chunks, and the merges that pack them into segments.
--
-- Who locks what, in this order: a writer the counts of its tenant, if that has quotas (its row in tenant_quotas), and
-- the counters of its store (its row in store_counters), a merge the store's merge lock and, last, its row in search_indexes. A merge never touches store_counters and a writer
-- never search_indexes, so that neither waits for the other.

-- The advisory lock under which a store's segments are replaced.
CREATE OR REPLACE FUNCTION vectorstore._merge_lock(p_store_id bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT hashtextextended('vectorstore.merge', p_store_id) $$;
COMMENT ON FUNCTION vectorstore._merge_lock(bigint) IS 'Key of the advisory lock that a merge of the store holds.';

CREATE OR REPLACE FUNCTION vectorstore._fail_dropped() RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._fail('P0002', 'The vector store does not exist; it may have been deleted just now.', NULL, 'store');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_dropped() IS 'P0002 for a write to a store that is gone.';

-- Called by the statement triggers of embeddings, once a store. The counters' row is also what a writer and a drop
-- of the store meet at: the later one waits, and a writer that finds the store gone fails.
CREATE OR REPLACE FUNCTION vectorstore._note_change(
    p_store_id bigint, p_chunks bigint, p_tokens bigint, p_bytes bigint, p_added bigint[], p_removed bigint[], p_languages smallint[]
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- So many rows at once make a segment of their own; written to the tail they would only be moved again.
    bulk boolean := cardinality(p_added) >= 2048;
    noted bigint[] := CASE WHEN bulk THEN '{}' ELSE p_added END;
    waiting bigint;
    consumed bigint;
    index_kind text;
    store_language smallint;
    tenant bigint := (SELECT s.tenant_id FROM vectorstore.store_counters s WHERE s.store_id = p_store_id);
    counters record;
BEGIN
    IF tenant IS NOT NULL THEN
        PERFORM vectorstore._count_tenant(tenant, 0, p_chunks, p_bytes);
    END IF;
    UPDATE vectorstore.store_counters s SET
        chunks = s.chunks + p_chunks, tokens = s.tokens + p_tokens, usage_bytes = s.usage_bytes + p_bytes,
        added = s.added + cardinality(noted) + cardinality(p_removed)
    WHERE s.store_id = p_store_id
    RETURNING s.* INTO counters;
    IF NOT FOUND THEN
        IF cardinality(p_added) > 0 THEN
            PERFORM vectorstore._fail_dropped();
        ELSIF tenant IS NOT NULL THEN
            -- Dropped while this waited: what it held has left the counts of the tenant already.
            PERFORM vectorstore._count_tenant(tenant, 0, -p_chunks, -p_bytes);
        END IF;
        RETURN; -- Rows of a dropped store leave without a note.
    END IF;
    PERFORM vectorstore._check_quota(counters, p_chunks, p_bytes);
    PERFORM vectorstore._note_usage(tenant, p_store_id, p_chunks, p_bytes);
    waiting := counters.added;
    store_language := (SELECT t.language FROM vectorstore.stores t WHERE t.store_id = p_store_id);
    IF store_language = 127 AND cardinality(p_languages) > 0 THEN
        PERFORM vectorstore._note_languages(p_store_id, p_languages);
    END IF;
    IF cardinality(noted) + cardinality(p_removed) > 0 THEN
        INSERT INTO vectorstore.changes (store_id, added, removed) VALUES (p_store_id, noted, p_removed);
    END IF;
    IF bulk THEN
        PERFORM vectorstore._pack(p_store_id, p_added);
    END IF;
    SELECT i.packed, i.kind INTO consumed, index_kind FROM vectorstore.search_indexes i WHERE i.store_id = p_store_id;
    IF index_kind = 'hnsw' THEN
        PERFORM vectorstore._note_hnsw(p_store_id, p_added, p_removed);
    END IF;
    waiting := waiting - coalesce(consumed, 0);
    IF bulk OR waiting > vectorstore._tail_limit() THEN
        PERFORM vectorstore._consider_merge(p_store_id, waiting);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._note_change(bigint, bigint, bigint, bigint, bigint[], bigint[], smallint[]) IS
    'Counts what a statement did to a store, notes the chunk ids, and sees to it that somebody merges; P0002 for a store that is gone, 53400 when a quota is exceeded.';

-- A worker merges once this transaction has committed. When none came for long, the writer does it: that bounds the tail.
CREATE OR REPLACE FUNCTION vectorstore._consider_merge(p_store_id bigint, p_waiting bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tail_limit bigint := vectorstore._tail_limit();
BEGIN
    IF NOT vectorstore._background_merge()
       OR (p_waiting <= tail_limit AND cardinality(vectorstore._merge_plan(p_store_id, 0)) = 0)
       -- Somebody merges already. (A lock of this transaction does not count.)
       OR NOT pg_try_advisory_lock(vectorstore._merge_lock(p_store_id)) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_unlock(vectorstore._merge_lock(p_store_id));
    IF p_waiting > 4 * tail_limit AND current_setting('transaction_isolation') = 'read committed' THEN
        PERFORM vectorstore._merge(p_store_id, false);
    ELSE
        PERFORM vectorstore._want_merge(p_store_id);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._consider_merge(bigint, bigint) IS 'Has a store merged when enough waits in its tail, or when it has too many segments.';

-- Segments stand in tiers by their rows, each eight times the one below; more than four of a tier become one. A
-- segment that lost more than a fifth of its rows is written anew.
CREATE OR REPLACE FUNCTION vectorstore._merge_plan(p_store_id bigint, p_rows bigint) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit double precision := vectorstore._tail_limit();
    ids bigint[];
    live bigint[];
    tiers integer[];
    chosen bigint[];
    size bigint;
    members bigint[];
    pending integer;
BEGIN
    SELECT array_agg(s.segment_id), array_agg(s.live),
           array_agg(CASE WHEN s.live <= unit THEN 0 ELSE floor(ln(s.live / unit) / ln(8::double precision))::integer END),
           coalesce(array_agg(s.segment_id) FILTER (WHERE s.live * 5 < s.rows * 4), '{}'),
           p_rows + coalesce(sum(s.live) FILTER (WHERE s.live * 5 < s.rows * 4), 0)
    INTO ids, live, tiers, chosen, size
    FROM (SELECT g.segment_id, g.rows, g.rows - coalesce(bit_count(g.deleted), 0) AS live
          FROM vectorstore.segments g WHERE g.store_id = p_store_id) s;
    FOR tier IN 0 .. coalesce((SELECT max(u.tier) FROM unnest(tiers) AS u(tier)), -1) LOOP
        -- What is about to be written counts in the tier that it falls into.
        pending := (size > 0 AND tier = CASE WHEN size <= unit THEN 0 ELSE floor(ln(size / unit) / ln(8::double precision)) END)::integer;
        members := ARRAY(SELECT u.id FROM unnest(ids, tiers) AS u(id, tier_of) WHERE u.tier_of = tier AND u.id <> ALL (chosen));
        IF cardinality(members) + pending > 4 THEN
            chosen := chosen || members;
            size := size + (SELECT sum(u.live) FROM unnest(ids, live) AS u(id, live) WHERE u.id = ANY (members));
        END IF;
    END LOOP;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION vectorstore._merge_plan(bigint, bigint) IS 'Segments that a merge of so many new rows should rewrite along with them.';

-- One merge. Each statement below has a snapshot of its own, and writers commit in between. Nothing is lost:
--   * What was noted is read by deleting it: exactly the rows that are consumed are seen, and later ones stay.
--   * A row that is deleted or changed after its note was consumed leaves a note that stays: its old version may
--     be packed, and the note hides it, as it hides a row of any segment.
--   * Whoever reads sees the state before the commit, old notes and old segments, or all of the new one.
-- Segments change only under the merge lock; a bulk statement adds whole ones, which stand by themselves.
CREATE OR REPLACE FUNCTION vectorstore._merge(
    p_store_id bigint, p_all boolean, OUT segments bigint, OUT packed bigint, OUT removed bigint
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted bigint;
    ids bigint[] := '{}';
    gone bigint[] := '{}';
    chosen bigint[];
    old_segment bigint;
    new_segment bigint;
    marked bigint[];
BEGIN
    IF p_all THEN
        PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(p_store_id));
    ELSIF NOT pg_try_advisory_xact_lock(vectorstore._merge_lock(p_store_id)) THEN
        RETURN;
    END IF;
    -- A store that was dropped before the lock was ours may have been swept: nothing may be left behind. Dropped
    -- later, it is swept after the merge, because the sweep takes the lock too.
    PERFORM FROM vectorstore.stores s WHERE s.store_id = p_store_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT coalesce(sum(cardinality(c.added) + cardinality(c.removed)), 0) INTO noted
    FROM vectorstore.changes c WHERE c.store_id = p_store_id;
    IF noted > 0 AND (p_all OR noted > vectorstore._tail_limit()) THEN
        WITH consumed AS (
            DELETE FROM vectorstore.changes c WHERE c.store_id = p_store_id RETURNING c.added, c.removed
        )
        SELECT ARRAY(SELECT unnest(c.added) FROM consumed c EXCEPT SELECT unnest(c.removed) FROM consumed c),
               ARRAY(SELECT unnest(c.removed) FROM consumed c EXCEPT SELECT unnest(c.added) FROM consumed c),
               (SELECT sum(cardinality(c.added) + cardinality(c.removed)) FROM consumed c)
        INTO ids, gone, noted;
    ELSE
        noted := 0;
    END IF;

    IF p_all THEN
        chosen := ARRAY(SELECT s.segment_id FROM vectorstore.segments s WHERE s.store_id = p_store_id);
        IF noted = 0 AND cardinality(chosen) <= 1
           AND NOT EXISTS (SELECT FROM vectorstore.segments s WHERE s.store_id = p_store_id AND bit_count(s.deleted) > 0) THEN
            chosen := '{}';
        END IF;
    ELSE
        chosen := vectorstore._merge_plan(p_store_id, cardinality(ids));
    END IF;

    IF noted > 0 OR cardinality(chosen) > 0 THEN
        FOREACH old_segment IN ARRAY chosen LOOP
            ids := ids || vectorstore._segment_chunks(p_store_id, old_segment);
        END LOOP;
        ids := ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(gone) ORDER BY 1);
        DELETE FROM vectorstore.segment_pages p WHERE p.store_id = p_store_id AND p.segment_id = ANY (chosen);
        DELETE FROM vectorstore.segments s WHERE s.store_id = p_store_id AND s.segment_id = ANY (chosen);
        IF cardinality(ids) > 0 THEN
            new_segment := vectorstore._pack(p_store_id, ids);
        END IF;
        -- Removed ids that are in no segment were packed nowhere: their rows went before they could be.
        removed := cardinality(gone);
        FOR old_segment IN
            SELECT s.segment_id FROM vectorstore.segments s
            WHERE s.store_id = p_store_id AND s.segment_id IS DISTINCT FROM new_segment ORDER BY s.segment_id
        LOOP
            EXIT WHEN cardinality(gone) = 0;
            marked := vectorstore._mark_deleted(p_store_id, old_segment, gone);
            gone := ARRAY(SELECT unnest(gone) EXCEPT SELECT unnest(marked) ORDER BY 1);
        END LOOP;
        INSERT INTO vectorstore.search_indexes AS i (store_id, packed, merges, merged_at)
        VALUES (p_store_id, noted, 1, clock_timestamp())
        ON CONFLICT (store_id) DO UPDATE SET
            packed = i.packed + excluded.packed, merges = i.merges + 1, merged_at = excluded.merged_at;
        packed := coalesce((SELECT s.rows FROM vectorstore.segments s
                            WHERE s.store_id = p_store_id AND s.segment_id = new_segment), 0);
    ELSIF p_all THEN
        packed := 0;
        removed := 0;
    END IF;
    segments := (SELECT count(*) FROM vectorstore.segments s WHERE s.store_id = p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore._merge(bigint, boolean) IS
    'Packs what waits in a store''s tail, with the segments that are due, into one segment. p_all: waits for a running merge, and makes everything one segment. Returns the segments there are now, the rows packed and the ids removed; packed is NULL when nothing was due or another merge runs.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_merge(store text, OUT segments bigint, OUT packed bigint, OUT removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT m.segments, m.packed, m.removed INTO segments, packed, removed
    FROM vectorstore._merge(vectorstore._store(store, 'write'), true) m;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_merge(text) IS
    'Packs the whole store into one search segment. Returns the number of segments, of rows packed and of rows taken out. Background workers merge by themselves; this is for after a bulk load, or without them.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_rebuild(store text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
    ids bigint[];
    noted bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(number));
    -- One statement, so one snapshot: whatever it does not see keeps its note, or the segment that its bulk made.
    WITH consumed AS (DELETE FROM vectorstore.changes c WHERE c.store_id = number RETURNING c.added, c.removed),
         pages AS (DELETE FROM vectorstore.segment_pages p WHERE p.store_id = number),
         segments AS (DELETE FROM vectorstore.segments s WHERE s.store_id = number)
    SELECT ARRAY(SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = number ORDER BY e.chunk_id),
           coalesce((SELECT sum(cardinality(c.added) + cardinality(c.removed)) FROM consumed c), 0)
    INTO ids, noted;
    IF cardinality(ids) > 0 THEN
        PERFORM vectorstore._pack(number, ids);
    END IF;
    INSERT INTO vectorstore.search_indexes AS i (store_id, packed, merges, merged_at)
    VALUES (number, noted, 1, clock_timestamp())
    ON CONFLICT (store_id) DO UPDATE SET
        packed = i.packed + excluded.packed, merges = i.merges + 1, merged_at = excluded.merged_at;
    RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_rebuild(text) IS
    'Makes the search segments of a store anew from its rows, and returns how many rows there are. Never needed while segments are sound; after a restore or VACUUM FULL it makes searches a little faster, because segments remember where rows lie.';

-- One round of the background worker, in a transaction of its own: true while there is more to do.
CREATE OR REPLACE FUNCTION vectorstore._maintain(p_store_id bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due record;
BEGIN
    IF to_regclass('vectorstore.changes') IS NULL THEN
        RETURN false;
    END IF;
    -- At most two workers a database: the others' work is found by those.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.worker', 0))
       AND NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.worker', 1)) THEN
        RETURN false;
    END IF;
    IF (vectorstore._merge(p_store_id, false)).packed IS NOT NULL THEN
        RETURN true;
    END IF;
    FOR due IN
        SELECT c.store_id FROM vectorstore.store_counters c LEFT JOIN vectorstore.search_indexes i USING (store_id)
        WHERE c.added - coalesce(i.packed, 0) > vectorstore._tail_limit() AND c.store_id <> p_store_id
        ORDER BY c.added - coalesce(i.packed, 0) DESC
    LOOP
        IF (vectorstore._merge(due.store_id, false)).packed IS NOT NULL THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN vectorstore._sweep(10000) > 0;
END
$$;
COMMENT ON FUNCTION vectorstore._maintain(bigint) IS 'Merges this store or, when it is not due, another one, or else sweeps rows of dropped stores; false when nothing is left to do.';


-- ---- api/indexes.sql
-- How the vectors of a store are searched: by its segments alone, or also by an HNSW index of pgvector over a side
-- table of its own, and how well: the recall watch.
--
-- The side table holds a unit-length half-precision copy of every vector of the store, the tail's too. It is an
-- ordinary table of the owner role: a dump holds it, and a search that finds it uses it.

-- Declaration of a function in extension/src/pack.rs.
CREATE OR REPLACE FUNCTION vectorstore._segment_lists(header bytea) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'segment_lists_wrapper';
COMMENT ON FUNCTION vectorstore._segment_lists(bytea) IS 'Number of lists that a segment''s vectors are divided into, by its header.';

CREATE OR REPLACE FUNCTION vectorstore._hnsw_table(p_store_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT 'hnsw_' || p_store_id $$;
COMMENT ON FUNCTION vectorstore._hnsw_table(bigint) IS 'Name of a store''s side table for HNSW.';

CREATE OR REPLACE FUNCTION vectorstore._hnsw_query(p_store_id bigint) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        'SELECT h.chunk_id FROM vectorstore.%I h ORDER BY h.embedding OPERATOR(@extschema:vector@.<=>) $1::real[]::@extschema:vector@.halfvec LIMIT $2',
        vectorstore._hnsw_table(p_store_id))
$$;
COMMENT ON FUNCTION vectorstore._hnsw_query(bigint) IS 'Statement that asks the HNSW index of a store: $1 the query as real[], $2 the number of chunks.';

CREATE OR REPLACE FUNCTION vectorstore._fill_hnsw(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    side text := vectorstore._hnsw_table(p_store_id);
    size integer := (SELECT s.dimensions FROM vectorstore.stores s WHERE s.store_id = p_store_id);
BEGIN
    IF size > 4000 THEN
        PERFORM vectorstore._fail('22023', format('HNSW indexes vectors of at most 4000 dimensions; this store has %s.', size), 'invalid_value', 'index');
    END IF;
    EXECUTE format('CREATE TABLE vectorstore.%I (chunk_id bigint PRIMARY KEY, embedding @extschema:vector@.halfvec(%s) NOT NULL)', side, size);
    EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', side);
    EXECUTE format('COMMENT ON TABLE vectorstore.%I IS %L', side, 'Vectors of a store for its HNSW index.');
    -- The index is made last: built over all rows at once it is made many times faster than row by row.
    EXECUTE format(
        'INSERT INTO vectorstore.%I (chunk_id, embedding)
         SELECT e.chunk_id, @extschema:vector@.l2_normalize(e.embedding)::@extschema:vector@.halfvec
         FROM vectorstore.embeddings e WHERE e.store_id = $1', side) USING p_store_id;
    EXECUTE format('CREATE INDEX %I ON vectorstore.%I USING hnsw (embedding @extschema:vector@.halfvec_cosine_ops)', side || '_embedding', side);
END
$$;
COMMENT ON FUNCTION vectorstore._fill_hnsw(bigint) IS 'Makes the side table of a store with its HNSW index; 22023 for more than 4000 dimensions.';

-- Locks as a writer does, in its order. The counters are written and not only locked: a writer with an older
-- snapshot, which would not see the index, then fails with 40001 and misses nothing.
CREATE OR REPLACE FUNCTION vectorstore._set_index(p_store_id bigint, p_index text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
BEGIN
    IF p_index IS NULL OR p_index NOT IN ('segments', 'hnsw') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for the index. Supported values are: ''segments'' and ''hnsw''.', 'invalid_value', 'index');
    END IF;
    UPDATE vectorstore.store_counters s SET added = s.added WHERE s.store_id = p_store_id;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_dropped();
    END IF;
    IF p_index = coalesce((SELECT i.kind FROM vectorstore.search_indexes i WHERE i.store_id = p_store_id), 'segments') THEN
        RETURN;
    END IF;
    IF p_index = 'hnsw' THEN
        PERFORM vectorstore._fill_hnsw(p_store_id);
    ELSE
        EXECUTE format('DROP TABLE IF EXISTS vectorstore.%I', vectorstore._hnsw_table(p_store_id));
    END IF;
    INSERT INTO vectorstore.search_indexes AS i (store_id, kind) VALUES (p_store_id, p_index)
    ON CONFLICT (store_id) DO UPDATE SET
        kind = excluded.kind, recall_k = NULL, recall = NULL, recall_samples = 0, recall_at = NULL;
END
$$;
COMMENT ON FUNCTION vectorstore._set_index(bigint, text) IS 'Changes how the vectors of a store are searched; what was measured of its recall is forgotten.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_set_index(store text, index text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._set_index(vectorstore._store(store, 'write'), index);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_index(text, text) IS
    'Chooses how the vectors of a store (id or name) are searched: segments (one-bit codes, the default) or hnsw (pgvector''s HNSW, at most 4000 dimensions). Writers of the store wait until the index is built; searches do not. To segments: waits for searches that are using the index.';

-- Called for stores with HNSW by the common function of the statement triggers.
CREATE OR REPLACE FUNCTION vectorstore._note_hnsw(p_store_id bigint, p_added bigint[], p_removed bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    side text := vectorstore._hnsw_table(p_store_id);
BEGIN
    IF cardinality(p_removed) > 0 THEN
        EXECUTE format('DELETE FROM vectorstore.%I WHERE chunk_id = ANY ($1)', side) USING p_removed;
    END IF;
    IF cardinality(p_added) > 0 THEN
        EXECUTE format(
            'INSERT INTO vectorstore.%I (chunk_id, embedding)
             SELECT e.chunk_id, @extschema:vector@.l2_normalize(e.embedding)::@extschema:vector@.halfvec
             FROM vectorstore.embeddings e WHERE e.store_id = $1 AND e.chunk_id = ANY ($2)', side) USING p_store_id, p_added;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._note_hnsw(bigint, bigint[], bigint[]) IS 'Takes chunks that came and went over into a store''s HNSW index.';

CREATE OR REPLACE FUNCTION vectorstore._clear_hnsw() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store bigint;
BEGIN
    FOR store IN SELECT i.store_id FROM vectorstore.search_indexes i WHERE i.kind = 'hnsw' ORDER BY i.store_id LOOP
        EXECUTE format('TRUNCATE vectorstore.%I', vectorstore._hnsw_table(store));
    END LOOP;
END
$$;
COMMENT ON FUNCTION vectorstore._clear_hnsw() IS 'Empties all HNSW indexes, when the table of chunks is truncated.';

-- A search in an old snapshot may still hold the table. With p_wait it is waited for, else the sweep comes back.
CREATE OR REPLACE FUNCTION vectorstore._drop_hnsw(p_store_id bigint, p_wait boolean) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    side text := vectorstore._hnsw_table(p_store_id);
BEGIN
    IF to_regclass(format('vectorstore.%I', side)) IS NOT NULL THEN
        EXECUTE format('LOCK TABLE vectorstore.%I IN ACCESS EXCLUSIVE MODE%s', side, CASE WHEN NOT p_wait THEN ' NOWAIT' END);
        EXECUTE format('DROP TABLE vectorstore.%I', side);
    END IF;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION vectorstore._drop_hnsw(bigint, boolean) IS 'Drops the side table of a dropped store, if it has one; false when somebody still reads it.';

-- Runs in a background worker, with a vector query that a session has answered: the same question asked of all rows.
-- A chunk counts as found when it is as near as the last of the nearest, so that equal distances are no misses; what
-- was deleted since, or is not committed yet, counts neither way. The lock's key spells "vsrecall", as in
-- extension/src/recall.rs: one of these runs at a time.
CREATE OR REPLACE FUNCTION vectorstore._watch_recall(p_store_id bigint, p_embedding real[], p_k integer, p_found bigint[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    query @extschema:vector@.vector := p_embedding::@extschema:vector@.vector;
    hits bigint;
    wanted bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(8535291498581814380) THEN
        RETURN;
    END IF;
    -- A look at a row takes a microsecond or two: so watching takes at most about a tenth of a processor's time.
    PERFORM FROM vectorstore.store_counters c LEFT JOIN vectorstore.search_indexes i USING (store_id)
    WHERE c.store_id = p_store_id
      AND (i.recall_at IS NULL OR i.recall_at < clock_timestamp() - c.chunks * interval '15 microseconds');
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT e.embedding OPERATOR(@extschema:vector@.<=>) query AS distance
        FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.chunk_id = ANY (p_found)
    ), nearest AS MATERIALIZED (
        SELECT e.embedding OPERATOR(@extschema:vector@.<=>) query AS distance
        FROM vectorstore.embeddings e WHERE e.store_id = p_store_id
        ORDER BY distance LIMIT p_k - cardinality(p_found) + (SELECT count(*) FROM found)
    )
    SELECT (SELECT count(*) FROM found f WHERE f.distance <= (SELECT max(n.distance) FROM nearest n)),
           (SELECT count(*) FROM nearest)
    INTO hits, wanted;
    -- A drop waits for this note, or leaves nothing to note it at.
    PERFORM FROM vectorstore.store_counters c WHERE c.store_id = p_store_id FOR KEY SHARE;
    IF NOT FOUND OR wanted = 0 THEN
        RETURN;
    END IF;
    INSERT INTO vectorstore.search_indexes AS i (store_id, recall_k, recall, recall_samples, recall_at)
    VALUES (p_store_id, p_k, least(hits::double precision / wanted, 1), 1, clock_timestamp())
    ON CONFLICT (store_id) DO UPDATE SET
        recall_k = excluded.recall_k, recall_samples = i.recall_samples + 1, recall_at = excluded.recall_at,
        -- The mean of the first hundred, and from then on one that forgets older ones.
        recall = coalesce(i.recall, 0) + (excluded.recall - coalesce(i.recall, 0)) / least(i.recall_samples + 1, 100);
END
$$;
COMMENT ON FUNCTION vectorstore._watch_recall(bigint, real[], integer, bigint[]) IS
    'Compares what a vector query found (the first k chunks) with an exact search, and notes the recall of the store.';


-- ---- api/embedding_changes.sql
-- Chunks of text one by one: list, change, delete by id or by filter, with versions against lost updates.

CREATE OR REPLACE FUNCTION vectorstore._fail_embedding(p_id text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._fail('P0002', format('No embedding found with id ''%s''.', vectorstore._shown(p_id)), NULL, 'embedding_id');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_embedding(text) IS 'P0002 for a chunk that does not exist.';

CREATE OR REPLACE FUNCTION vectorstore._require_version(version integer, versions integer[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF version <> ALL (versions) THEN
        PERFORM vectorstore._fail('44000', format('The embedding has been changed: its version is %s.', version), 'version_mismatch', 'If-Match');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_version(integer, integer[]) IS '44000 when the version is none of those expected; NULL expects none.';

CREATE OR REPLACE FUNCTION vectorstore._update_embedding(
    p_store_id bigint, p_id text, p_content text, p_embedding @extschema:vector@.vector, p_metadata jsonb, p_replace boolean, p_versions integer[]
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    known record;
    chunk bigint;
    new_content text := p_content;
    new_embedding @extschema:vector@.vector := p_embedding;
    new_metadata jsonb := p_metadata;
BEGIN
    PERFORM vectorstore._require_active(p_store_id);
    SELECT e.chunk_id, e.version, e.content, e.embedding, e.metadata INTO known
    FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_embedding(p_id);
    END IF;
    PERFORM vectorstore._require_version(known.version, p_versions);
    IF p_replace THEN
        new_metadata := coalesce(p_metadata, '{}');
    ELSIF num_nonnulls(p_content, p_embedding, p_metadata) = 0 THEN
        RETURN known.chunk_id;
    ELSE
        new_content := coalesce(p_content, known.content);
        new_metadata := coalesce(p_metadata, known.metadata);
        -- A new text needs a new vector; the old text keeps its own.
        IF new_content = known.content THEN
            new_embedding := coalesce(p_embedding, known.embedding);
        END IF;
    END IF;
    PERFORM vectorstore._check_embeddings(p_store_id, ARRAY[new_content], NULL, ARRAY[new_embedding], ARRAY[new_metadata]);
    UPDATE vectorstore.embeddings e SET
        content = new_content, embedding = coalesce(new_embedding, vectorstore._embed_content(new_content)), metadata = new_metadata,
        filename = CASE WHEN e.file_id IS NULL THEN new_metadata->>'filename' ELSE e.filename END,
        language = (SELECT CASE s.language WHEN 127 THEN vectorstore._detect_language(new_content, 0::smallint) ELSE s.language END
                    FROM vectorstore.stores s WHERE s.store_id = p_store_id),
        version = e.version + 1, updated_at = now()
    WHERE e.store_id = p_store_id AND e.chunk_id = known.chunk_id
    -- What is written anew has a new number.
    RETURNING e.chunk_id INTO chunk;
    RETURN chunk;
END
$$;
COMMENT ON FUNCTION vectorstore._update_embedding(bigint, text, text, @extschema:vector@.vector, jsonb, boolean, integer[]) IS
    'Changes what is given of a chunk, or replaces it whole; returns its number. P0002 when there is none, 44000 when its version is another.';

CREATE OR REPLACE FUNCTION vectorstore._delete_embeddings(
    p_store_id bigint, p_ids text[], p_filter jsonb, p_dry_run boolean, p_expected bigint
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    path jsonpath := vectorstore._filter_path(p_filter)::jsonpath;
    virtual boolean := coalesce(vectorstore._filter_is_virtual(p_filter), false);
    affected bigint;
BEGIN
    IF num_nonnulls(p_ids, p_filter) <> 1 THEN
        PERFORM vectorstore._fail('22023', 'Give either ''ids'' or ''filter''.', 'invalid_value', 'ids');
    ELSIF p_ids IS NULL AND p_filter = '{}' AND p_expected IS NULL AND p_dry_run IS NOT TRUE THEN
        PERFORM vectorstore._fail('22023', 'An empty filter means every embedding of the store: give expected_count, too.', 'missing_required_parameter', 'expected_count');
    END IF;
    IF p_dry_run THEN
        SELECT count(*) INTO affected FROM vectorstore.embeddings e
        WHERE e.store_id = p_store_id AND (p_ids IS NULL OR e.id = ANY (p_ids))
          AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path);
    ELSE
        IF p_ids IS NOT NULL THEN
            p_ids := vectorstore._hold_embeddings(p_store_id, p_ids);
        END IF;
        DELETE FROM vectorstore.embeddings e
        WHERE e.store_id = p_store_id AND (p_ids IS NULL OR e.id = ANY (p_ids))
          AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path);
        GET DIAGNOSTICS affected = ROW_COUNT;
    END IF;
    IF affected <> p_expected THEN
        PERFORM vectorstore._fail('44000', format('Expected %s embeddings, but there are %s. Nothing was deleted.', p_expected, affected), 'count_mismatch', 'expected_count');
    END IF;
    RETURN affected;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_embeddings(bigint, text[], jsonb, boolean, bigint) IS
    'Deletes chunks by id or by filter, or only counts them. 44000, and nothing is deleted, when they are not as many as expected.';

CREATE OR REPLACE FUNCTION vectorstore._require_empty(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    counters record;
BEGIN
    -- Writers update these rows, too: none comes between the look and the drop.
    PERFORM vectorstore._hold_tenants(ARRAY[p_store_id]);
    SELECT c.chunks, c.files_in_progress + c.files_completed + c.files_failed + c.files_cancelled AS files INTO counters
    FROM vectorstore.store_counters c WHERE c.store_id = p_store_id FOR UPDATE;
    IF counters.chunks > 0 OR counters.files > 0 THEN
        PERFORM vectorstore._fail('2BP01', format('The vector store is not empty: it has %s embeddings and %s files.', counters.chunks, counters.files), 'vector_store_not_empty', 'mode');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_empty(bigint) IS '2BP01 when the store has chunks or files; keeps writers out until the transaction ends.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_update(
    store text, id text, content text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, metadata jsonb DEFAULT NULL,
    expected_version integer DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
    chunk bigint := vectorstore._update_embedding(number, id, content, embedding, metadata, false, 
        CASE WHEN expected_version IS NOT NULL THEN ARRAY[expected_version] END);
BEGIN
    RETURN (SELECT e.version FROM vectorstore.embeddings e WHERE e.store_id = number AND e.chunk_id = chunk);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update(text, text, text, @extschema:vector@.vector, jsonb, integer) IS
    'Changes what is given of a chunk and returns its new version. A new content without an embedding is embedded by the store''s model. P0002 for an unknown id, 44000 when the version is not the expected one.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_list(
    store text, k integer DEFAULT 100, after text DEFAULT NULL, filter jsonb DEFAULT NULL,
    OUT id text, OUT file_id text, OUT filename text, OUT content text, OUT metadata jsonb, OUT version integer, OUT created_at timestamptz
) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    number bigint := vectorstore._store(store);
    position bigint := 0;
BEGIN
    IF k IS NULL OR k NOT BETWEEN 1 AND 10000 THEN
        PERFORM vectorstore._fail('22023', 'k must be from 1 to 10000.', 'invalid_value', 'k');
    ELSIF after IS NOT NULL THEN
        SELECT e.chunk_id INTO position FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = after;
        PERFORM vectorstore._check_cursors(after, NULL, false, position, 0::bigint);
    END IF;
    RETURN QUERY
    SELECT e.id, e.file_id, e.filename, e.content, e.metadata, e.version, e.created_at
    FROM unnest(vectorstore._list_chunks(number, jsonb_build_object('filter', filter), position, k)) h
    JOIN vectorstore.embeddings e ON e.store_id = number AND e.chunk_id = h.chunk_id ORDER BY e.chunk_id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_list(text, integer, text, jsonb) IS
    'Chunks of a store in the order in which they were written: k (1..10000) that pass the filter, behind the one with the id after.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_delete_where(store text, filter jsonb, dry_run boolean DEFAULT false, expected_count bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._delete_embeddings(vectorstore._store(store, 'write'), NULL, filter, dry_run, expected_count);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_where(text, jsonb, boolean, bigint) IS
    'Deletes the chunks whose metadata pass the filter and returns how many; dry_run only counts them. 44000, and nothing is deleted, when they are not expected_count.';


-- ---- api/drop.sql
-- Sweeping: dropping a store takes its row away, and with it everything that could lead to its data. The data
-- follow in batches, which block nobody.

CREATE OR REPLACE FUNCTION vectorstore._sweep(p_rows integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    dropped bigint;
    target text;
    swept bigint;
    total bigint := 0;
BEGIN
    -- An older snapshot would not see what a merge left meanwhile, and the rows would be forgotten.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM vectorstore._fail('25001', 'Rows of dropped stores can be swept only in a READ COMMITTED transaction.');
    END IF;
    FOR dropped IN
        SELECT d.store_id FROM vectorstore.dropped_stores d
        -- By its name in JSON, because the column comes by a later step of migration than the table.
        WHERE coalesce((to_jsonb(d)->>'restorable_until')::timestamptz <= now(), true) ORDER BY d.dropped_at, d.store_id
    LOOP
        -- A merge that began before the drop still writes rows.
        IF p_rows IS NULL THEN
            PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(dropped));
        ELSIF NOT pg_try_advisory_xact_lock(vectorstore._merge_lock(dropped)) THEN
            CONTINUE;
        END IF;
        -- Who restores a store holds that lock, too.
        PERFORM FROM vectorstore.dropped_stores d WHERE d.store_id = dropped;
        IF NOT FOUND THEN
            CONTINUE;
        END IF;
        -- Chunks before the files, and files before the batches, that they refer to.
        FOREACH target IN ARRAY ARRAY['embeddings', 'store_files', 'file_batches', 'changes', 'segment_pages', 'segments', 'search_indexes'] LOOP
            EXECUTE format('DELETE FROM vectorstore.%1$I WHERE ctid = ANY (ARRAY(SELECT ctid FROM vectorstore.%1$I WHERE store_id = $1 LIMIT $2))', target)
            USING dropped, p_rows - total;
            GET DIAGNOSTICS swept = ROW_COUNT;
            total := total + swept;
            IF total >= p_rows THEN
                RETURN total;
            END IF;
        END LOOP;
        IF vectorstore._drop_hnsw(dropped, p_rows IS NULL) THEN
            DELETE FROM vectorstore.dropped_stores d WHERE d.store_id = dropped;
        END IF;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep(integer) IS 'Deletes at most so many rows of dropped stores (NULL: all of them) and returns how many; fewer when no more are in reach.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_sweep() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('vectorstore.dropped_stores') IS NULL THEN
        RETURN 0;
    END IF;
    RETURN vectorstore._sweep(NULL);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_sweep() IS
    'Deletes the rows that dropped stores left behind, and returns how many. Background workers do it by themselves; this waits for it.';


-- ---- api/keys.sql
-- API keys. SQL sees only their SHA-256: the proxy makes keys and hashes them (vectorstore-proxy key new).

-- Who did it, for the audit log.
CREATE FUNCTION vectorstore._audit(p_tenant bigint, p_action text, p_object text, p_detail jsonb DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO vectorstore.audit_log (tenant_id, actor, action, object, detail)
    VALUES (p_tenant, coalesce((SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = vectorstore._caller_key()), vectorstore._outer_role()),
            p_action, p_object, jsonb_strip_nulls(p_detail));
END
$$;
COMMENT ON FUNCTION vectorstore._audit(bigint, text, text, jsonb) IS 'Notes an administrative act of the caller in its own transaction.';

CREATE FUNCTION vectorstore._outer_role() RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'outer_role_wrapper';
COMMENT ON FUNCTION vectorstore._outer_role() IS 'The database role in effect outside of SECURITY DEFINER functions.';

CREATE FUNCTION vectorstore._key_json(p_key bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'object', 'api_key', 'id', k.key_id, 'name', k.name, 'tenant', t.id, 'role', k.role,
            'vector_store_ids', CASE WHEN k.stores IS NULL THEN NULL ELSE (
                SELECT coalesce(jsonb_agg(s.id ORDER BY s.store_id), '[]') FROM vectorstore.stores s WHERE s.store_id = ANY (k.stores)) END,
            'allowed_ips', to_jsonb(k.allowed_ips::text[]), 'filter', k.filter, 'created_at', vectorstore._epoch(k.created_at),
            'expires_at', vectorstore._epoch(k.expires_at), 'revoked_at', vectorstore._epoch(k.revoked_at),
            'last_used_at', vectorstore._epoch(k.last_used_at),
            'status', CASE WHEN k.revoked_at <= now() THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END)
        FROM vectorstore.api_keys k JOIN vectorstore.tenants t USING (tenant_id) WHERE k.key = p_key);
END
$$;
COMMENT ON FUNCTION vectorstore._key_json(bigint) IS 'An API key as the HTTP API shows it, without what could be used.';

CREATE FUNCTION vectorstore._find_key(p_tenant bigint, p_id text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := (SELECT k.key FROM vectorstore.api_keys k WHERE k.tenant_id = p_tenant AND k.key_id = p_id);
BEGIN
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('key_', p_id, 'key_id', format('No API key found with id ''%s''.', vectorstore._shown(p_id)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._find_key(bigint, text) IS 'Number of the tenant''s API key with this id; P0002 when there is none, 22023 when the id is of another form.';

-- The settings of a key that an object has: name, role, vector_store_ids, allowed_ips, filter, expires_at (Unix seconds).
-- Nobody gives more than they have.
CREATE FUNCTION vectorstore._set_key(p_key bigint, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    scope bigint[];
    addresses cidr[];
    unknown text;
BEGIN
    SELECT k.tenant_id, k.role, k.stores, k.allowed_ips, k.filter, k.expires_at, k.name INTO wanted FROM vectorstore.api_keys k WHERE k.key = p_key;
    IF p_settings ? 'name' THEN
        wanted.name := coalesce(p_settings->>'name', '');
        IF length(wanted.name) > 256 THEN
            PERFORM vectorstore._fail('22023', 'Invalid ''name'': string too long. Expected at most 256 characters.', 'string_above_max_length', 'name');
        END IF;
    END IF;
    IF p_settings->>'role' IS NOT NULL THEN
        wanted.role := p_settings->>'role';
        IF wanted.role NOT IN ('read', 'write', 'admin', 'operator') THEN
            PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''read'', ''write'', ''admin'', and ''operator''.',
                vectorstore._shown(wanted.role)), 'invalid_value', 'role');
        END IF;
        PERFORM vectorstore._require_access(wanted.role);
    END IF;
    IF p_settings ? 'vector_store_ids' THEN
        wanted.stores := NULL;
        IF jsonb_typeof(p_settings->'vector_store_ids') = 'array' THEN
            SELECT array_agg(s.store_id ORDER BY s.store_id), min(u.id) FILTER (WHERE s.store_id IS NULL) INTO scope, unknown
            FROM jsonb_array_elements_text(p_settings->'vector_store_ids') AS u(id)
            LEFT JOIN vectorstore.stores s ON s.store_id = vectorstore._id_number('vs_', u.id) AND s.id = u.id AND s.tenant_id = wanted.tenant_id;
            IF unknown IS NOT NULL THEN
                PERFORM vectorstore._fail_unknown('vs_', unknown, 'vector_store_ids', format('No vector store found with id ''%s''.', vectorstore._shown(unknown)));
            END IF;
            wanted.stores := coalesce(scope, '{}');
        END IF;
    END IF;
    IF p_settings ? 'allowed_ips' THEN
        wanted.allowed_ips := NULL;
        IF jsonb_typeof(p_settings->'allowed_ips') = 'array' THEN
            addresses := '{}';
            FOR unknown IN SELECT jsonb_array_elements_text(p_settings->'allowed_ips') LOOP
                BEGIN
                    addresses := addresses || unknown::cidr;
                EXCEPTION WHEN invalid_text_representation THEN
                    PERFORM vectorstore._fail('22023', format('Invalid ''allowed_ips'': ''%s'' is no network such as 10.0.0.0/8.', vectorstore._shown(unknown)), 'invalid_value', 'allowed_ips');
                END;
            END LOOP;
            wanted.allowed_ips := addresses;
        END IF;
    END IF;
    IF p_settings ? 'filter' THEN
        wanted.filter := nullif(p_settings->'filter', 'null');
        PERFORM vectorstore._filter_path(wanted.filter);
    END IF;
    IF p_settings ? 'expires_at' THEN
        wanted.expires_at := to_timestamp((p_settings->>'expires_at')::double precision);
        IF wanted.expires_at <= now() THEN
            PERFORM vectorstore._fail('22023', 'Invalid ''expires_at'': expected a time in the future.', 'invalid_value', 'expires_at');
        END IF;
    END IF;
    IF wanted.filter IS NOT NULL AND wanted.role <> 'read' THEN
        PERFORM vectorstore._fail('22023', 'A key with a filter can only have the role ''read''.', 'invalid_value', 'role');
    ELSIF wanted.role = 'operator' AND (wanted.stores IS NOT NULL OR wanted.filter IS NOT NULL) THEN
        PERFORM vectorstore._fail('22023', 'An operator''s key cannot be narrowed to vector stores.', 'invalid_value', 'vector_store_ids');
    END IF;
    UPDATE vectorstore.api_keys k SET name = wanted.name, role = wanted.role, stores = wanted.stores, allowed_ips = wanted.allowed_ips,
        filter = wanted.filter, expires_at = wanted.expires_at
    WHERE k.key = p_key;
END
$$;
COMMENT ON FUNCTION vectorstore._set_key(bigint, jsonb) IS
    'Changes what the object has of a key''s settings; null clears. 22023 for what no key can have, 42501 for a role above the caller''s, P0002 for a store that the tenant has not.';

CREATE FUNCTION vectorstore._create_key(p_tenant bigint, p_hash bytea, p_settings jsonb) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    IF octet_length(p_hash) IS DISTINCT FROM 32 THEN
        PERFORM vectorstore._fail('22023', 'key_hash must be the 32 bytes of a SHA-256.', 'invalid_value', 'key_hash',
            'vectorstore-proxy key new prints a key and its hash.');
    END IF;
    INSERT INTO vectorstore.api_keys (tenant_id, key_id, name, key_hash, role)
    VALUES (p_tenant, vectorstore._random_id('key_'), '', p_hash, 'read') ON CONFLICT (key_hash) DO NOTHING RETURNING key INTO number;
    IF number IS NULL THEN
        PERFORM vectorstore._fail('23505', 'This key exists already.', NULL, 'key_hash');
    END IF;
    PERFORM vectorstore._set_key(number, p_settings);
    PERFORM vectorstore._audit(p_tenant, 'api_key.created', (SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = number), p_settings);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._create_key(bigint, bytea, jsonb) IS 'Registers a key and returns its number; 23505 for a hash that is known. Settings: those of _set_key.';

CREATE FUNCTION vectorstore._update_key(p_tenant bigint, p_id text, p_changes jsonb) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._find_key(p_tenant, p_id);
BEGIN
    -- A key that may do more than the caller is not the caller's to change.
    PERFORM vectorstore._require_access(k.role) FROM vectorstore.api_keys k WHERE k.key = number FOR UPDATE;
    PERFORM vectorstore._set_key(number, p_changes);
    PERFORM vectorstore._audit(p_tenant, 'api_key.updated', p_id, p_changes);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._update_key(bigint, text, jsonb) IS 'Changes the settings of a key, and returns its number.';

-- The old key stays good for the overlap, so that clients can change one after the other.
CREATE FUNCTION vectorstore._rotate_key(p_tenant bigint, p_id text, p_hash bytea, p_overlap interval) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old record;
    number bigint;
BEGIN
    number := vectorstore._find_key(p_tenant, p_id);
    SELECT k.* INTO old FROM vectorstore.api_keys k WHERE k.key = number FOR UPDATE;
    PERFORM vectorstore._require_access(old.role);
    IF p_overlap IS NULL OR p_overlap < interval '0' OR p_overlap > interval '30 days' THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''overlap_seconds'': expected from 0 to 2592000 seconds.', 'invalid_value', 'overlap_seconds');
    ELSIF old.revoked_at IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', 'A revoked key cannot be rotated.', 'invalid_value', 'key_id');
    ELSIF old.expires_at <= now() THEN
        PERFORM vectorstore._fail('22023', 'An expired key cannot be rotated.', 'invalid_value', 'key_id');
    END IF;
    number := vectorstore._create_key(p_tenant, p_hash, jsonb_build_object('name', old.name, 'role', old.role));
    UPDATE vectorstore.api_keys k
    SET stores = old.stores, allowed_ips = old.allowed_ips, filter = old.filter, rotated_from = old.key, origin = coalesce(old.origin, old.key),
        expires_at = old.expires_at
    WHERE k.key = number;
    -- A new key is no way out of the limits of the old one.
    INSERT INTO vectorstore.rate_limits (tenant_id, api_key, requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run)
    SELECT l.tenant_id, number, l.requests_per_second, l.requests_burst, l.requests_per_minute, l.tokens_per_minute, l.dry_run
    FROM vectorstore.rate_limits l WHERE l.tenant_id = p_tenant AND l.api_key = old.key;
    UPDATE vectorstore.api_keys k SET expires_at = least(k.expires_at, now() + p_overlap) WHERE k.key = old.key;
    PERFORM vectorstore._audit(p_tenant, 'api_key.rotated', p_id, jsonb_build_object('overlap', p_overlap));
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._rotate_key(bigint, text, bytea, interval) IS 'Makes a key with the same settings, ends the old one after the overlap, and returns the number of the new one.';

CREATE FUNCTION vectorstore._delete_key(p_tenant bigint, p_id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._find_key(p_tenant, p_id);
BEGIN
    PERFORM vectorstore._require_access(k.role) FROM vectorstore.api_keys k WHERE k.key = number FOR UPDATE;
    -- Noted first: the key may be the caller's own.
    PERFORM vectorstore._audit(p_tenant, 'api_key.deleted', p_id);
    DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = p_tenant AND l.api_key = number;
    DELETE FROM vectorstore.api_keys k WHERE k.key = number;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_key(bigint, text) IS 'Deletes a key at once.';

CREATE FUNCTION vectorstore._admin_tenant(p_tenant text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._current_tenant();
    number bigint;
BEGIN
    PERFORM vectorstore._require_access('admin');
    IF p_tenant IS NULL THEN
        RETURN own;
    END IF;
    -- Nobody else learns which tenants there are.
    number := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = p_tenant);
    IF number IS DISTINCT FROM own THEN
        PERFORM vectorstore._require_access('operator');
    END IF;
    RETURN vectorstore._find_tenant(p_tenant);
END
$$;
COMMENT ON FUNCTION vectorstore._admin_tenant(text) IS 'Number of the tenant that a SQL user manages; NULL for the own one. 42501 for whoever does not manage it.';

-- Names are unique only among stores made in SQL.
CREATE FUNCTION vectorstore._store_id(p_tenant bigint, p_store text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named text[] := ARRAY(SELECT s.id FROM vectorstore.stores s WHERE s.tenant_id = p_tenant AND s.name = p_store LIMIT 2);
BEGIN
    IF EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = vectorstore._id_number('vs_', p_store) AND s.id = p_store AND s.tenant_id = p_tenant) THEN
        RETURN p_store;
    ELSIF cardinality(named) = 0 THEN
        PERFORM vectorstore._fail('P0002', format('No vector store found with id or name ''%s''.', vectorstore._shown(p_store)), NULL, 'stores');
    ELSIF cardinality(named) > 1 THEN
        PERFORM vectorstore._fail('22023', format('More than one vector store is named ''%s''.', vectorstore._shown(p_store)), 'invalid_value', 'stores',
            'Give the id: SELECT id FROM vs_stores.');
    END IF;
    RETURN named[1];
END
$$;
COMMENT ON FUNCTION vectorstore._store_id(bigint, text) IS 'Id of the tenant''s store with this id or name; P0002 when there is none, 22023 when a name is not unique.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_create_api_key(
    name text, key_hash bytea, expires_at timestamptz DEFAULT NULL, role text DEFAULT 'admin', stores text[] DEFAULT NULL,
    allowed_ips cidr[] DEFAULT NULL, filter jsonb DEFAULT NULL, tenant text DEFAULT NULL
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner bigint;
    number bigint;
BEGIN
    PERFORM @extschema@.vs_install();
    owner := vectorstore._admin_tenant(tenant);
    number := vectorstore._create_key(owner, key_hash, jsonb_build_object(
        'name', name, 'role', role, 'vector_store_ids', to_jsonb(ARRAY(SELECT vectorstore._store_id(owner, u.store) FROM unnest(stores) AS u(store))),
        'allowed_ips', to_jsonb(allowed_ips), 'filter', filter, 'expires_at', extract(epoch FROM expires_at))
        - CASE WHEN stores IS NULL THEN 'vector_store_ids' ELSE '' END);
    RETURN (SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = number);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_create_api_key(text, bytea, timestamptz, text, text[], cidr[], jsonb, text) IS
    'Registers an API key by the SHA-256 of the whole key, and returns its id. role: read, write, admin (default: of the tenant) or operator (of all). stores: ids or names that it is narrowed to. allowed_ips: networks that it may be used from. filter: what all must pass that it reads; such a key only reads. tenant: whose key it is, the caller''s by default.';

-- API: public
CREATE FUNCTION @extschema@.vs_update_api_key(id text, changes jsonb, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._update_key(vectorstore._admin_tenant(tenant), id, changes);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update_api_key(text, jsonb, text) IS
    'Changes an API key: any of name, role, vector_store_ids, allowed_ips, filter and expires_at (Unix seconds) in an object; null clears. In force with the next request.';

-- API: public
CREATE FUNCTION @extschema@.vs_rotate_api_key(id text, new_key_hash bytea, overlap interval DEFAULT '1 day', tenant text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._rotate_key(vectorstore._admin_tenant(tenant), id, new_key_hash, overlap);
BEGIN
    RETURN (SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = number);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_rotate_api_key(text, bytea, interval, text) IS
    'Makes a key with the settings of another, which stays good for the overlap (0 to 30 days); returns the id of the new one.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_revoke_api_key(id text, tenant text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner bigint := vectorstore._admin_tenant(tenant);
BEGIN
    PERFORM vectorstore._require_access(k.role) FROM vectorstore.api_keys k WHERE k.tenant_id = owner AND k.key_id = id;
    UPDATE vectorstore.api_keys k SET revoked_at = now() WHERE k.tenant_id = owner AND k.key_id = id AND k.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM vectorstore._audit(owner, 'api_key.revoked', id);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_revoke_api_key(text, text) IS 'Revokes an API key at once; false when there is no such live key.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete_api_key(id text, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._delete_key(vectorstore._admin_tenant(tenant), id);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_api_key(text, text) IS 'Deletes an API key at once. P0002 when there is none.';


-- ---- api/tenants.sql
-- Tenants, and the database roles that work for them.

CREATE FUNCTION vectorstore._find_tenant(p_id text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = p_id);
BEGIN
    IF number IS NULL THEN
        PERFORM vectorstore._fail('P0002', format('No tenant found with id ''%s''.', vectorstore._shown(p_id)), NULL, 'tenant');
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._find_tenant(text) IS 'Number of the tenant with this id; P0002 when there is none.';

CREATE FUNCTION vectorstore._check_tenant_name(p_name text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF length(p_name) > 256 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''name'': string too long. Expected at most 256 characters.', 'string_above_max_length', 'name');
    END IF;
    RETURN p_name;
END
$$;
COMMENT ON FUNCTION vectorstore._check_tenant_name(text) IS '22023 for a name that is too long.';

CREATE FUNCTION vectorstore._create_tenant(p_id text, p_name text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    IF p_id IS NULL OR p_id !~ '^[a-z0-9][a-z0-9_-]{0,62}$' THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''id'': expected from 1 to 63 lower-case letters, digits, _ and -, beginning with a letter or a digit.', 'invalid_value', 'id');
    END IF;
    INSERT INTO vectorstore.tenants (id, name) VALUES (p_id, vectorstore._check_tenant_name(coalesce(nullif(p_name, ''), p_id)))
    ON CONFLICT (id) DO NOTHING RETURNING tenant_id INTO number;
    IF number IS NULL THEN
        PERFORM vectorstore._fail('23505', format('A tenant with the id ''%s'' exists already.', p_id), 'tenant_exists', 'id');
    END IF;
    PERFORM vectorstore._audit(number, 'tenant.created', p_id);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._create_tenant(text, text) IS 'Makes a tenant; 22023 for an id of another form, 23505 when it exists.';

CREATE FUNCTION vectorstore._delete_tenant(p_id text, p_mode text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._find_tenant(p_id);
    store bigint;
BEGIN
    IF p_id = 'default' THEN
        PERFORM vectorstore._fail('22023', 'The tenant ''default'' cannot be deleted.', 'invalid_value', 'id');
    ELSIF p_mode IS NULL OR p_mode NOT IN ('cascade', 'restrict') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''cascade'' and ''restrict''.', vectorstore._shown(coalesce(p_mode, 'null'))), 'invalid_value', 'mode');
    END IF;
    -- Whoever makes a store or a file of it meanwhile refers to this row, and waits.
    PERFORM FROM vectorstore.tenants t WHERE t.tenant_id = number FOR UPDATE;
    IF p_mode = 'restrict' AND (EXISTS (SELECT FROM vectorstore.stores s WHERE s.tenant_id = number)
                                OR EXISTS (SELECT FROM vectorstore.files f WHERE f.tenant_id = number)) THEN
        PERFORM vectorstore._fail('2BP01', 'The tenant has vector stores or files.', 'tenant_not_empty', 'mode');
    END IF;
    PERFORM vectorstore._audit(number, 'tenant.deleted', p_id);
    FOR store IN SELECT s.store_id FROM vectorstore.stores s WHERE s.tenant_id = number ORDER BY s.store_id LOOP
        PERFORM vectorstore._delete_store(store);
    END LOOP;
    -- Parts of uploads are files.
    DELETE FROM vectorstore.files f WHERE f.tenant_id = number;
    -- Nobody can restore what was deleted before.
    UPDATE vectorstore.dropped_stores d SET restorable_until = NULL WHERE d.tenant_id = number;
    DELETE FROM vectorstore.uploads u WHERE u.tenant_id = number;
    DELETE FROM vectorstore.idempotency_keys k WHERE k.tenant_id = number;
    DELETE FROM vectorstore.usage_logs u WHERE u.tenant_id = number;
    DELETE FROM vectorstore.usage_rollups u WHERE u.tenant_id = number;
    DELETE FROM vectorstore.usage_totals u WHERE u.tenant_id = number;
    DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = number;
    DELETE FROM vectorstore.tenants t WHERE t.tenant_id = number;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_tenant(text, text) IS 'Deletes a tenant with its keys, or with mode cascade all that it has; 2BP01 with mode restrict for one that has stores or files.';

CREATE FUNCTION vectorstore._tenant_json(p_tenant bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object('object', 'tenant', 'id', t.id, 'name', t.name, 'created_at', vectorstore._epoch(t.created_at),
            'vector_stores', (SELECT count(*) FROM vectorstore.stores s WHERE s.tenant_id = t.tenant_id),
            'usage_bytes', (SELECT coalesce(sum(c.usage_bytes), 0) FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) WHERE s.tenant_id = t.tenant_id),
            'api_keys', (SELECT count(*) FROM vectorstore.api_keys k WHERE k.tenant_id = t.tenant_id))
        FROM vectorstore.tenants t WHERE t.tenant_id = p_tenant);
END
$$;
COMMENT ON FUNCTION vectorstore._tenant_json(bigint) IS 'A tenant as the HTTP API shows it.';

-- What only those may do who manage all tenants.
CREATE FUNCTION vectorstore._require_operator() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.vs_install();
    PERFORM vectorstore._current_tenant();
    PERFORM vectorstore._require_access('operator');
END
$$;
COMMENT ON FUNCTION vectorstore._require_operator() IS '42501 unless the SQL user is a superuser or a member of vectorstore_admin.';

-- API: public
CREATE FUNCTION @extschema@.vs_create_tenant(id text, name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._require_operator();
    PERFORM vectorstore._create_tenant(id, name);
    RETURN id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_create_tenant(text, text) IS
    'Makes a tenant and returns its id: 1 to 63 lower-case letters, digits, _ and -. 23505 when it exists. For members of vectorstore_admin.';

-- API: public
CREATE FUNCTION @extschema@.vs_update_tenant(id text, name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._require_operator();
    number := vectorstore._find_tenant(id);
    UPDATE vectorstore.tenants t SET name = vectorstore._check_tenant_name(vs_update_tenant.name), updated_at = now()
    WHERE t.tenant_id = number AND vs_update_tenant.name IS NOT NULL;
    IF FOUND THEN
        PERFORM vectorstore._audit(number, 'tenant.updated', id, jsonb_build_object('name', name));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update_tenant(text, text) IS 'Renames a tenant; its id stays. For members of vectorstore_admin.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete_tenant(id text, mode text DEFAULT 'restrict') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._require_operator();
    PERFORM vectorstore._delete_tenant(id, mode);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_tenant(text, text) IS
    'Deletes a tenant and its keys. mode: restrict (default) raises 2BP01 for one that has stores or files, cascade deletes them. The audit log stays. For members of vectorstore_admin.';

-- API: public
CREATE FUNCTION @extschema@.vs_grant_tenant(role name, tenant text, access text DEFAULT 'write') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
#variable_conflict use_variable
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._require_operator();
    number := vectorstore._find_tenant(tenant);
    IF access IS NULL OR access NOT IN ('read', 'write', 'admin') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''read'', ''write'', and ''admin''.', vectorstore._shown(coalesce(access, 'null'))), 'invalid_value', 'access');
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = role) THEN
        PERFORM vectorstore._fail('22023', format('Role ''%s'' does not exist.', vectorstore._shown(role)), 'invalid_value', 'role');
    END IF;
    INSERT INTO vectorstore.tenant_roles AS t (tenant_id, role, access) VALUES (number, role, access)
    ON CONFLICT ON CONSTRAINT tenant_roles_pkey DO UPDATE SET access = excluded.access;
    EXECUTE format('GRANT vectorstore_user TO %I', role);
    PERFORM vectorstore._audit(number, 'tenant.granted', role, jsonb_build_object('access', access));
END
$$;
COMMENT ON FUNCTION @extschema@.vs_grant_tenant(name, text, text) IS
    'Lets a database role, and the members of it that have no tenant of their own, work for a tenant. access: read, write (default) or admin. For members of vectorstore_admin.';

-- API: public
CREATE FUNCTION @extschema@.vs_revoke_tenant(role name, tenant text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._require_operator();
    number := vectorstore._find_tenant(tenant);
    DELETE FROM vectorstore.tenant_roles t WHERE t.tenant_id = number AND t.role = vs_revoke_tenant.role;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM vectorstore._audit(number, 'tenant.revoked', role);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_revoke_tenant(name, text) IS 'Takes a tenant away from a database role, at once; false when it had not this one. For members of vectorstore_admin.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_tenant(tenant text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    IF to_regclass('vectorstore.tenant_roles') IS NULL THEN
        PERFORM vectorstore._fail('55000', 'vectorstore is not set up in this database yet.', NULL, NULL, 'SELECT vs_install();');
    END IF;
    IF tenant IS NULL THEN
        PERFORM vectorstore._choose_tenant(NULL);
        RETURN NULL;
    END IF;
    number := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = tenant);
    PERFORM vectorstore._choose_tenant(coalesce(number, 0));
    -- Whether the role has it is decided where every call decides it; what is not its own does not exist.
    BEGIN
        IF vectorstore._current_tenant() IS NOT DISTINCT FROM number THEN
            RETURN tenant;
        END IF;
    EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value THEN
        NULL;
    END;
    -- The error takes the choice back.
    PERFORM vectorstore._fail('P0002', format('No tenant found with id ''%s''.', vectorstore._shown(tenant)), NULL, 'tenant');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_tenant(text) IS
    'Chooses for this session the tenant that the role works for: any for superusers and members of vectorstore_admin, one of those granted for others. NULL: no choice. DISCARD ALL, RESET ALL and a rollback take it back. P0002 for a tenant that is not the role''s, and the choice stays as it was.';


-- ---- api/cache.sql
-- The embedding cache. It knows texts by their hashes only, and tells nothing about who has used them: no key is needed.

CREATE OR REPLACE FUNCTION vectorstore.api_cached_embeddings(p_model text, p_revision text, p_dimensions integer, p_hashes bytea[])
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

CREATE OR REPLACE FUNCTION vectorstore.api_cache_embeddings(
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

CREATE OR REPLACE FUNCTION vectorstore.api_count_cache_hits(
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

CREATE OR REPLACE FUNCTION vectorstore.api_sweep_cache(p_bytes bigint, p_seconds bigint) RETURNS bigint
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


-- ---- api/attach.sql
-- Files come to a store and leave it: the file of the store and the job that reads it are made in one transaction.
--
-- Who locks what, in this order: files, store_files (by store and id), ingest_jobs, embeddings, tenant_quotas (by
-- tenant), store_counters (by store), stores. Who takes a lock out of order does not wait for it. So no two of them wait for each other.

CREATE OR REPLACE FUNCTION vectorstore._count_files(p_store_id bigint, p_gone text[], p_come text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.store_counters s SET
        files_in_progress = s.files_in_progress + cardinality(array_positions(p_come, 'in_progress')) - cardinality(array_positions(p_gone, 'in_progress')),
        files_completed = s.files_completed + cardinality(array_positions(p_come, 'completed')) - cardinality(array_positions(p_gone, 'completed')),
        files_failed = s.files_failed + cardinality(array_positions(p_come, 'failed')) - cardinality(array_positions(p_gone, 'failed')),
        files_cancelled = s.files_cancelled + cardinality(array_positions(p_come, 'cancelled')) - cardinality(array_positions(p_gone, 'cancelled'))
    WHERE s.store_id = p_store_id;
    IF NOT FOUND AND p_gone = '{}' THEN
        PERFORM vectorstore._fail_dropped();
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._count_files(bigint, text[], text[]) IS
    'Takes files out of the counts of a store and adds others, by their statuses; P0002 when files come to a store that is gone.';

-- The same file with the same settings stays as it is, and only joins the batch. Other settings, or a file that is not
-- searchable, make a job; until that has ended, the chunks of before stay.
CREATE OR REPLACE FUNCTION vectorstore._attach(p_store_id bigint, p_tenant bigint, p_batch bigint, p_files jsonb, p_models text[]) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    model text := (SELECT s.embedding_model FROM vectorstore.stores s WHERE s.store_id = p_store_id);
    jobs bigint;
BEGIN
    PERFORM vectorstore._require_active(p_store_id);
    IF model <> ALL (p_models) THEN
        PERFORM vectorstore._fail('22023', format('Files cannot be attached to a vector store with the embedding model ''%s''.', model),
            'invalid_value', 'vector_store_id');
    END IF;
    -- Who deletes one of the files meanwhile either waits, and then takes it from this store too, or is waited for.
    PERFORM FROM vectorstore.files f
    WHERE f.tenant_id = p_tenant AND f.file_id = ANY (ARRAY(SELECT vectorstore._id_number('file-', w.file->>'file_id') FROM jsonb_array_elements(p_files) AS w(file)))
    ORDER BY f.file_id FOR KEY SHARE;
    WITH wanted AS (
        -- The first of an id counts.
        SELECT DISTINCT ON (w.file->>'file_id') w.file->>'file_id' AS id, w.file->'chunking_strategy' AS chunking,
               vectorstore._check_attributes(w.file->'attributes', 'attributes', true) AS attributes
        FROM jsonb_array_elements(p_files) WITH ORDINALITY AS w(file, item)
        ORDER BY w.file->>'file_id', w.item
    ), written AS (
        INSERT INTO vectorstore.store_files AS f
            (store_id, tenant_id, id, filename, status, last_error, attributes, chunking_strategy, batch_id)
        SELECT p_store_id, p_tenant, w.id, coalesce(o.filename, ''), CASE WHEN o.id IS NULL THEN 'failed' ELSE 'in_progress' END,
               CASE WHEN o.id IS NULL THEN
                   jsonb_build_object('code', 'invalid_file', 'message', format('No such File object: %s', vectorstore._shown(w.id))) END,
               w.attributes, CASE WHEN o.id IS NULL THEN '{"type": "other"}' ELSE w.chunking END, p_batch
        FROM wanted w LEFT JOIN vectorstore.files o
             ON o.tenant_id = p_tenant AND o.file_id = vectorstore._id_number('file-', w.id) AND o.id = w.id
                AND vectorstore._file_in_scope(p_tenant, o.id, o.created_by)
        ORDER BY w.id COLLATE "C"
        ON CONFLICT (store_id, id) DO UPDATE SET
            status = excluded.status, last_error = excluded.last_error, attributes = excluded.attributes,
            chunking_strategy = excluded.chunking_strategy, batch_id = excluded.batch_id
        WHERE f.status NOT IN ('in_progress', 'completed') OR f.attributes <> excluded.attributes
           OR f.chunking_strategy <> excluded.chunking_strategy
        RETURNING f.id, f.status
    )
    INSERT INTO vectorstore.ingest_jobs (store_id, tenant_id, id)
    SELECT p_store_id, p_tenant, w.id FROM written w WHERE w.status = 'in_progress' ORDER BY w.id COLLATE "C"
    -- Whoever works on it with the old settings loses it.
    ON CONFLICT (store_id, id) DO UPDATE SET attempts = 0, run_at = now(), lease = NULL, worker = NULL;
    GET DIAGNOSTICS jobs = ROW_COUNT;
    IF p_batch IS NOT NULL THEN
        UPDATE vectorstore.store_files f SET batch_id = p_batch
        WHERE f.store_id = p_store_id AND f.batch_id IS DISTINCT FROM p_batch
          AND f.id = ANY (ARRAY(SELECT w.file->>'file_id' FROM jsonb_array_elements(p_files) AS w(file)));
    END IF;
    IF NOT vectorstore._touch_active(p_store_id) THEN
        PERFORM vectorstore._require_active(p_store_id);
    END IF;
    RETURN jobs > 0;
END
$$;
COMMENT ON FUNCTION vectorstore._attach(bigint, bigint, bigint, jsonb, text[]) IS
    'Attaches files, an array of {"file_id", "attributes", "chunking_strategy"}; ids that name no file are listed as failed. Whether there are jobs to do. 22023 for a store that has expired or whose model is none of those given.';

-- The one way by which files leave stores.
CREATE OR REPLACE FUNCTION vectorstore._detach(p_store_ids bigint[], p_files text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.store_files f JOIN unnest(p_store_ids, p_files) AS u(store_id, id) ON f.store_id = u.store_id AND f.id = u.id
    ORDER BY f.store_id, f.id FOR UPDATE OF f;
    DELETE FROM vectorstore.ingest_jobs j USING unnest(p_store_ids, p_files) AS u(store_id, id)
    WHERE j.store_id = u.store_id AND j.id = u.id;
    IF EXISTS (SELECT FROM unnest(p_store_ids) AS u(store_id) WHERE u.store_id <> p_store_ids[1]) THEN
        -- Chunks go file by file, and their stores would be locked in the order of the files.
        PERFORM vectorstore._hold_tenants(p_store_ids);
        PERFORM FROM vectorstore.store_counters c WHERE c.store_id = ANY (p_store_ids) ORDER BY c.store_id FOR NO KEY UPDATE;
    END IF;
    DELETE FROM vectorstore.store_files f USING unnest(p_store_ids, p_files) AS u(store_id, id)
    WHERE f.store_id = u.store_id AND f.id = u.id;
END
$$;
COMMENT ON FUNCTION vectorstore._detach(bigint[], text[]) IS 'Takes files out of stores, with their chunks and jobs. Stores and files go together by place.';

CREATE OR REPLACE FUNCTION vectorstore._delete_files(p_tenants bigint[], p_numbers bigint[], p_files text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attached record;
BEGIN
    PERFORM FROM vectorstore.files f JOIN unnest(p_tenants, p_numbers) AS u(tenant_id, file_id) ON f.tenant_id = u.tenant_id AND f.file_id = u.file_id
    ORDER BY f.tenant_id, f.file_id FOR UPDATE OF f;
    -- Who restores a store that has one of them either waits, and then counts what is left, or is waited for.
    PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(k.store_id))
    FROM (SELECT DISTINCT f.store_id FROM vectorstore.store_files f JOIN unnest(p_tenants, p_files) AS u(tenant_id, id) ON f.tenant_id = u.tenant_id AND f.id = u.id
          WHERE vectorstore._is_restorable(f.store_id) ORDER BY f.store_id) k;
    -- Those of dropped stores are left to the sweep, unless they can be restored.
    SELECT array_agg(f.store_id) AS stores, array_agg(f.id) AS files INTO attached
    FROM vectorstore.store_files f JOIN unnest(p_tenants, p_files) AS u(tenant_id, id) ON f.tenant_id = u.tenant_id AND f.id = u.id
    WHERE EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = f.store_id) OR vectorstore._is_restorable(f.store_id);
    IF attached.stores IS NOT NULL THEN
        PERFORM vectorstore._detach(attached.stores, attached.files);
    END IF;
    DELETE FROM vectorstore.files f USING unnest(p_tenants, p_numbers) AS u(tenant_id, file_id)
    WHERE f.tenant_id = u.tenant_id AND f.file_id = u.file_id;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_files(bigint[], bigint[], text[]) IS 'Deletes files, by tenant, number and id, and their chunks from every store.';


-- ---- api/jobs.sql
-- Jobs: reading the files of stores. A worker takes a job under a lease, which it renews while it works; whoever has
-- lost the lease, because it ended or the file was cancelled, attached anew or deleted, can change nothing any more.
-- A job is tried three times.

CREATE OR REPLACE FUNCTION vectorstore._job_json(p_store_id bigint, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'store_id', j.store_id, 'file_id', j.id, 'lease', j.lease, 'attempt', j.attempts, 'filename', o.filename,
            'bytes', o.bytes, 'parts', o.parts, 'chunking_strategy', f.chunking_strategy,
            'embedding_model', s.embedding_model, 'dimensions', s.dimensions,
            'waited', extract(epoch FROM clock_timestamp() - j.created_at))
        FROM vectorstore.ingest_jobs j JOIN vectorstore.store_files f USING (store_id, id) JOIN vectorstore.stores s USING (store_id)
        JOIN vectorstore.files o ON o.tenant_id = j.tenant_id AND o.file_id = vectorstore._id_number('file-', j.id)
        WHERE j.store_id = p_store_id AND j.id = p_file);
END
$$;
COMMENT ON FUNCTION vectorstore._job_json(bigint, text) IS 'What a worker must know of a job; NULL when its store or file is gone.';

CREATE OR REPLACE FUNCTION vectorstore._lease_job(p_store_id bigint, p_file text, p_worker text, p_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.ingest_jobs j SET
        attempts = j.attempts + 1, lease = vectorstore._random_id('lease_'), worker = p_worker,
        run_at = now() + make_interval(secs => p_seconds)
    WHERE j.store_id = p_store_id AND j.id = p_file;
    RETURN vectorstore._job_json(p_store_id, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore._lease_job(bigint, text, text, integer) IS 'Gives a job to a worker for so many seconds.';

-- Ends a job without chunks. The caller holds the file of the store and the job.
CREATE OR REPLACE FUNCTION vectorstore._end_job(p_store_id bigint, p_file text, p_status text, p_error jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = p_file;
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.file_id = p_file;
    UPDATE vectorstore.store_files f SET status = p_status, last_error = p_error, usage_bytes = 0, content = NULL
    WHERE f.store_id = p_store_id AND f.id = p_file;
END
$$;
COMMENT ON FUNCTION vectorstore._end_job(bigint, text, text, jsonb) IS 'Makes a file of a store failed or cancelled; what it had in the store goes.';

CREATE OR REPLACE FUNCTION vectorstore.api_claim_jobs(p_worker text, p_max integer, p_seconds integer, p_models text[], p_store_id bigint DEFAULT NULL) RETURNS jsonb
    -- Planned for the store that is given, or for none.
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    job record;
    claimed jsonb := '[]';
BEGIN
    IF to_regclass('vectorstore.ingest_jobs') IS NULL THEN
        RETURN claimed;
    END IF;
    -- Its last worker died, or it was due for an hour and nobody had the model of its store. One of each a call: each
    -- waits for the counters of its store, and two in another order than somebody else's might wait for ever.
    FOR job IN
        (SELECT j.store_id, j.id, j.run_at, 'The file could not be processed in three attempts.' AS message
         FROM vectorstore.ingest_jobs j WHERE j.run_at <= now() AND j.attempts >= 3 LIMIT 1)
        UNION ALL
        (SELECT j.store_id, j.id, j.run_at, 'No server has had the embedding model of the vector store for an hour.'
         FROM vectorstore.ingest_jobs j
         WHERE j.run_at < now() - interval '1 hour' AND j.attempts < 3
           AND NOT EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = j.store_id AND s.embedding_model = ANY (p_models))
         ORDER BY j.run_at LIMIT 1)
    LOOP
        PERFORM FROM vectorstore.store_files f WHERE f.store_id = job.store_id AND f.id = job.id FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            -- Nobody has taken it since.
            PERFORM FROM vectorstore.ingest_jobs j
            WHERE j.store_id = job.store_id AND j.id = job.id AND j.run_at = job.run_at FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                PERFORM vectorstore._end_job(job.store_id, job.id, 'failed', jsonb_build_object('code', 'server_error', 'message', job.message));
            END IF;
        END IF;
    END LOOP;
    FOR job IN
        SELECT j.store_id, j.id FROM vectorstore.ingest_jobs j
        WHERE j.run_at <= now() AND j.attempts < 3 AND (p_store_id IS NULL OR j.store_id = p_store_id)
          AND EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = j.store_id AND s.embedding_model = ANY (p_models))
        ORDER BY j.run_at LIMIT p_max FOR UPDATE SKIP LOCKED
    LOOP
        claimed := claimed || coalesce(vectorstore._lease_job(job.store_id, job.id, p_worker, p_seconds), '[]');
    END LOOP;
    RETURN claimed;
END
$$;
COMMENT ON FUNCTION vectorstore.api_claim_jobs(text, integer, integer, text[], bigint) IS
    'Leases at most so many jobs for so many seconds, of stores with one of these embedding models, all of them or one. An array of {"store_id", "file_id", "lease", "attempt", "filename", "bytes", "parts", "chunking_strategy", "embedding_model", "dimensions"}. Also gives up a job whose third attempt has ended without a word, and one that nobody with its model took for an hour.';

CREATE OR REPLACE FUNCTION vectorstore.api_heartbeat_job(p_store_id bigint, p_file text, p_lease text, p_seconds integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.ingest_jobs j SET run_at = now() + make_interval(secs => p_seconds)
    WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_heartbeat_job(bigint, text, text, integer) IS 'Renews a lease; false when it is lost.';

CREATE OR REPLACE FUNCTION vectorstore.api_release_job(p_store_id bigint, p_file text, p_lease text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.ingest_jobs j SET run_at = now(), lease = NULL, worker = NULL, attempts = j.attempts - 1
    WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_release_job(bigint, text, text) IS 'Gives a job back unfinished, for anybody to take at once; the attempt does not count. False when the lease is lost.';

CREATE OR REPLACE FUNCTION vectorstore.api_read_job_part(p_store_id bigint, p_file text, p_lease text, p_part integer) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT p.data FROM vectorstore.ingest_jobs j
        JOIN vectorstore.file_parts p ON p.tenant_id = j.tenant_id AND p.file_id = vectorstore._id_number('file-', j.id) AND p.part = p_part
        WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_job_part(bigint, text, text, integer) IS 'Bytes of one part of the file, 0 and up; NULL when the lease is lost.';

-- The file of the store first, as everybody does who changes both.
CREATE OR REPLACE FUNCTION vectorstore._hold_job(p_store_id bigint, p_file text, p_lease text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.store_files f WHERE f.store_id = p_store_id AND f.id = p_file FOR UPDATE;
    PERFORM FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease FOR UPDATE;
    -- Of a dropped store there may be rows left.
    RETURN FOUND AND EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore._hold_job(bigint, text, text) IS 'Locks a job and the file of the store that it reads; false when the lease is lost.';

-- Status, counts, text and chunks change together: completed means searchable.
CREATE OR REPLACE FUNCTION vectorstore.api_finish_job(
    p_store_id bigint, p_file text, p_lease text, p_text text, p_chunks text[], p_embeddings @extschema:vector@.vector[]
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    target record;
BEGIN
    IF NOT vectorstore._hold_job(p_store_id, p_file, p_lease) THEN
        RETURN false;
    END IF;
    PERFORM vectorstore._check_embeddings(p_store_id, p_chunks, NULL, p_embeddings, NULL);
    SELECT f.tenant_id, f.filename, f.attributes, s.language INTO target
    FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id) WHERE f.store_id = p_store_id AND f.id = p_file;
    -- Attached again with other settings: until now what was there before was found.
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.file_id = p_file;
    INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, file_id, chunk_index, language, embedding, metadata, filename, content)
    SELECT p_store_id, target.tenant_id, vectorstore._random_id('emb_'), p_file, u.item - 1,
           CASE target.language WHEN 127 THEN vectorstore._detect_language(u.content, 0::smallint) ELSE target.language END,
           u.embedding, target.attributes, target.filename, u.content
    FROM unnest(p_chunks, p_embeddings) WITH ORDINALITY AS u(content, embedding, item);
    DELETE FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = p_file;
    UPDATE vectorstore.store_files f SET status = 'completed', last_error = NULL, content = p_text, usage_bytes = (
        SELECT sum(octet_length(u.content) + 4 * @extschema:vector@.vector_dims(u.embedding)) FROM unnest(p_chunks, p_embeddings) AS u(content, embedding))
    WHERE f.store_id = p_store_id AND f.id = p_file;
    RETURN true;
END
$$;
COMMENT ON FUNCTION vectorstore.api_finish_job(bigint, text, text, text, text[], @extschema:vector@.vector[]) IS
    'Ends a job with the text of the file, its chunks and their embeddings, which replace those of before. False, and nothing changes, when the lease is lost. 22023 for chunks that the store cannot take.';

CREATE OR REPLACE FUNCTION vectorstore.api_fail_job(
    p_store_id bigint, p_file text, p_lease text, p_code text, p_message text, p_retry_seconds double precision DEFAULT NULL
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT vectorstore._hold_job(p_store_id, p_file, p_lease) THEN
        RETURN false;
    END IF;
    IF p_code NOT IN ('server_error', 'unsupported_file', 'invalid_file') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''server_error'', ''unsupported_file'', and ''invalid_file''.',
            vectorstore._shown(p_code)), 'invalid_value', 'code');
    END IF;
    UPDATE vectorstore.ingest_jobs j SET lease = NULL, worker = NULL, run_at = now() + make_interval(secs => p_retry_seconds)
    WHERE j.store_id = p_store_id AND j.id = p_file AND j.attempts < 3 AND p_retry_seconds IS NOT NULL;
    IF NOT FOUND THEN
        PERFORM vectorstore._end_job(p_store_id, p_file, 'failed', jsonb_build_object('code', p_code, 'message', p_message));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION vectorstore.api_fail_job(bigint, text, text, text, text, double precision) IS
    'Ends a job with an error, or has it tried again after so many seconds when that is not NULL and there were fewer than three attempts. False when the lease is lost.';


-- ---- api/expiry.sql
-- Expiry: stores that nobody used for so many days, files with a date, uploads that nobody completed, and answers kept
-- for Idempotency-Key.

-- Days of 24 hours, whatever the time zone of the session does to its clocks.
CREATE OR REPLACE FUNCTION vectorstore._expires_at(last_active_at timestamptz, days integer) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT last_active_at + make_interval(hours => 24 * days) $$;
COMMENT ON FUNCTION vectorstore._expires_at(timestamptz, integer) IS 'When a store expires; NULL for never.';

CREATE OR REPLACE FUNCTION vectorstore._is_expired(expired_at timestamptz, last_active_at timestamptz, days integer) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT expired_at IS NOT NULL OR coalesce(vectorstore._expires_at(last_active_at, days) <= now(), false) $$;
COMMENT ON FUNCTION vectorstore._is_expired(timestamptz, timestamptz, integer) IS 'Whether a store has expired, by its expired_at, last_active_at and expires_after_days.';

-- An expired store can be read, listed and deleted, but neither changed, searched nor filled.
CREATE OR REPLACE FUNCTION vectorstore._require_active(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store text;
BEGIN
    SELECT s.id INTO store FROM vectorstore.stores s
    WHERE s.store_id = p_store_id AND vectorstore._is_expired(s.expired_at, s.last_active_at, s.expires_after_days);
    IF FOUND THEN
        PERFORM vectorstore._fail('22023', format('Vector store ''%s'' has expired.', store));
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_active(bigint) IS '22023 when the store has expired.';

CREATE OR REPLACE FUNCTION vectorstore._touch_active(p_store_id bigint) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Looks at the row again if it had to wait: a store that has expired meanwhile does not come back.
    UPDATE vectorstore.stores s SET last_active_at = now()
    WHERE s.store_id = p_store_id AND NOT vectorstore._is_expired(s.expired_at, s.last_active_at, s.expires_after_days);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore._touch_active(bigint) IS 'Moves the expiry of a store; false when it has expired.';

-- Stores are marked by a transaction of their own: who fills one meanwhile is either too late, or keeps it alive.
CREATE OR REPLACE FUNCTION vectorstore._sweep_expired(p_files integer) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expired record;
    attached record;
    gone bigint;
    done bigint;
BEGIN
    UPDATE vectorstore.stores s SET expired_at = now()
    WHERE s.expires_after_days IS NOT NULL AND s.expired_at IS NULL AND vectorstore._expires_at(s.last_active_at, s.expires_after_days) <= now();
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done > 0 THEN
        RETURN done;
    END IF;
    SELECT array_agg(f.tenant_id) AS tenants, array_agg(f.file_id) AS numbers, array_agg(f.id) AS files INTO expired
    FROM (SELECT o.tenant_id, o.file_id, o.id FROM vectorstore.files o WHERE o.expires_at <= now()
          ORDER BY o.expires_at LIMIT p_files FOR UPDATE SKIP LOCKED) f;
    IF expired.files IS NOT NULL THEN
        PERFORM vectorstore._delete_files(expired.tenants, expired.numbers, expired.files);
        RETURN cardinality(expired.files);
    END IF;
    SELECT array_agg(f.store_id) AS stores, array_agg(f.id) AS files INTO attached
    FROM (SELECT o.store_id, o.id FROM vectorstore.stores s JOIN vectorstore.store_files o USING (store_id)
          WHERE s.expires_after_days IS NOT NULL AND s.expired_at IS NOT NULL LIMIT p_files) f;
    IF attached.files IS NOT NULL THEN
        PERFORM vectorstore._detach(attached.stores, attached.files);
        RETURN cardinality(attached.files);
    END IF;
    -- Chunks that came without a file.
    FOR gone IN
        SELECT s.store_id FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        WHERE s.expires_after_days IS NOT NULL AND s.expired_at IS NOT NULL AND c.chunks > 0 LIMIT 1
    LOOP
        DELETE FROM vectorstore.embeddings e
        WHERE e.ctid = ANY (ARRAY(SELECT o.ctid FROM vectorstore.embeddings o WHERE o.store_id = gone LIMIT 100 * p_files));
        GET DIAGNOSTICS done = ROW_COUNT;
    END LOOP;
    IF done = 0 THEN
        done := vectorstore._sweep_uploads(p_files);
    END IF;
    IF done = 0 THEN
        done := vectorstore._sweep_idempotency(20 * p_files);
    END IF;
    -- Stores whose last day to be restored has passed; no write tells a worker of them.
    IF done = 0 AND vectorstore._schema_version() >= 10 AND current_setting('transaction_isolation') = 'read committed'
       AND EXISTS (SELECT FROM vectorstore.dropped_stores d WHERE d.restorable_until <= now()) THEN
        done := vectorstore._sweep(100 * p_files);
    END IF;
    RETURN done;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep_expired(integer) IS
    'Marks stores that have expired, or deletes at most so many expired files, files of expired stores, a hundred times as many of their chunks, parts of uploads that ended, or twenty times as many old answers; then rows of stores that can be restored no more. Returns how many; 0 when nothing is left.';

CREATE OR REPLACE FUNCTION vectorstore.api_sweep_expired() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One sweeper at a time is enough.
    IF vectorstore._schema_version() < 4 OR NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.expire', 0)) THEN
        RETURN 0;
    END IF;
    RETURN vectorstore._sweep_expired(50);
END
$$;
COMMENT ON FUNCTION vectorstore.api_sweep_expired() IS 'Deletes a part of what has expired; returns how much, and 0 when nothing is left or somebody else is at it.';

-- API: public
CREATE OR REPLACE FUNCTION @extschema@.vs_expire() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done bigint;
    total bigint := 0;
BEGIN
    IF vectorstore._schema_version() < 4 THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('vectorstore.expire', 0));
    LOOP
        done := vectorstore._sweep_expired(1000);
        EXIT WHEN done = 0;
        total := total + done;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_expire() IS
    'Deletes files that have expired, the files and chunks of stores that have, the parts of uploads that ended, and answers older than 24 hours that were kept for an Idempotency-Key; returns how many stores it marked and rows it deleted. The proxy does it once a minute; this waits for it.';


-- ---- api/http_stores.sql
-- Vector stores over HTTP: each function is one request, and its result is the body of the answer.

CREATE OR REPLACE FUNCTION vectorstore._store_json(p_store_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', s.id, 'object', 'vector_store', 'created_at', vectorstore._epoch(s.created_at), 'name', s.name,
        'description', s.description, 'usage_bytes', c.usage_bytes,
        'file_counts', jsonb_build_object(
            'in_progress', c.files_in_progress, 'completed', c.files_completed, 'failed', c.files_failed,
            'cancelled', c.files_cancelled,
            'total', c.files_in_progress + c.files_completed + c.files_failed + c.files_cancelled),
        'status', CASE WHEN vectorstore._is_expired(s.expired_at, s.last_active_at, s.expires_after_days) THEN 'expired'
                       WHEN c.files_in_progress > 0 THEN 'in_progress' ELSE 'completed' END,
        'last_active_at', vectorstore._epoch(s.last_active_at), 'metadata', s.metadata,
        'expires_at', vectorstore._epoch(vectorstore._expires_at(s.last_active_at, s.expires_after_days)),
        'embedding_model', s.embedding_model, 'dimensions', s.dimensions)
        -- expires_after is left out, not null, when there is none.
        || CASE WHEN s.expires_after_days IS NULL THEN '{}'
                ELSE jsonb_build_object('expires_after', jsonb_build_object('anchor', 'last_active_at', 'days', s.expires_after_days)) END
    INTO body
    FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) WHERE s.store_id = p_store_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._store_json(bigint) IS 'A store as the HTTP API shows it.';

-- The envelope of every list. The caller read one row more than the page holds, to know whether more follow,
-- and may have read backwards.
CREATE OR REPLACE FUNCTION vectorstore._list_json(data jsonb[], page_size integer, backwards boolean DEFAULT false) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'object', 'list', 'data', to_jsonb(page), 'first_id', page[1]->'id', 'last_id', page[cardinality(page)]->'id',
        'has_more', coalesce(cardinality(data), 0) > page_size)
    FROM (SELECT ARRAY(SELECT u.item FROM unnest(data[1:page_size]) WITH ORDINALITY AS u(item, place)
                       ORDER BY CASE WHEN backwards THEN -u.place ELSE u.place END)) p(page)
$$;
COMMENT ON FUNCTION vectorstore._list_json(jsonb[], integer, boolean) IS 'List envelope of at most page_size items; an item more says that more follow.';

-- Limit and order of a list; the bounds differ between kinds of lists.
CREATE OR REPLACE FUNCTION vectorstore._check_list(page_size integer, maximum integer, sort text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF page_size < 1 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''limit'': integer below minimum value. Expected a value >= 1.', 'integer_below_min_value', 'limit');
    ELSIF page_size > maximum THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''limit'': integer above maximum value. Expected a value <= %s.', maximum), 'integer_above_max_value', 'limit');
    ELSIF sort NOT IN ('asc', 'desc') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for ''order''. Supported values are: ''asc'' and ''desc''.', 'invalid_value', 'order');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_list(integer, integer, text) IS '22023 for a limit or an order out of range.';

-- A cursor must name an object of the list: the caller looked both up, and NULL says that one is unknown.
CREATE OR REPLACE FUNCTION vectorstore._check_cursors(after text, before text, descending boolean, low_id anycompatible, high_id anycompatible) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text := CASE WHEN (CASE WHEN descending THEN high_id ELSE low_id END) IS NULL THEN 'after'
                         WHEN (CASE WHEN descending THEN low_id ELSE high_id END) IS NULL THEN 'before' END;
BEGIN
    IF unknown IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': no object with id ''%s''.', unknown,
            vectorstore._shown(CASE unknown WHEN 'after' THEN after ELSE before END)), 'invalid_value', unknown);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_cursors(text, text, boolean, anycompatible, anycompatible) IS '22023 for a cursor that names no object of the list.';

CREATE OR REPLACE FUNCTION vectorstore.api_create_vector_store(
    p_key bytea, p_name text, p_description text, p_metadata jsonb, p_expires_days integer,
    p_embedding_model text, p_dimensions integer, p_files jsonb DEFAULT NULL, p_models text[] DEFAULT NULL
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'create');
    -- Made by a statement of its own: the next one sees it.
    number bigint := vectorstore._create_store(
        tenant, p_name, p_description, p_metadata, p_expires_days, p_embedding_model, p_dimensions, NULL,
        coalesce(p_embedding_model = ANY (p_models), false));
BEGIN
    IF p_files IS NOT NULL THEN
        PERFORM vectorstore._attach(number, tenant, NULL, p_files, p_models);
    END IF;
    RETURN vectorstore._store_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_vector_store(bytea, text, text, jsonb, integer, text, integer, jsonb, text[]) IS
    'POST /vector_stores. NULL means the default. Files to attach: an array of {"file_id", "attributes", "chunking_strategy"}; the models are those that the caller embeds with, which a store may also have.';

-- Objects of a page lie between two others by (created_at, number), whatever the order asked for. A page before
-- an object lies next to it: it is read backwards from there, and turned round.
CREATE OR REPLACE FUNCTION vectorstore.api_list_vector_stores(p_key bytea, p_limit integer, p_order text, p_after text, p_before text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
    scope bigint[] := vectorstore._scope();
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_at timestamptz := '-infinity';
    high_at timestamptz := 'infinity';
    low_id bigint := 0;
    high_id bigint := 0;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        SELECT s.created_at, s.store_id INTO low_at, low_id FROM vectorstore.stores s
        WHERE s.store_id = vectorstore._id_number('vs_', low) AND s.id = low AND s.tenant_id = tenant
          AND (scope IS NULL OR s.store_id = ANY (scope));
    END IF;
    IF high IS NOT NULL THEN
        SELECT s.created_at, s.store_id INTO high_at, high_id FROM vectorstore.stores s
        WHERE s.store_id = vectorstore._id_number('vs_', high) AND s.id = high AND s.tenant_id = tenant
          AND (scope IS NULL OR s.store_id = ANY (scope));
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._store_json(s.store_id) FROM vectorstore.stores s
                      WHERE s.tenant_id = tenant AND (scope IS NULL OR s.store_id = ANY (scope))
                        AND (s.created_at, s.store_id) > (low_at, low_id)
                        AND (s.created_at, s.store_id) < (high_at, high_id)
                      ORDER BY s.created_at DESC, s.store_id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._store_json(s.store_id) FROM vectorstore.stores s
                      WHERE s.tenant_id = tenant AND (scope IS NULL OR s.store_id = ANY (scope))
                        AND (s.created_at, s.store_id) > (low_at, low_id)
                        AND (s.created_at, s.store_id) < (high_at, high_id)
                      ORDER BY s.created_at, s.store_id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_vector_stores(bytea, integer, text, text, text) IS 'GET /vector_stores: limit 1..100 (20), order asc or desc (desc), after, before.';

CREATE OR REPLACE FUNCTION vectorstore.api_get_vector_store(p_store_id bigint, p_store text, p_key bytea) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._store_json(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search')));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_vector_store(bigint, text, bytea) IS 'GET /vector_stores/{id}.';

CREATE OR REPLACE FUNCTION vectorstore.api_update_vector_store(p_store_id bigint, p_store text, p_key bytea, p_changes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._update_store(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write')), p_changes);
    RETURN vectorstore._store_json(p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_vector_store(bigint, text, bytea, jsonb) IS 'POST /vector_stores/{id}: changes the keys that are there of name, description, metadata, expires_after_days; null clears.';

CREATE OR REPLACE FUNCTION vectorstore.api_delete_vector_store(p_store_id bigint, p_store text, p_key bytea, p_mode text DEFAULT 'cascade') RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._delete_store_in_mode(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write')), p_mode);
    RETURN jsonb_build_object('id', p_store, 'object', 'vector_store.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_vector_store(bigint, text, bytea, text) IS 'DELETE /vector_stores/{id}?mode=cascade|restrict.';

CREATE OR REPLACE FUNCTION vectorstore.api_health() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object(
        'version', (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'vectorstore'),
        'library', vectorstore._library_version(),
        'schema', vectorstore._schema_version(), 'schema_target', vectorstore._schema_target());
END
$$;
COMMENT ON FUNCTION vectorstore.api_health() IS 'Versions of extension, library and schema; needs no key.';


-- ---- api/http_search.sql
-- Search and direct inserts over HTTP.

CREATE OR REPLACE FUNCTION vectorstore.api_search(
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

CREATE OR REPLACE FUNCTION vectorstore._api_facets(
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
CREATE OR REPLACE FUNCTION vectorstore._touch(p_store_id bigint) RETURNS void
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

CREATE OR REPLACE FUNCTION vectorstore.api_insert_embeddings(
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


-- ---- api/http_embeddings.sql
-- Chunks of text over HTTP, one by one.

CREATE OR REPLACE FUNCTION vectorstore._embedding_json(p_store_id bigint, p_store text, p_chunk_id bigint, p_vector boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', e.id, 'object', 'embedding', 'vector_store_id', p_store, 'content', e.content, 'metadata', e.metadata,
        'file_id', e.file_id, 'filename', e.filename, 'version', e.version,
        'created_at', vectorstore._epoch(e.created_at), 'updated_at', vectorstore._epoch(e.updated_at))
        || CASE WHEN p_vector THEN jsonb_build_object('embedding', to_jsonb(@extschema:vector@.vector_to_float4(e.embedding, -1, false))) ELSE '{}' END
    INTO body FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.chunk_id = p_chunk_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._embedding_json(bigint, text, bigint, boolean) IS 'A chunk as the HTTP API shows it, with its vector if wanted.';

CREATE OR REPLACE FUNCTION vectorstore.api_list_embeddings(
    p_store_id bigint, p_store text, p_key bytea, p_limit integer, p_order text, p_after text, p_before text, p_vectors boolean
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search'));
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_id bigint := 0;
    high_id bigint := 9223372036854775807;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        SELECT e.chunk_id INTO low_id FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = low AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id);
    END IF;
    IF high IS NOT NULL THEN
        SELECT e.chunk_id INTO high_id FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = high AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._embedding_json(number, p_store, e.chunk_id, p_vectors) FROM vectorstore.embeddings e
                      WHERE e.store_id = number AND e.chunk_id > low_id AND e.chunk_id < high_id
                        AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id)
                      ORDER BY e.chunk_id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._embedding_json(number, p_store, e.chunk_id, p_vectors) FROM vectorstore.embeddings e
                      WHERE e.store_id = number AND e.chunk_id > low_id AND e.chunk_id < high_id
                        AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id)
                      ORDER BY e.chunk_id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_embeddings(bigint, text, bytea, integer, text, text, text, boolean) IS
    'GET /vector_stores/{id}/embeddings: limit 1..100 (20), order, after, before; in the order in which they were written.';

CREATE OR REPLACE FUNCTION vectorstore.api_get_embedding(p_store_id bigint, p_store text, p_key bytea, p_id text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search'));
    chunk bigint := (SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = p_id
                      AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id));
BEGIN
    IF chunk IS NULL THEN
        PERFORM vectorstore._fail_embedding(p_id);
    END IF;
    RETURN vectorstore._embedding_json(number, p_store, chunk, true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_embedding(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/embeddings/{id}.';

CREATE OR REPLACE FUNCTION vectorstore.api_update_embedding(
    p_store_id bigint, p_store text, p_key bytea, p_id text, p_content text, p_embedding @extschema:vector@.vector, p_metadata jsonb,
    p_replace boolean, p_versions integer[]
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
    chunk bigint := vectorstore._update_embedding(number, p_id, p_content, p_embedding, p_metadata, p_replace, p_versions);
BEGIN
    PERFORM vectorstore._touch_active(number);
    RETURN vectorstore._embedding_json(number, p_store, chunk, true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_embedding(bigint, text, bytea, text, text, @extschema:vector@.vector, jsonb, boolean, integer[]) IS
    'PUT (p_replace) and PATCH /vector_stores/{id}/embeddings/{id}. p_versions: those that If-Match allows.';

CREATE OR REPLACE FUNCTION vectorstore.api_delete_embedding(p_store_id bigint, p_store text, p_key bytea, p_id text, p_versions integer[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
    known record;
BEGIN
    SELECT e.chunk_id, e.version INTO known FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_embedding(p_id);
    END IF;
    PERFORM vectorstore._require_version(known.version, p_versions);
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.chunk_id = known.chunk_id;
    RETURN jsonb_build_object('id', p_id, 'object', 'embedding.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_embedding(bigint, text, bytea, text, integer[]) IS
    'DELETE /vector_stores/{id}/embeddings/{id}. p_versions: those that If-Match allows.';

CREATE OR REPLACE FUNCTION vectorstore.api_delete_embeddings(
    p_store_id bigint, p_store text, p_key bytea, p_ids text[], p_filter jsonb, p_dry_run boolean, p_expected bigint
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
BEGIN
    RETURN jsonb_build_object(
        'object', 'embedding.batch.deleted', 'dry_run', coalesce(p_dry_run, false),
        'deleted', vectorstore._delete_embeddings(number, p_ids, p_filter, p_dry_run, p_expected));
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_embeddings(bigint, text, bytea, text[], jsonb, boolean, bigint) IS
    'DELETE /vector_stores/{id}/embeddings/batch, by ids or by filter.';


-- ---- api/http_files.sql
-- The Files API. Bytes lie in parts of 1 MiB, so that neither side ever holds a whole file.

CREATE OR REPLACE FUNCTION vectorstore._file_json(p_tenant bigint, p_file_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', f.id, 'object', 'file', 'bytes', f.bytes, 'created_at', vectorstore._epoch(f.created_at),
        'filename', f.filename, 'purpose', f.purpose, 'status', 'processed')
        || CASE WHEN f.expires_at IS NULL THEN '{}' ELSE jsonb_build_object('expires_at', vectorstore._epoch(f.expires_at)) END
    INTO body FROM vectorstore.files f WHERE f.tenant_id = p_tenant AND f.file_id = p_file_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._file_json(bigint, bigint) IS 'A file as the HTTP API shows it.';

CREATE OR REPLACE FUNCTION vectorstore._api_file(p_file text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    SELECT f.file_id INTO number FROM vectorstore.files f
    WHERE f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('file-', p_file) AND f.id = p_file
      AND vectorstore._file_in_scope(p_tenant, f.id, f.created_by);
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'id', format('No such File object: %s', vectorstore._shown(p_file)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_file(text, bigint) IS 'Number of the tenant''s file with this id; P0002 when there is none, 22023 when the id is of another form.';

CREATE OR REPLACE FUNCTION vectorstore._check_file(p_filename text, p_purpose text, p_expires_seconds integer) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(p_filename, '') = '' OR length(p_filename) > 512 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''file'': the file name must have 1 to 512 characters.', 'invalid_value', 'file');
    ELSIF p_purpose IS NULL OR p_purpose NOT IN ('assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''assistants'', ''batch'', ''fine-tune'', ''vision'', ''user_data'', and ''evals''.',
            vectorstore._shown(coalesce(p_purpose, ''))), 'invalid_value', 'purpose');
    ELSIF p_expires_seconds NOT BETWEEN 3600 AND 2592000 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''expires_after[seconds]'': expected a value from 3600 to 2592000.', 'invalid_value', 'expires_after[seconds]');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_file(text, text, integer) IS '22023 for a name, a purpose or an expiry that no file can have.';

CREATE OR REPLACE FUNCTION vectorstore.api_begin_file(p_key bytea, p_filename text, p_purpose text, p_expires_seconds integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := nextval('vectorstore.files_file_id_seq');
    id text := vectorstore._new_id('file-', number);
BEGIN
    PERFORM vectorstore._check_file(p_filename, p_purpose, p_expires_seconds);
    INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose, expires_at, created_by) OVERRIDING SYSTEM VALUE
    VALUES (tenant, number, id, p_filename, p_purpose, now() + make_interval(secs => p_expires_seconds), vectorstore._creator());
    RETURN id;
END
$$;
COMMENT ON FUNCTION vectorstore.api_begin_file(bytea, text, text, integer) IS 'Starts a big upload; parts and the end follow in the same transaction. Returns the id.';

CREATE OR REPLACE FUNCTION vectorstore.api_append_file(p_key bytea, p_file text, p_part integer, p_data bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
BEGIN
    INSERT INTO vectorstore.file_parts (tenant_id, file_id, part, data)
    VALUES (tenant, vectorstore._api_file(p_file, tenant), p_part, p_data);
END
$$;
COMMENT ON FUNCTION vectorstore.api_append_file(bytea, text, integer, bytea) IS 'Adds a part; parts are numbered from 0.';

CREATE OR REPLACE FUNCTION vectorstore._measure_file(p_tenant bigint, p_file_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.files f SET (bytes, parts) = (
        SELECT coalesce(sum(octet_length(p.data)), 0), count(*) FROM vectorstore.file_parts p
        WHERE p.tenant_id = p_tenant AND p.file_id = p_file_id)
    WHERE f.tenant_id = p_tenant AND f.file_id = p_file_id;
END
$$;
COMMENT ON FUNCTION vectorstore._measure_file(bigint, bigint) IS 'Notes how many bytes and parts a file, or a part of an upload, has.';

CREATE OR REPLACE FUNCTION vectorstore.api_finish_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    PERFORM vectorstore._measure_file(tenant, number);
    RETURN vectorstore._file_json(tenant, number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_finish_file(bytea, text) IS 'Ends a big upload; returns the file.';

CREATE OR REPLACE FUNCTION vectorstore.api_create_file(p_key bytea, p_filename text, p_purpose text, p_data bytea, p_expires_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id text := vectorstore.api_begin_file(p_key, p_filename, p_purpose, p_expires_seconds);
    part_size CONSTANT integer := 1048576;
BEGIN
    FOR part IN 0 .. (octet_length(p_data) - 1) / part_size LOOP
        PERFORM vectorstore.api_append_file(p_key, id, part, substring(p_data FROM part * part_size + 1 FOR part_size));
    END LOOP;
    RETURN vectorstore.api_finish_file(p_key, id);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_file(bytea, text, text, bytea, integer) IS 'POST /files for a small file, in one call.';

CREATE OR REPLACE FUNCTION vectorstore.api_list_files(p_key bytea, p_purpose text, p_limit integer, p_order text, p_after text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    scope bigint[] := vectorstore._scope();
    creator bigint := vectorstore._creator();
    page_size integer := coalesce(p_limit, 10000);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    after_at timestamptz := CASE WHEN descending THEN 'infinity' ELSE '-infinity' END;
    after_id bigint := 0;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 10000, coalesce(p_order, 'desc'));
    IF p_after IS NOT NULL THEN
        SELECT f.created_at, f.file_id INTO after_at, after_id FROM vectorstore.files f
        WHERE f.tenant_id = tenant AND f.file_id = vectorstore._id_number('file-', p_after) AND f.id = p_after
          AND vectorstore._file_in_scope(tenant, f.id, f.created_by);
        PERFORM vectorstore._check_cursors(p_after, NULL, false, after_id, 0::bigint);
    END IF;
    IF descending THEN
        data := ARRAY(SELECT vectorstore._file_json(tenant, f.file_id) FROM vectorstore.files f
                      WHERE f.tenant_id = tenant AND f.upload_id IS NULL AND (p_purpose IS NULL OR f.purpose = p_purpose)
                        AND (scope IS NULL OR f.created_by = creator OR vectorstore._file_attached(tenant, f.id, scope))
                        AND (f.created_at, f.file_id) < (after_at, after_id)
                      ORDER BY f.created_at DESC, f.file_id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._file_json(tenant, f.file_id) FROM vectorstore.files f
                      WHERE f.tenant_id = tenant AND f.upload_id IS NULL AND (p_purpose IS NULL OR f.purpose = p_purpose)
                        AND (scope IS NULL OR f.created_by = creator OR vectorstore._file_attached(tenant, f.id, scope))
                        AND (f.created_at, f.file_id) > (after_at, after_id)
                      ORDER BY f.created_at, f.file_id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_files(bytea, text, integer, text, text) IS 'GET /files: limit 1..10000 (10000), order, after, purpose.';

CREATE OR REPLACE FUNCTION vectorstore.api_get_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
BEGIN
    RETURN vectorstore._file_json(tenant, vectorstore._api_file(p_file, tenant));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_file(bytea, text) IS 'GET /files/{id}.';

CREATE OR REPLACE FUNCTION vectorstore.api_read_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    RETURN (SELECT jsonb_build_object('id', f.id, 'filename', f.filename, 'bytes', f.bytes, 'parts', f.parts)
            FROM vectorstore.files f WHERE f.tenant_id = tenant AND f.file_id = number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_file(bytea, text) IS 'Name, size and number of parts of a file that is about to be read.';

CREATE OR REPLACE FUNCTION vectorstore.api_read_file_part(p_key bytea, p_file text, p_part integer) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    RETURN (SELECT p.data FROM vectorstore.file_parts p WHERE p.tenant_id = tenant AND p.file_id = number AND p.part = p_part);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_file_part(bytea, text, integer) IS 'Bytes of one part, 0 and up; NULL past the end.';

CREATE OR REPLACE FUNCTION vectorstore.api_delete_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    IF vectorstore._scope() IS NOT NULL AND EXISTS (
        SELECT FROM vectorstore.files f WHERE f.tenant_id = tenant AND f.file_id = number AND f.created_by <> vectorstore._creator()) THEN
        -- It may be in stores that are none of the caller's.
        PERFORM vectorstore._fail_forbidden();
    END IF;
    PERFORM vectorstore._delete_files(ARRAY[tenant], ARRAY[number], ARRAY[p_file]);
    RETURN jsonb_build_object('id', p_file, 'object', 'file', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_file(bytea, text) IS 'DELETE /files/{id}: the file goes, and its chunks from every store.';


-- ---- api/http_uploads.sql
-- The Uploads API: a file that comes in parts, in any order and at the same time.

CREATE OR REPLACE FUNCTION vectorstore._upload_json(p_tenant bigint, p_upload_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', u.id, 'object', 'upload', 'bytes', u.bytes, 'created_at', vectorstore._epoch(u.created_at),
        'filename', u.filename, 'purpose', u.purpose,
        'status', CASE WHEN u.status = 'pending' AND u.expires_at <= now() THEN 'expired' ELSE u.status END,
        'expires_at', vectorstore._epoch(u.expires_at), 'file', vectorstore._file_json(p_tenant, u.file_id))
    INTO body FROM vectorstore.uploads u WHERE u.tenant_id = p_tenant AND u.upload_id = p_upload_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._upload_json(bigint, bigint) IS 'An upload as the HTTP API shows it.';

-- Parts hold the upload's row against its end, not against each other.
CREATE OR REPLACE FUNCTION vectorstore._api_upload(p_upload text, p_tenant bigint, p_ending boolean) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    IF p_ending THEN
        SELECT u.upload_id INTO number FROM vectorstore.uploads u
        WHERE u.tenant_id = p_tenant AND u.upload_id = vectorstore._id_number('upload_', p_upload) AND u.id = p_upload
          AND (vectorstore._scope() IS NULL OR u.created_by = vectorstore._creator()) FOR UPDATE;
    ELSE
        SELECT u.upload_id INTO number FROM vectorstore.uploads u
        WHERE u.tenant_id = p_tenant AND u.upload_id = vectorstore._id_number('upload_', p_upload) AND u.id = p_upload
          AND (vectorstore._scope() IS NULL OR u.created_by = vectorstore._creator()) FOR KEY SHARE;
    END IF;
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('upload_', p_upload, 'upload_id', format('No such Upload object: %s', vectorstore._shown(p_upload)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_upload(text, bigint, boolean) IS
    'Locks the tenant''s upload with this id, for a part or for its end, and returns its number; P0002 when there is none, 22023 when the id is of another form.';

CREATE OR REPLACE FUNCTION vectorstore._require_pending(p_tenant bigint, p_upload_id bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := vectorstore._upload_json(p_tenant, p_upload_id)->>'status';
BEGIN
    IF state <> 'pending' THEN
        PERFORM vectorstore._fail('22023', format('The upload is not pending any more: its status is ''%s''.', state), 'invalid_value', 'upload_id');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_pending(bigint, bigint) IS '22023 when the upload is completed, cancelled or expired.';

CREATE OR REPLACE FUNCTION vectorstore.api_create_upload(
    p_key bytea, p_filename text, p_purpose text, p_mime_type text, p_bytes bigint, p_expires_seconds integer
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := nextval('vectorstore.uploads_upload_id_seq');
BEGIN
    PERFORM vectorstore._check_file(p_filename, p_purpose, p_expires_seconds);
    IF p_bytes IS NULL OR p_bytes NOT BETWEEN 0 AND 8589934592 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''bytes'': expected a value from 0 to 8589934592.', 'invalid_value', 'bytes');
    END IF;
    INSERT INTO vectorstore.uploads (tenant_id, upload_id, id, filename, purpose, mime_type, bytes, file_expires_seconds, created_by) OVERRIDING SYSTEM VALUE
    VALUES (tenant, number, vectorstore._new_id('upload_', number), p_filename, p_purpose, coalesce(p_mime_type, ''), p_bytes, p_expires_seconds,
            vectorstore._creator());
    RETURN vectorstore._upload_json(tenant, number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_upload(bytea, text, text, text, bigint, integer) IS 'POST /uploads. An upload that is not completed within an hour expires.';

CREATE OR REPLACE FUNCTION vectorstore.api_begin_upload_part(p_key bytea, p_upload text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, false);
    number bigint := nextval('vectorstore.files_file_id_seq');
    part_id text := vectorstore._new_id('part_', number);
BEGIN
    PERFORM vectorstore._require_pending(tenant, upload);
    INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose, upload_id, created_by) OVERRIDING SYSTEM VALUE
    SELECT tenant, number, part_id, u.filename, u.purpose, upload, vectorstore._creator() FROM vectorstore.uploads u WHERE u.tenant_id = tenant AND u.upload_id = upload;
    RETURN part_id;
END
$$;
COMMENT ON FUNCTION vectorstore.api_begin_upload_part(bytea, text) IS 'Starts a part; pieces and the end follow in the same transaction. Returns the part''s id.';

CREATE OR REPLACE FUNCTION vectorstore._upload_part(p_part text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    SELECT f.file_id INTO number FROM vectorstore.files f
    WHERE f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('part_', p_part) AND f.id = p_part
      AND (vectorstore._scope() IS NULL OR f.created_by = vectorstore._creator());
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('part_', p_part, 'part_ids', format('No such UploadPart object: %s', vectorstore._shown(p_part)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._upload_part(text, bigint) IS 'Number of the tenant''s upload part with this id; P0002 when there is none, 22023 when the id is of another form.';

CREATE OR REPLACE FUNCTION vectorstore.api_append_upload_part(p_key bytea, p_part text, p_piece integer, p_data bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
BEGIN
    INSERT INTO vectorstore.file_parts (tenant_id, file_id, part, data)
    VALUES (tenant, vectorstore._upload_part(p_part, tenant), p_piece, p_data);
END
$$;
COMMENT ON FUNCTION vectorstore.api_append_upload_part(bytea, text, integer, bytea) IS 'Adds a piece to a part; pieces are numbered from 0.';

CREATE OR REPLACE FUNCTION vectorstore.api_finish_upload_part(p_key bytea, p_part text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._upload_part(p_part, tenant);
    body jsonb;
BEGIN
    PERFORM vectorstore._measure_file(tenant, number);
    SELECT jsonb_build_object('id', f.id, 'object', 'upload.part', 'created_at', vectorstore._epoch(f.created_at), 'upload_id', u.id)
    INTO body FROM vectorstore.files f JOIN vectorstore.uploads u USING (tenant_id, upload_id)
    WHERE f.tenant_id = tenant AND f.file_id = number;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore.api_finish_upload_part(bytea, text) IS 'Ends a part; returns it.';

CREATE OR REPLACE FUNCTION vectorstore.api_create_upload_part(p_key bytea, p_upload text, p_data bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id text := vectorstore.api_begin_upload_part(p_key, p_upload);
    piece_size CONSTANT integer := 1048576;
BEGIN
    FOR piece IN 0 .. (octet_length(p_data) - 1) / piece_size LOOP
        PERFORM vectorstore.api_append_upload_part(p_key, id, piece, substring(p_data FROM piece * piece_size + 1 FOR piece_size));
    END LOOP;
    RETURN vectorstore.api_finish_upload_part(p_key, id);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_upload_part(bytea, text, bytea) IS 'POST /uploads/{id}/parts for a small part, in one call.';

CREATE OR REPLACE FUNCTION vectorstore._parts_in_order(p_tenant bigint, p_upload_id bigint, p_part_ids text[])
RETURNS TABLE (id text, file_id bigint, bytes bigint, parts integer)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    bad record;
BEGIN
    SELECT min(u.item) FILTER (WHERE f.file_id IS NULL) AS unknown, count(*) <> count(DISTINCT u.part) AS twice
    INTO bad
    FROM unnest(p_part_ids) WITH ORDINALITY AS u(part, item)
    LEFT JOIN vectorstore.files f ON f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('part_', u.part)
        AND f.id = u.part AND f.upload_id = p_upload_id;
    IF bad.unknown IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''part_ids'': the upload has no part ''%s''.', vectorstore._shown(p_part_ids[bad.unknown])),
            'invalid_value', format('part_ids[%s]', bad.unknown - 1));
    ELSIF bad.twice THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''part_ids'': a part stands more than once.', 'invalid_value', 'part_ids');
    END IF;
    RETURN QUERY
    SELECT f.id, f.file_id, f.bytes, f.parts
    FROM unnest(p_part_ids) WITH ORDINALITY AS u(part, item)
    JOIN vectorstore.files f ON f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('part_', u.part) AND f.id = u.part
    ORDER BY u.item;
END
$$;
COMMENT ON FUNCTION vectorstore._parts_in_order(bigint, bigint, text[]) IS 'The named parts of an upload; 22023 for one that is unknown or named twice.';

CREATE OR REPLACE FUNCTION vectorstore.api_read_upload(p_key bytea, p_upload text, p_part_ids text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, false);
BEGIN
    PERFORM vectorstore._require_pending(tenant, upload);
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'pieces', p.parts)), '[]')
            FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) p);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_upload(bytea, text, text[]) IS 'Parts of a pending upload and the number of their pieces, for the MD5 of the whole.';

CREATE OR REPLACE FUNCTION vectorstore.api_read_upload_piece(p_key bytea, p_part text, p_piece integer) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._upload_part(p_part, tenant);
BEGIN
    RETURN (SELECT p.data FROM vectorstore.file_parts p WHERE p.tenant_id = tenant AND p.file_id = number AND p.part = p_piece);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_upload_piece(bytea, text, integer) IS 'Bytes of one piece of a part, 0 and up; NULL past the end.';

CREATE OR REPLACE FUNCTION vectorstore.api_complete_upload(p_key bytea, p_upload text, p_part_ids text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, true);
    wanted bigint;
    total bigint;
    number bigint := nextval('vectorstore.files_file_id_seq');
BEGIN
    PERFORM vectorstore._require_pending(tenant, upload);
    SELECT u.bytes INTO wanted FROM vectorstore.uploads u WHERE u.tenant_id = tenant AND u.upload_id = upload;
    SELECT coalesce(sum(p.bytes), 0) INTO total FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) p;
    IF total <> wanted THEN
        PERFORM vectorstore._fail('22023', format('The parts have %s bytes, but the upload was created for %s bytes.', total, wanted), 'invalid_value', 'part_ids');
    END IF;
    INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose, bytes, parts, expires_at, created_by) OVERRIDING SYSTEM VALUE
    SELECT tenant, number, vectorstore._new_id('file-', number), u.filename, u.purpose, u.bytes,
           (SELECT coalesce(sum(p.parts), 0) FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) p),
           now() + make_interval(secs => u.file_expires_seconds), vectorstore._creator()
    FROM vectorstore.uploads u WHERE u.tenant_id = tenant AND u.upload_id = upload;
    -- Only the numbers are written: the bytes stay where they are.
    UPDATE vectorstore.file_parts d SET file_id = number, part = p.before + d.part
    FROM (SELECT q.file_id, (sum(q.parts) OVER (ORDER BY q.place) - q.parts)::integer AS before
          FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) WITH ORDINALITY AS q(id, file_id, bytes, parts, place)) p
    WHERE d.tenant_id = tenant AND d.file_id = p.file_id;
    -- What is left of them is empty; parts that were not named wait for the sweep.
    DELETE FROM vectorstore.files f USING vectorstore._parts_in_order(tenant, upload, p_part_ids) p
    WHERE f.tenant_id = tenant AND f.file_id = p.file_id;
    UPDATE vectorstore.uploads u SET status = 'completed', file_id = number WHERE u.tenant_id = tenant AND u.upload_id = upload;
    RETURN vectorstore._upload_json(tenant, upload);
END
$$;
COMMENT ON FUNCTION vectorstore.api_complete_upload(bytea, text, text[]) IS
    'POST /uploads/{id}/complete: makes the file of the parts in this order. 22023, and nothing changes, when their bytes are not as many as announced.';

CREATE OR REPLACE FUNCTION vectorstore.api_cancel_upload(p_key bytea, p_upload text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, true);
    state text := vectorstore._upload_json(tenant, upload)->>'status';
BEGIN
    IF state = 'completed' THEN
        PERFORM vectorstore._require_pending(tenant, upload);
    END IF;
    UPDATE vectorstore.uploads u SET status = 'cancelled'
    WHERE u.tenant_id = tenant AND u.upload_id = upload AND state = 'pending';
    RETURN vectorstore._upload_json(tenant, upload);
END
$$;
COMMENT ON FUNCTION vectorstore.api_cancel_upload(bytea, text) IS
    'POST /uploads/{id}/cancel. A cancelled or expired upload stays what it is; 22023 for a completed one.';

CREATE OR REPLACE FUNCTION vectorstore._sweep_uploads(p_parts integer DEFAULT 64) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    swept bigint;
BEGIN
    UPDATE vectorstore.uploads u SET status = 'expired'
    WHERE (u.tenant_id, u.upload_id) IN (
        SELECT x.tenant_id, x.upload_id FROM vectorstore.uploads x
        WHERE x.status = 'pending' AND x.expires_at <= now() ORDER BY x.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    DELETE FROM vectorstore.files f
    WHERE (f.tenant_id, f.file_id) IN (
        SELECT p.tenant_id, p.file_id FROM vectorstore.files p JOIN vectorstore.uploads u USING (tenant_id, upload_id)
        WHERE p.upload_id IS NOT NULL AND u.status <> 'pending' LIMIT p_parts FOR UPDATE OF p SKIP LOCKED);
    GET DIAGNOSTICS swept = ROW_COUNT;
    -- An upload is remembered for a month, so that a late client learns what became of it.
    DELETE FROM vectorstore.uploads u
    WHERE (u.tenant_id, u.upload_id) IN (
        SELECT x.tenant_id, x.upload_id FROM vectorstore.uploads x
        WHERE x.status <> 'pending' AND x.expires_at < now() - interval '30 days'
          AND NOT EXISTS (SELECT FROM vectorstore.files p WHERE p.tenant_id = x.tenant_id AND p.upload_id = x.upload_id)
        ORDER BY x.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN swept;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep_uploads(integer) IS
    'Marks uploads that are over their time as expired and deletes at most so many parts (64 MB each) of uploads that ended; returns how many. Call it again while it returns as many.';


-- ---- api/http_idempotency.sql
-- Requests with an Idempotency-Key: the first one runs, the same again gets its answer. A client is known by its key,
-- not by the address that the credential holds, too.

CREATE OR REPLACE FUNCTION vectorstore.api_claim_request(p_key bytea, p_name text, p_digest bytea, p_lease bytea, p_seconds integer)
RETURNS TABLE (state text, digest bytea, status integer, content_type text, body bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
    until CONSTANT timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
    known record;
BEGIN
    INSERT INTO vectorstore.idempotency_keys (tenant_id, key_hash, name, digest, lease, lease_until)
    VALUES (tenant, substr(p_key, 1, 32), p_name, p_digest, p_lease, until)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN QUERY SELECT 'new', NULL::bytea, NULL::integer, NULL::text, NULL::bytea;
        RETURN;
    END IF;
    SELECT k.* INTO known FROM vectorstore.idempotency_keys k
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name FOR UPDATE;
    IF known.lease_until > clock_timestamp() OR known.tenant_id IS NULL THEN
        -- Somebody is at it, or has just given it up.
        PERFORM vectorstore._charge_repetition();
        RETURN QUERY SELECT CASE WHEN known.digest <> p_digest THEN 'other' ELSE 'busy' END, NULL::bytea, NULL::integer, NULL::text, NULL::bytea;
    ELSIF known.body IS NOT NULL AND known.created_at > now() - interval '24 hours' THEN
        PERFORM vectorstore._charge_repetition();
        RETURN QUERY SELECT 'done', known.digest, known.status::integer, known.content_type, known.body;
    ELSE
        -- Forgotten, or left by a process that died before it changed anything.
        UPDATE vectorstore.idempotency_keys k
        SET digest = p_digest, lease = p_lease, lease_until = until, status = NULL, content_type = NULL, body = NULL, created_at = now()
        WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name;
        RETURN QUERY SELECT 'new', NULL::bytea, NULL::integer, NULL::text, NULL::bytea;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore.api_claim_request(bytea, text, bytea, bytea, integer) IS
    'Begins a request with an Idempotency-Key. State: new (run it under this lease), done (with the answer and the digest of its request), busy (it is running) or other (it is running, but is another request). A new one is charged to rate limits where it runs, any other here: 54000 when it comes too often.';

CREATE OR REPLACE FUNCTION vectorstore.api_renew_request(p_key bytea, p_name text, p_lease bytea, p_seconds integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    UPDATE vectorstore.idempotency_keys k SET lease_until = clock_timestamp() + make_interval(secs => p_seconds)
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_renew_request(bytea, text, bytea, integer) IS 'Says that the request is still running; false when its lease is lost.';

-- Called in the transaction of the request's effect: both are there, or neither.
CREATE OR REPLACE FUNCTION vectorstore.api_settle_request(
    p_key bytea, p_name text, p_lease bytea, p_digest bytea, p_status integer, p_content_type text, p_body bytea, p_over boolean
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    UPDATE vectorstore.idempotency_keys k
    SET digest = p_digest, status = p_status, content_type = p_content_type, body = p_body,
        lease_until = CASE WHEN p_over THEN NULL ELSE k.lease_until END
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease;
    IF NOT FOUND AND NOT p_over THEN
        PERFORM vectorstore._fail('23505', 'Another request with this Idempotency-Key has taken over.', 'idempotency_key_in_use', 'Idempotency-Key');
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_settle_request(bytea, text, bytea, bytea, integer, text, bytea, boolean) IS
    'Keeps the answer of a request; p_over ends it. 23505, which undoes the effect, for an effect under a lost lease.';

CREATE OR REPLACE FUNCTION vectorstore.api_release_request(p_key bytea, p_name text, p_lease bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    DELETE FROM vectorstore.idempotency_keys k
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease AND k.body IS NULL;
    UPDATE vectorstore.idempotency_keys k SET lease_until = NULL
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease;
END
$$;
COMMENT ON FUNCTION vectorstore.api_release_request(bytea, text, bytea) IS 'Ends a request that failed: it may run again, unless it had an effect.';

CREATE OR REPLACE FUNCTION vectorstore._sweep_idempotency(p_rows integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    swept bigint;
BEGIN
    DELETE FROM vectorstore.idempotency_keys k
    WHERE (k.tenant_id, k.key_hash, k.name) IN (
        SELECT x.tenant_id, x.key_hash, x.name FROM vectorstore.idempotency_keys x
        WHERE x.created_at < now() - interval '24 hours' AND (x.lease_until IS NULL OR x.lease_until < clock_timestamp())
        ORDER BY x.created_at LIMIT p_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN swept;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep_idempotency(integer) IS 'Forgets at most so many requests that are older than 24 hours; returns how many.';


-- ---- api/http_store_files.sql
-- Files of a vector store over HTTP. What is in a file is found by a job (jobs.sql).

CREATE OR REPLACE FUNCTION vectorstore._store_file_json(p_store_id bigint, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', f.id, 'object', 'vector_store.file', 'usage_bytes', f.usage_bytes, 'created_at', vectorstore._epoch(f.created_at),
        'vector_store_id', s.id, 'status', f.status, 'last_error', f.last_error,
        'chunking_strategy', f.chunking_strategy, 'attributes', f.attributes)
    INTO body
    FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id)
    WHERE f.store_id = p_store_id AND f.id = p_file;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._store_file_json(bigint, text) IS 'A file of a store as the HTTP API shows it; NULL when it is not attached.';

-- The store's number, after checking that the file is attached.
CREATE OR REPLACE FUNCTION vectorstore._api_store_file(p_store_id bigint, p_store text, p_key bytea, p_access text, p_file text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, p_access));
BEGIN
    PERFORM FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = p_file
      AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id);
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'file_id',
            format('No file found with id ''%s'' in vector store ''%s''.', vectorstore._shown(p_file), p_store));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_store_file(bigint, text, bytea, text, text) IS 'Number of the store that this file is attached to; P0002 when it is not.';

CREATE OR REPLACE FUNCTION vectorstore.api_attach_file(
    p_store_id bigint, p_store text, p_key bytea, p_file text, p_attributes jsonb, p_chunking jsonb, p_models text[],
    p_worker text, p_seconds integer
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
    job jsonb;
BEGIN
    IF NOT starts_with(p_file, 'file-') THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'file_id', '');
    END IF;
    PERFORM vectorstore._api_file(p_file, tenant);
    IF vectorstore._attach(number, tenant, NULL, jsonb_build_array(jsonb_build_object(
           'file_id', p_file, 'attributes', p_attributes, 'chunking_strategy', p_chunking)), p_models) THEN
        job := vectorstore._lease_job(number, p_file, p_worker, p_seconds);
    END IF;
    RETURN jsonb_build_object('file', vectorstore._store_file_json(number, p_file), 'job', job);
END
$$;
COMMENT ON FUNCTION vectorstore.api_attach_file(bigint, text, bytea, text, jsonb, jsonb, text[], text, integer) IS
    'POST /vector_stores/{id}/files: attaches a file. {"file", "job"}: the job is null when there is nothing to do, else as of api_claim_jobs, leased to this worker for so many seconds.';

-- A cursor may be any file of the store: one of a batch may have gone to a later batch since.
CREATE OR REPLACE FUNCTION vectorstore._list_store_files(
    number bigint, p_batch bigint, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    -- Planned for the batch that is given, or for none.
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_at timestamptz := '-infinity';
    high_at timestamptz := 'infinity';
    low_id text := '';
    high_id text := '';
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF p_filter NOT IN ('in_progress', 'completed', 'failed', 'cancelled') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''in_progress'', ''completed'', ''failed'', and ''cancelled''.',
            vectorstore._shown(p_filter)), 'invalid_value', 'filter');
    END IF;
    IF low IS NOT NULL THEN
        SELECT f.created_at, f.id INTO low_at, low_id FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = low AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id);
    END IF;
    IF high IS NOT NULL THEN
        SELECT f.created_at, f.id INTO high_at, high_id FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = high AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._store_file_json(number, f.id) FROM vectorstore.store_files f
                      WHERE f.store_id = number AND (p_batch IS NULL OR f.batch_id = p_batch) AND (p_filter IS NULL OR f.status = p_filter)
                        AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id)
                        AND (f.created_at, f.id) > (low_at, low_id) AND (f.created_at, f.id) < (high_at, high_id)
                      ORDER BY f.created_at DESC, f.id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._store_file_json(number, f.id) FROM vectorstore.store_files f
                      WHERE f.store_id = number AND (p_batch IS NULL OR f.batch_id = p_batch) AND (p_filter IS NULL OR f.status = p_filter)
                        AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id)
                        AND (f.created_at, f.id) > (low_at, low_id) AND (f.created_at, f.id) < (high_at, high_id)
                      ORDER BY f.created_at, f.id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore._list_store_files(bigint, bigint, integer, text, text, text, text) IS 'A page of the files of a store, or of one of its batches.';

CREATE OR REPLACE FUNCTION vectorstore.api_list_store_files(
    p_store_id bigint, p_store text, p_key bytea, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._list_store_files(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search')),
        NULL, p_limit, p_order, p_after, p_before, p_filter);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_store_files(bigint, text, bytea, integer, text, text, text, text) IS
    'GET /vector_stores/{id}/files: limit 1..100 (20), order, after, before, filter by status.';

CREATE OR REPLACE FUNCTION vectorstore.api_get_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._store_file_json(vectorstore._api_store_file(p_store_id, p_store, p_key, 'search', p_file), p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_store_file(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/files/{file}.';

CREATE OR REPLACE FUNCTION vectorstore.api_update_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text, p_attributes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, 'write', p_file);
    checked jsonb := vectorstore._check_attributes(p_attributes, 'attributes', true);
BEGIN
    PERFORM vectorstore._require_active(number);
    UPDATE vectorstore.store_files f SET attributes = checked WHERE f.store_id = number AND f.id = p_file;
    -- Search filters on the chunks' own copy, so that a change takes effect at once.
    UPDATE vectorstore.embeddings e SET metadata = checked, updated_at = now() WHERE e.store_id = number AND e.file_id = p_file;
    PERFORM vectorstore._touch_active(number);
    RETURN vectorstore._store_file_json(number, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_store_file(bigint, text, bytea, text, jsonb) IS 'POST /vector_stores/{id}/files/{file}: replaces the attributes.';

CREATE OR REPLACE FUNCTION vectorstore.api_delete_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, 'write', p_file);
BEGIN
    PERFORM vectorstore._detach(ARRAY[number], ARRAY[p_file]);
    PERFORM vectorstore._touch_active(number);
    RETURN jsonb_build_object('id', p_file, 'object', 'vector_store.file.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_store_file(bigint, text, bytea, text) IS 'DELETE /vector_stores/{id}/files/{file}: its chunks go, the file stays.';

CREATE OR REPLACE FUNCTION vectorstore.api_store_file_content(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, 'search', p_file);
BEGIN
    -- The pages of a PDF and the slides of a presentation are set off by form feeds; in any other file they are text.
    RETURN (SELECT jsonb_build_object('object', 'vector_store.file_content.page',
                'data', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', 'text', 'text', p.page) ORDER BY p.number), '[]')
                         FROM string_to_table(f.content, CASE WHEN lower(f.filename) ~ '\.(pdf|pptx)$' THEN E'\n\f\n' ELSE '' END)
                              WITH ORDINALITY AS p(page, number)),
                'has_more', false, 'next_page', NULL)
            FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_store_file_content(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/files/{file}/content: the text as extracted, each page and slide apart.';


-- ---- api/http_batches.sql
-- Batches: files attached to a vector store by one request.

CREATE OR REPLACE FUNCTION vectorstore._batch_json(p_store_id bigint, p_batch bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'id', b.id, 'object', 'vector_store.files_batch', 'created_at', vectorstore._epoch(b.created_at), 'vector_store_id', s.id,
            'status', CASE WHEN b.cancelled_at IS NOT NULL THEN 'cancelled' WHEN c.in_progress > 0 THEN 'in_progress' ELSE 'completed' END,
            'file_counts', jsonb_build_object('in_progress', c.in_progress, 'completed', c.completed, 'failed', c.failed,
                                              'cancelled', c.cancelled, 'total', c.total))
        FROM vectorstore.file_batches b JOIN vectorstore.stores s USING (store_id)
        CROSS JOIN (
            SELECT count(*) AS total, count(*) FILTER (WHERE f.status = 'in_progress') AS in_progress,
                   count(*) FILTER (WHERE f.status = 'completed') AS completed, count(*) FILTER (WHERE f.status = 'failed') AS failed,
                   count(*) FILTER (WHERE f.status = 'cancelled') AS cancelled
            FROM vectorstore.store_files f WHERE f.store_id = p_store_id AND f.batch_id = p_batch) c
        WHERE b.store_id = p_store_id AND b.batch_id = p_batch);
END
$$;
COMMENT ON FUNCTION vectorstore._batch_json(bigint, bigint) IS 'A batch as the HTTP API shows it. A file that a later request attached again is counted there.';

CREATE OR REPLACE FUNCTION vectorstore._api_batch(p_store_id bigint, p_store text, p_key bytea, p_access text, p_batch text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, p_access));
    batch bigint := vectorstore._id_number('vsfb_', p_batch);
BEGIN
    PERFORM FROM vectorstore.file_batches b WHERE b.store_id = number AND b.batch_id = batch AND b.id = p_batch;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_unknown('vsfb_', p_batch, 'batch_id',
            format('No file batch found with id ''%s'' in vector store ''%s''.', vectorstore._shown(p_batch), p_store));
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION vectorstore._api_batch(bigint, text, bytea, text, text) IS 'Number of the store''s batch with this id; P0002 when there is none, 22023 when the id is of another form.';

CREATE OR REPLACE FUNCTION vectorstore.api_create_batch(p_store_id bigint, p_store text, p_key bytea, p_files jsonb, p_models text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
    batch bigint := nextval('vectorstore.file_batches_batch_id_seq');
BEGIN
    INSERT INTO vectorstore.file_batches (store_id, batch_id, tenant_id, id) OVERRIDING SYSTEM VALUE
    VALUES (number, batch, tenant, vectorstore._new_id('vsfb_', batch));
    PERFORM vectorstore._attach(number, tenant, batch, p_files, p_models);
    RETURN vectorstore._batch_json(number, batch);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_batch(bigint, text, bytea, jsonb, text[]) IS
    'POST /vector_stores/{id}/file_batches: attaches files, an array of {"file_id", "attributes", "chunking_strategy"}. The models are those that the caller embeds with.';

CREATE OR REPLACE FUNCTION vectorstore.api_get_batch(p_store_id bigint, p_store text, p_key bytea, p_batch text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._batch_json(p_store_id, vectorstore._api_batch(p_store_id, p_store, p_key, 'read', p_batch));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_batch(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/file_batches/{batch}.';

CREATE OR REPLACE FUNCTION vectorstore.api_cancel_batch(p_store_id bigint, p_store text, p_key bytea, p_batch text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch bigint := vectorstore._api_batch(p_store_id, p_store, p_key, 'write', p_batch);
    files text[];
BEGIN
    files := ARRAY(SELECT f.id FROM vectorstore.store_files f
                   WHERE f.store_id = p_store_id AND f.batch_id = batch AND f.status = 'in_progress' ORDER BY f.id FOR UPDATE);
    IF files <> '{}' THEN
        DELETE FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = ANY (files);
        DELETE FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.file_id = ANY (files);
        UPDATE vectorstore.store_files f SET status = 'cancelled', usage_bytes = 0, content = NULL
        WHERE f.store_id = p_store_id AND f.id = ANY (files);
        UPDATE vectorstore.file_batches b SET cancelled_at = now() WHERE b.store_id = p_store_id AND b.batch_id = batch;
    END IF;
    RETURN vectorstore._batch_json(p_store_id, batch);
END
$$;
COMMENT ON FUNCTION vectorstore.api_cancel_batch(bigint, text, bytea, text) IS
    'POST /vector_stores/{id}/file_batches/{batch}/cancel: files in progress become cancelled. A batch without any stays as it is.';

CREATE OR REPLACE FUNCTION vectorstore.api_list_batch_files(
    p_store_id bigint, p_store text, p_key bytea, p_batch text, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._list_store_files(p_store_id, vectorstore._api_batch(p_store_id, p_store, p_key, 'read', p_batch),
        p_limit, p_order, p_after, p_before, p_filter);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_batch_files(bigint, text, bytea, text, integer, text, text, text, text) IS
    'GET /vector_stores/{id}/file_batches/{batch}/files: limit 1..100 (20), order, after, before, filter by status.';


-- ---- api/http_keys.sql
-- API keys and tenants over HTTP. The proxy makes the keys; here only their SHA-256 arrives.

-- Whose keys are meant. Another tenant's id is no secret, but only operators may name it.
CREATE FUNCTION vectorstore._open_admin(p_key bytea, p_tenant text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._open_key(p_key, 'admin');
BEGIN
    IF p_tenant IS NULL OR p_tenant = (SELECT t.id FROM vectorstore.tenants t WHERE t.tenant_id = own) THEN
        RETURN own;
    END IF;
    PERFORM vectorstore._require_access('operator');
    RETURN vectorstore._find_tenant(p_tenant);
END
$$;
COMMENT ON FUNCTION vectorstore._open_admin(bytea, text) IS 'Makes the owner of a credential the caller, and returns the tenant that it manages: its own, or for operators any. 42501 for others.';

CREATE FUNCTION vectorstore.api_list_api_keys(p_key bytea, p_tenant text, p_limit integer, p_order text, p_after text, p_before text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_id bigint := 0;
    high_id bigint := 9223372036854775807;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        low_id := (SELECT k.key FROM vectorstore.api_keys k WHERE k.tenant_id = tenant AND k.key_id = low);
    END IF;
    IF high IS NOT NULL THEN
        high_id := (SELECT k.key FROM vectorstore.api_keys k WHERE k.tenant_id = tenant AND k.key_id = high);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    data := ARRAY(SELECT vectorstore._key_json(k.key) FROM vectorstore.api_keys k
                  WHERE k.tenant_id = tenant AND k.key > low_id AND k.key < high_id
                  ORDER BY CASE WHEN descending <> backwards THEN -k.key ELSE k.key END LIMIT page_size + 1);
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_api_keys(bytea, text, integer, text, text, text) IS 'GET /api_keys: limit 1..100 (20), order, after, before; of the caller''s tenant, or for operators of any.';

CREATE FUNCTION vectorstore.api_create_api_key(p_key bytea, p_tenant text, p_hash bytea, p_settings jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    -- By a statement of its own: the next one sees it.
    key bigint := vectorstore._create_key(tenant, p_hash, p_settings);
BEGIN
    RETURN vectorstore._key_json(key);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_api_key(bytea, text, bytea, jsonb) IS 'POST /api_keys. Settings: name, role (read), vector_store_ids, allowed_ips, filter, expires_at.';

CREATE FUNCTION vectorstore.api_get_api_key(p_key bytea, p_tenant text, p_id text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    RETURN vectorstore._key_json(vectorstore._find_key(tenant, p_id));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_api_key(bytea, text, text) IS 'GET /api_keys/{id}.';

CREATE FUNCTION vectorstore.api_update_api_key(p_key bytea, p_tenant text, p_id text, p_changes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    -- By a statement of its own: the next one sees it.
    key bigint := vectorstore._update_key(tenant, p_id, p_changes);
BEGIN
    RETURN vectorstore._key_json(key);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_api_key(bytea, text, text, jsonb) IS 'PUT /api_keys/{id}: changes what is given; null clears.';

CREATE FUNCTION vectorstore.api_delete_api_key(p_key bytea, p_tenant text, p_id text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    PERFORM vectorstore._delete_key(tenant, p_id);
    RETURN jsonb_build_object('id', p_id, 'object', 'api_key.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_api_key(bytea, text, text) IS 'DELETE /api_keys/{id}: no request gets in with it any more.';

CREATE FUNCTION vectorstore.api_rotate_api_key(p_key bytea, p_tenant text, p_id text, p_hash bytea, p_overlap_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    -- By a statement of its own: the next one sees it.
    key bigint := vectorstore._rotate_key(tenant, p_id, p_hash, make_interval(secs => coalesce(p_overlap_seconds, 86400)));
BEGIN
    RETURN vectorstore._key_json(key);
END
$$;
COMMENT ON FUNCTION vectorstore.api_rotate_api_key(bytea, text, text, bytea, integer) IS
    'POST /api_keys/{id}/rotate: a new key with the same settings; the old one ends after so many seconds (0..2592000, a day by default).';

CREATE FUNCTION vectorstore.api_list_tenants(p_key bytea, p_limit integer, p_order text, p_after text, p_before text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_id bigint := 0;
    high_id bigint := 9223372036854775807;
    data jsonb[];
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        low_id := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = low);
    END IF;
    IF high IS NOT NULL THEN
        high_id := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = high);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    data := ARRAY(SELECT vectorstore._tenant_json(t.tenant_id) FROM vectorstore.tenants t
                  WHERE t.tenant_id > low_id AND t.tenant_id < high_id
                  ORDER BY CASE WHEN descending <> backwards THEN -t.tenant_id ELSE t.tenant_id END LIMIT page_size + 1);
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_tenants(bytea, integer, text, text, text) IS 'GET /admin/tenants: limit 1..100 (20), order, after, before. For operators.';

CREATE FUNCTION vectorstore.api_create_tenant(p_key bytea, p_id text, p_name text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    number := vectorstore._create_tenant(p_id, p_name);
    RETURN vectorstore._tenant_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_tenant(bytea, text, text) IS 'POST /admin/tenants. For operators.';

CREATE FUNCTION vectorstore.api_get_tenant(p_key bytea, p_id text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    RETURN vectorstore._tenant_json(vectorstore._find_tenant(p_id));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_tenant(bytea, text) IS 'GET /admin/tenants/{id}. For operators.';

CREATE FUNCTION vectorstore.api_update_tenant(p_key bytea, p_id text, p_changes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    number := vectorstore._find_tenant(p_id);
    UPDATE vectorstore.tenants t SET name = vectorstore._check_tenant_name(p_changes->>'name'), updated_at = now()
    WHERE t.tenant_id = number AND p_changes->>'name' IS NOT NULL;
    IF FOUND THEN
        PERFORM vectorstore._audit(number, 'tenant.updated', p_id, p_changes);
    END IF;
    RETURN vectorstore._tenant_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_tenant(bytea, text, jsonb) IS 'PUT /admin/tenants/{id}: changes the name. For operators.';

CREATE FUNCTION vectorstore.api_delete_tenant(p_key bytea, p_id text, p_mode text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    PERFORM vectorstore._delete_tenant(p_id, coalesce(p_mode, 'restrict'));
    RETURN jsonb_build_object('id', p_id, 'object', 'tenant.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_tenant(bytea, text, text) IS 'DELETE /admin/tenants/{id}?mode=restrict|cascade. For operators.';

CREATE FUNCTION vectorstore.api_get_quotas(p_key bytea, p_tenant text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    RETURN vectorstore._quotas_json(tenant);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_quotas(bytea, text) IS 'GET /admin/quotas: of the caller''s tenant and its stores, or for operators of any tenant.';

CREATE FUNCTION vectorstore._quotas_json(p_tenant bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object('object', 'list', 'data', coalesce(jsonb_agg(jsonb_build_object(
            'object', 'quota', 'vector_store_id', q.store_id, 'resource', q.resource, 'used', q.used, 'quota', q.quota,
            'exceeded_at', vectorstore._epoch(q.exceeded_at))), '[]'))
        FROM vectorstore._quotas_of(p_tenant) q);
END
$$;
COMMENT ON FUNCTION vectorstore._quotas_json(bigint) IS 'The quotas of a tenant as the HTTP API shows them.';

-- Nobody raises the quota of the own tenant.
CREATE FUNCTION vectorstore.api_set_quota(p_key bytea, p_tenant text, p_store text, p_limits jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    IF p_store IS NULL THEN
        PERFORM vectorstore._require_access('operator');
        PERFORM vectorstore._set_tenant_quota(tenant, (p_limits->>'max_stores')::bigint, (p_limits->>'max_chunks')::bigint, (p_limits->>'max_bytes')::bigint);
    ELSE
        PERFORM vectorstore._set_quota(vectorstore._api_store(coalesce(vectorstore._id_number('vs_', p_store), 0), p_store, tenant),
            (p_limits->>'max_chunks')::bigint, (p_limits->>'max_bytes')::bigint);
    END IF;
    RETURN vectorstore._quotas_json(tenant);
END
$$;
COMMENT ON FUNCTION vectorstore.api_set_quota(bytea, text, text, jsonb) IS
    'PUT /admin/quotas: all limits of a store (max_chunks, max_bytes), or for operators those of a tenant (max_stores, max_chunks, max_bytes); an absent one ends.';


-- ---- api/doctor.sql
-- What is wrong with this installation, and what to do about it. Every check looks at the catalogue or at a few rows;
-- none of them writes, so that they run on a standby too.

CREATE FUNCTION vectorstore._version_numbers(version text) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT string_to_array(substring(version FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] $$;
COMMENT ON FUNCTION vectorstore._version_numbers(text) IS 'The numbers of a version, to be compared; NULL when it begins with none.';

CREATE FUNCTION vectorstore._is_preloaded() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT 'vectorstore' = ANY (regexp_split_to_array(replace(vectorstore._preload_libraries(), '"', ''), '\s*,\s*')) $$;
COMMENT ON FUNCTION vectorstore._is_preloaded() IS 'Whether shared_preload_libraries names vectorstore.';

-- What holds for the server and the versions of everything on it.
CREATE FUNCTION vectorstore._doctor_versions() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    server integer := current_setting('server_version_num')::integer;
    -- The first minor version without CVE-2025-8713 and CVE-2025-8715.
    floor_ integer := CASE server / 10000 WHEN 15 THEN 150014 WHEN 16 THEN 160010 WHEN 17 THEN 170006 ELSE 180000 END;
    vector integer[];
    installed text;
    newest text;
    library text := vectorstore._library_version();
BEGIN
    "check" := 'postgres';
    detail := format('PostgreSQL %s', current_setting('server_version'));
    IF server < 150000 THEN
        SELECT 'error', 'Upgrade to PostgreSQL 18; versions before 15 are not supported.' INTO status, remedy;
    ELSIF server < floor_ THEN
        SELECT 'error', format('Install the minor version %s.%s or later: it closes holes in row security and in dumps.', floor_ / 10000, floor_ % 10000) INTO status, remedy;
    ELSE
        SELECT 'ok', '' INTO status, remedy;
    END IF;
    RETURN NEXT;

    SELECT vectorstore._version_numbers(x.extversion), format('pgvector %s', x.extversion) INTO vector, detail
    FROM pg_extension x WHERE x.extname = 'vector';
    "check" := 'pgvector';
    IF vector < ARRAY[0, 8, 2] THEN
        SELECT 'error', 'Install pgvector 0.8.4 or later, then ALTER EXTENSION vector UPDATE: CVE-2026-3172 is in parallel builds of HNSW indexes.' INTO status, remedy;
    ELSIF vector < ARRAY[0, 8, 4] THEN
        SELECT 'warning', 'Install pgvector 0.8.4 or later, then ALTER EXTENSION vector UPDATE: vacuum may damage HNSW indexes.' INTO status, remedy;
    ELSE
        SELECT 'ok', '' INTO status, remedy;
    END IF;
    RETURN NEXT;

    SELECT x.extversion INTO installed FROM pg_extension x WHERE x.extname = 'vectorstore';
    SELECT x.default_version INTO newest FROM pg_available_extensions x WHERE x.name = 'vectorstore';
    "check" := 'versions';
    detail := format('library %s, extension %s, schema %s of %s', library, installed, vectorstore._schema_version(), vectorstore._schema_target());
    IF vectorstore._version_numbers(library) < vectorstore._version_numbers(installed) THEN
        SELECT 'error', 'The library is older than the extension: install the files of the newer version and restart Postgres.' INTO status, remedy;
    ELSIF library <> installed OR newest <> installed THEN
        SELECT 'error', 'ALTER EXTENSION vectorstore UPDATE; SELECT vs_install(); Restart Postgres when vectorstore is preloaded.' INTO status, remedy;
    ELSIF vectorstore._schema_version() <> vectorstore._schema_target() THEN
        status := CASE vectorstore._schema_version() WHEN 0 THEN 'warning' ELSE 'error' END;
        remedy := 'SELECT vs_install();';
    ELSE
        SELECT 'ok', '' INTO status, remedy;
    END IF;
    RETURN NEXT;

    "check" := 'preload';
    IF vectorstore._is_preloaded() THEN
        SELECT 'ok', 'vectorstore is preloaded', '' INTO status, detail, remedy;
    ELSE
        SELECT 'warning', 'vectorstore is not preloaded: nothing is counted, and rate limits do not work',
            'Add vectorstore to shared_preload_libraries and restart Postgres.' INTO status, detail, remedy;
    END IF;
    RETURN NEXT;

    "check" := 'model';
    BEGIN
        SELECT 'ok', format('the local model has %s dimensions', vectorstore._model_dimensions()), '' INTO status, detail, remedy;
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        SELECT 'warning', 'no local model: SQL cannot embed texts',
            'ALTER SYSTEM SET vectorstore.model_path = ''/folder/of/the/model''; SELECT pg_reload_conf();' INTO status, detail, remedy;
    END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_versions() IS 'Rows of vs_doctor: server, versions, preload, model.';

-- Who may do what: each mistake is a row.
CREATE FUNCTION vectorstore._doctor_rights() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH mistakes AS (
        SELECT 'roles' AS area, r.rolname::text AS name, format('role %s is %s', r.rolname, f.flag) AS what,
               format('ALTER ROLE %I NO%s;', r.rolname, f.flag) AS fix
        FROM pg_roles r CROSS JOIN LATERAL (VALUES
            ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls), ('CREATEROLE', r.rolcreaterole),
            ('LOGIN', r.rolcanlogin)) AS f (flag, has)
        WHERE f.has AND r.rolname IN ('vectorstore_owner', 'vectorstore_admin', 'vectorstore_app', 'vectorstore_user')
        UNION ALL
        -- Those that the proxy logs in with.
        SELECT 'roles', r.rolname, format('role %s is a member of vectorstore_app and %s', r.rolname, f.flag),
               format('ALTER ROLE %I NO%s;', r.rolname, f.flag)
        FROM pg_roles r CROSS JOIN LATERAL (VALUES ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls)) AS f (flag, has)
        WHERE f.has AND EXISTS (
            SELECT FROM pg_auth_members m WHERE m.member = r.oid AND m.roleid = (SELECT oid FROM pg_roles WHERE rolname = 'vectorstore_app'))
        UNION ALL
        SELECT 'grants', c.relname, format('%s may %s %s', coalesce(nullif(a.grantee::regrole::text, '-'), 'everybody'), a.privilege_type, c.oid::regclass),
               format('REVOKE ALL ON %s FROM %s;', c.oid::regclass, coalesce(nullif(a.grantee::regrole::text, '-'), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND a.grantee <> c.relowner
        UNION ALL
        SELECT 'grants', p.proname, format('everybody may execute %s', p.oid::regprocedure),
               format('REVOKE ALL ON ROUTINE %s FROM PUBLIC;', p.oid::regprocedure)
        FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND x.extname = 'vectorstore'
        WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
        UNION ALL
        SELECT 'rls', c.relname, format('row security of %s is off', c.oid::regclass),
               format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
          -- Numbers of migration steps.
          AND c.relname <> 'schema_migrations'
        UNION ALL
        SELECT 'owner', c.relname, format('%s belongs to %s', c.oid::regclass, c.relowner::regrole),
               format('ALTER TABLE %s OWNER TO vectorstore_owner;', c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p', 'S')
          AND c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = 'vectorstore_owner')
        UNION ALL
        SELECT 'indexes', c.relname, format('index %s is not valid', c.oid::regclass), format('REINDEX INDEX CONCURRENTLY %s;', c.oid::regclass)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND NOT (i.indisvalid AND i.indisready)
    )
    SELECT m.area, 'error', m.what, m.fix FROM mistakes m
    UNION ALL
    SELECT a.area, 'ok', a.fine, '' FROM (VALUES
        ('roles', 'no role has more rights than it needs'), ('grants', 'functions and tables are granted to nobody else'),
        ('rls', 'row security is on everywhere'), ('owner', 'vectorstore_owner owns the data'),
        ('indexes', 'every index is valid')) AS a (area, fine)
    WHERE NOT EXISTS (SELECT FROM mistakes m WHERE m.area = a.area);
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_rights() IS 'Rows of vs_doctor: roles, grants, row security, owners, indexes.';

CREATE FUNCTION vectorstore._doctor_lag() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    vitals jsonb := vectorstore.api_vitals();
    late bigint := (vitals->'merges'->>'late_stores')::bigint;
    swept double precision := (vitals->'merges'->>'oldest_drop_seconds')::double precision;
    waited double precision := (vitals->'jobs'->>'oldest_seconds')::double precision;
    numbers jsonb;
    limited boolean := false;
BEGIN
    IF vitals->'merges' = 'null' THEN
        RETURN; -- vs_install() has not run.
    END IF;
    "check" := 'merges';
    detail := format('%s stores wait for a merge much too long', coalesce(late::text, 'unknown'));
    status := CASE WHEN late > 0 THEN 'warning' ELSE 'ok' END;
    remedy := 'SELECT vs_merge(''name of the store''); Is vectorstore.background_merge on, and max_worker_processes large enough?';
    RETURN NEXT;

    "check" := 'sweep';
    detail := format('%s dropped stores wait to be swept, the first for %s s', vitals->'merges'->>'dropped_stores', round(swept));
    status := CASE WHEN swept > 600 THEN 'warning' ELSE 'ok' END;
    remedy := 'SELECT vs_sweep();';
    RETURN NEXT;

    "check" := 'jobs';
    detail := format('%s files wait to be processed, the first for %s s', vitals->'jobs'->>'waiting', round(waited));
    status := CASE WHEN waited > 300 THEN 'warning' ELSE 'ok' END;
    remedy := 'Run vectorstore-proxy with --ingest-workers, and with the embedding models of the stores.';
    RETURN NEXT;

    -- Rate limits and statistics came with later versions than this check's first.
    IF to_regclass('vectorstore.rate_limits') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM vectorstore.rate_limits)' INTO limited;
    END IF;
    "check" := 'rate_limits';
    IF limited AND NOT vectorstore._is_preloaded() THEN
        SELECT 'error', 'rate limits are set, and not enforced', 'Add vectorstore to shared_preload_libraries and restart Postgres.' INTO status, detail, remedy;
    ELSE
        SELECT 'ok', CASE WHEN limited THEN 'rate limits are set' ELSE 'no rate limit is set' END, '' INTO status, detail, remedy;
    END IF;
    RETURN NEXT;

    IF to_regprocedure('vectorstore.api_metrics()') IS NOT NULL AND vectorstore._is_preloaded() THEN
        EXECUTE 'SELECT vectorstore.api_metrics()->''stats''' INTO numbers;
        "check" := 'statistics';
        detail := format('written %s s ago; %s of %s counters in use, %s calls found no room',
            coalesce(round((numbers->>'flush_age_seconds')::numeric)::text, 'unknown'), numbers->>'entries', numbers->>'capacity', numbers->>'overflow');
        IF (numbers->>'flush_age_seconds')::double precision > 120 AND NOT pg_is_in_recovery() THEN
            SELECT 'warning', 'Statistics are not written: is max_worker_processes large enough? The log of Postgres says more.' INTO status, remedy;
        ELSIF (numbers->>'overflow')::bigint > 0 THEN
            SELECT 'warning', 'Give the statistics more room in shared memory.' INTO status, remedy;
        ELSE
            SELECT 'ok', '' INTO status, remedy;
        END IF;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_lag() IS 'Rows of vs_doctor: background work and limits.';

CREATE FUNCTION vectorstore._doctor_server() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delay double precision;
    slot record;
    used bigint;
    room integer := current_setting('max_connections')::integer;
BEGIN
    "check" := 'replication';
    IF pg_is_in_recovery() THEN
        delay := extract(epoch FROM now() - pg_last_xact_replay_timestamp());
        detail := format('this is a standby; its last transaction is %s s old', coalesce(round(delay)::text, 'unknown'));
        status := CASE WHEN delay > 300 THEN 'warning' ELSE 'ok' END;
    remedy := 'Unless nobody writes to the primary: look at pg_stat_wal_receiver here and at pg_stat_replication there.';
        RETURN NEXT;
    ELSE
        SELECT s.slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) AS bytes INTO slot
        FROM pg_replication_slots s WHERE pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) > 1024^3 ORDER BY 2 DESC LIMIT 1;
        IF FOUND THEN
            SELECT 'warning', format('the replication slot %s keeps %s of WAL', slot.slot_name, pg_size_pretty(slot.bytes)),
            'Bring its standby back, or drop the slot: WAL fills the disk meanwhile.' INTO status, detail, remedy;
        ELSE
            SELECT 'ok', 'this is a primary, and no replication slot lags', '' INTO status, detail, remedy;
        END IF;
        RETURN NEXT;
    END IF;

    "check" := 'connections';
    SELECT sum(d.numbackends) INTO used FROM pg_stat_database d;
    detail := format('%s of %s connections in use', used, room);
    status := CASE WHEN used > 0.9 * room THEN 'warning' ELSE 'ok' END;
    remedy := 'Raise max_connections, or lower --pool-size of the proxies: each has two connections more than that.';
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_server() IS 'Rows of vs_doctor: replication and connections.';

-- API: public
CREATE FUNCTION @extschema@.vs_doctor() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT d."check", d.status, d.detail, CASE d.status WHEN 'ok' THEN '' ELSE d.remedy END
    FROM (SELECT * FROM vectorstore._doctor_versions() UNION ALL SELECT * FROM vectorstore._doctor_rights()
          UNION ALL SELECT * FROM vectorstore._doctor_lag() UNION ALL SELECT * FROM vectorstore._doctor_server()) d;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_doctor() IS
    'Checks the installation: one row a check, or a mistake, with status ok, warning or error, what was found, and what to do about it.';

CREATE FUNCTION vectorstore.api_doctor() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checks jsonb;
BEGIN
    SELECT jsonb_agg(to_jsonb(d)) INTO checks FROM @extschema@.vs_doctor() d;
    -- Who asks is the proxy.
    IF (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = session_user) THEN
        checks := checks || jsonb_build_object('check', 'login', 'status', 'error',
            'detail', format('the proxy connects as %s, who may do everything', session_user),
            'remedy', 'Create a role for it: CREATE ROLE vectorstore_proxy LOGIN PASSWORD ''...'' IN ROLE vectorstore_app;');
    END IF;
    RETURN checks;
END
$$;
COMMENT ON FUNCTION vectorstore.api_doctor() IS 'The rows of vs_doctor, and whether the proxy has too many rights; needs no key, and tells nothing of any tenant.';

CREATE FUNCTION vectorstore.api_vitals() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs jsonb;
    late bigint;
    merges jsonb;
BEGIN
    IF vectorstore._schema_version() >= 3 THEN
        -- Counted up to a bound: this is asked every few seconds.
        SELECT jsonb_build_object('waiting', count(*), 'oldest_seconds', coalesce(extract(epoch FROM now() - min(j.run_at)), 0)) INTO jobs
        FROM (SELECT i.run_at FROM vectorstore.ingest_jobs i WHERE i.run_at <= now() AND i.attempts < 3 ORDER BY i.run_at LIMIT 10000) j;
        -- Where there are very many stores, looking at each takes too long.
        IF (SELECT c.reltuples < 200000 FROM pg_class c WHERE c.oid = 'vectorstore.store_counters'::regclass) THEN
            SELECT count(*) INTO late FROM vectorstore.store_counters c LEFT JOIN vectorstore.search_indexes i USING (store_id)
            WHERE c.added - coalesce(i.packed, 0) > 8 * greatest(vectorstore._tail_limit(), 1024);
        END IF;
        SELECT jsonb_build_object('late_stores', late, 'dropped_stores', count(*),
                   'oldest_drop_seconds', coalesce(extract(epoch FROM now() - min(d.dropped_at)), 0)) INTO merges
        FROM vectorstore.dropped_stores d;
    END IF;
    RETURN vectorstore.api_health() || jsonb_build_object('standby', pg_is_in_recovery(), 'jobs', jobs, 'merges', merges);
END
$$;
COMMENT ON FUNCTION vectorstore.api_vitals() IS 'Versions, waiting jobs and background work in numbers; needs no key, and tells nothing of any tenant.';


-- ---- api/usage.sql
-- Usage over time, from the rollups and from what waits to be flushed.

-- A window ends now, in the middle of its last bucket; all buckets are of UTC.
CREATE FUNCTION vectorstore._usage_window(
    p_range text, p_bucket text, OUT bucket text, OUT step text, OUT began_at timestamptz, OUT ends_at timestamptz
)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    allowed text[] := CASE p_range WHEN 'daily' THEN ARRAY['hour', 'minute'] WHEN 'weekly' THEN ARRAY['day', 'hour']
                                   WHEN 'monthly' THEN ARRAY['day', 'hour'] WHEN 'all' THEN ARRAY['month', 'day'] END;
    span interval := CASE p_range WHEN 'daily' THEN interval '1 day' WHEN 'weekly' THEN interval '7 days' WHEN 'monthly' THEN interval '30 days' END;
BEGIN
    IF allowed IS NULL THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for ''range''. Supported values are: ''daily'', ''weekly'', ''monthly'' and ''all''.', 'invalid_value', 'range');
    END IF;
    bucket := coalesce(p_bucket, allowed[1]);
    IF bucket <> ALL (allowed) THEN
        PERFORM vectorstore._fail('22023', format('Invalid value for ''bucket''. With the range ''%s'', supported values are: ''%s'' and ''%s''.',
            p_range, allowed[1], allowed[2]), 'invalid_value', 'bucket');
    END IF;
    step := CASE bucket WHEN 'month' THEN 'day' ELSE bucket END;
    ends_at := clock_timestamp();
    began_at := coalesce(date_trunc(bucket, ends_at - span + ('1 ' || bucket)::interval), '-infinity');
END
$$;
COMMENT ON FUNCTION vectorstore._usage_window(text, text) IS 'When a range begins and ends, and the rollup that its buckets are made of; 22023 for an unknown range or bucket.';

CREATE TYPE vectorstore.usage_bucket AS (
    began_at timestamptz, operation text, calls bigint, errors bigint, limited bigint, rows bigint, tokens bigint,
    microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
);
COMMENT ON TYPE vectorstore.usage_bucket IS 'What the calls of an operation added up to in a part of a range.';

-- The lock is that of _stat_totals.
CREATE FUNCTION vectorstore._usage(p_tenant bigint, p_store_id bigint, p_bucket text, p_step text, p_from timestamptz) RETURNS SETOF vectorstore.usage_bucket
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    row vectorstore.usage_bucket;
BEGIN
    IF p_tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_lock_shared(vectorstore._stat_lock());
    BEGIN
        FOR row IN
            SELECT date_trunc(p_bucket, u.began_at), u.operation, sum(u.calls), sum(u.errors), sum(u.limited), sum(u.rows), sum(u.tokens),
                   sum(u.microseconds), sum(u.created), sum(u.deleted), sum(u.bytes), vectorstore._sum_buckets(u.buckets)
            FROM (SELECT r.began_at, r.operation, r.calls, r.errors, r.limited, r.rows, r.tokens, r.microseconds, r.created, r.deleted, r.bytes, r.buckets
                  FROM vectorstore.usage_rollups r
                  WHERE r.tenant_id = p_tenant AND r.step = p_step AND r.began_at >= p_from AND (p_store_id IS NULL OR r.store_id = p_store_id)
                  UNION ALL
                  SELECT clock_timestamp(), p.operation, p.calls, p.errors, p.limited, p.rows, p.tokens, p.microseconds, p.created, p.deleted, p.bytes, p.buckets
                  FROM vectorstore._stat_pending() p WHERE p.tenant_id = p_tenant AND p.operation NOT LIKE 'quota.%' AND (p_store_id IS NULL OR p.store_id = p_store_id)) u
            GROUP BY 1, 2
        LOOP
            RETURN NEXT row;
        END LOOP;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock_shared(vectorstore._stat_lock());
        RAISE;
    END;
    PERFORM pg_advisory_unlock_shared(vectorstore._stat_lock());
END
$$;
COMMENT ON FUNCTION vectorstore._usage(bigint, bigint, text, text, timestamptz) IS 'What a tenant''s calls, or those about one of its stores, added up to, by bucket and operation.';

-- Every time on the way to a client is in milliseconds.
CREATE FUNCTION vectorstore._milliseconds(buckets bigint[], share double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT round((1000 * vectorstore._bucket_quantile(buckets, share))::numeric, 3)::double precision $$;
COMMENT ON FUNCTION vectorstore._milliseconds(bigint[], double precision) IS 'Milliseconds below which this share of the calls took; NULL without calls.';

CREATE FUNCTION vectorstore._mean_milliseconds(calls bigint, microseconds bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT round(microseconds / 1000.0 / nullif(calls, 0), 3)::double precision $$;
COMMENT ON FUNCTION vectorstore._mean_milliseconds(bigint, bigint) IS 'Mean time of a call in milliseconds; NULL without calls.';

CREATE FUNCTION vectorstore._usage_json(
    calls numeric, searches numeric, errors numeric, limited numeric, tokens numeric, created numeric, deleted numeric, bytes numeric,
    microseconds numeric, buckets bigint[]
) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'requests', coalesce(calls, 0), 'searches', coalesce(searches, 0), 'errors', coalesce(errors, 0),
        'error_rate', round(coalesce(errors / nullif(calls, 0), 0), 6), 'rate_limited', coalesce(limited, 0), 'tokens', coalesce(tokens, 0),
        'embeddings_created', coalesce(created, 0), 'embeddings_deleted', coalesce(deleted, 0), 'bytes_change', coalesce(bytes, 0),
        'mean_response_ms', vectorstore._mean_milliseconds(calls::bigint, microseconds::bigint),
        'p50_response_ms', vectorstore._milliseconds(buckets, 0.5), 'p95_response_ms', vectorstore._milliseconds(buckets, 0.95),
        'p99_response_ms', vectorstore._milliseconds(buckets, 0.99))
$$;
COMMENT ON FUNCTION vectorstore._usage_json(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, bigint[]) IS 'Sums as the HTTP API shows them.';

CREATE FUNCTION vectorstore._stats_json(p_tenant bigint, p_store_id bigint, p_range text, p_bucket text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    span record;
    used vectorstore.usage_bucket[];
    first timestamptz;
    body jsonb;
BEGIN
    SELECT * INTO span FROM vectorstore._usage_window(coalesce(p_range, 'daily'), p_bucket);
    used := ARRAY(SELECT u FROM vectorstore._usage(p_tenant, p_store_id, span.bucket, span.step, span.began_at) u);
    first := CASE WHEN isfinite(span.began_at) THEN span.began_at
                  ELSE coalesce((SELECT min(u.began_at) FROM unnest(used) u), date_trunc(span.bucket, span.ends_at)) END;
    SELECT jsonb_build_object(
            'range', coalesce(p_range, 'daily'), 'bucket', span.bucket,
            'start_at', vectorstore._epoch(first), 'end_at', vectorstore._epoch(span.ends_at),
            'usage_bytes', (SELECT coalesce(sum(c.usage_bytes), 0) FROM vectorstore.store_counters c
                            WHERE c.tenant_id = p_tenant AND (p_store_id IS NULL OR c.store_id = p_store_id)))
        || vectorstore._usage_json(sum(u.calls), sum(u.calls) FILTER (WHERE u.operation = 'search_vector_store'), sum(u.errors), sum(u.limited), sum(u.tokens),
                                   sum(u.created), sum(u.deleted), sum(u.bytes), sum(u.microseconds), vectorstore._sum_buckets(u.buckets))
    INTO body FROM unnest(used) u;
    RETURN body || jsonb_build_object(
        'operations', ARRAY(
            SELECT jsonb_build_object('operation', u.operation) || (vectorstore._usage_json(
                sum(u.calls), NULL, sum(u.errors), sum(u.limited), sum(u.tokens), sum(u.created), sum(u.deleted), sum(u.bytes), sum(u.microseconds), vectorstore._sum_buckets(u.buckets)) - 'searches')
            FROM unnest(used) u GROUP BY u.operation HAVING sum(u.calls) > 0 ORDER BY sum(u.calls) DESC, u.operation),
        'data', ARRAY(
            SELECT jsonb_build_object('start_at', vectorstore._epoch(g.at)) || vectorstore._usage_json(
                sum(u.calls), sum(u.calls) FILTER (WHERE u.operation = 'search_vector_store'), sum(u.errors), sum(u.limited), sum(u.tokens),
                sum(u.created), sum(u.deleted), sum(u.bytes), sum(u.microseconds), vectorstore._sum_buckets(u.buckets))
            FROM generate_series(first, span.ends_at, ('1 ' || span.bucket)::interval) g(at) LEFT JOIN unnest(used) u ON u.began_at = g.at
            GROUP BY g.at ORDER BY g.at));
END
$$;
COMMENT ON FUNCTION vectorstore._stats_json(bigint, bigint, text, text) IS 'Usage of a tenant, or of one of its stores, as the HTTP API shows it.';

CREATE FUNCTION vectorstore.api_store_stats(p_store_id bigint, p_store text, p_key bytea, p_range text, p_bucket text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    store bigint := vectorstore._api_store(p_store_id, p_store, tenant);
BEGIN
    RETURN jsonb_build_object('object', 'vector_store.stats', 'vector_store_id', p_store)
        || vectorstore._stats_json(tenant, store, p_range, p_bucket);
END
$$;
COMMENT ON FUNCTION vectorstore.api_store_stats(bigint, text, bytea, text, text) IS 'GET /vector_stores/{id}/stats?range=daily|weekly|monthly|all&bucket=minute|hour|day|month.';

CREATE FUNCTION vectorstore.api_stats(p_key bytea, p_range text, p_bucket text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object('object', 'stats') || vectorstore._stats_json(vectorstore._open_key(p_key, 'admin'), NULL, p_range, p_bucket);
END
$$;
COMMENT ON FUNCTION vectorstore.api_stats(bytea, text, text) IS 'GET /stats?range=daily|weekly|monthly|all&bucket=minute|hour|day|month.';

-- API: public
CREATE FUNCTION @extschema@.vs_stats(store text DEFAULT NULL, range text DEFAULT 'daily', bucket text DEFAULT NULL) RETURNS TABLE (
    began_at timestamptz, requests bigint, searches bigint, errors bigint, rate_limited bigint, tokens bigint, embeddings_created bigint,
    embeddings_deleted bigint, bytes_change bigint, mean_ms double precision, p50_ms double precision, p95_ms double precision, p99_ms double precision
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
    number bigint := CASE WHEN store IS NOT NULL THEN vectorstore._store(store) END;
    span record;
BEGIN
    IF store IS NULL AND tenant IS NOT NULL THEN
        PERFORM vectorstore._require_access('admin');
    END IF;
    SELECT * INTO span FROM vectorstore._usage_window(range, vs_stats.bucket);
    RETURN QUERY
    SELECT u.began_at, sum(u.calls)::bigint, coalesce(sum(u.calls) FILTER (WHERE u.operation = 'search_vector_store'), 0)::bigint, sum(u.errors)::bigint,
           sum(u.limited)::bigint, sum(u.tokens)::bigint, sum(u.created)::bigint, sum(u.deleted)::bigint, sum(u.bytes)::bigint,
           vectorstore._mean_milliseconds(sum(u.calls)::bigint, sum(u.microseconds)::bigint), vectorstore._milliseconds(vectorstore._sum_buckets(u.buckets), 0.5),
           vectorstore._milliseconds(vectorstore._sum_buckets(u.buckets), 0.95), vectorstore._milliseconds(vectorstore._sum_buckets(u.buckets), 0.99)
    FROM vectorstore._usage(tenant, number, span.bucket, span.step, span.began_at) u
    GROUP BY u.began_at ORDER BY u.began_at;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_stats(text, text, text) IS
    'Usage of the caller''s tenant, or of one store (id or name), over time: range daily, weekly, monthly or all; bucket minute or hour, hour or day, hour or day, day or month. Buckets without usage have no row. Those of a tenant are for its administrators: 42501 for others. 22023 for another range or bucket, P0002 for an unknown store.';

-- API: public
CREATE FUNCTION @extschema@.vs_usage_logs(since timestamptz DEFAULT NULL, key text DEFAULT NULL, store text DEFAULT NULL) RETURNS TABLE (
    at timestamptz, key_id text, store_id text, operation text, calls bigint, errors bigint, rate_limited bigint, would_limit bigint, rows bigint,
    tokens bigint, embeddings_created bigint, embeddings_deleted bigint, bytes_change bigint, total_ms double precision
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
    key_number bigint;
    store_number bigint;
BEGIN
    IF tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    PERFORM vectorstore._require_access('admin');
    key_number := CASE WHEN key IS NOT NULL THEN vectorstore._find_key(tenant, key) END;
    store_number := CASE WHEN store IS NOT NULL THEN vectorstore._store(store) END;
    RETURN QUERY
    SELECT u.logged_at, k.key_id, s.id, u.operation, u.calls, u.errors, u.limited, u.would_limit, u.rows, u.tokens, u.created, u.deleted, u.bytes,
           u.microseconds / 1000.0::double precision
    FROM vectorstore.usage_logs u
    LEFT JOIN vectorstore.api_keys k ON k.tenant_id = tenant AND k.key = u.api_key
    LEFT JOIN vectorstore.stores s ON s.tenant_id = tenant AND s.store_id = u.store_id
    WHERE u.tenant_id = tenant AND u.logged_at >= coalesce(since, now() - interval '1 day') AND (key_number IS NULL OR u.api_key = key_number)
      AND (store_number IS NULL OR u.store_id = store_number)
    ORDER BY u.logged_at, u.log_id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_usage_logs(timestamptz, text, text) IS
    'The log of use: who called what when, a row for each flush, API key, store and operation; since some time or of the last day, of one key (by its id) or about one store (id or name), or of all. key_id is NULL for SQL users and for keys that were deleted, store_id for calls about no store and for stores that were deleted. What was not flushed yet is not there, nor what is older than vectorstore.usage_log_retention. For administrators of the tenant: 42501 for others. P0002 for an unknown key or store.';


-- ---- api/metrics.sql
-- What a monitor reads. Numbers of the whole database: no tenant, no store and no key is named.

-- Read every few seconds, and so never whole: of a big table some blocks, always the same ones, stand for the rest.
CREATE FUNCTION vectorstore._cache_size() RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sampled constant integer := 256;
    blocks bigint := pg_relation_size('vectorstore.embedding_cache') / current_setting('block_size')::bigint;
    share double precision := least(1, sampled::double precision / greatest(blocks, 1));
BEGIN
    RETURN (SELECT jsonb_build_object('rows', round(count(*) / share), 'bytes', round(coalesce(sum(4 * c.dimensions + 300), 0) / share))
            FROM vectorstore.embedding_cache c TABLESAMPLE SYSTEM (100 * share) REPEATABLE (0));
END
$$;
COMMENT ON FUNCTION vectorstore._cache_size() IS 'Rows and bytes of the embedding cache: exact up to 2 MB, and beyond that an estimate from a sample of 2 MB.';

CREATE FUNCTION vectorstore.api_metrics() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
            'preloaded', vectorstore._stat_preloaded(),
            'operations', coalesce(jsonb_agg(jsonb_build_object(
                'operation', e.operation, 'calls', e.calls, 'errors', e.errors, 'seconds', e.microseconds / 1000000.0, 'rows', e.rows,
                'created', e.created, 'deleted', e.deleted, 'tokens', e.tokens,
                -- Every second bound: those that double.
                'buckets', ARRAY(SELECT ARRAY[vectorstore._bucket_bound(b), (SELECT coalesce(sum(c), 0) FROM unnest(e.buckets[1:b]) c)]
                                 FROM generate_series(1, 39, 2) b)) ORDER BY e.operation)
                FILTER (WHERE e.calls > 0 AND e.operation NOT LIKE '%.%'), '[]'),
            -- What is counted under names of no function.
            'quota_refused', jsonb_build_object(
                'stores', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'quota.stores'), 0),
                'chunks', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'quota.chunks'), 0),
                'bytes', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'quota.bytes'), 0)),
            'rate_limited', jsonb_build_object(
                'requests', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'limit.requests'), 0),
                'tokens', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'limit.tokens'), 0),
                'dry_run', coalesce(sum(e.would_limit), 0)),
            'embedding_cache', jsonb_build_object('hits', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'cache.hits'), 0)))
    INTO body FROM vectorstore._stat_ever() e;
    body := body || jsonb_build_object('stats', (
        SELECT jsonb_build_object('entries', m.entries, 'capacity', m.capacity, 'overflow', m.overflow, 'flush_age_seconds', round(m.flush_age::numeric, 3),
                                  'buckets', m.buckets)
        FROM vectorstore._stat_memory() m));
    IF vectorstore._schema_version() < 8 THEN
        RETURN body;
    END IF;
    RETURN body || (
        SELECT jsonb_build_object('stores', count(*), 'chunks', coalesce(sum(c.chunks), 0), 'bytes', coalesce(sum(c.usage_bytes), 0))
        FROM vectorstore.store_counters c
    ) || jsonb_build_object(
        'jobs', (SELECT jsonb_build_object('waiting', count(*) FILTER (WHERE j.lease IS NULL), 'running', count(*) FILTER (WHERE j.lease IS NOT NULL))
                 FROM vectorstore.ingest_jobs j),
        'embedding_cache', body->'embedding_cache' || vectorstore._cache_size());
END
$$;
COMMENT ON FUNCTION vectorstore.api_metrics() IS
    'GET /metrics: counters and histograms since the server started (buckets: upper bound in seconds, and calls up to it), and the state of jobs, the embedding cache and the stores. Needs no key.';

-- Requests that the proxy answered without a function that counts: refused before they came to the database, given
-- again from an earlier answer, or embedded outside. So the counts here equal those of a client. Of a key that is not
-- known nothing is known; the store counts when it is the tenant's.
CREATE FUNCTION vectorstore.api_note_requests(
    p_keys bytea[], p_stores text[], p_operations text[], p_calls bigint[], p_errors bigint[], p_microseconds bigint[]
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted bigint := 0;
    request record;
BEGIN
    IF vectorstore._schema_version() < 8 THEN
        RETURN 0;
    END IF;
    FOR request IN
        SELECT coalesce(k.tenant_id, 0) AS tenant, coalesce(s.store_id, 0) AS store,
               coalesce(k.key, 0) AS key, n.operation, n.calls, n.errors, n.microseconds
        FROM unnest(p_keys, p_stores, p_operations, p_calls, p_errors, p_microseconds) n(key, store, operation, calls, errors, microseconds)
        LEFT JOIN vectorstore.api_keys k ON k.key_hash = substr(n.key, 1, 32)
            AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
        LEFT JOIN vectorstore.stores s ON s.store_id = vectorstore._id_number('vs_', n.store) AND s.id = n.store AND s.tenant_id = k.tenant_id
    LOOP
        PERFORM vectorstore._stat_note(request.tenant, request.store, request.key, request.operation, request.calls, request.errors, request.microseconds);
        noted := noted + request.calls;
    END LOOP;
    RETURN noted;
END
$$;
COMMENT ON FUNCTION vectorstore.api_note_requests(bytea[], text[], text[], bigint[], bigint[], bigint[]) IS
    'Counts requests that no other function counts, by key (SHA-256), store (public id) and operation. Returns how many.';


-- ---- api/rate_limits.sql
-- Rate limits: who may do how much. They are enforced by _open_key; here they are set and shown.

CREATE TYPE vectorstore.rate_limit_row AS (
    scope text, key_id text, key_name text, requests_per_second bigint, requests_burst bigint, requests_per_minute bigint,
    tokens_per_minute bigint, dry_run boolean, updated_at timestamptz
);
COMMENT ON TYPE vectorstore.rate_limit_row IS 'Rate limits of a key, of a tenant, or of all.';

CREATE FUNCTION vectorstore._check_limit(p_name text, p_value bigint, p_maximum bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_value < 1 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': integer below minimum value. Expected a value >= 1.', p_name), 'integer_below_min_value', p_name);
    ELSIF p_value > p_maximum THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': integer above maximum value. Expected a value <= %s.', p_name, p_maximum), 'integer_above_max_value', p_name);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_limit(text, bigint, bigint) IS '22023 for a limit out of range.';

CREATE FUNCTION vectorstore._set_rate_limit(
    p_tenant bigint, p_api_key bigint, p_second bigint, p_burst bigint, p_minute bigint, p_tokens bigint, p_dry_run boolean
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._require_preload();
    PERFORM vectorstore._check_limit('requests_per_second', p_second, 1000000);
    PERFORM vectorstore._check_limit('requests_burst', p_burst, 1000000);
    PERFORM vectorstore._check_limit('requests_per_minute', p_minute, 60000000);
    PERFORM vectorstore._check_limit('tokens_per_minute', p_tokens, 1000000000000);
    INSERT INTO vectorstore.rate_limits (tenant_id, api_key, requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run)
    VALUES (p_tenant, p_api_key, p_second, p_burst, p_minute, p_tokens, coalesce(p_dry_run, false))
    ON CONFLICT (tenant_id, api_key) DO UPDATE SET
        requests_per_second = excluded.requests_per_second, requests_burst = excluded.requests_burst,
        requests_per_minute = excluded.requests_per_minute, tokens_per_minute = excluded.tokens_per_minute,
        dry_run = excluded.dry_run, updated_at = clock_timestamp();
END
$$;
COMMENT ON FUNCTION vectorstore._set_rate_limit(bigint, bigint, bigint, bigint, bigint, bigint, boolean) IS 'Sets a row of rate_limits; 55000 when vectorstore is not preloaded, 22023 for a limit out of range.';

-- Whose limits are meant: a key's, by its id, those of the caller's tenant, or with 'default' those of all.
CREATE FUNCTION vectorstore._limits_owner(p_tenant bigint, p_scope text, p_key_id text, p_param text, OUT tenant bigint, OUT number bigint)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    tenant := p_tenant;
    number := 0;
    IF p_scope NOT IN ('key', 'tenant', 'default') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for ''scope''. Supported values are: ''key'', ''tenant'' and ''default''.', 'invalid_value', 'scope');
    ELSIF (p_scope = 'key') <> (p_key_id IS NOT NULL) THEN
        PERFORM vectorstore._fail('22023', format('Limits of the scope ''key'' need ''%s'', and no others have one.', p_param), 'invalid_value', p_param);
    ELSIF p_scope = 'key' THEN
        number := vectorstore._find_key(p_tenant, p_key_id);
    ELSIF p_scope = 'default' THEN
        PERFORM vectorstore._require_access('operator');
        tenant := 0;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._limits_owner(bigint, text, text, text) IS 'Tenant and key of a row of rate_limits; P0002 for an unknown key, 22023 for another scope, 42501 for the scope default unless an operator asks.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_rate_limit(
    key text DEFAULT NULL, requests_per_second bigint DEFAULT NULL, requests_burst bigint DEFAULT NULL,
    requests_per_minute bigint DEFAULT NULL, tokens_per_minute bigint DEFAULT NULL, dry_run boolean DEFAULT false, scope text DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._admin_tenant(NULL);
    owner record := vectorstore._limits_owner(own, coalesce(scope, CASE WHEN key IS NULL THEN 'tenant' ELSE 'key' END), key, 'key');
BEGIN
    PERFORM vectorstore._set_rate_limit(owner.tenant, owner.number,
        requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run);
    PERFORM vectorstore._audit(own, 'rate_limit.set', coalesce(key, scope, 'tenant'), jsonb_build_object('requests_per_second', requests_per_second,
        'requests_burst', requests_burst, 'requests_per_minute', requests_per_minute, 'tokens_per_minute', tokens_per_minute, 'dry_run', dry_run));
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_rate_limit(text, bigint, bigint, bigint, bigint, boolean, text) IS
    'Limits an API key (by its id), or without one every key of the caller''s tenant that has no limits of its own; with scope default every key of a tenant without any. NULL limits nothing; requests_burst is how many may come at once, and requests_per_second unless it is given. dry_run only logs and counts. For administrators of the tenant, scope default for operators. 55000 when vectorstore is not preloaded, P0002 for an unknown key, 22023 for a limit out of range, 42501 for others.';

-- API: public
CREATE FUNCTION @extschema@.vs_drop_rate_limit(key text DEFAULT NULL, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._admin_tenant(NULL);
    owner record := vectorstore._limits_owner(own, coalesce(scope, CASE WHEN key IS NULL THEN 'tenant' ELSE 'key' END), key, 'key');
BEGIN
    DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = owner.tenant AND l.api_key = owner.number;
    IF FOUND THEN
        PERFORM vectorstore._audit(own, 'rate_limit.dropped', coalesce(key, scope, 'tenant'));
        RETURN true;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_drop_rate_limit(text, text) IS
    'Takes the limits of an API key away, or without one those of the tenant, or with scope default those of all: then the next wider ones hold. False when there were none. For administrators of the tenant, scope default for operators; P0002 for an unknown key, 42501 for others.';

-- Tokens that the proxy is about to embed. On its own this is a request; with api_uncounted() a part of one.
CREATE FUNCTION vectorstore.api_charge_tokens(p_key bytea, p_tokens bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    PERFORM vectorstore._charge_tokens(p_tokens);
    RETURN true;
END
$$;
COMMENT ON FUNCTION vectorstore.api_charge_tokens(bytea, bigint) IS 'Charges a key for tokens that are about to be embedded: for POST /embeddings, and in part for searches and texts whose vectors the proxy computes. 54000 when that is too much.';

CREATE FUNCTION vectorstore._rate_limit_json(p_limit vectorstore.rate_limit_row) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'object', 'rate_limit', 'scope', p_limit.scope, 'api_key_id', p_limit.key_id, 'requests_per_second', p_limit.requests_per_second,
        'requests_burst', p_limit.requests_burst, 'requests_per_minute', p_limit.requests_per_minute,
        'tokens_per_minute', p_limit.tokens_per_minute, 'dry_run', p_limit.dry_run, 'updated_at', vectorstore._epoch(p_limit.updated_at))
$$;
COMMENT ON FUNCTION vectorstore._rate_limit_json(vectorstore.rate_limit_row) IS 'Limits as the HTTP API shows them.';

-- Every tenant sees what holds for all.
CREATE FUNCTION vectorstore._rate_limits(p_tenant bigint) RETURNS SETOF vectorstore.rate_limit_row
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT CASE WHEN l.tenant_id = 0 THEN 'default' WHEN l.api_key = 0 THEN 'tenant' ELSE 'key' END, k.key_id, k.name, l.requests_per_second,
           coalesce(l.requests_burst, l.requests_per_second), l.requests_per_minute, l.tokens_per_minute, l.dry_run, l.updated_at
    FROM vectorstore.rate_limits l
    LEFT JOIN vectorstore.api_keys k ON k.tenant_id = l.tenant_id AND k.key = l.api_key
    WHERE l.tenant_id IN (0, p_tenant) AND (l.api_key = 0 OR k.key_id IS NOT NULL)
    ORDER BY l.tenant_id, l.api_key = 0 DESC, k.key_id;
END
$$;
COMMENT ON FUNCTION vectorstore._rate_limits(bigint) IS 'Limits of all, of a tenant, and of its keys.';

CREATE FUNCTION vectorstore.api_list_rate_limits(p_key bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._list_json(
        ARRAY(SELECT vectorstore._rate_limit_json(l) FROM vectorstore._rate_limits(vectorstore._open_key(p_key, 'admin')) l), 2147483647)
        || jsonb_build_object('first_id', NULL, 'last_id', NULL);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_rate_limits(bytea) IS 'GET /admin/rate_limits.';

CREATE FUNCTION vectorstore.api_set_rate_limit(
    p_key bytea, p_scope text, p_api_key_id text, p_second bigint, p_burst bigint, p_minute bigint, p_tokens bigint, p_dry_run boolean, p_inherit boolean
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text := coalesce(p_scope, CASE WHEN p_api_key_id IS NULL THEN 'tenant' ELSE 'key' END);
    own bigint := vectorstore._open_key(p_key, 'admin');
    owner record := vectorstore._limits_owner(own, wanted, p_api_key_id, 'api_key_id');
    body jsonb;
BEGIN
    IF coalesce(p_inherit, false) THEN
        DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = owner.tenant AND l.api_key = owner.number;
        body := jsonb_build_object('object', 'rate_limit.deleted', 'scope', wanted, 'api_key_id', p_api_key_id, 'deleted', FOUND);
        PERFORM vectorstore._audit(own, 'rate_limit.dropped', coalesce(p_api_key_id, wanted));
        RETURN body;
    END IF;
    PERFORM vectorstore._set_rate_limit(owner.tenant, owner.number, p_second, p_burst, p_minute, p_tokens, p_dry_run);
    SELECT vectorstore._rate_limit_json(l) INTO body FROM vectorstore._rate_limits(own) l
    WHERE l.scope = wanted AND l.key_id IS NOT DISTINCT FROM p_api_key_id;
    PERFORM vectorstore._audit(own, 'rate_limit.set', coalesce(p_api_key_id, wanted), body - 'object' - 'scope' - 'api_key_id' - 'updated_at');
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore.api_set_rate_limit(bytea, text, text, bigint, bigint, bigint, bigint, boolean, boolean) IS
    'PUT /admin/rate_limits: limits of a key, of the caller''s tenant, or of all; inherit takes them away.';

CREATE FUNCTION vectorstore._my_rate_limits()
RETURNS TABLE (
    scope text, key_id text, key_name text, requests_per_second bigint, requests_burst bigint, requests_per_minute bigint,
    tokens_per_minute bigint, dry_run boolean, updated_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM vectorstore._rate_limits(vectorstore._current_tenant());
END
$$;
COMMENT ON FUNCTION vectorstore._my_rate_limits() IS 'Rows of vs_rate_limits.';

CREATE VIEW @extschema@.vs_rate_limits AS SELECT * FROM vectorstore._my_rate_limits();
COMMENT ON VIEW @extschema@.vs_rate_limits IS 'Rate limits of the caller''s tenant and its API keys, and those of all. Of several the narrowest holds.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.scope IS 'key, tenant, or default for all tenants.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.key_id IS 'Id of the API key.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.key_name IS 'Name of the API key.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.requests_per_second IS 'Requests a second; NULL for any number.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.requests_burst IS 'Requests that may come at once.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.requests_per_minute IS 'Requests a minute; NULL for any number.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.tokens_per_minute IS 'Tokens a minute that the proxy embeds; NULL for any number.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.dry_run IS 'Whether refusals are only logged and counted.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.updated_at IS 'Last change.';


-- ---- views/stores.sql
-- A view over a function: the tables do not exist yet when the extension is created.
CREATE OR REPLACE FUNCTION vectorstore._stores()
RETURNS TABLE (
    id text, name text, description text, embedding_model text, dimensions integer, chunks bigint, usage_bytes bigint,
    files bigint, metadata jsonb, last_active_at timestamptz, expires_at timestamptz, created_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT s.id, s.name, s.description, s.embedding_model, s.dimensions, c.chunks, c.usage_bytes,
               c.files_in_progress + c.files_completed + c.files_failed + c.files_cancelled,
               s.metadata, s.last_active_at, vectorstore._expires_at(s.last_active_at, s.expires_after_days), s.created_at
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        WHERE s.tenant_id = tenant;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stores() IS 'Rows of vs_stores.';

CREATE OR REPLACE VIEW @extschema@.vs_stores AS SELECT * FROM vectorstore._stores();
COMMENT ON VIEW @extschema@.vs_stores IS 'The vector stores of the caller''s tenant.';
COMMENT ON COLUMN @extschema@.vs_stores.id IS 'Public id, vs_...';
COMMENT ON COLUMN @extschema@.vs_stores.name IS 'Name; unique among stores made by vs_create_store.';
COMMENT ON COLUMN @extschema@.vs_stores.description IS 'Free text.';
COMMENT ON COLUMN @extschema@.vs_stores.embedding_model IS 'local, or none when the caller brings vectors.';
COMMENT ON COLUMN @extschema@.vs_stores.dimensions IS 'Dimensions of every embedding in the store.';
COMMENT ON COLUMN @extschema@.vs_stores.chunks IS 'Number of chunks.';
COMMENT ON COLUMN @extschema@.vs_stores.usage_bytes IS 'Bytes of content plus 4 bytes for each vector component.';
COMMENT ON COLUMN @extschema@.vs_stores.files IS 'Number of attached files, of any status.';
COMMENT ON COLUMN @extschema@.vs_stores.metadata IS 'Up to 16 pairs of strings.';
COMMENT ON COLUMN @extschema@.vs_stores.last_active_at IS 'Last change or attachment.';
COMMENT ON COLUMN @extschema@.vs_stores.expires_at IS 'When the store expires; NULL for never.';
COMMENT ON COLUMN @extschema@.vs_stores.created_at IS 'When the store was created.';


-- ---- views/indexes.sql
-- How every store is searched. A view over a function, as vs_stores.
CREATE OR REPLACE FUNCTION vectorstore._stat_indexes()
RETURNS TABLE (
    store_id text, name text, index text, reason text, chunks bigint, tail_rows bigint, segments bigint, lists bigint,
    pages bigint, bytes bigint, hnsw_bytes bigint, deleted_rows bigint, merges bigint, merged_at timestamptz,
    recall_k integer, recall double precision, recall_samples bigint, recall_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT s.id, s.name, coalesce(i.kind, 'segments'),
               CASE WHEN g.segments = 0 THEN 'Exact scan: no chunk is packed into a segment yet.'
                    WHEN i.kind = 'hnsw' THEN 'HNSW: asked for; where a filter leaves few chunks, the segments answer.'
                    WHEN g.lists > g.segments THEN 'Lists: a segment is too large to be scanned whole, so only the lists nearest to a query are.'
                    ELSE 'Flat scan: every segment is small enough that all its codes are scanned.' END,
               c.chunks, c.added - coalesce(i.packed, 0), g.segments, g.lists, g.pages,
               g.pages * current_setting('block_size')::bigint,
               coalesce(pg_total_relation_size(to_regclass(format('vectorstore.%I', vectorstore._hnsw_table(s.store_id)))), 0),
               g.deleted, coalesce(i.merges, 0), i.merged_at, i.recall_k, i.recall, coalesce(i.recall_samples, 0), i.recall_at
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        LEFT JOIN vectorstore.search_indexes i USING (store_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS segments, coalesce(sum(vectorstore._segment_lists(t.header)), 0)::bigint AS lists,
                   coalesce(sum(t.pages), 0)::bigint AS pages, coalesce(sum(bit_count(t.deleted)), 0)::bigint AS deleted
            FROM vectorstore.segments t WHERE t.store_id = s.store_id) g
        WHERE s.tenant_id = tenant;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_indexes() IS 'Rows of vs_stat_indexes.';

CREATE OR REPLACE VIEW @extschema@.vs_stat_indexes AS SELECT * FROM vectorstore._stat_indexes();
COMMENT ON VIEW @extschema@.vs_stat_indexes IS 'How each vector store of the caller''s tenant is searched, why, and with which recall.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.store_id IS 'Public id of the store, vs_...';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.name IS 'Name of the store.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.index IS 'Index that was chosen for its vectors: segments or hnsw.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.reason IS 'How its vectors are searched now, and why.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.chunks IS 'Number of chunks.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.tail_rows IS 'Chunks that came or went and wait for a merge; each search reads them one by one.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.segments IS 'Number of segments.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.lists IS 'Lists of vectors in all segments; a small segment has one.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.pages IS 'Pages of all segments.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.bytes IS 'Size of these pages on disk.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.hnsw_bytes IS 'Size on disk of the HNSW index and its side table; 0 without one.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.deleted_rows IS 'Chunks in segments that are marked as deleted, until a merge leaves them out.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.merges IS 'Number of merges.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.merged_at IS 'Last merge.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall_k IS 'k of the last vector query that was compared with an exact search.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall IS 'Mean share of the k nearest chunks that vector queries found, over about the last hundred compared; NULL when none was.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall_samples IS 'Number of vector queries that were compared with an exact search.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall_at IS 'When the last one was compared.';


-- ---- views/tenants.sql
-- Tenants, keys and the audit log for SQL users. Views over functions, as vs_stores.
CREATE FUNCTION vectorstore._tenants()
RETURNS TABLE (id text, name text, stores bigint, chunks bigint, usage_bytes bigint, api_keys bigint, roles text[], created_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._current_tenant();
BEGIN
    IF own IS NOT NULL THEN
        RETURN QUERY
        SELECT t.id, t.name, c.stores, c.chunks, c.bytes, (SELECT count(*) FROM vectorstore.api_keys k WHERE k.tenant_id = t.tenant_id),
               ARRAY(SELECT r.role || '=' || r.access FROM vectorstore.tenant_roles r WHERE r.tenant_id = t.tenant_id ORDER BY r.role), t.created_at
        FROM vectorstore.tenants t
        CROSS JOIN LATERAL (
            SELECT count(*) AS stores, coalesce(sum(c.chunks), 0)::bigint AS chunks, coalesce(sum(c.usage_bytes), 0)::bigint AS bytes
            FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) WHERE s.tenant_id = t.tenant_id) c
        WHERE t.tenant_id = own OR vectorstore._has_access('operator');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._tenants() IS 'Rows of vs_tenants.';

CREATE VIEW @extschema@.vs_tenants AS SELECT * FROM vectorstore._tenants();
COMMENT ON VIEW @extschema@.vs_tenants IS 'The caller''s tenant; for superusers and members of vectorstore_admin all tenants.';
COMMENT ON COLUMN @extschema@.vs_tenants.id IS 'Id of the tenant.';
COMMENT ON COLUMN @extschema@.vs_tenants.name IS 'Name of the tenant.';
COMMENT ON COLUMN @extschema@.vs_tenants.stores IS 'Number of its vector stores.';
COMMENT ON COLUMN @extschema@.vs_tenants.chunks IS 'Number of chunks in them.';
COMMENT ON COLUMN @extschema@.vs_tenants.usage_bytes IS 'Bytes of their content, plus 4 bytes for each vector component.';
COMMENT ON COLUMN @extschema@.vs_tenants.api_keys IS 'Number of its API keys, of any status.';
COMMENT ON COLUMN @extschema@.vs_tenants.roles IS 'Database roles that work for it, as role=access.';
COMMENT ON COLUMN @extschema@.vs_tenants.created_at IS 'When it was created.';

CREATE FUNCTION vectorstore._api_keys()
RETURNS TABLE (
    id text, name text, role text, stores text[], allowed_ips cidr[], filter jsonb, status text, created_at timestamptz,
    expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._current_tenant();
BEGIN
    IF own IS NOT NULL AND vectorstore._has_access('admin') THEN
        RETURN QUERY
        SELECT k.key_id, k.name, k.role,
               CASE WHEN k.stores IS NOT NULL THEN ARRAY(SELECT s.id FROM vectorstore.stores s WHERE s.store_id = ANY (k.stores) ORDER BY s.store_id) END,
               k.allowed_ips, k.filter, vectorstore._key_json(k.key)->>'status', k.created_at, k.expires_at, k.revoked_at, k.last_used_at
        FROM vectorstore.api_keys k WHERE k.tenant_id = own;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._api_keys() IS 'Rows of vs_api_keys.';

CREATE VIEW @extschema@.vs_api_keys AS SELECT * FROM vectorstore._api_keys();
COMMENT ON VIEW @extschema@.vs_api_keys IS 'The API keys of the caller''s tenant, for its administrators; never what could be used.';
COMMENT ON COLUMN @extschema@.vs_api_keys.id IS 'Public id, key_...';
COMMENT ON COLUMN @extschema@.vs_api_keys.name IS 'Name of the key.';
COMMENT ON COLUMN @extschema@.vs_api_keys.role IS 'read, write, admin or operator.';
COMMENT ON COLUMN @extschema@.vs_api_keys.stores IS 'Ids of the stores that it is narrowed to; NULL for all.';
COMMENT ON COLUMN @extschema@.vs_api_keys.allowed_ips IS 'Networks that it may be used from; NULL for all.';
COMMENT ON COLUMN @extschema@.vs_api_keys.filter IS 'What all must pass that it reads; NULL for everything.';
COMMENT ON COLUMN @extschema@.vs_api_keys.status IS 'active, expired or revoked.';
COMMENT ON COLUMN @extschema@.vs_api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN @extschema@.vs_api_keys.expires_at IS 'When it expires; NULL for never.';
COMMENT ON COLUMN @extschema@.vs_api_keys.revoked_at IS 'When it was revoked.';
COMMENT ON COLUMN @extschema@.vs_api_keys.last_used_at IS 'About when it was last used; needs the statistics of a preloaded library.';

CREATE FUNCTION vectorstore._audit_log()
RETURNS TABLE (at timestamptz, actor text, action text, object text, detail jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._current_tenant();
BEGIN
    IF own IS NOT NULL AND vectorstore._has_access('admin') THEN
        RETURN QUERY SELECT a.at, a.actor, a.action, a.object, a.detail FROM vectorstore.audit_log a WHERE a.tenant_id = own ORDER BY a.audit_id;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._audit_log() IS 'Rows of vs_audit_log.';

CREATE VIEW @extschema@.vs_audit_log AS SELECT * FROM vectorstore._audit_log();
COMMENT ON VIEW @extschema@.vs_audit_log IS 'Administrative acts on the caller''s tenant, oldest first, for its administrators.';
COMMENT ON COLUMN @extschema@.vs_audit_log.at IS 'When it happened.';
COMMENT ON COLUMN @extschema@.vs_audit_log.actor IS 'Id of the API key, or the database role.';
COMMENT ON COLUMN @extschema@.vs_audit_log.action IS 'What was done, such as api_key.created.';
COMMENT ON COLUMN @extschema@.vs_audit_log.object IS 'Id of what it was done to.';
COMMENT ON COLUMN @extschema@.vs_audit_log.detail IS 'Settings that were given.';


-- ---- views/cache.sql
-- What the embedding cache holds and saves. A view over a function, as vs_stores.
CREATE FUNCTION vectorstore._stat_embedding_cache()
RETURNS TABLE (
    model text, revision text, dimensions integer, rows bigint, bytes bigint, hits bigint, rows_hit bigint,
    oldest_at timestamptz, used_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('vectorstore.embedding_cache') IS NOT NULL THEN
        RETURN QUERY
        SELECT c.model, c.revision, c.dimensions, count(*),
               -- As the sweep counts it: keys and index, too.
               sum(4 * c.dimensions + 300)::bigint, sum(c.hits)::bigint, count(*) FILTER (WHERE c.hits > 0),
               min(c.created_at), max(c.used_at)
        FROM vectorstore.embedding_cache c GROUP BY c.model, c.revision, c.dimensions;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_embedding_cache() IS 'Rows of vs_stat_embedding_cache.';

CREATE VIEW @extschema@.vs_stat_embedding_cache AS SELECT * FROM vectorstore._stat_embedding_cache();
COMMENT ON VIEW @extschema@.vs_stat_embedding_cache IS
    'What the cache of embeddings holds of each model, for all tenants together, and how often it was of use.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.model IS 'Name of the model.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.revision IS 'Its revision, as configured; only the newest is still of use.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.dimensions IS 'Dimensions of the vectors.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.rows IS 'Number of vectors.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.bytes IS 'About how much space they take, as VECTORSTORE_CACHE_MIB counts it.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.hits IS 'How often a vector of now was used again in place of a request to the model; proxies write it every few seconds.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.rows_hit IS 'Number of vectors that were used again.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.oldest_at IS 'When the oldest vector was computed.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.used_at IS 'When a vector was used last.';


-- ---- views/statistics.sql
-- Statistics since vs_stat_reset(). Views over functions, as vs_stores.

CREATE FUNCTION vectorstore._stat_requests()
RETURNS TABLE (
    operation text, calls bigint, errors bigint, rate_limited bigint, would_limit bigint, rows bigint, tokens bigint,
    embeddings_created bigint, embeddings_deleted bigint, bytes_change bigint, total_ms double precision, mean_ms double precision,
    p50_ms double precision, p95_ms double precision, p99_ms double precision, stats_since timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT t.operation, sum(t.calls)::bigint, sum(t.errors)::bigint, sum(t.limited)::bigint, sum(t.would_limit)::bigint, sum(t.rows)::bigint, sum(t.tokens)::bigint,
           sum(t.created)::bigint, sum(t.deleted)::bigint, sum(t.bytes)::bigint, (sum(t.microseconds) / 1000.0)::double precision,
           vectorstore._mean_milliseconds(sum(t.calls)::bigint, sum(t.microseconds)::bigint), vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.5),
           vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.95), vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.99), min(t.since)
    FROM vectorstore._stat_totals(vectorstore._current_tenant()) t GROUP BY t.operation;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_requests() IS 'Rows of vs_stat_requests.';

CREATE VIEW @extschema@.vs_stat_requests AS SELECT * FROM vectorstore._stat_requests();
COMMENT ON VIEW @extschema@.vs_stat_requests IS 'Calls of the caller''s tenant by operation, over HTTP and in SQL, since vs_stat_reset(). Empty when vectorstore was never preloaded.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.operation IS 'Name of the operation, as in the OpenAPI document; SQL functions without a route have their own name without vs_.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.calls IS 'Number of calls, whatever came of them.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.errors IS 'Calls that ended in an error; over HTTP, a status of 400 or more.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.rate_limited IS 'Errors that are refusals of a rate limit.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.would_limit IS 'Calls that a rate limit in dry run would have refused.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.rows IS 'Results of searches.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.tokens IS 'Tokens that the proxy embedded.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.embeddings_created IS 'Texts that came, committed.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.embeddings_deleted IS 'Texts that went, committed; those of a dropped store count when it is dropped.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.bytes_change IS 'By how much the bytes in use grew.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.total_ms IS 'Time in the database of all calls, in milliseconds.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.mean_ms IS 'Mean time of a call.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.p50_ms IS 'Time below which half of the calls took, from a histogram with two buckets to a doubling.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.p95_ms IS 'The same for 95 of 100 calls.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.p99_ms IS 'The same for 99 of 100 calls.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.stats_since IS 'Flush since which calls of this operation are counted.';

CREATE FUNCTION vectorstore._stat_stores()
RETURNS TABLE (
    store_id text, name text, requests bigint, searches bigint, errors bigint, rate_limited bigint, embeddings_created bigint,
    embeddings_deleted bigint, bytes_change bigint, usage_bytes bigint, mean_ms double precision, p95_ms double precision, last_used_at timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT s.id, s.name, coalesce(sum(t.calls), 0)::bigint, coalesce(sum(t.calls) FILTER (WHERE t.operation = 'search_vector_store'), 0)::bigint,
               coalesce(sum(t.errors), 0)::bigint, coalesce(sum(t.limited), 0)::bigint, coalesce(sum(t.created), 0)::bigint, coalesce(sum(t.deleted), 0)::bigint,
               coalesce(sum(t.bytes), 0)::bigint, c.usage_bytes, vectorstore._mean_milliseconds(sum(t.calls)::bigint, sum(t.microseconds)::bigint),
               vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.95), max(t.used_at)
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) LEFT JOIN vectorstore._stat_totals(tenant) t USING (store_id)
        WHERE s.tenant_id = tenant GROUP BY s.store_id, s.id, s.name, c.usage_bytes;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_stores() IS 'Rows of vs_stat_stores.';

CREATE VIEW @extschema@.vs_stat_stores AS SELECT * FROM vectorstore._stat_stores();
COMMENT ON VIEW @extschema@.vs_stat_stores IS 'Calls about each store of the caller''s tenant since vs_stat_reset().';
COMMENT ON COLUMN @extschema@.vs_stat_stores.store_id IS 'Public id of the store, vs_...';
COMMENT ON COLUMN @extschema@.vs_stat_stores.name IS 'Name of the store.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.requests IS 'Number of calls about the store, whatever came of them.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.searches IS 'Those that are searches.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.errors IS 'Calls that ended in an error.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.rate_limited IS 'Errors that are refusals of a rate limit.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.embeddings_created IS 'Texts that came, committed.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.embeddings_deleted IS 'Texts that went, committed.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.bytes_change IS 'By how much the bytes in use grew.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.usage_bytes IS 'Bytes in use now: content plus 4 bytes for each vector component.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.mean_ms IS 'Mean time of a call in the database, in milliseconds.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.p95_ms IS 'Time below which 95 of 100 calls took.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.last_used_at IS 'Flush with the last call; NULL for none.';

CREATE FUNCTION vectorstore._stat_keys()
RETURNS TABLE (
    key_id text, name text, requests bigint, searches bigint, errors bigint, rate_limited bigint, would_limit bigint, tokens bigint,
    mean_ms double precision, p95_ms double precision, last_used_at timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL AND vectorstore._has_access('admin') THEN
        RETURN QUERY
        SELECT k.key_id, k.name, coalesce(sum(t.calls), 0)::bigint, coalesce(sum(t.calls) FILTER (WHERE t.operation = 'search_vector_store'), 0)::bigint,
               coalesce(sum(t.errors), 0)::bigint, coalesce(sum(t.limited), 0)::bigint, coalesce(sum(t.would_limit), 0)::bigint, coalesce(sum(t.tokens), 0)::bigint,
               vectorstore._mean_milliseconds(sum(t.calls)::bigint, sum(t.microseconds)::bigint), vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.95),
               greatest(k.last_used_at, max(t.used_at) FILTER (WHERE t.calls > 0))
        FROM vectorstore.api_keys k LEFT JOIN vectorstore._stat_totals(tenant) t ON t.api_key = k.key
        WHERE k.tenant_id = tenant GROUP BY k.key, k.key_id, k.name, k.last_used_at;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_keys() IS 'Rows of vs_stat_keys.';

CREATE VIEW @extschema@.vs_stat_keys AS SELECT * FROM vectorstore._stat_keys();
COMMENT ON VIEW @extschema@.vs_stat_keys IS 'Requests of each API key of the caller''s tenant since vs_stat_reset(), for its administrators.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.key_id IS 'Id of the API key, key_...';
COMMENT ON COLUMN @extschema@.vs_stat_keys.name IS 'Name of the API key.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.requests IS 'Number of requests, whatever came of them.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.searches IS 'Those that are searches.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.errors IS 'Requests that ended in an error.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.rate_limited IS 'Errors that are refusals of a rate limit.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.would_limit IS 'Requests that a rate limit in dry run would have refused.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.tokens IS 'Tokens that the proxy embedded.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.mean_ms IS 'Mean time of a request in the database, in milliseconds.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.p95_ms IS 'Time below which 95 of 100 requests took.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.last_used_at IS 'Flush with the last request; NULL for none.';


-- ---- views/deleted.sql
-- Stores that can be restored. A view over a function, as vs_stores.
CREATE FUNCTION vectorstore._deleted_stores()
RETURNS TABLE (id text, name text, chunks bigint, deleted_at timestamptz, restorable_until timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL AND vectorstore._schema_version() >= 10 THEN
        RETURN QUERY
        SELECT d.id, d.store->>'name', (d.counters->>'chunks')::bigint, d.dropped_at, d.restorable_until
        FROM vectorstore.dropped_stores d WHERE d.tenant_id = tenant AND d.restorable_until > now();
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._deleted_stores() IS 'Rows of vs_deleted_stores.';

CREATE VIEW @extschema@.vs_deleted_stores AS SELECT * FROM vectorstore._deleted_stores();
COMMENT ON VIEW @extschema@.vs_deleted_stores IS 'Vector stores of the caller''s tenant that were deleted in the mode soft and can be restored.';
COMMENT ON COLUMN @extschema@.vs_deleted_stores.id IS 'Public id, for vs_restore_store.';
COMMENT ON COLUMN @extschema@.vs_deleted_stores.name IS 'Name it had.';
COMMENT ON COLUMN @extschema@.vs_deleted_stores.chunks IS 'Number of chunks it had.';
COMMENT ON COLUMN @extschema@.vs_deleted_stores.deleted_at IS 'When it was deleted.';
COMMENT ON COLUMN @extschema@.vs_deleted_stores.restorable_until IS 'Until when it can be restored.';


-- ---- schema/grants.sql
-- Owner and rights of everything above, in one place: nothing belongs to the superuser who ran CREATE
-- EXTENSION, and nobody may execute what is not granted here.
DO $grants$
DECLARE
    member record;
BEGIN
    FOR member IN
        SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS signature, p.proname, p.prokind, n.nspname
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.objid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND d.refobjid OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'vectorstore')
          AND d.deptype OPERATOR(pg_catalog.=) 'e'
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', member.signature);
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO vectorstore_owner', member.signature);
        IF member.proname OPERATOR(pg_catalog.~) '^vs_' OR member.proname OPERATOR(pg_catalog.=) ANY ('{_stores,_stat_indexes,_stat_embedding_cache,_tenants,_api_keys,_audit_log,_quotas,_stat_requests,_stat_stores,_stat_keys,_my_rate_limits,_deleted_stores}') THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_admin', member.signature);
            -- What is left concerns all tenants.
            IF member.proname OPERATOR(pg_catalog.<>) ALL ('{vs_install,vs_sweep,vs_expire,vs_doctor,_stat_embedding_cache}') THEN
                EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_user', member.signature);
            END IF;
        ELSIF member.proname OPERATOR(pg_catalog.~) '^api_' THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_app', member.signature);
        END IF;
    END LOOP;
END
$grants$;
ALTER TYPE vectorstore.search_hit OWNER TO vectorstore_owner;
ALTER TYPE vectorstore.usage_row OWNER TO vectorstore_owner;
ALTER TYPE vectorstore.usage_bucket OWNER TO vectorstore_owner;
ALTER TYPE vectorstore.rate_limit_row OWNER TO vectorstore_owner;
DO $views$
DECLARE
    member pg_catalog.text;
BEGIN
    FOR member IN
        SELECT c.oid::pg_catalog.regclass::pg_catalog.text
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND d.refobjid OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'vectorstore')
          AND d.deptype OPERATOR(pg_catalog.=) 'e' AND c.relkind OPERATOR(pg_catalog.=) 'v'
    LOOP
        EXECUTE pg_catalog.format('ALTER VIEW %s OWNER TO vectorstore_owner', member);
        -- Each calls a function, which must be granted too: that decides who sees something.
        EXECUTE pg_catalog.format('GRANT SELECT ON %s TO vectorstore_admin, vectorstore_user', member);
    END LOOP;
END
$views$;

