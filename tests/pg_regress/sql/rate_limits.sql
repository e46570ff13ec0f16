-- Limits of API keys, through the functions that the proxy calls. Buckets of a minute, so that no test depends on time.
\set VERBOSITY terse
SELECT vs_create_api_key('limited', sha256('limited')) AS key \gset
SELECT vs_create_api_key('other', sha256('second')) AS other \gset
SELECT vs_set_rate_limit(:'key', requests_per_minute => 3);
SELECT scope, key_name, requests_per_second, requests_burst, requests_per_minute, tokens_per_minute, dry_run FROM vs_rate_limits;

CREATE FUNCTION ask(key text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM vectorstore.api_list_vector_stores(sha256(key::bytea), 1, NULL, NULL, NULL);
    RETURN vectorstore.api_rate_state() #- '{requests,reset_ms}';
EXCEPTION WHEN program_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail::jsonb #- '{rate,requests,reset_ms}' || jsonb_build_object('retry_after_ms', (detail::jsonb->'retry_after_ms')::int BETWEEN 1 AND 30000);
END
$$;
SELECT ask('limited') FROM generate_series(1, 4);
-- Another key has its own bucket, and none without limits.
SELECT ask('second');
SELECT vs_set_rate_limit(requests_per_minute => 2);
SELECT ask('second') FROM generate_series(1, 3);
-- The key's own limits come before the tenant's, and none may be given.
SELECT vs_set_rate_limit(:'other');
SELECT ask('second');
SELECT vs_drop_rate_limit(:'other');
SELECT ask('second')->>'type' AS refused;
SELECT vs_drop_rate_limit(:'other');

-- A dry run refuses nobody, and counts.
SELECT vs_set_rate_limit(requests_per_minute => 2, dry_run => true);
SELECT ask('second');
SELECT rate_limited, would_limit FROM vs_stat_requests WHERE operation = 'list_vector_stores';

-- A key that takes the place of another has its limits.
SELECT vs_create_api_key('turned', sha256('turned')) AS turned \gset
SELECT vs_set_rate_limit(:'turned', requests_per_minute => 5);
SELECT vs_rotate_api_key(:'turned', sha256('turned again'), '0') AS again \gset
SELECT ask('turned again');
SELECT vs_delete_api_key(:'turned'), vs_delete_api_key(:'again');
SELECT count(*) AS limits FROM vectorstore.rate_limits l WHERE NOT EXISTS (SELECT FROM vectorstore.api_keys k WHERE k.key = l.api_key) AND l.api_key <> 0;

-- Parts of a request cost nothing; the whole does.
SELECT vs_set_rate_limit(:'key', requests_per_minute => 1000);
SELECT vectorstore.api_list_vector_stores(sha256('limited'), 1, NULL, NULL, NULL) IS NOT NULL AS one WHERE vectorstore.api_uncounted();
SELECT vectorstore.api_check_key(sha256('limited'));
SELECT vectorstore.api_rate_state();

-- What operations cost, in requests of the limit.
SELECT vs_create_api_key('costly', sha256('costly')) AS costly \gset
SELECT vs_set_rate_limit(:'costly', requests_per_minute => 10);
SET vectorstore.operation_costs = 'search_vector_store=2, list_vector_stores=4';
SELECT ask('costly') FROM generate_series(1, 3);
SET vectorstore.operation_costs = 'list_vector_stores=0';
SELECT ask('costly');
SET vectorstore.operation_costs = 'list_vector_stores=11';
SELECT ask('costly') - 'retry_after_ms';
\set VERBOSITY default
SET vectorstore.operation_costs = 'list_vector_stores';
SET vectorstore.operation_costs = 'list_vector_stores=1, list_vector_stores=2';
\set VERBOSITY terse
SHOW vectorstore.operation_costs;
RESET vectorstore.operation_costs;
SELECT ask('costly') FROM generate_series(1, 3);
SELECT vs_delete_api_key(:'costly');

-- Tokens.
SELECT vs_set_rate_limit(:'key', tokens_per_minute => 100);
SELECT vectorstore.api_charge_tokens(sha256('limited'), 60), vectorstore.api_rate_state() #- '{tokens,reset_ms}';
SELECT vectorstore.api_charge_tokens(sha256('limited'), 101);
DO $$ BEGIN PERFORM vectorstore.api_charge_tokens(sha256('limited'), 60); EXCEPTION WHEN program_limit_exceeded THEN RAISE NOTICE 'refused'; END $$;
SELECT vectorstore.api_charge_tokens(sha256('limited'), 40);

-- Over HTTP.
SELECT vs_drop_rate_limit(:'key');
SELECT vs_drop_rate_limit();
SELECT vectorstore.api_set_rate_limit(sha256('limited'), NULL, NULL, 10, NULL, NULL, NULL, NULL, NULL) - 'updated_at';
SELECT vectorstore.api_set_rate_limit(sha256('limited'), NULL, :'other', NULL, NULL, 60, 1000, true, NULL) - 'updated_at' - 'api_key_id';
SELECT d->'scope', d->'requests_per_second' FROM jsonb_array_elements(vectorstore.api_list_rate_limits(sha256('limited'))->'data') d;
SELECT vectorstore.api_set_rate_limit(sha256('limited'), 'tenant', NULL, NULL, NULL, NULL, NULL, NULL, true);
SELECT vectorstore.api_set_rate_limit(sha256('limited'), NULL, :'other', NULL, NULL, NULL, NULL, NULL, true)->'deleted';
SELECT vectorstore.api_set_rate_limit(sha256('limited'), 'key', NULL, 10, NULL, NULL, NULL, NULL, NULL);
SELECT vectorstore.api_set_rate_limit(sha256('limited'), 'nobody', NULL, 10, NULL, NULL, NULL, NULL, NULL);
SELECT vs_set_rate_limit('key_none', 1);
SELECT vs_set_rate_limit(requests_per_second => 0);
SELECT vs_set_rate_limit(tokens_per_minute => 1000000000001);
SELECT count(*) FROM vs_rate_limits;

-- What the proxy reports counts as if it had called.
SELECT vs_stat_reset() IS NOT NULL AS reset;
SELECT vectorstore.api_note_requests(ARRAY[sha256('limited'), sha256('nobody')], ARRAY[NULL, 'vs_x'], ARRAY['create_embedding', 'list_files'], '{3,2}', '{1,2}', '{300,200}');
SELECT operation, calls, errors, mean_ms FROM vs_stat_requests WHERE operation IN ('create_embedding', 'list_files');
DROP FUNCTION ask;
SELECT vs_revoke_api_key(:'key'), vs_revoke_api_key(:'other');
