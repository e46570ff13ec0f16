-- Sweeping: dropping a store takes its row away, and with it everything that could lead to its data. The data
-- follow in batches, which block nobody.

CREATE FUNCTION vectorstore._sweep(p_rows integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    dropped bigint;
    target text;
    swept bigint;
    total bigint := 0;
BEGIN
    -- An older snapshot would not see what a merge left meanwhile, and the rows would be forgotten.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM vectorstore._fail('25001', 'Rows of dropped stores can be swept only in a READ COMMITTED transaction.');
    END IF;
    FOR dropped IN
        SELECT d.store_id FROM vectorstore.dropped_stores d
        -- By its name in JSON, because the column comes by a later step of migration than the table.
        WHERE coalesce((to_jsonb(d)->>'restorable_until')::timestamptz <= now(), true) ORDER BY d.dropped_at, d.store_id
    LOOP
        -- A merge that began before the drop still writes rows.
        IF p_rows IS NULL THEN
            PERFORM pg_advisory_xact_lock(vectorstore._merge_lock(dropped));
        ELSIF NOT pg_try_advisory_xact_lock(vectorstore._merge_lock(dropped)) THEN
            CONTINUE;
        END IF;
        -- Who restores a store holds that lock, too.
        PERFORM FROM vectorstore.dropped_stores d WHERE d.store_id = dropped;
        IF NOT FOUND THEN
            CONTINUE;
        END IF;
        -- Chunks before the files, and files before the batches, that they refer to.
        FOREACH target IN ARRAY ARRAY['embeddings', 'store_files', 'file_batches', 'changes', 'segment_pages', 'segments', 'search_indexes'] LOOP
            EXECUTE format('DELETE FROM vectorstore.%1$I WHERE ctid = ANY (ARRAY(SELECT ctid FROM vectorstore.%1$I WHERE store_id = $1 LIMIT $2))', target)
            USING dropped, p_rows - total;
            GET DIAGNOSTICS swept = ROW_COUNT;
            total := total + swept;
            IF total >= p_rows THEN
                RETURN total;
            END IF;
        END LOOP;
        IF vectorstore._drop_hnsw(dropped, p_rows IS NULL) THEN
            DELETE FROM vectorstore.dropped_stores d WHERE d.store_id = dropped;
        END IF;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep(integer) IS 'Deletes at most so many rows of dropped stores (NULL: all of them) and returns how many; fewer when no more are in reach.';

-- API: public
CREATE FUNCTION @extschema@.vs_sweep() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('vectorstore.dropped_stores') IS NULL THEN
        RETURN 0;
    END IF;
    RETURN vectorstore._sweep(NULL);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_sweep() IS
    'Deletes the rows that dropped stores left behind, and returns how many. Background workers do it by themselves; this waits for it.';
