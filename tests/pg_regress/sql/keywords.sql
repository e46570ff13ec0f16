-- BM25 against the formula written out in SQL, term by term. The engine sums in single precision.
\set SHOW_CONTEXT never
SELECT vs_create_store('verse', embedding_model => 'none', dimensions => 1) IS NOT NULL AS created;
SELECT vs_upsert('verse', ARRAY[
    'the cat sat on the mat', 'the dog sat on the cat and the cat ran', 'a mat is a small carpet', 'dogs and cats and dogs',
    'nothing of this kind'], embeddings => array_fill('[1]'::vector, ARRAY[5])) IS NOT NULL AS written;
WITH query AS (
    SELECT lexeme, cardinality(positions) AS times FROM unnest(to_tsvector('english', 'cat dog mat dog'))
), doc AS (
    SELECT e.chunk_id, t.lexeme, cardinality(t.positions) AS tf,
           (SELECT sum(cardinality(u.positions)) FROM unnest(e.tsv) u) AS len
    FROM vectorstore.embeddings e, unnest(e.tsv) t WHERE e.store_id = vectorstore._store('verse')
), stat AS (
    SELECT count(*) AS n, avg(len) AS avg_len FROM (
        SELECT (SELECT coalesce(sum(cardinality(u.positions)), 0) FROM unnest(e.tsv) u) AS len
        FROM vectorstore.embeddings e WHERE e.store_id = vectorstore._store('verse')) l
), expected AS (
    SELECT d.chunk_id, sum(q.times * ln(1 + (n - df + 0.5) / (df + 0.5)) * tf / (tf + 1.2 * (0.25 + 0.75 * len / avg_len))) AS bm25
    FROM query q JOIN doc d USING (lexeme) JOIN (SELECT lexeme, count(*) AS df FROM doc GROUP BY 1) f USING (lexeme), stat
    GROUP BY 1
)
SELECT s.content, round(x.bm25, 6) AS bm25, abs((s.explanation->'keyword'->>'bm25')::numeric - x.bm25) < 1e-6 AS equal, s.explanation->'keyword'->'terms' AS terms
FROM vs_search('verse', 'cat dog mat dog', mode => 'keyword_only', explain => true) s
JOIN vectorstore.embeddings e ON e.store_id = vectorstore._store('verse') AND e.id = s.id
JOIN expected x USING (chunk_id) ORDER BY s.score DESC;
-- A long question matches though hardly any word does: terms are joined by OR.
SELECT count(*) FROM vs_search('verse', 'please tell me everything that you know about every single carpet of the whole wide world', mode => 'keyword_only');
-- Statistics are those of the store: another store's texts change nothing.
CREATE TEMP TABLE before AS SELECT id, score FROM vs_search('verse', 'cat', mode => 'keyword_only');
SELECT vs_create_store('noise', embedding_model => 'none', dimensions => 1) IS NOT NULL AS created;
SELECT cardinality(vs_upsert('noise', array_fill('cat'::text, ARRAY[500]), embeddings => array_fill('[1]'::vector, ARRAY[500])));
SELECT bool_and(b.score = a.score) AS unchanged, count(*) FROM before b JOIN vs_search('verse', 'cat', mode => 'keyword_only') a USING (id);
SELECT vs_delete_store('noise'), vs_delete_store('verse');
-- Languages stem their own words.
SELECT vs_create_store('deutsch', language => 'german') IS NOT NULL AS created;
SELECT vs_upsert('deutsch', 'Die Häuser am Hafen', 'h');
SELECT id FROM vs_search('deutsch', 'Haus', mode => 'keyword_only');
SELECT vs_delete_store('deutsch');
