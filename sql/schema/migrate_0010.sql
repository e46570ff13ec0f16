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
