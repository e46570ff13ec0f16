-- Filters: the grammar of the OpenAI API over metadata, inside both legs.
\set SHOW_CONTEXT never
SELECT vs_create_store('goods', embedding_model => 'none', dimensions => 1) IS NOT NULL AS created;
SELECT vs_upsert('goods', ARRAY['red apple', 'green apple', 'blue ball', 'red ball', 'no data'], ARRAY['1', '2', '3', '4', '5'],
    array_fill('[1]'::vector, ARRAY[5]),
    ARRAY['{"colour": "red", "price": 3, "fresh": true}', '{"colour": "green", "price": 2.5, "fresh": true}',
          '{"colour": "blue", "price": 10, "filename": "ball.md"}', '{"colour": "red", "price": "10"}', NULL]::jsonb[]) IS NOT NULL AS written;
PREPARE f(jsonb) AS SELECT string_agg(id, ' ' ORDER BY id) FROM vs_search('goods', embedding => '[1]', filter => $1);
EXECUTE f('{"type": "eq", "key": "colour", "value": "red"}');
EXECUTE f('{"type": "ne", "key": "colour", "value": "red"}');
EXECUTE f('{"type": "gt", "key": "price", "value": 2.5}');
EXECUTE f('{"type": "gte", "key": "price", "value": 2.5}');
EXECUTE f('{"type": "lt", "key": "price", "value": 10}');
EXECUTE f('{"type": "lte", "key": "price", "value": 10.0}');
EXECUTE f('{"type": "eq", "key": "price", "value": "10"}');
EXECUTE f('{"type": "in", "key": "colour", "value": ["blue", "green"]}');
EXECUTE f('{"type": "nin", "key": "colour", "value": ["blue", "green"]}');
EXECUTE f('{"type": "in", "key": "colour", "value": []}');
EXECUTE f('{"type": "eq", "key": "fresh", "value": true}');
EXECUTE f('{"type": "and", "filters": [{"type": "eq", "key": "colour", "value": "red"}, {"type": "gt", "key": "price", "value": 1}]}');
EXECUTE f('{"type": "or", "filters": [{"type": "eq", "key": "colour", "value": "blue"}, {"type": "eq", "key": "fresh", "value": true}]}');
EXECUTE f('{"type": "and", "filters": []}');
EXECUTE f('{"type": "or", "filters": []}');
-- A flat map, the other name of key, and the virtual keys.
EXECUTE f('{"colour": "red", "fresh": true}');
EXECUTE f('{"type": "eq", "property": "colour", "value": "red"}');
EXECUTE f('{"type": "eq", "key": "filename", "value": "ball.md"}');
EXECUTE f('{"type": "eq", "key": "file_id", "value": "3"}');
-- Nothing of a value leaves its quotes.
EXECUTE f('{"type": "eq", "key": "a\" || true || \"", "value": "x\\\" || (1==1)"}');
-- A filter applies before the cut: k rows while k match. Scores do not change with it.
SELECT id FROM vs_search('goods', embedding => '[1]', k => 1, filter => '{"type": "eq", "key": "colour", "value": "blue"}');
SELECT a.id, a.score = b.score AS same_score
FROM vs_search('goods', 'red ball', mode => 'keyword_only', filter => '{"type": "eq", "key": "colour", "value": "blue"}') a
JOIN vs_search('goods', 'red ball', mode => 'keyword_only') b USING (id);
-- Bad filters name the bad part.
EXECUTE f('{"type": "like", "key": "colour", "value": "r"}');
EXECUTE f('{"type": "in", "key": "colour", "value": "red"}');
EXECUTE f('{"type": "eq", "key": "colour"}');
EXECUTE f('{"type": "and", "filters": [{"type": "eq", "key": "a", "value": 1}, {"type": "or"}]}');
EXECUTE f('[]');
DEALLOCATE f;
SELECT vs_delete_store('goods');
