-- Stores that nobody used, and files with a date.
\set SHOW_CONTEXT never
SET vectorstore.background_merge = off;
\set key 'sha256(''expiry'')'
SELECT vs_create_api_key('expiry', :key) IS NOT NULL AS created;
SELECT body->>'id' AS id, vectorstore._id_number('vs_', body->>'id') AS n FROM vectorstore.api_create_vector_store(:key, 'short', NULL, NULL, 2, 'none', 1) body \gset
SELECT body->>'id' AS other, vectorstore._id_number('vs_', body->>'id') AS m FROM vectorstore.api_create_vector_store(:key, 'long', NULL, NULL, NULL, 'none', 1) body \gset
CREATE FUNCTION pg_temp.attach(store text, file text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    target vectorstore.stores := (SELECT s FROM vectorstore.stores s WHERE s.name = store);
    job jsonb := vectorstore.api_attach_file(target.store_id, target.id, sha256('expiry'), file, NULL, '{}', ARRAY['none'], 'w', 60)->'job';
BEGIN
    RETURN vectorstore.api_finish_job(target.store_id, file, job->>'lease', 'text', ARRAY['some text', 'more text'], ARRAY['[1]', '[1]']::vector[]);
END $$;
CREATE FUNCTION pg_temp.show() RETURNS TABLE (name text, status text, counts text, usage_bytes text) LANGUAGE sql AS $$
    SELECT b->>'name', b->>'status', b->>'file_counts', b->>'usage_bytes'
    FROM jsonb_array_elements(vectorstore.api_list_vector_stores(sha256('expiry'), NULL, 'asc', NULL, NULL)->'data') b $$;
SELECT vectorstore.api_create_file(:key, 'kept.txt', 'assistants', 'x', NULL)->>'id' AS kept, vectorstore.api_create_file(:key, 'dated.txt', 'assistants', 'x', 3600)->>'id' AS dated,
    vectorstore.api_create_file(:key, 'waiting.txt', 'assistants', 'x', NULL)->>'id' AS waiting \gset
SELECT pg_temp.attach('short', :'kept'), pg_temp.attach('short', :'dated'), pg_temp.attach('long', :'dated'), pg_temp.attach('long', :'kept');
SELECT vs_upsert('short', 'came without a file', id => 'loose', embedding => '[1]');
SELECT vectorstore.api_attach_file(:n, :'id', :key, :'waiting', NULL, '{}', ARRAY['none'], 'w', 60)->'job'->>'lease' AS lease \gset
SELECT vs_expire(), vectorstore.api_sweep_expired();

-- The day comes.
UPDATE vectorstore.stores SET last_active_at = now() - interval '48 hours' WHERE store_id = :n;
SELECT * FROM pg_temp.show();
SELECT expires_at = last_active_at + interval '48 hours' AS two_days FROM vs_stores WHERE name = 'short';
\set VERBOSITY terse
CREATE FUNCTION pg_temp.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE call; RETURN 'works'; EXCEPTION WHEN invalid_parameter_value THEN RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, 'vs_[a-z2-7]+', 'vs_ID'); END $$;
CREATE FUNCTION pg_temp.try_all() RETURNS TABLE (what text, result text) LANGUAGE sql AS $$
    SELECT v.what, pg_temp.refused(format(v.call, s.store_id || ', ' || quote_literal(s.id) || ', sha256(''expiry'')', f.id))
    FROM vectorstore.stores s, vectorstore.files f, (VALUES
        ('search', 'SELECT vectorstore.api_search(%s, ARRAY[''text''], NULL, ''{"k": 1, "mode": "keyword_only"}'')'),
        ('attach', 'SELECT vectorstore.api_attach_file(%s, ''%s'', NULL, ''{"other": 1}'', ARRAY[''none''], ''w'', 60)'),
        ('batch', 'SELECT vectorstore.api_create_batch(%s, ''[{"file_id": "%s"}]'', ARRAY[''none''])'),
        ('insert', 'SELECT vectorstore.api_insert_embeddings(%s, ARRAY[''x''], ARRAY[''[1]''::vector], NULL)'),
        ('update', 'SELECT vectorstore.api_update_vector_store(%s, ''{"expires_after_days": null}'')'),
        ('retrieve', 'SELECT vectorstore.api_get_vector_store(%s)'),
        ('files', 'SELECT vectorstore.api_list_store_files(%s, NULL, NULL, NULL, NULL, NULL)')) v(what, call)
    WHERE s.name = 'short' AND f.filename = 'kept.txt' $$;
SELECT * FROM pg_temp.try_all();
-- In bits, as the proxy does it: marked first, then its files, then what else is in it.
SELECT vectorstore.api_sweep_expired(), vectorstore.api_sweep_expired(), vectorstore.api_sweep_expired(), vectorstore.api_sweep_expired();
SELECT * FROM pg_temp.show();
SELECT vectorstore.api_finish_job(:n, :'waiting', :'lease', 'text', ARRAY['late'], ARRAY['[1]'::vector]) AS too_late;
SELECT * FROM pg_temp.try_all();
SELECT count(*) FROM vectorstore.embeddings WHERE store_id = :n;
SELECT count(*) AS files_stay FROM vectorstore.files;

-- A file with a date goes from every store.
UPDATE vectorstore.files SET expires_at = now() WHERE id = :'dated';
SELECT vs_expire();
SELECT * FROM pg_temp.show();
DO $$ BEGIN PERFORM FROM vectorstore.files f WHERE f.filename = 'dated.txt'; RAISE NOTICE 'found: %', FOUND; END $$;
SELECT count(*) AS parts FROM vectorstore.file_parts;
-- All at once, by hand. Its row stays until somebody deletes it.
SELECT body->'status' FROM vectorstore.api_update_vector_store(:m, :'other', :key, '{"expires_after_days": 1}') body;
UPDATE vectorstore.stores SET last_active_at = now() - interval '1 day' WHERE store_id = :m;
SELECT vs_expire(), vs_expire();
SELECT * FROM pg_temp.show();
SELECT vectorstore.api_delete_vector_store(:n, :'id', :key) - 'id', vectorstore.api_delete_vector_store(:m, :'other', :key) - 'id';
SELECT count(vectorstore.api_delete_file(:key, id)) FROM vectorstore.files;
SELECT vs_sweep() >= 0 AS swept;
