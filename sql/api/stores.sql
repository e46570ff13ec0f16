-- Vector stores for SQL users, and the parts that the HTTP functions share.

-- Codes of languages are stored; the library knows their names, document_tsv() what they mean. 127 is `auto`: every
-- chunk has the language that it is written in, and the store keeps a list of those. A text whose language is not
-- certain gets `simple`, which keeps all its words: such texts are mostly short, or names, codes and numbers. So the
-- lexemes depend on the text alone, not on what the store held before.
CREATE FUNCTION vectorstore._language_code(language text) RETURNS smallint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code smallint := vectorstore._language_number(language);
BEGIN
    IF code IS NULL THEN
        PERFORM vectorstore._fail('22023', format('Unknown language ''%s''.', vectorstore._shown(language)), 'invalid_value', 'language',
            format('Known are %s.', vectorstore._language_names()));
    END IF;
    RETURN code;
END
$$;
COMMENT ON FUNCTION vectorstore._language_code(text) IS 'Code under which a language is stored; 22023 for an unknown one.';

CREATE FUNCTION vectorstore._note_languages(p_store_id bigint, p_codes smallint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.stores s
    SET languages = ARRAY(SELECT DISTINCT u.code FROM unnest(s.languages || p_codes) AS u(code) WHERE u.code IS NOT NULL ORDER BY u.code)
    WHERE s.store_id = p_store_id AND s.language = 127 AND NOT s.languages @> p_codes;
END
$$;
COMMENT ON FUNCTION vectorstore._note_languages(bigint, smallint[]) IS
    'Adds the codes of new chunks to the languages of a store that detects them. Writes only when one is new; none is ever taken out.';

-- A query is mostly too short to tell its language, so it is read in all of them. A lexeme of several languages
-- counts as often as in the first: `||` alone would add up its positions.
-- Stop words of the languages with a stemmer are left out of the readings that know none. The few chunks that are
-- `simple` would make a "the" look rare and precious, and win every question.
CREATE FUNCTION vectorstore._union_lexemes(p_codes smallint[], p_query text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    code smallint;
    reading tsvector;
    stemmed tsvector[] := '{}';
    plain tsvector[] := '{}';
    stops text[] := '{}';
    lexemes tsvector := '';
BEGIN
    FOREACH code IN ARRAY p_codes LOOP
        reading := vectorstore.document_tsv(code, p_query);
        IF code BETWEEN 1 AND 20 THEN
            stemmed := array_append(stemmed, reading);
            lexemes := lexemes || ts_delete(reading, tsvector_to_array(lexemes));
        ELSE
            plain := array_append(plain, reading);
        END IF;
    END LOOP;
    IF stemmed <> '{}' AND plain <> '{}' THEN
        -- Every reading numbers the same words, and lacks the numbers of its stop words.
        stemmed := array_prepend(to_tsvector('simple', p_query), stemmed);
        stops := ARRAY(
            SELECT min(w.lexeme) FILTER (WHERE r.item = 1)
            FROM unnest(stemmed) WITH ORDINALITY AS r(vector, item), unnest(r.vector) AS w, unnest(w.positions) AS p(position)
            GROUP BY p.position HAVING count(*) < cardinality(stemmed));
    END IF;
    FOREACH reading IN ARRAY plain LOOP
        lexemes := lexemes || ts_delete(reading, stops || tsvector_to_array(lexemes));
    END LOOP;
    -- Nothing but stop words is still a query.
    RETURN CASE WHEN length(lexemes) = 0 AND plain <> '{}' THEN plain[1] ELSE lexemes END;
END
$$;
COMMENT ON FUNCTION vectorstore._union_lexemes(smallint[], text) IS 'Lexemes of a text in any of these languages, each counted as in the first that has it.';

-- Metadata and attributes follow OpenAI's limits: at most 16 pairs, keys of 64 characters, strings of 512.
CREATE FUNCTION vectorstore._check_attributes(attributes jsonb, param text, numbers boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pair record;
BEGIN
    IF attributes IS NULL OR attributes = 'null' THEN
        RETURN '{}';
    ELSIF jsonb_typeof(attributes) <> 'object' THEN
        PERFORM vectorstore._fail('22023', format('Invalid type for ''%s'': expected an object, but got %s instead.', param, vectorstore._kind(attributes)), 'invalid_type', param);
    ELSIF (SELECT count(*) FROM jsonb_object_keys(attributes)) > 16 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''%s'': too many properties. Expected an object with at most 16 properties.', param), 'object_above_max_properties', param);
    END IF;
    FOR pair IN SELECT * FROM jsonb_each(attributes) LOOP
        IF length(pair.key) > 64 THEN
            PERFORM vectorstore._fail('22023', format('Invalid property name in ''%s'': string too long. Expected at most 64 characters.', param), 'string_above_max_length', param);
        ELSIF jsonb_typeof(pair.value) NOT IN ('string', 'number', 'boolean') OR (NOT numbers AND jsonb_typeof(pair.value) <> 'string') THEN
            PERFORM vectorstore._fail('22023', format('Invalid type for ''%s.%s'': expected %s, but got %s instead.', param, pair.key,
                CASE WHEN numbers THEN 'a string, number or boolean' ELSE 'a string' END, vectorstore._kind(pair.value)), 'invalid_type', param || '.' || pair.key);
        ELSIF length(pair.value #>> '{}') > 512 THEN
            PERFORM vectorstore._fail('22023', format('Invalid ''%s.%s'': string too long. Expected at most 512 characters.', param, pair.key), 'string_above_max_length', param || '.' || pair.key);
        END IF;
    END LOOP;
    RETURN attributes;
END
$$;
COMMENT ON FUNCTION vectorstore._check_attributes(jsonb, text, boolean) IS 'Checks metadata or attributes against OpenAI''s limits; NULL becomes {}.';

-- What a new or changed store may be.
CREATE FUNCTION vectorstore._check_store(name text, description text, expires_after_days integer) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF length(name) > 256 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''name'': string too long. Expected at most 256 characters.', 'string_above_max_length', 'name');
    ELSIF length(description) > 1024 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''description'': string too long. Expected at most 1024 characters.', 'string_above_max_length', 'description');
    ELSIF expires_after_days < 1 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''expires_after.days'': integer below minimum value. Expected a value >= 1.', 'integer_below_min_value', 'expires_after.days');
    ELSIF expires_after_days > 365 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''expires_after.days'': integer above maximum value. Expected a value <= 365.', 'integer_above_max_value', 'expires_after.days');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_store(text, text, integer) IS '22023 for a name, description or expiry out of range.';

-- Inserts a store; the checks of its callers differ, this part does not.
CREATE FUNCTION vectorstore._create_store(
    tenant bigint, name text, description text, metadata jsonb, expires_after_days integer,
    embedding_model text, dimensions integer, language text, provided boolean DEFAULT false
) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := nextval('vectorstore.stores_store_id_seq');
    model text := coalesce(embedding_model, 'local');
    size integer := dimensions;
BEGIN
    PERFORM vectorstore._check_store(name, description, expires_after_days);
    IF model = 'local' THEN
        size := vectorstore._model_dimensions();
        IF dimensions <> size THEN
            PERFORM vectorstore._fail('22023', format('The model ''local'' has %s dimensions, not %s.', size, dimensions), 'invalid_value', 'dimensions');
        END IF;
    ELSIF model <> 'none' AND NOT provided THEN
        PERFORM vectorstore._fail('22023', format('Unknown embedding model ''%s''.', vectorstore._shown(model)), 'invalid_value', 'embedding_model',
            'Use ''local'' for the model of this server, or ''none'' to bring your own vectors.');
    ELSIF size IS NULL THEN
        PERFORM vectorstore._fail('22023', 'A store without an embedding model needs its dimensions.', 'missing_required_parameter', 'dimensions');
    ELSIF size NOT BETWEEN 1 AND 16000 THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''dimensions'': %s. Expected a value from 1 to 16000.', size), 'invalid_value', 'dimensions');
    END IF;
    INSERT INTO vectorstore.stores AS s
        (store_id, tenant_id, id, name, description, metadata, embedding_model, dimensions, language, expires_after_days)
        OVERRIDING SYSTEM VALUE
    VALUES (number, tenant, vectorstore._new_id('vs_', number), coalesce(name, ''), description,
            vectorstore._check_attributes(metadata, 'metadata', false), model, size,
            vectorstore._language_code(coalesce(language, 'english')), expires_after_days);
    INSERT INTO vectorstore.store_counters (store_id, tenant_id) VALUES (number, tenant);
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._create_store(bigint, text, text, jsonb, integer, text, integer, text, boolean) IS 'Inserts a store and its counters; returns its number. provided: the proxy embeds for this model, of which the database knows nothing.';

-- Names are not unique over HTTP, as with OpenAI. For SQL users they are, because there they stand for the store.
CREATE FUNCTION vectorstore._claim_name(tenant bigint, name text, p_store_id bigint DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(name, tenant));
    PERFORM FROM vectorstore.stores s
    WHERE s.tenant_id = tenant AND s.name = _claim_name.name AND s.store_id IS DISTINCT FROM p_store_id;
    IF FOUND THEN
        PERFORM vectorstore._fail('23505', format('A vector store named ''%s'' exists already.', vectorstore._shown(name)), NULL, 'name');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._claim_name(bigint, text, bigint) IS '23505 when another store of the tenant bears the name; holds the name until the transaction ends.';

-- API: public
CREATE FUNCTION @extschema@.vs_create_store(
    name text, description text DEFAULT NULL, metadata jsonb DEFAULT NULL, embedding_model text DEFAULT 'local',
    dimensions integer DEFAULT NULL, language text DEFAULT 'english', expires_after_days integer DEFAULT NULL,
    index text DEFAULT 'segments'
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint;
    number bigint;
BEGIN
    IF coalesce(name, '') = '' THEN
        PERFORM vectorstore._fail('22023', 'A store needs a name.', 'missing_required_parameter', 'name');
    END IF;
    PERFORM @extschema@.vs_install();
    tenant := vectorstore._current_tenant();
    PERFORM vectorstore._require_access('write');
    PERFORM vectorstore._claim_name(tenant, name);
    number := vectorstore._create_store(tenant, name, description, metadata, expires_after_days, embedding_model, dimensions, language);
    IF index IS DISTINCT FROM 'segments' THEN
        PERFORM vectorstore._set_index(number, index);
    END IF;
    RETURN (SELECT s.id FROM vectorstore.stores s WHERE s.store_id = number);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_create_store(text, text, jsonb, text, integer, text, integer, text) IS
    'Creates a vector store and returns its id (vs_...). embedding_model: local (texts are embedded here) or none (bring vectors; give dimensions, 1..16000). language: of the keyword leg, or auto (each chunk''s is detected). metadata: at most 16 pairs of strings. index: segments (default) or hnsw, see vs_set_index. 23505 when the name is taken.';

-- API: public
CREATE FUNCTION @extschema@.vs_update_store(
    store text, name text DEFAULT NULL, description text DEFAULT NULL, metadata jsonb DEFAULT NULL,
    expires_after_days integer DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint := vectorstore._store(store, 'write');
BEGIN
    IF name <> '' THEN
        PERFORM vectorstore._claim_name(vectorstore._current_tenant(), name, number);
    END IF;
    PERFORM vectorstore._update_store(number, jsonb_strip_nulls(jsonb_build_object('name', name, 'description', description, 'expires_after_days', expires_after_days))
        || CASE WHEN metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', metadata) END);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_update_store(text, text, text, jsonb, integer) IS
    'Changes what is given of a store (by id or name); NULL leaves a field as it is. metadata is replaced whole. 23505 when the name is taken.';

-- Changes the fields that are keys of the object; JSON null clears one.
CREATE FUNCTION vectorstore._update_store(p_store_id bigint, changes jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._check_store(changes->>'name', changes->>'description', (changes->>'expires_after_days')::integer);
    PERFORM vectorstore._require_active(p_store_id);
    UPDATE vectorstore.stores s SET
        name = CASE WHEN changes ? 'name' THEN coalesce(changes->>'name', '') ELSE s.name END,
        description = CASE WHEN changes ? 'description' THEN changes->>'description' ELSE s.description END,
        metadata = CASE WHEN changes ? 'metadata' THEN vectorstore._check_attributes(changes->'metadata', 'metadata', false) ELSE s.metadata END,
        expires_after_days = CASE WHEN changes ? 'expires_after_days' THEN (changes->>'expires_after_days')::integer ELSE s.expires_after_days END,
        last_active_at = now(), updated_at = now()
    WHERE s.store_id = p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._update_store(bigint, jsonb) IS 'Changes the fields of a store that are keys of the object; JSON null clears one.';

-- API: public
CREATE FUNCTION @extschema@.vs_delete_store(store text, mode text DEFAULT 'cascade') RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM vectorstore._delete_store_in_mode(vectorstore._store(store, 'write'), mode);
END
$$;
COMMENT ON FUNCTION @extschema@.vs_delete_store(text, text) IS
    'Deletes a store (by id or name) with everything in it; uploaded files stay. mode: cascade (default), restrict, which raises 2BP01 for a store that is not empty, or soft: vs_restore_store brings it back within 7 days.';

CREATE FUNCTION vectorstore._delete_store_in_mode(p_store_id bigint, p_mode text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_mode IS NULL OR p_mode NOT IN ('cascade', 'restrict', 'soft') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''cascade'', ''restrict'', and ''soft''.', vectorstore._shown(coalesce(p_mode, 'null'))), 'invalid_value', 'mode');
    ELSIF p_mode = 'restrict' THEN
        PERFORM vectorstore._require_empty(p_store_id);
    ELSIF p_mode = 'soft' THEN
        IF vectorstore._schema_version() < 10 THEN
            PERFORM vectorstore._fail('55000', 'Stores cannot be deleted softly before vs_install() has been run.', NULL, 'mode');
        END IF;
        PERFORM vectorstore._delete_store_softly(p_store_id);
        RETURN;
    END IF;
    PERFORM vectorstore._delete_store(p_store_id);
END
$$;
COMMENT ON FUNCTION vectorstore._delete_store_in_mode(bigint, text) IS 'Deletes a store, softly if asked; 2BP01 in the mode restrict when it is not empty.';

CREATE FUNCTION vectorstore._delete_store(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone record;
BEGIN
    -- The counters first, as writers do: the drop waits there for those that began before it, and stops later ones.
    DELETE FROM vectorstore.store_counters c WHERE c.store_id = p_store_id RETURNING c.tenant_id, c.chunks, c.usage_bytes INTO gone;
    PERFORM vectorstore._note_usage(gone.tenant_id, p_store_id, -gone.chunks, -gone.usage_bytes);
    DELETE FROM vectorstore.stores s WHERE s.store_id = p_store_id;
END
$$;
COMMENT ON FUNCTION vectorstore._delete_store(bigint) IS 'Deletes a store; the rows that belong to it are out of sight at once and are swept later.';
