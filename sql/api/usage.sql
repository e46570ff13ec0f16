-- Usage over time, from the rollups and from what waits to be flushed.

-- A window ends now, in the middle of its last bucket; all buckets are of UTC.
CREATE FUNCTION vectorstore._usage_window(
    p_range text, p_bucket text, OUT bucket text, OUT step text, OUT began_at timestamptz, OUT ends_at timestamptz
)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    allowed text[] := CASE p_range WHEN 'daily' THEN ARRAY['hour', 'minute'] WHEN 'weekly' THEN ARRAY['day', 'hour']
                                   WHEN 'monthly' THEN ARRAY['day', 'hour'] WHEN 'all' THEN ARRAY['month', 'day'] END;
    span interval := CASE p_range WHEN 'daily' THEN interval '1 day' WHEN 'weekly' THEN interval '7 days' WHEN 'monthly' THEN interval '30 days' END;
BEGIN
    IF allowed IS NULL THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for ''range''. Supported values are: ''daily'', ''weekly'', ''monthly'' and ''all''.', 'invalid_value', 'range');
    END IF;
    bucket := coalesce(p_bucket, allowed[1]);
    IF bucket <> ALL (allowed) THEN
        PERFORM vectorstore._fail('22023', format('Invalid value for ''bucket''. With the range ''%s'', supported values are: ''%s'' and ''%s''.',
            p_range, allowed[1], allowed[2]), 'invalid_value', 'bucket');
    END IF;
    step := CASE bucket WHEN 'month' THEN 'day' ELSE bucket END;
    ends_at := clock_timestamp();
    began_at := coalesce(date_trunc(bucket, ends_at - span + ('1 ' || bucket)::interval), '-infinity');
END
$$;
COMMENT ON FUNCTION vectorstore._usage_window(text, text) IS 'When a range begins and ends, and the rollup that its buckets are made of; 22023 for an unknown range or bucket.';

CREATE TYPE vectorstore.usage_bucket AS (
    began_at timestamptz, operation text, calls bigint, errors bigint, limited bigint, rows bigint, tokens bigint,
    microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
);
COMMENT ON TYPE vectorstore.usage_bucket IS 'What the calls of an operation added up to in a part of a range.';

-- The lock is that of _stat_totals.
CREATE FUNCTION vectorstore._usage(p_tenant bigint, p_store_id bigint, p_bucket text, p_step text, p_from timestamptz) RETURNS SETOF vectorstore.usage_bucket
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    row vectorstore.usage_bucket;
BEGIN
    IF p_tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_lock_shared(vectorstore._stat_lock());
    BEGIN
        FOR row IN
            SELECT date_trunc(p_bucket, u.began_at), u.operation, sum(u.calls), sum(u.errors), sum(u.limited), sum(u.rows), sum(u.tokens),
                   sum(u.microseconds), sum(u.created), sum(u.deleted), sum(u.bytes), vectorstore._sum_buckets(u.buckets)
            FROM (SELECT r.began_at, r.operation, r.calls, r.errors, r.limited, r.rows, r.tokens, r.microseconds, r.created, r.deleted, r.bytes, r.buckets
                  FROM vectorstore.usage_rollups r
                  WHERE r.tenant_id = p_tenant AND r.step = p_step AND r.began_at >= p_from AND (p_store_id IS NULL OR r.store_id = p_store_id)
                  UNION ALL
                  SELECT clock_timestamp(), p.operation, p.calls, p.errors, p.limited, p.rows, p.tokens, p.microseconds, p.created, p.deleted, p.bytes, p.buckets
                  FROM vectorstore._stat_pending() p WHERE p.tenant_id = p_tenant AND p.operation NOT LIKE 'quota.%' AND (p_store_id IS NULL OR p.store_id = p_store_id)) u
            GROUP BY 1, 2
        LOOP
            RETURN NEXT row;
        END LOOP;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM pg_advisory_unlock_shared(vectorstore._stat_lock());
        RAISE;
    END;
    PERFORM pg_advisory_unlock_shared(vectorstore._stat_lock());
END
$$;
COMMENT ON FUNCTION vectorstore._usage(bigint, bigint, text, text, timestamptz) IS 'What a tenant''s calls, or those about one of its stores, added up to, by bucket and operation.';

-- Every time on the way to a client is in milliseconds.
CREATE FUNCTION vectorstore._milliseconds(buckets bigint[], share double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT round((1000 * vectorstore._bucket_quantile(buckets, share))::numeric, 3)::double precision $$;
COMMENT ON FUNCTION vectorstore._milliseconds(bigint[], double precision) IS 'Milliseconds below which this share of the calls took; NULL without calls.';

CREATE FUNCTION vectorstore._mean_milliseconds(calls bigint, microseconds bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT round(microseconds / 1000.0 / nullif(calls, 0), 3)::double precision $$;
COMMENT ON FUNCTION vectorstore._mean_milliseconds(bigint, bigint) IS 'Mean time of a call in milliseconds; NULL without calls.';

CREATE FUNCTION vectorstore._usage_json(
    calls numeric, searches numeric, errors numeric, limited numeric, tokens numeric, created numeric, deleted numeric, bytes numeric,
    microseconds numeric, buckets bigint[]
) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'requests', coalesce(calls, 0), 'searches', coalesce(searches, 0), 'errors', coalesce(errors, 0),
        'error_rate', round(coalesce(errors / nullif(calls, 0), 0), 6), 'rate_limited', coalesce(limited, 0), 'tokens', coalesce(tokens, 0),
        'embeddings_created', coalesce(created, 0), 'embeddings_deleted', coalesce(deleted, 0), 'bytes_change', coalesce(bytes, 0),
        'mean_response_ms', vectorstore._mean_milliseconds(calls::bigint, microseconds::bigint),
        'p50_response_ms', vectorstore._milliseconds(buckets, 0.5), 'p95_response_ms', vectorstore._milliseconds(buckets, 0.95),
        'p99_response_ms', vectorstore._milliseconds(buckets, 0.99))
$$;
COMMENT ON FUNCTION vectorstore._usage_json(numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, bigint[]) IS 'Sums as the HTTP API shows them.';

CREATE FUNCTION vectorstore._stats_json(p_tenant bigint, p_store_id bigint, p_range text, p_bucket text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    span record;
    used vectorstore.usage_bucket[];
    first timestamptz;
    body jsonb;
BEGIN
    SELECT * INTO span FROM vectorstore._usage_window(coalesce(p_range, 'daily'), p_bucket);
    used := ARRAY(SELECT u FROM vectorstore._usage(p_tenant, p_store_id, span.bucket, span.step, span.began_at) u);
    first := CASE WHEN isfinite(span.began_at) THEN span.began_at
                  ELSE coalesce((SELECT min(u.began_at) FROM unnest(used) u), date_trunc(span.bucket, span.ends_at)) END;
    SELECT jsonb_build_object(
            'range', coalesce(p_range, 'daily'), 'bucket', span.bucket,
            'start_at', vectorstore._epoch(first), 'end_at', vectorstore._epoch(span.ends_at),
            'usage_bytes', (SELECT coalesce(sum(c.usage_bytes), 0) FROM vectorstore.store_counters c
                            WHERE c.tenant_id = p_tenant AND (p_store_id IS NULL OR c.store_id = p_store_id)))
        || vectorstore._usage_json(sum(u.calls), sum(u.calls) FILTER (WHERE u.operation = 'search_vector_store'), sum(u.errors), sum(u.limited), sum(u.tokens),
                                   sum(u.created), sum(u.deleted), sum(u.bytes), sum(u.microseconds), vectorstore._sum_buckets(u.buckets))
    INTO body FROM unnest(used) u;
    RETURN body || jsonb_build_object(
        'operations', ARRAY(
            SELECT jsonb_build_object('operation', u.operation) || (vectorstore._usage_json(
                sum(u.calls), NULL, sum(u.errors), sum(u.limited), sum(u.tokens), sum(u.created), sum(u.deleted), sum(u.bytes), sum(u.microseconds), vectorstore._sum_buckets(u.buckets)) - 'searches')
            FROM unnest(used) u GROUP BY u.operation HAVING sum(u.calls) > 0 ORDER BY sum(u.calls) DESC, u.operation),
        'data', ARRAY(
            SELECT jsonb_build_object('start_at', vectorstore._epoch(g.at)) || vectorstore._usage_json(
                sum(u.calls), sum(u.calls) FILTER (WHERE u.operation = 'search_vector_store'), sum(u.errors), sum(u.limited), sum(u.tokens),
                sum(u.created), sum(u.deleted), sum(u.bytes), sum(u.microseconds), vectorstore._sum_buckets(u.buckets))
            FROM generate_series(first, span.ends_at, ('1 ' || span.bucket)::interval) g(at) LEFT JOIN unnest(used) u ON u.began_at = g.at
            GROUP BY g.at ORDER BY g.at));
END
$$;
COMMENT ON FUNCTION vectorstore._stats_json(bigint, bigint, text, text) IS 'Usage of a tenant, or of one of its stores, as the HTTP API shows it.';

CREATE FUNCTION vectorstore.api_store_stats(p_store_id bigint, p_store text, p_key bytea, p_range text, p_bucket text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    store bigint := vectorstore._api_store(p_store_id, p_store, tenant);
BEGIN
    RETURN jsonb_build_object('object', 'vector_store.stats', 'vector_store_id', p_store)
        || vectorstore._stats_json(tenant, store, p_range, p_bucket);
END
$$;
COMMENT ON FUNCTION vectorstore.api_store_stats(bigint, text, bytea, text, text) IS 'GET /vector_stores/{id}/stats?range=daily|weekly|monthly|all&bucket=minute|hour|day|month.';

CREATE FUNCTION vectorstore.api_stats(p_key bytea, p_range text, p_bucket text) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object('object', 'stats') || vectorstore._stats_json(vectorstore._open_key(p_key, 'admin'), NULL, p_range, p_bucket);
END
$$;
COMMENT ON FUNCTION vectorstore.api_stats(bytea, text, text) IS 'GET /stats?range=daily|weekly|monthly|all&bucket=minute|hour|day|month.';

-- API: public
CREATE FUNCTION @extschema@.vs_stats(store text DEFAULT NULL, range text DEFAULT 'daily', bucket text DEFAULT NULL) RETURNS TABLE (
    began_at timestamptz, requests bigint, searches bigint, errors bigint, rate_limited bigint, tokens bigint, embeddings_created bigint,
    embeddings_deleted bigint, bytes_change bigint, mean_ms double precision, p50_ms double precision, p95_ms double precision, p99_ms double precision
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
    number bigint := CASE WHEN store IS NOT NULL THEN vectorstore._store(store) END;
    span record;
BEGIN
    IF store IS NULL AND tenant IS NOT NULL THEN
        PERFORM vectorstore._require_access('admin');
    END IF;
    SELECT * INTO span FROM vectorstore._usage_window(range, vs_stats.bucket);
    RETURN QUERY
    SELECT u.began_at, sum(u.calls)::bigint, coalesce(sum(u.calls) FILTER (WHERE u.operation = 'search_vector_store'), 0)::bigint, sum(u.errors)::bigint,
           sum(u.limited)::bigint, sum(u.tokens)::bigint, sum(u.created)::bigint, sum(u.deleted)::bigint, sum(u.bytes)::bigint,
           vectorstore._mean_milliseconds(sum(u.calls)::bigint, sum(u.microseconds)::bigint), vectorstore._milliseconds(vectorstore._sum_buckets(u.buckets), 0.5),
           vectorstore._milliseconds(vectorstore._sum_buckets(u.buckets), 0.95), vectorstore._milliseconds(vectorstore._sum_buckets(u.buckets), 0.99)
    FROM vectorstore._usage(tenant, number, span.bucket, span.step, span.began_at) u
    GROUP BY u.began_at ORDER BY u.began_at;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_stats(text, text, text) IS
    'Usage of the caller''s tenant, or of one store (id or name), over time: range daily, weekly, monthly or all; bucket minute or hour, hour or day, hour or day, day or month. Buckets without usage have no row. Those of a tenant are for its administrators: 42501 for others. 22023 for another range or bucket, P0002 for an unknown store.';

-- API: public
CREATE FUNCTION @extschema@.vs_usage_logs(since timestamptz DEFAULT NULL, key text DEFAULT NULL, store text DEFAULT NULL) RETURNS TABLE (
    at timestamptz, key_id text, store_id text, operation text, calls bigint, errors bigint, rate_limited bigint, would_limit bigint, rows bigint,
    tokens bigint, embeddings_created bigint, embeddings_deleted bigint, bytes_change bigint, total_ms double precision
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
    key_number bigint;
    store_number bigint;
BEGIN
    IF tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    PERFORM vectorstore._require_access('admin');
    key_number := CASE WHEN key IS NOT NULL THEN vectorstore._find_key(tenant, key) END;
    store_number := CASE WHEN store IS NOT NULL THEN vectorstore._store(store) END;
    RETURN QUERY
    SELECT u.logged_at, k.key_id, s.id, u.operation, u.calls, u.errors, u.limited, u.would_limit, u.rows, u.tokens, u.created, u.deleted, u.bytes,
           u.microseconds / 1000.0::double precision
    FROM vectorstore.usage_logs u
    LEFT JOIN vectorstore.api_keys k ON k.tenant_id = tenant AND k.key = u.api_key
    LEFT JOIN vectorstore.stores s ON s.tenant_id = tenant AND s.store_id = u.store_id
    WHERE u.tenant_id = tenant AND u.logged_at >= coalesce(since, now() - interval '1 day') AND (key_number IS NULL OR u.api_key = key_number)
      AND (store_number IS NULL OR u.store_id = store_number)
    ORDER BY u.logged_at, u.log_id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_usage_logs(timestamptz, text, text) IS
    'The log of use: who called what when, a row for each flush, API key, store and operation; since some time or of the last day, of one key (by its id) or about one store (id or name), or of all. key_id is NULL for SQL users and for keys that were deleted, store_id for calls about no store and for stores that were deleted. What was not flushed yet is not there, nor what is older than vectorstore.usage_log_retention. For administrators of the tenant: 42501 for others. P0002 for an unknown key or store.';
