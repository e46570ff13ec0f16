-- By hand, but with the extension's own aggregate in Rust. The sub-select hides the query from the planner, which
-- would take @@ over the whole table for cheaper than the index.
SELECT e.id, e.file_id, e.filename, h.bm25 / (h.bm25 + 10) AS score, NULL::float8 AS vector_score,
       h.bm25 / (h.bm25 + 10) AS keyword_score, e.content, e.metadata, NULL::jsonb AS explanation
FROM (
    SELECT vectorstore._bm25_top(d.chunk_id, d.tsv, true, $6::text::tsvector, c.chunks, c.tokens::float8 / nullif(c.chunks, 0), 10) AS top
    FROM vectorstore.store_counters c JOIN vectorstore.embeddings d ON d.store_id = c.store_id
    WHERE c.store_id = $1 AND d.tsv @@ (SELECT $5::text::tsquery)
) t
CROSS JOIN LATERAL unnest((t.top).chunk_ids, (t.top).scores) AS h(chunk_id, bm25)
JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = h.chunk_id
ORDER BY h.bm25 DESC, h.chunk_id
