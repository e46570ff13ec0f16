-- Chunks of text one by one: list, change, delete by id or by filter, with versions against lost updates.

CREATE FUNCTION vectorstore._fail_embedding(p_id text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._fail('P0002', format('No embedding found with id ''%s''.', vectorstore._shown(p_id)), NULL, 'embedding_id');
END
$$;
COMMENT ON FUNCTION vectorstore._fail_embedding(text) IS 'P0002 for a chunk that does not exist.';

CREATE FUNCTION vectorstore._require_version(version integer, versions integer[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF version <> ALL (versions) THEN
        PERFORM vectorstore._fail('44000', format('The embedding has been changed: its version is %s.', version), 'version_mismatch', 'If-Match');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_version(integer, integer[]) IS '44000 when the version is none of those expected; NULL expects none.';

CREATE FUNCTION vectorstore._update_embedding(
    p_store_id bigint, p_id text, p_content text, p_embedding @extschema:vector@.vector, p_metadata jsonb, p_replace boolean, p_versions integer[]
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
    known record;
    chunk bigint;
    new_content text := p_content;
    new_embedding @extschema:vector@.vector := p_embedding;
    new_metadata jsonb := p_metadata;
BEGIN
    PERFORM vectorstore._require_active(p_store_id);
    SELECT e.chunk_id, e.version, e.content, e.embedding, e.metadata INTO known
    FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_embedding(p_id);
    END IF;
    PERFORM vectorstore._require_version(known.version, p_versions);
    IF p_replace THEN
        new_metadata := coalesce(p_metadata, '{}');
    ELSIF num_nonnulls(p_content, p_embedding, p_metadata) = 0 THEN
        RETURN known.chunk_id;
    ELSE
        new_content := coalesce(p_content, known.content);
        new_metadata := coalesce(p_metadata, known.metadata);
        -- A new text needs a new vector; the old text keeps its own.
        IF new_content = known.content THEN
            new_embedding := coalesce(p_embedding, known.embedding);
        END IF;
    END IF;
    PERFORM vectorstore._check_embeddings(p_store_id, ARRAY[new_content], NULL, ARRAY[new_embedding], ARRAY[new_metadata]);
    UPDATE vectorstore.embeddings e SET
        content = new_content, embedding = coalesce(new_embedding, vectorstore._embed_content(new_content)), metadata = new_metadata,
        filename = CASE WHEN e.file_id IS NULL THEN new_metadata->>'filename' ELSE e.filename END,
        language = (SELECT CASE s.language WHEN 127 THEN vectorstore._detect_language(new_content, 0::smallint) ELSE s.language END
                    FROM vectorstore.stores s WHERE s.store_id = p_store_id),
        version = e.version + 1, updated_at = now()
    WHERE e.store_id = p_store_id AND e.chunk_id = known.chunk_id
    -- What is written anew has a new number.
    RETURNING e.chunk_id INTO chunk;
    RETURN chunk;
END
$$;
COMMENT ON FUNCTION vectorstore._update_embedding(bigint, text, text, @extschema:vector@.vector, jsonb, boolean, integer[]) IS
    'Changes what is given of a chunk, or replaces it whole; returns its number. P0002 when there is none, 44000 when its version is another.';

CREATE FUNCTION vectorstore._delete_embeddings(
    p_store_id bigint, p_ids text[], p_filter jsonb, p_dry_run boolean, p_expected bigint
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    path jsonpath := vectorstore._filter_path(p_filter)::jsonpath;
    virtual boolean := coalesce(vectorstore._filter_is_virtual(p_filter), false);
    affected bigint;
BEGIN
    IF num_nonnulls(p_ids, p_filter) <> 1 THEN
        PERFORM vectorstore._fail('22023', 'Give either ''ids'' or ''filter''.', 'invalid_value', 'ids');
    ELSIF p_ids IS NULL AND p_filter = '{}' AND p_expected IS NULL AND p_dry_run IS NOT TRUE THEN
        PERFORM vectorstore._fail('22023', 'An empty filter means every embedding of the store: give expected_count, too.', 'missing_required_parameter', 'expected_count');
    END IF;
    IF p_dry_run THEN
        SELECT count(*) INTO affected FROM vectorstore.embeddings e
        WHERE e.store_id = p_store_id AND (p_ids IS NULL OR e.id = ANY (p_ids))
          AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path);
    ELSE
        IF p_ids IS NOT NULL THEN
            p_ids := vectorstore._hold_embeddings(p_store_id, p_ids);
        END IF;
        DELETE FROM vectorstore.embeddings e
        WHERE e.store_id = p_store_id AND (p_ids IS NULL OR e.id = ANY (p_ids))
          AND (path IS NULL OR vectorstore._passes(virtual, e.metadata, e.filename, e.file_id, e.id) @@ path);
        GET DIAGNOSTICS affected = ROW_COUNT;
    END IF;
    IF affected <> p_expected THEN
        PERFORM vectorstore._fail('44000', format('Expected %s embeddings, but there are %s. Nothing was deleted.', p_expected, affected), 'count_mismatch', 'expected_count');
    END IF;
    RETURN affected;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_embeddings(bigint, text[], jsonb, boolean, bigint) IS
    'Deletes chunks by id or by filter, or only counts them. 44000, and nothing is deleted, when they are not as many as expected.';

CREATE FUNCTION vectorstore._require_empty(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    counters record;
BEGIN
    -- Writers update these rows, too: none comes between the look and the drop.
    PERFORM vectorstore._hold_tenants(ARRAY[p_store_id]);
    SELECT c.chunks, c.files_in_progress + c.files_completed + c.files_failed + c.files_cancelled AS files INTO counters
    FROM vectorstore.store_counters c WHERE c.store_id = p_store_id FOR UPDATE;
    IF counters.chunks > 0 OR counters.files > 0 THEN
        PERFORM vectorstore._fail('2BP01', format('The vector store is not empty: it has %s embeddings and %s files.', counters.chunks, counters.files), 'vector_store_not_empty', 'mode');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_empty(bigint) IS '2BP01 when the store has chunks or files; keeps writers out until the transaction ends.';

-- API: public
CREATE FUNCTION @extschema@.vs_update(
    store text, id text, content text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, metadata jsonb DEFAULT NULL,
    expected_version integer DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
    chunk bigint := vectorstore._update_embedding(number, id, content, embedding, metadata, false, 
        CASE WHEN expected_version IS NOT NULL THEN ARRAY[expected_version] END);
BEGIN
    RETURN (SELECT e.version FROM vectorstore.embeddings e WHERE e.store_id = number AND e.chunk_id = chunk);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update(text, text, text, @extschema:vector@.vector, jsonb, integer) IS
    'Changes what is given of a chunk and returns its new version. A new content without an embedding is embedded by the store''s model. P0002 for an unknown id, 44000 when the version is not the expected one.';

-- API: public
CREATE FUNCTION @extschema@.vs_list(
    store text, k integer DEFAULT 100, after text DEFAULT NULL, filter jsonb DEFAULT NULL,
    OUT id text, OUT file_id text, OUT filename text, OUT content text, OUT metadata jsonb, OUT version integer, OUT created_at timestamptz
) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    number bigint := vectorstore._store(store);
    position bigint := 0;
BEGIN
    IF k IS NULL OR k NOT BETWEEN 1 AND 10000 THEN
        PERFORM vectorstore._fail('22023', 'k must be from 1 to 10000.', 'invalid_value', 'k');
    ELSIF after IS NOT NULL THEN
        SELECT e.chunk_id INTO position FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = after;
        PERFORM vectorstore._check_cursors(after, NULL, false, position, 0::bigint);
    END IF;
    RETURN QUERY
    SELECT e.id, e.file_id, e.filename, e.content, e.metadata, e.version, e.created_at
    FROM unnest(vectorstore._list_chunks(number, jsonb_build_object('filter', filter), position, k)) h
    JOIN vectorstore.embeddings e ON e.store_id = number AND e.chunk_id = h.chunk_id ORDER BY e.chunk_id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_list(text, integer, text, jsonb) IS
    'Chunks of a store in the order in which they were written: k (1..10000) that pass the filter, behind the one with the id after.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete_where(store text, filter jsonb, dry_run boolean DEFAULT false, expected_count bigint DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._delete_embeddings(vectorstore._store(store, 'write'), NULL, filter, dry_run, expected_count);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_where(text, jsonb, boolean, bigint) IS
    'Deletes the chunks whose metadata pass the filter and returns how many; dry_run only counts them. 44000, and nothing is deleted, when they are not expected_count.';
