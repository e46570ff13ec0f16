CREATE FUNCTION vectorstore._rate_shown() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rate_shown_wrapper';
COMMENT ON FUNCTION vectorstore._rate_shown() IS 'Rate limits of the call in progress, as api_rate_state() tells them; NULL when nothing limits it.';

-- Every error of ours goes through this function, so that its DETAIL has the shape that programs read:
-- {"code": text|null, "param": text|null}, and "rate" when rate limits hold for the caller. The proxy shows only such
-- errors to its clients.
CREATE FUNCTION vectorstore._fail(
    sqlstate_ text, message text, code text DEFAULT NULL, param text DEFAULT NULL, hint text DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail text := json_build_object('code', code, 'param', param)::text;
    rate jsonb := vectorstore._rate_shown();
BEGIN
    IF rate IS NOT NULL THEN
        detail := json_build_object('code', code, 'param', param, 'rate', rate)::text;
    END IF;
    IF hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = sqlstate_, MESSAGE = message, DETAIL = detail;
    END IF;
    RAISE EXCEPTION USING ERRCODE = sqlstate_, MESSAGE = message, DETAIL = detail, HINT = hint;
END
$$;
COMMENT ON FUNCTION vectorstore._fail(text, text, text, text, text) IS 'Raises an error with this SQLSTATE and a DETAIL of {"code", "param"}, and "rate" when rate limits hold for the caller.';

-- A value as it may stand in a message: never the whole of a long one.
CREATE FUNCTION vectorstore._shown(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN length(value) > 80 THEN left(value, 77) || '...' ELSE value END $$;
COMMENT ON FUNCTION vectorstore._shown(text) IS 'A user''s value, cut to 80 characters for a message.';

-- What a JSON value is, for a message.
CREATE FUNCTION vectorstore._kind(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'object' THEN 'an object' WHEN 'array' THEN 'an array' WHEN 'null' THEN 'null'
           ELSE 'a ' || jsonb_typeof(value) END
$$;
COMMENT ON FUNCTION vectorstore._kind(jsonb) IS 'The type of a JSON value with its article.';

-- Unix seconds, as the HTTP API writes times.
CREATE FUNCTION vectorstore._epoch(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT floor(extract(epoch FROM moment))::bigint $$;
COMMENT ON FUNCTION vectorstore._epoch(timestamptz) IS 'Unix seconds.';
