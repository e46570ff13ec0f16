-- Quotas of stores and tenants: nothing passes them, whatever way it comes, and deletes always pass.
CREATE FUNCTION pg_temp.fill(store text, first integer, last integer) RETURNS integer LANGUAGE sql AS $$
    SELECT cardinality(vs_upsert(store, array_agg(format('chunk %s', i)), array_agg('c' || i), array_agg('[1,2]'::vector))) FROM generate_series(first, last) AS i
$$;
\set VERBOSITY terse
SELECT vs_create_store('limited', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_create_store('free', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_set_quota('limited', max_chunks => 10);
SELECT name, resource, used, quota, exceeded_at IS NOT NULL AS exceeded, refused FROM vs_quotas;
SELECT pg_temp.fill('limited', 1, 10);
SELECT pg_temp.fill('limited', 11, 11);
-- A part of a batch does not come in either, and other statements of the transaction stay possible.
BEGIN;
SELECT vs_delete('limited', 'c1');
SAVEPOINT before;
SELECT pg_temp.fill('limited', 20, 25);
ROLLBACK TO before;
SELECT pg_temp.fill('limited', 20, 20);
COMMIT;
SELECT used, quota FROM vs_quotas;
-- What replaces a chunk is no more.
SELECT vs_upsert('limited', 'chunk 2 anew', 'c2', embedding => '[1,1]');
-- Directly on the table, too.
INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, language, embedding, content)
SELECT store_id, tenant_id, 'direct', 0, '[1,2]', 'direct' FROM vectorstore.stores WHERE name = 'limited';
SELECT vs_upsert('free', 'a chunk that moves', 'm', embedding => '[1,2]');
UPDATE vectorstore.embeddings SET store_id = (SELECT store_id FROM vectorstore.stores WHERE name = 'limited') WHERE id = 'm';
SELECT vs_delete('free', 'm');
-- Bytes: content and four for each component.
SELECT usage_bytes FROM vs_stores WHERE name = 'limited';
SELECT vs_set_quota('limited', max_bytes => 160);
SELECT vs_update('limited', 'c2', 'a longer text of chunk two, which does not fit', '[1,1]');
SELECT vs_update('limited', 'c2', 'short', '[1,1]');
SELECT vs_delete('limited', 'c3'), vs_delete('limited', 'c4');
SELECT vs_upsert('limited', 'fits', 'f', embedding => '[1,1]');
-- A quota below what is there: nothing goes, nothing comes.
SELECT vs_set_quota('limited', max_chunks => 3);
SELECT pg_temp.fill('limited', 30, 30);
SELECT vs_delete('limited', 'c5');
SELECT pg_temp.fill('limited', 30, 30);
SELECT vs_set_quota('limited');
SELECT pg_temp.fill('limited', 30, 30);
SELECT vs_set_quota('limited', max_chunks => -1);
SELECT vs_set_quota('nowhere', 1);

-- The tenant: the sum over its stores, and their number.
SELECT vs_set_tenant_quota('default', max_stores => 3, max_chunks => 15);
SELECT store_id, resource, used, quota FROM vs_quotas ORDER BY resource;
SELECT pg_temp.fill('free', 1, 6);
SELECT pg_temp.fill('free', 7, 8);
SELECT pg_temp.fill('limited', 40, 45);
SELECT vs_create_store('third', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_create_store('fourth', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT resource, used, quota FROM vs_quotas ORDER BY resource;
SELECT vs_delete_store('third');
SELECT vs_delete_store('free');
SELECT resource, used, quota FROM vs_quotas ORDER BY resource;
SELECT pg_temp.fill('limited', 40, 45);
SET vectorstore.enforce_quotas = off;
SELECT pg_temp.fill('limited', 50, 60);
RESET vectorstore.enforce_quotas;
SELECT resource, used, quota FROM vs_quotas ORDER BY resource;
SELECT * FROM vs_verify_stats();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT vs_set_tenant_quota('default');
ROLLBACK;
-- Counters that are wrong are found and put right.
UPDATE vectorstore.store_counters SET chunks = chunks + 1, files_failed = 2;
UPDATE vectorstore.tenant_quotas SET usage_bytes = 0;
SELECT counter, counted, actual, store_id IS NULL AS of_the_tenant FROM vs_verify_stats('limited');
SELECT counter, counted, actual, store_id IS NULL AS of_the_tenant FROM vs_verify_stats(fix => true);
SELECT * FROM vs_verify_stats();
TRUNCATE vectorstore.embeddings;
SELECT resource, used, quota FROM vs_quotas ORDER BY resource;
SELECT * FROM vs_verify_stats();
SELECT vs_set_tenant_quota('default');
SELECT count(*) FROM vectorstore.tenant_quotas;
SELECT vs_delete_store('limited');
-- That a quota was met is kept, though the transaction that met it left nothing: once until there is room again.
SELECT vs_create_store('met', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_set_quota('met', max_chunks => 1);
SELECT pg_temp.fill('met', 1, 1);
SELECT pg_temp.fill('met', 2, 2);
SELECT pg_temp.fill('met', 3, 3);
SELECT vs_stat_flush() >= 0 AS flushed;
SELECT name, exceeded_at IS NOT NULL AS exceeded, refused FROM vs_quotas;
SELECT vs_delete('met', 'c1');
SELECT name, exceeded_at IS NOT NULL AS exceeded, refused FROM vs_quotas;
SELECT pg_temp.fill('met', 2, 2);
SELECT pg_temp.fill('met', 3, 3);
SELECT vs_stat_flush() >= 0 AS flushed;
SELECT resource, refused, resolved_at IS NULL AS open FROM vectorstore.quota_events JOIN vectorstore.stores USING (store_id) WHERE name = 'met' ORDER BY event_id;
-- It is no request.
SELECT count(*) FROM vs_stat_requests WHERE operation LIKE 'quota%';
SELECT vs_delete_store('met');
