-- Requests with an Idempotency-Key: the first one runs, the same again gets its answer. A client is known by its key,
-- not by the address that the credential holds, too.

CREATE FUNCTION vectorstore.api_claim_request(p_key bytea, p_name text, p_digest bytea, p_lease bytea, p_seconds integer)
RETURNS TABLE (state text, digest bytea, status integer, content_type text, body bytea)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
    until CONSTANT timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
    known record;
BEGIN
    INSERT INTO vectorstore.idempotency_keys (tenant_id, key_hash, name, digest, lease, lease_until)
    VALUES (tenant, substr(p_key, 1, 32), p_name, p_digest, p_lease, until)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN QUERY SELECT 'new', NULL::bytea, NULL::integer, NULL::text, NULL::bytea;
        RETURN;
    END IF;
    SELECT k.* INTO known FROM vectorstore.idempotency_keys k
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name FOR UPDATE;
    IF known.lease_until > clock_timestamp() OR known.tenant_id IS NULL THEN
        -- Somebody is at it, or has just given it up.
        PERFORM vectorstore._charge_repetition();
        RETURN QUERY SELECT CASE WHEN known.digest <> p_digest THEN 'other' ELSE 'busy' END, NULL::bytea, NULL::integer, NULL::text, NULL::bytea;
    ELSIF known.body IS NOT NULL AND known.created_at > now() - interval '24 hours' THEN
        PERFORM vectorstore._charge_repetition();
        RETURN QUERY SELECT 'done', known.digest, known.status::integer, known.content_type, known.body;
    ELSE
        -- Forgotten, or left by a process that died before it changed anything.
        UPDATE vectorstore.idempotency_keys k
        SET digest = p_digest, lease = p_lease, lease_until = until, status = NULL, content_type = NULL, body = NULL, created_at = now()
        WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name;
        RETURN QUERY SELECT 'new', NULL::bytea, NULL::integer, NULL::text, NULL::bytea;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore.api_claim_request(bytea, text, bytea, bytea, integer) IS
    'Begins a request with an Idempotency-Key. State: new (run it under this lease), done (with the answer and the digest of its request), busy (it is running) or other (it is running, but is another request). A new one is charged to rate limits where it runs, any other here: 54000 when it comes too often.';

CREATE FUNCTION vectorstore.api_renew_request(p_key bytea, p_name text, p_lease bytea, p_seconds integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    UPDATE vectorstore.idempotency_keys k SET lease_until = clock_timestamp() + make_interval(secs => p_seconds)
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_renew_request(bytea, text, bytea, integer) IS 'Says that the request is still running; false when its lease is lost.';

-- Called in the transaction of the request's effect: both are there, or neither.
CREATE FUNCTION vectorstore.api_settle_request(
    p_key bytea, p_name text, p_lease bytea, p_digest bytea, p_status integer, p_content_type text, p_body bytea, p_over boolean
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    UPDATE vectorstore.idempotency_keys k
    SET digest = p_digest, status = p_status, content_type = p_content_type, body = p_body,
        lease_until = CASE WHEN p_over THEN NULL ELSE k.lease_until END
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease;
    IF NOT FOUND AND NOT p_over THEN
        PERFORM vectorstore._fail('23505', 'Another request with this Idempotency-Key has taken over.', 'idempotency_key_in_use', 'Idempotency-Key');
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore.api_settle_request(bytea, text, bytea, bytea, integer, text, bytea, boolean) IS
    'Keeps the answer of a request; p_over ends it. 23505, which undoes the effect, for an effect under a lost lease.';

CREATE FUNCTION vectorstore.api_release_request(p_key bytea, p_name text, p_lease bytea) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant bigint := vectorstore._open_key(p_key, 'search');
BEGIN
    DELETE FROM vectorstore.idempotency_keys k
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease AND k.body IS NULL;
    UPDATE vectorstore.idempotency_keys k SET lease_until = NULL
    WHERE k.tenant_id = tenant AND k.key_hash = substr(p_key, 1, 32) AND k.name = p_name AND k.lease = p_lease;
END
$$;
COMMENT ON FUNCTION vectorstore.api_release_request(bytea, text, bytea) IS 'Ends a request that failed: it may run again, unless it had an effect.';

CREATE FUNCTION vectorstore._sweep_idempotency(p_rows integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    swept bigint;
BEGIN
    DELETE FROM vectorstore.idempotency_keys k
    WHERE (k.tenant_id, k.key_hash, k.name) IN (
        SELECT x.tenant_id, x.key_hash, x.name FROM vectorstore.idempotency_keys x
        WHERE x.created_at < now() - interval '24 hours' AND (x.lease_until IS NULL OR x.lease_until < clock_timestamp())
        ORDER BY x.created_at LIMIT p_rows FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN swept;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep_idempotency(integer) IS 'Forgets at most so many requests that are older than 24 hours; returns how many.';
