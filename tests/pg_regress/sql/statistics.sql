-- What is counted, and what is not. The background worker may flush at any moment: what is shown is the same before and after.
\set VERBOSITY terse
CREATE VIEW counted AS SELECT operation, calls, errors, rows, embeddings_created AS created, embeddings_deleted AS deleted, bytes_change AS bytes
    FROM vs_stat_requests WHERE operation NOT LIKE 'stat%' ORDER BY operation COLLATE "C";
SELECT vs_stat_reset() IS NOT NULL AS reset;
SELECT * FROM counted;
CREATE FUNCTION since(text) RETURNS bigint LANGUAGE sql AS $$ SELECT coalesce(sum(calls), 0)::bigint FROM vs_stat_requests WHERE operation = $1 $$;

-- Each outermost call is one, whatever it calls itself and however many rows it returns.
SELECT vs_create_store('counted') IS NOT NULL AS made;
SELECT count(*) FROM unnest(vs_upsert('counted', ARRAY['one', 'two', 'three'], ARRAY['a', 'b', 'c'])) u;
SELECT count(*) FROM vs_search('counted', 'one');
SELECT count(*) FROM vs_search('counted', 'one', k => 2);
SELECT count(*) FROM generate_series(1, 3) g, vs_search('counted', 'one' || g, k => 1);
SELECT id FROM vs_search('counted', 'two', k => 3) LIMIT 1;
SELECT count(*) FROM vs_search_page('counted', 'three', k => 1);
SELECT * FROM counted;

-- Errors are calls, about a store or about none.
SELECT count(*) FROM vs_search('counted', 'one', k => -1);
SELECT count(*) FROM vs_search('nowhere', 'one');
SELECT * FROM counted WHERE operation = 'search_vector_store';
SELECT name, requests, searches, errors, embeddings_created, bytes_change = usage_bytes AS same_bytes FROM vs_stat_stores WHERE name = 'counted';

-- What is rolled back was called all the same, but nothing came of it.
BEGIN;
SELECT vs_upsert('counted', 'four', 'd');
ROLLBACK;
BEGIN;
SELECT vs_upsert('counted', 'five', 'e');
SAVEPOINT here;
SELECT vs_upsert('counted', 'six', 'f');
ROLLBACK TO here;
SAVEPOINT here;
SELECT vs_upsert('counted', 'seven', 'g');
RELEASE here;
COMMIT;
SELECT vs_update('counted', 'g', 'seven and more');
SELECT vs_delete('counted', 'a');
SELECT calls, created, deleted FROM counted WHERE operation ~ 'embedding' ORDER BY operation COLLATE "C";

-- A flush that is rolled back leaves everything where it was.
BEGIN;
SELECT vs_stat_flush() > 0 AS flushed;
ROLLBACK;
DO $$
BEGIN
    PERFORM vs_stat_flush();
    RAISE 'no';
EXCEPTION WHEN raise_exception THEN
    NULL;
END
$$;
SELECT calls, created, deleted FROM counted WHERE operation ~ 'embedding' ORDER BY operation COLLATE "C";
SELECT vs_stat_flush() >= 0 AS flushed;
SELECT calls, created, deleted FROM counted WHERE operation ~ 'embedding' ORDER BY operation COLLATE "C";

-- The log, its rollups and its totals agree. Days have their partitions ahead.
SELECT vs_stat_flush() >= 0 AS flushed;
SELECT step, count(*) FROM (
    SELECT step, operation, sum(calls) AS calls, sum(created) AS created, vectorstore._sum_buckets(buckets) AS buckets
    FROM vectorstore.usage_rollups WHERE operation NOT LIKE 'stat%' GROUP BY 1, 2
    EXCEPT SELECT s.step, operation, sum(calls), sum(created), vectorstore._sum_buckets(buckets)
    FROM vectorstore.usage_logs, (VALUES ('minute'), ('hour'), ('day')) s(step) WHERE operation NOT LIKE 'stat%' GROUP BY 1, 2) d
GROUP BY step;
SELECT count(*) >= 2 AS ahead FROM pg_inherits WHERE inhparent = 'vectorstore.usage_logs'::regclass;
SELECT sum(calls) = (SELECT sum(n) FROM unnest(vectorstore._sum_buckets(buckets)) n) AS every_call_has_a_time FROM vectorstore.usage_totals;

-- Retention drops partitions that are too old, and deletes rollups.
SELECT vectorstore._usage_partitions(now() - interval '40 days');
SELECT count(*) FROM pg_inherits WHERE inhparent = 'vectorstore.usage_logs'::regclass;
SELECT vectorstore._usage_partitions(now());
SELECT count(*) FROM pg_inherits WHERE inhparent = 'vectorstore.usage_logs'::regclass;
UPDATE vectorstore.usage_rollups SET began_at = began_at - interval '100 days';
SELECT vectorstore._usage_retention(now());
SELECT step, count(*) > 0 AS kept FROM vectorstore.usage_rollups GROUP BY step ORDER BY step;

-- Over time. The store's own are a part of the tenant's.
SELECT requests > 0 AS requests, searches FROM vs_stats('counted', 'daily', 'minute') WHERE searches > 0;
SELECT vs_search('counted', 'one', k => 1) IS NOT NULL AS found;
SELECT sum(searches) AS searches FROM vs_stats('counted');
SELECT sum(searches) AS searches FROM vs_stats('counted', 'weekly');
SELECT sum(searches) > 1 AS more FROM vs_stats('counted', 'all');
SELECT * FROM vs_stats('counted', 'yearly');
SELECT * FROM vs_stats('counted', 'weekly', 'minute');
SELECT * FROM vs_stats('nowhere');

-- Times: a histogram with two buckets to a doubling.
SELECT vectorstore._bucket_bound(1) AS first, vectorstore._bucket_bound(2) AS second, vectorstore._bucket_bound(39) AS last, vectorstore._bucket_bound(40) IS NULL AS endless;
SELECT vectorstore._bucket_quantile('{0,10}', 0.5) AS middle, vectorstore._bucket_quantile('{1,0,1}', 1) AS all_of_them, vectorstore._bucket_quantile('{}', 0.5) IS NULL AS none;
SELECT vectorstore._add_buckets('{1,2}', '{1,0,3}');

-- Nobody counts while tracking is off.
SELECT since('search_vector_store') AS before \gset
SET vectorstore.track = off;
SELECT count(*) FROM vs_search('counted', 'one', k => 1);
SELECT since('search_vector_store') - :before AS counted;
RESET vectorstore.track;

-- Dropping a store takes its texts.
SELECT vs_delete_store('counted');
SELECT calls, deleted FROM counted WHERE operation = 'delete_vector_store';
SELECT sum(calls) AS calls FROM counted \gset
SELECT vs_stat_reset() IS NOT NULL AS reset;
SELECT * FROM counted;

-- What a monitor reads only grows, and names nobody.
SELECT array_agg(k ORDER BY k COLLATE "C") FROM jsonb_object_keys(vectorstore.api_metrics()) k;
SELECT jsonb_path_query_first(vectorstore.api_metrics(), '$.operations[*] ? (@.operation == "delete_vector_store").calls') >= '1' AS counted;
SELECT o->'calls' = o->'buckets'->-1->1 AS all_within_the_last_bound FROM jsonb_array_elements(vectorstore.api_metrics()->'operations') o WHERE o->>'operation' = 'delete_vector_store';
DROP FUNCTION since;
DROP VIEW counted;
