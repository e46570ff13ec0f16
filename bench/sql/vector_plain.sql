-- What most people write.
SELECT e.id, e.file_id, e.filename, (1 + (1 - (e.embedding <=> $2))) / 2 AS score,
       (1 + (1 - (e.embedding <=> $2))) / 2 AS vector_score,
       NULL::float8 AS keyword_score, e.content, e.metadata, NULL::jsonb AS explanation
FROM vectorstore.embeddings e
WHERE e.store_id = $1
ORDER BY e.embedding <=> $2 LIMIT 10
