-- Step 6: the text of a chunk stays in its row where that fits a page, and what merges leave is vacuumed soon.
--
-- An answer is read row by row, and a text out of line costs an index scan and two more pages each (measured: 0.1 ms of
-- an answer of 10 rows, a sixth of a hybrid search of 60,000). Rows that are there already stay as they are until they
-- are written again; both forms read the same.

CREATE FUNCTION vectorstore._migrate_0006() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    ALTER TABLE vectorstore.embeddings SET (toast_tuple_target = 8160);
    -- A merge leaves whole segments behind, whose space the next ones can take.
    ALTER TABLE vectorstore.segment_pages SET (
        autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
    ALTER TABLE vectorstore.changes SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
    INSERT INTO vectorstore.schema_migrations (version) VALUES (6);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0006() IS 'Migration step 6: texts of chunks in line, and how soon search tables are vacuumed.';
