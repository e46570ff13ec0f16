-- Chunks of text: insert, read, delete.

-- API: public
CREATE FUNCTION @extschema@.vs_embed(content text) RETURNS @extschema:vector@.vector
    LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT vectorstore._embed(content)::@extschema:vector@.vector $$;
COMMENT ON FUNCTION @extschema@.vs_embed(text) IS
    'Embeds a text with the local model: 256 dimensions, length 1 (all zeros for a text without tokens). At most 262,144 bytes. 55000 when vectorstore.model_path names no model.';

-- Refuses arrays that do not fit each other or the store, naming the first bad item.
CREATE FUNCTION vectorstore._check_embeddings(
    p_store_id bigint, contents text[], ids text[], embeddings @extschema:vector@.vector[], metadata jsonb[]
) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store record;
    bad record;
    items integer := coalesce(cardinality(contents), 0);
BEGIN
    SELECT s.dimensions, s.name, s.embedding_model INTO store FROM vectorstore.stores s WHERE s.store_id = p_store_id;
    IF items = 0 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''embeddings'': empty array. Expected at least one item.', 'empty_array', 'embeddings');
    ELSIF cardinality(ids) <> items OR cardinality(embeddings) <> items OR cardinality(metadata) <> items THEN
        PERFORM vectorstore._fail('22023', 'The arrays must have one item for each content.', 'invalid_value', 'embeddings');
    END IF;
    SELECT min(u.item) FILTER (WHERE u.content IS NULL) AS no_content,
           min(u.item) FILTER (WHERE octet_length(u.content) > 262144) AS long_content,
           min(u.item) FILTER (WHERE @extschema:vector@.vector_dims(u.embedding) <> store.dimensions) AS other_dimensions,
           min(u.item) FILTER (WHERE @extschema:vector@.vector_norm(u.embedding) = 0) AS zero,
           min(u.item) FILTER (WHERE jsonb_typeof(u.metadata) <> 'object') AS no_object,
           min(u.item) FILTER (WHERE octet_length(u.metadata::text) > 65536) AS long_metadata,
           min(u.item) FILTER (WHERE u.embedding IS NULL) AS no_embedding,
           min(u.item) FILTER (WHERE u.id = '' OR length(u.id) > 256) AS bad_id,
           count(u.id) <> count(DISTINCT u.id) AS twice
    INTO bad
    FROM unnest(contents, ids, embeddings, metadata) WITH ORDINALITY AS u(content, id, embedding, metadata, item);
    IF bad.no_content IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Item %s has no content.', bad.no_content), 'missing_required_parameter', 'content');
    ELSIF bad.long_content IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The content of item %s is too long. Expected at most 262144 bytes.', bad.long_content), 'string_above_max_length', 'content');
    ELSIF bad.other_dimensions IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The embedding of item %s has %s dimensions, but the store takes %s.', bad.other_dimensions,
            @extschema:vector@.vector_dims(embeddings[bad.other_dimensions]), store.dimensions), 'invalid_value', 'embedding');
    ELSIF bad.zero IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The embedding of item %s is all zeros and has no direction.', bad.zero), 'invalid_value', 'embedding');
    ELSIF bad.no_object IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The metadata of item %s is not an object.', bad.no_object), 'invalid_type', 'metadata');
    ELSIF bad.long_metadata IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The metadata of item %s is too long. Expected at most 65536 bytes.', bad.long_metadata), 'invalid_value', 'metadata');
    ELSIF bad.bad_id IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('The id of item %s is empty or longer than 256 characters.', bad.bad_id), 'invalid_value', 'id');
    ELSIF bad.twice THEN
        PERFORM vectorstore._fail('22023', 'An id stands more than once.', 'invalid_value', 'id');
    ELSIF bad.no_embedding IS NOT NULL AND store.embedding_model <> 'local' THEN
        PERFORM vectorstore._fail('22023', format('Item %s has no embedding, and the store ''%s'' has no embedding model.', bad.no_embedding, store.name),
            'missing_required_parameter', 'embedding');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_embeddings(bigint, text[], text[], @extschema:vector@.vector[], jsonb[]) IS '22023, naming the first bad item, for chunks that the store cannot take.';

-- The embedding of a text for a row: a text without tokens has no direction and cannot be stored.
CREATE FUNCTION vectorstore._embed_content(content text) RETURNS @extschema:vector@.vector
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    embedding @extschema:vector@.vector := vectorstore._embed(content)::@extschema:vector@.vector;
BEGIN
    IF @extschema:vector@.vector_norm(embedding) = 0 THEN
        PERFORM vectorstore._fail('22023', 'A text without words cannot be embedded.', 'invalid_value', 'content');
    END IF;
    RETURN embedding;
END
$$;
COMMENT ON FUNCTION vectorstore._embed_content(text) IS 'Embeds a text for storage; 22023 for one without tokens.';

CREATE FUNCTION vectorstore._upsert(
    p_store_id bigint, contents text[], ids text[], embeddings @extschema:vector@.vector[], metadata jsonb[]
) RETURNS text[]
    -- Words of more than 2,047 bytes are left out of the keyword index; a notice for each helps nobody. The rows of a call
    -- pass through a sort and a transition table, and should not go through files for that.
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning SET work_mem = '64MB'
AS $$
DECLARE
    store record;
    names text[];
    numbers bigint[];
BEGIN
    IF cardinality(contents) > 10000 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''embeddings'': array too long. Expected at most 10000 items, but got %s.', cardinality(contents)), 'array_above_max_length', 'embeddings');
    END IF;
    PERFORM vectorstore._check_embeddings(p_store_id, contents, ids, embeddings, metadata);
    PERFORM vectorstore._require_active(p_store_id);
    SELECT s.tenant_id, s.language INTO store FROM vectorstore.stores s WHERE s.store_id = p_store_id;
    names := ARRAY(SELECT coalesce(u.id, vectorstore._random_id('emb_')) FROM unnest(contents, ids) WITH ORDINALITY AS u(content, id, item) ORDER BY u.item);
    numbers := ARRAY(SELECT nextval('vectorstore.embeddings_chunk_id_seq') FROM unnest(contents));
    INSERT INTO vectorstore.embeddings AS e (store_id, chunk_id, tenant_id, id, language, embedding, metadata, filename, content)
    OVERRIDING SYSTEM VALUE
    SELECT p_store_id, u.number, store.tenant_id, u.name,
           CASE store.language WHEN 127 THEN vectorstore._detect_language(u.content, 0::smallint) ELSE store.language END,
           coalesce(u.embedding, vectorstore._embed_content(u.content)), coalesce(u.metadata, '{}'),
           u.metadata->>'filename', u.content
    FROM unnest(numbers, contents, names, ids, embeddings, metadata) AS u(number, content, name, id, embedding, metadata)
    -- Whoever writes the same ids locks them in the same order. The numbers keep the order in which the chunks came.
    ORDER BY u.id COLLATE "C", u.number
    ON CONFLICT (store_id, id) DO UPDATE SET
        content = excluded.content, embedding = excluded.embedding, metadata = excluded.metadata,
        filename = excluded.filename, language = excluded.language, version = e.version + 1, updated_at = now();
    RETURN names;
END
$$;
COMMENT ON FUNCTION vectorstore._upsert(bigint, text[], text[], @extschema:vector@.vector[], jsonb[]) IS 'Checks and writes chunks; returns their ids in order.';

-- The array form has other argument names, so that a call with named arguments is never ambiguous.
-- API: public
CREATE FUNCTION @extschema@.vs_upsert(
    store text, contents text[], ids text[] DEFAULT NULL, embeddings @extschema:vector@.vector[] DEFAULT NULL, metadatas jsonb[] DEFAULT NULL
) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN vectorstore._upsert(vectorstore._store(store, 'write'), contents, ids, embeddings, metadatas);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_upsert(text, text[], text[], @extschema:vector@.vector[], jsonb[]) IS
    'Inserts chunks, or replaces those whose ids exist; returns the ids in order. All or nothing. At most 10,000 contents of 262,144 bytes. A missing embedding is made from the content by the store''s model.';

-- API: public
CREATE FUNCTION @extschema@.vs_upsert(
    store text, content text, id text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL, metadata jsonb DEFAULT NULL
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (vectorstore._upsert(vectorstore._store(store, 'write'), ARRAY[content], ARRAY[id], ARRAY[embedding], ARRAY[metadata]))[1];
END
$$;
COMMENT ON FUNCTION @extschema@.vs_upsert(text, text, text, @extschema:vector@.vector, jsonb) IS
    'Inserts one chunk, or replaces the one with this id; returns the id. A missing embedding is made from the content by the store''s model.';

-- API: public
CREATE FUNCTION @extschema@.vs_get(
    store text, INOUT id text, OUT file_id text, OUT filename text, OUT content text, OUT metadata jsonb,
    OUT embedding @extschema:vector@.vector, OUT version integer, OUT created_at timestamptz, OUT updated_at timestamptz
) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store);
BEGIN
    RETURN QUERY
    SELECT e.id, e.file_id, e.filename, e.content, e.metadata, e.embedding, e.version, e.created_at, e.updated_at
    FROM vectorstore.embeddings e
    WHERE e.store_id = number AND e.id = vs_get.id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_get(text, text) IS 'The chunk with this id, as one row; no row when there is none.';

CREATE FUNCTION vectorstore._hold_embeddings(p_store_id bigint, p_ids text[]) RETURNS text[]
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT e.id FROM vectorstore.embeddings e WHERE e.store_id = p_store_id AND e.id = ANY (p_ids) ORDER BY e.id FOR UPDATE);
END
$$;
COMMENT ON FUNCTION vectorstore._hold_embeddings(bigint, text[]) IS
    'Locks chunks in the order of their ids, as whoever writes them does (a delete alone takes them as they lie), and returns the ids of those that exist.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete(store text, ids text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
    deleted bigint;
BEGIN
    ids := vectorstore._hold_embeddings(number, ids);
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = ANY (ids);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete(text, text[]) IS 'Deletes chunks by id; returns how many existed.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete(store text, id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
BEGIN
    DELETE FROM vectorstore.embeddings e WHERE e.store_id = number AND e.id = vs_delete.id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete(text, text) IS 'Deletes one chunk; false when there was none.';
