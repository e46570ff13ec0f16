-- Who calls, and which store is meant. Every public function starts here.

-- Tenant of SQL users. One tenant exists in this version.
CREATE FUNCTION vectorstore._current_tenant() RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
BEGIN
    IF to_regclass('vectorstore.tenants') IS NOT NULL THEN
        SELECT t.tenant_id INTO tenant FROM vectorstore.tenants t WHERE t.id = 'default';
    END IF;
    PERFORM vectorstore._note_caller(coalesce(tenant, 0), 0, 0);
    RETURN tenant;
END
$$;
COMMENT ON FUNCTION vectorstore._current_tenant() IS 'Tenant of the SQL user; NULL before vs_install().';

CREATE FUNCTION vectorstore._key_number(key_hash bytea) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT ('x' || encode(substr(key_hash, 1, 7), 'hex'))::bit(56)::bigint $$;
COMMENT ON FUNCTION vectorstore._key_number(bytea) IS 'Number of an API key in the statistics.';

-- Tenant of an HTTP client, by the SHA-256 of its API key.
CREATE FUNCTION vectorstore._key_tenant(key bytea) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    number bigint;
BEGIN
    IF to_regclass('vectorstore.api_keys') IS NULL THEN
        PERFORM vectorstore._fail('55000', 'vectorstore is not set up in this database yet.', NULL, NULL, 'SELECT vs_install();');
    END IF;
    SELECT k.tenant_id, vectorstore._key_number(k.key_hash) INTO tenant, number
    FROM vectorstore.api_keys k
    WHERE k.key_hash = key AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now());
    IF tenant IS NULL THEN
        PERFORM vectorstore._fail('28000', 'Incorrect API key provided.', 'invalid_api_key');
    END IF;
    PERFORM vectorstore._note_caller(tenant, 0, number);
    PERFORM vectorstore._rate_charge();
    RETURN tenant;
END
$$;
COMMENT ON FUNCTION vectorstore._key_tenant(bytea) IS 'Tenant of an API key''s SHA-256; 28000 for an unknown, revoked or expired key.';

-- For requests that need nothing else from the database.
CREATE FUNCTION vectorstore.api_check_key(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._key_tenant(p_key) IS NOT NULL;
END
$$;
COMMENT ON FUNCTION vectorstore.api_check_key(bytea) IS 'True for a valid API key; 28000 for any other.';

-- Store of an HTTP request. The number was decoded from the id by the caller; the whole id must match.
-- Another tenant's store looks like one that does not exist.
CREATE FUNCTION vectorstore._api_store(p_store_id bigint, p_store text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.stores s WHERE s.store_id = p_store_id AND s.id = p_store AND s.tenant_id = p_tenant;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_unknown('vs_', p_store, 'vector_store_id',
            format('No vector store found with id ''%s''.', vectorstore._shown(p_store)));
    END IF;
    PERFORM vectorstore._note_store(p_store_id);
    RETURN p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._api_store(bigint, text, bigint) IS 'Checks the store of a request; P0002 when it is unknown, 22023 when the id is of another form.';

-- The id rule: an unknown id of the right form is "not found", one of another form is a bad value.
CREATE FUNCTION vectorstore._fail_unknown(prefix text, id text, param text, not_found text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF starts_with(id, prefix) THEN
        PERFORM vectorstore._fail('P0002', not_found, NULL, param);
    END IF;
    PERFORM vectorstore._fail('22023', format('Invalid ''%s'': ''%s''. Expected an ID that begins with ''%s''.',
        param, vectorstore._shown(id), rtrim(prefix, '_-')), 'invalid_value', param);
END
$$;
COMMENT ON FUNCTION vectorstore._fail_unknown(text, text, text, text) IS 'Raises P0002 for an unknown id with this prefix, else 22023.';

-- Store of a SQL user: an id, or a name that only one store bears.
CREATE FUNCTION vectorstore._store(p_store text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
    found_ids bigint[];
BEGIN
    IF p_store IS NULL THEN
        PERFORM vectorstore._fail('22023', 'The store must not be null.', 'missing_required_parameter', 'store');
    ELSIF tenant IS NOT NULL THEN
        SELECT array_agg(s.store_id) INTO found_ids FROM vectorstore.stores s
        WHERE s.store_id = vectorstore._id_number('vs_', p_store) AND s.id = p_store AND s.tenant_id = tenant;
        IF found_ids IS NULL THEN
            SELECT array_agg(s.store_id) INTO found_ids
            FROM (SELECT n.store_id FROM vectorstore.stores n WHERE n.tenant_id = tenant AND n.name = p_store LIMIT 2) s;
        END IF;
    END IF;
    IF found_ids IS NULL THEN
        PERFORM vectorstore._fail('P0002', format('No vector store found with id or name ''%s''.', vectorstore._shown(p_store)),
            NULL, 'store', 'SELECT * FROM vs_stores lists the stores.');
    ELSIF cardinality(found_ids) > 1 THEN
        PERFORM vectorstore._fail('22023', format('More than one vector store is named ''%s''.', vectorstore._shown(p_store)),
            'invalid_value', 'store', 'Give the id: SELECT id FROM vs_stores.');
    END IF;
    PERFORM vectorstore._note_store(found_ids[1]);
    RETURN found_ids[1];
END
$$;
COMMENT ON FUNCTION vectorstore._store(text) IS 'Number of the store with this id or name; P0002 when there is none, 22023 when a name is not unique.';
