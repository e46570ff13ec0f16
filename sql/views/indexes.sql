-- How every store is searched. A view over a function, as vs_stores.
CREATE FUNCTION vectorstore._stat_indexes()
RETURNS TABLE (
    store_id text, name text, index text, reason text, chunks bigint, tail_rows bigint, segments bigint, lists bigint,
    pages bigint, bytes bigint, hnsw_bytes bigint, deleted_rows bigint, merges bigint, merged_at timestamptz,
    recall_k integer, recall double precision, recall_samples bigint, recall_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._current_tenant();
BEGIN
    IF tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT s.id, s.name, coalesce(i.kind, 'segments'),
               CASE WHEN g.segments = 0 THEN 'Exact scan: no chunk is packed into a segment yet.'
                    WHEN i.kind = 'hnsw' THEN 'HNSW: asked for; where a filter leaves few chunks, the segments answer.'
                    WHEN g.lists > g.segments THEN 'Lists: a segment is too large to be scanned whole, so only the lists nearest to a query are.'
                    ELSE 'Flat scan: every segment is small enough that all its codes are scanned.' END,
               c.chunks, c.added - coalesce(i.packed, 0), g.segments, g.lists, g.pages,
               g.pages * current_setting('block_size')::bigint,
               coalesce(pg_total_relation_size(to_regclass(format('vectorstore.%I', vectorstore._hnsw_table(s.store_id)))), 0),
               g.deleted, coalesce(i.merges, 0), i.merged_at, i.recall_k, i.recall, coalesce(i.recall_samples, 0), i.recall_at
        FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        LEFT JOIN vectorstore.search_indexes i USING (store_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS segments, coalesce(sum(vectorstore._segment_lists(t.header)), 0)::bigint AS lists,
                   coalesce(sum(t.pages), 0)::bigint AS pages, coalesce(sum(bit_count(t.deleted)), 0)::bigint AS deleted
            FROM vectorstore.segments t WHERE t.store_id = s.store_id) g
        WHERE s.tenant_id = tenant;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_indexes() IS 'Rows of vs_stat_indexes.';

CREATE VIEW @extschema@.vs_stat_indexes AS SELECT * FROM vectorstore._stat_indexes();
COMMENT ON VIEW @extschema@.vs_stat_indexes IS 'How each vector store of the caller''s tenant is searched, why, and with which recall.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.store_id IS 'Public id of the store, vs_...';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.name IS 'Name of the store.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.index IS 'Index that was chosen for its vectors: segments or hnsw.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.reason IS 'How its vectors are searched now, and why.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.chunks IS 'Number of chunks.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.tail_rows IS 'Chunks that came or went and wait for a merge; each search reads them one by one.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.segments IS 'Number of segments.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.lists IS 'Lists of vectors in all segments; a small segment has one.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.pages IS 'Pages of all segments.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.bytes IS 'Size of these pages on disk.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.hnsw_bytes IS 'Size on disk of the HNSW index and its side table; 0 without one.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.deleted_rows IS 'Chunks in segments that are marked as deleted, until a merge leaves them out.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.merges IS 'Number of merges.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.merged_at IS 'Last merge.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall_k IS 'k of the last vector query that was compared with an exact search.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall IS 'Mean share of the k nearest chunks that vector queries found, over about the last hundred compared; NULL when none was.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall_samples IS 'Number of vector queries that were compared with an exact search.';
COMMENT ON COLUMN @extschema@.vs_stat_indexes.recall_at IS 'When the last one was compared.';
