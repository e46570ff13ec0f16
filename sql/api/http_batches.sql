-- Batches: files attached to a vector store by one request.

CREATE FUNCTION vectorstore._batch_json(p_store_id bigint, p_batch bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'id', b.id, 'object', 'vector_store.files_batch', 'created_at', vectorstore._epoch(b.created_at), 'vector_store_id', s.id,
            'status', CASE WHEN b.cancelled_at IS NOT NULL THEN 'cancelled' WHEN c.in_progress > 0 THEN 'in_progress' ELSE 'completed' END,
            'file_counts', jsonb_build_object('in_progress', c.in_progress, 'completed', c.completed, 'failed', c.failed,
                                              'cancelled', c.cancelled, 'total', c.total))
        FROM vectorstore.file_batches b JOIN vectorstore.stores s USING (store_id)
        CROSS JOIN (
            SELECT count(*) AS total, count(*) FILTER (WHERE f.status = 'in_progress') AS in_progress,
                   count(*) FILTER (WHERE f.status = 'completed') AS completed, count(*) FILTER (WHERE f.status = 'failed') AS failed,
                   count(*) FILTER (WHERE f.status = 'cancelled') AS cancelled
            FROM vectorstore.store_files f WHERE f.store_id = p_store_id AND f.batch_id = p_batch) c
        WHERE b.store_id = p_store_id AND b.batch_id = p_batch);
END
$$;
COMMENT ON FUNCTION vectorstore._batch_json(bigint, bigint) IS 'A batch as the HTTP API shows it. A file that a later request attached again is counted there.';

CREATE FUNCTION vectorstore._api_batch(p_store_id bigint, p_store text, p_key bytea, p_access text, p_batch text) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, p_access));
    batch bigint := vectorstore._id_number('vsfb_', p_batch);
BEGIN
    PERFORM FROM vectorstore.file_batches b WHERE b.store_id = number AND b.batch_id = batch AND b.id = p_batch;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_unknown('vsfb_', p_batch, 'batch_id',
            format('No file batch found with id ''%s'' in vector store ''%s''.', vectorstore._shown(p_batch), p_store));
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION vectorstore._api_batch(bigint, text, bytea, text, text) IS 'Number of the store''s batch with this id; P0002 when there is none, 22023 when the id is of another form.';

CREATE FUNCTION vectorstore.api_create_batch(p_store_id bigint, p_store text, p_key bytea, p_files jsonb, p_models text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_store(p_store_id, p_store, tenant);
    batch bigint := nextval('vectorstore.file_batches_batch_id_seq');
BEGIN
    INSERT INTO vectorstore.file_batches (store_id, batch_id, tenant_id, id) OVERRIDING SYSTEM VALUE
    VALUES (number, batch, tenant, vectorstore._new_id('vsfb_', batch));
    PERFORM vectorstore._attach(number, tenant, batch, p_files, p_models);
    RETURN vectorstore._batch_json(number, batch);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_batch(bigint, text, bytea, jsonb, text[]) IS
    'POST /vector_stores/{id}/file_batches: attaches files, an array of {"file_id", "attributes", "chunking_strategy"}. The models are those that the caller embeds with.';

CREATE FUNCTION vectorstore.api_get_batch(p_store_id bigint, p_store text, p_key bytea, p_batch text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._batch_json(p_store_id, vectorstore._api_batch(p_store_id, p_store, p_key, 'read', p_batch));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_batch(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/file_batches/{batch}.';

CREATE FUNCTION vectorstore.api_cancel_batch(p_store_id bigint, p_store text, p_key bytea, p_batch text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch bigint := vectorstore._api_batch(p_store_id, p_store, p_key, 'write', p_batch);
    files text[];
BEGIN
    files := ARRAY(SELECT f.id FROM vectorstore.store_files f
                   WHERE f.store_id = p_store_id AND f.batch_id = batch AND f.status = 'in_progress' ORDER BY f.id FOR UPDATE);
    IF files <> '{}' THEN
        DELETE FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = ANY (files);
        DELETE FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.file_id = ANY (files);
        UPDATE vectorstore.store_files f SET status = 'cancelled', usage_bytes = 0, content = NULL
        WHERE f.store_id = p_store_id AND f.id = ANY (files);
        UPDATE vectorstore.file_batches b SET cancelled_at = now() WHERE b.store_id = p_store_id AND b.batch_id = batch;
    END IF;
    RETURN vectorstore._batch_json(p_store_id, batch);
END
$$;
COMMENT ON FUNCTION vectorstore.api_cancel_batch(bigint, text, bytea, text) IS
    'POST /vector_stores/{id}/file_batches/{batch}/cancel: files in progress become cancelled. A batch without any stays as it is.';

CREATE FUNCTION vectorstore.api_list_batch_files(
    p_store_id bigint, p_store text, p_key bytea, p_batch text, p_limit integer, p_order text, p_after text, p_before text, p_filter text
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._list_store_files(p_store_id, vectorstore._api_batch(p_store_id, p_store, p_key, 'read', p_batch),
        p_limit, p_order, p_after, p_before, p_filter);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_batch_files(bigint, text, bytea, text, integer, text, text, text, text) IS
    'GET /vector_stores/{id}/file_batches/{batch}/files: limit 1..100 (20), order, after, before, filter by status.';
