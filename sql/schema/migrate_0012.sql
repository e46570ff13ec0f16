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
