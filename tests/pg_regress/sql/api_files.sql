-- Files, and files of stores.
\set SHOW_CONTEXT never
\set key 'sha256(''key'')'
SELECT body->>'id' AS file FROM vectorstore.api_create_file(:key, 'notes.md', 'assistants', repeat('x', 1048577)::bytea, NULL) body \gset
SELECT body - 'id' - 'created_at' FROM vectorstore.api_get_file(:key, :'file') body;
SELECT body - 'id' FROM vectorstore.api_read_file(:key, :'file') body;
SELECT octet_length(vectorstore.api_read_file_part(:key, :'file', p)) FROM generate_series(0, 2) p;
-- A big one in parts.
BEGIN;
SELECT vectorstore.api_begin_file(:key, 'big.txt', 'user_data', 3600) AS big \gset
SELECT vectorstore.api_append_file(:key, :'big', 0, 'first '), vectorstore.api_append_file(:key, :'big', 1, 'second');
SELECT body - 'id' - 'created_at' - 'expires_at' FROM vectorstore.api_finish_file(:key, :'big') body;
COMMIT;
-- An empty file is a file.
SELECT body->'bytes' FROM vectorstore.api_create_file(:key, 'empty.txt', 'batch', '', NULL) body;
SELECT f->>'filename', f->>'purpose' FROM vectorstore.api_list_files(:key, NULL, NULL, 'asc', NULL) body, jsonb_array_elements(body->'data') f;
SELECT jsonb_array_length(body->'data'), body->'has_more' FROM vectorstore.api_list_files(:key, 'batch', 1, NULL, NULL) body;
SELECT f->>'filename' FROM vectorstore.api_list_files(:key, NULL, 5, 'desc', :'big') body, jsonb_array_elements(body->'data') f;

SELECT body->>'id' AS id, vectorstore._id_number('vs_', body->>'id') AS n FROM vectorstore.api_create_vector_store(:key, 'web', NULL, NULL, NULL, 'none', 2) body \gset
-- What a proxy does when it attaches a file: takes the job, and finishes it.
CREATE FUNCTION pg_temp.attach(file text, attributes jsonb, chunking jsonb, content text, chunks text[], embeddings vector[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    store vectorstore.stores := (SELECT s FROM vectorstore.stores s WHERE s.name = 'web');
    attached jsonb := vectorstore.api_attach_file(store.store_id, store.id, sha256('key'), file, attributes, chunking, ARRAY['none'], 'regress', 30);
BEGIN
    IF attached->>'job' IS NOT NULL THEN
        PERFORM vectorstore.api_finish_job(store.store_id, file, attached->'job'->>'lease', content, chunks, embeddings);
    END IF;
    RETURN vectorstore.api_get_store_file(store.store_id, store.id, sha256('key'), file);
END $$;
\set strategy '{"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}'
SELECT body - 'id' - 'created_at' - 'vector_store_id'
FROM pg_temp.attach(:'file', '{"topic": "x", "year": 2024}', :'strategy', 'one two three', ARRAY['one two', 'two three'], ARRAY['[1,0]', '[0,1]']::vector[]) body;
SELECT body->'file_counts', body->'usage_bytes', body->'status' FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
SELECT h->>'filename', h->'attributes', h->'content' FROM vectorstore.api_search(:n, :'id', :key, ARRAY['three'], NULL, '{"k": 5, "mode": "keyword_only"}') body, jsonb_array_elements(body->'data') h;
SELECT vectorstore.api_store_file_content(:n, :'id', :key, :'file');
-- Attached again: indexed anew when the settings are others, and counted once.
SELECT body->'attributes', body->'usage_bytes' FROM pg_temp.attach(:'file', '{"topic": "x", "year": 2024}', :'strategy', 'never read', NULL, NULL) body;
SELECT body->'attributes', body->'usage_bytes' FROM pg_temp.attach(:'file', NULL, :'strategy', 'one', ARRAY['one'], ARRAY['[1,0]']::vector[]) body;
SELECT body->'file_counts', body->'usage_bytes' FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
-- New attributes count in the very next search; virtual keys name the file.
SELECT body->'attributes' FROM vectorstore.api_update_store_file(:n, :'id', :key, :'file', '{"topic": "y"}') body;
SELECT f, jsonb_array_length(vectorstore.api_search(:n, :'id', :key, ARRAY['one'], NULL, jsonb_build_object('k', 5, 'mode', 'keyword_only', 'filter', f::jsonb))->'data')
FROM (VALUES ('{"topic": "x"}'), ('{"topic": "y"}'), ('{"type": "eq", "key": "filename", "value": "notes.md"}'), ('{"type": "ne", "key": "filename", "value": "notes.md"}')) v(f);
-- Files that could not be read, and ids that name none.
SELECT vectorstore.api_attach_file(:n, :'id', :key, :'big', NULL, :'strategy', ARRAY['none'], 'regress', 30)->'job'->>'lease' AS lease \gset
SELECT vectorstore.api_fail_job(:n, :'big', :'lease', 'unsupported_file', 'no');
SELECT body->'file_counts' FROM vectorstore.api_create_batch(:n, :'id', :key, '[{"file_id": "file-unknown"}]', ARRAY['none']) body;
SELECT body->'status', body->'last_error' FROM (VALUES (:'big'), ('file-unknown')) v(file), vectorstore.api_get_store_file(:n, :'id', :key, v.file) body;
SELECT f->>'status' FROM vectorstore.api_list_store_files(:n, :'id', :key, NULL, 'asc', NULL, NULL, NULL) body, jsonb_array_elements(body->'data') f;
SELECT jsonb_array_length(body->'data') FROM vectorstore.api_list_store_files(:n, :'id', :key, NULL, NULL, NULL, NULL, 'failed') body;
SELECT body->'data'->0->>'id' = :'big' AS big, body->'has_more' FROM vectorstore.api_list_store_files(:n, :'id', :key, 1, 'asc', :'file', NULL, NULL) body;
SELECT body->'data'->0->>'id' = :'file' AS file, body->'has_more' FROM vectorstore.api_list_store_files(:n, :'id', :key, 1, 'asc', NULL, :'big', NULL) body;
SELECT body->'file_counts' FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
\set VERBOSITY terse
SELECT vectorstore.api_attach_file(:n, :'id', :key, 'file-unknown', NULL, :'strategy', ARRAY['none'], 'regress', 30);
SELECT vectorstore.api_attach_file(:n, :'id', :key, 'unknown', NULL, :'strategy', ARRAY['none'], 'regress', 30);
SELECT vectorstore.api_attach_file(:n, :'id', :key, :'file', NULL, :'strategy', ARRAY['local'], 'regress', 30);
-- A long file is checked to its last chunk.
SELECT pg_temp.attach(:'file', '{"long": true}', :'strategy', '', array_fill('x'::text, ARRAY[10001]),
    array_fill('[1,0]'::vector, ARRAY[10000]) || '[1,0,0]'::vector);
SELECT vectorstore.api_list_store_files(:n, :'id', :key, NULL, NULL, NULL, NULL, 'odd');
SELECT vectorstore.api_create_file(:key, 'x.txt', 'party', '', NULL);
SELECT vectorstore.api_create_file(:key, 'x.txt', 'batch', '', 10);
SELECT vectorstore.api_get_file(:key, 'file-unknown');
SELECT vectorstore.api_get_store_file(:n, 'vs_x', :key, 'file-unknown');
DO $$ BEGIN
    PERFORM vectorstore.api_get_store_file(s.store_id, s.id, sha256('key'), 'odd') FROM vectorstore.stores s;
END $$;
-- Detached: the chunks go, the file stays. Deleted: it goes from every store.
SELECT body - 'id' FROM vectorstore.api_delete_store_file(:n, :'id', :key, 'file-unknown') body;
SELECT body - 'id' FROM vectorstore.api_delete_file(:key, :'file') body;
SELECT body - 'id' FROM vectorstore.api_delete_file(:key, :'big') body;
SELECT body->'file_counts', body->'usage_bytes' FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
SELECT (SELECT count(*) FROM vectorstore.embeddings) AS chunks, (SELECT count(*) FROM vectorstore.files) AS files, (SELECT count(*) FROM vectorstore.file_parts) AS parts;
SELECT vs_delete_store(:'id');
