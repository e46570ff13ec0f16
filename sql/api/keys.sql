-- API keys. SQL sees only their SHA-256: the proxy makes keys and hashes them (vectorstore-proxy key new).

-- Who did it, for the audit log.
CREATE FUNCTION vectorstore._audit(p_tenant bigint, p_action text, p_object text, p_detail jsonb DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO vectorstore.audit_log (tenant_id, actor, action, object, detail)
    VALUES (p_tenant, coalesce((SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = vectorstore._caller_key()), vectorstore._outer_role()),
            p_action, p_object, jsonb_strip_nulls(p_detail));
END
$$;
COMMENT ON FUNCTION vectorstore._audit(bigint, text, text, jsonb) IS 'Notes an administrative act of the caller in its own transaction.';

CREATE FUNCTION vectorstore._outer_role() RETURNS text
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'outer_role_wrapper';
COMMENT ON FUNCTION vectorstore._outer_role() IS 'The database role in effect outside of SECURITY DEFINER functions.';

CREATE FUNCTION vectorstore._key_json(p_key bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'object', 'api_key', 'id', k.key_id, 'name', k.name, 'tenant', t.id, 'role', k.role,
            'vector_store_ids', CASE WHEN k.stores IS NULL THEN NULL ELSE (
                SELECT coalesce(jsonb_agg(s.id ORDER BY s.store_id), '[]') FROM vectorstore.stores s WHERE s.store_id = ANY (k.stores)) END,
            'allowed_ips', to_jsonb(k.allowed_ips::text[]), 'filter', k.filter, 'created_at', vectorstore._epoch(k.created_at),
            'expires_at', vectorstore._epoch(k.expires_at), 'revoked_at', vectorstore._epoch(k.revoked_at),
            'last_used_at', vectorstore._epoch(k.last_used_at),
            'status', CASE WHEN k.revoked_at <= now() THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END)
        FROM vectorstore.api_keys k JOIN vectorstore.tenants t USING (tenant_id) WHERE k.key = p_key);
END
$$;
COMMENT ON FUNCTION vectorstore._key_json(bigint) IS 'An API key as the HTTP API shows it, without what could be used.';

CREATE FUNCTION vectorstore._find_key(p_tenant bigint, p_id text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := (SELECT k.key FROM vectorstore.api_keys k WHERE k.tenant_id = p_tenant AND k.key_id = p_id);
BEGIN
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('key_', p_id, 'key_id', format('No API key found with id ''%s''.', vectorstore._shown(p_id)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._find_key(bigint, text) IS 'Number of the tenant''s API key with this id; P0002 when there is none, 22023 when the id is of another form.';

-- The settings of a key that an object has: name, role, vector_store_ids, allowed_ips, filter, expires_at (Unix seconds).
-- Nobody gives more than they have.
CREATE FUNCTION vectorstore._set_key(p_key bigint, p_settings jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    scope bigint[];
    addresses cidr[];
    unknown text;
BEGIN
    SELECT k.tenant_id, k.role, k.stores, k.allowed_ips, k.filter, k.expires_at, k.name INTO wanted FROM vectorstore.api_keys k WHERE k.key = p_key;
    IF p_settings ? 'name' THEN
        wanted.name := coalesce(p_settings->>'name', '');
        IF length(wanted.name) > 256 THEN
            PERFORM vectorstore._fail('22023', 'Invalid ''name'': string too long. Expected at most 256 characters.', 'string_above_max_length', 'name');
        END IF;
    END IF;
    IF p_settings->>'role' IS NOT NULL THEN
        wanted.role := p_settings->>'role';
        IF wanted.role NOT IN ('read', 'write', 'admin', 'operator') THEN
            PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''read'', ''write'', ''admin'', and ''operator''.',
                vectorstore._shown(wanted.role)), 'invalid_value', 'role');
        END IF;
        PERFORM vectorstore._require_access(wanted.role);
    END IF;
    IF p_settings ? 'vector_store_ids' THEN
        wanted.stores := NULL;
        IF jsonb_typeof(p_settings->'vector_store_ids') = 'array' THEN
            SELECT array_agg(s.store_id ORDER BY s.store_id), min(u.id) FILTER (WHERE s.store_id IS NULL) INTO scope, unknown
            FROM jsonb_array_elements_text(p_settings->'vector_store_ids') AS u(id)
            LEFT JOIN vectorstore.stores s ON s.store_id = vectorstore._id_number('vs_', u.id) AND s.id = u.id AND s.tenant_id = wanted.tenant_id;
            IF unknown IS NOT NULL THEN
                PERFORM vectorstore._fail_unknown('vs_', unknown, 'vector_store_ids', format('No vector store found with id ''%s''.', vectorstore._shown(unknown)));
            END IF;
            wanted.stores := coalesce(scope, '{}');
        END IF;
    END IF;
    IF p_settings ? 'allowed_ips' THEN
        wanted.allowed_ips := NULL;
        IF jsonb_typeof(p_settings->'allowed_ips') = 'array' THEN
            addresses := '{}';
            FOR unknown IN SELECT jsonb_array_elements_text(p_settings->'allowed_ips') LOOP
                BEGIN
                    addresses := addresses || unknown::cidr;
                EXCEPTION WHEN invalid_text_representation THEN
                    PERFORM vectorstore._fail('22023', format('Invalid ''allowed_ips'': ''%s'' is no network such as 10.0.0.0/8.', vectorstore._shown(unknown)), 'invalid_value', 'allowed_ips');
                END;
            END LOOP;
            wanted.allowed_ips := addresses;
        END IF;
    END IF;
    IF p_settings ? 'filter' THEN
        wanted.filter := nullif(p_settings->'filter', 'null');
        PERFORM vectorstore._filter_path(wanted.filter);
    END IF;
    IF p_settings ? 'expires_at' THEN
        wanted.expires_at := to_timestamp((p_settings->>'expires_at')::double precision);
        IF wanted.expires_at <= now() THEN
            PERFORM vectorstore._fail('22023', 'Invalid ''expires_at'': expected a time in the future.', 'invalid_value', 'expires_at');
        END IF;
    END IF;
    IF wanted.filter IS NOT NULL AND wanted.role <> 'read' THEN
        PERFORM vectorstore._fail('22023', 'A key with a filter can only have the role ''read''.', 'invalid_value', 'role');
    ELSIF wanted.role = 'operator' AND (wanted.stores IS NOT NULL OR wanted.filter IS NOT NULL) THEN
        PERFORM vectorstore._fail('22023', 'An operator''s key cannot be narrowed to vector stores.', 'invalid_value', 'vector_store_ids');
    END IF;
    UPDATE vectorstore.api_keys k SET name = wanted.name, role = wanted.role, stores = wanted.stores, allowed_ips = wanted.allowed_ips,
        filter = wanted.filter, expires_at = wanted.expires_at
    WHERE k.key = p_key;
END
$$;
COMMENT ON FUNCTION vectorstore._set_key(bigint, jsonb) IS
    'Changes what the object has of a key''s settings; null clears. 22023 for what no key can have, 42501 for a role above the caller''s, P0002 for a store that the tenant has not.';

CREATE FUNCTION vectorstore._create_key(p_tenant bigint, p_hash bytea, p_settings jsonb) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    IF octet_length(p_hash) IS DISTINCT FROM 32 THEN
        PERFORM vectorstore._fail('22023', 'key_hash must be the 32 bytes of a SHA-256.', 'invalid_value', 'key_hash',
            'vectorstore-proxy key new prints a key and its hash.');
    END IF;
    INSERT INTO vectorstore.api_keys (tenant_id, key_id, name, key_hash, role)
    VALUES (p_tenant, vectorstore._random_id('key_'), '', p_hash, 'read') ON CONFLICT (key_hash) DO NOTHING RETURNING key INTO number;
    IF number IS NULL THEN
        PERFORM vectorstore._fail('23505', 'This key exists already.', NULL, 'key_hash');
    END IF;
    PERFORM vectorstore._set_key(number, p_settings);
    PERFORM vectorstore._audit(p_tenant, 'api_key.created', (SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = number), p_settings);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._create_key(bigint, bytea, jsonb) IS 'Registers a key and returns its number; 23505 for a hash that is known. Settings: those of _set_key.';

CREATE FUNCTION vectorstore._update_key(p_tenant bigint, p_id text, p_changes jsonb) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._find_key(p_tenant, p_id);
BEGIN
    -- A key that may do more than the caller is not the caller's to change.
    PERFORM vectorstore._require_access(k.role) FROM vectorstore.api_keys k WHERE k.key = number FOR UPDATE;
    PERFORM vectorstore._set_key(number, p_changes);
    PERFORM vectorstore._audit(p_tenant, 'api_key.updated', p_id, p_changes);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._update_key(bigint, text, jsonb) IS 'Changes the settings of a key, and returns its number.';

-- The old key stays good for the overlap, so that clients can change one after the other.
CREATE FUNCTION vectorstore._rotate_key(p_tenant bigint, p_id text, p_hash bytea, p_overlap interval) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old record;
    number bigint;
BEGIN
    number := vectorstore._find_key(p_tenant, p_id);
    SELECT k.* INTO old FROM vectorstore.api_keys k WHERE k.key = number FOR UPDATE;
    PERFORM vectorstore._require_access(old.role);
    IF p_overlap IS NULL OR p_overlap < interval '0' OR p_overlap > interval '30 days' THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''overlap_seconds'': expected from 0 to 2592000 seconds.', 'invalid_value', 'overlap_seconds');
    ELSIF old.revoked_at IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', 'A revoked key cannot be rotated.', 'invalid_value', 'key_id');
    ELSIF old.expires_at <= now() THEN
        PERFORM vectorstore._fail('22023', 'An expired key cannot be rotated.', 'invalid_value', 'key_id');
    END IF;
    number := vectorstore._create_key(p_tenant, p_hash, jsonb_build_object('name', old.name, 'role', old.role));
    UPDATE vectorstore.api_keys k
    SET stores = old.stores, allowed_ips = old.allowed_ips, filter = old.filter, rotated_from = old.key, origin = coalesce(old.origin, old.key),
        expires_at = old.expires_at
    WHERE k.key = number;
    -- A new key is no way out of the limits of the old one.
    INSERT INTO vectorstore.rate_limits (tenant_id, api_key, requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run)
    SELECT l.tenant_id, number, l.requests_per_second, l.requests_burst, l.requests_per_minute, l.tokens_per_minute, l.dry_run
    FROM vectorstore.rate_limits l WHERE l.tenant_id = p_tenant AND l.api_key = old.key;
    UPDATE vectorstore.api_keys k SET expires_at = least(k.expires_at, now() + p_overlap) WHERE k.key = old.key;
    PERFORM vectorstore._audit(p_tenant, 'api_key.rotated', p_id, jsonb_build_object('overlap', p_overlap));
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._rotate_key(bigint, text, bytea, interval) IS 'Makes a key with the same settings, ends the old one after the overlap, and returns the number of the new one.';

CREATE FUNCTION vectorstore._delete_key(p_tenant bigint, p_id text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._find_key(p_tenant, p_id);
BEGIN
    PERFORM vectorstore._require_access(k.role) FROM vectorstore.api_keys k WHERE k.key = number FOR UPDATE;
    -- Noted first: the key may be the caller's own.
    PERFORM vectorstore._audit(p_tenant, 'api_key.deleted', p_id);
    DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = p_tenant AND l.api_key = number;
    DELETE FROM vectorstore.api_keys k WHERE k.key = number;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_key(bigint, text) IS 'Deletes a key at once.';

CREATE FUNCTION vectorstore._admin_tenant(p_tenant text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._current_tenant();
    number bigint;
BEGIN
    PERFORM vectorstore._require_access('admin');
    IF p_tenant IS NULL THEN
        RETURN own;
    END IF;
    -- Nobody else learns which tenants there are.
    number := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = p_tenant);
    IF number IS DISTINCT FROM own THEN
        PERFORM vectorstore._require_access('operator');
    END IF;
    RETURN vectorstore._find_tenant(p_tenant);
END
$$;
COMMENT ON FUNCTION vectorstore._admin_tenant(text) IS 'Number of the tenant that a SQL user manages; NULL for the own one. 42501 for whoever does not manage it.';

-- Names are unique only among stores made in SQL.
CREATE FUNCTION vectorstore._store_id(p_tenant bigint, p_store text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named text[] := ARRAY(SELECT s.id FROM vectorstore.stores s WHERE s.tenant_id = p_tenant AND s.name = p_store LIMIT 2);
BEGIN
    IF EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = vectorstore._id_number('vs_', p_store) AND s.id = p_store AND s.tenant_id = p_tenant) THEN
        RETURN p_store;
    ELSIF cardinality(named) = 0 THEN
        PERFORM vectorstore._fail('P0002', format('No vector store found with id or name ''%s''.', vectorstore._shown(p_store)), NULL, 'stores');
    ELSIF cardinality(named) > 1 THEN
        PERFORM vectorstore._fail('22023', format('More than one vector store is named ''%s''.', vectorstore._shown(p_store)), 'invalid_value', 'stores',
            'Give the id: SELECT id FROM vs_stores.');
    END IF;
    RETURN named[1];
END
$$;
COMMENT ON FUNCTION vectorstore._store_id(bigint, text) IS 'Id of the tenant''s store with this id or name; P0002 when there is none, 22023 when a name is not unique.';

-- API: public
CREATE FUNCTION @extschema@.vs_create_api_key(
    name text, key_hash bytea, expires_at timestamptz DEFAULT NULL, role text DEFAULT 'admin', stores text[] DEFAULT NULL,
    allowed_ips cidr[] DEFAULT NULL, filter jsonb DEFAULT NULL, tenant text DEFAULT NULL
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner bigint;
    number bigint;
BEGIN
    PERFORM @extschema@.vs_install();
    owner := vectorstore._admin_tenant(tenant);
    number := vectorstore._create_key(owner, key_hash, jsonb_build_object(
        'name', name, 'role', role, 'vector_store_ids', to_jsonb(ARRAY(SELECT vectorstore._store_id(owner, u.store) FROM unnest(stores) AS u(store))),
        'allowed_ips', to_jsonb(allowed_ips), 'filter', filter, 'expires_at', extract(epoch FROM expires_at))
        - CASE WHEN stores IS NULL THEN 'vector_store_ids' ELSE '' END);
    RETURN (SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = number);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_create_api_key(text, bytea, timestamptz, text, text[], cidr[], jsonb, text) IS
    'Registers an API key by the SHA-256 of the whole key, and returns its id. role: read, write, admin (default: of the tenant) or operator (of all). stores: ids or names that it is narrowed to. allowed_ips: networks that it may be used from. filter: what all must pass that it reads; such a key only reads. tenant: whose key it is, the caller''s by default.';

-- API: public
CREATE FUNCTION @extschema@.vs_update_api_key(id text, changes jsonb, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._update_key(vectorstore._admin_tenant(tenant), id, changes);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update_api_key(text, jsonb, text) IS
    'Changes an API key: any of name, role, vector_store_ids, allowed_ips, filter and expires_at (Unix seconds) in an object; null clears. In force with the next request.';

-- API: public
CREATE FUNCTION @extschema@.vs_rotate_api_key(id text, new_key_hash bytea, overlap interval DEFAULT '1 day', tenant text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._rotate_key(vectorstore._admin_tenant(tenant), id, new_key_hash, overlap);
BEGIN
    RETURN (SELECT k.key_id FROM vectorstore.api_keys k WHERE k.key = number);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_rotate_api_key(text, bytea, interval, text) IS
    'Makes a key with the settings of another, which stays good for the overlap (0 to 30 days); returns the id of the new one.';

-- API: public
CREATE FUNCTION @extschema@.vs_revoke_api_key(id text, tenant text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner bigint := vectorstore._admin_tenant(tenant);
BEGIN
    PERFORM vectorstore._require_access(k.role) FROM vectorstore.api_keys k WHERE k.tenant_id = owner AND k.key_id = id;
    UPDATE vectorstore.api_keys k SET revoked_at = now() WHERE k.tenant_id = owner AND k.key_id = id AND k.revoked_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM vectorstore._audit(owner, 'api_key.revoked', id);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_revoke_api_key(text, text) IS 'Revokes an API key at once; false when there is no such live key.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete_api_key(id text, tenant text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._delete_key(vectorstore._admin_tenant(tenant), id);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_api_key(text, text) IS 'Deletes an API key at once. P0002 when there is none.';
