-- DROP EXTENSION takes the code and leaves the data; CREATE EXTENSION finds it again.
\set SHOW_CONTEXT never
-- No worker shall be at the tables while they are dropped.
SET vectorstore.background_merge = off;
SELECT vs_sweep() >= 0 AS swept;
SELECT vs_create_store('kept') IS NOT NULL AS created;
SELECT vs_upsert('kept', 'still here', 'k');
DROP EXTENSION vectorstore;
SELECT count(*) FROM vectorstore.embeddings;
SELECT vs_search('kept', 'here');
CREATE EXTENSION vectorstore;
SELECT id, content FROM vs_search('kept', 'here');
SELECT vs_upsert('kept', 'and more', 'm');
SELECT vs_delete_store('kept');
-- A schema of that name which is not ours is left alone.
DROP EXTENSION vectorstore;
ALTER SCHEMA vectorstore RENAME TO vectorstore_away;
CREATE ROLE vs_test_squatter;
CREATE SCHEMA vectorstore AUTHORIZATION vs_test_squatter;
CREATE EXTENSION vectorstore;
DROP SCHEMA vectorstore;
DROP ROLE vs_test_squatter;
-- Nor do the functions go into the schema of the data.
CREATE SCHEMA vectorstore AUTHORIZATION pg_database_owner;
CREATE EXTENSION vectorstore SCHEMA vectorstore;
DROP SCHEMA vectorstore;
-- The vs_* functions live in the schema that CREATE EXTENSION names.
CREATE SCHEMA tools;
CREATE EXTENSION vectorstore SCHEMA tools;
-- Tables of version 0.1.0 with rows in them are migrated.
SET ROLE vectorstore_owner;
SELECT vectorstore._migrate_0001();
SELECT vectorstore._create_store(t.tenant_id, 'old', NULL, NULL, NULL, 'none', 1, 'english') > 0 AS created FROM vectorstore.tenants t;
INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, language, embedding, content)
SELECT s.store_id, s.tenant_id, 'o' || i, 1, '[1]', 'old text ' || i FROM vectorstore.stores s, generate_series(1, 3) i;
RESET ROLE;
SELECT tools.vs_install();
SELECT cardinality(n.added) AS noted, c.added, c.chunks FROM vectorstore.changes n JOIN vectorstore.store_counters c USING (store_id);
SELECT id FROM tools.vs_search('old', 'text 2', '[1]');
SELECT tools.vs_upsert('old', 'new text', 'o2', embedding => '[1]');
SELECT segments, packed FROM tools.vs_merge('old');
SELECT tools.vs_delete_store('old');
SELECT tools.vs_create_store('there') IS NOT NULL AS created;
SELECT id FROM tools.vs_search('there', 'anything');
DROP EXTENSION vectorstore;
DROP SCHEMA vectorstore CASCADE;
