-- API keys and tenants over HTTP. The proxy makes the keys; here only their SHA-256 arrives.

-- Whose keys are meant. Another tenant's id is no secret, but only operators may name it.
CREATE FUNCTION vectorstore._open_admin(p_key bytea, p_tenant text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._open_key(p_key, 'admin');
BEGIN
    IF p_tenant IS NULL OR p_tenant = (SELECT t.id FROM vectorstore.tenants t WHERE t.tenant_id = own) THEN
        RETURN own;
    END IF;
    PERFORM vectorstore._require_access('operator');
    RETURN vectorstore._find_tenant(p_tenant);
END
$$;
COMMENT ON FUNCTION vectorstore._open_admin(bytea, text) IS 'Makes the owner of a credential the caller, and returns the tenant that it manages: its own, or for operators any. 42501 for others.';

CREATE FUNCTION vectorstore.api_list_api_keys(p_key bytea, p_tenant text, p_limit integer, p_order text, p_after text, p_before text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_id bigint := 0;
    high_id bigint := 9223372036854775807;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        low_id := (SELECT k.key FROM vectorstore.api_keys k WHERE k.tenant_id = tenant AND k.key_id = low);
    END IF;
    IF high IS NOT NULL THEN
        high_id := (SELECT k.key FROM vectorstore.api_keys k WHERE k.tenant_id = tenant AND k.key_id = high);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    data := ARRAY(SELECT vectorstore._key_json(k.key) FROM vectorstore.api_keys k
                  WHERE k.tenant_id = tenant AND k.key > low_id AND k.key < high_id
                  ORDER BY CASE WHEN descending <> backwards THEN -k.key ELSE k.key END LIMIT page_size + 1);
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_api_keys(bytea, text, integer, text, text, text) IS 'GET /api_keys: limit 1..100 (20), order, after, before; of the caller''s tenant, or for operators of any.';

CREATE FUNCTION vectorstore.api_create_api_key(p_key bytea, p_tenant text, p_hash bytea, p_settings jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    -- By a statement of its own: the next one sees it.
    key bigint := vectorstore._create_key(tenant, p_hash, p_settings);
BEGIN
    RETURN vectorstore._key_json(key);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_api_key(bytea, text, bytea, jsonb) IS 'POST /api_keys. Settings: name, role (read), vector_store_ids, allowed_ips, filter, expires_at.';

CREATE FUNCTION vectorstore.api_get_api_key(p_key bytea, p_tenant text, p_id text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    RETURN vectorstore._key_json(vectorstore._find_key(tenant, p_id));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_api_key(bytea, text, text) IS 'GET /api_keys/{id}.';

CREATE FUNCTION vectorstore.api_update_api_key(p_key bytea, p_tenant text, p_id text, p_changes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    -- By a statement of its own: the next one sees it.
    key bigint := vectorstore._update_key(tenant, p_id, p_changes);
BEGIN
    RETURN vectorstore._key_json(key);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_api_key(bytea, text, text, jsonb) IS 'PUT /api_keys/{id}: changes what is given; null clears.';

CREATE FUNCTION vectorstore.api_delete_api_key(p_key bytea, p_tenant text, p_id text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    PERFORM vectorstore._delete_key(tenant, p_id);
    RETURN jsonb_build_object('id', p_id, 'object', 'api_key.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_api_key(bytea, text, text) IS 'DELETE /api_keys/{id}: no request gets in with it any more.';

CREATE FUNCTION vectorstore.api_rotate_api_key(p_key bytea, p_tenant text, p_id text, p_hash bytea, p_overlap_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
    -- By a statement of its own: the next one sees it.
    key bigint := vectorstore._rotate_key(tenant, p_id, p_hash, make_interval(secs => coalesce(p_overlap_seconds, 86400)));
BEGIN
    RETURN vectorstore._key_json(key);
END
$$;
COMMENT ON FUNCTION vectorstore.api_rotate_api_key(bytea, text, text, bytea, integer) IS
    'POST /api_keys/{id}/rotate: a new key with the same settings; the old one ends after so many seconds (0..2592000, a day by default).';

CREATE FUNCTION vectorstore.api_list_tenants(p_key bytea, p_limit integer, p_order text, p_after text, p_before text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_id bigint := 0;
    high_id bigint := 9223372036854775807;
    data jsonb[];
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        low_id := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = low);
    END IF;
    IF high IS NOT NULL THEN
        high_id := (SELECT t.tenant_id FROM vectorstore.tenants t WHERE t.id = high);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    data := ARRAY(SELECT vectorstore._tenant_json(t.tenant_id) FROM vectorstore.tenants t
                  WHERE t.tenant_id > low_id AND t.tenant_id < high_id
                  ORDER BY CASE WHEN descending <> backwards THEN -t.tenant_id ELSE t.tenant_id END LIMIT page_size + 1);
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_tenants(bytea, integer, text, text, text) IS 'GET /admin/tenants: limit 1..100 (20), order, after, before. For operators.';

CREATE FUNCTION vectorstore.api_create_tenant(p_key bytea, p_id text, p_name text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    number := vectorstore._create_tenant(p_id, p_name);
    RETURN vectorstore._tenant_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_tenant(bytea, text, text) IS 'POST /admin/tenants. For operators.';

CREATE FUNCTION vectorstore.api_get_tenant(p_key bytea, p_id text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    RETURN vectorstore._tenant_json(vectorstore._find_tenant(p_id));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_tenant(bytea, text) IS 'GET /admin/tenants/{id}. For operators.';

CREATE FUNCTION vectorstore.api_update_tenant(p_key bytea, p_id text, p_changes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    number := vectorstore._find_tenant(p_id);
    UPDATE vectorstore.tenants t SET name = vectorstore._check_tenant_name(p_changes->>'name'), updated_at = now()
    WHERE t.tenant_id = number AND p_changes->>'name' IS NOT NULL;
    IF FOUND THEN
        PERFORM vectorstore._audit(number, 'tenant.updated', p_id, p_changes);
    END IF;
    RETURN vectorstore._tenant_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_tenant(bytea, text, jsonb) IS 'PUT /admin/tenants/{id}: changes the name. For operators.';

CREATE FUNCTION vectorstore.api_delete_tenant(p_key bytea, p_id text, p_mode text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._open_key(p_key, 'operator');
    PERFORM vectorstore._delete_tenant(p_id, coalesce(p_mode, 'restrict'));
    RETURN jsonb_build_object('id', p_id, 'object', 'tenant.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_tenant(bytea, text, text) IS 'DELETE /admin/tenants/{id}?mode=restrict|cascade. For operators.';

CREATE FUNCTION vectorstore.api_get_quotas(p_key bytea, p_tenant text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    RETURN vectorstore._quotas_json(tenant);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_quotas(bytea, text) IS 'GET /admin/quotas: of the caller''s tenant and its stores, or for operators of any tenant.';

CREATE FUNCTION vectorstore._quotas_json(p_tenant bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object('object', 'list', 'data', coalesce(jsonb_agg(jsonb_build_object(
            'object', 'quota', 'vector_store_id', q.store_id, 'resource', q.resource, 'used', q.used, 'quota', q.quota,
            'exceeded_at', vectorstore._epoch(q.exceeded_at))), '[]'))
        FROM vectorstore._quotas_of(p_tenant) q);
END
$$;
COMMENT ON FUNCTION vectorstore._quotas_json(bigint) IS 'The quotas of a tenant as the HTTP API shows them.';

-- Nobody raises the quota of the own tenant.
CREATE FUNCTION vectorstore.api_set_quota(p_key bytea, p_tenant text, p_store text, p_limits jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_admin(p_key, p_tenant);
BEGIN
    IF p_store IS NULL THEN
        PERFORM vectorstore._require_access('operator');
        PERFORM vectorstore._set_tenant_quota(tenant, (p_limits->>'max_stores')::bigint, (p_limits->>'max_chunks')::bigint, (p_limits->>'max_bytes')::bigint);
    ELSE
        PERFORM vectorstore._set_quota(vectorstore._api_store(coalesce(vectorstore._id_number('vs_', p_store), 0), p_store, tenant),
            (p_limits->>'max_chunks')::bigint, (p_limits->>'max_bytes')::bigint);
    END IF;
    RETURN vectorstore._quotas_json(tenant);
END
$$;
COMMENT ON FUNCTION vectorstore.api_set_quota(bytea, text, text, jsonb) IS
    'PUT /admin/quotas: all limits of a store (max_chunks, max_bytes), or for operators those of a tenant (max_stores, max_chunks, max_bytes); an absent one ends.';
