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
