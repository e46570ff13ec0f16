-- What a monitor reads. Numbers of the whole database: no tenant, no store and no key is named.

-- Read every few seconds, and so never whole: of a big table some blocks, always the same ones, stand for the rest.
CREATE FUNCTION vectorstore._cache_size() RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sampled constant integer := 256;
    blocks bigint := pg_relation_size('vectorstore.embedding_cache') / current_setting('block_size')::bigint;
    share double precision := least(1, sampled::double precision / greatest(blocks, 1));
BEGIN
    RETURN (SELECT jsonb_build_object('rows', round(count(*) / share), 'bytes', round(coalesce(sum(4 * c.dimensions + 300), 0) / share))
            FROM vectorstore.embedding_cache c TABLESAMPLE SYSTEM (100 * share) REPEATABLE (0));
END
$$;
COMMENT ON FUNCTION vectorstore._cache_size() IS 'Rows and bytes of the embedding cache: exact up to 2 MB, and beyond that an estimate from a sample of 2 MB.';

CREATE FUNCTION vectorstore.api_metrics() RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
            'preloaded', vectorstore._stat_preloaded(),
            'operations', coalesce(jsonb_agg(jsonb_build_object(
                'operation', e.operation, 'calls', e.calls, 'errors', e.errors, 'seconds', e.microseconds / 1000000.0, 'rows', e.rows,
                'created', e.created, 'deleted', e.deleted, 'tokens', e.tokens,
                -- Every second bound: those that double.
                'buckets', ARRAY(SELECT ARRAY[vectorstore._bucket_bound(b), (SELECT coalesce(sum(c), 0) FROM unnest(e.buckets[1:b]) c)]
                                 FROM generate_series(1, 39, 2) b)) ORDER BY e.operation)
                FILTER (WHERE e.calls > 0 AND e.operation NOT LIKE '%.%'), '[]'),
            -- What is counted under names of no function.
            'quota_refused', jsonb_build_object(
                'stores', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'quota.stores'), 0),
                'chunks', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'quota.chunks'), 0),
                'bytes', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'quota.bytes'), 0)),
            'rate_limited', jsonb_build_object(
                'requests', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'limit.requests'), 0),
                'tokens', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'limit.tokens'), 0),
                'dry_run', coalesce(sum(e.would_limit), 0)),
            'embedding_cache', jsonb_build_object('hits', coalesce(sum(e.calls) FILTER (WHERE e.operation = 'cache.hits'), 0)))
    INTO body FROM vectorstore._stat_ever() e;
    body := body || jsonb_build_object('stats', (
        SELECT jsonb_build_object('entries', m.entries, 'capacity', m.capacity, 'overflow', m.overflow, 'flush_age_seconds', round(m.flush_age::numeric, 3),
                                  'buckets', m.buckets)
        FROM vectorstore._stat_memory() m));
    IF vectorstore._schema_version() < 8 THEN
        RETURN body;
    END IF;
    RETURN body || (
        SELECT jsonb_build_object('stores', count(*), 'chunks', coalesce(sum(c.chunks), 0), 'bytes', coalesce(sum(c.usage_bytes), 0))
        FROM vectorstore.store_counters c
    ) || jsonb_build_object(
        'jobs', (SELECT jsonb_build_object('waiting', count(*) FILTER (WHERE j.lease IS NULL), 'running', count(*) FILTER (WHERE j.lease IS NOT NULL))
                 FROM vectorstore.ingest_jobs j),
        'embedding_cache', body->'embedding_cache' || vectorstore._cache_size());
END
$$;
COMMENT ON FUNCTION vectorstore.api_metrics() IS
    'GET /metrics: counters and histograms since the server started (buckets: upper bound in seconds, and calls up to it), and the state of jobs, the embedding cache and the stores. Needs no key.';

-- Requests that the proxy answered without a function that counts: refused before they came to the database, given
-- again from an earlier answer, or embedded outside. So the counts here equal those of a client. Of a key that is not
-- known nothing is known; the store counts when it is the tenant's.
CREATE FUNCTION vectorstore.api_note_requests(
    p_keys bytea[], p_stores text[], p_operations text[], p_calls bigint[], p_errors bigint[], p_microseconds bigint[]
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted bigint := 0;
    request record;
BEGIN
    IF vectorstore._schema_version() < 8 THEN
        RETURN 0;
    END IF;
    FOR request IN
        SELECT coalesce(k.tenant_id, 0) AS tenant, coalesce(s.store_id, 0) AS store,
               coalesce(k.key, 0) AS key, n.operation, n.calls, n.errors, n.microseconds
        FROM unnest(p_keys, p_stores, p_operations, p_calls, p_errors, p_microseconds) n(key, store, operation, calls, errors, microseconds)
        LEFT JOIN vectorstore.api_keys k ON k.key_hash = substr(n.key, 1, 32)
            AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
        LEFT JOIN vectorstore.stores s ON s.store_id = vectorstore._id_number('vs_', n.store) AND s.id = n.store AND s.tenant_id = k.tenant_id
    LOOP
        PERFORM vectorstore._stat_note(request.tenant, request.store, request.key, request.operation, request.calls, request.errors, request.microseconds);
        noted := noted + request.calls;
    END LOOP;
    RETURN noted;
END
$$;
COMMENT ON FUNCTION vectorstore.api_note_requests(bytea[], text[], text[], bigint[], bigint[], bigint[]) IS
    'Counts requests that no other function counts, by key (SHA-256), store (public id) and operation. Returns how many.';
