-- HNSW as an option of a store, what vs_stat_indexes says, and the recall watch.
\set SHOW_CONTEXT never
SET vectorstore.background_merge = off;
SET vectorstore.recall_sample_rate = 0;
SELECT vs_sweep() >= 0 AS swept;
SELECT vs_create_store('flat', embedding_model => 'none', dimensions => 8) IS NOT NULL AS created;
SELECT vs_create_store('graph', embedding_model => 'none', dimensions => 8, index => 'hnsw') IS NOT NULL AS created;
\set VERBOSITY sqlstate
SELECT vs_create_store('wrong', embedding_model => 'none', dimensions => 8, index => 'btree');
SELECT vs_create_store('wrong', embedding_model => 'none', dimensions => 4001, index => 'hnsw');
SELECT vs_create_store('wrong', embedding_model => 'none', dimensions => 8, index => NULL);
SELECT vs_set_index('flat', 'ivfflat');
SELECT vs_set_index('none', 'hnsw');
\set VERBOSITY default
SELECT name, index, reason, chunks, tail_rows, segments, hnsw_bytes > 0 AS has_hnsw FROM vs_stat_indexes WHERE name IN ('flat', 'graph') ORDER BY name;

-- The same rows in both.
CREATE FUNCTION pg_temp.embedding(seed integer) RETURNS vector LANGUAGE sql AS
$$ SELECT ARRAY(SELECT sin(seed * 1.7 * d + d * d) FROM generate_series(1, 8) d)::real[]::vector $$;
CREATE PROCEDURE pg_temp.fill(seeds int4range) LANGUAGE plpgsql AS $$
DECLARE
    store text;
BEGIN
    FOREACH store IN ARRAY ARRAY['flat', 'graph'] LOOP
        PERFORM vs_upsert(store, array_agg('row ' || i), array_agg('r' || i), array_agg(pg_temp.embedding(i)),
                          array_agg(jsonb_build_object('n', i, 'rare', i % 100)))
        FROM generate_series(lower(seeds), upper(seeds) - 1) i;
    END LOOP;
END
$$;
-- Queries whose ten nearest in 'graph' differ from those that an exact search finds in 'flat'; and how many of the
-- former the index answered.
CREATE FUNCTION pg_temp.compare(filter jsonb DEFAULT NULL, phrase text DEFAULT NULL) RETURNS TABLE (different bigint, by_index bigint, short bigint) LANGUAGE plpgsql AS $$
BEGIN
    different := 0; by_index := 0; short := 0;
    FOR seed IN 1001 .. 1020 LOOP
        DECLARE
            graph record;
            exact text[];
        BEGIN
            SELECT array_agg(s.id ORDER BY s.score DESC, s.id) AS ids, count(*) AS hits, count(s.explanation->'search'->'hnsw') AS indexed INTO graph
            FROM vs_search('graph', phrase, pg_temp.embedding(seed), filter => filter, explain => true, keyword_weight => 0) s;
            PERFORM set_config('vectorstore.rerank', '100000', true);
            SELECT array_agg(s.id ORDER BY s.score DESC, s.id) INTO exact
            FROM vs_search('flat', phrase, pg_temp.embedding(seed), filter => filter, keyword_weight => 0) s;
            PERFORM set_config('vectorstore.rerank', '0', true);
            different := different + (graph.ids IS DISTINCT FROM exact)::integer;
            by_index := by_index + (graph.indexed > 0)::integer;
            short := short + (graph.hits < 10)::integer;
        END;
    END LOOP;
    RETURN NEXT;
END
$$;
-- All in the tail.
CALL pg_temp.fill('[1,800]');
SELECT * FROM pg_temp.compare();
-- Packed.
SELECT segments, packed FROM vs_merge('flat');
SELECT segments, packed FROM vs_merge('graph');
SELECT * FROM pg_temp.compare();
-- With a tail, updates and deletes.
CALL pg_temp.fill('[801,900]');
SELECT vs_delete(s, ARRAY(SELECT 'r' || i FROM generate_series(1, 900, 7) i)) FROM unnest(ARRAY['flat', 'graph']) s;
UPDATE vectorstore.embeddings SET embedding = pg_temp.embedding(-(metadata->>'n')::integer) WHERE (metadata->>'n')::integer % 5 = 0;
SELECT * FROM pg_temp.compare();
-- The settings of the session are as they were.
SHOW enable_sort;
SELECT current_setting('hnsw.ef_search', true);
-- The side table holds what the store holds.
SELECT s.store_id AS graph FROM vectorstore.stores s WHERE s.name = 'graph' \gset
SELECT s.store_id AS flat FROM vectorstore.stores s WHERE s.name = 'flat' \gset
SELECT count(*) FILTER (WHERE h.chunk_id IS NULL) AS missing, count(*) FILTER (WHERE e.chunk_id IS NULL) AS extra
FROM vectorstore.hnsw_:graph h FULL JOIN (SELECT * FROM vectorstore.embeddings WHERE store_id = :graph) e USING (chunk_id);
SELECT c.relowner::regrole, c.relrowsecurity, c.relacl IS NULL AS granted_to_nobody FROM pg_class c WHERE c.oid = to_regclass('vectorstore.hnsw_' || :graph);
-- A rollback takes it along.
BEGIN;
SELECT vs_upsert('graph', 'gone', 'g', embedding => '[1,1,1,1,1,1,1,1]');
ROLLBACK;
SELECT count(*) - (SELECT chunks FROM vs_stores WHERE name = 'graph') AS difference FROM vectorstore.hnsw_:graph;
-- Merges leave the index alone.
SELECT segments FROM vs_merge('flat');
SELECT segments FROM vs_merge('graph');
SELECT * FROM pg_temp.compare();
-- Filters: most of the rows by the index, few of them by the segments; phrases too.
SELECT different, by_index > 0 AS by_index, short FROM pg_temp.compare('{"type": "lt", "key": "rare", "value": 70}');
SELECT different FROM pg_temp.compare('{"type": "eq", "key": "rare", "value": 7}');
SELECT different FROM pg_temp.compare('{"type": "gt", "key": "n", "value": 890}');
SELECT different FROM pg_temp.compare(phrase => '"row" -77');
SELECT name, index, reason, chunks, tail_rows, segments, lists, pages > 0 AS has_pages, bytes > 0 AS has_bytes, hnsw_bytes > 0 AS has_hnsw,
       deleted_rows, merges, merged_at <= clock_timestamp() AS merged, recall, recall_samples
FROM vs_stat_indexes WHERE name IN ('flat', 'graph') ORDER BY name;

-- The other way round.
SELECT vs_set_index('graph', 'segments');
SELECT vs_set_index('graph', 'segments');
SELECT vs_set_index('flat', 'hnsw');
SELECT to_regclass('vectorstore.hnsw_' || :graph) IS NULL AS without, to_regclass('vectorstore.hnsw_' || :flat) IS NOT NULL AS "with";
SELECT by_index FROM pg_temp.compare();
SELECT vs_set_index('graph', 'hnsw');
SELECT vs_upsert('graph', 'new', 'new', embedding => pg_temp.embedding(1001));
SELECT id FROM vs_search('graph', embedding => pg_temp.embedding(1001), k => 1);
SELECT vs_delete('graph', 'new');
SELECT * FROM pg_temp.compare();

-- The recall watch: a worker compares, and the view shows it.
SET vectorstore.recall_sample_rate = 1.5;
SET vectorstore.recall_sample_rate = 1;
DO $$
BEGIN
    FOR attempt IN 1 .. 300 LOOP
        PERFORM FROM vs_search('graph', embedding => pg_temp.embedding(attempt), k => 5);
        EXIT WHEN EXISTS (SELECT FROM vs_stat_indexes WHERE name = 'graph' AND recall_samples > 0);
        PERFORM pg_sleep(0.1);
    END LOOP;
    -- The last search may have started another one.
    LOOP
        PERFORM pg_sleep(0.3), pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'vectorstore recall');
    END LOOP;
END
$$;
SET vectorstore.recall_sample_rate = 0;
SELECT recall_k, recall > 0.8 AS good, recall <= 1 AS possible, recall_samples > 0 AS sampled, recall_at <= clock_timestamp() AS noted
FROM vs_stat_indexes WHERE name = 'graph';
-- What a bad answer counts: one of four, and of three when one was deleted since.
SELECT vs_set_index('graph', 'segments');
SELECT array_agg(n.chunk_id) AS near FROM (
    SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = :graph ORDER BY e.embedding <=> pg_temp.embedding(5) LIMIT 4) n \gset
SELECT array_agg(n.chunk_id) AS far FROM (
    SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = :graph ORDER BY e.embedding <=> pg_temp.embedding(5) DESC LIMIT 3) n \gset
SELECT vectorstore._watch_recall(:graph, pg_temp.embedding(5)::real[], 4, (:'near'::bigint[])[:1] || :'far'::bigint[]);
SELECT recall_k, recall, recall_samples FROM vs_stat_indexes WHERE name = 'graph';
-- Not twice in a moment.
UPDATE vectorstore.search_indexes SET recall_at = clock_timestamp() + interval '1 minute' WHERE store_id = :graph;
SELECT vectorstore._watch_recall(:graph, pg_temp.embedding(5)::real[], 4, :'near');
SELECT recall, recall_samples FROM vs_stat_indexes WHERE name = 'graph';
UPDATE vectorstore.search_indexes SET recall_at = recall_at - interval '2 minutes' WHERE store_id = :graph;
SELECT vectorstore._watch_recall(:graph, pg_temp.embedding(5)::real[], 4, (:'near'::bigint[])[:3] || -1::bigint);
SELECT recall, recall_samples FROM vs_stat_indexes WHERE name = 'graph';
SELECT vectorstore._watch_recall(-1, pg_temp.embedding(5)::real[], 4, :'near');

-- A truncated table, and a dropped store: the sweep takes the index.
BEGIN;
TRUNCATE vectorstore.embeddings;
SELECT count(*) FROM vectorstore.hnsw_:flat;
ROLLBACK;
SELECT vs_delete_store('flat');
SELECT to_regclass('vectorstore.hnsw_' || :flat) IS NOT NULL AS still_there;
SELECT vs_sweep() > 0 AS swept;
SELECT to_regclass('vectorstore.hnsw_' || :flat);
SELECT vs_delete_store('graph');
SELECT vs_sweep() > 0 AS swept;
SELECT count(*) FROM vectorstore.search_indexes WHERE store_id IN (:flat, :graph);
