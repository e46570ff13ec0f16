-- Who calls, and which store is meant. Every public function starts here.

-- Declarations of extension/src/principal.rs, which remembers the caller until the transaction ends.
CREATE FUNCTION vectorstore._current_tenant() RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'current_tenant_wrapper';
CREATE FUNCTION vectorstore._enter_key(known bytea, given bytea, tenant bigint, key bigint, role text, stores bigint[], filter jsonb) RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'enter_key_wrapper';
CREATE FUNCTION vectorstore._enter_store(p_store_id bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'enter_store_wrapper';
CREATE FUNCTION vectorstore._choose_tenant(tenant bigint) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'choose_tenant_wrapper';
CREATE FUNCTION vectorstore._require_access(access text) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'require_access_wrapper';
CREATE FUNCTION vectorstore._has_access(access text) RETURNS boolean
    LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'has_access_wrapper';
CREATE FUNCTION vectorstore._scope() RETURNS bigint[]
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'scope_wrapper';
CREATE FUNCTION vectorstore._mandatory_filter() RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mandatory_filter_wrapper';
CREATE FUNCTION vectorstore._caller_key() RETURNS bigint
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'caller_key_wrapper';
COMMENT ON FUNCTION vectorstore._current_tenant() IS
    'Tenant of the SQL user, who becomes the caller; NULL before vs_install(). 42501 for a role without a tenant, 22023 for one with several that has chosen none.';
COMMENT ON FUNCTION vectorstore._enter_key(bytea, bytea, bigint, bigint, text, bigint[], jsonb) IS 'Makes the owner of an API key the caller; false when the hashes differ, which are compared in constant time.';
COMMENT ON FUNCTION vectorstore._enter_store(bigint) IS 'Whether the caller may see this store of the tenant; if so, the call is about it.';
COMMENT ON FUNCTION vectorstore._choose_tenant(bigint) IS 'Remembers for the session which tenant the SQL user wants; NULL for none.';
COMMENT ON FUNCTION vectorstore._require_access(text) IS '42501 when the caller has less than this access: read, write, admin or operator.';
COMMENT ON FUNCTION vectorstore._has_access(text) IS 'Whether the caller has this access or more.';
COMMENT ON FUNCTION vectorstore._scope() IS 'Numbers of the stores that the caller is narrowed to; NULL for all.';
COMMENT ON FUNCTION vectorstore._mandatory_filter() IS 'The filter that all must pass which the caller reads; NULL for none.';
COMMENT ON FUNCTION vectorstore._caller_key() IS 'Number of the caller''s API key; 0 for a SQL user.';

CREATE FUNCTION vectorstore._fail_forbidden() RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._fail('42501', 'You have insufficient permissions for this operation.', 'insufficient_permissions');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_forbidden() IS '42501: the caller may not do that.';

-- The client's address as the proxy saw it, behind the hash in a credential.
CREATE FUNCTION vectorstore._client_address(p_key bytea) RETURNS inet
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    address bytea := substr(p_key, 33);
BEGIN
    RETURN CASE octet_length(address)
        WHEN 4 THEN format('%s.%s.%s.%s', get_byte(address, 0), get_byte(address, 1), get_byte(address, 2), get_byte(address, 3))::inet
        WHEN 16 THEN rtrim(regexp_replace(encode(address, 'hex'), '(....)', '\1:', 'g'), ':')::inet END;
END
$$;
COMMENT ON FUNCTION vectorstore._client_address(bytea) IS 'Address inside a credential; NULL when there is none.';

-- Every function of the HTTP API begins here. A credential is the SHA-256 of an API key, and behind it the address of
-- the client (4 or 16 bytes), if it is known. What is wrong with a key nobody is told.
CREATE FUNCTION vectorstore._open_key(p_key bytea, p_access text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known record;
BEGIN
    IF to_regclass('vectorstore.tenant_roles') IS NULL THEN
        PERFORM vectorstore._fail('55000', 'vectorstore is not set up in this database yet.', NULL, NULL, 'SELECT vs_install();');
    END IF;
    SELECT k.* INTO known FROM vectorstore.api_keys k WHERE k.key_hash = substr(p_key, 1, 32);
    IF known.key IS NULL
       OR NOT vectorstore._enter_key(known.key_hash, substr(p_key, 1, 32), known.tenant_id, known.key, known.role, known.stores, known.filter)
       OR known.revoked_at <= now() OR known.expires_at <= now()
       OR known.allowed_ips IS NOT NULL AND NOT coalesce(vectorstore._client_address(p_key) <<= ANY (known.allowed_ips), false) THEN
        PERFORM vectorstore._fail('28000', 'Incorrect API key provided.', 'invalid_api_key');
    END IF;
    PERFORM vectorstore._rate_charge();
    -- A key that is narrowed to stores manages nothing: it could make itself one that is not.
    IF p_access IN ('create', 'admin', 'operator') AND known.stores IS NOT NULL OR p_access <> 'search' AND known.filter IS NOT NULL THEN
        PERFORM vectorstore._fail_forbidden();
    END IF;
    PERFORM vectorstore._require_access(CASE p_access WHEN 'search' THEN 'read' WHEN 'create' THEN 'write' ELSE p_access END);
    RETURN known.tenant_id;
END
$$;
COMMENT ON FUNCTION vectorstore._open_key(bytea, text) IS
    'Makes the owner of a credential the caller and returns the tenant. Access: search (read, and the function heeds the mandatory filter of a key), read, write, create (write, and the function makes stores), admin or operator. 28000 for a key that is unknown, revoked, expired or used from elsewhere, 54000 when it comes too often, 42501 when it may not do that much.';

-- What a key with a mandatory filter reads. It stands beside the filter of the search and not around it, so that the one
-- may be as big as the other, and errors are about what the client wrote.
CREATE FUNCTION vectorstore._restricted(p_options jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mandatory jsonb := vectorstore._mandatory_filter();
BEGIN
    RETURN CASE WHEN mandatory IS NULL THEN p_options ELSE coalesce(p_options, '{}') || jsonb_build_object('mandatory', mandatory) END;
END
$$;
COMMENT ON FUNCTION vectorstore._restricted(jsonb) IS 'Options of a search with the caller''s mandatory filter added.';

CREATE FUNCTION vectorstore._allowed(metadata jsonb, filename text, file_id text, id text) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mandatory jsonb := vectorstore._mandatory_filter();
BEGIN
    RETURN mandatory IS NULL OR coalesce(vectorstore._passes(true, metadata, filename, file_id, id) @@ vectorstore._filter_path(mandatory)::jsonpath, false);
END
$$;
COMMENT ON FUNCTION vectorstore._allowed(jsonb, text, text, text) IS 'Whether a chunk or a file of a store passes the caller''s mandatory filter.';

-- A key that was rotated stays the one that made its files and uploads.
CREATE FUNCTION vectorstore._creator() RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller bigint := vectorstore._caller_key();
BEGIN
    RETURN coalesce((SELECT k.origin FROM vectorstore.api_keys k WHERE k.key = caller), caller);
END
$$;
COMMENT ON FUNCTION vectorstore._creator() IS 'Number that what the caller makes bears: that of the API key, or of the first one that it took the place of; 0 for a SQL user.';

-- Files belong to a tenant, not to a store: a key that is narrowed to stores sees those it made, and those in its stores.
CREATE FUNCTION vectorstore._file_attached(p_tenant bigint, p_file text, p_stores bigint[]) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The row of a file that could not be attached, because it does not exist or was not to be seen, is no file. Of
    -- dropped stores there may be rows left.
    RETURN EXISTS (
        SELECT FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id)
        WHERE f.tenant_id = p_tenant AND f.id = p_file AND f.store_id = ANY (p_stores) AND f.chunking_strategy->>'type' IS DISTINCT FROM 'other');
END
$$;
COMMENT ON FUNCTION vectorstore._file_attached(bigint, text, bigint[]) IS 'Whether a file of the tenant is in one of these stores.';

CREATE FUNCTION vectorstore._file_in_scope(p_tenant bigint, p_file text, p_created_by bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope bigint[] := vectorstore._scope();
BEGIN
    RETURN scope IS NULL OR p_created_by = vectorstore._creator() OR vectorstore._file_attached(p_tenant, p_file, scope);
END
$$;
COMMENT ON FUNCTION vectorstore._file_in_scope(bigint, text, bigint) IS 'Whether the caller may see a file of the tenant.';

-- For requests that need nothing else from the database.
CREATE FUNCTION vectorstore.api_check_key(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._open_key(p_key, 'search') IS NOT NULL;
END
$$;
COMMENT ON FUNCTION vectorstore.api_check_key(bytea) IS 'True for a valid API key; 28000 for any other.';

-- The models are known to the proxy alone; who asks for them is known here, and charged as for any other request.
CREATE FUNCTION vectorstore.api_list_models(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._open_key(p_key, 'search') IS NOT NULL;
END
$$;
CREATE FUNCTION vectorstore.api_retrieve_model(p_key bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._open_key(p_key, 'search') IS NOT NULL;
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_models(bytea) IS 'GET /models: charges the key, true for a valid one; 28000 for any other, 54000 when it comes too often.';
COMMENT ON FUNCTION vectorstore.api_retrieve_model(bytea) IS 'GET /models/{model}: the same.';

-- Store of an HTTP request. The number was decoded from the id by the caller; the whole id must match.
-- A store of another tenant, or outside of the key's scope, looks like one that does not exist.
CREATE FUNCTION vectorstore._api_store(p_store_id bigint, p_store text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.stores s WHERE s.store_id = p_store_id AND s.id = p_store AND s.tenant_id = p_tenant;
    -- Not in the statement, which may ask it of other stores, too: it would take the last of them for the caller's.
    IF NOT FOUND OR NOT vectorstore._enter_store(p_store_id) THEN
        PERFORM vectorstore._fail_unknown('vs_', p_store, 'vector_store_id',
            format('No vector store found with id ''%s''.', vectorstore._shown(p_store)));
    END IF;
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
CREATE FUNCTION vectorstore._store(p_store text, p_access text DEFAULT 'read') RETURNS bigint
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
    PERFORM vectorstore._require_access(p_access);
    PERFORM vectorstore._enter_store(found_ids[1]);
    RETURN found_ids[1];
END
$$;
COMMENT ON FUNCTION vectorstore._store(text, text) IS 'Number of the store with this id or name; P0002 when there is none, 22023 when a name is not unique, 42501 when the SQL user has less than this access.';
