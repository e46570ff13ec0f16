-- vs_doctor: what is wrong is found, one thing at a time, and nothing else.
SELECT vs_create_store('d') IS NOT NULL AS created, vs_create_store('h') IS NOT NULL AS created;
SELECT vs_upsert('h', 'some text', 'x');
SELECT vs_set_index('h', 'hnsw') IS NOT NULL AS hnsw;
CREATE FUNCTION pg_temp.findings() RETURNS TABLE (what text, status text, detail text, remedy text) LANGUAGE sql
AS $$ SELECT * FROM vs_doctor() WHERE status <> 'ok' AND "check" <> 'preload' ORDER BY 1, 3 $$;
SELECT "check", status, remedy FROM vs_doctor() WHERE "check" NOT IN ('preload', 'statistics', 'connections') ORDER BY 1;
SELECT * FROM pg_temp.findings();

BEGIN;
GRANT SELECT ON vectorstore.embeddings TO vectorstore_app;
GRANT INSERT ON vectorstore.files TO PUBLIC;
GRANT EXECUTE ON FUNCTION vs_install() TO PUBLIC;
SELECT * FROM pg_temp.findings();
ROLLBACK;
BEGIN;
ALTER TABLE vectorstore.stores DISABLE ROW LEVEL SECURITY;
ALTER TABLE vectorstore.files OWNER TO vectorstore_admin;
SELECT * FROM pg_temp.findings();
ROLLBACK;
BEGIN;
CREATE ROLE vs_test_super SUPERUSER IN ROLE vectorstore_app;
ALTER ROLE vectorstore_owner BYPASSRLS LOGIN;
SELECT * FROM pg_temp.findings();
-- The proxy is told the same, and what it is itself.
SET SESSION AUTHORIZATION vs_test_super;
SELECT check_->>'check' AS what, check_->>'detail' AS detail FROM jsonb_array_elements(vectorstore.api_doctor()) AS check_
WHERE check_->>'status' = 'error' ORDER BY 1, 2;
RESET SESSION AUTHORIZATION;
ROLLBACK;
BEGIN;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'vectorstore.ingest_jobs_run'::regclass;
SELECT * FROM pg_temp.findings();
ROLLBACK;
BEGIN;
INSERT INTO vectorstore.dropped_stores (store_id, dropped_at) VALUES (-1, now() - interval '1 hour');
-- Without the file that it belongs to.
SET LOCAL session_replication_role = replica;
INSERT INTO vectorstore.ingest_jobs (store_id, tenant_id, id, run_at) VALUES (-1, 1, 'x', now() - interval '1 day');
UPDATE vectorstore.store_counters SET added = 1000000;
SELECT what, status, detail FROM pg_temp.findings();
SELECT v->'jobs'->'waiting' AS jobs, v->'merges'->'late_stores' AS late, v->'merges'->'dropped_stores' AS dropped, v->'standby' AS standby
FROM vectorstore.api_vitals() AS v;
ROLLBACK;
BEGIN;
INSERT INTO vectorstore.schema_migrations (version) VALUES (999);
SELECT what, status, remedy FROM pg_temp.findings();
ROLLBACK;
SET vectorstore.model_path = '';
SELECT what, status FROM pg_temp.findings();
RESET vectorstore.model_path;
SELECT vectorstore._version_numbers('0.8.4') > vectorstore._version_numbers('0.8.10') AS wrong,
       vectorstore._version_numbers('0.10.0beta2'), vectorstore._version_numbers('x');
SELECT vs_delete_store('d'), vs_delete_store('h');
