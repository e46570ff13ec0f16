-- Step 8: usage and its statistics, and rate limits. The rules of step 1 hold; tenant 0 is nobody's: calls without a valid
-- key. Nothing here refers to tenants and stores by a constraint: what was counted of them may come later than they go.
CREATE FUNCTION vectorstore._migrate_0008() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
DECLARE
    target text;
BEGIN
    CREATE TABLE vectorstore.usage_logs (
        tenant_id bigint NOT NULL,
        logged_at timestamptz NOT NULL,
        log_id bigint GENERATED ALWAYS AS IDENTITY,
        store_id bigint NOT NULL,
        api_key bigint NOT NULL,
        operation text COLLATE "C" NOT NULL,
        calls bigint NOT NULL,
        errors bigint NOT NULL,
        limited bigint NOT NULL,
        would_limit bigint NOT NULL,
        rows bigint NOT NULL,
        tokens bigint NOT NULL,
        microseconds bigint NOT NULL,
        created bigint NOT NULL,
        deleted bigint NOT NULL,
        bytes bigint NOT NULL,
        buckets bigint[] NOT NULL,
        PRIMARY KEY (tenant_id, logged_at, log_id)
    ) PARTITION BY RANGE (logged_at);
    CREATE INDEX usage_logs_store ON vectorstore.usage_logs (store_id, logged_at);

    CREATE TABLE vectorstore.usage_rollups (
        tenant_id bigint NOT NULL,
        -- minute, hour or day
        step text COLLATE "C" NOT NULL,
        began_at timestamptz NOT NULL,
        store_id bigint NOT NULL,
        api_key bigint NOT NULL,
        operation text COLLATE "C" NOT NULL,
        calls bigint NOT NULL,
        errors bigint NOT NULL,
        limited bigint NOT NULL,
        would_limit bigint NOT NULL,
        rows bigint NOT NULL,
        tokens bigint NOT NULL,
        microseconds bigint NOT NULL,
        created bigint NOT NULL,
        deleted bigint NOT NULL,
        bytes bigint NOT NULL,
        buckets bigint[] NOT NULL,
        PRIMARY KEY (tenant_id, step, began_at, store_id, api_key, operation)
    ) WITH (fillfactor = 70);
    CREATE INDEX usage_rollups_store ON vectorstore.usage_rollups (store_id, step, began_at);

    CREATE TABLE vectorstore.usage_totals (
        tenant_id bigint NOT NULL,
        store_id bigint NOT NULL,
        api_key bigint NOT NULL,
        operation text COLLATE "C" NOT NULL,
        calls bigint NOT NULL,
        errors bigint NOT NULL,
        limited bigint NOT NULL,
        would_limit bigint NOT NULL,
        rows bigint NOT NULL,
        tokens bigint NOT NULL,
        microseconds bigint NOT NULL,
        created bigint NOT NULL,
        deleted bigint NOT NULL,
        bytes bigint NOT NULL,
        buckets bigint[] NOT NULL,
        since timestamptz NOT NULL,
        used_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, store_id, api_key, operation)
    ) WITH (fillfactor = 70);

    CREATE TABLE vectorstore.rate_limits (
        -- 0 for all tenants.
        tenant_id bigint NOT NULL,
        -- 0 for every key without a row of its own.
        api_key bigint NOT NULL,
        requests_per_second bigint CHECK (requests_per_second BETWEEN 1 AND 1000000),
        requests_burst bigint CHECK (requests_burst BETWEEN 1 AND 1000000),
        requests_per_minute bigint CHECK (requests_per_minute BETWEEN 1 AND 60000000),
        tokens_per_minute bigint CHECK (tokens_per_minute BETWEEN 1 AND 1000000000000),
        dry_run boolean NOT NULL DEFAULT false,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, api_key)
    );

    FOREACH target IN ARRAY ARRAY['usage_logs', 'usage_rollups', 'usage_totals', 'rate_limits'] LOOP
        EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY tenant ON vectorstore.%I USING (tenant_id = (SELECT vectorstore.current_tenant()))', target);
    END LOOP;

    COMMENT ON TABLE vectorstore.usage_logs IS 'What was called: a row a flush for each store, API key and operation. A partition a day (UTC), made ahead and dropped after vectorstore.usage_log_retention days.';
    COMMENT ON COLUMN vectorstore.usage_logs.logged_at IS 'When it was flushed: at most one flush interval after the calls.';
    COMMENT ON COLUMN vectorstore.usage_logs.store_id IS 'Number of the store; 0 for calls that are about none, or about none of the caller''s.';
    COMMENT ON COLUMN vectorstore.usage_logs.api_key IS 'Number of the API key; 0 for SQL users.';
    COMMENT ON COLUMN vectorstore.usage_logs.limited IS 'Calls that a rate limit refused; they are among the errors.';
    COMMENT ON COLUMN vectorstore.usage_logs.would_limit IS 'Calls that a rate limit would have refused, were it not a dry run.';
    COMMENT ON COLUMN vectorstore.usage_logs.rows IS 'Results of searches.';
    COMMENT ON COLUMN vectorstore.usage_logs.tokens IS 'Tokens that were embedded by the proxy.';
    COMMENT ON COLUMN vectorstore.usage_logs.buckets IS 'Histogram of times; see _bucket_bound. Empty buckets at the end are left out.';
    COMMENT ON TABLE vectorstore.usage_rollups IS 'The same added up by the minute, the hour and the day (UTC).';
    COMMENT ON TABLE vectorstore.usage_totals IS 'The same added up since vs_stat_reset().';
    COMMENT ON TABLE vectorstore.rate_limits IS 'Rate limits: of a key, else of its tenant, else of all. NULL limits nothing.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (8);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0008() IS 'Migration step 8: usage logs, statistics and rate limits.';
