-- Soft deletion: hidden at once, restored whole within a week, swept afterwards.
SET vectorstore.background_merge = off;
CREATE FUNCTION pg_temp.found(store text, query text) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(id, ',' ORDER BY score DESC, id) FROM vs_search(store, query, mode => 'keyword_only', k => 3) $$;
SELECT vs_create_store('bin', metadata => '{"a": "b"}', expires_after_days => 3) AS bin \gset
SELECT count(*) FROM unnest(vs_upsert('bin', ARRAY(SELECT 'word' || i % 7 || ' number' || i FROM generate_series(1, 50) i), ARRAY(SELECT 'r' || i FROM generate_series(1, 50) i)));
SELECT segments, packed FROM vs_merge('bin');
SELECT vs_upsert('bin', 'in the tail', 't');
CREATE TEMP TABLE before AS SELECT to_jsonb(s) - 'last_active_at' AS store FROM vs_stores s WHERE name = 'bin';
SELECT vs_delete_store('bin', mode => 'soft');

-- Hidden at once, and its name is free.
SELECT count(*) FROM vs_stores WHERE name = 'bin';
SELECT name, chunks, restorable_until - deleted_at AS days FROM vs_deleted_stores;
\set VERBOSITY sqlstate
SELECT * FROM vs_search(:'bin', 'tail');
SELECT vs_upsert(:'bin', 'too late');
SELECT vs_delete_store(:'bin', mode => 'soft');
SELECT vs_delete_store(:'bin', mode => 'gently');
SELECT vs_restore_store('bin');
SELECT vs_restore_store('vs_unknown');
SELECT vs_restore_store(NULL);
-- Nothing of it is swept.
SELECT vs_sweep();
SELECT vs_create_store('bin') IS NOT NULL AS taken;
SELECT vs_restore_store(:'bin');
SELECT vs_delete_store('bin');
SELECT vs_sweep();
\set VERBOSITY default

-- Back as it was.
SELECT vs_restore_store(:'bin');
SELECT b.store - 'expires_at' = to_jsonb(s) - 'last_active_at' - 'expires_at' AS same, s.last_active_at > now() - interval '1 minute' AS used
FROM vs_stores s, before b WHERE s.name = 'bin';
SELECT count(*) FROM vs_deleted_stores;
SELECT pg_temp.found('bin', 'tail'), pg_temp.found('bin', 'number42');
SELECT segments, tail_rows FROM vs_stat_indexes WHERE name = 'bin';
SELECT vs_upsert('bin', 'rediscovered', 'n');
SELECT pg_temp.found('bin', 'rediscovered');
SELECT chunks FROM vs_stores WHERE name = 'bin';
\set VERBOSITY sqlstate
SELECT vs_restore_store(:'bin');
\set VERBOSITY default

-- Rows that go meanwhile, as those of a deleted file do, are gone afterwards, too, also for searches of segments and graphs.
SELECT vs_create_store('graph', embedding_model => 'none', dimensions => 2, index => 'hnsw') AS graph \gset
SELECT count(*) FROM unnest(vs_upsert('graph', ARRAY['one', 'two', 'three'], ARRAY['1', '2', '3'], ARRAY['[1,0]', '[0,1]', '[1,1]']::vector[]));
SELECT vs_delete_store(name, mode => 'soft') FROM vs_stores WHERE name IN ('bin', 'graph');
DELETE FROM vectorstore.embeddings WHERE id IN ('r42', '2');
SELECT vs_restore_store(id) FROM vs_deleted_stores ORDER BY name;
SELECT name, chunks, usage_bytes = (SELECT sum(octet_length(e.content) + 4 * vector_dims(e.embedding)) FROM vectorstore.embeddings e JOIN vectorstore.stores t USING (store_id) WHERE t.id = s.id) AS bytes
FROM vs_stores s WHERE name IN ('bin', 'graph') ORDER BY name;
SELECT pg_temp.found('bin', 'number42'), pg_temp.found('bin', 'number41'), (SELECT string_agg(id, ',' ORDER BY score DESC, id) FROM vs_search('graph', embedding => '[0,1]', mode => 'vector_only'));
SELECT name, index, segments, tail_rows FROM vs_stat_indexes WHERE name IN ('bin', 'graph') ORDER BY name;
SELECT segments, packed FROM vs_merge('bin');
SELECT pg_temp.found('bin', 'number41');

-- After a week there is nothing to restore, and the sweep takes the rest, which vs_expire does not leave to chance.
SELECT vs_delete_store(name, mode => 'soft') FROM vs_stores WHERE name IN ('bin', 'graph');
UPDATE vectorstore.dropped_stores SET restorable_until = now() - interval '1 second' WHERE id = :'graph';
SELECT name FROM vs_deleted_stores;
\set VERBOSITY sqlstate
SELECT vs_restore_store(:'graph');
\set VERBOSITY default
SELECT vs_expire() > 0 AS swept;
SELECT count(*) FROM vectorstore.dropped_stores;
UPDATE vectorstore.dropped_stores SET restorable_until = now() - interval '1 second';
SELECT vs_sweep() > 50 AS swept;
SELECT count(*) FROM vectorstore.dropped_stores;
