-- Step 3: files of stores are read by jobs, which survive whoever works on them; batches of files; expiry. The rules
-- of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0003() RETURNS void
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
