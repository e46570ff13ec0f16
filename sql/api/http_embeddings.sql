-- Chunks of text over HTTP, one by one.

CREATE FUNCTION vectorstore._embedding_json(p_store_id bigint, p_store text, p_chunk_id bigint, p_vector boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', e.id, 'object', 'embedding', 'vector_store_id', p_store, 'content', e.content, 'metadata', e.metadata,
        'file_id', e.file_id, 'filename', e.filename, 'version', e.version,
        'created_at', vectorstore._epoch(e.created_at), 'updated_at', vectorstore._epoch(e.updated_at))
        || CASE WHEN p_vector THEN jsonb_build_object('embedding', to_jsonb(@extschema:vector@.vector_to_float4(e.embedding, -1, false))) ELSE '{}' END
    INTO body FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.chunk_id = p_chunk_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._embedding_json(bigint, text, bigint, boolean) IS 'A chunk as the HTTP API shows it, with its vector if wanted.';

CREATE FUNCTION vectorstore.api_list_embeddings(
    p_store_id bigint, p_store text, p_key bytea, p_limit integer, p_order text, p_after text, p_before text, p_vectors boolean
) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search'));
    page_size integer := coalesce(p_limit, 20);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    backwards boolean := p_before IS NOT NULL AND p_after IS NULL;
    low text := CASE WHEN descending THEN p_before ELSE p_after END;
    high text := CASE WHEN descending THEN p_after ELSE p_before END;
    low_id bigint := 0;
    high_id bigint := 9223372036854775807;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 100, coalesce(p_order, 'desc'));
    IF low IS NOT NULL THEN
        SELECT e.chunk_id INTO low_id FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = low AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id);
    END IF;
    IF high IS NOT NULL THEN
        SELECT e.chunk_id INTO high_id FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = high AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id);
    END IF;
    PERFORM vectorstore._check_cursors(p_after, p_before, descending, low_id, high_id);
    IF descending <> backwards THEN
        data := ARRAY(SELECT vectorstore._embedding_json(number, p_store, e.chunk_id, p_vectors) FROM vectorstore.embeddings e
                      WHERE e.store_id = number AND e.chunk_id > low_id AND e.chunk_id < high_id
                        AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id)
                      ORDER BY e.chunk_id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._embedding_json(number, p_store, e.chunk_id, p_vectors) FROM vectorstore.embeddings e
                      WHERE e.store_id = number AND e.chunk_id > low_id AND e.chunk_id < high_id
                        AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id)
                      ORDER BY e.chunk_id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size, backwards);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_embeddings(bigint, text, bytea, integer, text, text, text, boolean) IS
    'GET /vector_stores/{id}/embeddings: limit 1..100 (20), order, after, before; in the order in which they were written.';

CREATE FUNCTION vectorstore.api_get_embedding(p_store_id bigint, p_store text, p_key bytea, p_id text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'search'));
    chunk bigint := (SELECT e.chunk_id FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = p_id
                      AND vectorstore._allowed(e.metadata, e.filename, e.file_id, e.id));
BEGIN
    IF chunk IS NULL THEN
        PERFORM vectorstore._fail_embedding(p_id);
    END IF;
    RETURN vectorstore._embedding_json(number, p_store, chunk, true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_embedding(bigint, text, bytea, text) IS 'GET /vector_stores/{id}/embeddings/{id}.';

CREATE FUNCTION vectorstore.api_update_embedding(
    p_store_id bigint, p_store text, p_key bytea, p_id text, p_content text, p_embedding @extschema:vector@.vector, p_metadata jsonb,
    p_replace boolean, p_versions integer[]
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
    chunk bigint := vectorstore._update_embedding(number, p_id, p_content, p_embedding, p_metadata, p_replace, p_versions);
BEGIN
    PERFORM vectorstore._touch_active(number);
    RETURN vectorstore._embedding_json(number, p_store, chunk, true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_update_embedding(bigint, text, bytea, text, text, @extschema:vector@.vector, jsonb, boolean, integer[]) IS
    'PUT (p_replace) and PATCH /vector_stores/{id}/embeddings/{id}. p_versions: those that If-Match allows.';

CREATE FUNCTION vectorstore.api_delete_embedding(p_store_id bigint, p_store text, p_key bytea, p_id text, p_versions integer[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
    known record;
BEGIN
    SELECT e.chunk_id, e.version INTO known FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM vectorstore._fail_embedding(p_id);
    END IF;
    PERFORM vectorstore._require_version(known.version, p_versions);
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.chunk_id = known.chunk_id;
    RETURN jsonb_build_object('id', p_id, 'object', 'embedding.deleted', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_embedding(bigint, text, bytea, text, integer[]) IS
    'DELETE /vector_stores/{id}/embeddings/{id}. p_versions: those that If-Match allows.';

CREATE FUNCTION vectorstore.api_delete_embeddings(
    p_store_id bigint, p_store text, p_key bytea, p_ids text[], p_filter jsonb, p_dry_run boolean, p_expected bigint
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._api_store(p_store_id, p_store, vectorstore._open_key(p_key, 'write'));
BEGIN
    RETURN jsonb_build_object(
        'object', 'embedding.batch.deleted', 'dry_run', coalesce(p_dry_run, false),
        'deleted', vectorstore._delete_embeddings(number, p_ids, p_filter, p_dry_run, p_expected));
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_embeddings(bigint, text, bytea, text[], jsonb, boolean, bigint) IS
    'DELETE /vector_stores/{id}/embeddings/batch, by ids or by filter.';
