-- Written with the functions of version 0.1.0: what a user of it has. Some of everything, so that every migration step
-- meets rows.
SET vectorstore.background_merge = off;
SELECT vs_create_store('texts', metadata => '{"a": "1"}', expires_after_days => 30);
SELECT vs_create_store('empty', description => 'nothing in it');
SELECT vs_create_store('graph', embedding_model => 'none', dimensions => 3, index => 'hnsw');
SELECT vs_create_store('packed', embedding_model => 'none', dimensions => 8);
SELECT vs_create_store('gone');
SELECT vs_upsert('gone', 'a text that goes with its store', 'g');
SELECT vs_upsert('texts', format('%s of the %s %s in chapter %s', (ARRAY['history','index','price','colour','weight'])[1 + i % 5],
      (ARRAY['green','broken','ancient','tiny'])[1 + i % 4], (ARRAY['boat','engine','library'])[1 + i % 3], i), 't' || i, metadata => jsonb_build_object('chapter', i))
  FROM generate_series(1, 100) AS i;
SELECT vs_upsert('graph', format('node %s', i), 'n' || i, embedding => ARRAY[i, 1, 2]::vector) FROM generate_series(1, 20) AS i;
SELECT vs_upsert('packed', array_agg(format('word%s word%s', i % 7, i % 11)), array_agg('p' || i),
      array_agg((SELECT array_agg(sin(i * d) ORDER BY d)::vector FROM generate_series(1, 8) AS d)), array_agg(jsonb_build_object('n', i % 10)))
  FROM generate_series(1, 3000) AS i;
SELECT vs_merge('packed');
SELECT vs_delete('packed', ARRAY(SELECT 'p' || i FROM generate_series(1, 3000, 9) AS i));
SELECT vs_upsert('packed', 'a text in the tail', 'tail', embedding => '[1,2,3,4,5,6,7,8]');
SELECT vs_create_api_key('live', sha256('live')), vs_create_api_key('late', sha256('late'), now() + interval '1 year');
SELECT vs_revoke_api_key(vs_create_api_key('revoked', sha256('revoked')));
SELECT vectorstore.api_create_file(sha256('live'), 'shelf.txt', 'assistants', 'a text from a file', NULL)->>'id' AS file,
       vectorstore.api_create_file(sha256('live'), 'waits.txt', 'assistants', 'never read', 3600 * 24)->>'id' AS waits \gset
SELECT s.store_id, vectorstore.api_attach_file(s.store_id, s.id, sha256('live'), :'file', '{"shelf": 3}', '{"type": "other"}',
    ARRAY['local'], 'seed', 30)->'job'->>'lease' AS lease FROM vectorstore.stores AS s WHERE s.name = 'texts' \gset
SELECT vectorstore.api_finish_job(:store_id, :'file', :'lease', 'a text from a file', ARRAY['a text from a file'], ARRAY[vs_embed('a text from a file')]);
-- A job that waits, in a batch.
SELECT vectorstore.api_create_batch(s.store_id, s.id, sha256('live'), jsonb_build_array(jsonb_build_object('file_id', :'waits', 'chunking_strategy', 'x')), ARRAY['none'])
  FROM vectorstore.stores AS s WHERE s.name = 'graph';
SELECT vectorstore.api_create_upload(sha256('live'), 'big.txt', 'assistants', 'text/plain', 10, NULL)->>'id' AS upload \gset
SELECT vectorstore.api_create_upload_part(sha256('live'), :'upload', 'hello');
SELECT vectorstore.api_cache_embeddings('other', '', 3, ARRAY[sha256('x')], ARRAY['[1,2,3]'::vector]);
SELECT state FROM vectorstore.api_claim_request(sha256('live'), 'once', sha256('body'), sha256('lease'), 30);
SELECT vs_delete_store('gone');
