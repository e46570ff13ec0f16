-- 3,000 generated rows: what searches find in segments, in the tail and in both is what plain SQL finds in the table.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET vectorstore.background_merge = off;
-- Enough of both that every list is read and every row ranked: exact.
SET vectorstore.rerank = 100000;
SET vectorstore.probes = 100000;
SELECT vs_create_store('equal', embedding_model => 'none', dimensions => 16, language => 'simple') IS NOT NULL AS created;
-- Numbers that look random and are the same everywhere.
CREATE FUNCTION pg_temp.random(seed integer, salt integer) RETURNS integer LANGUAGE sql AS $$ SELECT ('x' || left(md5(seed || '.' || salt), 7))::bit(28)::integer $$;
CREATE FUNCTION pg_temp.vector(seed integer) RETURNS vector LANGUAGE sql AS $$
    SELECT array_agg(pg_temp.random(seed, d) % 2001 - 1000 ORDER BY d)::vector FROM generate_series(1, 16) d $$;
-- Words by Zipf's law: the lower the number, the more often; some rows are equal, so that scores are.
CREATE FUNCTION pg_temp.content(seed integer) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg('w' || floor(200 / (1 + pg_temp.random(seed % 1000, 100 + w) % 200))::integer, ' ') FROM generate_series(1, 5 + seed % 20) w $$;
CREATE FUNCTION pg_temp.metadata(seed integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('n', seed % 1000, 'half', seed % 2 = 0, 'word', 'v' || pg_temp.random(seed, 50) % 20) || CASE WHEN seed % 100 = 0 THEN '{"rare": 1}' ELSE '{}' END::jsonb $$;
CREATE FUNCTION pg_temp.fill(first integer, last integer, step integer DEFAULT 1) RETURNS integer LANGUAGE sql AS $$
    SELECT cardinality(vs_upsert('equal', array_agg(pg_temp.content(i) ORDER BY i), array_agg('r' || i ORDER BY i), array_agg(pg_temp.vector(i) ORDER BY i), array_agg(pg_temp.metadata(i) ORDER BY i)))
    FROM generate_series(first, last, step) i $$;

CREATE TEMP TABLE filter (name text, filter jsonb, path jsonpath);
INSERT INTO filter VALUES ('none', NULL, '1 == 1'), ('half', '{"half": true}', '$.half == true'), ('twentieth', '{"word": "v7"}', '$.word == "v7"'), ('hundredth', '{"rare": 1}', '$.rare == 1'),
    ('five', '{"type": "lt", "key": "n", "value": 2}', '$.n < 2'), ('nothing', '{"word": "v99"}', '$.word == "v99"'), ('most', '{"type": "ne", "key": "rare", "value": 1}', '!($.rare == 1)'),
    ('range', '{"type": "and", "filters": [{"type": "gte", "key": "n", "value": 250}, {"type": "lt", "key": "n", "value": 300}]}', '$.n >= 250 && $.n < 300');
CREATE TEMP TABLE query AS SELECT q, format('w%s w%s w%s', 1 + q % 3, 20 / (1 + q % 7), 200 / (1 + q)) AS text, pg_temp.vector(-q) AS vector FROM generate_series(1, 6) q;

-- Every row of the store with its exact scores under every query.
CREATE FUNCTION pg_temp.exact() RETURNS TABLE (q integer, chunk_id bigint, id text, metadata jsonb, cosine float8, bm25 float8) LANGUAGE sql AS $$
    WITH doc AS MATERIALIZED (
        SELECT e.chunk_id, e.id, e.metadata, e.embedding, e.tsv, (SELECT sum(cardinality(positions)) FROM unnest(e.tsv)) AS length FROM vectorstore.embeddings e WHERE e.store_id = vectorstore._store('equal')
    ), posting AS MATERIALIZED (
        SELECT d.chunk_id, t.lexeme, cardinality(t.positions) AS tf, d.length FROM doc d, unnest(d.tsv) t
    ), idf AS MATERIALIZED (
        SELECT p.lexeme, ln(1 + (n - count(*) + 0.5) / (count(*) + 0.5)) AS idf, mean FROM posting p, (SELECT count(*) AS n, avg(length) AS mean FROM doc) s GROUP BY p.lexeme, n, mean
    ), keyword AS MATERIALIZED (
        SELECT q.q, p.chunk_id, sum(cardinality(t.positions) * i.idf * p.tf / (p.tf + 1.2 * (0.25 + 0.75 * p.length / i.mean)))::float8 AS bm25
        FROM query q, unnest(to_tsvector('simple', q.text)) t JOIN posting p USING (lexeme) JOIN idf i USING (lexeme) GROUP BY q.q, p.chunk_id
    )
    SELECT q.q, d.chunk_id, d.id, d.metadata, 1 - (d.embedding <=> q.vector), coalesce(k.bm25, 0) FROM query q CROSS JOIN doc d LEFT JOIN keyword k ON k.q = q.q AND k.chunk_id = d.chunk_id
$$;
-- Searches whose answer is not the exact one, place by place: scores to 1e-5, chunks up to the order of scores that close.
-- Hybrid fuses what the legs found, so its best are compared, and every score.
CREATE FUNCTION pg_temp.differences() RETURNS TABLE (mode text, searches bigint, rows bigint, short bigint, scores bigint, ranks bigint, foreign_rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS pg_temp.truth;
    CREATE TEMP TABLE truth AS SELECT x.*, (1 + x.cosine) / 2 AS vector_only, x.bm25 / (x.bm25 + 10) AS keyword_only, 0.35 * (1 + x.cosine) + 0.3 * x.bm25 / (x.bm25 + 10) AS hybrid FROM pg_temp.exact() x;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT m.mode, f.name, q.q, h.place, h.id, h.score
        FROM unnest(ARRAY['vector_only', 'keyword_only', 'hybrid']) AS m(mode) CROSS JOIN filter f CROSS JOIN query q
        LEFT JOIN LATERAL ROWS FROM (vs_search('equal', CASE WHEN m.mode <> 'vector_only' THEN q.text END, CASE WHEN m.mode <> 'keyword_only' THEN q.vector END, k => 20, mode => m.mode, filter => f.filter))
            WITH ORDINALITY AS h(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, place) ON true
    ), best AS MATERIALIZED (
        SELECT m.mode, f.name, t.q, t.id, s.score, row_number() OVER (PARTITION BY m.mode, f.name, t.q ORDER BY s.score DESC, t.chunk_id) AS place
        FROM unnest(ARRAY['vector_only', 'keyword_only', 'hybrid']) AS m(mode) CROSS JOIN filter f CROSS JOIN truth t
        CROSS JOIN LATERAL (SELECT CASE m.mode WHEN 'vector_only' THEN t.vector_only WHEN 'keyword_only' THEN t.keyword_only ELSE t.hybrid END) AS s(score)
        WHERE t.metadata @@ f.path AND (m.mode <> 'keyword_only' OR t.bm25 > 0)
    )
    SELECT a.mode, count(DISTINCT (a.name, a.q)), count(a.id),
           (SELECT count(*) FROM best b WHERE b.mode = a.mode AND b.place <= 20) - count(a.id),
           count(*) FILTER (WHERE abs(a.score - own.score) > 1e-5), count(*) FILTER (WHERE abs(a.score - b.score) > 1e-5), count(*) FILTER (WHERE a.id IS NOT NULL AND own.id IS NULL)
    FROM asked a LEFT JOIN best b USING (mode, name, q, place) LEFT JOIN best own ON (own.mode, own.name, own.q, own.id) = (a.mode, a.name, a.q, a.id)
    GROUP BY a.mode ORDER BY a.mode;
END $$;

-- All in the tail.
SELECT pg_temp.fill(1, 1000), pg_temp.fill(1001, 2000), pg_temp.fill(2001, 3000);
SELECT count(*) AS segments FROM vectorstore.segments WHERE store_id = vectorstore._store('equal');
SELECT * FROM pg_temp.differences();
-- Equal scores by the order of writing, everywhere: an answer is a prefix of a longer one.
CREATE TEMP TABLE tail AS SELECT q.q, h.* FROM query q, LATERAL ROWS FROM (vs_search('equal', q.text, k => 300, mode => 'keyword_only')) WITH ORDINALITY AS h(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, place);
SELECT count(*) AS rows, count(*) - count(DISTINCT (q, score)) > 100 AS many_ties FROM tail;
SELECT count(*) AS other_order FROM (SELECT t.*, lag(e.chunk_id) OVER w AS before, e.chunk_id, lag(t.score) OVER w AS score_before FROM tail t JOIN vectorstore.embeddings e ON e.store_id = vectorstore._store('equal') AND e.id = t.id WINDOW w AS (PARTITION BY q ORDER BY place)) t
WHERE score_before < score OR score_before = score AND before > chunk_id;
-- All in one segment.
SELECT * FROM vs_merge('equal');
SELECT * FROM pg_temp.differences();
SELECT count(*) AS changed FROM tail t JOIN query q USING (q), LATERAL (SELECT h.* FROM ROWS FROM (vs_search('equal', q.text, k => t.place::integer, mode => 'keyword_only')) WITH ORDINALITY AS h(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, place) WHERE h.place = t.place) h
WHERE t.place % 37 = 1 AND (h.id, h.score) IS DISTINCT FROM (t.id, t.score);
-- Deleted, changed and new rows beside it.
SELECT vs_delete('equal', ARRAY(SELECT 'r' || i FROM generate_series(5, 3000, 9) i));
SELECT pg_temp.fill(3, 3000, 13), pg_temp.fill(3001, 3400);
SELECT * FROM pg_temp.differences();
-- Merged by the rules: the deleted ones are marked, and the tail is a segment of its own; then another one, in bulk, and a tail.
SET vectorstore.tail_limit = 500;
SELECT (vectorstore._merge(vectorstore._store('equal'), false)).segments;
SELECT pg_temp.fill(3401, 5600);
SELECT vs_delete('equal', ARRAY(SELECT 'r' || i FROM generate_series(7, 5600, 17) i));
SELECT pg_temp.fill(5601, 5700), pg_temp.fill(4, 5600, 101);
SELECT count(*) AS segments, count(deleted) AS marked FROM vectorstore.segments WHERE store_id = vectorstore._store('equal');
SELECT * FROM pg_temp.differences();
SELECT segments, packed = (SELECT chunks FROM vs_stores WHERE name = 'equal') AS all_packed FROM vs_merge('equal');
SELECT * FROM pg_temp.differences();
-- By default codes choose the rows that are ranked exactly. What is found has exact scores; what is missed is little.
RESET vectorstore.rerank;
RESET vectorstore.probes;
SELECT avg((SELECT count(*) FROM vs_search('equal', embedding => q.vector, k => 10) h
            JOIN (SELECT t.id FROM truth t WHERE t.q = q.q ORDER BY t.cosine DESC LIMIT 10) b USING (id))) >= 9 AS recalled,
       bool_and((SELECT bool_and(abs(h.score - t.vector_only) < 1e-6) FROM vs_search('equal', embedding => q.vector, k => 10) h JOIN truth t ON t.q = q.q AND t.id = h.id)) AS exact_scores FROM query q;
SELECT vs_delete_store('equal');
