-- A view over a function: the tables do not exist yet when the extension is created.
CREATE FUNCTION vectorstore._stores()
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

CREATE VIEW @extschema@.vs_stores AS SELECT * FROM vectorstore._stores();
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
