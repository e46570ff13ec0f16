-- Vector stores over HTTP: each function is one request, and its result is the body of the answer.

CREATE FUNCTION vectorstore._store_json(p_store_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', s.id, 'object', 'vector_store', 'created_at', vectorstore._epoch(s.created_at), 'name', s.name,
        'description', s.description, 'usage_bytes', c.usage_bytes,
        'file_counts', jsonb_build_object(
            'in_progress', c.files_in_progress, 'completed', c.files_completed, 'failed', c.files_failed,
            'cancelled', c.files_cancelled,
            'total', c.files_in_progress + c.files_completed + c.files_failed + c.files_cancelled),
        'status', CASE WHEN vectorstore._is_expired(s.expired_at, s.last_active_at, s.expires_after_days) THEN 'expired'
                       WHEN c.files_in_progress > 0 THEN 'in_progress' ELSE 'completed' END,
        'last_active_at', vectorstore._epoch(s.last_active_at), 'metadata', s.metadata,
        'expires_at', vectorstore._epoch(vectorstore._expires_at(s.last_active_at, s.expires_after_days)),
        'embedding_model', s.embedding_model, 'dimensions', s.dimensions)
        -- expires_after is left out, not null, when there is none.
        || CASE WHEN s.expires_after_days IS NULL THEN '{}'
                ELSE jsonb_build_object('expires_after', jsonb_build_object('anchor', 'last_active_at', 'days', s.expires_after_days)) END
    INTO body
    FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) WHERE s.store_id = p_store_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._store_json(bigint) IS 'A store as the HTTP API shows it.';

-- The envelope of every list. The caller read one row more than the page holds, to know whether more follow,
-- and may have read backwards.
CREATE FUNCTION vectorstore._list_json(data jsonb[], page_size integer, backwards boolean DEFAULT false) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'object', 'list', 'data', to_jsonb(page), 'first_id', page[1]->'id', 'last_id', page[cardinality(page)]->'id',
        'has_more', coalesce(cardinality(data), 0) > page_size)
    FROM (SELECT ARRAY(SELECT u.item FROM unnest(data[1:page_size]) WITH ORDINALITY AS u(item, place)
                       ORDER BY CASE WHEN backwards THEN -u.place ELSE u.place END)) p(page)
$$;
COMMENT ON FUNCTION vectorstore._list_json(jsonb[], integer, boolean) IS 'List envelope of at most page_size items; an item more says that more follow.';

-- Limit and order of a list; the bounds differ between kinds of lists.
CREATE FUNCTION vectorstore._check_list(page_size integer, maximum integer, sort text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF page_size < 1 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''limit'': integer below minimum value. Expected a value >= 1.', 'integer_below_min_value', 'limit');
    ELSIF page_size > maximum THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''limit'': integer above maximum value. Expected a value <= %s.', maximum), 'integer_above_max_value', 'limit');
    ELSIF sort NOT IN ('asc', 'desc') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for ''order''. Supported values are: ''asc'' and ''desc''.', 'invalid_value', 'order');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_list(integer, integer, text) IS '22023 for a limit or an order out of range.';

-- A cursor must name an object of the list: the caller looked both up, and NULL says that one is unknown.
CREATE FUNCTION vectorstore._check_cursors(after text, before text, descending boolean, low_id anycompatible, high_id anycompatible) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unknown text := CASE WHEN (CASE WHEN descending THEN high_id ELSE low_id END) IS NULL THEN 'after'
                         WHEN (CASE WHEN descending THEN low_id ELSE high_id END) IS NULL THEN 'before' END;
BEGIN
    IF unknown IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': no object with id ''%s''.', unknown,
            vectorstore._shown(CASE unknown WHEN 'after' THEN after ELSE before END)), 'invalid_value', unknown);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_cursors(text, text, boolean, anycompatible, anycompatible) IS '22023 for a cursor that names no object of the list.';

CREATE FUNCTION vectorstore.api_create_vector_store(
    p_key bytea, p_name text, p_description text, p_metadata jsonb, p_expires_days integer,
    p_embedding_model text, p_dimensions integer, p_files jsonb DEFAULT NULL, p_models text[] DEFAULT NULL
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'create');
    -- Made by a statement of its own: the next one sees it.
    number bigint := vectorstore._create_store(
        tenant, p_name, p_description, p_metadata, p_expires_days, p_embedding_model, p_dimensions, NULL,
        coalesce(p_embedding_model = ANY (p_models), false));
BEGIN
    IF p_files IS NOT NULL THEN
        PERFORM vectorstore._attach(number, tenant, NULL, p_files, p_models);
    END IF;
    RETURN vectorstore._store_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_vector_store(bytea, text, text, jsonb, integer, text, integer, jsonb, text[]) IS
    'POST /vector_stores. NULL means the default. Files to attach: an array of {"file_id", "attributes", "chunking_strategy"}; the models are those that the caller embeds with, which a store may also have.';

-- Objects of a page lie between two others by (created_at, number), whatever the order asked for. A page before
-- an object lies next to it: it is read backwards from there, and turned round.
CREATE FUNCTION vectorstore.api_list_vector_stores(p_key bytea, p_limit integer, p_order text, p_after text, p_before text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
    scope bigint[] := vectorstore._scope();
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_at timestamptz := '-infinity';
    high_at timestamptz := 'infinity';
    low_id bigint := 0;
    high_id bigint := 0;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        SELECT s.created_at, s.store_id INTO low_at, low_id FROM vectorstore.stores s
        WHERE s.store_id = vectorstore._id_number('vs_', low) AND s.id = low AND s.tenant_id = tenant
          AND (scope IS NULL OR s.store_id = ANY (scope));
    END IF;
    IF high IS NOT NULL THEN
        SELECT s.created_at, s.store_id INTO high_at, high_id FROM vectorstore.stores s
        WHERE s.store_id = vectorstore._id_number('vs_', high) AND s.id = high AND s.tenant_id = tenant
          AND (scope IS NULL OR s.store_id = ANY (scope));
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._store_json(s.store_id) FROM vectorstore.stores s
                      WHERE s.tenant_id = tenant AND (scope IS NULL OR s.store_id = ANY (scope))
                        AND (s.created_at, s.store_id) > (low_at, low_id)
                        AND (s.created_at, s.store_id) < (high_at, high_id)
                      ORDER BY s.created_at DESC, s.store_id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._store_json(s.store_id) FROM vectorstore.stores s
                      WHERE s.tenant_id = tenant AND (scope IS NULL OR s.store_id = ANY (scope))
                        AND (s.created_at, s.store_id) > (low_at, low_id)
                        AND (s.created_at, s.store_id) < (high_at, high_id)
                      ORDER BY s.created_at, s.store_id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_vector_stores(bytea, integer, text, text, text) IS 'GET /vector_stores: limit 1..100 (20), order asc or desc (desc), after, before.';

CREATE FUNCTION vectorstore.api_get_vector_store(p_store_id bigint, p_store text, p_key bytea) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._store_json(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search')));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_vector_store(bigint, text, bytea) IS 'GET /vector_stores/{id}.';

CREATE FUNCTION vectorstore.api_update_vector_store(p_store_id bigint, p_store text, p_key bytea, p_changes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._update_store(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write')), p_changes);
    RETURN vectorstore._store_json(p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_vector_store(bigint, text, bytea, jsonb) IS 'POST /vector_stores/{id}: changes the keys that are there of name, description, metadata, expires_after_days; null clears.';

CREATE FUNCTION vectorstore.api_delete_vector_store(p_store_id bigint, p_store text, p_key bytea, p_mode text DEFAULT 'cascade') RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._delete_store_in_mode(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write')), p_mode);
    RETURN jsonb_build_object('id', p_store, 'object', 'vector_store.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_vector_store(bigint, text, bytea, text) IS 'DELETE /vector_stores/{id}?mode=cascade|restrict.';

CREATE FUNCTION vectorstore.api_health() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object(
        'version', (SELECT x.extversion FROM pg_extension x WHERE x.extname = 'vectorstore'),
        'library', vectorstore._library_version(),
        'schema', vectorstore._schema_version(), 'schema_target', vectorstore._schema_target());
END
$$;
COMMENT ON FUNCTION vectorstore.api_health() IS 'Versions of extension, library and schema; needs no key.';
