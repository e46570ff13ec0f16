-- The nearest chunks by a narrow sort, then their rows: carrying the contents through the sort is slower.
SELECT e.id, e.file_id, e.filename, (1 + (1 - n.distance)) / 2 AS score, (1 + (1 - n.distance)) / 2 AS vector_score,
       NULL::float8 AS keyword_score, e.content, e.metadata, NULL::jsonb AS explanation
FROM (
    SELECT c.chunk_id, c.embedding <=> $2 AS distance
    FROM vectorstore.embeddings c
    WHERE c.store_id = $1
    ORDER BY distance LIMIT 10
) n
JOIN vectorstore.embeddings e ON e.store_id = $1 AND e.chunk_id = n.chunk_id
ORDER BY n.distance
