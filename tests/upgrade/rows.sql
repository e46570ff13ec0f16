-- What must be the same before and after: rows as users see them, and what searches find.
SET extra_float_digits = 3;
SELECT name, id, embedding_model, dimensions, chunks, usage_bytes, files, metadata FROM vs_stores ORDER BY name;
SELECT format('SELECT %L, count(*), md5(string_agg(concat_ws(chr(9), store_id, id, file_id, content, metadata, embedding), chr(10) ORDER BY store_id, id)) FROM vectorstore.embeddings', 'embeddings') \gexec
SELECT 'files', count(*), md5(string_agg(concat_ws(chr(9), file_id, filename, bytes, purpose, expires_at), chr(10) ORDER BY file_id)) FROM vectorstore.files;
SELECT 'parts', count(*), md5(string_agg(md5(data), chr(10) ORDER BY md5(data))) FROM vectorstore.file_parts;
SELECT 'store files', count(*), md5(string_agg(concat_ws(chr(9), store_id, id, status, attributes, content), chr(10) ORDER BY store_id, id)) FROM vectorstore.store_files;
SELECT 'jobs', store_id, id, attempts FROM vectorstore.ingest_jobs ORDER BY 2, 3;
SELECT 'uploads', count(*), min(bytes) FROM vectorstore.uploads;
SELECT 'keys', name, revoked_at IS NULL, expires_at FROM vectorstore.api_keys ORDER BY name;
SELECT 'cache', count(*) FROM vectorstore.embedding_cache;
SELECT 'segments', count(*), sum(rows) FROM vectorstore.segments;
SELECT q, s FROM unnest(ARRAY['price of a tiny boat','text from a file','ancient library','chapter 42','nothing like it'])
  WITH ORDINALITY AS t(q, n), LATERAL (SELECT json_agg(r) AS s FROM vs_search('texts', q) AS r) AS f ORDER BY n;
SELECT json_agg(r) FROM vs_search('packed', 'word3 word4', '[1,2,3,4,4,3,2,1]', filter => '{"n": 3}') AS r;
SELECT json_agg(r.id) FROM vs_search('graph', embedding => '[7,1,2]', k => 3) AS r;
SELECT store_id, name, index, hnsw_bytes > 0 FROM vs_stat_indexes ORDER BY name;
SELECT jsonb_array_length(vectorstore.api_list_vector_stores(sha256('live'), NULL, NULL, NULL, NULL)->'data');
