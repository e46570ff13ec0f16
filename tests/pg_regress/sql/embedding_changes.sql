-- Chunks one by one: changed, listed, deleted by a filter.
\set SHOW_CONTEXT never
SELECT vs_create_store('chunks', embedding_model => 'none', dimensions => 2) AS store \gset
SELECT vs_upsert('chunks', ARRAY['one', 'two', 'three'], ARRAY['1', '2', '3'], ARRAY['[1,0]', '[0,1]', '[1,1]']::vector[], ARRAY['{"n": 1}', '{"n": 2}', '{"n": 3}']::jsonb[]);
SELECT vs_update('chunks', '1', metadata => '{"n": 10}'), vs_update('chunks', '1', content => 'uno', embedding => '[0.6,0.8]', expected_version => 2);
SELECT id, content, metadata, embedding, version FROM vs_get('chunks', '1');
SELECT id FROM vs_search('chunks', 'uno', mode => 'keyword_only');
SELECT id, version FROM vs_list('chunks');
SELECT id FROM vs_list('chunks', 1, '2');
SELECT id FROM vs_list('chunks', filter => '{"type": "gt", "key": "n", "value": 2}');
SELECT chunks, usage_bytes FROM vs_stores WHERE name = 'chunks';
\set VERBOSITY terse
SELECT vs_update('chunks', '1', content => 'x', embedding => '[1,0]', expected_version => 1);
SELECT vs_update('chunks', '1', content => 'without a vector');
SELECT vs_update('chunks', '1', embedding => '[1,0,0]');
SELECT vs_update('chunks', '9', content => 'x');
SELECT vs_list('chunks', after => '9');
SELECT vs_list('chunks', 0);
SELECT vs_delete_where('chunks', '{"n": 10}', expected_count => 2);
SELECT vs_delete_where('chunks', '{}');
SELECT vs_delete_where('chunks', NULL);
SELECT vs_delete_store('chunks', 'restrict');
SELECT vs_delete_store('chunks', 'gently');
\set VERBOSITY default
SELECT vs_delete_where('chunks', '{"n": 10}', dry_run => true), vs_delete_where('chunks', '{"n": 10}', expected_count => 1), vs_delete_where('chunks', '{"n": 10}');
SELECT vs_delete_where('chunks', '{}', expected_count => 2);
SELECT chunks, usage_bytes FROM vs_stores WHERE name = 'chunks';
SELECT vs_delete_store('chunks', mode => 'restrict');
