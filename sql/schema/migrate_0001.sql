-- Step 1: the tables of version 0.1.0.
--
-- Rules (they keep sharding by store possible): every key and index of a per-store table starts with
-- store_id; every table has a primary key; numbers are bigint; storage is set before indexes, and foreign keys
-- come last. Everything here belongs to vectorstore_owner, because vs_install() runs as that role.
CREATE FUNCTION vectorstore._migrate_0001() RETURNS void
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
