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
