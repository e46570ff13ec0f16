-- The Files API. Bytes lie in parts of 1 MiB, so that neither side ever holds a whole file.

CREATE FUNCTION vectorstore._file_json(p_tenant bigint, p_file_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', f.id, 'object', 'file', 'bytes', f.bytes, 'created_at', vectorstore._epoch(f.created_at),
        'filename', f.filename, 'purpose', f.purpose, 'status', 'processed')
        || CASE WHEN f.expires_at IS NULL THEN '{}' ELSE jsonb_build_object('expires_at', vectorstore._epoch(f.expires_at)) END
    INTO body FROM vectorstore.files f WHERE f.tenant_id = p_tenant AND f.file_id = p_file_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._file_json(bigint, bigint) IS 'A file as the HTTP API shows it.';

CREATE FUNCTION vectorstore._api_file(p_file text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    SELECT f.file_id INTO number FROM vectorstore.files f
    WHERE f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('file-', p_file) AND f.id = p_file
      AND vectorstore._file_in_scope(p_tenant, f.id, f.created_by);
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('file-', p_file, 'id', format('No such File object: %s', vectorstore._shown(p_file)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_file(text, bigint) IS 'Number of the tenant''s file with this id; P0002 when there is none, 22023 when the id is of another form.';

CREATE FUNCTION vectorstore._check_file(p_filename text, p_purpose text, p_expires_seconds integer) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF coalesce(p_filename, '') = '' OR length(p_filename) > 512 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''file'': the file name must have 1 to 512 characters.', 'invalid_value', 'file');
    ELSIF p_purpose IS NULL OR p_purpose NOT IN ('assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals') THEN
        PERFORM vectorstore._fail('22023', format('Invalid value: ''%s''. Supported values are: ''assistants'', ''batch'', ''fine-tune'', ''vision'', ''user_data'', and ''evals''.',
            vectorstore._shown(coalesce(p_purpose, ''))), 'invalid_value', 'purpose');
    ELSIF p_expires_seconds NOT BETWEEN 3600 AND 2592000 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''expires_after[seconds]'': expected a value from 3600 to 2592000.', 'invalid_value', 'expires_after[seconds]');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._check_file(text, text, integer) IS '22023 for a name, a purpose or an expiry that no file can have.';

CREATE FUNCTION vectorstore.api_begin_file(p_key bytea, p_filename text, p_purpose text, p_expires_seconds integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := nextval('vectorstore.files_file_id_seq');
    id text := vectorstore._new_id('file-', number);
BEGIN
    PERFORM vectorstore._check_file(p_filename, p_purpose, p_expires_seconds);
    INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose, expires_at, created_by) OVERRIDING SYSTEM VALUE
    VALUES (tenant, number, id, p_filename, p_purpose, now() + make_interval(secs => p_expires_seconds), vectorstore._creator());
    RETURN id;
END
$$;
COMMENT ON FUNCTION vectorstore.api_begin_file(bytea, text, text, integer) IS 'Starts a big upload; parts and the end follow in the same transaction. Returns the id.';

CREATE FUNCTION vectorstore.api_append_file(p_key bytea, p_file text, p_part integer, p_data bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
BEGIN
    INSERT INTO vectorstore.file_parts (tenant_id, file_id, part, data)
    VALUES (tenant, vectorstore._api_file(p_file, tenant), p_part, p_data);
END
$$;
COMMENT ON FUNCTION vectorstore.api_append_file(bytea, text, integer, bytea) IS 'Adds a part; parts are numbered from 0.';

CREATE FUNCTION vectorstore._measure_file(p_tenant bigint, p_file_id bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.files f SET (bytes, parts) = (
        SELECT coalesce(sum(octet_length(p.data)), 0), count(*) FROM vectorstore.file_parts p
        WHERE p.tenant_id = p_tenant AND p.file_id = p_file_id)
    WHERE f.tenant_id = p_tenant AND f.file_id = p_file_id;
END
$$;
COMMENT ON FUNCTION vectorstore._measure_file(bigint, bigint) IS 'Notes how many bytes and parts a file, or a part of an upload, has.';

CREATE FUNCTION vectorstore.api_finish_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    PERFORM vectorstore._measure_file(tenant, number);
    RETURN vectorstore._file_json(tenant, number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_finish_file(bytea, text) IS 'Ends a big upload; returns the file.';

CREATE FUNCTION vectorstore.api_create_file(p_key bytea, p_filename text, p_purpose text, p_data bytea, p_expires_seconds integer) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id text := vectorstore.api_begin_file(p_key, p_filename, p_purpose, p_expires_seconds);
    part_size CONSTANT integer := 1048576;
BEGIN
    FOR part IN 0 .. (octet_length(p_data) - 1) / part_size LOOP
        PERFORM vectorstore.api_append_file(p_key, id, part, substring(p_data FROM part * part_size + 1 FOR part_size));
    END LOOP;
    RETURN vectorstore.api_finish_file(p_key, id);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_file(bytea, text, text, bytea, integer) IS 'POST /files for a small file, in one call.';

CREATE FUNCTION vectorstore.api_list_files(p_key bytea, p_purpose text, p_limit integer, p_order text, p_after text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    scope bigint[] := vectorstore._scope();
    creator bigint := vectorstore._creator();
    page_size integer := coalesce(p_limit, 10000);
    descending boolean := coalesce(p_order, 'desc') = 'desc';
    after_at timestamptz := CASE WHEN descending THEN 'infinity' ELSE '-infinity' END;
    after_id bigint := 0;
    data jsonb[];
BEGIN
    PERFORM vectorstore._check_list(page_size, 10000, coalesce(p_order, 'desc'));
    IF p_after IS NOT NULL THEN
        SELECT f.created_at, f.file_id INTO after_at, after_id FROM vectorstore.files f
        WHERE f.tenant_id = tenant AND f.file_id = vectorstore._id_number('file-', p_after) AND f.id = p_after
          AND vectorstore._file_in_scope(tenant, f.id, f.created_by);
        PERFORM vectorstore._check_cursors(p_after, NULL, false, after_id, 0::bigint);
    END IF;
    IF descending THEN
        data := ARRAY(SELECT vectorstore._file_json(tenant, f.file_id) FROM vectorstore.files f
                      WHERE f.tenant_id = tenant AND f.upload_id IS NULL AND (p_purpose IS NULL OR f.purpose = p_purpose)
                        AND (scope IS NULL OR f.created_by = creator OR vectorstore._file_attached(tenant, f.id, scope))
                        AND (f.created_at, f.file_id) < (after_at, after_id)
                      ORDER BY f.created_at DESC, f.file_id DESC LIMIT page_size + 1);
    ELSE
        data := ARRAY(SELECT vectorstore._file_json(tenant, f.file_id) FROM vectorstore.files f
                      WHERE f.tenant_id = tenant AND f.upload_id IS NULL AND (p_purpose IS NULL OR f.purpose = p_purpose)
                        AND (scope IS NULL OR f.created_by = creator OR vectorstore._file_attached(tenant, f.id, scope))
                        AND (f.created_at, f.file_id) > (after_at, after_id)
                      ORDER BY f.created_at, f.file_id LIMIT page_size + 1);
    END IF;
    RETURN vectorstore._list_json(data, page_size);
END
$$;
COMMENT ON FUNCTION vectorstore.api_list_files(bytea, text, integer, text, text) IS 'GET /files: limit 1..10000 (10000), order, after, purpose.';

CREATE FUNCTION vectorstore.api_get_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
BEGIN
    RETURN vectorstore._file_json(tenant, vectorstore._api_file(p_file, tenant));
END
$$;
COMMENT ON FUNCTION vectorstore.api_get_file(bytea, text) IS 'GET /files/{id}.';

CREATE FUNCTION vectorstore.api_read_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    RETURN (SELECT jsonb_build_object('id', f.id, 'filename', f.filename, 'bytes', f.bytes, 'parts', f.parts)
            FROM vectorstore.files f WHERE f.tenant_id = tenant AND f.file_id = number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_file(bytea, text) IS 'Name, size and number of parts of a file that is about to be read.';

CREATE FUNCTION vectorstore.api_read_file_part(p_key bytea, p_file text, p_part integer) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'read');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    RETURN (SELECT p.data FROM vectorstore.file_parts p WHERE p.tenant_id = tenant AND p.file_id = number AND p.part = p_part);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_file_part(bytea, text, integer) IS 'Bytes of one part, 0 and up; NULL past the end.';

CREATE FUNCTION vectorstore.api_delete_file(p_key bytea, p_file text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._api_file(p_file, tenant);
BEGIN
    IF vectorstore._scope() IS NOT NULL AND EXISTS (
        SELECT FROM vectorstore.files f WHERE f.tenant_id = tenant AND f.file_id = number AND f.created_by <> vectorstore._creator()) THEN
        -- It may be in stores that are none of the caller's.
        PERFORM vectorstore._fail_forbidden();
    END IF;
    PERFORM vectorstore._delete_files(ARRAY[tenant], ARRAY[number], ARRAY[p_file]);
    RETURN jsonb_build_object('id', p_file, 'object', 'file', 'deleted', true);
END
$$;
COMMENT ON FUNCTION vectorstore.api_delete_file(bytea, text) IS 'DELETE /files/{id}: the file goes, and its chunks from every store.';
