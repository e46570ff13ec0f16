-- Files of a vector store over HTTP. What is in a file is found by a job (jobs.sql).

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
CREATE FUNCTION vectorstore._api_store_file(p_store_id bigint, p_store text, p_key bytea, p_access text, p_file text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, p_access));
BEGIN
    PERFORM FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = p_file
      AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id);
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'file_id',
            format('No file found with id ''%s'' in vector store ''%s''.', vectorstore._shown(p_file), p_store));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_store_file(bigint, text, bytea, text, text) IS 'Number of the store that this file is attached to; P0002 when it is not.';

CREATE FUNCTION vectorstore.api_attach_file(
    p_store_id bigint, p_store text, p_key bytea, p_file text, p_attributes jsonb, p_chunking jsonb, p_models text[],
    p_worker text, p_seconds integer
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
    job jsonb;
BEGIN
    IF NOT starts_with(p_file, 'file-') THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'file_id', '');
    END IF;
    PERFORM vectorstore._api_file(p_file, tenant);
    IF vectorstore._attach(number, tenant, NULL, jsonb_build_array(jsonb_build_object(
           'file_id', p_file, 'attributes', p_attributes, 'chunking_strategy', p_chunking)), p_models) THEN
        job := vectorstore._lease_job(number, p_file, p_worker, p_seconds);
    END IF;
    RETURN jsonb_build_object('file', vectorstore._store_file_json(number, p_file), 'job', job);
END
$$;
COMMENT ON FUNCTION vectorstore.api_attach_file(bigint, text, bytea, text, jsonb, jsonb, text[], text, integer) IS
    'POST /vector_stores/{id}/files: attaches a file. {"file", "job"}: the job is null when there is nothing to do, else as of api_claim_jobs, leased to this worker for so many seconds.';

-- A cursor may be any file of the store: one of a batch may have gone to a later batch since.
CREATE FUNCTION vectorstore._list_store_files(
    number bigint, p_batch bigint, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    -- Planned for the batch that is given, or for none.
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
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
        SELECT f.created_at, f.id INTO low_at, low_id FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = low AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id);
    END IF;
    IF high IS NOT NULL THEN
        SELECT f.created_at, f.id INTO high_at, high_id FROM vectorstore.store_files f WHERE f.store_id = number AND f.id = high AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._store_file_json(number, f.id) FROM vectorstore.store_files f
                      WHERE f.store_id = number AND (p_batch IS NULL OR f.batch_id = p_batch) AND (p_filter IS NULL OR f.status = p_filter)
                        AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id)
                        AND (f.created_at, f.id) > (low_at, low_id) AND (f.created_at, f.id) < (high_at, high_id)
                      ORDER BY f.created_at DESC, f.id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._store_file_json(number, f.id) FROM vectorstore.store_files f
                      WHERE f.store_id = number AND (p_batch IS NULL OR f.batch_id = p_batch) AND (p_filter IS NULL OR f.status = p_filter)
                        AND vectorstore._allowed(f.attributes, f.filename, f.id, f.id)
                        AND (f.created_at, f.id) > (low_at, low_id) AND (f.created_at, f.id) < (high_at, high_id)
                      ORDER BY f.created_at, f.id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore._list_store_files(bigint, bigint, integer, text, text, text, text) IS 'A page of the files of a store, or of one of its batches.';

CREATE FUNCTION vectorstore.api_list_store_files(
    p_store_id bigint, p_store text, p_key bytea, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._list_store_files(vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search')),
        NULL, p_limit, p_order, p_after, p_before, p_filter);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_store_files(bigint, text, bytea, integer, text, text, text, text) IS
    'GET /vector_stores/{id}/files: limit 1..100 (20), order, after, before, filter by status.';

CREATE FUNCTION vectorstore.api_get_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._store_file_json(vectorstore._api_store_file(p_store_id, p_store, p_key, 'search', p_file), p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_store_file(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/files/{file}.';

CREATE FUNCTION vectorstore.api_update_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text, p_attributes jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, 'write', p_file);
    checked jsonb := vectorstore._check_attributes(p_attributes, 'attributes', true);
BEGIN
    PERFORM vectorstore._require_active(number);
    UPDATE vectorstore.store_files f SET attributes = checked WHERE f.store_id = number AND f.id = p_file;
    -- Search filters on the chunks' own copy, so that a change takes effect at once.
    UPDATE vectorstore.embeddings e SET metadata = checked, updated_at = now() WHERE e.store_id = number AND e.file_id = p_file;
    PERFORM vectorstore._touch_active(number);
    RETURN vectorstore._store_file_json(number, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_store_file(bigint, text, bytea, text, jsonb) IS 'POST /vector_stores/{id}/files/{file}: replaces the attributes.';

CREATE FUNCTION vectorstore.api_delete_store_file(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, 'write', p_file);
BEGIN
    PERFORM vectorstore._detach(ARRAY[number], ARRAY[p_file]);
    PERFORM vectorstore._touch_active(number);
    RETURN jsonb_build_object('id', p_file, 'object', 'vector_store.file.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_store_file(bigint, text, bytea, text) IS 'DELETE /vector_stores/{id}/files/{file}: its chunks go, the file stays.';

CREATE FUNCTION vectorstore.api_store_file_content(p_store_id bigint, p_store text, p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store_file(p_store_id, p_store, p_key, 'search', p_file);
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
