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
