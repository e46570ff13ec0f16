-- What writers note of their changes, what merges make of it, and what is left of a dropped store.
\set SHOW_CONTEXT never
-- Nothing happens here by itself.
SET vectorstore.background_merge = off;
SELECT vs_sweep() >= 0 AS swept;
SELECT vs_create_store('s', embedding_model => 'none', dimensions => 1) IS NOT NULL AS created;
CREATE TEMP TABLE start AS SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END AS id FROM vectorstore.embeddings_chunk_id_seq;
-- Numbers of chunks from the start of this test; arrays of them, to print.
CREATE FUNCTION pg_temp.shown(ids bigint[]) RETURNS bigint[] LANGUAGE sql AS
$$ SELECT ARRAY(SELECT u.id - s.id FROM unnest(ids) WITH ORDINALITY AS u(id, place), pg_temp.start s ORDER BY u.place) $$;
CREATE VIEW pg_temp.notes AS SELECT pg_temp.shown(added) AS added, pg_temp.shown(removed) AS removed FROM vectorstore.changes ORDER BY change_id;
CREATE VIEW pg_temp.chunks AS SELECT e.id, e.chunk_id - s.id AS number, e.version, e.content FROM vectorstore.embeddings e, pg_temp.start s ORDER BY e.chunk_id;
-- Ids that the search structures hold and the table does not, or the other way round; counters that do not fit.
CREATE FUNCTION pg_temp.drift() RETURNS TABLE (missing bigint, extra bigint, waiting bigint) LANGUAGE sql AS $$
    WITH known AS (
        SELECT unnest(vectorstore._segment_chunks(s.store_id, s.segment_id)) AS id FROM vectorstore.segments s
        UNION ALL SELECT unnest(c.added) FROM vectorstore.changes c
        EXCEPT SELECT unnest(c.removed) FROM vectorstore.changes c
    )
    SELECT count(*) FILTER (WHERE k.id IS NULL), count(*) FILTER (WHERE e.chunk_id IS NULL),
           (SELECT sum(c.added) FROM vectorstore.store_counters c) - coalesce((SELECT sum(i.packed) FROM vectorstore.search_indexes i), 0)
           - coalesce((SELECT sum(cardinality(c.added) + cardinality(c.removed)) FROM vectorstore.changes c), 0)
    FROM known k FULL JOIN vectorstore.embeddings e ON e.chunk_id = k.id
$$;

-- An insert notes its ids, in one row.
SELECT vs_upsert('s', ARRAY['one', 'two', 'three'], ARRAY['1', '2', '3'], array_fill('[1]'::vector, ARRAY[3]));
SELECT * FROM pg_temp.notes;
-- Replaced by the same: a new version of the row, and nothing to note.
SELECT vs_upsert('s', 'one', '1', embedding => '[1]');
SELECT * FROM pg_temp.notes;
-- One new and one changed in a statement: each kind of change notes a row.
SELECT vs_upsert('s', ARRAY['two and more', 'four'], ARRAY['2', '4'], array_fill('[1]'::vector, ARRAY[2]));
-- Whatever a search sees of a row gives it a new number.
UPDATE vectorstore.embeddings SET metadata = '{"k": 1}' WHERE id = '3';
UPDATE vectorstore.embeddings SET filename = 'f.txt' WHERE id = '3';
UPDATE vectorstore.embeddings SET embedding = '[2]' WHERE id = '3';
UPDATE vectorstore.embeddings SET embedding = '[2]' WHERE id = '4';
UPDATE vectorstore.embeddings SET chunk_index = 7, updated_at = now();
UPDATE vectorstore.embeddings SET content = 'nothing' WHERE id = 'none';
SELECT vs_delete('s', ARRAY['1', '4']);
SELECT vs_delete('s', 'none');
SELECT * FROM pg_temp.notes;
SELECT id, version, content FROM pg_temp.chunks;
SELECT * FROM pg_temp.drift();
-- A rollback takes the notes along, a savepoint too.
BEGIN;
SELECT vs_upsert('s', 'gone', 'g', embedding => '[1]');
SELECT vs_delete('s', '2');
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT vs_delete('s', '2');
ROLLBACK TO a;
SELECT vs_upsert('s', 'five', '5', embedding => '[1]');
COMMIT;
SELECT count(*), sum(cardinality(added)) AS added, sum(cardinality(removed)) AS removed FROM vectorstore.changes;
SELECT * FROM pg_temp.drift();

-- A merge consumes them.
SELECT * FROM vs_merge('s');
SELECT count(*) FROM vectorstore.changes;
SELECT rows, deleted IS NULL AS whole FROM vectorstore.segments;
SELECT * FROM pg_temp.drift();
SELECT kind, merges, packed FROM vectorstore.search_indexes;
-- Nothing to do.
SELECT * FROM vs_merge('s');
SELECT merges FROM vectorstore.search_indexes;
-- Changes after it, and within the transaction of a merge.
BEGIN;
SELECT vs_delete('s', '3');
SELECT * FROM vs_merge('s');
SELECT vs_upsert('s', 'six', '6', embedding => '[1]');
SELECT vs_upsert('s', 'two again', '2', embedding => '[1]');
COMMIT;
SELECT string_agg(id, ' ' ORDER BY id) FROM vs_search('s', embedding => '[1]');
SELECT * FROM pg_temp.drift();

-- The tail has a limit: below it, no merge is due. What is deleted from a segment that stays is marked there.
SET vectorstore.tail_limit = 0;
SET vectorstore.tail_limit = 100;
SELECT s.store_id AS number FROM vectorstore.stores s WHERE s.name = 's' \gset
SELECT packed FROM vectorstore._merge(:number, false);
SELECT cardinality(vs_upsert('s', array_fill('more'::text, ARRAY[200]), ARRAY(SELECT 'm' || i FROM generate_series(1, 200) i), array_fill('[1]'::vector, ARRAY[200])));
SELECT packed FROM vectorstore._merge(:number, false);
SELECT cardinality(vs_upsert('s', array_fill('many'::text, ARRAY[101]), ARRAY(SELECT 'n' || i FROM generate_series(1, 101) i), array_fill('[1]'::vector, ARRAY[101])));
SELECT vs_delete('s', ARRAY['m1', 'm2', 'n1']);
SELECT packed, removed FROM vectorstore._merge(:number, false);
SELECT rows, coalesce(bit_count(deleted), 0) AS deleted FROM vectorstore.segments ORDER BY segment_id;
SELECT * FROM pg_temp.drift();
-- A fifth of a segment gone: it is written anew.
SELECT vs_delete('s', ARRAY(SELECT 'm' || i FROM generate_series(1, 110) i));
SELECT packed, removed FROM vectorstore._merge(:number, false);
SELECT packed, removed FROM vectorstore._merge(:number, false);
SELECT rows, coalesce(bit_count(deleted), 0) AS deleted FROM vectorstore.segments ORDER BY segment_id;
SELECT * FROM pg_temp.drift();
-- A bulk statement makes a segment at once and notes nothing.
SELECT cardinality(vs_upsert('s', array_fill('bulk'::text, ARRAY[2048]), ARRAY(SELECT 'b' || i FROM generate_series(1, 2048) i), array_fill('[1]'::vector, ARRAY[2048])));
SELECT count(*) FROM vectorstore.changes;
SELECT rows FROM vectorstore.segments ORDER BY segment_id DESC LIMIT 1;
SELECT vs_delete('s', 'b7');
SELECT * FROM pg_temp.drift();
-- More than six segments of a size become one.
SELECT cardinality(vs_upsert('s', array_fill('bulk'::text, ARRAY[2048]), NULL, array_fill('[1]'::vector, ARRAY[2048]))) FROM generate_series(1, 6);
SELECT count(*) FROM vectorstore.segments;
SELECT packed FROM vectorstore._merge(:number, false);
SELECT rows, coalesce(bit_count(deleted), 0) AS deleted FROM vectorstore.segments ORDER BY segment_id;
SELECT * FROM pg_temp.drift();
SELECT * FROM vs_merge('s');
SELECT * FROM pg_temp.drift();
-- Everything deleted: no segment is left.
SELECT cardinality(ARRAY(SELECT vs_delete('s', ARRAY(SELECT id FROM vectorstore.embeddings))));
SELECT * FROM vs_merge('s');
SELECT * FROM pg_temp.drift();

-- The background: off, nothing above was done by it. On, a worker comes once a transaction has committed; it goes
-- by the settings of the database.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET vectorstore.tail_limit = 100', current_database()); END $$;
SET vectorstore.background_merge = on;
SELECT cardinality(vs_upsert('s', array_fill('many'::text, ARRAY[101]), NULL, array_fill('[1]'::vector, ARRAY[101])));
DO $$
BEGIN
    FOR attempt IN 1 .. 600 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM vectorstore.changes);
        PERFORM pg_sleep(0.05);
        COMMIT;
    END LOOP;
END
$$;
SELECT count(*) AS notes, (SELECT sum(rows) FROM vectorstore.segments) AS rows FROM vectorstore.changes;
-- A transaction that writes much in small statements merges its own tail.
BEGIN;
SELECT count(vs_upsert('s', 'small ' || i, embedding => '[1]')) FROM generate_series(1, 450) i;
SELECT count(*) <= 400 AS bounded FROM vectorstore.changes;
SELECT * FROM pg_temp.drift();
ROLLBACK;
SELECT * FROM pg_temp.drift();
SET vectorstore.background_merge = off;

-- TRUNCATE takes the segments along.
BEGIN;
TRUNCATE vectorstore.embeddings;
SELECT (SELECT count(*) FROM vectorstore.segments) AS segments, (SELECT count(*) FROM vectorstore.segment_pages) AS pages, (SELECT count(*) FROM vectorstore.changes) AS notes;
SELECT chunks, usage_bytes FROM vs_stores WHERE name = 's';
SELECT * FROM pg_temp.drift();
ROLLBACK;

-- A dropped store is out of sight at once; its rows are swept.
SELECT vs_create_store('t', embedding_model => 'none', dimensions => 1) IS NOT NULL AS created;
SELECT vs_upsert('t', 'tee', 't', embedding => '[1]');
SELECT count(*) AS chunks FROM vectorstore.embeddings \gset
SELECT vs_delete_store('s');
SELECT name, chunks FROM vs_stores;
SELECT * FROM vs_search('s', embedding => '[1]');
SELECT count(*) = :chunks AS still_there, (SELECT count(*) FROM vectorstore.dropped_stores) AS dropped FROM vectorstore.embeddings;
SELECT vectorstore._sweep(60);
SELECT count(*) = :chunks - 60 AS fewer, (SELECT count(*) FROM vectorstore.dropped_stores) AS dropped FROM vectorstore.embeddings;
SELECT vs_sweep() > 0 AS swept;
SELECT vs_sweep();
SELECT id FROM vectorstore.embeddings;
SELECT (SELECT count(*) FROM vectorstore.segments) AS segments, (SELECT count(*) FROM vectorstore.segment_pages) AS pages, (SELECT count(*) FROM vectorstore.changes) AS notes,
       (SELECT count(*) FROM vectorstore.search_indexes) AS indexes, (SELECT count(*) FROM vectorstore.dropped_stores) AS dropped;
-- Nobody writes to a store that is not there.
INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, language, embedding, content) SELECT :number, s.tenant_id, 'x', 1, '[1]', 'x' FROM vectorstore.stores s;
INSERT INTO vectorstore.file_batches (store_id, tenant_id, id) SELECT :number, s.tenant_id, 'x' FROM vectorstore.stores s;
INSERT INTO vectorstore.store_files (store_id, tenant_id, id, filename, status, chunking_strategy) SELECT :number, s.tenant_id, 'x', 'f', 'completed', '{}' FROM vectorstore.stores s;
-- A worker sweeps too.
SET vectorstore.background_merge = on;
SELECT vs_delete_store('t');
DO $$
BEGIN
    FOR attempt IN 1 .. 600 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM vectorstore.dropped_stores);
        PERFORM pg_sleep(0.05);
        COMMIT;
    END LOOP;
END
$$;
SELECT count(*) AS chunks, (SELECT count(*) FROM vectorstore.dropped_stores) AS dropped FROM vectorstore.embeddings;
-- Sweeping needs to see what is committed.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT vs_sweep();
ROLLBACK;
SELECT octet_length(value) FROM vectorstore.secrets WHERE name = 'cursor';
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET vectorstore.tail_limit', current_database()); END $$;
RESET vectorstore.tail_limit;
