-- Changes of a store's chunks, and the merges that pack them into segments.
--
-- Who locks what, in this order: a writer the counts of its tenant, if that has quotas (its row in tenant_quotas), and
-- the counters of its store (its row in store_counters), a merge the store's merge lock and, last, its row in search_indexes. A merge never touches store_counters and a writer
-- never search_indexes, so that neither waits for the other.

-- The advisory lock under which a store's segments are replaced.
CREATE FUNCTION vectorstore._merge_lock(p_store_id bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT hashtextextended('vectorstore.merge', p_store_id) $$;
COMMENT ON FUNCTION vectorstore._merge_lock(bigint) IS 'Key of the advisory lock that a merge of the store holds.';

CREATE FUNCTION vectorstore._fail_dropped() RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._fail('P0002', 'The vector store does not exist; it may have been deleted just now.', NULL, 'store');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_dropped() IS 'P0002 for a write to a store that is gone.';

-- Called by the statement triggers of embeddings, once a store. The counters' row is also what a writer and a drop
-- of the store meet at: the later one waits, and a writer that finds the store gone fails.
CREATE FUNCTION vectorstore._note_change(
    p_store_id bigint, p_chunks bigint, p_tokens bigint, p_bytes bigint, p_added bigint[], p_removed bigint[], p_languages smallint[]
) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- So many rows at once make a segment of their own; written to the tail they would only be moved again.
    bulk boolean := cardinality(p_added) >= 2048;
    noted bigint[] := CASE WHEN bulk THEN '{}' ELSE p_added END;
    waiting bigint;
    consumed bigint;
    index_kind text;
    store_language smallint;
    tenant bigint := (SELECT s.tenant_id FROM vectorstore.store_counters s WHERE s.store_id = p_store_id);
    counters record;
BEGIN
    IF tenant IS NOT NULL THEN
        PERFORM vectorstore._count_tenant(tenant, 0, p_chunks, p_bytes);
    END IF;
    UPDATE vectorstore.store_counters s SET
        chunks = s.chunks + p_chunks, tokens = s.tokens + p_tokens, usage_bytes = s.usage_bytes + p_bytes,
        added = s.added + cardinality(noted) + cardinality(p_removed)
    WHERE s.store_id = p_store_id
    RETURNING s.* INTO counters;
    IF NOT FOUND THEN
        IF cardinality(p_added) > 0 THEN
            PERFORM vectorstore._fail_dropped();
        ELSIF tenant IS NOT NULL THEN
            -- Dropped while this waited: what it held has left the counts of the tenant already.
            PERFORM vectorstore._count_tenant(tenant, 0, -p_chunks, -p_bytes);
        END IF;
        RETURN; -- Rows of a dropped store leave without a note.
    END IF;
    PERFORM vectorstore._check_quota(counters, p_chunks, p_bytes);
    PERFORM vectorstore._note_usage(tenant, p_store_id, p_chunks, p_bytes);
    waiting := counters.added;
    store_language := (SELECT t.language FROM vectorstore.stores t WHERE t.store_id = p_store_id);
    IF store_language = 127 AND cardinality(p_languages) > 0 THEN
        PERFORM vectorstore._note_languages(p_store_id, p_languages);
    END IF;
    IF cardinality(noted) + cardinality(p_removed) > 0 THEN
        INSERT INTO vectorstore.changes (store_id, added, removed) VALUES (p_store_id, noted, p_removed);
    END IF;
    IF bulk THEN
        PERFORM vectorstore._pack(p_store_id, p_added);
    END IF;
    SELECT i.packed, i.kind INTO consumed, index_kind FROM vectorstore.search_indexes i WHERE i.store_id = p_store_id;
    IF index_kind = 'hnsw' THEN
        PERFORM vectorstore._note_hnsw(p_store_id, p_added, p_removed);
    END IF;
    waiting := waiting - coalesce(consumed, 0);
    IF bulk OR waiting > vectorstore._tail_limit() THEN
        PERFORM vectorstore._consider_merge(p_store_id, waiting);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._note_change(bigint, bigint, bigint, bigint, bigint[], bigint[], smallint[]) IS
    'Counts what a statement did to a store, notes the chunk ids, and sees to it that somebody merges; P0002 for a store that is gone, 53400 when a quota is exceeded.';

-- A worker merges once this transaction has committed. When none came for long, the writer does it: that bounds the tail.
CREATE FUNCTION vectorstore._consider_merge(p_store_id bigint, p_waiting bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tail_limit bigint := vectorstore._tail_limit();
BEGIN
    IF NOT vectorstore._background_merge()
       OR (p_waiting <= tail_limit AND cardinality(vectorstore._merge_plan(p_store_id, 0)) = 0)
       -- Somebody merges already. (A lock of this transaction does not count.)
       OR NOT pg_try_advisory_lock(vectorstore._merge_lock(p_store_id)) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_unlock(vectorstore._merge_lock(p_store_id));
    IF p_waiting > 4 * tail_limit AND current_setting('transaction_isolation') = 'read committed' THEN
        PERFORM vectorstore._merge(p_store_id, false);
    ELSE
        PERFORM vectorstore._want_merge(p_store_id);
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._consider_merge(bigint, bigint) IS 'Has a store merged when enough waits in its tail, or when it has too many segments.';

-- Segments stand in tiers by their rows, each eight times the one below; more than four of a tier become one. A
-- segment that lost more than a fifth of its rows is written anew.
CREATE FUNCTION vectorstore._merge_plan(p_store_id bigint, p_rows bigint) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit double precision := vectorstore._tail_limit();
    ids bigint[];
    live bigint[];
    tiers integer[];
    chosen bigint[];
    size bigint;
    members bigint[];
    pending integer;
BEGIN
    SELECT array_agg(s.segment_id), array_agg(s.live),
           array_agg(CASE WHEN s.live <= unit THEN 0 ELSE floor(ln(s.live / unit) / ln(8::double precision))::integer END),
           coalesce(array_agg(s.segment_id) FILTER (WHERE s.live * 5 < s.rows * 4), '{}'),
           p_rows + coalesce(sum(s.live) FILTER (WHERE s.live * 5 < s.rows * 4), 0)
    INTO ids, live, tiers, chosen, size
    FROM (SELECT g.segment_id, g.rows, g.rows - coalesce(bit_count(g.deleted), 0) AS live
          FROM vectorstore.segments g WHERE g.store_id = p_store_id) s;
    FOR tier IN 0 .. coalesce((SELECT max(u.tier) FROM unnest(tiers) AS u(tier)), -1) LOOP
        -- What is about to be written counts in the tier that it falls into.
        pending := (size > 0 AND tier = CASE WHEN size <= unit THEN 0 ELSE floor(ln(size / unit) / ln(8::double precision)) END)::integer;
        members := ARRAY(SELECT u.id FROM unnest(ids, tiers) AS u(id, tier_of) WHERE u.tier_of = tier AND u.id <> ALL (chosen));
        IF cardinality(members) + pending > 4 THEN
            chosen := chosen || members;
            size := size + (SELECT sum(u.live) FROM unnest(ids, live) AS u(id, live) WHERE u.id = ANY (members));
        END IF;
    END LOOP;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION vectorstore._merge_plan(bigint, bigint) IS 'Segments that a merge of so many new rows should rewrite along with them.';

-- One merge. Each statement below has a snapshot of its own, and writers commit in between. Nothing is lost:
--   * What was noted is read by deleting it: exactly the rows that are consumed are seen, and later ones stay.
--   * A row that is deleted or changed after its note was consumed leaves a note that stays: its old version may
--     be packed, and the note hides it, as it hides a row of any segment.
--   * Whoever reads sees the state before the commit, old notes and old segments, or all of the new one.
-- Segments change only under the merge lock; a bulk statement adds whole ones, which stand by themselves.
CREATE FUNCTION vectorstore._merge(
    p_store_id bigint, p_all boolean, OUT segments bigint, OUT packed bigint, OUT removed bigint
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted bigint;
    ids bigint[] := '{}';
    gone bigint[] := '{}';
    chosen bigint[];
    old_segment bigint;
    new_segment bigint;
    marked bigint[];
BEGIN
    IF p_all THEN
        PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(p_store_id));
    ELSIF NOT pg_try_advisory_xact_lock(vectorstore._merge_lock(p_store_id)) THEN
        RETURN;
    END IF;
    -- A store that was dropped before the lock was ours may have been swept: nothing may be left behind. Dropped
    -- later, it is swept after the merge, because the sweep takes the lock too.
    PERFORM FROM vectorstore.stores s WHERE s.store_id = p_store_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT coalesce(sum(cardinality(c.added) + cardinality(c.removed)), 0) INTO noted
    FROM vectorstore.changes c WHERE c.store_id = p_store_id;
    IF noted > 0 AND (p_all OR noted > vectorstore._tail_limit()) THEN
        WITH consumed AS (
            DELETE FROM vectorstore.changes c WHERE c.store_id = p_store_id RETURNING c.added, c.removed
        )
        SELECT ARRAY(SELECT unnest(c.added) FROM consumed c EXCEPT SELECT unnest(c.removed) FROM consumed c),
               ARRAY(SELECT unnest(c.removed) FROM consumed c EXCEPT SELECT unnest(c.added) FROM consumed c),
               (SELECT sum(cardinality(c.added) + cardinality(c.removed)) FROM consumed c)
        INTO ids, gone, noted;
    ELSE
        noted := 0;
    END IF;

    IF p_all THEN
        chosen := ARRAY(SELECT s.segment_id FROM vectorstore.segments s WHERE s.store_id = p_store_id);
        IF noted = 0 AND cardinality(chosen) <= 1
           AND NOT EXISTS (SELECT FROM vectorstore.segments s WHERE s.store_id = p_store_id AND bit_count(s.deleted) > 0) THEN
            chosen := '{}';
        END IF;
    ELSE
        chosen := vectorstore._merge_plan(p_store_id, cardinality(ids));
    END IF;

    IF noted > 0 OR cardinality(chosen) > 0 THEN
        FOREACH old_segment IN ARRAY chosen LOOP
            ids := ids || vectorstore._segment_chunks(p_store_id, old_segment);
        END LOOP;
        ids := ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(gone) ORDER BY 1);
        DELETE FROM vectorstore.segment_pages p WHERE p.store_id = p_store_id AND p.segment_id = ANY (chosen);
        DELETE FROM vectorstore.segments s WHERE s.store_id = p_store_id AND s.segment_id = ANY (chosen);
        IF cardinality(ids) > 0 THEN
            new_segment := vectorstore._pack(p_store_id, ids);
        END IF;
        -- Removed ids that are in no segment were packed nowhere: their rows went before they could be.
        removed := cardinality(gone);
        FOR old_segment IN
            SELECT s.segment_id FROM vectorstore.segments s
            WHERE s.store_id = p_store_id AND s.segment_id IS DISTINCT FROM new_segment ORDER BY s.segment_id
        LOOP
            EXIT WHEN cardinality(gone) = 0;
            marked := vectorstore._mark_deleted(p_store_id, old_segment, gone);
            gone := ARRAY(SELECT unnest(gone) EXCEPT SELECT unnest(marked) ORDER BY 1);
        END LOOP;
        INSERT INTO vectorstore.search_indexes AS i (store_id, packed, merges, merged_at)
        VALUES (p_store_id, noted, 1, clock_timestamp())
        ON CONFLICT (store_id) DO UPDATE SET
            packed = i.packed + excluded.packed, merges = i.merges + 1, merged_at = excluded.merged_at;
        packed := coalesce((SELECT s.rows FROM vectorstore.segments s
                            WHERE s.store_id = p_store_id AND s.segment_id = new_segment), 0);
    ELSIF p_all THEN
        packed := 0;
        removed := 0;
    END IF;
    segments := (SELECT count(*) FROM vectorstore.segments s WHERE s.store_id = p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore._merge(bigint, boolean) IS
    'Packs what waits in a store''s tail, with the segments that are due, into one segment. p_all: waits for a running merge, and makes everything one segment. Returns the segments there are now, the rows packed and the ids removed; packed is NULL when nothing was due or another merge runs.';

-- API: public
CREATE FUNCTION @extschema@.vs_merge(store text, OUT segments bigint, OUT packed bigint, OUT removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT m.segments, m.packed, m.removed INTO segments, packed, removed
    FROM vectorstore._merge(vectorstore._store(store, 'write'), true) m;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_merge(text) IS
    'Packs the whole store into one search segment. Returns the number of segments, of rows packed and of rows taken out. Background workers merge by themselves; this is for after a bulk load, or without them.';

-- API: public
CREATE FUNCTION @extschema@.vs_rebuild(store text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
    ids bigint[];
    noted bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(number));
    -- One statement, so one snapshot: whatever it does not see keeps its note, or the segment that its bulk made.
    WITH consumed AS (DELETE FROM vectorstore.changes c WHERE c.store_id = number RETURNING c.added, c.removed),
         pages AS (DELETE FROM vectorstore.segment_pages p WHERE p.store_id = number),
         segments AS (DELETE FROM vectorstore.segments s WHERE s.store_id = number)
    SELECT ARRAY(SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = number ORDER BY e.chunk_id),
           coalesce((SELECT sum(cardinality(c.added) + cardinality(c.removed)) FROM consumed c), 0)
    INTO ids, noted;
    IF cardinality(ids) > 0 THEN
        PERFORM vectorstore._pack(number, ids);
    END IF;
    INSERT INTO vectorstore.search_indexes AS i (store_id, packed, merges, merged_at)
    VALUES (number, noted, 1, clock_timestamp())
    ON CONFLICT (store_id) DO UPDATE SET
        packed = i.packed + excluded.packed, merges = i.merges + 1, merged_at = excluded.merged_at;
    RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_rebuild(text) IS
    'Makes the search segments of a store anew from its rows, and returns how many rows there are. Never needed while segments are sound; after a restore or VACUUM FULL it makes searches a little faster, because segments remember where rows lie.';

-- One round of the background worker, in a transaction of its own: true while there is more to do.
CREATE FUNCTION vectorstore._maintain(p_store_id bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due record;
BEGIN
    IF to_regclass('vectorstore.changes') IS NULL THEN
        RETURN false;
    END IF;
    -- At most two workers a database: the others' work is found by those.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.worker', 0))
       AND NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.worker', 1)) THEN
        RETURN false;
    END IF;
    IF (vectorstore._merge(p_store_id, false)).packed IS NOT NULL THEN
        RETURN true;
    END IF;
    FOR due IN
        SELECT c.store_id FROM vectorstore.store_counters c LEFT JOIN vectorstore.search_indexes i USING (store_id)
        WHERE c.added - coalesce(i.packed, 0) > vectorstore._tail_limit() AND c.store_id <> p_store_id
        ORDER BY c.added - coalesce(i.packed, 0) DESC
    LOOP
        IF (vectorstore._merge(due.store_id, false)).packed IS NOT NULL THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN vectorstore._sweep(10000) > 0;
END
$$;
COMMENT ON FUNCTION vectorstore._maintain(bigint) IS 'Merges this store or, when it is not due, another one, or else sweeps rows of dropped stores; false when nothing is left to do.';
