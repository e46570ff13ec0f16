-- Files come to a store and leave it: the file of the store and the job that reads it are made in one transaction.
--
-- Who locks what, in this order: files, store_files (by store and id), ingest_jobs, embeddings, tenant_quotas (by
-- tenant), store_counters (by store), stores. Who takes a lock out of order does not wait for it. So no two of them wait for each other.

CREATE FUNCTION vectorstore._count_files(p_store_id bigint, p_gone text[], p_come text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.store_counters s SET
        files_in_progress = s.files_in_progress + cardinality(array_positions(p_come, 'in_progress')) - cardinality(array_positions(p_gone, 'in_progress')),
        files_completed = s.files_completed + cardinality(array_positions(p_come, 'completed')) - cardinality(array_positions(p_gone, 'completed')),
        files_failed = s.files_failed + cardinality(array_positions(p_come, 'failed')) - cardinality(array_positions(p_gone, 'failed')),
        files_cancelled = s.files_cancelled + cardinality(array_positions(p_come, 'cancelled')) - cardinality(array_positions(p_gone, 'cancelled'))
    WHERE s.store_id = p_store_id;
    IF NOT FOUND AND p_gone = '{}' THEN
        PERFORM vectorstore._fail_dropped();
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._count_files(bigint, text[], text[]) IS
    'Takes files out of the counts of a store and adds others, by their statuses; P0002 when files come to a store that is gone.';

-- The same file with the same settings stays as it is, and only joins the batch. Other settings, or a file that is not
-- searchable, make a job; until that has ended, the chunks of before stay.
CREATE FUNCTION vectorstore._attach(p_store_id bigint, p_tenant bigint, p_batch bigint, p_files jsonb, p_models text[]) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    model text := (SELECT s.embedding_model FROM vectorstore.stores s WHERE s.store_id = p_store_id);
    jobs bigint;
BEGIN
    PERFORM vectorstore._require_active(p_store_id);
    IF model <> ALL (p_models) THEN
        PERFORM vectorstore._fail('22023', format('Files cannot be attached to a vector store with the embedding model ''%s''.', model),
            'invalid_value', 'vector_store_id');
    END IF;
    -- Who deletes one of the files meanwhile either waits, and then takes it from this store too, or is waited for.
    PERFORM FROM vectorstore.files f
    WHERE f.tenant_id = p_tenant AND f.file_id = ANY (ARRAY(SELECT vectorstore._id_number('file-', w.file->>'file_id') FROM jsonb_array_elements(p_files) AS w(file)))
    ORDER BY f.file_id FOR KEY SHARE;
    WITH wanted AS (
        -- The first of an id counts.
        SELECT DISTINCT ON (w.file->>'file_id') w.file->>'file_id' AS id, w.file->'chunking_strategy' AS chunking,
               vectorstore._check_attributes(w.file->'attributes', 'attributes', true) AS attributes
        FROM jsonb_array_elements(p_files) WITH ORDINALITY AS w(file, item)
        ORDER BY w.file->>'file_id', w.item
    ), written AS (
        INSERT INTO vectorstore.store_files AS f
            (store_id, tenant_id, id, filename, status, last_error, attributes, chunking_strategy, batch_id)
        SELECT p_store_id, p_tenant, w.id, coalesce(o.filename, ''), CASE WHEN o.id IS NULL THEN 'failed' ELSE 'in_progress' END,
               CASE WHEN o.id IS NULL THEN
                   jsonb_build_object('code', 'invalid_file', 'message', format('No such File object: %s', vectorstore._shown(w.id))) END,
               w.attributes, CASE WHEN o.id IS NULL THEN '{"type": "other"}' ELSE w.chunking END, p_batch
        FROM wanted w LEFT JOIN vectorstore.files o
             ON o.tenant_id = p_tenant AND o.file_id = vectorstore._id_number('file-', w.id) AND o.id = w.id
                AND vectorstore._file_in_scope(p_tenant, o.id, o.created_by)
        ORDER BY w.id COLLATE "C"
        ON CONFLICT (store_id, id) DO UPDATE SET
            status = excluded.status, last_error = excluded.last_error, attributes = excluded.attributes,
            chunking_strategy = excluded.chunking_strategy, batch_id = excluded.batch_id
        WHERE f.status NOT IN ('in_progress', 'completed') OR f.attributes <> excluded.attributes
           OR f.chunking_strategy <> excluded.chunking_strategy
        RETURNING f.id, f.status
    )
    INSERT INTO vectorstore.ingest_jobs (store_id, tenant_id, id)
    SELECT p_store_id, p_tenant, w.id FROM written w WHERE w.status = 'in_progress' ORDER BY w.id COLLATE "C"
    -- Whoever works on it with the old settings loses it.
    ON CONFLICT (store_id, id) DO UPDATE SET attempts = 0, run_at = now(), lease = NULL, worker = NULL;
    GET DIAGNOSTICS jobs = ROW_COUNT;
    IF p_batch IS NOT NULL THEN
        UPDATE vectorstore.store_files f SET batch_id = p_batch
        WHERE f.store_id = p_store_id AND f.batch_id IS DISTINCT FROM p_batch
          AND f.id = ANY (ARRAY(SELECT w.file->>'file_id' FROM jsonb_array_elements(p_files) AS w(file)));
    END IF;
    IF NOT vectorstore._touch_active(p_store_id) THEN
        PERFORM vectorstore._require_active(p_store_id);
    END IF;
    RETURN jobs > 0;
END
$$;
COMMENT ON FUNCTION vectorstore._attach(bigint, bigint, bigint, jsonb, text[]) IS
    'Attaches files, an array of {"file_id", "attributes", "chunking_strategy"}; ids that name no file are listed as failed. Whether there are jobs to do. 22023 for a store that has expired or whose model is none of those given.';

-- The one way by which files leave stores.
CREATE FUNCTION vectorstore._detach(p_store_ids bigint[], p_files text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.store_files f JOIN unnest(p_store_ids, p_files) AS u(store_id, id) ON f.store_id = u.store_id AND f.id = u.id
    ORDER BY f.store_id, f.id FOR UPDATE OF f;
    DELETE FROM vectorstore.ingest_jobs j USING unnest(p_store_ids, p_files) AS u(store_id, id)
    WHERE j.store_id = u.store_id AND j.id = u.id;
    IF EXISTS (SELECT FROM unnest(p_store_ids) AS u(store_id) WHERE u.store_id <> p_store_ids[1]) THEN
        -- Chunks go file by file, and their stores would be locked in the order of the files.
        PERFORM vectorstore._hold_tenants(p_store_ids);
        PERFORM FROM vectorstore.store_counters c WHERE c.store_id = ANY (p_store_ids) ORDER BY c.store_id FOR NO KEY UPDATE;
    END IF;
    DELETE FROM vectorstore.store_files f USING unnest(p_store_ids, p_files) AS u(store_id, id)
    WHERE f.store_id = u.store_id AND f.id = u.id;
END
$$;
COMMENT ON FUNCTION vectorstore._detach(bigint[], text[]) IS 'Takes files out of stores, with their chunks and jobs. Stores and files go together by place.';

CREATE FUNCTION vectorstore._delete_files(p_tenants bigint[], p_numbers bigint[], p_files text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attached record;
BEGIN
    PERFORM FROM vectorstore.files f JOIN unnest(p_tenants, p_numbers) AS u(tenant_id, file_id) ON f.tenant_id = u.tenant_id AND f.file_id = u.file_id
    ORDER BY f.tenant_id, f.file_id FOR UPDATE OF f;
    -- Who restores a store that has one of them either waits, and then counts what is left, or is waited for.
    PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(k.store_id))
    FROM (SELECT DISTINCT f.store_id FROM vectorstore.store_files f JOIN unnest(p_tenants, p_files) AS u(tenant_id, id) ON f.tenant_id = u.tenant_id AND f.id = u.id
          WHERE vectorstore._is_restorable(f.store_id) ORDER BY f.store_id) k;
    -- Those of dropped stores are left to the sweep, unless they can be restored.
    SELECT array_agg(f.store_id) AS stores, array_agg(f.id) AS files INTO attached
    FROM vectorstore.store_files f JOIN unnest(p_tenants, p_files) AS u(tenant_id, id) ON f.tenant_id = u.tenant_id AND f.id = u.id
    WHERE EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = f.store_id) OR vectorstore._is_restorable(f.store_id);
    IF attached.stores IS NOT NULL THEN
        PERFORM vectorstore._detach(attached.stores, attached.files);
    END IF;
    DELETE FROM vectorstore.files f USING unnest(p_tenants, p_numbers) AS u(tenant_id, file_id)
    WHERE f.tenant_id = u.tenant_id AND f.file_id = u.file_id;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_files(bigint[], bigint[], text[]) IS 'Deletes files, by tenant, number and id, and their chunks from every store.';
