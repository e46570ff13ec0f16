-- Jobs that read the files of stores, and batches.
\set SHOW_CONTEXT never
SET vectorstore.background_merge = off;
\set key 'sha256(''jobs'')'
SELECT vs_create_api_key('jobs', :key) IS NOT NULL AS created;
-- Ids differ from run to run: the tests speak of files by name.
CREATE FUNCTION pg_temp.file(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
    RETURN coalesce((SELECT f.id FROM vectorstore.files f WHERE f.filename = name),
                    vectorstore.api_create_file(sha256('jobs'), name, 'assistants', convert_to('bytes of ' || name, 'UTF8'), NULL)->>'id');
END $$;
CREATE FUNCTION pg_temp.store() RETURNS vectorstore.stores LANGUAGE sql AS $$ SELECT s FROM vectorstore.stores s WHERE s.name = 'jobs' $$;
CREATE FUNCTION pg_temp.batch(names text[], size integer DEFAULT 100) RETURNS text LANGUAGE sql AS $$
    SELECT vectorstore.api_create_batch((pg_temp.store()).store_id, (pg_temp.store()).id, sha256('jobs'),
        (SELECT jsonb_agg(jsonb_build_object('file_id', pg_temp.file(n), 'attributes', jsonb_build_object('name', n), 'chunking_strategy', jsonb_build_object('size', size))) FROM unnest(names) n),
        ARRAY['none'])->>'id' $$;
CREATE FUNCTION pg_temp.claim(worker text, max integer DEFAULT 10) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s (%s, attempt %s)', j->>'filename', j->'chunking_strategy'->>'size', j->>'attempt'), ' ' ORDER BY j->>'filename')
    FROM jsonb_array_elements(vectorstore.api_claim_jobs(worker, max, 60, ARRAY['none'])) j $$;
CREATE FUNCTION pg_temp.lease(name text) RETURNS text LANGUAGE sql AS $$ SELECT lease FROM vectorstore.ingest_jobs WHERE id = pg_temp.file(name) $$;
CREATE FUNCTION pg_temp.finish(name text, lease text, content text DEFAULT NULL) RETURNS boolean LANGUAGE sql AS $$
    SELECT vectorstore.api_finish_job((pg_temp.store()).store_id, pg_temp.file(name), lease, name, ARRAY[coalesce(content, 'word of ' || name)], ARRAY['[1]'::vector]) $$;
CREATE FUNCTION pg_temp.state() RETURNS TABLE (file text, status text, error text, attempts integer, worker text, chunks text, usage_bytes bigint) LANGUAGE sql AS $$
    SELECT f.filename, f.status, f.last_error->>'code', j.attempts, j.worker, (SELECT string_agg(e.content || e.metadata::text, ',') FROM vectorstore.embeddings e WHERE e.store_id = f.store_id AND e.file_id = f.id), f.usage_bytes
    FROM vectorstore.store_files f LEFT JOIN vectorstore.ingest_jobs j USING (store_id, id) ORDER BY f.filename $$;
CREATE FUNCTION pg_temp.show(batch text) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s %s', b->>'status', b->'file_counts') FROM vectorstore.api_get_batch((pg_temp.store()).store_id, (pg_temp.store()).id, sha256('jobs'), batch) b $$;
-- What the counters say is what is there; nothing in progress is without a job, nor a job without that.
CREATE FUNCTION pg_temp.wrong() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT 'counters of ' || s.name FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
    WHERE (c.files_in_progress, c.files_completed, c.files_failed, c.files_cancelled) IS DISTINCT FROM (
        SELECT (count(*) FILTER (WHERE f.status = 'in_progress'), count(*) FILTER (WHERE f.status = 'completed'),
                count(*) FILTER (WHERE f.status = 'failed'), count(*) FILTER (WHERE f.status = 'cancelled'))
        FROM vectorstore.store_files f WHERE f.store_id = s.store_id)
    UNION ALL SELECT 'bytes of ' || s.name FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
    WHERE c.usage_bytes <> (SELECT coalesce(sum(f.usage_bytes), 0) FROM vectorstore.store_files f WHERE f.store_id = s.store_id)
    UNION ALL SELECT 'job of ' || f.filename FROM vectorstore.store_files f FULL JOIN vectorstore.ingest_jobs j USING (store_id, id)
    WHERE (f.status = 'in_progress') <> (j.id IS NOT NULL) OR f.id IS NULL $$;
SELECT body->>'id' AS id, vectorstore._id_number('vs_', body->>'id') AS n FROM vectorstore.api_create_vector_store(:key, 'jobs', NULL, NULL, NULL, 'none', 1) body \gset

-- Files wait in order; a job is taken once, and only by those who have the model.
SELECT pg_temp.batch(ARRAY['a', 'b', 'c', 'd']) AS first \gset
SELECT pg_temp.show(:'first');
SELECT body->'status', body->'file_counts' FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
SELECT vectorstore.api_claim_jobs('w', 10, 60, ARRAY['local']), vectorstore.api_claim_jobs('w', 10, 60, ARRAY['none'], :n + 1);
UPDATE vectorstore.ingest_jobs j SET run_at = now() - interval '1 second' * (122 - ascii(f.filename)) FROM vectorstore.files f WHERE f.id = j.id;
SELECT pg_temp.claim('one', 3);
SELECT pg_temp.claim('two');
SELECT pg_temp.claim('three');
-- The lease opens the file.
SELECT convert_from(vectorstore.api_read_job_part(:n, pg_temp.file('a'), pg_temp.lease('a'), 0), 'UTF8'), vectorstore.api_read_job_part(:n, pg_temp.file('a'), pg_temp.lease('b'), 0);
-- Searchable when it is completed, not before.
SELECT vectorstore.api_search(:n, :'id', :key, ARRAY['word'], NULL, '{"k": 5, "mode": "keyword_only"}')->'data';
SELECT pg_temp.finish('a', pg_temp.lease('a'));
SELECT jsonb_array_length(vectorstore.api_search(:n, :'id', :key, ARRAY['word'], NULL, '{"k": 5, "mode": "keyword_only"}')->'data');
SELECT * FROM pg_temp.state();
SELECT pg_temp.show(:'first');
-- A lease that is renewed lasts; one that has ended is taken over, and who had it can change nothing.
SELECT pg_temp.lease('b') AS old \gset
UPDATE vectorstore.ingest_jobs SET run_at = now() - interval '1 second' WHERE lease IS NOT NULL;
SELECT vectorstore.api_heartbeat_job(:n, pg_temp.file('c'), pg_temp.lease('c'), 60), vectorstore.api_heartbeat_job(:n, pg_temp.file('c'), 'lease_x', 60);
SELECT pg_temp.claim('two', 1) IS NOT NULL AND pg_temp.claim('two') IS NOT NULL AS taken_over;
SELECT file, attempts, worker FROM pg_temp.state() WHERE status = 'in_progress';
SELECT pg_temp.finish('b', :'old'), vectorstore.api_fail_job(:n, pg_temp.file('b'), :'old', 'invalid_file', 'x'), vectorstore.api_release_job(:n, pg_temp.file('b'), :'old'),
    vectorstore.api_heartbeat_job(:n, pg_temp.file('b'), :'old', 60), vectorstore.api_read_job_part(:n, pg_temp.file('b'), :'old', 0);
-- Given back: anybody's at once, and it was no attempt.
SELECT vectorstore.api_release_job(:n, pg_temp.file('b'), pg_temp.lease('b'));
SELECT pg_temp.claim('three');
-- Tried again later; after the third attempt no more.
SELECT vectorstore.api_fail_job(:n, pg_temp.file('b'), pg_temp.lease('b'), 'server_error', 'no luck', 30);
SELECT pg_temp.claim('four');
UPDATE vectorstore.ingest_jobs SET run_at = now() WHERE lease IS NULL;
SELECT pg_temp.claim('four');
SELECT vectorstore.api_fail_job(:n, pg_temp.file('b'), pg_temp.lease('b'), 'server_error', 'no luck', 30);
-- A worker that died in the third attempt said nothing: the next who looks for work does.
UPDATE vectorstore.ingest_jobs SET attempts = 3 WHERE id = pg_temp.file('d');
SELECT pg_temp.claim('four');
UPDATE vectorstore.ingest_jobs SET run_at = now() WHERE id = pg_temp.file('d');
SELECT pg_temp.claim('four');
SELECT vectorstore.api_fail_job(:n, pg_temp.file('c'), pg_temp.lease('c'), 'unsupported_file', 'cannot read it');
SELECT * FROM pg_temp.state();
SELECT pg_temp.show(:'first');
SELECT last_error FROM vectorstore.store_files WHERE filename IN ('b', 'c', 'd') ORDER BY filename;
SELECT pg_temp.wrong();

-- Attached again with the same settings: nothing to do for those that are done. The files belong to the new batch.
SELECT pg_temp.batch(ARRAY['a', 'b']) AS second \gset
SELECT pg_temp.show(:'first') AS first, pg_temp.show(:'second') AS second;
SELECT pg_temp.claim('one');
-- With other settings: what was there is found until the new chunks are in; whoever works with the old ones loses.
SELECT pg_temp.batch(ARRAY['a', 'b'], 200) AS third \gset
SELECT pg_temp.finish('b', pg_temp.lease('b'));
SELECT pg_temp.claim('one');
SELECT * FROM pg_temp.state() WHERE file IN ('a', 'b');
SELECT pg_temp.lease('a') AS old \gset
SELECT pg_temp.batch(ARRAY['a'], 300) AS fourth \gset
SELECT pg_temp.finish('a', :'old', 'never');
SELECT pg_temp.claim('two');
-- Attributes that change meanwhile count.
SELECT body->'status' FROM vectorstore.api_update_store_file(:n, :'id', :key, pg_temp.file('a'), '{"new": true}') body;
SELECT pg_temp.finish('a', pg_temp.lease('a'), 'new words');
SELECT * FROM pg_temp.state() WHERE file IN ('a', 'b');
SELECT pg_temp.show(:'third') AS third, pg_temp.show(:'fourth') AS fourth;
SELECT pg_temp.wrong();

-- Cancelled in every state: one waits, one is worked on, one is searchable, one has failed, one is indexed anew.
SELECT pg_temp.batch(ARRAY['e', 'f', 'g']) AS fifth \gset
SELECT pg_temp.claim('one');
SELECT pg_temp.finish('e', pg_temp.lease('e')), vectorstore.api_fail_job(:n, pg_temp.file('f'), pg_temp.lease('f'), 'invalid_file', 'x');
SELECT vectorstore.api_release_job(:n, pg_temp.file('b'), pg_temp.lease('b'));
SELECT pg_temp.batch(ARRAY['a', 'b', 'h'], 400) AS sixth \gset
SELECT pg_temp.lease('g') AS old \gset
SELECT format('%s %s', b->>'status', b->'file_counts') FROM vectorstore.api_cancel_batch(:n, :'id', :key, :'fifth') b;
SELECT format('%s %s', b->>'status', b->'file_counts') FROM vectorstore.api_cancel_batch(:n, :'id', :key, :'sixth') b;
SELECT pg_temp.finish('g', :'old'), pg_temp.claim('one');
SELECT * FROM pg_temp.state();
-- A finished batch stays as it is.
SELECT format('%s %s', b->>'status', b->'file_counts') FROM vectorstore.api_cancel_batch(:n, :'id', :key, :'first') b;
SELECT format('%s %s', b->>'status', b->'file_counts') FROM vectorstore.api_cancel_batch(:n, :'id', :key, :'fifth') b;
SELECT pg_temp.wrong();
SELECT o->>'status' FROM vectorstore.api_list_batch_files(:n, :'id', :key, :'fifth', NULL, NULL, NULL, NULL, NULL) b, jsonb_array_elements(b->'data') o ORDER BY 1;
SELECT jsonb_array_length(b->'data'), b->'has_more' FROM vectorstore.api_list_batch_files(:n, :'id', :key, :'fifth', 1, 'asc', NULL, NULL, NULL) b;
SELECT jsonb_array_length(b->'data') FROM vectorstore.api_list_batch_files(:n, :'id', :key, :'fifth', NULL, NULL, NULL, NULL, 'failed') b;

-- Gone while it is worked on: the file of the store, the file, the store.
SELECT pg_temp.batch(ARRAY['i', 'j', 'k']) AS seventh \gset
SELECT pg_temp.claim('one');
SELECT pg_temp.lease('i') AS i, pg_temp.lease('j') AS j, pg_temp.lease('k') AS k, pg_temp.file('j') AS gone \gset
SELECT body->'deleted' FROM vectorstore.api_delete_store_file(:n, :'id', :key, pg_temp.file('i')) body;
SELECT body->'deleted' FROM vectorstore.api_delete_file(:key, pg_temp.file('j')) body;
SELECT pg_temp.show(:'seventh');
SELECT pg_temp.finish('i', :'i'), vectorstore.api_finish_job(:n, :'gone', :'j', 'x', ARRAY['x'], ARRAY['[1]'::vector]),
    vectorstore.api_fail_job(:n, :'gone', :'j', 'server_error', 'x', 1), vectorstore.api_release_job(:n, :'gone', :'j');
SELECT pg_temp.wrong();
SELECT pg_temp.batch(ARRAY['l']) IS NOT NULL AS waits;
SELECT pg_temp.file('k') AS file \gset
SELECT vs_delete_store('jobs');
SELECT pg_temp.claim('two');
SELECT vectorstore.api_finish_job(:n, :'file', :'k', 'x', ARRAY['x'], ARRAY['[1]'::vector]);
SELECT vs_sweep() > 0 AS swept;
SELECT (SELECT count(*) FROM vectorstore.ingest_jobs) AS jobs, (SELECT count(*) FROM vectorstore.store_files) AS files;

-- A store with its first files, one of them unknown and one twice.
SELECT body->'status', body->'file_counts' FROM vectorstore.api_create_vector_store(:key, 'jobs', NULL, NULL, NULL, 'none', 1, jsonb_build_array(
    jsonb_build_object('file_id', pg_temp.file('a'), 'chunking_strategy', '{}'), jsonb_build_object('file_id', 'file-x'), jsonb_build_object('file_id', pg_temp.file('a'))), ARRAY['none']) body;
SELECT pg_temp.claim('one');
SELECT pg_temp.finish('a', pg_temp.lease('a'));
SELECT * FROM pg_temp.state();

\set VERBOSITY terse
DO $$ BEGIN PERFORM vectorstore.api_get_batch((pg_temp.store()).store_id, (pg_temp.store()).id, sha256('jobs'), 'vsfb_x');
EXCEPTION WHEN no_data_found THEN RAISE NOTICE 'not found'; END $$;
DO $$ BEGIN PERFORM vectorstore.api_get_batch((pg_temp.store()).store_id, (pg_temp.store()).id, sha256('jobs'), 'batch');
EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE '%', SQLERRM; END $$;
-- A code that is none of ours is refused, and the job stays.
SELECT pg_temp.batch(ARRAY['m']) IS NOT NULL AS attached, pg_temp.claim('one');
SELECT vectorstore.api_fail_job((pg_temp.store()).store_id, pg_temp.file('m'), pg_temp.lease('m'), 'odd', 'x');
-- What nobody has the model for is given up after an hour, and not before.
SELECT vectorstore.api_release_job((pg_temp.store()).store_id, pg_temp.file('m'), pg_temp.lease('m')) AS released;
UPDATE vectorstore.ingest_jobs SET run_at = now() - interval '59 minutes' WHERE id = pg_temp.file('m');
SELECT vectorstore.api_claim_jobs('w', 10, 60, ARRAY['local']) AS claimed, status FROM pg_temp.state() WHERE file LIKE 'm%';
UPDATE vectorstore.ingest_jobs SET run_at = now() - interval '61 minutes' WHERE id = pg_temp.file('m');
SELECT vectorstore.api_claim_jobs('w', 10, 60, ARRAY['local']) AS claimed;
SELECT f.status, f.last_error FROM vectorstore.store_files f WHERE f.id = pg_temp.file('m') AND f.store_id = (pg_temp.store()).store_id;
SELECT vs_delete_store('jobs');
SELECT count(vectorstore.api_delete_file(:key, id)) > 0 AS deleted FROM vectorstore.files;
SELECT vs_sweep() > 0 AS swept;
