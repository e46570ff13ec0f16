-- By hand, but with the extension's own functions in Rust. The sub-select hides the query from the planner, which
-- would take @@ over the whole table for cheaper than the index.
WITH keyword AS MATERIALIZED (
    SELECT vectorstore._bm25_top(d.chunk_id, d.tsv, true, $6::text::tsvector, c.chunks, c.tokens::float8 / nullif(c.chunks, 0), 100) AS top,
           min(c.tokens::float8 / nullif(c.chunks, 0)) AS average
    FROM vectorstore.store_counters c JOIN vectorstore.embeddings d ON d.store_id = c.store_id
    WHERE c.store_id = $1 AND d.tsv @@ (SELECT $5::text::tsquery)
), candidates AS MATERIALIZED (
    (SELECT unnest((k.top).chunk_ids) AS chunk_id FROM keyword k)
    UNION
    (SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = $1 ORDER BY e.embedding <=> $2 LIMIT 100)
), best AS (
    SELECT s.*, 0.7::float8 * s.vector_score + 0.3::float8 * s.keyword_score AS score
    FROM (
        SELECT c.chunk_id, (1 + (1 - (e.embedding <=> $2))) / 2 AS vector_score,
               coalesce(vectorstore._keyword_score(vectorstore._bm25_score(e.tsv, $6::text::tsvector, (k.top).idfs, k.average)), 0) AS keyword_score
        FROM candidates c
        JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = c.chunk_id
        CROSS JOIN keyword k
    ) s
    ORDER BY score DESC, s.chunk_id LIMIT 10
)
SELECT e.id, e.file_id, e.filename, b.score, b.vector_score, b.keyword_score, e.content, e.metadata, NULL::jsonb AS explanation
FROM best b
JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = b.chunk_id
ORDER BY b.score DESC, b.chunk_id
