-- What a session remembers of tables and rows is a hint: searches find what was moved, renamed, replaced or taken away.
\set VERBOSITY terse
SELECT vs_create_store('r', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('r', 'red apples', 'a', embedding => '[1,0]');
SELECT vs_upsert('r', 'green pears', 'b', embedding => '[0,1]');
SET vectorstore.background_merge = off;
SELECT vs_merge('r') IS NOT NULL AS merged;
SELECT id FROM vs_stores WHERE name = 'r' \gset
PREPARE by_name AS SELECT id, round(score::numeric, 4) AS score FROM vs_search('r', 'apples', '[0.6,0.8]');
PREPARE by_id(text) AS SELECT id, round(score::numeric, 4) AS score FROM vs_search($1, 'apples', '[0.6,0.8]');
EXECUTE by_name;
EXECUTE by_id(:'id');
-- Tables are written anew, so every row is elsewhere.
VACUUM FULL vectorstore.tenants, vectorstore.stores, vectorstore.store_counters, vectorstore.segments, vectorstore.segment_pages, vectorstore.embeddings;
EXECUTE by_name;
EXECUTE by_id(:'id');
-- Rows move, and others take their places.
UPDATE vectorstore.stores SET name = name;
UPDATE vectorstore.store_counters SET chunks = chunks;
VACUUM vectorstore.stores, vectorstore.store_counters;
SELECT vs_create_store('other', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
EXECUTE by_name;
EXECUTE by_id(:'id');
-- Counts are those of the snapshot.
BEGIN;
SELECT vs_upsert('r', 'blue plums', 'c', embedding => '[1,1]');
EXECUTE by_id(:'id');
ROLLBACK;
EXECUTE by_id(:'id');
-- A table that bears another name is gone, and back afterwards.
BEGIN;
ALTER TABLE vectorstore.changes RENAME TO changed;
SAVEPOINT s;
EXECUTE by_name;
ROLLBACK TO s;
ALTER TABLE vectorstore.changed RENAME TO changes;
EXECUTE by_name;
ALTER TABLE vectorstore.tenants RENAME TO renters;
ROLLBACK;
EXECUTE by_name;
-- A name that two stores bear, one that has moved on, and an id that is gone.
UPDATE vectorstore.stores SET name = 'r' WHERE name = 'other';
EXECUTE by_name;
UPDATE vectorstore.stores SET name = 's' WHERE id = :'id';
EXECUTE by_name;
EXECUTE by_id(:'id');
SELECT vs_delete_store(:'id');
SELECT set_config('test.id', :'id', false) <> '' AS set;
DO $$ BEGIN PERFORM vs_search(current_setting('test.id'), 'apples'); EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLSTATE; END $$;
SELECT count(*) AS stores FROM vs_stores WHERE id = :'id';
EXECUTE by_name;
SELECT vs_delete_store('r');
