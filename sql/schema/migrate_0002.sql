-- Step 2: search segments. The rules of step 1 hold.
--
-- What a statement did to a store's chunks is noted in vectorstore.changes; merges turn notes into segments.
-- The triggers only gather: what follows from a change is decided by functions of the extension, which an
-- update of the extension replaces.
CREATE FUNCTION vectorstore._migrate_0002() RETURNS void
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
