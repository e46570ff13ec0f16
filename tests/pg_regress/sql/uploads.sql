-- Uploads in parts.
\set SHOW_CONTEXT never
\set key 'sha256(''key'')'
SELECT body->>'id' AS upload FROM vectorstore.api_create_upload(:key, 'big.md', 'assistants', 'text/markdown', 1048580, 3600) body \gset
SELECT vectorstore.api_create_upload_part(:key, :'upload', repeat('b', 1048577)::bytea)->>'id' AS b \gset
SELECT vectorstore.api_create_upload_part(:key, :'upload', 'aaa')->>'id' AS a \gset
SELECT vectorstore.api_create_upload_part(:key, :'upload', 'unused')->>'id' AS c \gset
SELECT body - 'id' - 'upload_id' - 'created_at', body->>'upload_id' = :'upload' AS its FROM vectorstore.api_create_upload_part(:key, :'upload', '') body;
-- Parts are no files: no list has them, and none can be read, attached or deleted as one.
SELECT jsonb_array_length(vectorstore.api_list_files(:key, NULL, NULL, NULL, NULL)->'data');
\set VERBOSITY sqlstate
SELECT vectorstore.api_get_file(:key, :'a');
SELECT vectorstore.api_delete_file(:key, :'a');
\set VERBOSITY terse
SELECT vectorstore.api_complete_upload(:key, :'upload', ARRAY[:'a']);
SELECT vectorstore.api_complete_upload(:key, :'upload', ARRAY[:'a', :'a']);
SELECT vectorstore.api_complete_upload(:key, :'upload', ARRAY[:'a', NULL]);
SELECT vectorstore.api_create_upload(:key, '', 'assistants', '', 1, NULL);
SELECT vectorstore.api_create_upload(:key, 'x', 'party', '', 1, NULL);
SELECT vectorstore.api_create_upload(:key, 'x', 'batch', '', 8589934593, NULL);
SELECT vectorstore.api_cancel_upload(:key, 'upload_unknown');
SELECT vectorstore.api_cancel_upload(:key, 'odd');
\set VERBOSITY default
SELECT vectorstore.api_read_upload(:key, :'upload', ARRAY[:'a', :'b'])->1->'pieces' AS pieces,
       octet_length(vectorstore.api_read_upload_piece(:key, :'b', 1)) AS last, vectorstore.api_read_upload_piece(:key, :'b', 2);
-- The bytes stay where they are: completing writes no chunk of them again.
SELECT c.reltoastrelid::regclass AS toast FROM pg_class c WHERE c.oid = 'vectorstore.file_parts'::regclass \gset
SELECT array_agg(DISTINCT chunk_id ORDER BY chunk_id) AS before FROM :toast \gset
SELECT body->'file'->>'id' AS file, body - 'id' - 'file' - 'created_at' - 'expires_at' AS upload_body
FROM vectorstore.api_complete_upload(:key, :'upload', ARRAY[:'a', :'b']) body \gset
SELECT :'upload_body';
SELECT array_agg(DISTINCT chunk_id ORDER BY chunk_id) = :'before' AS untouched FROM :toast;
SELECT body - 'id' FROM vectorstore.api_read_file(:key, :'file') body;
SELECT p, octet_length(d), md5(d) = md5(repeat('b', 1048576)) AS whole
FROM generate_series(0, 3) p, vectorstore.api_read_file_part(:key, :'file', p) d;
SELECT f->>'filename' FROM vectorstore.api_list_files(:key, NULL, NULL, NULL, NULL) body, jsonb_array_elements(body->'data') f;
-- What was not named is swept; a completed upload is remembered.
SELECT vectorstore._sweep_uploads(1), vectorstore._sweep_uploads(), vectorstore._sweep_uploads();
SELECT count(*) AS files, count(*) FILTER (WHERE upload_id IS NOT NULL) AS parts FROM vectorstore.files;
SELECT vectorstore.api_delete_file(:key, :'file')->'deleted';
SELECT count(*) AS rows_of_parts, (SELECT count(*) FROM :toast) AS chunks FROM vectorstore.file_parts;
SELECT status FROM vectorstore.uploads;
-- A month later it is not.
UPDATE vectorstore.uploads SET expires_at = now() - interval '31 days';
SELECT vectorstore._sweep_uploads();
SELECT count(*) FROM vectorstore.uploads;
