-- Every refusal has a SQLSTATE that programs can act on, and a DETAIL that they can read.
\set SHOW_CONTEXT never
SELECT vs_create_store('plane', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; message text; detail text;
BEGIN
    EXECUTE statement;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN code || ' ' || message || coalesce(' ' || nullif(detail, ''), '');
END $$;
SELECT pg_temp.refused(statement) FROM (VALUES
    ($q$SELECT vs_create_store('')$q$),
    ($q$SELECT vs_create_store(NULL)$q$),
    ($q$SELECT vs_create_store('plane')$q$),
    ($q$SELECT vs_create_store(repeat('x', 257))$q$),
    ($q$SELECT vs_create_store('a', embedding_model => 'gpt-17')$q$),
    ($q$SELECT vs_create_store('a', embedding_model => 'none')$q$),
    ($q$SELECT vs_create_store('a', embedding_model => 'none', dimensions => 16001)$q$),
    ($q$SELECT vs_create_store('a', dimensions => 7)$q$),
    ($q$SELECT vs_create_store('a', language => 'klingon')$q$),
    ($q$SELECT vs_create_store('a', expires_after_days => 366)$q$),
    ($q$SELECT vs_create_store('a', metadata => '[]')$q$),
    ($q$SELECT vs_create_store('a', metadata => '{"a": 1}')$q$),
    ($q$SELECT vs_create_store('a', metadata => (SELECT jsonb_object_agg(i::text, 'x') FROM generate_series(1, 17) i))$q$),
    ($q$SELECT vs_create_store('a', metadata => jsonb_build_object(repeat('k', 65), 'x'))$q$),
    ($q$SELECT vs_create_store('a', metadata => jsonb_build_object('k', repeat('v', 513)))$q$),
    ($q$SELECT vs_upsert('nowhere', 'x')$q$),
    ($q$SELECT vs_upsert(NULL, 'x')$q$),
    ($q$SELECT vs_upsert('plane', 'x')$q$),
    ($q$SELECT vs_upsert('plane', NULL, embedding => '[1,0]')$q$),
    ($q$SELECT vs_upsert('plane', 'x', embedding => '[1,2,3]')$q$),
    ($q$SELECT vs_upsert('plane', 'x', embedding => '[0,0]')$q$),
    ($q$SELECT vs_upsert('plane', 'x', embedding => '[NaN,0]')$q$),
    ($q$SELECT vs_upsert('plane', 'x', embedding => '[Infinity,0]')$q$),
    ($q$SELECT vs_upsert('plane', 'x', '', embedding => '[1,0]')$q$),
    ($q$SELECT vs_upsert('plane', 'x', 'i', embedding => '[1,0]', metadata => '[]')$q$),
    ($q$SELECT vs_upsert('plane', repeat('x', 262145), embedding => '[1,0]')$q$),
    ($q$SELECT vs_upsert('plane', ARRAY[]::text[])$q$),
    ($q$SELECT vs_upsert('plane', ARRAY['a', 'b'], ARRAY['i', 'i'], ARRAY['[1,0]', '[1,0]']::vector[])$q$),
    ($q$SELECT vs_upsert('plane', ARRAY['a', 'b'], ARRAY['i'])$q$),
    ($q$SELECT vs_upsert('plane', array_fill('x'::text, ARRAY[10001]))$q$),
    ($q$SELECT vs_embed(repeat('x', 262145))$q$),
    ($q$SELECT vs_search('plane')$q$),
    ($q$SELECT vs_search('plane', ' ')$q$),
    ($q$SELECT vs_search('plane', repeat('x', 8193))$q$),
    ($q$SELECT vs_search('plane', 'x', k => 0)$q$),
    ($q$SELECT vs_search('plane', 'x', mode => 'magic')$q$),
    ($q$SELECT vs_search('plane', 'x', mode => 'vector_only')$q$),
    ($q$SELECT vs_search('plane', embedding => '[1,0]', mode => 'keyword_only')$q$),
    ($q$SELECT vs_search('plane', embedding => '[1,0,0]')$q$),
    ($q$SELECT vs_search('plane', embedding => '[0,0]')$q$),
    ($q$SELECT vs_search('plane', 'x', '[1,0]', vector_weight => -1)$q$),
    ($q$SELECT vs_search('plane', 'x', '[1,0]', vector_weight => 0, keyword_weight => 0)$q$),
    ($q$SELECT vs_search('plane', 'x', '[1,0]', vector_weight => 'NaN')$q$),
    ($q$SELECT vs_search('plane', 'x', score_threshold => 1.5)$q$),
    ($q$SELECT vs_create_api_key('k', 'short')$q$)
) t(statement);
-- An expired store is neither searched nor filled.
SELECT vs_update_store('plane', expires_after_days => 1);
UPDATE vectorstore.stores SET last_active_at = now() - interval '25 hours' WHERE name = 'plane';
SELECT regexp_replace(pg_temp.refused(statement), 'vs_[a-z2-7]{32}', 'vs_ID') FROM (VALUES
    ($q$SELECT vs_search('plane', 'x')$q$),
    ($q$SELECT vs_upsert('plane', 'x', embedding => '[1,0]')$q$)
) t(statement);
SELECT vs_delete_store('plane');
