-- Declarations of the functions in extension/src/stats. All private.

CREATE FUNCTION vectorstore._stat_preloaded() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'stat_preloaded_wrapper';
COMMENT ON FUNCTION vectorstore._stat_preloaded() IS 'Whether the library is in shared_preload_libraries, without which nothing is counted or limited.';

CREATE FUNCTION vectorstore._stat_pending() RETURNS TABLE (
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint,
    would_limit bigint, rows bigint, tokens bigint, microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_pending_wrapper';
CREATE FUNCTION vectorstore._stat_take() RETURNS TABLE (
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint,
    would_limit bigint, rows bigint, tokens bigint, microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_take_wrapper';
CREATE FUNCTION vectorstore._stat_ever() RETURNS TABLE (
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, limited bigint,
    would_limit bigint, rows bigint, tokens bigint, microseconds bigint, created bigint, deleted bigint, bytes bigint, buckets bigint[]
)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_ever_wrapper';
CREATE FUNCTION vectorstore._stat_memory() RETURNS TABLE (entries bigint, capacity bigint, overflow bigint, flush_age double precision, buckets bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_memory_wrapper';
COMMENT ON FUNCTION vectorstore._stat_pending() IS 'What was counted of this database since the last flush; no row when the library is not preloaded.';
COMMENT ON FUNCTION vectorstore._stat_take() IS 'The same, taken out of shared memory, where it returns unless the transaction commits. 55000 when the library is not preloaded.';
COMMENT ON FUNCTION vectorstore._stat_ever() IS 'What was counted of this database since the server started, by operation alone.';
COMMENT ON FUNCTION vectorstore._stat_memory() IS 'How full the shared memory of statistics is, calls that found no place in it, seconds since the last flush, and buckets of rate limits in use.';

CREATE FUNCTION vectorstore._stat_note(
    tenant_id bigint, store_id bigint, api_key bigint, operation text, calls bigint, errors bigint, microseconds bigint
) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'stat_note_wrapper';
CREATE FUNCTION vectorstore._note_usage(tenant_id bigint, store_id bigint, texts bigint, bytes bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'note_usage_wrapper';
CREATE FUNCTION vectorstore._stat_count(name text, by bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'stat_count_wrapper';
COMMENT ON FUNCTION vectorstore._stat_count(text, bigint) IS 'Counts something that only GET /metrics tells, since the server started.';
COMMENT ON FUNCTION vectorstore._stat_note(bigint, bigint, bigint, text, bigint, bigint, bigint) IS 'Counts requests that the proxy answered without a function of their own.';
COMMENT ON FUNCTION vectorstore._note_usage(bigint, bigint, bigint, bigint) IS 'Counts texts that came to a store, or went, when the transaction commits.';

CREATE FUNCTION vectorstore._add_buckets(one bigint[], other bigint[]) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'add_buckets_wrapper';
CREATE FUNCTION vectorstore._bucket_quantile(buckets bigint[], share double precision) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bucket_quantile_wrapper';
CREATE FUNCTION vectorstore._bucket_bound(bucket integer) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bucket_bound_wrapper';
CREATE AGGREGATE vectorstore._sum_buckets(bigint[]) (SFUNC = vectorstore._add_buckets, STYPE = bigint[], PARALLEL = SAFE);
COMMENT ON FUNCTION vectorstore._add_buckets(bigint[], bigint[]) IS 'Two histograms together.';
COMMENT ON FUNCTION vectorstore._bucket_quantile(bigint[], double precision) IS 'Seconds below which this share of the calls of a histogram took; NULL without calls.';
COMMENT ON FUNCTION vectorstore._bucket_bound(integer) IS 'Upper bound of a bucket in seconds, counted from 1; NULL for the last one.';
COMMENT ON AGGREGATE vectorstore._sum_buckets(bigint[]) IS 'Histograms together.';

-- Rate limits, in extension/src/limits.rs
CREATE FUNCTION vectorstore._rate_charge() RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'rate_charge_wrapper';
CREATE FUNCTION vectorstore._charge_tokens(tokens bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'charge_tokens_wrapper';
CREATE FUNCTION vectorstore._charge_repetition() RETURNS void
    LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'charge_repetition_wrapper';
COMMENT ON FUNCTION vectorstore._charge_repetition() IS 'Charges the API key of the call in progress for a request that is answered without being run; 54000 in the same way.';
COMMENT ON FUNCTION vectorstore._rate_charge() IS
    'Charges the API key of the call in progress for it. 54000 when that is too much: DETAIL has type (requests or tokens) and retry_after_ms.';
COMMENT ON FUNCTION vectorstore._charge_tokens(bigint) IS 'Charges the API key of the call in progress for tokens; 54000 in the same way.';
CREATE FUNCTION vectorstore._require_preload() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'require_preload_wrapper';
COMMENT ON FUNCTION vectorstore._require_preload() IS '55000 when the library is not preloaded.';
-- A leaf for the proxy, asked in the same statement as the call itself.
CREATE FUNCTION vectorstore.api_rate_state() RETURNS jsonb
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rate_state_wrapper';
COMMENT ON FUNCTION vectorstore.api_rate_state() IS
    'Rate limits of the call before it in the same statement: {"requests": {"limit", "remaining", "reset_ms"}, "tokens": …}; NULL when nothing limits it.';
CREATE FUNCTION vectorstore.api_uncounted() RETURNS boolean
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'stat_uncounted_wrapper';
COMMENT ON FUNCTION vectorstore.api_uncounted() IS
    'In a WHERE clause: the call in the same statement is a part of a request that is counted and charged already. True.';
