-- Pages: a list that is frozen by its first page, and listings.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET vectorstore.background_merge = off;
SELECT vs_create_store('book', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT cardinality(vs_upsert('book', ARRAY(SELECT 'page ' || i FROM generate_series(1, 25) i), ARRAY(SELECT 'p' || i FROM generate_series(1, 25) i),
    ARRAY(SELECT format('[%s,%s]', 25 - i, i)::vector FROM generate_series(1, 25) i), ARRAY(SELECT jsonb_build_object('odd', i % 2 = 1) FROM generate_series(1, 25) i))) AS written;
-- All pages of a search, each with what came on it; between them a statement runs.
CREATE FUNCTION pg_temp.pages(arguments text, k integer, meanwhile text DEFAULT NULL) RETURNS TABLE (page integer, ids text) LANGUAGE plpgsql AS $$
DECLARE token text; last text;
BEGIN
    page := 0;
    LOOP
        page := page + 1;
        EXECUTE format('SELECT string_agg(h.id, '' '' ORDER BY h.place), min(h.next_page), count(DISTINCT h.next_page) <= 1
            FROM ROWS FROM (vs_search_page(''book'', %s, k => $1, page => $2)) WITH ORDINALITY AS h(id, file_id, filename, score, content, metadata, next_page, place)', arguments)
        INTO ids, token USING k, token;
        RETURN NEXT;
        EXIT WHEN token IS NULL OR page > 20;
        IF meanwhile IS NOT NULL AND page = 1 THEN
            EXECUTE meanwhile;
        END IF;
    END LOOP;
END $$;
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 10);
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 25);
SELECT * FROM pg_temp.pages($$embedding => '[1,0]', filter => '{"odd": true}'$$, 6);
SELECT * FROM pg_temp.pages($$'page 7', mode => 'keyword_only'$$, 20);
SELECT * FROM pg_temp.pages($$'zeppelin', mode => 'keyword_only'$$, 20);
-- The pages are the list of one search, scores too.
WITH first AS (SELECT * FROM vs_search_page('book', 'page 7', '[1,0]', k => 10)),
     second AS (SELECT p.* FROM (SELECT min(next_page) AS token FROM first) f, vs_search_page('book', 'page 7', '[1,0]', k => 15, page => f.token) p)
SELECT count(*) AS rows, count(s.id) AS same FROM (SELECT * FROM first UNION ALL SELECT * FROM second) p
LEFT JOIN vs_search('book', 'page 7', '[1,0]', k => 25) s ON s.id = p.id AND abs(s.score - p.score) < 1e-6;
-- Written to meanwhile: no doubles and no gaps; what was deleted is left out, what came is not there.
BEGIN;
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 10,
    $$SELECT vs_upsert('book', 'new', 'new', embedding => '[1,0]'), vs_delete('book', ARRAY['p1', 'p12', 'p13']), vs_upsert('book', 'page 15, improved', 'p15', embedding => '[1,0]')$$);
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 12);
-- A page is filled up, so that one which is all gone does not look like the end.
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 4, $$SELECT vs_delete('book', ARRAY(SELECT 'p' || i FROM generate_series(3, 20) i))$$);
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 4, $$SELECT vs_delete('book', ARRAY(SELECT 'p' || i FROM generate_series(1, 25) i))$$);
ROLLBACK;
SELECT * FROM vs_merge('book');
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 10, $$SELECT vs_delete('book', ARRAY['p14', 'p15']), vs_merge('book')$$);
SELECT vs_upsert('book', ARRAY['page 14', 'page 15'], ARRAY['p14', 'p15'], ARRAY['[11,14]', '[10,15]']::vector[], ARRAY['{"odd": false}', '{"odd": true}']::jsonb[]);
SELECT * FROM pg_temp.pages($$embedding => '[1,0]'$$, 10);

-- Without a query all chunks are listed in the order of writing, by keyset: new ones come at the end.
SELECT * FROM pg_temp.pages($$created_from => '-infinity'$$, 10);
SELECT * FROM pg_temp.pages($$filter => '{"odd": true}'$$, 5, $$SELECT vs_delete('book', 'p11'), vs_upsert('book', 'page 27', 'p27', embedding => '[1,1]', metadata => '{"odd": true}')$$);
SELECT count(*) FROM vs_search_page('book', created_to => '2000-01-01');
SELECT id, score FROM vs_search_page('book', k => 2);

-- Tokens are signed, and belong to one request.
SELECT min(next_page) AS token FROM vs_search_page('book', embedding => '[1,0]', k => 5) \gset
SELECT min(next_page) AS listing FROM vs_search_page('book', k => 5) \gset
SELECT :'token' ~ '^[A-Za-z0-9_-]+$' AS plain;
SELECT string_agg(id, ' ') FROM vs_search_page('book', embedding => '[1,0]', k => 3, page => :'token');
-- The page size may change, what is asked may not.
SELECT string_agg(id, ' ') FROM vs_search_page('book', embedding => '[1,0]', k => 5, page => :'token');
SELECT * FROM vs_search_page('book', embedding => '[0,1]', page => :'token');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', filter => '{"odd": true}', page => :'token');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', mode => 'vector_only', page => :'token');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', score_threshold => 0.5, page => :'token');
SELECT * FROM vs_search_page('book', 'page', '[1,0]', page => :'token');
SELECT * FROM vs_search_page('book', page => :'token');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', page => :'listing');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', page => 'nonsense');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', page => '');
SELECT * FROM vs_search_page('book', embedding => '[1,0]', page => repeat('A', 100000));
-- Any letter changed, any cut off, any added.
CREATE FUNCTION pg_temp.refused(token text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM vs_search_page('book', embedding => '[1,0]', page => token);
    RETURN false;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN SQLERRM LIKE 'The page token%';
END $$;
SELECT bool_and(pg_temp.refused(overlay(:'token' PLACING CASE substr(:'token', i, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM i FOR 1))) AS changed,
       bool_and(pg_temp.refused(left(:'token', i - 1))) AS cut, pg_temp.refused(:'token' || 'A') AS longer
FROM generate_series(1, length(:'token')) i;
-- Another store, and another tenant with the same question.
SELECT vs_create_store('other', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('other', 'page', 'x', embedding => '[1,0]');
SELECT * FROM vs_search_page('other', embedding => '[1,0]', page => :'token');
SELECT (vectorstore._page(s.store_id, ARRAY[NULL], ARRAY['[1,0]'::vector], '{"k": 2}', NULL, 1)).next_page AS theirs FROM vectorstore.stores s WHERE name = 'book' \gset
SELECT cardinality((vectorstore._page(s.store_id, ARRAY[NULL], ARRAY['[1,0]'::vector], '{"k": 2}', :'theirs', 1)).hits) FROM vectorstore.stores s WHERE name = 'book';
SELECT cardinality((vectorstore._page(s.store_id, ARRAY[NULL], ARRAY['[1,0]'::vector], '{"k": 2}', :'theirs', 2)).hits) FROM vectorstore.stores s WHERE name = 'book';
-- The list ends at 1,000.
SELECT cardinality(vs_upsert('other', array_fill('page'::text, ARRAY[1500]), embeddings => array_fill('[1,0]'::vector, ARRAY[1500])));
WITH RECURSIVE pages AS (
    SELECT 1 AS page, (SELECT min(next_page) FROM vs_search_page('other', embedding => '[1,0]', k => 300)) AS token, 300::bigint AS rows
    UNION ALL
    SELECT p.page + 1, n.token, n.rows FROM pages p, LATERAL (SELECT min(next_page) AS token, count(*) AS rows FROM vs_search_page('other', embedding => '[1,0]', k => 300, page => p.token)) n
    WHERE p.token IS NOT NULL)
SELECT count(*) AS pages, sum(rows) AS rows FROM pages;
WITH RECURSIVE pages AS (
    SELECT 1 AS page, (SELECT min(next_page) FROM vs_search_page('other', k => 300)) AS token, 300::bigint AS rows
    UNION ALL
    SELECT p.page + 1, n.token, n.rows FROM pages p, LATERAL (SELECT min(next_page) AS token, count(*) AS rows FROM vs_search_page('other', k => 300, page => p.token)) n
    WHERE p.token IS NOT NULL)
SELECT count(*) AS pages, sum(rows) AS rows FROM pages;
SELECT vs_delete_store('other'), vs_delete_store('book');
