-- Tenants: who works for which, and that nobody sees anything of another.
CREATE ROLE vs_red LOGIN;
CREATE ROLE vs_blue LOGIN;
CREATE ROLE vs_blue_readers;
CREATE ROLE vs_reader LOGIN IN ROLE vs_blue_readers;
CREATE ROLE vs_both LOGIN;
CREATE ROLE vs_stranger LOGIN;
\set VERBOSITY terse
SELECT vs_create_tenant('red', 'Red Ltd'), vs_create_tenant('blue');
SELECT vs_create_tenant('red');
SELECT vs_create_tenant('Not An Id');
SELECT vs_grant_tenant('vs_red', 'red', 'admin'), vs_grant_tenant('vs_blue', 'blue'), vs_grant_tenant('vs_blue_readers', 'blue', 'read');
SELECT vs_grant_tenant('vs_both', 'red', 'read'), vs_grant_tenant('vs_both', 'blue', 'write');
SELECT vs_grant_tenant('vs_red', 'green'), vs_grant_tenant('vs_red', 'red', 'own');
SELECT vs_grant_tenant('vs_nobody', 'red');

SET ROLE vs_red;
SELECT vs_create_store('docs', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('docs', 'red secret', 'r', embedding => '[1,0]');
SELECT name, chunks FROM vs_stores;
SELECT vs_create_api_key('k', sha256('red'), role => 'write', stores => '{docs}', allowed_ips => '{10.0.0.0/8}') ~ '^key_' AS made;
SELECT name, role, cardinality(stores), allowed_ips, status FROM vs_api_keys;
-- Nobody gives more than they have, and tenants are not theirs.
SELECT vs_create_api_key('k', sha256('red2'), role => 'operator');
SELECT vs_create_api_key('k', sha256('red2'), tenant => 'blue');
SELECT vs_create_tenant('green');
SELECT vs_grant_tenant('vs_red', 'blue');
SELECT vs_set_tenant('blue');
SELECT id, name, stores, roles FROM vs_tenants;
SELECT vs_install();
SELECT count(*) FILTER (WHERE key_id IS NOT NULL) AS by_keys FROM vs_usage_logs('-infinity');
SELECT * FROM vs_usage_logs(key => 'key_none');
SELECT * FROM vs_usage_logs(store => 'nowhere');
RESET ROLE;

SET ROLE vs_blue;
SELECT name FROM vs_stores;
SELECT * FROM vs_search('docs', 'secret');
SELECT vs_create_store('docs', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('docs', 'blue secret', 'b', embedding => '[1,0]');
SELECT id, content FROM vs_search('docs', 'secret', mode => 'keyword_only');
-- The other's store by its id does not exist, like one that nobody has.
RESET ROLE;
SELECT s.id AS red_store FROM vectorstore.stores s JOIN vectorstore.tenants t USING (tenant_id) WHERE t.id = 'red' \gset
SET ROLE vs_blue;
\set VERBOSITY sqlstate
SELECT count(*) FROM vs_search(:'red_store', 'secret');
SELECT vs_delete_store(:'red_store');
\set VERBOSITY terse
-- Not an administrator: no keys, and no log of their use.
SELECT count(*) FROM vs_usage_logs();
SELECT vs_create_api_key('k', sha256('blue'));
SELECT count(*) FROM vs_api_keys;
SELECT vs_expire();
-- A setting says nothing about who somebody is.
SET vectorstore.tenant = 'red';
RESET ROLE;

-- Through membership, reading only.
SET ROLE vs_reader;
SELECT id FROM vs_search('docs', 'secret', mode => 'keyword_only');
SELECT vs_upsert('docs', 'mine', embedding => '[1,0]');
SELECT vs_delete('docs', 'b');
RESET ROLE;

SET ROLE vs_both;
SELECT count(*) FROM vs_stores;
SELECT vs_set_tenant('blue');
SELECT id FROM vs_search('docs', 'secret', mode => 'keyword_only');
SELECT vs_set_tenant('red');
SELECT id FROM vs_search('docs', 'secret', mode => 'keyword_only');
SELECT vs_upsert('docs', 'mine', embedding => '[1,0]');
SELECT vs_set_tenant('default');
RESET ROLE;
-- Another role of the session has not chosen.
SELECT count(*) FROM vs_stores WHERE name = 'docs';

SET ROLE vs_stranger;
SELECT count(*) FROM vs_stores;
RESET ROLE;
GRANT vectorstore_user TO vs_stranger;
SET ROLE vs_stranger;
SELECT count(*) FROM vs_stores;
RESET ROLE;

-- Superusers choose any, and each function that is theirs is called with their rights.
SELECT vs_set_tenant('red');
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
SELECT vs_set_tenant('nowhere');
SELECT vs_set_tenant(NULL);

-- The choice ends as a setting does, and a setting gives nobody what is not theirs.
SELECT vs_set_tenant('red');
BEGIN;
SELECT vs_set_tenant('blue');
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
ROLLBACK;
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
DISCARD ALL;
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
SELECT vs_set_tenant('blue') FROM generate_series(1, 3);
RESET ALL;
SELECT count(*) FROM vs_stores WHERE name = 'docs';
SET ROLE vs_both;
SELECT vs_set_tenant('red');
RESET ROLE;
SELECT vs_revoke_tenant('vs_both', 'red');
SET ROLE vs_both;
-- What is taken away is not replaced by the tenant that is left, which needs no choice.
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
SELECT vs_set_tenant(NULL);
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
-- A choice of the superuser's, and none.
SET vectorstore.tenant_choice = 1;
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
SET vectorstore.tenant_choice = 99;
SELECT content FROM vs_search('docs', 'secret', mode => 'keyword_only');
RESET vectorstore.tenant_choice;
RESET ROLE;
SELECT count(*) FROM pg_settings WHERE name = 'vectorstore.tenant_choice';

-- A second wall: a role that was given a table sees the rows of its tenant.
GRANT USAGE ON SCHEMA vectorstore TO vs_red, vs_stranger;
GRANT SELECT ON vectorstore.embeddings, vectorstore.stores, vectorstore.segments TO vs_red, vs_stranger;
SET ROLE vs_red;
SELECT content FROM vectorstore.embeddings;
SELECT name FROM vectorstore.stores;
SELECT count(*) FROM vectorstore.segments;
RESET ROLE;
SET ROLE vs_stranger;
SELECT count(*) FROM vectorstore.embeddings;
RESET ROLE;
REVOKE ALL ON vectorstore.embeddings, vectorstore.stores, vectorstore.segments FROM vs_red, vs_stranger;
REVOKE USAGE ON SCHEMA vectorstore FROM vs_red, vs_stranger;

-- Keys over the functions of the proxy: role, scope, address, rotation, end.
SELECT vectorstore.api_list_vector_stores(sha256('red') || '\x0a010203', NULL, NULL, NULL, NULL)->'data'->0->>'name' AS store;
SELECT vectorstore.api_list_vector_stores(sha256('red') || '\x0b010203', NULL, NULL, NULL, NULL);
SELECT vectorstore.api_list_vector_stores(sha256('red'), NULL, NULL, NULL, NULL);
SELECT vectorstore.api_create_vector_store(sha256('red') || '\x0a010203', 'more', NULL, NULL, NULL, 'none', 2);
SELECT vectorstore.api_list_api_keys(sha256('red') || '\x0a010203', NULL, NULL, NULL, NULL, NULL);
SELECT vs_set_tenant('red');
SELECT id AS key FROM vs_api_keys \gset
SELECT vs_update_api_key(:'key', '{"allowed_ips": null, "vector_store_ids": []}');
SELECT vectorstore.api_list_vector_stores(sha256('red'), NULL, NULL, NULL, NULL)->'data' AS none;
SELECT vs_update_api_key(:'key', '{"vector_store_ids": null}');
SELECT vectorstore.api_list_vector_stores(sha256('red'), NULL, NULL, NULL, NULL)->'data'->0->>'name' AS store;
SELECT vs_rotate_api_key(:'key', sha256('red again'), '0') ~ '^key_' AS rotated;
SELECT vectorstore.api_check_key(sha256('red'));
SELECT vectorstore.api_check_key(sha256('red again'));
SELECT vs_update_api_key(:'key', '{"role": "king"}');
SELECT vs_update_api_key(:'key', '{"allowed_ips": ["10.0.0.1/8"]}');
SELECT vs_update_api_key(:'key', '{"filter": {"type": "eq", "key": "a", "value": 1}}');
SELECT vs_update_api_key('key_unknown', '{}');
SELECT name, role, status FROM vs_api_keys ORDER BY created_at;
SELECT vs_delete_api_key(:'key');
SELECT actor = current_user AS by_role, action, detail - '{overlap,vector_store_ids}'::text[] AS detail FROM vs_audit_log WHERE action <> 'tenant.created' ORDER BY at;

-- Deleting.
SELECT vs_set_tenant(NULL);
SELECT vs_delete_tenant('red');
SELECT vs_delete_tenant('red', 'cascade'), vs_delete_tenant('blue', 'cascade');
SELECT vs_delete_tenant('default', 'cascade');
SELECT vectorstore.api_check_key(sha256('red again'));
SELECT vs_sweep() >= 0 AS swept;
SELECT count(*) FROM vectorstore.embeddings WHERE content LIKE '%secret';
DROP ROLE vs_red, vs_blue, vs_reader, vs_blue_readers, vs_both, vs_stranger;
