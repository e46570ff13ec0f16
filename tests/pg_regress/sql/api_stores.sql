-- The functions under the HTTP API: stores, search, inserts.
\set SHOW_CONTEXT never
\set key 'sha256(''key'')'
SELECT body->>'id' AS id, vectorstore._id_number('vs_', body->>'id') AS n
FROM vectorstore.api_create_vector_store(:key, 'web', NULL, '{"a": "b"}', 30, 'none', 2) body \gset
SELECT body - 'id' - 'created_at' - 'last_active_at' - 'expires_at' FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
SELECT (body->>'expires_at')::bigint - (body->>'last_active_at')::bigint AS lives FROM vectorstore.api_get_vector_store(:n, :'id', :key) body;
-- expires_after is left out when there is none.
SELECT body->'name', body ? 'expires_after' AS has, body->'expires_at'
FROM vectorstore.api_update_vector_store(:n, :'id', :key, '{"expires_after_days": null, "name": null}') body;

SELECT body->0->>'id' LIKE 'emb\_%' AS made, (body->1) - 'id' - 'created_at' - 'vector_store_id'
FROM vectorstore.api_insert_embeddings(:n, :'id', :key, ARRAY['red', 'green'], ARRAY['[1,0]', '[0,1]']::vector[], ARRAY['{"filename": "r.txt"}', NULL]::jsonb[]) body;
SELECT regexp_replace(jsonb_pretty(body), 'emb_[a-z2-7]+', 'emb_ID', 'g')
FROM vectorstore.api_search(:n, :'id', :key, ARRAY['red'], ARRAY['[1,0]'::vector], '{"k": 5}') body;
-- Several queries give one list, each chunk with its best score.
SELECT h->'score', h->'content'->0->'text'
FROM vectorstore.api_search(:n, :'id', :key, ARRAY['red', 'green'], NULL, '{"k": 5, "mode": "keyword_only"}') body, jsonb_array_elements(body->'data') h;

-- Unknown, ill-formed, and somebody else's look as they should.
\set VERBOSITY terse
SELECT vectorstore.api_get_vector_store(:n, 'nonsense', :key);
SELECT vectorstore.api_get_vector_store(:n + 1, 'vs_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', :key);
SELECT vectorstore.api_get_vector_store(:n, :'id', sha256('nobody'));
INSERT INTO vectorstore.tenants (id, name) VALUES ('other', 'Other');
INSERT INTO vectorstore.api_keys (tenant_id, key_id, name, key_hash) SELECT tenant_id, 'key_other', '', sha256('other') FROM vectorstore.tenants WHERE id = 'other';
SELECT replace(vectorstore.api_list_vector_stores(sha256('other'), NULL, NULL, NULL, NULL)::text, :'id', 'ID');
DO $$ BEGIN
    PERFORM vectorstore.api_get_vector_store(s.store_id, s.id, sha256('other')) FROM vectorstore.stores s WHERE s.description IS NULL;
EXCEPTION WHEN no_data_found THEN RAISE NOTICE 'not found'; END $$;
DELETE FROM vectorstore.tenants WHERE id = 'other';
-- Revoked and expired keys are no keys.
SELECT vs_revoke_api_key(vs_create_api_key('gone', sha256('gone')));
SELECT vectorstore.api_list_vector_stores(sha256('gone'), NULL, NULL, NULL, NULL);
SELECT vs_create_api_key('old', sha256('old'), now() + interval '1 hour') IS NOT NULL AS created;
UPDATE vectorstore.api_keys SET expires_at = now() WHERE name = 'old';
SELECT vectorstore.api_list_vector_stores(sha256('old'), NULL, NULL, NULL, NULL);
SELECT vectorstore.api_delete_vector_store(:n, :'id', :key) - 'id';
SELECT vectorstore.api_delete_vector_store(:n, 'vs_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', :key);

-- Paging, both orders and both directions, over stores with the same time.
DO $$ BEGIN PERFORM vectorstore.api_create_vector_store(sha256('key'), i::text, NULL, NULL, NULL, 'none', 1) FROM generate_series(1, 7) i; END $$;
CREATE FUNCTION pg_temp.names(page jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(s->>'name', ' ' ORDER BY i) || CASE WHEN (page->>'has_more')::boolean THEN ' ...' ELSE '' END
    FROM jsonb_array_elements(page->'data') WITH ORDINALITY t(s, i) $$;
CREATE FUNCTION pg_temp.walk(sort text, size integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE page jsonb; last text;
BEGIN
    LOOP
        page := vectorstore.api_list_vector_stores(sha256('key'), size, sort, last, NULL);
        RETURN NEXT pg_temp.names(page);
        EXIT WHEN NOT (page->>'has_more')::boolean;
        last := page->>'last_id';
    END LOOP;
    page := vectorstore.api_list_vector_stores(sha256('key'), size, sort, NULL, page->>'first_id');
    RETURN NEXT 'before the last page: ' || pg_temp.names(page);
END $$;
SELECT * FROM pg_temp.walk('desc', 3);
SELECT * FROM pg_temp.walk('asc', 3);
SELECT * FROM pg_temp.walk('asc', 7);
SELECT vectorstore.api_list_vector_stores(:key, 101, NULL, NULL, NULL);
SELECT vectorstore.api_list_vector_stores(:key, 0, NULL, NULL, NULL);
SELECT vectorstore.api_list_vector_stores(:key, 5, 'up', NULL, NULL);
SELECT vectorstore.api_list_vector_stores(:key, 5, 'asc', 'vs_x', NULL);
SELECT vectorstore.api_list_vector_stores(:key, 5, 'asc', NULL, 'vs_x');
SELECT count(vs_delete_store(id)) FROM vs_stores;
