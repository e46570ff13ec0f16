-- How the vectors of a store are searched: by its segments alone, or also by an HNSW index of pgvector over a side
-- table of its own, and how well: the recall watch.
--
-- The side table holds a unit-length half-precision copy of every vector of the store, the tail's too. It is an
-- ordinary table of the owner role: a dump holds it, and a search that finds it uses it.

-- Declaration of a function in extension/src/pack.rs.
CREATE FUNCTION vectorstore._segment_lists(header bytea) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'segment_lists_wrapper';
COMMENT ON FUNCTION vectorstore._segment_lists(bytea) IS 'Number of lists that a segment''s vectors are divided into, by its header.';

CREATE FUNCTION vectorstore._hnsw_table(p_store_id bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT 'hnsw_' || p_store_id $$;
COMMENT ON FUNCTION vectorstore._hnsw_table(bigint) IS 'Name of a store''s side table for HNSW.';

CREATE FUNCTION vectorstore._hnsw_query(p_store_id bigint) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        'SELECT h.chunk_id FROM vectorstore.%I h ORDER BY h.embedding OPERATOR(@extschema:vector@.<=>) $1::real[]::@extschema:vector@.halfvec LIMIT $2',
        vectorstore._hnsw_table(p_store_id))
$$;
COMMENT ON FUNCTION vectorstore._hnsw_query(bigint) IS 'Statement that asks the HNSW index of a store: $1 the query as real[], $2 the number of chunks.';

CREATE FUNCTION vectorstore._fill_hnsw(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    side text := vectorstore._hnsw_table(p_store_id);
    size integer := (SELECT s.dimensions FROM vectorstore.stores s WHERE s.store_id = p_store_id);
BEGIN
    IF size > 4000 THEN
        PERFORM vectorstore._fail('22023', format('HNSW indexes vectors of at most 4000 dimensions; this store has %s.', size), 'invalid_value', 'index');
    END IF;
    EXECUTE format('CREATE TABLE vectorstore.%I (chunk_id bigint PRIMARY KEY, embedding @extschema:vector@.halfvec(%s) NOT NULL)', side, size);
    EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', side);
    EXECUTE format('COMMENT ON TABLE vectorstore.%I IS %L', side, 'Vectors of a store for its HNSW index.');
    -- The index is made last: built over all rows at once it is made many times faster than row by row.
    EXECUTE format(
        'INSERT INTO vectorstore.%I (chunk_id, embedding)
         SELECT e.chunk_id, @extschema:vector@.l2_normalize(e.embedding)::@extschema:vector@.halfvec
         FROM vectorstore.embeddings e WHERE e.store_id = $1', side) USING p_store_id;
    EXECUTE format('CREATE INDEX %I ON vectorstore.%I USING hnsw (embedding @extschema:vector@.halfvec_cosine_ops)', side || '_embedding', side);
END
$$;
COMMENT ON FUNCTION vectorstore._fill_hnsw(bigint) IS 'Makes the side table of a store with its HNSW index; 22023 for more than 4000 dimensions.';

-- Locks as a writer does, in its order. The counters are written and not only locked: a writer with an older
-- snapshot, which would not see the index, then fails with 40001 and misses nothing.
CREATE FUNCTION vectorstore._set_index(p_store_id bigint, p_index text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
BEGIN
    IF p_index IS NULL OR p_index NOT IN ('segments', 'hnsw') THEN
        PERFORM vectorstore._fail('22023', 'Invalid value for the index. Supported values are: ''segments'' and ''hnsw''.', 'invalid_value', 'index');
    END IF;
    UPDATE vectorstore.store_counters s SET added = s.added WHERE s.store_id = p_store_id;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_dropped();
    END IF;
    IF p_index = coalesce((SELECT i.kind FROM vectorstore.search_indexes i WHERE i.store_id = p_store_id), 'segments') THEN
        RETURN;
    END IF;
    IF p_index = 'hnsw' THEN
        PERFORM vectorstore._fill_hnsw(p_store_id);
    ELSE
        EXECUTE format('DROP TABLE IF EXISTS vectorstore.%I', vectorstore._hnsw_table(p_store_id));
    END IF;
    INSERT INTO vectorstore.search_indexes AS i (store_id, kind) VALUES (p_store_id, p_index)
    ON CONFLICT (store_id) DO UPDATE SET
        kind = excluded.kind, recall_k = NULL, recall = NULL, recall_samples = 0, recall_at = NULL;
END
$$;
COMMENT ON FUNCTION vectorstore._set_index(bigint, text) IS 'Changes how the vectors of a store are searched; what was measured of its recall is forgotten.';

-- API: public
CREATE FUNCTION @extschema@.vs_set_index(store text, index text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._set_index(vectorstore._store(store, 'write'), index);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_set_index(text, text) IS
    'Chooses how the vectors of a store (id or name) are searched: segments (one-bit codes, the default) or hnsw (pgvector''s HNSW, at most 4000 dimensions). Writers of the store wait until the index is built; searches do not. To segments: waits for searches that are using the index.';

-- Called for stores with HNSW by the common function of the statement triggers.
CREATE FUNCTION vectorstore._note_hnsw(p_store_id bigint, p_added bigint[], p_removed bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    side text := vectorstore._hnsw_table(p_store_id);
BEGIN
    IF cardinality(p_removed) > 0 THEN
        EXECUTE format('DELETE FROM vectorstore.%I WHERE chunk_id = ANY ($1)', side) USING p_removed;
    END IF;
    IF cardinality(p_added) > 0 THEN
        EXECUTE format(
            'INSERT INTO vectorstore.%I (chunk_id, embedding)
             SELECT e.chunk_id, @extschema:vector@.l2_normalize(e.embedding)::@extschema:vector@.halfvec
             FROM vectorstore.embeddings e WHERE e.store_id = $1 AND e.chunk_id = ANY ($2)', side) USING p_store_id, p_added;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._note_hnsw(bigint, bigint[], bigint[]) IS 'Takes chunks that came and went over into a store''s HNSW index.';

CREATE FUNCTION vectorstore._clear_hnsw() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store bigint;
BEGIN
    FOR store IN SELECT i.store_id FROM vectorstore.search_indexes i WHERE i.kind = 'hnsw' ORDER BY i.store_id LOOP
        EXECUTE format('TRUNCATE vectorstore.%I', vectorstore._hnsw_table(store));
    END LOOP;
END
$$;
COMMENT ON FUNCTION vectorstore._clear_hnsw() IS 'Empties all HNSW indexes, when the table of chunks is truncated.';

-- A search in an old snapshot may still hold the table. With p_wait it is waited for, else the sweep comes back.
CREATE FUNCTION vectorstore._drop_hnsw(p_store_id bigint, p_wait boolean) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    side text := vectorstore._hnsw_table(p_store_id);
BEGIN
    IF to_regclass(format('vectorstore.%I', side)) IS NOT NULL THEN
        EXECUTE format('LOCK TABLE vectorstore.%I IN ACCESS EXCLUSIVE MODE%s', side, CASE WHEN NOT p_wait THEN ' NOWAIT' END);
        EXECUTE format('DROP TABLE vectorstore.%I', side);
    END IF;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION vectorstore._drop_hnsw(bigint, boolean) IS 'Drops the side table of a dropped store, if it has one; false when somebody still reads it.';

-- Runs in a background worker, with a vector query that a session has answered: the same question asked of all rows.
-- A chunk counts as found when it is as near as the last of the nearest, so that equal distances are no misses; what
-- was deleted since, or is not committed yet, counts neither way. The lock's key spells "vsrecall", as in
-- extension/src/recall.rs: one of these runs at a time.
CREATE FUNCTION vectorstore._watch_recall(p_store_id bigint, p_embedding real[], p_k integer, p_found bigint[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    query @extschema:vector@.vector := p_embedding::@extschema:vector@.vector;
    hits bigint;
    wanted bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(8535291498581814380) THEN
        RETURN;
    END IF;
    -- A look at a row takes a microsecond or two: so watching takes at most about a tenth of a processor's time.
    PERFORM FROM vectorstore.store_counters c LEFT JOIN vectorstore.search_indexes i USING (store_id)
    WHERE c.store_id = p_store_id
      AND (i.recall_at IS NULL OR i.recall_at < clock_timestamp() - c.chunks * interval '15 microseconds');
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT e.embedding OPERATOR(@extschema:vector@.<=>) query AS distance
        FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.chunk_id = ANY (p_found)
    ), nearest AS MATERIALIZED (
        SELECT e.embedding OPERATOR(@extschema:vector@.<=>) query AS distance
        FROM vectorstore.embeddings e WHERE e.store_id = p_store_id
        ORDER BY distance LIMIT p_k - cardinality(p_found) + (SELECT count(*) FROM found)
    )
    SELECT (SELECT count(*) FROM found f WHERE f.distance <= (SELECT max(n.distance) FROM nearest n)),
           (SELECT count(*) FROM nearest)
    INTO hits, wanted;
    -- A drop waits for this note, or leaves nothing to note it at.
    PERFORM FROM vectorstore.store_counters c WHERE c.store_id = p_store_id FOR KEY SHARE;
    IF NOT FOUND OR wanted = 0 THEN
        RETURN;
    END IF;
    INSERT INTO vectorstore.search_indexes AS i (store_id, recall_k, recall, recall_samples, recall_at)
    VALUES (p_store_id, p_k, least(hits::double precision / wanted, 1), 1, clock_timestamp())
    ON CONFLICT (store_id) DO UPDATE SET
        recall_k = excluded.recall_k, recall_samples = i.recall_samples + 1, recall_at = excluded.recall_at,
        -- The mean of the first hundred, and from then on one that forgets older ones.
        recall = coalesce(i.recall, 0) + (excluded.recall - coalesce(i.recall, 0)) / least(i.recall_samples + 1, 100);
END
$$;
COMMENT ON FUNCTION vectorstore._watch_recall(bigint, real[], integer, bigint[]) IS
    'Compares what a vector query found (the first k chunks) with an exact search, and notes the recall of the store.';
