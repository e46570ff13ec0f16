-- Statistics: flushing what was counted in shared memory, and reading it.
--
-- Who flushes holds an advisory lock until the end of the transaction; who reads holds it, shared, while reading: what
-- is on its way from memory to the tables is never seen in neither or in both. Readers write nothing, so that they
-- work on a standby, which counts its own calls and keeps them in memory.

CREATE FUNCTION vectorstore._stat_lock() RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT hashtextextended('vectorstore.stat_flush', 0) $$;
COMMENT ON FUNCTION vectorstore._stat_lock() IS 'Advisory lock of a flush of statistics.';

CREATE FUNCTION vectorstore._usage_retention(p_now timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM vectorstore.usage_rollups r
    USING (VALUES ('minute', 'vectorstore.usage_minute_retention'), ('hour', 'vectorstore.usage_hour_retention'), ('day', 'vectorstore.usage_day_retention')) k(step, setting)
    WHERE r.step = k.step AND current_setting(k.setting)::integer > 0
      AND r.began_at < p_now - make_interval(hours => 24 * current_setting(k.setting)::integer);
END
$$;
COMMENT ON FUNCTION vectorstore._usage_retention(timestamptz) IS 'Deletes rollups that are too old.';

-- Days are those of UTC, whatever the session's time zone. A day has a partition before it begins.
CREATE FUNCTION vectorstore._usage_partitions(p_now timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning SET timezone = 'UTC'
AS $$
DECLARE
    day date;
    part text;
    keep integer := current_setting('vectorstore.usage_log_retention')::integer;
BEGIN
    FOREACH day IN ARRAY ARRAY[p_now::date, p_now::date + 1] LOOP
        part := 'usage_logs_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('vectorstore.' || part) IS NULL THEN
            -- Attached afterwards, which locks out nobody who reads.
            EXECUTE format('CREATE TABLE vectorstore.%I (LIKE vectorstore.usage_logs INCLUDING ALL EXCLUDING IDENTITY)', part);
            EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('COMMENT ON TABLE vectorstore.%I IS %L', part, 'A day of usage_logs.');
            EXECUTE format('ALTER TABLE vectorstore.usage_logs ATTACH PARTITION vectorstore.%I FOR VALUES FROM (%L) TO (%L)', part, day::timestamptz, (day + 1)::timestamptz);
            -- Once a day is enough.
            PERFORM vectorstore._usage_retention(p_now);
        END IF;
    END LOOP;
    IF keep > 0 THEN
        FOR part IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'vectorstore.usage_logs'::regclass AND c.relname < 'usage_logs_' || to_char(p_now::date - keep, 'YYYYMMDD')
        LOOP
            EXECUTE format('DROP TABLE vectorstore.%I', part);
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._usage_partitions(timestamptz) IS 'Makes the partitions of usage_logs for today and tomorrow, and drops those that are too old.';

CREATE FUNCTION vectorstore._stat_flush() RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moment timestamptz;
    flushed bigint;
BEGIN
    IF vectorstore._schema_version() < 12 THEN
        RETURN 0;
    END IF;
    PERFORM vectorstore._require_preload();
    PERFORM pg_advisory_xact_lock(vectorstore._stat_lock());
    moment := clock_timestamp();
    PERFORM vectorstore._usage_partitions(moment);
    WITH taken AS MATERIALIZED (
        SELECT * FROM vectorstore._stat_take()
    ), known AS MATERIALIZED (
        -- A tenant may be gone meanwhile, with all that was kept of it.
        SELECT t.* FROM taken t WHERE (t.tenant_id = 0 OR EXISTS (SELECT FROM vectorstore.tenants o WHERE o.tenant_id = t.tenant_id)) AND t.operation NOT LIKE 'quota.%'
    ), quotas AS (
        -- Refusals between two times of room are one event. The time stands where others have their API key.
        INSERT INTO vectorstore.quota_events AS q (tenant_id, store_id, resource, room_at, refused, created_at)
        SELECT t.tenant_id, t.store_id, substr(t.operation, 7), timestamptz 'epoch' + t.api_key * interval '1 microsecond', t.calls, moment
        FROM taken t JOIN vectorstore.tenants o USING (tenant_id) WHERE t.operation LIKE 'quota.%'
        ON CONFLICT (tenant_id, store_id, resource, room_at) DO UPDATE SET refused = q.refused + excluded.refused
    ), logs AS (
        INSERT INTO vectorstore.usage_logs (tenant_id, logged_at, store_id, api_key, operation, calls, errors, limited, would_limit, rows, tokens, microseconds, created, deleted, bytes, buckets)
        SELECT k.tenant_id, moment, k.store_id, k.api_key, k.operation, k.calls, k.errors, k.limited, k.would_limit, k.rows, k.tokens, k.microseconds, k.created, k.deleted, k.bytes, k.buckets
        FROM known k ORDER BY k.tenant_id, k.store_id, k.api_key, k.operation
    ), rollups AS (
        INSERT INTO vectorstore.usage_rollups AS r (tenant_id, step, began_at, store_id, api_key, operation, calls, errors, limited, would_limit, rows, tokens, microseconds, created, deleted, bytes, buckets)
        SELECT k.tenant_id, s.step, date_trunc(s.step, moment, 'UTC'), k.store_id, k.api_key, k.operation, k.calls, k.errors, k.limited, k.would_limit, k.rows, k.tokens, k.microseconds, k.created, k.deleted, k.bytes, k.buckets
        FROM known k CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) s(step)
        ON CONFLICT (tenant_id, step, began_at, store_id, api_key, operation) DO UPDATE SET
            calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, limited = r.limited + excluded.limited,
            would_limit = r.would_limit + excluded.would_limit, rows = r.rows + excluded.rows, tokens = r.tokens + excluded.tokens,
            microseconds = r.microseconds + excluded.microseconds, created = r.created + excluded.created,
            deleted = r.deleted + excluded.deleted, bytes = r.bytes + excluded.bytes,
            buckets = vectorstore._add_buckets(r.buckets, excluded.buckets)
    ), totals AS (
        INSERT INTO vectorstore.usage_totals AS t (tenant_id, store_id, api_key, operation, calls, errors, limited, would_limit, rows, tokens, microseconds, created, deleted, bytes, buckets, since, used_at)
        SELECT k.tenant_id, k.store_id, k.api_key, k.operation, k.calls, k.errors, k.limited, k.would_limit, k.rows, k.tokens, k.microseconds, k.created, k.deleted, k.bytes, k.buckets, moment, moment
        FROM known k
        ON CONFLICT (tenant_id, store_id, api_key, operation) DO UPDATE SET
            calls = t.calls + excluded.calls, errors = t.errors + excluded.errors, limited = t.limited + excluded.limited,
            would_limit = t.would_limit + excluded.would_limit, rows = t.rows + excluded.rows, tokens = t.tokens + excluded.tokens,
            microseconds = t.microseconds + excluded.microseconds, created = t.created + excluded.created,
            deleted = t.deleted + excluded.deleted, bytes = t.bytes + excluded.bytes,
            buckets = vectorstore._add_buckets(t.buckets, excluded.buckets), used_at = excluded.used_at
    ), keys AS (
        UPDATE vectorstore.api_keys a SET last_used_at = moment
        FROM (SELECT DISTINCT k.api_key FROM known k WHERE k.calls > 0 AND k.api_key <> 0) u WHERE a.key = u.api_key
    )
    SELECT count(*) INTO flushed FROM known;
    PERFORM vectorstore._end_quota_events(moment);
    RETURN flushed;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_flush() IS 'Moves what was counted in shared memory to the tables, and returns how many rows that made. 55000 when the library is not preloaded.';

-- API: public
CREATE FUNCTION @extschema@.vs_stat_flush() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._stat_flush();
END
$$;
COMMENT ON FUNCTION @extschema@.vs_stat_flush() IS
    'Moves what was counted in shared memory to usage_logs, its rollups and totals; returns how many rows of usage_logs that made. A background worker does it every vectorstore.stat_flush_interval. 55000 when vectorstore is not preloaded.';

-- What was counted since vs_stat_reset(), flushed or not. The lock is one of the session, given back at once: a
-- transaction that reads statistics and stays open stops nobody.
CREATE TYPE vectorstore.usage_row AS (
    store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint, would_limit bigint, rows bigint, tokens bigint,
    microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[], since timestamptz, used_at timestamptz
);
COMMENT ON TYPE vectorstore.usage_row IS 'What calls of one kind added up to.';

CREATE FUNCTION vectorstore._stat_totals(p_tenant bigint) RETURNS SETOF vectorstore.usage_row
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    row vectorstore.usage_row;
BEGIN
    IF p_tenant IS NULL OR vectorstore._schema_version() < 8 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_lock_shared(vectorstore._stat_lock());
    BEGIN
        FOR row IN
            SELECT u.store_id, u.api_key, u.operation, sum(u.calls), sum(u.errors), sum(u.limited), sum(u.would_limit), sum(u.rows), sum(u.tokens),
                   sum(u.microseconds), sum(u.created), sum(u.deleted), sum(u.bytes), vectorstore._sum_buckets(u.buckets), min(u.since), max(u.used_at)
            FROM (SELECT t.store_id, t.api_key, t.operation, t.calls, t.errors, t.limited, t.would_limit, t.rows, t.tokens, t.microseconds, t.created, t.deleted, t.bytes, t.buckets, t.since, t.used_at
                  FROM vectorstore.usage_totals t WHERE t.tenant_id = p_tenant
                  UNION ALL
                  SELECT p.store_id, p.api_key, p.operation, p.calls, p.errors, p.limited, p.would_limit, p.rows, p.tokens, p.microseconds, p.created, p.deleted, p.bytes, p.buckets, clock_timestamp(), clock_timestamp()
                  FROM vectorstore._stat_pending() p WHERE p.tenant_id = p_tenant AND p.operation NOT LIKE 'quota.%') u
            GROUP BY u.store_id, u.api_key, u.operation
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
COMMENT ON FUNCTION vectorstore._stat_totals(bigint) IS 'What a tenant''s calls added up to since vs_stat_reset().';

-- API: public
CREATE FUNCTION @extschema@.vs_stat_reset() RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    PERFORM vectorstore._require_access('admin');
    PERFORM vectorstore._stat_flush();
    DELETE FROM vectorstore.usage_totals t WHERE t.tenant_id = tenant;
    PERFORM vectorstore._audit(tenant, 'statistics.reset', '');
    RETURN clock_timestamp();
END
$$;
COMMENT ON FUNCTION @extschema@.vs_stat_reset() IS
    'Sets what vs_stat_requests, vs_stat_stores and vs_stat_keys show of the caller''s tenant to zero; usage_logs and vs_stats keep what they have. Returns the time. For administrators of the tenant; 55000 when vectorstore is not preloaded.';
