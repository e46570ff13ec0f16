-- The Uploads API: a file that comes in parts, in any order and at the same time.

CREATE FUNCTION vectorstore._upload_json(p_tenant bigint, p_upload_id bigint) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb;
BEGIN
    SELECT jsonb_build_object(
        'id', u.id, 'object', 'upload', 'bytes', u.bytes, 'created_at', vectorstore._epoch(u.created_at),
        'filename', u.filename, 'purpose', u.purpose,
        'status', CASE WHEN u.status = 'pending' AND u.expires_at <= now() THEN 'expired' ELSE u.status END,
        'expires_at', vectorstore._epoch(u.expires_at), 'file', vectorstore._file_json(p_tenant, u.file_id))
    INTO body FROM vectorstore.uploads u WHERE u.tenant_id = p_tenant AND u.upload_id = p_upload_id;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore._upload_json(bigint, bigint) IS 'An upload as the HTTP API shows it.';

-- Parts hold the upload's row against its end, not against each other.
CREATE FUNCTION vectorstore._api_upload(p_upload text, p_tenant bigint, p_ending boolean) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    IF p_ending THEN
        SELECT u.upload_id INTO number FROM vectorstore.uploads u
        WHERE u.tenant_id = p_tenant AND u.upload_id = vectorstore._id_number('upload_', p_upload) AND u.id = p_upload
          AND (vectorstore._scope() IS NULL OR u.created_by = vectorstore._creator()) FOR UPDATE;
    ELSE
        SELECT u.upload_id INTO number FROM vectorstore.uploads u
        WHERE u.tenant_id = p_tenant AND u.upload_id = vectorstore._id_number('upload_', p_upload) AND u.id = p_upload
          AND (vectorstore._scope() IS NULL OR u.created_by = vectorstore._creator()) FOR KEY SHARE;
    END IF;
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('upload_', p_upload, 'upload_id', format('No such Upload object: %s', vectorstore._shown(p_upload)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._api_upload(text, bigint, boolean) IS
    'Locks the tenant''s upload with this id, for a part or for its end, and returns its number; P0002 when there is none, 22023 when the id is of another form.';

CREATE FUNCTION vectorstore._require_pending(p_tenant bigint, p_upload_id bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    state text := vectorstore._upload_json(p_tenant, p_upload_id)->>'status';
BEGIN
    IF state <> 'pending' THEN
        PERFORM vectorstore._fail('22023', format('The upload is not pending any more: its status is ''%s''.', state), 'invalid_value', 'upload_id');
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_pending(bigint, bigint) IS '22023 when the upload is completed, cancelled or expired.';

CREATE FUNCTION vectorstore.api_create_upload(
    p_key bytea, p_filename text, p_purpose text, p_mime_type text, p_bytes bigint, p_expires_seconds integer
) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := nextval('vectorstore.uploads_upload_id_seq');
BEGIN
    PERFORM vectorstore._check_file(p_filename, p_purpose, p_expires_seconds);
    IF p_bytes IS NULL OR p_bytes NOT BETWEEN 0 AND 8589934592 THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''bytes'': expected a value from 0 to 8589934592.', 'invalid_value', 'bytes');
    END IF;
    INSERT INTO vectorstore.uploads (tenant_id, upload_id, id, filename, purpose, mime_type, bytes, file_expires_seconds, created_by) OVERRIDING SYSTEM VALUE
    VALUES (tenant, number, vectorstore._new_id('upload_', number), p_filename, p_purpose, coalesce(p_mime_type, ''), p_bytes, p_expires_seconds,
            vectorstore._creator());
    RETURN vectorstore._upload_json(tenant, number);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_upload(bytea, text, text, text, bigint, integer) IS 'POST /uploads. An upload that is not completed within an hour expires.';

CREATE FUNCTION vectorstore.api_begin_upload_part(p_key bytea, p_upload text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, false);
    number bigint := nextval('vectorstore.files_file_id_seq');
    part_id text := vectorstore._new_id('part_', number);
BEGIN
    PERFORM vectorstore._require_pending(tenant, upload);
    INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose, upload_id, created_by) OVERRIDING SYSTEM VALUE
    SELECT tenant, number, part_id, u.filename, u.purpose, upload, vectorstore._creator() FROM vectorstore.uploads u WHERE u.tenant_id = tenant AND u.upload_id = upload;
    RETURN part_id;
END
$$;
COMMENT ON FUNCTION vectorstore.api_begin_upload_part(bytea, text) IS 'Starts a part; pieces and the end follow in the same transaction. Returns the part''s id.';

CREATE FUNCTION vectorstore._upload_part(p_part text, p_tenant bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number bigint;
BEGIN
    SELECT f.file_id INTO number FROM vectorstore.files f
    WHERE f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('part_', p_part) AND f.id = p_part
      AND (vectorstore._scope() IS NULL OR f.created_by = vectorstore._creator());
    IF number IS NULL THEN
        PERFORM vectorstore._fail_unknown('part_', p_part, 'part_ids', format('No such UploadPart object: %s', vectorstore._shown(p_part)));
    END IF;
    RETURN number;
END
$$;
COMMENT ON FUNCTION vectorstore._upload_part(text, bigint) IS 'Number of the tenant''s upload part with this id; P0002 when there is none, 22023 when the id is of another form.';

CREATE FUNCTION vectorstore.api_append_upload_part(p_key bytea, p_part text, p_piece integer, p_data bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
BEGIN
    INSERT INTO vectorstore.file_parts (tenant_id, file_id, part, data)
    VALUES (tenant, vectorstore._upload_part(p_part, tenant), p_piece, p_data);
END
$$;
COMMENT ON FUNCTION vectorstore.api_append_upload_part(bytea, text, integer, bytea) IS 'Adds a piece to a part; pieces are numbered from 0.';

CREATE FUNCTION vectorstore.api_finish_upload_part(p_key bytea, p_part text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._upload_part(p_part, tenant);
    body jsonb;
BEGIN
    PERFORM vectorstore._measure_file(tenant, number);
    SELECT jsonb_build_object('id', f.id, 'object', 'upload.part', 'created_at', vectorstore._epoch(f.created_at), 'upload_id', u.id)
    INTO body FROM vectorstore.files f JOIN vectorstore.uploads u USING (tenant_id, upload_id)
    WHERE f.tenant_id = tenant AND f.file_id = number;
    RETURN body;
END
$$;
COMMENT ON FUNCTION vectorstore.api_finish_upload_part(bytea, text) IS 'Ends a part; returns it.';

CREATE FUNCTION vectorstore.api_create_upload_part(p_key bytea, p_upload text, p_data bytea) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id text := vectorstore.api_begin_upload_part(p_key, p_upload);
    piece_size CONSTANT integer := 1048576;
BEGIN
    FOR piece IN 0 .. (octet_length(p_data) - 1) / piece_size LOOP
        PERFORM vectorstore.api_append_upload_part(p_key, id, piece, substring(p_data FROM piece * piece_size + 1 FOR piece_size));
    END LOOP;
    RETURN vectorstore.api_finish_upload_part(p_key, id);
END
$$;
COMMENT ON FUNCTION vectorstore.api_create_upload_part(bytea, text, bytea) IS 'POST /uploads/{id}/parts for a small part, in one call.';

CREATE FUNCTION vectorstore._parts_in_order(p_tenant bigint, p_upload_id bigint, p_part_ids text[])
RETURNS TABLE (id text, file_id bigint, bytes bigint, parts integer)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    bad record;
BEGIN
    SELECT min(u.item) FILTER (WHERE f.file_id IS NULL) AS unknown, count(*) <> count(DISTINCT u.part) AS twice
    INTO bad
    FROM unnest(p_part_ids) WITH ORDINALITY AS u(part, item)
    LEFT JOIN vectorstore.files f ON f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('part_', u.part)
        AND f.id = u.part AND f.upload_id = p_upload_id;
    IF bad.unknown IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', format('Invalid ''part_ids'': the upload has no part ''%s''.', vectorstore._shown(p_part_ids[bad.unknown])),
            'invalid_value', format('part_ids[%s]', bad.unknown - 1));
    ELSIF bad.twice THEN
        PERFORM vectorstore._fail('22023', 'Invalid ''part_ids'': a part stands more than once.', 'invalid_value', 'part_ids');
    END IF;
    RETURN QUERY
    SELECT f.id, f.file_id, f.bytes, f.parts
    FROM unnest(p_part_ids) WITH ORDINALITY AS u(part, item)
    JOIN vectorstore.files f ON f.tenant_id = p_tenant AND f.file_id = vectorstore._id_number('part_', u.part) AND f.id = u.part
    ORDER BY u.item;
END
$$;
COMMENT ON FUNCTION vectorstore._parts_in_order(bigint, bigint, text[]) IS 'The named parts of an upload; 22023 for one that is unknown or named twice.';

CREATE FUNCTION vectorstore.api_read_upload(p_key bytea, p_upload text, p_part_ids text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, false);
BEGIN
    PERFORM vectorstore._require_pending(tenant, upload);
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'pieces', p.parts)), '[]')
            FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) p);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_upload(bytea, text, text[]) IS 'Parts of a pending upload and the number of their pieces, for the MD5 of the whole.';

CREATE FUNCTION vectorstore.api_read_upload_piece(p_key bytea, p_part text, p_piece integer) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    number bigint := vectorstore._upload_part(p_part, tenant);
BEGIN
    RETURN (SELECT p.data FROM vectorstore.file_parts p WHERE p.tenant_id = tenant AND p.file_id = number AND p.part = p_piece);
END
$$;
COMMENT ON FUNCTION vectorstore.api_read_upload_piece(bytea, text, integer) IS 'Bytes of one piece of a part, 0 and up; NULL past the end.';

CREATE FUNCTION vectorstore.api_complete_upload(p_key bytea, p_upload text, p_part_ids text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, true);
    wanted bigint;
    total bigint;
    number bigint := nextval('vectorstore.files_file_id_seq');
BEGIN
    PERFORM vectorstore._require_pending(tenant, upload);
    SELECT u.bytes INTO wanted FROM vectorstore.uploads u WHERE u.tenant_id = tenant AND u.upload_id = upload;
    SELECT coalesce(sum(p.bytes), 0) INTO total FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) p;
    IF total <> wanted THEN
        PERFORM vectorstore._fail('22023', format('The parts have %s bytes, but the upload was created for %s bytes.', total, wanted), 'invalid_value', 'part_ids');
    END IF;
    INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose, bytes, parts, expires_at, created_by) OVERRIDING SYSTEM VALUE
    SELECT tenant, number, vectorstore._new_id('file-', number), u.filename, u.purpose, u.bytes,
           (SELECT coalesce(sum(p.parts), 0) FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) p),
           now() + make_interval(secs => u.file_expires_seconds), vectorstore._creator()
    FROM vectorstore.uploads u WHERE u.tenant_id = tenant AND u.upload_id = upload;
    -- Only the numbers are written: the bytes stay where they are.
    UPDATE vectorstore.file_parts d SET file_id = number, part = p.before + d.part
    FROM (SELECT q.file_id, (sum(q.parts) OVER (ORDER BY q.place) - q.parts)::integer AS before
          FROM vectorstore._parts_in_order(tenant, upload, p_part_ids) WITH ORDINALITY AS q(id, file_id, bytes, parts, place)) p
    WHERE d.tenant_id = tenant AND d.file_id = p.file_id;
    -- What is left of them is empty; parts that were not named wait for the sweep.
    DELETE FROM vectorstore.files f USING vectorstore._parts_in_order(tenant, upload, p_part_ids) p
    WHERE f.tenant_id = tenant AND f.file_id = p.file_id;
    UPDATE vectorstore.uploads u SET status = 'completed', file_id = number WHERE u.tenant_id = tenant AND u.upload_id = upload;
    RETURN vectorstore._upload_json(tenant, upload);
END
$$;
COMMENT ON FUNCTION vectorstore.api_complete_upload(bytea, text, text[]) IS
    'POST /uploads/{id}/complete: makes the file of the parts in this order. 22023, and nothing changes, when their bytes are not as many as announced.';

CREATE FUNCTION vectorstore.api_cancel_upload(p_key bytea, p_upload text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'write');
    upload bigint := vectorstore._api_upload(p_upload, tenant, true);
    state text := vectorstore._upload_json(tenant, upload)->>'status';
BEGIN
    IF state = 'completed' THEN
        PERFORM vectorstore._require_pending(tenant, upload);
    END IF;
    UPDATE vectorstore.uploads u SET status = 'cancelled'
    WHERE u.tenant_id = tenant AND u.upload_id = upload AND state = 'pending';
    RETURN vectorstore._upload_json(tenant, upload);
END
$$;
COMMENT ON FUNCTION vectorstore.api_cancel_upload(bytea, text) IS
    'POST /uploads/{id}/cancel. A cancelled or expired upload stays what it is; 22023 for a completed one.';

CREATE FUNCTION vectorstore._sweep_uploads(p_parts integer DEFAULT 64) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    swept bigint;
BEGIN
    UPDATE vectorstore.uploads u SET status = 'expired'
    WHERE (u.tenant_id, u.upload_id) IN (
        SELECT x.tenant_id, x.upload_id FROM vectorstore.uploads x
        WHERE x.status = 'pending' AND x.expires_at <= now() ORDER BY x.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    DELETE FROM vectorstore.files f
    WHERE (f.tenant_id, f.file_id) IN (
        SELECT p.tenant_id, p.file_id FROM vectorstore.files p JOIN vectorstore.uploads u USING (tenant_id, upload_id)
        WHERE p.upload_id IS NOT NULL AND u.status <> 'pending' LIMIT p_parts FOR UPDATE OF p SKIP LOCKED);
    GET DIAGNOSTICS swept = ROW_COUNT;
    -- An upload is remembered for a month, so that a late client learns what became of it.
    DELETE FROM vectorstore.uploads u
    WHERE (u.tenant_id, u.upload_id) IN (
        SELECT x.tenant_id, x.upload_id FROM vectorstore.uploads x
        WHERE x.status <> 'pending' AND x.expires_at < now() - interval '30 days'
          AND NOT EXISTS (SELECT FROM vectorstore.files p WHERE p.tenant_id = x.tenant_id AND p.upload_id = x.upload_id)
        ORDER BY x.expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
    RETURN swept;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep_uploads(integer) IS
    'Marks uploads that are over their time as expired and deletes at most so many parts (64 MB each) of uploads that ended; returns how many. Call it again while it returns as many.';
