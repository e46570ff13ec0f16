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
