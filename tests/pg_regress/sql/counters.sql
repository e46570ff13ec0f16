-- The counters equal what is stored, whatever was done to the rows, directly on the table too.
CREATE FUNCTION pg_temp.drift() RETURNS TABLE (store text, chunks bigint, tokens bigint, bytes bigint) LANGUAGE sql AS $$
    SELECT s.name, c.chunks - count(e.id), c.tokens - coalesce(sum(vectorstore._tsv_length(e.tsv)), 0),
           c.usage_bytes - coalesce(sum(octet_length(e.content) + 4 * vector_dims(e.embedding)), 0)
    FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) LEFT JOIN vectorstore.embeddings e USING (store_id)
    GROUP BY 1, c.chunks, c.tokens, c.usage_bytes ORDER BY 1
$$;
SELECT vs_create_store('one', embedding_model => 'none', dimensions => 1) IS NOT NULL AS created;
SELECT vs_create_store('two', embedding_model => 'none', dimensions => 3) IS NOT NULL AS created;
SELECT cardinality(vs_upsert('one', ARRAY(SELECT 'text number ' || i FROM generate_series(1, 100) i), ARRAY(SELECT i::text FROM generate_series(1, 100) i), array_fill('[1]'::vector, ARRAY[100])));
SELECT vs_upsert('two', 'some words', 'w', embedding => '[1,2,3]');
SELECT name, chunks, usage_bytes FROM vs_stores ORDER BY name;
SELECT * FROM pg_temp.drift();
-- Inserts and replacements in one statement.
SELECT vs_upsert('one', ARRAY['longer text than before', 'new'], ARRAY['1', 'n'], ARRAY['[1]', '[1]']::vector[]);
SELECT vs_delete('one', ARRAY['2', '3', 'n']);
SELECT * FROM pg_temp.drift();
UPDATE vectorstore.embeddings SET content = content || ' and more' WHERE id < '5';
DELETE FROM vectorstore.embeddings WHERE id LIKE '9%';
SELECT * FROM pg_temp.drift();
BEGIN;
SELECT vs_delete('two', 'w');
ROLLBACK;
SELECT * FROM pg_temp.drift();
SELECT vs_delete_store('one'), vs_delete_store('two');
SELECT count(*) FROM vectorstore.store_counters;
-- Their rows are swept, here or by a worker that was quicker.
SELECT vs_sweep() >= 0 AS swept;
SELECT count(*) FROM vectorstore.embeddings;
