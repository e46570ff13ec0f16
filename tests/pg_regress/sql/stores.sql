-- Stores for SQL users.
\set SHOW_CONTEXT never
SELECT vs_create_store('docs', 'Product documentation', '{"team": "support"}', language => 'german', expires_after_days => 7) AS id \gset
SELECT name, description, metadata, expires_at - last_active_at AS expires FROM vs_stores WHERE id = :'id';
SELECT vs_create_store('vectors', embedding_model => 'none', dimensions => 3) IS NOT NULL AS created;
SELECT name, embedding_model, dimensions FROM vs_stores ORDER BY name;

-- By id or by name.
SELECT vs_update_store(:'id', name => 'handbook');
SELECT vs_update_store('handbook', description => 'Changed', metadata => '{}');
SELECT name, description, metadata FROM vs_stores WHERE id = :'id';

-- A name that is taken stays taken.
SELECT vs_update_store('handbook', name => 'vectors');
-- A name that two stores bear does not say which is meant; its id does.
SELECT vectorstore.api_create_vector_store(sha256('key'), 'twin', NULL, NULL, NULL, NULL, NULL) IS NOT NULL AS created FROM generate_series(1, 2);
SELECT vs_update_store('twin', description => 'x');
SELECT vs_delete_store(id) FROM vs_stores WHERE name = 'twin';

SELECT vs_delete_store('handbook');
SELECT vs_delete_store('handbook');
SELECT vs_delete_store('vectors');
SELECT count(*) FROM vs_stores;

-- Names are data, never code.
SELECT vs_create_store(E'"; DROP TABLE stores; --\n\\! echo') IS NOT NULL AS created;
SELECT vs_upsert(E'"; DROP TABLE stores; --\n\\! echo', E'it''s "quoted" \\ $1', E'i''d');
SELECT id, content FROM vs_search(E'"; DROP TABLE stores; --\n\\! echo', E'quoted '' & | ! <-> ( :* "');
SELECT vs_delete_store(E'"; DROP TABLE stores; --\n\\! echo');
