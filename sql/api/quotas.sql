-- Quotas: how much a store and a tenant may hold. They are checked where rows are counted, so SQL cannot pass them
-- either; whoever meets one changes nothing at all. Deletes always pass.

CREATE FUNCTION vectorstore._enforce_quotas() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'enforce_quotas_wrapper';
COMMENT ON FUNCTION vectorstore._enforce_quotas() IS 'Setting vectorstore.enforce_quotas.';

-- A quota is crossed once from the time at which there was room to the next: that time names the event. It stands in
-- the row that is counted in, so whoever is refused reads it under the lock that keeps the counts exact.
CREATE FUNCTION vectorstore._fail_quota(p_tenant bigint, p_store_id bigint, p_resource text, p_limit bigint, p_room_at timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The transaction will leave no trace of it; shared memory does, where the time takes the place of the API key.
    PERFORM vectorstore._stat_note(p_tenant, p_store_id, (extract(epoch FROM p_room_at) * 1000000)::bigint, 'quota.' || p_resource, 1, 0, 0);
    PERFORM vectorstore._fail('53400', format('You exceeded your quota: the %s may hold at most %s %s.',
        CASE p_store_id WHEN 0 THEN 'tenant' ELSE 'vector store' END, p_limit,
        CASE p_resource WHEN 'stores' THEN 'vector stores' ELSE p_resource END), 'insufficient_quota', NULL,
        'Delete something, or have the quota raised: vs_set_quota, vs_set_tenant_quota.');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_quota(bigint, bigint, text, bigint, timestamptz) IS '53400: a quota is used up, in which there was room last at the time given.';

CREATE FUNCTION vectorstore._quota_lock(p_tenant bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT hashtextextended('vectorstore.quota', p_tenant) $$;
COMMENT ON FUNCTION vectorstore._quota_lock(bigint) IS 'Key of the advisory lock that writers share, and that whoever begins or ends to count a tenant holds alone.';

-- Writers of a tenant without limits only share a lock in memory. Nobody who began before the counting did is left
-- uncounted: who sets the first limit waits for them.
CREATE FUNCTION vectorstore._count_tenant(p_tenant bigint, p_stores bigint, p_chunks bigint, p_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    quota record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(vectorstore._quota_lock(p_tenant));
    UPDATE vectorstore.tenant_quotas q
    SET stores = q.stores + p_stores, chunks = q.chunks + p_chunks, usage_bytes = q.usage_bytes + p_bytes
    WHERE q.tenant_id = p_tenant RETURNING q.* INTO quota;
    IF NOT FOUND THEN
        -- An older snapshot may not see the row.
        IF current_setting('transaction_isolation') <> 'read committed' AND vectorstore._is_limited(p_tenant) THEN
            PERFORM vectorstore._fail('40001', 'The quotas of the tenant were changed by another transaction.', NULL, NULL, 'Try again.');
        END IF;
        RETURN;
    END IF;
    IF p_stores > 0 AND quota.stores > quota.max_stores AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_tenant, 0, 'stores', quota.max_stores, quota.stores_room_at);
    ELSIF p_chunks > 0 AND quota.chunks > quota.max_chunks AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_tenant, 0, 'chunks', quota.max_chunks, quota.chunks_room_at);
    ELSIF p_bytes > 0 AND quota.usage_bytes > quota.max_bytes AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_tenant, 0, 'bytes', quota.max_bytes, quota.bytes_room_at);
    END IF;
    IF p_stores < 0 OR p_chunks < 0 OR p_bytes < 0 THEN
        PERFORM vectorstore._make_room(p_tenant, 0);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._count_tenant(bigint, bigint, bigint, bigint) IS
    'Adds to the counts of a tenant that has quotas, and holds them until the transaction ends; 53400 when one is exceeded by what was added.';

CREATE FUNCTION vectorstore._hold_tenants(p_store_ids bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
BEGIN
    FOR tenant IN
        SELECT DISTINCT c.tenant_id FROM vectorstore.store_counters c WHERE c.store_id = ANY (p_store_ids) ORDER BY 1
    LOOP
        PERFORM vectorstore._count_tenant(tenant, 0, 0, 0);
    END LOOP;
END
$$;
COMMENT ON FUNCTION vectorstore._hold_tenants(bigint[]) IS 'Locks the counts of the tenants of these stores, as everybody does before the counters of a store.';

CREATE FUNCTION vectorstore._check_quota(p_counters record, p_chunks bigint, p_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_chunks > 0 AND p_counters.chunks > p_counters.max_chunks AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_counters.tenant_id, p_counters.store_id, 'chunks', p_counters.max_chunks, p_counters.chunks_room_at);
    ELSIF p_bytes > 0 AND p_counters.usage_bytes > p_counters.max_bytes AND vectorstore._enforce_quotas() THEN
        PERFORM vectorstore._fail_quota(p_counters.tenant_id, p_counters.store_id, 'bytes', p_counters.max_bytes, p_counters.bytes_room_at);
    ELSIF (p_chunks < 0 OR p_bytes < 0) AND (p_counters.max_chunks IS NOT NULL OR p_counters.max_bytes IS NOT NULL) THEN
        PERFORM vectorstore._make_room(p_counters.tenant_id, p_counters.store_id);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_quota(record, bigint, bigint) IS '53400 when a change exceeded a quota of its store.';

CREATE FUNCTION vectorstore._is_limited(p_tenant bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'is_limited_wrapper';
COMMENT ON FUNCTION vectorstore._is_limited(bigint) IS 'Whether the tenant has quotas by now, whatever the transaction sees.';

-- Whoever makes room holds the counts. The clock may be set back; times of room only grow.
CREATE FUNCTION vectorstore._room_at(p_used bigint, p_limit bigint, p_room_at timestamptz) RETURNS timestamptz
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p_used < p_limit OR p_limit IS NULL THEN greatest(clock_timestamp(), p_room_at + interval '1 microsecond')
                ELSE p_room_at END
$$;
COMMENT ON FUNCTION vectorstore._room_at(bigint, bigint, timestamptz) IS 'When there was room last in a quota: now, if there is any.';

CREATE FUNCTION vectorstore._make_room(p_tenant bigint, p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_store_id = 0 THEN
        UPDATE vectorstore.tenant_quotas q SET
            stores_room_at = vectorstore._room_at(q.stores, q.max_stores, q.stores_room_at),
            chunks_room_at = vectorstore._room_at(q.chunks, q.max_chunks, q.chunks_room_at),
            bytes_room_at = vectorstore._room_at(q.usage_bytes, q.max_bytes, q.bytes_room_at)
        WHERE q.tenant_id = p_tenant;
    ELSE
        UPDATE vectorstore.store_counters c SET
            chunks_room_at = vectorstore._room_at(c.chunks, c.max_chunks, c.chunks_room_at),
            bytes_room_at = vectorstore._room_at(c.usage_bytes, c.max_bytes, c.bytes_room_at)
        WHERE c.store_id = p_store_id;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._make_room(bigint, bigint) IS
    'To be called when less is held or more is allowed: from now on refusals are another event in each quota that has room. 0: the quotas of the tenant.';

-- Whoever makes room leaves the events alone, or flushes of statistics would wait for its transaction.
CREATE FUNCTION vectorstore._end_quota_events(p_moment timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.quota_events e SET resolved_at = p_moment
    WHERE e.resolved_at IS NULL
      AND NOT EXISTS (SELECT FROM vectorstore._room_times(e.tenant_id, e.store_id) r WHERE r.resource = e.resource AND r.room_at = e.room_at);
END
$$;
COMMENT ON FUNCTION vectorstore._end_quota_events(timestamptz) IS 'Ends the events since which there was room.';

CREATE FUNCTION vectorstore._room_times(p_tenant bigint, p_store_id bigint) RETURNS TABLE (resource text, room_at timestamptz)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.resource, r.room_at FROM vectorstore.tenant_quotas q
    CROSS JOIN LATERAL (VALUES ('stores', q.stores_room_at), ('chunks', q.chunks_room_at), ('bytes', q.bytes_room_at)) AS r(resource, room_at)
    WHERE p_store_id = 0 AND q.tenant_id = p_tenant
    UNION ALL
    SELECT r.resource, r.room_at FROM vectorstore.store_counters c
    CROSS JOIN LATERAL (VALUES ('chunks', c.chunks_room_at), ('bytes', c.bytes_room_at)) AS r(resource, room_at)
    WHERE c.store_id = p_store_id
$$;
COMMENT ON FUNCTION vectorstore._room_times(bigint, bigint) IS 'When there was room last in each quota of a store, or, 0, of the tenant.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_quota(store text, max_chunks bigint DEFAULT NULL, max_bytes bigint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._set_quota(vectorstore._store(store, 'admin'), max_chunks, max_bytes);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_quota(text, bigint, bigint) IS
    'Limits a store (id or name) to so many chunks and so many bytes, counted as usage_bytes is; NULL for no limit. What is there already stays; while it is more, nothing can be added. 53400 for whoever exceeds it, SQL and HTTP alike.';

CREATE FUNCTION vectorstore._set_quota(p_store_id bigint, p_max_chunks bigint, p_max_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
BEGIN
    PERFORM vectorstore._check_limits(jsonb_build_object('max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
    UPDATE vectorstore.store_counters c SET max_chunks = p_max_chunks, max_bytes = p_max_bytes
    WHERE c.store_id = p_store_id RETURNING c.tenant_id INTO tenant;
    PERFORM vectorstore._make_room(tenant, p_store_id);
    PERFORM vectorstore._audit(tenant, 'quota.set', (SELECT s.id FROM vectorstore.stores s WHERE s.store_id = p_store_id),
        jsonb_build_object('max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
END
$$;
COMMENT ON FUNCTION vectorstore._set_quota(bigint, bigint, bigint) IS 'Sets the quotas of a store.';

CREATE FUNCTION vectorstore._check_limits(p_limits jsonb) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bad text := (SELECT min(l.key) FROM jsonb_each_text(p_limits) AS l WHERE l.value::bigint < 0);
BEGIN
    IF bad IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': integer below minimum value. Expected a value >= 0.', bad), 'integer_below_min_value', bad);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_limits(jsonb) IS '22023 for a negative limit.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_tenant_quota(
    tenant text, max_stores bigint DEFAULT NULL, max_chunks bigint DEFAULT NULL, max_bytes bigint DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._require_operator();
    PERFORM vectorstore._set_tenant_quota(vectorstore._find_tenant(tenant), max_stores, max_chunks, max_bytes);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_tenant_quota(text, bigint, bigint, bigint) IS
    'Limits a tenant to so many stores, chunks and bytes over all its stores; NULL for no limit. While a tenant has quotas its writers wait for each other. Waits for those under way; 25001 in a transaction that is not READ COMMITTED. For members of vectorstore_admin.';

CREATE FUNCTION vectorstore._set_tenant_quota(p_tenant bigint, p_max_stores bigint, p_max_chunks bigint, p_max_bytes bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._check_limits(jsonb_build_object('max_stores', p_max_stores, 'max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
    -- The counts are read after everybody has gone who was not counted, and an older snapshot would not see them.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM vectorstore._fail('25001', 'Quotas of a tenant can be set only in a READ COMMITTED transaction.');
    END IF;
    PERFORM pg_advisory_xact_lock(vectorstore._quota_lock(p_tenant));
    IF num_nonnulls(p_max_stores, p_max_chunks, p_max_bytes) = 0 THEN
        DELETE FROM vectorstore.tenant_quotas q WHERE q.tenant_id = p_tenant;
    ELSE
        INSERT INTO vectorstore.tenant_quotas (tenant_id, max_stores, max_chunks, max_bytes, stores, chunks, usage_bytes, stores_room_at, chunks_room_at, bytes_room_at)
        SELECT p_tenant, p_max_stores, p_max_chunks, p_max_bytes, count(*), coalesce(sum(c.chunks), 0), coalesce(sum(c.usage_bytes), 0),
               clock_timestamp(), clock_timestamp(), clock_timestamp()
        FROM vectorstore.store_counters c WHERE c.tenant_id = p_tenant
        ON CONFLICT (tenant_id) DO UPDATE SET max_stores = excluded.max_stores, max_chunks = excluded.max_chunks, max_bytes = excluded.max_bytes;
    END IF;
    PERFORM vectorstore._make_room(p_tenant, 0);
    PERFORM vectorstore._audit(p_tenant, 'quota.set', (SELECT t.id FROM vectorstore.tenants t WHERE t.tenant_id = p_tenant),
        jsonb_build_object('max_stores', p_max_stores, 'max_chunks', p_max_chunks, 'max_bytes', p_max_bytes));
END
$$;
COMMENT ON FUNCTION vectorstore._set_tenant_quota(bigint, bigint, bigint, bigint) IS
    'Sets the quotas of a tenant, and counts it from now on when it has any. Waits for its writers. 25001 in a transaction that is not READ COMMITTED.';

-- A statement sees counts and rows of one moment: what it finds is drift, whatever others write meanwhile.
CREATE FUNCTION vectorstore._counts(p_store_ids bigint[])
RETURNS TABLE (store_id bigint, counter text, counted bigint, actual bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT c.store_id, n.counter, n.counted, n.actual
    FROM vectorstore.store_counters c
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks, coalesce(sum(vectorstore._tsv_length(e.tsv)), 0)::bigint AS tokens,
               coalesce(sum(octet_length(e.content) + 4 * @extschema:vector@.vector_dims(e.embedding)), 0)::bigint AS bytes
        FROM vectorstore.embeddings e WHERE e.store_id = c.store_id) e
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE f.status = 'in_progress') AS in_progress, count(*) FILTER (WHERE f.status = 'completed') AS completed,
               count(*) FILTER (WHERE f.status = 'failed') AS failed, count(*) FILTER (WHERE f.status = 'cancelled') AS cancelled
        FROM vectorstore.store_files f WHERE f.store_id = c.store_id) f
    CROSS JOIN LATERAL (VALUES
        ('chunks', c.chunks, e.chunks), ('tokens', c.tokens, e.tokens), ('usage_bytes', c.usage_bytes, e.bytes),
        ('files_in_progress', c.files_in_progress, f.in_progress), ('files_completed', c.files_completed, f.completed),
        ('files_failed', c.files_failed, f.failed), ('files_cancelled', c.files_cancelled, f.cancelled)) AS n(counter, counted, actual)
    WHERE c.store_id = ANY (p_store_ids);
END
$$;
COMMENT ON FUNCTION vectorstore._counts(bigint[]) IS 'The counters of stores, each beside what is there.';

CREATE FUNCTION vectorstore._tenant_counts(p_tenant bigint)
RETURNS TABLE (counter text, counted bigint, actual bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT n.counter, n.counted, n.actual
    FROM vectorstore.tenant_quotas q
    CROSS JOIN LATERAL (
        SELECT count(*) AS stores, coalesce(sum(c.chunks), 0)::bigint AS chunks, coalesce(sum(c.usage_bytes), 0)::bigint AS bytes
        FROM vectorstore.store_counters c WHERE c.tenant_id = q.tenant_id) c
    CROSS JOIN LATERAL (VALUES ('tenant_stores', q.stores, c.stores), ('tenant_chunks', q.chunks, c.chunks),
        ('tenant_usage_bytes', q.usage_bytes, c.bytes)) AS n(counter, counted, actual)
    WHERE q.tenant_id = p_tenant;
END
$$;
COMMENT ON FUNCTION vectorstore._tenant_counts(bigint) IS 'The counts of a tenant that has quotas, each beside the sum over its stores.';

-- API: public
CREATE FUNCTION @extschema@.vs_verify_stats(store text DEFAULT NULL, fix boolean DEFAULT false)
RETURNS TABLE (store_id text, counter text, counted bigint, actual bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant bigint := vectorstore._current_tenant();
    numbers bigint[];
BEGIN
    IF tenant IS NOT NULL THEN
        PERFORM vectorstore._require_access('admin');
    END IF;
    IF store IS NOT NULL THEN
        numbers := ARRAY[vectorstore._store(store, 'admin')];
    ELSIF tenant IS NOT NULL THEN
        numbers := ARRAY(SELECT s.store_id FROM vectorstore.stores s WHERE s.tenant_id = tenant ORDER BY s.store_id);
    END IF;
    IF fix AND numbers <> '{}' THEN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM vectorstore._fail('25001', 'Counters can be put right only in a READ COMMITTED transaction.');
        END IF;
        -- Writers wait here; the next statement sees what they have committed.
        PERFORM pg_advisory_xact_lock(vectorstore._quota_lock(tenant));
        PERFORM FROM vectorstore.store_counters c WHERE c.store_id = ANY (numbers) ORDER BY c.store_id FOR UPDATE;
    END IF;
    RETURN QUERY
    SELECT s.id, n.counter, n.counted, n.actual FROM vectorstore._counts(numbers) n JOIN vectorstore.stores s USING (store_id)
    WHERE n.counted <> n.actual ORDER BY s.store_id, n.counter;
    IF fix AND numbers <> '{}' THEN
        UPDATE vectorstore.store_counters c SET
            chunks = n.chunks, tokens = n.tokens, usage_bytes = n.usage_bytes, files_in_progress = n.files_in_progress,
            files_completed = n.files_completed, files_failed = n.files_failed, files_cancelled = n.files_cancelled
        FROM (
            SELECT n.store_id, max(n.actual) FILTER (WHERE n.counter = 'chunks') AS chunks, max(n.actual) FILTER (WHERE n.counter = 'tokens') AS tokens,
                   max(n.actual) FILTER (WHERE n.counter = 'usage_bytes') AS usage_bytes,
                   max(n.actual) FILTER (WHERE n.counter = 'files_in_progress') AS files_in_progress,
                   max(n.actual) FILTER (WHERE n.counter = 'files_completed') AS files_completed,
                   max(n.actual) FILTER (WHERE n.counter = 'files_failed') AS files_failed,
                   max(n.actual) FILTER (WHERE n.counter = 'files_cancelled') AS files_cancelled
            FROM vectorstore._counts(numbers) n GROUP BY n.store_id HAVING bool_or(n.counted <> n.actual)) n
        WHERE c.store_id = n.store_id;
    END IF;
    IF store IS NULL THEN
        RETURN QUERY SELECT NULL::text, n.counter, n.counted, n.actual FROM vectorstore._tenant_counts(tenant) n
        WHERE n.counted <> n.actual ORDER BY n.counter;
    END IF;
    IF fix THEN
        UPDATE vectorstore.tenant_quotas q SET stores = n.stores, chunks = n.chunks, usage_bytes = n.bytes
        FROM (SELECT max(n.actual) FILTER (WHERE n.counter = 'tenant_stores') AS stores, max(n.actual) FILTER (WHERE n.counter = 'tenant_chunks') AS chunks,
                     max(n.actual) FILTER (WHERE n.counter = 'tenant_usage_bytes') AS bytes
              FROM vectorstore._tenant_counts(tenant) n) n
        WHERE q.tenant_id = tenant;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_verify_stats(text, boolean) IS
    'Compares the counters of a store (id or name), or of all stores of the tenant and the tenant''s own, with what is stored; a row for each that differs, none when all are exact. store_id is NULL for the tenant. Exact under concurrent writes; reads every chunk. fix: puts them right, and keeps writers of the tenant waiting meanwhile.';

CREATE FUNCTION vectorstore._quotas_of(p_tenant bigint)
RETURNS TABLE (store_id text, name text, resource text, used bigint, quota bigint, exceeded_at timestamptz, refused bigint)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT l.id, l.name, l.resource, l.used, l.quota, e.created_at, e.refused
    FROM (
        SELECT 0::bigint AS store_id, NULL::text AS id, NULL::text AS name, n.resource, n.used, n.quota, n.room_at
        FROM vectorstore.tenant_quotas q
        CROSS JOIN LATERAL (VALUES ('stores', q.stores, q.max_stores, q.stores_room_at), ('chunks', q.chunks, q.max_chunks, q.chunks_room_at),
                                   ('bytes', q.usage_bytes, q.max_bytes, q.bytes_room_at)) AS n(resource, used, quota, room_at)
        WHERE q.tenant_id = p_tenant
        UNION ALL
        SELECT s.store_id, s.id, s.name, n.resource, n.used, n.quota, n.room_at
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        CROSS JOIN LATERAL (VALUES ('chunks', c.chunks, c.max_chunks, c.chunks_room_at),
                                   ('bytes', c.usage_bytes, c.max_bytes, c.bytes_room_at)) AS n(resource, used, quota, room_at)
        WHERE s.tenant_id = p_tenant) l
    LEFT JOIN vectorstore.quota_events e ON e.tenant_id = p_tenant AND e.store_id = l.store_id AND e.resource = l.resource AND e.room_at = l.room_at
    WHERE l.quota IS NOT NULL
    ORDER BY l.store_id, l.resource;
END
$$;
COMMENT ON FUNCTION vectorstore._quotas_of(bigint) IS 'The quotas of a tenant and of its stores, and how much of them is used.';

CREATE FUNCTION vectorstore._quotas()
RETURNS TABLE (store_id text, name text, resource text, used bigint, quota bigint, exceeded_at timestamptz, refused bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT * FROM vectorstore._quotas_of(vectorstore._current_tenant());
END
$$;
COMMENT ON FUNCTION vectorstore._quotas() IS 'Rows of vs_quotas.';

CREATE VIEW @extschema@.vs_quotas AS SELECT * FROM vectorstore._quotas();
COMMENT ON VIEW @extschema@.vs_quotas IS 'The quotas of the caller''s tenant and of its stores.';
COMMENT ON COLUMN @extschema@.vs_quotas.store_id IS 'Public id of the store; NULL for a quota of the whole tenant.';
COMMENT ON COLUMN @extschema@.vs_quotas.name IS 'Name of the store.';
COMMENT ON COLUMN @extschema@.vs_quotas.resource IS 'What is limited: stores, chunks or bytes.';
COMMENT ON COLUMN @extschema@.vs_quotas.used IS 'How much there is.';
COMMENT ON COLUMN @extschema@.vs_quotas.quota IS 'How much there may be.';
COMMENT ON COLUMN @extschema@.vs_quotas.exceeded_at IS 'Since when writes have been refused; NULL when none was since something was deleted, or the quota raised, that made room.';
COMMENT ON COLUMN @extschema@.vs_quotas.refused IS 'How many writes were refused since.';
