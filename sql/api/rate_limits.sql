-- Rate limits: who may do how much. They are enforced by _open_key; here they are set and shown.

CREATE TYPE vectorstore.rate_limit_row AS (
    scope text, key_id text, key_name text, requests_per_second bigint, requests_burst bigint, requests_per_minute bigint,
    tokens_per_minute bigint, dry_run boolean, updated_at timestamptz
);
COMMENT ON TYPE vectorstore.rate_limit_row IS 'Rate limits of a key, of a tenant, or of all.';

CREATE FUNCTION vectorstore._check_limit(p_name text, p_value bigint, p_maximum bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_value < 1 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': integer below minimum value. Expected a value >= 1.', p_name), 'integer_below_min_value', p_name);
    ELSIF p_value > p_maximum THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': integer above maximum value. Expected a value <= %s.', p_name, p_maximum), 'integer_above_max_value', p_name);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_limit(text, bigint, bigint) IS '22023 for a limit out of range.';

CREATE FUNCTION vectorstore._set_rate_limit(
    p_tenant bigint, p_api_key bigint, p_second bigint, p_burst bigint, p_minute bigint, p_tokens bigint, p_dry_run boolean
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._require_preload();
    PERFORM vectorstore._check_limit('requests_per_second', p_second, 1000000);
    PERFORM vectorstore._check_limit('requests_burst', p_burst, 1000000);
    PERFORM vectorstore._check_limit('requests_per_minute', p_minute, 60000000);
    PERFORM vectorstore._check_limit('tokens_per_minute', p_tokens, 1000000000000);
    INSERT INTO vectorstore.rate_limits (tenant_id, api_key, requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run)
    VALUES (p_tenant, p_api_key, p_second, p_burst, p_minute, p_tokens, coalesce(p_dry_run, false))
    ON CONFLICT (tenant_id, api_key) DO UPDATE SET
        requests_per_second = excluded.requests_per_second, requests_burst = excluded.requests_burst,
        requests_per_minute = excluded.requests_per_minute, tokens_per_minute = excluded.tokens_per_minute,
        dry_run = excluded.dry_run, updated_at = clock_timestamp();
END
$$;
COMMENT ON FUNCTION vectorstore._set_rate_limit(bigint, bigint, bigint, bigint, bigint, bigint, boolean) IS 'Sets a row of rate_limits; 55000 when vectorstore is not preloaded, 22023 for a limit out of range.';

-- Whose limits are meant: a key's, by its id, those of the caller's tenant, or with 'default' those of all.
CREATE FUNCTION vectorstore._limits_owner(p_tenant bigint, p_scope text, p_key_id text, p_param text, OUT tenant bigint, OUT number bigint)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    tenant := p_tenant;
    number := 0;
    IF p_scope NOT IN ('key', 'tenant', 'default') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for ''scope''. Supported values are: ''key'', ''tenant'' and ''default''.', 'invalid_value', 'scope');
    ELSIF (p_scope = 'key') <> (p_key_id IS NOT NULL) THEN
        PERFORM vectorstore._fail('22023', format('Limits of the scope ''key'' need ''%s'', and no others have one.', p_param), 'invalid_value', p_param);
    ELSIF p_scope = 'key' THEN
        number := vectorstore._find_key(p_tenant, p_key_id);
    ELSIF p_scope = 'default' THEN
        PERFORM vectorstore._require_access('operator');
        tenant := 0;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._limits_owner(bigint, text, text, text) IS 'Tenant and key of a row of rate_limits; P0002 for an unknown key, 22023 for another scope, 42501 for the scope default unless an operator asks.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_rate_limit(
    key text DEFAULT NULL, requests_per_second bigint DEFAULT NULL, requests_burst bigint DEFAULT NULL,
    requests_per_minute bigint DEFAULT NULL, tokens_per_minute bigint DEFAULT NULL, dry_run boolean DEFAULT false, scope text DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._admin_tenant(NULL);
    owner record := vectorstore._limits_owner(own, coalesce(scope, CASE WHEN key IS NULL THEN 'tenant' ELSE 'key' END), key, 'key');
BEGIN
    PERFORM vectorstore._set_rate_limit(owner.tenant, owner.number,
        requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run);
    PERFORM vectorstore._audit(own, 'rate_limit.set', coalesce(key, scope, 'tenant'), jsonb_build_object('requests_per_second', requests_per_second,
        'requests_burst', requests_burst, 'requests_per_minute', requests_per_minute, 'tokens_per_minute', tokens_per_minute, 'dry_run', dry_run));
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_rate_limit(text, bigint, bigint, bigint, bigint, boolean, text) IS
    'Limits an API key (by its id), or without one every key of the caller''s tenant that has no limits of its own; with scope default every key of a tenant without any. NULL limits nothing; requests_burst is how many may come at once, and requests_per_second unless it is given. dry_run only logs and counts. For administrators of the tenant, scope default for operators. 55000 when vectorstore is not preloaded, P0002 for an unknown key, 22023 for a limit out of range, 42501 for others.';

-- API: public
CREATE FUNCTION @extschema@.vs_drop_rate_limit(key text DEFAULT NULL, scope text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own bigint := vectorstore._admin_tenant(NULL);
    owner record := vectorstore._limits_owner(own, coalesce(scope, CASE WHEN key IS NULL THEN 'tenant' ELSE 'key' END), key, 'key');
BEGIN
    DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = owner.tenant AND l.api_key = owner.number;
    IF FOUND THEN
        PERFORM vectorstore._audit(own, 'rate_limit.dropped', coalesce(key, scope, 'tenant'));
        RETURN true;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_drop_rate_limit(text, text) IS
    'Takes the limits of an API key away, or without one those of the tenant, or with scope default those of all: then the next wider ones hold. False when there were none. For administrators of the tenant, scope default for operators; P0002 for an unknown key, 42501 for others.';

-- Tokens that the proxy is about to embed. On its own this is a request; with api_uncounted() a part of one.
CREATE FUNCTION vectorstore.api_charge_tokens(p_key bytea, p_tokens bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    PERFORM vectorstore._charge_tokens(p_tokens);
    RETURN true;
END
$$;
COMMENT ON FUNCTION vectorstore.api_charge_tokens(bytea, bigint) IS 'Charges a key for tokens that are about to be embedded: for POST /embeddings, and in part for searches and texts whose vectors the proxy computes. 54000 when that is too much.';

CREATE FUNCTION vectorstore._rate_limit_json(p_limit vectorstore.rate_limit_row) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'object', 'rate_limit', 'scope', p_limit.scope, 'api_key_id', p_limit.key_id, 'requests_per_second', p_limit.requests_per_second,
        'requests_burst', p_limit.requests_burst, 'requests_per_minute', p_limit.requests_per_minute,
        'tokens_per_minute', p_limit.tokens_per_minute, 'dry_run', p_limit.dry_run, 'updated_at', vectorstore._epoch(p_limit.updated_at))
$$;
COMMENT ON FUNCTION vectorstore._rate_limit_json(vectorstore.rate_limit_row) IS 'Limits as the HTTP API shows them.';

-- Every tenant sees what holds for all.
CREATE FUNCTION vectorstore._rate_limits(p_tenant bigint) RETURNS SETOF vectorstore.rate_limit_row
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT CASE WHEN l.tenant_id = 0 THEN 'default' WHEN l.api_key = 0 THEN 'tenant' ELSE 'key' END, k.key_id, k.name, l.requests_per_second,
           coalesce(l.requests_burst, l.requests_per_second), l.requests_per_minute, l.tokens_per_minute, l.dry_run, l.updated_at
    FROM vectorstore.rate_limits l
    LEFT JOIN vectorstore.api_keys k ON k.tenant_id = l.tenant_id AND k.key = l.api_key
    WHERE l.tenant_id IN (0, p_tenant) AND (l.api_key = 0 OR k.key_id IS NOT NULL)
    ORDER BY l.tenant_id, l.api_key = 0 DESC, k.key_id;
END
$$;
COMMENT ON FUNCTION vectorstore._rate_limits(bigint) IS 'Limits of all, of a tenant, and of its keys.';

CREATE FUNCTION vectorstore.api_list_rate_limits(p_key bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._list_json(
        ARRAY(SELECT vectorstore._rate_limit_json(l) FROM vectorstore._rate_limits(vectorstore._open_key(p_key, 'admin')) l), 2147483647)
        || jsonb_build_object('first_id', NULL, 'last_id', NULL);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_rate_limits(bytea) IS 'GET /admin/rate_limits.';

CREATE FUNCTION vectorstore.api_set_rate_limit(
    p_key bytea, p_scope text, p_api_key_id text, p_second bigint, p_burst bigint, p_minute bigint, p_tokens bigint, p_dry_run boolean, p_inherit boolean
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text := coalesce(p_scope, CASE WHEN p_api_key_id IS NULL THEN 'tenant' ELSE 'key' END);
    own bigint := vectorstore._open_key(p_key, 'admin');
    owner record := vectorstore._limits_owner(own, wanted, p_api_key_id, 'api_key_id');
    body jsonb;
BEGIN
    IF coalesce(p_inherit, false) THEN
        DELETE FROM vectorstore.rate_limits l WHERE l.tenant_id = owner.tenant AND l.api_key = owner.number;
        body := jsonb_build_object('object', 'rate_limit.deleted', 'scope', wanted, 'api_key_id', p_api_key_id, 'deleted', FOUND);
        PERFORM vectorstore._audit(own, 'rate_limit.dropped', coalesce(p_api_key_id, wanted));
        RETURN body;
    END IF;
    PERFORM vectorstore._set_rate_limit(owner.tenant, owner.number, p_second, p_burst, p_minute, p_tokens, p_dry_run);
    SELECT vectorstore._rate_limit_json(l) INTO body FROM vectorstore._rate_limits(own) l
    WHERE l.scope = wanted AND l.key_id IS NOT DISTINCT FROM p_api_key_id;
    PERFORM vectorstore._audit(own, 'rate_limit.set', coalesce(p_api_key_id, wanted), body - 'object' - 'scope' - 'api_key_id' - 'updated_at');
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore.api_set_rate_limit(bytea, text, text, bigint, bigint, bigint, bigint, boolean, boolean) IS
    'PUT /admin/rate_limits: limits of a key, of the caller''s tenant, or of all; inherit takes them away.';

CREATE FUNCTION vectorstore._my_rate_limits()
RETURNS TABLE (
    scope text, key_id text, key_name text, requests_per_second bigint, requests_burst bigint, requests_per_minute bigint,
    tokens_per_minute bigint, dry_run boolean, updated_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM vectorstore._rate_limits(vectorstore._current_tenant());
END
$$;
COMMENT ON FUNCTION vectorstore._my_rate_limits() IS 'Rows of vs_rate_limits.';

CREATE VIEW @extschema@.vs_rate_limits AS SELECT * FROM vectorstore._my_rate_limits();
COMMENT ON VIEW @extschema@.vs_rate_limits IS 'Rate limits of the caller''s tenant and its API keys, and those of all. Of several the narrowest holds.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.scope IS 'key, tenant, or default for all tenants.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.key_id IS 'Id of the API key.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.key_name IS 'Name of the API key.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.requests_per_second IS 'Requests a second; NULL for any number.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.requests_burst IS 'Requests that may come at once.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.requests_per_minute IS 'Requests a minute; NULL for any number.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.tokens_per_minute IS 'Tokens a minute that the proxy embeds; NULL for any number.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.dry_run IS 'Whether refusals are only logged and counted.';
COMMENT ON COLUMN @extschema@.vs_rate_limits.updated_at IS 'Last change.';
