-- DROP EXTENSION takes the code and leaves the data; CREATE EXTENSION finds it again.
\set SHOW_CONTEXT never
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
SELECT tools.vs_create_store('there') IS NOT NULL AS created;
SELECT id FROM tools.vs_search('there', 'anything');
DROP EXTENSION vectorstore;
DROP SCHEMA vectorstore CASCADE;
