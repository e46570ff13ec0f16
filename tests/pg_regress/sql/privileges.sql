-- Who may do what: nobody anything, vectorstore_admin the vs_* functions, vectorstore_app the api_* ones.
CREATE ROLE vs_test_nobody;
CREATE ROLE vs_test_admin IN ROLE vectorstore_admin;
CREATE ROLE vs_test_app IN ROLE vectorstore_app;
SELECT vs_create_store('secret') IS NOT NULL AS created;
SELECT vs_upsert('secret', 'the launch code is 0000', 'code');
SELECT count(*) = 1 AS key_made FROM vs_create_api_key('test', sha256('key'));
\set VERBOSITY sqlstate

SET ROLE vs_test_nobody;
SELECT * FROM vs_stores;
SELECT * FROM vs_search('secret', 'launch code');
SELECT vs_create_store('mine');
SELECT * FROM vectorstore.embeddings;
SELECT vectorstore.api_health();

SET ROLE vs_test_admin;
SELECT name FROM vs_stores;
SELECT id FROM vs_search('secret', 'launch code');
SELECT vector_dims(vs_embed('launch code'));
SELECT * FROM vectorstore.embeddings;
SELECT vectorstore.api_health();
SELECT vectorstore._store('secret');
SELECT vectorstore._migrate_0001();
SELECT * FROM vectorstore.secrets;
SELECT vectorstore._merge(1, true);
SELECT vectorstore._sweep(1);
SELECT vectorstore._want_merge(1);
SET vectorstore.background_merge = off;
SET vectorstore.tail_limit = 100;
SELECT segments, packed FROM vs_merge('secret');

SET ROLE vs_test_app;
SELECT vectorstore.api_health()->>'version';
SELECT jsonb_array_length(vectorstore.api_list_vector_stores(sha256('key'), NULL, NULL, NULL, NULL)->'data');
SELECT vectorstore.api_list_vector_stores(sha256('other'), NULL, NULL, NULL, NULL);
SELECT id FROM vs_search('secret', 'launch code');
SELECT * FROM vectorstore.api_keys;
SELECT * FROM vs_stores;

-- A table granted by mistake still shows nothing.
RESET ROLE;
GRANT SELECT ON vectorstore.embeddings TO vs_test_app;
SET ROLE vs_test_app;
SELECT count(*) FROM vectorstore.embeddings;
RESET ROLE;

-- The owner is no login, no superuser, and neither are the others.
SELECT rolname, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname LIKE 'vectorstore\_%' AND rolname NOT LIKE '%proxy' ORDER BY 1;

-- The setting may be changed by superusers alone, and misspelt ones are refused.
SET ROLE vs_test_admin;
SET vectorstore.model_path = '/etc';
SET vectorstore.modelpath = '/etc';
RESET ROLE;
\set VERBOSITY default
REVOKE SELECT ON vectorstore.embeddings FROM vs_test_app;
SELECT vs_delete_store('secret');
DROP ROLE vs_test_nobody, vs_test_admin, vs_test_app;
