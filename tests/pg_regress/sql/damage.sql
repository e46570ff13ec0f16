-- A damaged segment is an error with a remedy, never a guess: the rows are whole, and segments are made anew from them.
\set SHOW_CONTEXT never
SET vectorstore.background_merge = off;
SELECT vs_create_store('frail', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
-- Nothing to make anew.
SELECT vs_rebuild('frail');
SELECT cardinality(vs_upsert('frail', ARRAY(SELECT 'word number ' || i FROM generate_series(1, 700) i), ARRAY(SELECT 'f' || i FROM generate_series(1, 700) i),
    ARRAY(SELECT format('[%s,%s]', i, 700 - i)::vector FROM generate_series(1, 700) i), ARRAY(SELECT jsonb_build_object('n', i % 7) FROM generate_series(1, 700) i)));
-- A store without segments gets one; one with a segment, a tail and deleted rows too.
SELECT vs_rebuild('frail');
SELECT vs_delete('frail', ARRAY['f1', 'f2', 'f3']);
SELECT vs_upsert('frail', 'word and more', 'f701', embedding => '[1,1]');
SELECT vs_rebuild('frail');
SELECT (SELECT sum(rows) FROM vectorstore.segments WHERE store_id = s) AS rows, (SELECT count(*) FROM vectorstore.changes WHERE store_id = s) AS notes,
       (SELECT added - packed FROM vectorstore.store_counters JOIN vectorstore.search_indexes USING (store_id) WHERE store_id = s) AS waiting FROM vectorstore._store('frail') AS s;
SELECT count(*) FROM vs_search('frail', 'word', '[1,0]', k => 1000);

-- Pages of other bytes.
UPDATE vectorstore.segment_pages SET data = decode(repeat('ff', octet_length(data)), 'hex') WHERE store_id = vectorstore._store('frail');
-- A new session knows nothing of the segment yet.
\c -
\set VERBOSITY sqlstate
SET vectorstore.background_merge = off;
SELECT count(*) FROM vs_search('frail', 'word', '[1,0]', k => 1000);
SELECT count(*) FROM vs_facets('frail', ARRAY['n']);
SELECT * FROM vs_merge('frail');
SELECT count(*) FROM vs_search_page('frail', k => 1000);
SELECT vs_rebuild('frail');
SELECT count(*) FROM vs_search('frail', 'word', '[1,0]', k => 1000);
-- No pages at all, and no header.
DELETE FROM vectorstore.segment_pages WHERE store_id = vectorstore._store('frail');
\c -
SET vectorstore.background_merge = off;
SELECT count(*) FROM vs_search('frail', 'word', '[1,0]', k => 1000);
UPDATE vectorstore.segments SET header = '' WHERE store_id = vectorstore._store('frail');
SELECT count(*) FROM vs_search('frail', 'word', '[1,0]', k => 1000);
SELECT vs_rebuild('frail');
SELECT count(*) FROM vs_search('frail', 'word', '[1,0]', k => 1000);
SELECT * FROM vs_facets('frail', ARRAY['n'], max_values => 2);
\set VERBOSITY default
SELECT vs_delete_store('frail');
