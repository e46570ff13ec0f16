-- Expiry: stores that nobody used for so many days, files with a date, uploads that nobody completed, and answers kept
-- for Idempotency-Key.

-- Days of 24 hours, whatever the time zone of the session does to its clocks.
CREATE FUNCTION vectorstore._expires_at(last_active_at timestamptz, days integer) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT last_active_at + make_interval(hours => 24 * days) $$;
COMMENT ON FUNCTION vectorstore._expires_at(timestamptz, integer) IS 'When a store expires; NULL for never.';

CREATE FUNCTION vectorstore._is_expired(expired_at timestamptz, last_active_at timestamptz, days integer) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT expired_at IS NOT NULL OR coalesce(vectorstore._expires_at(last_active_at, days) <= now(), false) $$;
COMMENT ON FUNCTION vectorstore._is_expired(timestamptz, timestamptz, integer) IS 'Whether a store has expired, by its expired_at, last_active_at and expires_after_days.';

-- An expired store can be read, listed and deleted, but neither changed, searched nor filled.
CREATE FUNCTION vectorstore._require_active(p_store_id bigint) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    store text;
BEGIN
    SELECT s.id INTO store FROM vectorstore.stores s
    WHERE s.store_id = p_store_id AND vectorstore._is_expired(s.expired_at, s.last_active_at, s.expires_after_days);
    IF FOUND THEN
        PERFORM vectorstore._fail('22023', format('Vector store ''%s'' has expired.', store));
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._require_active(bigint) IS '22023 when the store has expired.';

CREATE FUNCTION vectorstore._touch_active(p_store_id bigint) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Looks at the row again if it had to wait: a store that has expired meanwhile does not come back.
    UPDATE vectorstore.stores s SET last_active_at = now()
    WHERE s.store_id = p_store_id AND NOT vectorstore._is_expired(s.expired_at, s.last_active_at, s.expires_after_days);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION vectorstore._touch_active(bigint) IS 'Moves the expiry of a store; false when it has expired.';

-- Stores are marked by a transaction of their own: who fills one meanwhile is either too late, or keeps it alive.
CREATE FUNCTION vectorstore._sweep_expired(p_files integer) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    expired record;
    attached record;
    gone bigint;
    done bigint;
BEGIN
    UPDATE vectorstore.stores s SET expired_at = now()
    WHERE s.expires_after_days IS NOT NULL AND s.expired_at IS NULL AND vectorstore._expires_at(s.last_active_at, s.expires_after_days) <= now();
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done > 0 THEN
        RETURN done;
    END IF;
    SELECT array_agg(f.tenant_id) AS tenants, array_agg(f.file_id) AS numbers, array_agg(f.id) AS files INTO expired
    FROM (SELECT o.tenant_id, o.file_id, o.id FROM vectorstore.files o WHERE o.expires_at <= now()
          ORDER BY o.expires_at LIMIT p_files FOR UPDATE SKIP LOCKED) f;
    IF expired.files IS NOT NULL THEN
        PERFORM vectorstore._delete_files(expired.tenants, expired.numbers, expired.files);
        RETURN cardinality(expired.files);
    END IF;
    SELECT array_agg(f.store_id) AS stores, array_agg(f.id) AS files INTO attached
    FROM (SELECT o.store_id, o.id FROM vectorstore.stores s JOIN vectorstore.store_files o USING (store_id)
          WHERE s.expires_after_days IS NOT NULL AND s.expired_at IS NOT NULL LIMIT p_files) f;
    IF attached.files IS NOT NULL THEN
        PERFORM vectorstore._detach(attached.stores, attached.files);
        RETURN cardinality(attached.files);
    END IF;
    -- Chunks that came without a file.
    FOR gone IN
        SELECT s.store_id FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
        WHERE s.expires_after_days IS NOT NULL AND s.expired_at IS NOT NULL AND c.chunks > 0 LIMIT 1
    LOOP
        DELETE FROM vectorstore.embeddings e
        WHERE e.ctid = ANY (ARRAY(SELECT o.ctid FROM vectorstore.embeddings o WHERE o.store_id = gone LIMIT 100 * p_files));
        GET DIAGNOSTICS done = ROW_COUNT;
    END LOOP;
    IF done = 0 THEN
        done := vectorstore._sweep_uploads(p_files);
    END IF;
    IF done = 0 THEN
        done := vectorstore._sweep_idempotency(20 * p_files);
    END IF;
    -- Stores whose last day to be restored has passed; no write tells a worker of them.
    IF done = 0 AND vectorstore._schema_version() >= 10 AND current_setting('transaction_isolation') = 'read committed'
       AND EXISTS (SELECT FROM vectorstore.dropped_stores d WHERE d.restorable_until <= now()) THEN
        done := vectorstore._sweep(100 * p_files);
    END IF;
    RETURN done;
END
$$;
COMMENT ON FUNCTION vectorstore._sweep_expired(integer) IS
    'Marks stores that have expired, or deletes at most so many expired files, files of expired stores, a hundred times as many of their chunks, parts of uploads that ended, or twenty times as many old answers; then rows of stores that can be restored no more. Returns how many; 0 when nothing is left.';

CREATE FUNCTION vectorstore.api_sweep_expired() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- One sweeper at a time is enough.
    IF vectorstore._schema_version() < 4 OR NOT pg_try_advisory_xact_lock(hashtextextended('vectorstore.expire', 0)) THEN
        RETURN 0;
    END IF;
    RETURN vectorstore._sweep_expired(50);
END
$$;
COMMENT ON FUNCTION vectorstore.api_sweep_expired() IS 'Deletes a part of what has expired; returns how much, and 0 when nothing is left or somebody else is at it.';

-- API: public
CREATE FUNCTION @extschema@.vs_expire() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done bigint;
    total bigint := 0;
BEGIN
    IF vectorstore._schema_version() < 4 THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('vectorstore.expire', 0));
    LOOP
        done := vectorstore._sweep_expired(1000);
        EXIT WHEN done = 0;
        total := total + done;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_expire() IS
    'Deletes files that have expired, the files and chunks of stores that have, the parts of uploads that ended, and answers older than 24 hours that were kept for an Idempotency-Key; returns how many stores it marked and rows it deleted. The proxy does it once a minute; this waits for it.';
