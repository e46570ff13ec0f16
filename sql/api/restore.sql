-- Soft deletion: the store's own rows go, so that nothing leads to its data any more, as when it is dropped for good; but
-- they are kept aside, and the data are not swept before the window in which they can be restored has passed.

CREATE FUNCTION vectorstore._restore_window() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT interval '168 hours' $$;
COMMENT ON FUNCTION vectorstore._restore_window() IS 'How long a store that was deleted softly can be restored: 7 days.';

-- The column is named in JSON because it comes by a later step of migration than the table.
CREATE FUNCTION vectorstore._is_restorable(p_store_id bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM vectorstore.dropped_stores d WHERE d.store_id = p_store_id AND to_jsonb(d)->>'restorable_until' IS NOT NULL);
END
$$;
COMMENT ON FUNCTION vectorstore._is_restorable(bigint) IS 'Whether a store was deleted softly and is not swept yet.';

CREATE FUNCTION vectorstore._delete_store_softly(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept_counters jsonb;
    kept_store jsonb;
BEGIN
    -- Whoever reads a file of it loses the job, which waits for the store to come back.
    UPDATE vectorstore.ingest_jobs j SET attempts = 0, lease = NULL, worker = NULL, run_at = now() + vectorstore._restore_window()
    WHERE j.store_id = p_store_id;
    -- The counters first, as writers do: what they have counted by then is kept.
    DELETE FROM vectorstore.store_counters c WHERE c.store_id = p_store_id RETURNING to_jsonb(c) INTO kept_counters;
    DELETE FROM vectorstore.stores s WHERE s.store_id = p_store_id RETURNING to_jsonb(s) INTO kept_store;
    UPDATE vectorstore.dropped_stores d SET
        tenant_id = (kept_store->>'tenant_id')::bigint, id = kept_store->>'id', store = kept_store, counters = kept_counters,
        restorable_until = now() + vectorstore._restore_window()
    WHERE d.store_id = p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_store_softly(bigint) IS 'Deletes a store so that it can be restored.';

-- A row from its JSON. Columns that the JSON does not know keep their defaults.
CREATE FUNCTION vectorstore._insert_kept(p_table text, p_row jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns text := (
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = format('vectorstore.%I', p_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped AND p_row ? a.attname);
BEGIN
    EXECUTE format('INSERT INTO vectorstore.%1$I (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM jsonb_populate_record(NULL::vectorstore.%1$I, $1)',
        p_table, columns) USING p_row;
END
$$;
COMMENT ON FUNCTION vectorstore._insert_kept(text, jsonb) IS 'Inserts a row that was kept as JSON.';

CREATE FUNCTION vectorstore._restore_store(p_tenant bigint, p_store text, p_claim_name boolean) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
    kept record;
    was_expired boolean;
BEGIN
    IF vectorstore._schema_version() < 10 THEN
        RETURN NULL;
    END IF;
    SELECT d.store_id INTO number FROM vectorstore.dropped_stores d WHERE d.tenant_id = p_tenant AND d.id = p_store;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Somebody may be sweeping it, or restoring it just now: that is seen by the statement behind the lock.
    PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(number));
    SELECT d.store, d.counters, d.dropped_at INTO kept FROM vectorstore.dropped_stores d
    WHERE d.store_id = number AND d.restorable_until > clock_timestamp();
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    was_expired := kept.store->>'expired_at' IS NOT NULL OR coalesce(
        vectorstore._expires_at((kept.store->>'last_active_at')::timestamptz, (kept.store->>'expires_after_days')::integer) <= kept.dropped_at, false);
    IF p_claim_name AND kept.store->>'name' <> '' THEN
        PERFORM vectorstore._claim_name(p_tenant, kept.store->>'name');
    END IF;
    DELETE FROM vectorstore.dropped_stores d WHERE d.store_id = number;
    -- Its days begin anew, unless they had passed before.
    PERFORM vectorstore._insert_kept('stores', kept.store
        || CASE WHEN was_expired THEN '{}' ELSE jsonb_build_object('last_active_at', now()) END);
    PERFORM vectorstore._insert_kept('store_counters', kept.counters);
    PERFORM vectorstore._recount_restored(number);
    UPDATE vectorstore.ingest_jobs j SET run_at = now() WHERE j.store_id = number;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._restore_store(bigint, text, boolean) IS
    'Brings a store back that was deleted softly; returns its number, NULL when there is none to restore. 23505 when its name is taken and must not be.';

-- Files that were deleted or that expired meanwhile have left the store, too, without anybody counting.
CREATE FUNCTION vectorstore._recount_restored(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present record;
    index_kind text;
    consumed bigint;
BEGIN
    UPDATE vectorstore.store_counters c SET
        files_in_progress = f.in_progress, files_completed = f.completed, files_failed = f.failed, files_cancelled = f.cancelled
    FROM (SELECT count(*) FILTER (WHERE o.status = 'in_progress') AS in_progress, count(*) FILTER (WHERE o.status = 'completed') AS completed,
                 count(*) FILTER (WHERE o.status = 'failed') AS failed, count(*) FILTER (WHERE o.status = 'cancelled') AS cancelled
          FROM vectorstore.store_files o WHERE o.store_id = p_store_id) f
    WHERE c.store_id = p_store_id;
    SELECT count(*) AS chunks INTO present FROM vectorstore.embeddings e WHERE e.store_id = p_store_id;
    -- Nothing can come to a store that is deleted: as many as before are the same.
    IF present.chunks = (SELECT c.chunks FROM vectorstore.store_counters c WHERE c.store_id = p_store_id) THEN
        RETURN;
    END IF;
    SELECT coalesce(sum(vectorstore._tsv_length(e.tsv)), 0) AS tokens,
           coalesce(sum(octet_length(e.content) + 4 * @extschema:vector@.vector_dims(e.embedding)), 0)::bigint AS bytes,
           coalesce(array_agg(e.chunk_id ORDER BY e.chunk_id), '{}') AS ids
    INTO present FROM vectorstore.embeddings e WHERE e.store_id = p_store_id;
    -- What is there is the tail, until a merge packs it anew.
    DELETE FROM vectorstore.changes c WHERE c.store_id = p_store_id;
    DELETE FROM vectorstore.segment_pages p WHERE p.store_id = p_store_id;
    DELETE FROM vectorstore.segments s WHERE s.store_id = p_store_id;
    IF cardinality(present.ids) > 0 THEN
        INSERT INTO vectorstore.changes (store_id, added) VALUES (p_store_id, present.ids);
    END IF;
    SELECT i.packed, i.kind INTO consumed, index_kind FROM vectorstore.search_indexes i WHERE i.store_id = p_store_id;
    -- They were counted as they had been.
    PERFORM vectorstore._count_tenant(c.tenant_id, 0, cardinality(present.ids) - c.chunks, present.bytes - c.usage_bytes)
    FROM vectorstore.store_counters c WHERE c.store_id = p_store_id;
    UPDATE vectorstore.store_counters c SET
        chunks = cardinality(present.ids), tokens = present.tokens, usage_bytes = present.bytes,
        added = coalesce(consumed, 0) + cardinality(present.ids)
    WHERE c.store_id = p_store_id;
    IF index_kind = 'hnsw' THEN
        PERFORM vectorstore._set_index(p_store_id, 'segments');
        PERFORM vectorstore._set_index(p_store_id, 'hnsw');
    END IF;
    IF cardinality(present.ids) > vectorstore._tail_limit() THEN
        PERFORM vectorstore._consider_merge(p_store_id, cardinality(present.ids));
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._recount_restored(bigint) IS 'Makes counters and search of a restored store agree with the rows that are left. The caller holds its merge lock.';

-- API: public
CREATE FUNCTION @extschema@.vs_restore_store(store text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    PERFORM vectorstore._require_access('write');
    IF vectorstore._restore_store(tenant, store, true) IS NULL THEN
        PERFORM vectorstore._fail('P0002', format('No deleted vector store ''%s'' can be restored.', vectorstore._shown(coalesce(store, 'null'))), NULL, 'store');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_restore_store(text) IS
    'Brings a store back, by its id, that was deleted in the mode soft less than 7 days ago, with everything in it. Uploaded files that were deleted meanwhile stay away. P0002 when there is none, 23505 when another store has its name by now.';

CREATE FUNCTION vectorstore.api_restore_vector_store(p_store_id bigint, p_store text, p_key bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._restore_store(tenant, p_store, false);
BEGIN
    IF number IS NULL OR NOT vectorstore._enter_store(number) THEN
        -- A store that is there needs no restoring, so that the request can be repeated; one outside of the key's scope
        -- is not there.
        number := vectorstore._api_store(p_store_id, p_store, tenant);
    END IF;
    -- A statement of its own, which sees the rows.
    RETURN vectorstore._store_json(number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_restore_vector_store(bigint, text, bytea) IS 'POST /vector_stores/{id}/restore.';
