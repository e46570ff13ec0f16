-- Facets: counts of metadata values, exact over segments and tail, or over the candidates of a search.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET vectorstore.background_merge = off;
SELECT vs_create_store('shop', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
-- Strings, numbers of several spellings, booleans, lists, nulls, and a key that few rows have.
CREATE FUNCTION pg_temp.metadata(i integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('colour', (ARRAY['red', 'green', 'blue', 'red', NULL])[1 + i % 5], 'price', i % 40,
        'stock', i % 3 = 0, 'mixed', (ARRAY['"1"', '1', '1.0', 'true', '"true"', '["1"]', '{"a": 1}'])[1 + i % 7]::jsonb,
        'rare', CASE WHEN i % 50 = 0 THEN 'yes' END, 'weight', (i % 4) * 2.5)) || CASE i % 3 WHEN 0 THEN '{"filename": "own.txt"}'::jsonb ELSE '{}' END
$$;
SELECT cardinality(vs_upsert('shop', ARRAY(SELECT CASE WHEN i % 2 = 0 THEN 'even ' ELSE 'odd ' END || i FROM generate_series(1, 200) i), ARRAY(SELECT 's' || i FROM generate_series(1, 200) i),
    ARRAY(SELECT format('[%s,%s]', i, 200 - i)::vector FROM generate_series(1, 200) i), ARRAY(SELECT pg_temp.metadata(i) FROM generate_series(1, 200) i))) AS written;
-- What plain SQL counts: scalars only, numbers by value.
CREATE FUNCTION pg_temp.counted(a_key text, path jsonpath DEFAULT '$') RETURNS TABLE (value jsonb, count bigint) LANGUAGE sql AS $$
    SELECT v.value, count(*) FROM vectorstore.embeddings e, LATERAL (SELECT (jsonb_build_object('filename', 'document.txt', 'file_id', e.id) || e.metadata)->a_key AS value) v
    WHERE e.store_id = vectorstore._store('shop') AND jsonb_typeof(v.value) IN ('string', 'number', 'boolean') AND (path::text = '$' OR e.metadata @@ path) GROUP BY v.value
$$;
CREATE FUNCTION pg_temp.wrong(OUT key text, OUT filter text, OUT wrong bigint) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT k.key, f.filter, (SELECT count(*) FROM pg_temp.counted(k.key, f.path::jsonpath) c
        FULL JOIN vs_facets('shop', ARRAY[k.key], filter => f.filter::jsonb, max_values => 1000) s ON s.value = c.value WHERE (s.count, s.exact) IS DISTINCT FROM (c.count, true)) AS wrong
    FROM unnest(ARRAY['colour', 'price', 'stock', 'mixed', 'rare', 'weight', 'filename', 'file_id', 'none']) AS k(key),
         (VALUES (NULL, '$'), ('{"type": "lt", "key": "price", "value": 7}', '$.price < 7'), ('{"stock": true}', '$.stock == true'), ('{"colour": "red"}', '$.colour == "red"'),
                 ('{"type": "ne", "key": "rare", "value": "yes"}', '!($.rare == "yes")'), ('{"colour": "pink"}', '$.colour == "pink"')) AS f(filter, path)
$$;
SELECT * FROM vs_facets('shop', ARRAY['colour', 'stock', 'mixed', 'rare', 'weight', 'filename', 'none']);
-- The most frequent ones, ties by value.
SELECT * FROM vs_facets('shop', ARRAY['price', 'file_id'], max_values => 3);
SELECT * FROM vs_facets('shop', ARRAY['stock', 'colour'], filter => '{"type": "lt", "key": "price", "value": 10}');
-- Ranges: from is in, to is out; what is no number is counted by itself.
SELECT * FROM vs_facets('shop', ARRAY['price', 'mixed'], boundaries => ARRAY[0, 10, 25]);
SELECT * FROM vs_facets('shop', ARRAY['weight'], boundaries => ARRAY[2.5]);
SELECT * FROM vs_facets('shop', ARRAY['weight'], boundaries => '{}');
-- Of the best candidates of a search, which is said.
SELECT * FROM vs_facets('shop', ARRAY['colour', 'filename'], embedding => '[1,0]', candidates => 20);
SELECT * FROM vs_facets('shop', ARRAY['stock'], query => 'even', mode => 'keyword_only');
SELECT * FROM vs_facets('shop', ARRAY['stock'], query => 'even', filter => '{"colour": "red"}');
SELECT * FROM vs_facets('shop', ARRAY['price'], embedding => '[1,0]', candidates => 30, boundaries => '{20}');
-- Times.
SELECT * FROM vs_facets('shop', ARRAY['stock'], created_from => '2000-01-01', created_to => 'infinity');
SELECT * FROM vs_facets('shop', ARRAY['stock'], created_to => '2000-01-01');
-- A key twice is a key once.
SELECT * FROM vs_facets('shop', ARRAY['stock', 'stock']);

SELECT * FROM pg_temp.wrong() WHERE wrong > 0;
SELECT * FROM vs_merge('shop');
SELECT * FROM pg_temp.wrong() WHERE wrong > 0;
SELECT * FROM vs_facets('shop', ARRAY['colour', 'stock', 'mixed', 'rare', 'weight', 'filename', 'none']);
-- Deleted, changed and new rows, in the tail and in two segments.
SELECT vs_delete('shop', ARRAY(SELECT 's' || i FROM generate_series(1, 200, 7) i));
SELECT cardinality(vs_upsert('shop', ARRAY(SELECT 'changed ' || i FROM generate_series(2, 200, 11) i), ARRAY(SELECT 's' || i FROM generate_series(2, 200, 11) i),
    ARRAY(SELECT '[1,0]'::vector FROM generate_series(2, 200, 11) i), ARRAY(SELECT pg_temp.metadata(i + 1) FROM generate_series(2, 200, 11) i)));
SELECT * FROM pg_temp.wrong() WHERE wrong > 0;
SELECT (vectorstore._merge(vectorstore._store('shop'), false)).segments;
SELECT cardinality(vs_upsert('shop', ARRAY(SELECT 'bulk ' || i FROM generate_series(1, 2100) i), ARRAY(SELECT 'b' || i FROM generate_series(1, 2100) i),
    ARRAY(SELECT '[1,0]'::vector FROM generate_series(1, 2100) i), ARRAY(SELECT pg_temp.metadata(i) FROM generate_series(1, 2100) i)));
SELECT vs_delete('shop', ARRAY(SELECT 'b' || i FROM generate_series(1, 2100, 3) i));
SELECT count(*) AS segments FROM vectorstore.segments WHERE store_id = vectorstore._store('shop');
-- Every chunk is its own file, and these are more than one call returns.
SELECT * FROM pg_temp.wrong() WHERE wrong > 0 AND key <> 'file_id';
SELECT segments FROM vs_merge('shop');
SELECT * FROM pg_temp.wrong() WHERE wrong > 0 AND key <> 'file_id';
SELECT * FROM vs_facets('shop', ARRAY['colour', 'stock', 'mixed', 'rare']);

-- Of files: names and ids of files, where the metadata has no such keys.
\set key 'sha256(''facets'')'
SELECT vs_create_api_key('facets', :key) IS NOT NULL AS created;
SELECT body->>'id' AS id, vectorstore._id_number('vs_', body->>'id') AS n FROM vectorstore.api_create_vector_store(:key, 'shelf', NULL, NULL, NULL, 'none', 2) body \gset
SELECT vectorstore.api_create_file(:key, 'f.txt', 'assistants', 'one two', NULL)->>'id' AS file \gset
SELECT vectorstore.api_attach_file(:n, :'id', :key, :'file', '{"filename": "mine", "shelf": 3}', '{"type": "other"}', ARRAY['none'], 'w', 30)->'job'->>'lease' AS lease \gset
SELECT vectorstore.api_finish_job(:n, :'file', :'lease', 'one two', ARRAY['one', 'two'], array_fill('[1,0]'::vector, ARRAY[2])) AS finished;
SELECT vectorstore.api_create_file(:key, 'g.txt', 'assistants', 'three', NULL)->>'id' AS other \gset
SELECT vectorstore.api_attach_file(:n, :'id', :key, :'other', NULL, '{"type": "other"}', ARRAY['none'], 'w', 30)->'job'->>'lease' AS lease \gset
SELECT vectorstore.api_finish_job(:n, :'other', :'lease', 'three', ARRAY['three'], array_fill('[1,0]'::vector, ARRAY[1])) AS finished;
SELECT vs_upsert('shelf', ARRAY['four', 'five'], ARRAY['4', '5'], array_fill('[1,0]'::vector, ARRAY[2]), ARRAY[NULL, '{"file_id": 7}']::jsonb[]);
CREATE VIEW pg_temp.shelf AS
    SELECT f.key, replace(replace(f.value::text, (SELECT min(id) FROM vectorstore.files WHERE filename = 'f.txt'), 'F'), (SELECT min(id) FROM vectorstore.files WHERE filename = 'g.txt'), 'G') AS value, f.count
    FROM vs_facets('shelf', ARRAY['filename', 'file_id', 'shelf']) f ORDER BY f.key, f.count DESC, 2;
SELECT * FROM pg_temp.shelf;
SELECT segments FROM vs_merge('shelf');
SELECT * FROM pg_temp.shelf;
SELECT vs_delete_store('shelf'), vs_delete_store('shop');
DELETE FROM vectorstore.files WHERE id IN (:'file', :'other');
DELETE FROM vectorstore.api_keys WHERE name = 'facets';
