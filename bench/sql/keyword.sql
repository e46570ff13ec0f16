-- BM25 in SQL alone, with the counters that the store keeps. The scan of the postings is one of postings_*.sql.
WITH counters AS MATERIALIZED (
    SELECT c.chunks::float8 AS n, c.tokens::float8 / nullif(c.chunks, 0) AS average
    FROM vectorstore.store_counters c WHERE c.store_id = $1
), terms AS MATERIALIZED (
    SELECT u.word, u.weight, quote_literal(u.word)::tsquery AS query FROM unnest($3::text[], $4::float8[]) AS u(word, weight)
), postings AS MATERIALIZED (
$POSTINGS$
), idfs AS MATERIALIZED (
    SELECT d.word, d.weight * ln(1 + (c.n - d.df + 0.5::float8) / (d.df + 0.5::float8)) AS idf, c.average
    FROM (SELECT p.word, p.weight, count(*) AS df FROM postings p GROUP BY p.word, p.weight) d CROSS JOIN counters c
), hits AS (
    SELECT p.chunk_id, sum(i.idf * p.tf / (p.tf + 1.2::float8 * (0.25::float8 + 0.75::float8 * p.len / i.average))) AS bm25
    FROM postings p JOIN idfs i USING (word)
    GROUP BY p.chunk_id ORDER BY bm25 DESC, p.chunk_id LIMIT 10
)
SELECT e.id, e.file_id, e.filename, h.bm25 / (h.bm25 + 10) AS score, NULL::float8 AS vector_score,
       h.bm25 / (h.bm25 + 10) AS keyword_score, e.content, e.metadata, NULL::jsonb AS explanation
FROM hits h
JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = h.chunk_id
ORDER BY h.bm25 DESC, h.chunk_id
