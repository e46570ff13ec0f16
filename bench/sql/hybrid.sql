-- Both legs and weighted fusion in SQL alone. The keyword leg has the score of every match, so only the vectors
-- of its candidates are scored again. The scan of the postings is one of postings_*.sql.
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
), hits AS MATERIALIZED (
    SELECT p.chunk_id, sum(i.idf * p.tf / (p.tf + 1.2::float8 * (0.25::float8 + 0.75::float8 * p.len / i.average))) AS bm25
    FROM postings p JOIN idfs i USING (word)
    GROUP BY p.chunk_id
), candidates AS MATERIALIZED (
    (SELECT h.chunk_id FROM hits h ORDER BY h.bm25 DESC, h.chunk_id LIMIT 100)
    UNION
    (SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = $1 ORDER BY e.embedding <=> $2 LIMIT 100)
), scored AS (
    SELECT c.chunk_id, (1 + (1 - (e.embedding <=> $2))) / 2 AS vector_score,
           coalesce(h.bm25 / (h.bm25 + 10), 0) AS keyword_score
    FROM candidates c
    JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = c.chunk_id
    LEFT JOIN hits h ON h.chunk_id = c.chunk_id
), best AS (
    SELECT s.*, 0.7::float8 * s.vector_score + 0.3::float8 * s.keyword_score AS score
    FROM scored s ORDER BY score DESC, s.chunk_id LIMIT 10
)
SELECT e.id, e.file_id, e.filename, b.score, b.vector_score, b.keyword_score, e.content, e.metadata, NULL::jsonb AS explanation
FROM best b
JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = b.chunk_id
ORDER BY b.score DESC, b.chunk_id
