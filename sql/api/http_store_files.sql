-- Files of a vector store over HTTP. The proxy has read, chunked and embedded a file before it calls.

CREATE FUNCTION vectorstore._store_file_json(p_store_id bigint, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', f.id, 'object', 'vector_store.file', 'usage_bytes', f.usage_bytes, 'created_at', vectorstore._epoch(f.created_at),
        'vector_store_id', s.id, 'status', f.status, 'last_error', f.last_error,
        'chunking_strategy', f.chunking_strategy, 'attributes', f.attributes)
    INTO body
    FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id)
    WHERE f.store_id = p_store_id AND f.id = p_file;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._store_file_json(bigint, text) IS 'A file of a store as the HTTP API shows it; NULL when it is not attached.';

-- The store's number, after checking that the file is attached.
CREATE FUNCTION vectorstore._api_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._key_tenant(p_key));
BEGIN
    PERFORM FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = p_file;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'file_id',
            format('No file found with id ''%s'' in vector store ''%s''.', vectorstore._shown(p_file), p_store));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_store_file(bigint, text, bytea, text) IS 'Number of the store that this file is attached to; P0002 when it is not.';

CREATE FUNCTION vectorstore.api_find_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb := vectorstore._store_file_json(vectorstore._api_store(p_store_id, p_store, vectorstore._key_tenant(p_key)), p_file);
BEGIN
    IF body IS NULL AND NOT starts_with(p_file, 'file-') THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'file_id', '');
    END IF;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore.api_find_store_file(bigint, text, bytea, text) IS 'The file of the store, or NULL when it is not attached yet; 22023 when the id is of another form.';

-- Status, counts, text and chunks change together: completed means searchable.
CREATE FUNCTION vectorstore.api_attach_file(
    p_store_id bigint, p_store text, p_key bytea, p_file text, p_attributes jsonb, p_chunking jsonb, p_text text,
    p_chunks text[], p_embeddings @extschema:vector@.vector[], p_error jsonb
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    tenant bigint := vectorstore._key_tenant(p_key);
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
    attributes jsonb := vectorstore._check_attributes(p_attributes, 'attributes', true);
    source record;
    store record;
    usage bigint := 0;
BEGIN
    PERFORM vectorstore._require_active(number);
    SELECT f.filename INTO source FROM vectorstore.files f WHERE f.tenant_id = tenant AND f.file_id = vectorstore._api_file(p_file, tenant);
    SELECT s.language INTO store FROM vectorstore.stores s WHERE s.store_id = number;
    IF coalesce(cardinality(p_chunks), 0) > 0 THEN
        PERFORM vectorstore._check_embeddings(number, p_chunks, NULL, p_embeddings, NULL);
        SELECT sum(octet_length(u.content) + 4 * @extschema:vector@.vector_dims(u.embedding)) INTO usage
        FROM unnest(p_chunks, p_embeddings) AS u(content, embedding);
    END IF;
    INSERT INTO vectorstore.store_files AS f
        (store_id, tenant_id, id, filename, status, last_error, attributes, chunking_strategy, usage_bytes, content)
    VALUES (number, tenant, p_file, source.filename, CASE WHEN p_error IS NULL THEN 'completed' ELSE 'failed' END, p_error,
            attributes, p_chunking, usage, p_text)
    ON CONFLICT (store_id, id) DO UPDATE SET
        status = excluded.status, last_error = excluded.last_error, attributes = excluded.attributes,
        chunking_strategy = excluded.chunking_strategy, usage_bytes = excluded.usage_bytes, content = excluded.content;
    -- Attached again with other settings: indexed anew.
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.file_id = p_file;
    INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, file_id, chunk_index, language, embedding, metadata, filename, content)
    SELECT number, tenant, vectorstore._random_id('emb_'), p_file, u.item - 1,
           CASE store.language WHEN 127 THEN vectorstore._detect_language(u.content, 0::smallint) ELSE store.language END, u.embedding,
           attributes, source.filename, u.content
    FROM unnest(p_chunks, p_embeddings) WITH ORDINALITY AS u(content, embedding, item);
    UPDATE vectorstore.stores s SET last_active_at = now() WHERE s.store_id = number;
    RETURN vectorstore._store_file_json(number, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_attach_file(bigint, text, bytea, text, jsonb, jsonb, text, text[], @extschema:vector@.vector[], jsonb) IS
    'POST /vector_stores/{id}/files: attaches a file with its text, chunks and their embeddings, or with the error that kept it from being read.';

-- An id in the file_ids of a new store that names no file is listed as failed.
CREATE FUNCTION vectorstore.api_attach_missing_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._key_tenant(p_key);
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
BEGIN
    INSERT INTO vectorstore.store_files (store_id, tenant_id, id, filename, status, last_error, chunking_strategy)
    VALUES (number, tenant, p_file, '', 'failed',
            jsonb_build_object('code', 'invalid_file', 'message', format('No such File object: %s', vectorstore._shown(p_file))), '{"type": "other"}')
    ON CONFLICT (store_id, id) DO NOTHING;
    RETURN vectorstore._store_file_json(number, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_attach_missing_file(bigint, text, bytea, text) IS 'Lists an id that names no file as a failed file of the store.';

CREATE FUNCTION vectorstore.api_list_store_files(
    p_store_id bigint, p_store text, p_key bytea, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._key_tenant(p_key));
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_at timestamptz := '-infinity';
    high_at timestamptz := 'infinity';
    low_id text := '';
    high_id text := '';
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF p_filter NOT IN ('in_progress', 'completed', 'failed', 'cancelled') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''in_progress'', ''completed'', ''failed'', and ''cancelled''.',
            vectorstore._shown(p_filter)), 'invalid_value', 'filter');
    END IF;
    IF low IS NOT NULL THEN
        SELECT f.created_at, f.id INTO low_at, low_id FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = low;
    END IF;
    IF high IS NOT NULL THEN
        SELECT f.created_at, f.id INTO high_at, high_id FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = high;
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._store_file_json(number, f.id) FROM vectorstore.store_files f
                      WHERE f.store_id = number AND (p_filter IS NULL OR f.status = p_filter)
                        AND (f.created_at, f.id) > (low_at, low_id) AND (f.created_at, f.id) < (high_at, high_id)
                      ORDER BY f.created_at DESC, f.id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._store_file_json(number, f.id) FROM vectorstore.store_files f
                      WHERE f.store_id = number AND (p_filter IS NULL OR f.status = p_filter)
                        AND (f.created_at, f.id) > (low_at, low_id) AND (f.created_at, f.id) < (high_at, high_id)
                      ORDER BY f.created_at, f.id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_store_files(bigint, text, bytea, integer, text, text, text, text) IS
    'GET /vector_stores/{id}/files: limit 1..100 (20), order, after, before, filter by status.';

CREATE FUNCTION vectorstore.api_get_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._store_file_json(vectorstore._api_store_file(p_store_id, p_store, p_key, p_file), p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_store_file(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/files/{file}.';

CREATE FUNCTION vectorstore.api_update_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text, p_attributes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, p_file);
    checked jsonb := vectorstore._check_attributes(p_attributes, 'attributes', true);
BEGIN
    UPDATE vectorstore.store_files f SET attributes = checked WHERE f.store_id = number AND f.id = p_file;
    -- Search filters on the chunks' own copy, so that a change takes effect at once.
    UPDATE vectorstore.embeddings e SET metadata = checked, updated_at = now() WHERE e.store_id = number AND e.file_id = p_file;
    UPDATE vectorstore.stores s SET last_active_at = now() WHERE s.store_id = number;
    RETURN vectorstore._store_file_json(number, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_store_file(bigint, text, bytea, text, jsonb) IS 'POST /vector_stores/{id}/files/{file}: replaces the attributes.';

CREATE FUNCTION vectorstore.api_delete_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, p_file);
BEGIN
    DELETE FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = p_file;
    UPDATE vectorstore.stores s SET last_active_at = now() WHERE s.store_id = number;
    RETURN jsonb_build_object('id', p_file, 'object', 'vector_store.file.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_store_file(bigint, text, bytea, text) IS 'DELETE /vector_stores/{id}/files/{file}: its chunks go, the file stays.';

CREATE FUNCTION vectorstore.api_store_file_content(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, p_file);
BEGIN
    -- The pages of a PDF and the slides of a presentation are set off by form feeds; in any other file they are text.
    RETURN (SELECT jsonb_build_object('object', 'vector_store.file_content.page',
                'data', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', 'text', 'text', p.page) ORDER BY p.number), '[]')
                         FROM string_to_table(f.content, CASE WHEN lower(f.filename) ~ '\.(pdf|pptx)$' THEN E'\n\f\n' ELSE '' END)
                              WITH ORDINALITY AS p(page, number)),
                'has_more', false, 'next_page', NULL)
            FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_store_file_content(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/files/{file}/content: the text as extracted, each page and slide apart.';
