-- Every argument of the search functions that cannot be used is refused with 22023 and a DETAIL that names it.
\set SHOW_CONTEXT never
SELECT vs_create_store('plane', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('plane', 'x', 'x', embedding => '[1,0]');
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN format('%s %s: %s', code, nullif(detail, '')::jsonb->>'param', message);
END $$;
CREATE TEMP TABLE argument (place serial, call text);
INSERT INTO argument (call) VALUES
    ($$'x', k => NULL$$), ($$'x', k => 0$$), ($$'x', k => -1$$), ($$'x', k => 10001$$),
    ($$'x', mode => NULL$$), ($$'x', mode => 'vector'$$), ($$'x', '[1,0]', mode => ''$$),
    ($$'x', '[1,0]', vector_weight => -0.1$$), ($$'x', '[1,0]', keyword_weight => -1$$), ($$'x', '[1,0]', vector_weight => NULL$$), ($$'x', '[1,0]', keyword_weight => NULL$$),
    ($$'x', '[1,0]', vector_weight => 'NaN'$$), ($$'x', '[1,0]', keyword_weight => 'infinity'$$), ($$'x', '[1,0]', vector_weight => '-infinity'$$),
    ($$'x', '[1,0]', vector_weight => 1e308, keyword_weight => 1e308$$), ($$'x', '[1,0]', vector_weight => 0, keyword_weight => 0$$),
    ($$'x', filter => '[]'$$), ($$'x', filter => '{"type": "like", "key": "a", "value": "b"}'$$),
    ($$'x', score_threshold => NULL$$), ($$'x', score_threshold => -0.01$$), ($$'x', score_threshold => 1.01$$), ($$'x', score_threshold => 'NaN'$$), ($$'x', score_threshold => 'infinity'$$),
    ($$'x', fusion => 'magic'$$), ($$'x', fusion => ''$$), ($$'x', fusion => NULL$$),
    ($$' '$$), ($$repeat('x', 8193)$$), ($$NULL, NULL, mode => 'keyword_only'$$),
    ($$'x', mode => 'vector_only'$$), ($$NULL, '[1,0]', mode => 'keyword_only'$$), ($$NULL, '[1]'$$), ($$'x', '[1,0,0]'$$), ($$'x', '[0,0]'$$), ($$'x', '[NaN,0]'$$);
SELECT call, pg_temp.refused(format('SELECT vs_search(''plane'', %s)', call)) AS vs_search FROM argument ORDER BY place;
-- A page of a search refuses the same. Without any query it is a listing, which has no scores.
SELECT a.call, pg_temp.refused(format('SELECT vs_search_page(''plane'', %s)', call)) AS vs_search_page FROM argument a
WHERE pg_temp.refused(format('SELECT vs_search_page(''plane'', %s)', call)) <> pg_temp.refused(format('SELECT vs_search(''plane'', %s)', call)) ORDER BY a.place;
SELECT call, pg_temp.refused(format('SELECT vs_search(''plane'', %s)', call)) AS vs_search FROM (VALUES
    (1, $$'x', fusion => 'rrf', rrf_k => -1$$), (2, $$'x', fusion => 'rrf', rrf_k => 'NaN'$$), (3, $$'x', fusion => 'rrf', rrf_k => 'infinity'$$), (4, $$'x', rrf_k => NULL$$),
    (5, $$queries => '{}'$$), (6, $$queries => '{NULL}'$$), (7, $$queries => '{x,""}'$$), (8, $$embeddings => '{"[1,0]","[1]"}'$$), (9, $$embeddings => '{"[1,0]","[0,0]"}'$$),
    (10, $$queries => array_fill('x'::text, ARRAY[65])$$), (11, $$'x', queries => array_fill('x'::text, ARRAY[64])$$), (12, $$queries => array_fill('x'::text, ARRAY[60]), negative_queries => array_fill('y'::text, ARRAY[5])$$),
    (13, $$queries => array_fill('x'::text, ARRAY[64])$$),
    (14, $$negative_queries => '{x}'$$), (15, $$negative_embeddings => '{"[1,0]"}'$$), (16, $$'x', negative_queries => '{""}'$$), (17, $$'x', '[1,0]', negative_embeddings => '{"[1,0,0]"}'$$),
    (18, $$'x', negative_queries => '{y}', negative_weight => -1$$), (19, $$'x', negative_queries => '{y}', negative_weight => 'NaN'$$), (20, $$'x', negative_queries => '{y}', negative_weight => 'infinity'$$), (21, $$'x', negative_queries => '{y}', negative_weight => NULL$$),
    (22, $$queries => '{x,y}', combine => 'min'$$), (23, $$queries => '{x,y}', combine => NULL$$), (24, $$queries => '{x,y}', combine => ''$$),
    (25, $$'x', vector_threshold => -1$$), (26, $$'x', vector_threshold => 2$$), (27, $$'x', vector_threshold => 'NaN'$$), (28, $$'x', vector_threshold => NULL$$),
    (29, $$'x', keyword_threshold => -1$$), (30, $$'x', keyword_threshold => 1.5$$), (31, $$'x', keyword_threshold => 'infinity'$$), (32, $$'x', keyword_threshold => NULL$$),
    (33, $$'x', group_by => 'a', group_size => 0$$), (34, $$'x', group_by => 'a', group_size => 1001$$), (35, $$'x', group_by => 'a', group_size => NULL$$)
) AS c(place, call) ORDER BY place;
SELECT call, pg_temp.refused(format('SELECT vs_search_page(''plane'', %s)', call)) AS vs_search_page FROM (VALUES
    (1, $$k => 0$$), (2, $$k => NULL$$), (3, $$k => 10001$$), (4, $$filter => '{"type": "eq"}'$$), (5, $$page => 'x'$$), (6, $$'x', page => 'x'$$), (7, $$'x', page => ''$$), (8, $$k => 5$$)
) AS c(place, call) ORDER BY place;
SELECT call, pg_temp.refused(format('SELECT vs_facets(''plane'', %s)', call)) AS vs_facets FROM (VALUES
    (1, $$NULL$$), (2, $$'{}'$$), (3, $$'{a,NULL}'$$), (4, $$array_fill('a'::text, ARRAY[33])$$), (5, $$'{a}', filter => '{"type": "eq"}'$$), (6, $$'{a}', filter => '3'$$),
    (7, $$'{a}', max_values => 0$$), (8, $$'{a}', max_values => 1001$$), (9, $$'{a}', max_values => NULL$$),
    (10, $$'{a}', query => 'x', candidates => 0$$), (11, $$'{a}', query => 'x', candidates => 10001$$), (12, $$'{a}', query => 'x', candidates => NULL$$),
    (13, $$'{a}', query => 'x', mode => 'magic'$$), (14, $$'{a}', query => ''$$), (15, $$'{a}', embedding => '[1,0,0]'$$), (16, $$'{a}', embedding => '[0,0]'$$),
    (17, $$'{a}', boundaries => '{2,1}'$$), (18, $$'{a}', boundaries => '{1,1}'$$), (19, $$'{a}', boundaries => '{1,NULL}'$$), (20, $$'{a}', boundaries => '{NaN}'$$), (21, $$'{a}', boundaries => '{-infinity,0}'$$), (22, $$'{a}', boundaries => '{{1,2},{3,4}}'$$), (23, $$'{a}'$$)
) AS c(place, call) ORDER BY place;
-- Stores.
SELECT pg_temp.refused(format(call, store)) FROM (VALUES ('SELECT vs_search(%s, ''x'')'), ('SELECT vs_search_page(%s, ''x'')'), ('SELECT vs_facets(%s, ''{a}'')')) AS c(call), (VALUES ('NULL'), ('''nowhere'''), ('''''')) AS s(store);
SELECT vs_update_store('plane', expires_after_days => 1);
UPDATE vectorstore.stores SET last_active_at = now() - interval '25 hours' WHERE name = 'plane';
SELECT regexp_replace(pg_temp.refused(call), 'vs_[a-z2-7]{32}', 'vs_ID') FROM (VALUES ('SELECT vs_search(''plane'', ''x'')'), ('SELECT vs_search_page(''plane'', ''x'')'), ('SELECT vs_search_page(''plane'')'), ('SELECT vs_facets(''plane'', ''{a}'')')) AS c(call);
SELECT vs_delete_store('plane');
