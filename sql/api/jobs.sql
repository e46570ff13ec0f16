-- Jobs: reading the files of stores. A worker takes a job under a lease, which it renews while it works; whoever has
-- lost the lease, because it ended or the file was cancelled, attached anew or deleted, can change nothing any more.
-- A job is tried three times.

CREATE FUNCTION vectorstore._job_json(p_store_id bigint, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'store_id', j.store_id, 'file_id', j.id, 'lease', j.lease, 'attempt', j.attempts, 'filename', o.filename,
            'bytes', o.bytes, 'parts', o.parts, 'chunking_strategy', f.chunking_strategy,
            'embedding_model', s.embedding_model, 'dimensions', s.dimensions,
            'waited', extract(epoch FROM clock_timestamp() - j.created_at))
        FROM vectorstore.ingest_jobs j JOIN vectorstore.store_files f USING (store_id, id) JOIN vectorstore.stores s USING (store_id)
        JOIN vectorstore.files o ON o.tenant_id = j.tenant_id AND o.file_id = vectorstore._id_number('file-', j.id)
        WHERE j.store_id = p_store_id AND j.id = p_file);
END
$$;
COMMENT ON FUNCTION vectorstore._job_json(bigint, text) IS 'What a worker must know of a job; NULL when its store or file is gone.';

CREATE FUNCTION vectorstore._lease_job(p_store_id bigint, p_file text, p_worker text, p_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.ingest_jobs j SET
        attempts = j.attempts + 1, lease = vectorstore._random_id('lease_'), worker = p_worker,
        run_at = now() + make_interval(secs => p_seconds)
    WHERE j.store_id = p_store_id AND j.id = p_file;
    RETURN vectorstore._job_json(p_store_id, p_file);
END
$$;
COMMENT ON FUNCTION vectorstore._lease_job(bigint, text, text, integer) IS 'Gives a job to a worker for so many seconds.';

-- Ends a job without chunks. The caller holds the file of the store and the job.
CREATE FUNCTION vectorstore._end_job(p_store_id bigint, p_file text, p_status text, p_error jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = p_file;
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.file_id = p_file;
    UPDATE vectorstore.store_files f SET status = p_status, last_error = p_error, usage_bytes = 0, content = NULL
    WHERE f.store_id = p_store_id AND f.id = p_file;
END
$$;
COMMENT ON FUNCTION vectorstore._end_job(bigint, text, text, jsonb) IS 'Makes a file of a store failed or cancelled; what it had in the store goes.';

CREATE FUNCTION vectorstore.api_claim_jobs(p_worker text, p_max integer, p_seconds integer, p_models text[], p_store_id bigint DEFAULT NULL) RETURNS jsonb
    -- Planned for the store that is given, or for none.
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    job record;
    claimed jsonb := '[]';
BEGIN
    IF to_regclass('vectorstore.ingest_jobs') IS NULL THEN
        RETURN claimed;
    END IF;
    -- Its last worker died, or it was due for an hour and nobody had the model of its store. One of each a call: each
    -- waits for the counters of its store, and two in another order than somebody else's might wait for ever.
    FOR job IN
        (SELECT j.store_id, j.id, j.run_at, 'The file could not be processed in three attempts.' AS message
         FROM vectorstore.ingest_jobs j WHERE j.run_at <= now() AND j.attempts >= 3 LIMIT 1)
        UNION ALL
        (SELECT j.store_id, j.id, j.run_at, 'No server has had the embedding model of the vector store for an hour.'
         FROM vectorstore.ingest_jobs j
         WHERE j.run_at < now() - interval '1 hour' AND j.attempts < 3
           AND NOT EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = j.store_id AND s.embedding_model = ANY (p_models))
         ORDER BY j.run_at LIMIT 1)
    LOOP
        PERFORM FROM vectorstore.store_files f WHERE f.store_id = job.store_id AND f.id = job.id FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            -- Nobody has taken it since.
            PERFORM FROM vectorstore.ingest_jobs j
            WHERE j.store_id = job.store_id AND j.id = job.id AND j.run_at = job.run_at FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                PERFORM vectorstore._end_job(job.store_id, job.id, 'failed', jsonb_build_object('code', 'server_error', 'message', job.message));
            END IF;
        END IF;
    END LOOP;
    FOR job IN
        SELECT j.store_id, j.id FROM vectorstore.ingest_jobs j
        WHERE j.run_at <= now() AND j.attempts < 3 AND (p_store_id IS NULL OR j.store_id = p_store_id)
          AND EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = j.store_id AND s.embedding_model = ANY (p_models))
        ORDER BY j.run_at LIMIT p_max FOR UPDATE SKIP LOCKED
    LOOP
        claimed := claimed || coalesce(vectorstore._lease_job(job.store_id, job.id, p_worker, p_seconds), '[]');
    END LOOP;
    RETURN claimed;
END
$$;
COMMENT ON FUNCTION vectorstore.api_claim_jobs(text, integer, integer, text[], bigint) IS
    'Leases at most so many jobs for so many seconds, of stores with one of these embedding models, all of them or one. An array of {"store_id", "file_id", "lease", "attempt", "filename", "bytes", "parts", "chunking_strategy", "embedding_model", "dimensions"}. Also gives up a job whose third attempt has ended without a word, and one that nobody with its model took for an hour.';

CREATE FUNCTION vectorstore.api_heartbeat_job(p_store_id bigint, p_file text, p_lease text, p_seconds integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.ingest_jobs j SET run_at = now() + make_interval(secs => p_seconds)
    WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_heartbeat_job(bigint, text, text, integer) IS 'Renews a lease; false when it is lost.';

CREATE FUNCTION vectorstore.api_release_job(p_store_id bigint, p_file text, p_lease text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.ingest_jobs j SET run_at = now(), lease = NULL, worker = NULL, attempts = j.attempts - 1
    WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_release_job(bigint, text, text) IS 'Gives a job back unfinished, for anybody to take at once; the attempt does not count. False when the lease is lost.';

CREATE FUNCTION vectorstore.api_read_job_part(p_store_id bigint, p_file text, p_lease text, p_part integer) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT p.data FROM vectorstore.ingest_jobs j
        JOIN vectorstore.file_parts p ON p.tenant_id = j.tenant_id AND p.file_id = vectorstore._id_number('file-', j.id) AND p.part = p_part
        WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_job_part(bigint, text, text, integer) IS 'Bytes of one part of the file, 0 and up; NULL when the lease is lost.';

-- The file of the store first, as everybody does who changes both.
CREATE FUNCTION vectorstore._hold_job(p_store_id bigint, p_file text, p_lease text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM vectorstore.store_files f WHERE f.store_id = p_store_id AND f.id = p_file FOR UPDATE;
    PERFORM FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = p_file AND j.lease = p_lease FOR UPDATE;
    -- Of a dropped store there may be rows left.
    RETURN FOUND AND EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore._hold_job(bigint, text, text) IS 'Locks a job and the file of the store that it reads; false when the lease is lost.';

-- Status, counts, text and chunks change together: completed means searchable.
CREATE FUNCTION vectorstore.api_finish_job(
    p_store_id bigint, p_file text, p_lease text, p_text text, p_chunks text[], p_embeddings @extschema:vector@.vector[]
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    target record;
BEGIN
    IF NOT vectorstore._hold_job(p_store_id, p_file, p_lease) THEN
        RETURN false;
    END IF;
    PERFORM vectorstore._check_embeddings(p_store_id, p_chunks, NULL, p_embeddings, NULL);
    SELECT f.tenant_id, f.filename, f.attributes, s.language INTO target
    FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id) WHERE f.store_id = p_store_id AND f.id = p_file;
    -- Attached again with other settings: until now what was there before was found.
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.file_id = p_file;
    INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, file_id, chunk_index, language, embedding, metadata, filename, content)
    SELECT p_store_id, target.tenant_id, vectorstore._random_id('emb_'), p_file, u.item - 1,
           CASE target.language WHEN 127 THEN vectorstore._detect_language(u.content, 0::smallint) ELSE target.language END,
           u.embedding, target.attributes, target.filename, u.content
    FROM unnest(p_chunks, p_embeddings) WITH ORDINALITY AS u(content, embedding, item);
    DELETE FROM vectorstore.ingest_jobs j WHERE j.store_id = p_store_id AND j.id = p_file;
    UPDATE vectorstore.store_files f SET status = 'completed', last_error = NULL, content = p_text, usage_bytes = (
        SELECT sum(octet_length(u.content) + 4 * @extschema:vector@.vector_dims(u.embedding)) FROM unnest(p_chunks, p_embeddings) AS u(content, embedding))
    WHERE f.store_id = p_store_id AND f.id = p_file;
    RETURN true;
END
$$;
COMMENT ON FUNCTION vectorstore.api_finish_job(bigint, text, text, text, text[], @extschema:vector@.vector[]) IS
    'Ends a job with the text of the file, its chunks and their embeddings, which replace those of before. False, and nothing changes, when the lease is lost. 22023 for chunks that the store cannot take.';

CREATE FUNCTION vectorstore.api_fail_job(
    p_store_id bigint, p_file text, p_lease text, p_code text, p_message text, p_retry_seconds double precision DEFAULT NULL
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT vectorstore._hold_job(p_store_id, p_file, p_lease) THEN
        RETURN false;
    END IF;
    IF p_code NOT IN ('server_error', 'unsupported_file', 'invalid_file') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''server_error'', ''unsupported_file'', and ''invalid_file''.',
            vectorstore._shown(p_code)), 'invalid_value', 'code');
    END IF;
    UPDATE vectorstore.ingest_jobs j SET lease = NULL, worker = NULL, run_at = now() + make_interval(secs => p_retry_seconds)
    WHERE j.store_id = p_store_id AND j.id = p_file AND j.attempts < 3 AND p_retry_seconds IS NOT NULL;
    IF NOT FOUND THEN
        PERFORM vectorstore._end_job(p_store_id, p_file, 'failed', jsonb_build_object('code', p_code, 'message', p_message));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION vectorstore.api_fail_job(bigint, text, text, text, text, double precision) IS
    'Ends a job with an error, or has it tried again after so many seconds when that is not NULL and there were fewer than three attempts. False when the lease is lost.';
