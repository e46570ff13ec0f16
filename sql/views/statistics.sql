-- Statistics since vs_stat_reset(). Views over functions, as vs_stores.

CREATE FUNCTION vectorstore._stat_requests()
RETURNS TABLE (
    operation text, calls bigint, errors bigint, rate_limited bigint, would_limit bigint, rows bigint, tokens bigint,
    embeddings_created bigint, embeddings_deleted bigint, bytes_change bigint, total_ms double precision, mean_ms double precision,
    p50_ms double precision, p95_ms double precision, p99_ms double precision, stats_since timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT t.operation, sum(t.calls)::bigint, sum(t.errors)::bigint, sum(t.limited)::bigint, sum(t.would_limit)::bigint, sum(t.rows)::bigint, sum(t.tokens)::bigint,
           sum(t.created)::bigint, sum(t.deleted)::bigint, sum(t.bytes)::bigint, (sum(t.microseconds) / 1000.0)::double precision,
           vectorstore._mean_milliseconds(sum(t.calls)::bigint, sum(t.microseconds)::bigint), vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.5),
           vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.95), vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.99), min(t.since)
    FROM vectorstore._stat_totals(vectorstore._current_tenant()) t GROUP BY t.operation;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_requests() IS 'Rows of vs_stat_requests.';

CREATE VIEW @extschema@.vs_stat_requests AS SELECT * FROM vectorstore._stat_requests();
COMMENT ON VIEW @extschema@.vs_stat_requests IS 'Calls of the caller''s tenant by operation, over HTTP and in SQL, since vs_stat_reset(). Empty when vectorstore was never preloaded.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.operation IS 'Name of the operation, as in the OpenAPI document; SQL functions without a route have their own name without vs_.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.calls IS 'Number of calls, whatever came of them.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.errors IS 'Calls that ended in an error; over HTTP, a status of 400 or more.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.rate_limited IS 'Errors that are refusals of a rate limit.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.would_limit IS 'Calls that a rate limit in dry run would have refused.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.rows IS 'Results of searches.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.tokens IS 'Tokens that the proxy embedded.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.embeddings_created IS 'Texts that came, committed.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.embeddings_deleted IS 'Texts that went, committed; those of a dropped store count when it is dropped.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.bytes_change IS 'By how much the bytes in use grew.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.total_ms IS 'Time in the database of all calls, in milliseconds.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.mean_ms IS 'Mean time of a call.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.p50_ms IS 'Time below which half of the calls took, from a histogram with two buckets to a doubling.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.p95_ms IS 'The same for 95 of 100 calls.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.p99_ms IS 'The same for 99 of 100 calls.';
COMMENT ON COLUMN @extschema@.vs_stat_requests.stats_since IS 'Flush since which calls of this operation are counted.';

CREATE FUNCTION vectorstore._stat_stores()
RETURNS TABLE (
    store_id text, name text, requests bigint, searches bigint, errors bigint, rate_limited bigint, embeddings_created bigint,
    embeddings_deleted bigint, bytes_change bigint, usage_bytes bigint, mean_ms double precision, p95_ms double precision, last_used_at timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT s.id, s.name, coalesce(sum(t.calls), 0)::bigint, coalesce(sum(t.calls) FILTER (WHERE t.operation = 'search_vector_store'), 0)::bigint,
               coalesce(sum(t.errors), 0)::bigint, coalesce(sum(t.limited), 0)::bigint, coalesce(sum(t.created), 0)::bigint, coalesce(sum(t.deleted), 0)::bigint,
               coalesce(sum(t.bytes), 0)::bigint, c.usage_bytes, vectorstore._mean_milliseconds(sum(t.calls)::bigint, sum(t.microseconds)::bigint),
               vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.95), max(t.used_at)
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) LEFT JOIN vectorstore._stat_totals(tenant) t USING (store_id)
        WHERE s.tenant_id = tenant GROUP BY s.store_id, s.id, s.name, c.usage_bytes;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_stores() IS 'Rows of vs_stat_stores.';

CREATE VIEW @extschema@.vs_stat_stores AS SELECT * FROM vectorstore._stat_stores();
COMMENT ON VIEW @extschema@.vs_stat_stores IS 'Calls about each store of the caller''s tenant since vs_stat_reset().';
COMMENT ON COLUMN @extschema@.vs_stat_stores.store_id IS 'Public id of the store, vs_...';
COMMENT ON COLUMN @extschema@.vs_stat_stores.name IS 'Name of the store.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.requests IS 'Number of calls about the store, whatever came of them.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.searches IS 'Those that are searches.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.errors IS 'Calls that ended in an error.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.rate_limited IS 'Errors that are refusals of a rate limit.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.embeddings_created IS 'Texts that came, committed.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.embeddings_deleted IS 'Texts that went, committed.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.bytes_change IS 'By how much the bytes in use grew.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.usage_bytes IS 'Bytes in use now: content plus 4 bytes for each vector component.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.mean_ms IS 'Mean time of a call in the database, in milliseconds.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.p95_ms IS 'Time below which 95 of 100 calls took.';
COMMENT ON COLUMN @extschema@.vs_stat_stores.last_used_at IS 'Flush with the last call; NULL for none.';

CREATE FUNCTION vectorstore._stat_keys()
RETURNS TABLE (
    key_id text, name text, requests bigint, searches bigint, errors bigint, rate_limited bigint, would_limit bigint, tokens bigint,
    mean_ms double precision, p95_ms double precision, last_used_at timestamptz
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL AND vectorstore._has_access('admin') THEN
        RETURN QUERY
        SELECT k.key_id, k.name, coalesce(sum(t.calls), 0)::bigint, coalesce(sum(t.calls) FILTER (WHERE t.operation = 'search_vector_store'), 0)::bigint,
               coalesce(sum(t.errors), 0)::bigint, coalesce(sum(t.limited), 0)::bigint, coalesce(sum(t.would_limit), 0)::bigint, coalesce(sum(t.tokens), 0)::bigint,
               vectorstore._mean_milliseconds(sum(t.calls)::bigint, sum(t.microseconds)::bigint), vectorstore._milliseconds(vectorstore._sum_buckets(t.buckets), 0.95),
               greatest(k.last_used_at, max(t.used_at) FILTER (WHERE t.calls > 0))
        FROM vectorstore.api_keys k LEFT JOIN vectorstore._stat_totals(tenant) t ON t.api_key = k.key
        WHERE k.tenant_id = tenant GROUP BY k.key, k.key_id, k.name, k.last_used_at;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_keys() IS 'Rows of vs_stat_keys.';

CREATE VIEW @extschema@.vs_stat_keys AS SELECT * FROM vectorstore._stat_keys();
COMMENT ON VIEW @extschema@.vs_stat_keys IS 'Requests of each API key of the caller''s tenant since vs_stat_reset(), for its administrators.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.key_id IS 'Id of the API key, key_...';
COMMENT ON COLUMN @extschema@.vs_stat_keys.name IS 'Name of the API key.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.requests IS 'Number of requests, whatever came of them.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.searches IS 'Those that are searches.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.errors IS 'Requests that ended in an error.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.rate_limited IS 'Errors that are refusals of a rate limit.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.would_limit IS 'Requests that a rate limit in dry run would have refused.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.tokens IS 'Tokens that the proxy embedded.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.mean_ms IS 'Mean time of a request in the database, in milliseconds.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.p95_ms IS 'Time below which 95 of 100 requests took.';
COMMENT ON COLUMN @extschema@.vs_stat_keys.last_used_at IS 'Flush with the last request; NULL for none.';
