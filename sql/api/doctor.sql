-- What is wrong with this installation, and what to do about it. Every check looks at the catalogue or at a few rows;
-- none of them writes, so that they run on a standby too.

CREATE FUNCTION vectorstore._version_numbers(version text) RETURNS integer[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT string_to_array(substring(version FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] $$;
COMMENT ON FUNCTION vectorstore._version_numbers(text) IS 'The numbers of a version, to be compared; NULL when it begins with none.';

CREATE FUNCTION vectorstore._is_preloaded() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT 'vectorstore' = ANY (regexp_split_to_array(replace(vectorstore._preload_libraries(), '"', ''), '\s*,\s*')) $$;
COMMENT ON FUNCTION vectorstore._is_preloaded() IS 'Whether shared_preload_libraries names vectorstore.';

-- What holds for the server and the versions of everything on it.
CREATE FUNCTION vectorstore._doctor_versions() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    server integer := current_setting('server_version_num')::integer;
    -- The first minor version without CVE-2025-8713 and CVE-2025-8715.
    floor_ integer := CASE server / 10000 WHEN 15 THEN 150014 WHEN 16 THEN 160010 WHEN 17 THEN 170006 ELSE 180000 END;
    vector integer[];
    installed text;
    newest text;
    library text := vectorstore._library_version();
BEGIN
    "check" := 'postgres';
    detail := format('PostgreSQL %s', current_setting('server_version'));
    IF server < 150000 THEN
        SELECT 'error', 'Upgrade to PostgreSQL 18; versions before 15 are not supported.' INTO status, remedy;
    ELSIF server < floor_ THEN
        SELECT 'error', format('Install the minor version %s.%s or later: it closes holes in row security and in dumps.', floor_ / 10000, floor_ % 10000) INTO status, remedy;
    ELSE
        SELECT 'ok', '' INTO status, remedy;
    END IF;
    RETURN NEXT;

    SELECT vectorstore._version_numbers(x.extversion), format('pgvector %s', x.extversion) INTO vector, detail
    FROM pg_extension x WHERE x.extname = 'vector';
    "check" := 'pgvector';
    IF vector < ARRAY[0, 8, 2] THEN
        SELECT 'error', 'Install pgvector 0.8.4 or later, then ALTER EXTENSION vector UPDATE: CVE-2026-3172 is in parallel builds of HNSW indexes.' INTO status, remedy;
    ELSIF vector < ARRAY[0, 8, 4] THEN
        SELECT 'warning', 'Install pgvector 0.8.4 or later, then ALTER EXTENSION vector UPDATE: vacuum may damage HNSW indexes.' INTO status, remedy;
    ELSE
        SELECT 'ok', '' INTO status, remedy;
    END IF;
    RETURN NEXT;

    SELECT x.extversion INTO installed FROM pg_extension x WHERE x.extname = 'vectorstore';
    SELECT x.default_version INTO newest FROM pg_available_extensions x WHERE x.name = 'vectorstore';
    "check" := 'versions';
    detail := format('library %s, extension %s, schema %s of %s', library, installed, vectorstore._schema_version(), vectorstore._schema_target());
    IF vectorstore._version_numbers(library) < vectorstore._version_numbers(installed) THEN
        SELECT 'error', 'The library is older than the extension: install the files of the newer version and restart Postgres.' INTO status, remedy;
    ELSIF library <> installed OR newest <> installed THEN
        SELECT 'error', 'ALTER EXTENSION vectorstore UPDATE; SELECT vs_install(); Restart Postgres when vectorstore is preloaded.' INTO status, remedy;
    ELSIF vectorstore._schema_version() <> vectorstore._schema_target() THEN
        status := CASE vectorstore._schema_version() WHEN 0 THEN 'warning' ELSE 'error' END;
        remedy := 'SELECT vs_install();';
    ELSE
        SELECT 'ok', '' INTO status, remedy;
    END IF;
    RETURN NEXT;

    "check" := 'preload';
    IF vectorstore._is_preloaded() THEN
        SELECT 'ok', 'vectorstore is preloaded', '' INTO status, detail, remedy;
    ELSE
        SELECT 'warning', 'vectorstore is not preloaded: nothing is counted, and rate limits do not work',
            'Add vectorstore to shared_preload_libraries and restart Postgres.' INTO status, detail, remedy;
    END IF;
    RETURN NEXT;

    "check" := 'model';
    BEGIN
        SELECT 'ok', format('the local model has %s dimensions', vectorstore._model_dimensions()), '' INTO status, detail, remedy;
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        SELECT 'warning', 'no local model: SQL cannot embed texts',
            'ALTER SYSTEM SET vectorstore.model_path = ''/folder/of/the/model''; SELECT pg_reload_conf();' INTO status, detail, remedy;
    END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_versions() IS 'Rows of vs_doctor: server, versions, preload, model.';

-- Who may do what: each mistake is a row.
CREATE FUNCTION vectorstore._doctor_rights() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH mistakes AS (
        SELECT 'roles' AS area, r.rolname::text AS name, format('role %s is %s', r.rolname, f.flag) AS what,
               format('ALTER ROLE %I NO%s;', r.rolname, f.flag) AS fix
        FROM pg_roles r CROSS JOIN LATERAL (VALUES
            ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls), ('CREATEROLE', r.rolcreaterole),
            ('LOGIN', r.rolcanlogin)) AS f (flag, has)
        WHERE f.has AND r.rolname IN ('vectorstore_owner', 'vectorstore_admin', 'vectorstore_app', 'vectorstore_user')
        UNION ALL
        -- Those that the proxy logs in with.
        SELECT 'roles', r.rolname, format('role %s is a member of vectorstore_app and %s', r.rolname, f.flag),
               format('ALTER ROLE %I NO%s;', r.rolname, f.flag)
        FROM pg_roles r CROSS JOIN LATERAL (VALUES ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls)) AS f (flag, has)
        WHERE f.has AND EXISTS (
            SELECT FROM pg_auth_members m WHERE m.member = r.oid AND m.roleid = (SELECT oid FROM pg_roles WHERE rolname = 'vectorstore_app'))
        UNION ALL
        SELECT 'grants', c.relname, format('%s may %s %s', coalesce(nullif(a.grantee::regrole::text, '-'), 'everybody'), a.privilege_type, c.oid::regclass),
               format('REVOKE ALL ON %s FROM %s;', c.oid::regclass, coalesce(nullif(a.grantee::regrole::text, '-'), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND a.grantee <> c.relowner
        UNION ALL
        SELECT 'grants', p.proname, format('everybody may execute %s', p.oid::regprocedure),
               format('REVOKE ALL ON ROUTINE %s FROM PUBLIC;', p.oid::regprocedure)
        FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND x.extname = 'vectorstore'
        WHERE EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
        UNION ALL
        SELECT 'rls', c.relname, format('row security of %s is off', c.oid::regclass),
               format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
          -- Numbers of migration steps.
          AND c.relname <> 'schema_migrations'
        UNION ALL
        SELECT 'owner', c.relname, format('%s belongs to %s', c.oid::regclass, c.relowner::regrole),
               format('ALTER TABLE %s OWNER TO vectorstore_owner;', c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p', 'S')
          AND c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = 'vectorstore_owner')
        UNION ALL
        SELECT 'indexes', c.relname, format('index %s is not valid', c.oid::regclass), format('REINDEX INDEX CONCURRENTLY %s;', c.oid::regclass)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'vectorstore'::regnamespace AND NOT (i.indisvalid AND i.indisready)
    )
    SELECT m.area, 'error', m.what, m.fix FROM mistakes m
    UNION ALL
    SELECT a.area, 'ok', a.fine, '' FROM (VALUES
        ('roles', 'no role has more rights than it needs'), ('grants', 'functions and tables are granted to nobody else'),
        ('rls', 'row security is on everywhere'), ('owner', 'vectorstore_owner owns the data'),
        ('indexes', 'every index is valid')) AS a (area, fine)
    WHERE NOT EXISTS (SELECT FROM mistakes m WHERE m.area = a.area);
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_rights() IS 'Rows of vs_doctor: roles, grants, row security, owners, indexes.';

CREATE FUNCTION vectorstore._doctor_lag() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    vitals jsonb := vectorstore.api_vitals();
    late bigint := (vitals->'merges'->>'late_stores')::bigint;
    swept double precision := (vitals->'merges'->>'oldest_drop_seconds')::double precision;
    waited double precision := (vitals->'jobs'->>'oldest_seconds')::double precision;
    numbers jsonb;
    limited boolean := false;
BEGIN
    IF vitals->'merges' = 'null' THEN
        RETURN; -- vs_install() has not run.
    END IF;
    "check" := 'merges';
    detail := format('%s stores wait for a merge much too long', coalesce(late::text, 'unknown'));
    status := CASE WHEN late > 0 THEN 'warning' ELSE 'ok' END;
    remedy := 'SELECT vs_merge(''name of the store''); Is vectorstore.background_merge on, and max_worker_processes large enough?';
    RETURN NEXT;

    "check" := 'sweep';
    detail := format('%s dropped stores wait to be swept, the first for %s s', vitals->'merges'->>'dropped_stores', round(swept));
    status := CASE WHEN swept > 600 THEN 'warning' ELSE 'ok' END;
    remedy := 'SELECT vs_sweep();';
    RETURN NEXT;

    "check" := 'jobs';
    detail := format('%s files wait to be processed, the first for %s s', vitals->'jobs'->>'waiting', round(waited));
    status := CASE WHEN waited > 300 THEN 'warning' ELSE 'ok' END;
    remedy := 'Run vectorstore-proxy with --ingest-workers, and with the embedding models of the stores.';
    RETURN NEXT;

    -- Rate limits and statistics came with later versions than this check's first.
    IF to_regclass('vectorstore.rate_limits') IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM vectorstore.rate_limits)' INTO limited;
    END IF;
    "check" := 'rate_limits';
    IF limited AND NOT vectorstore._is_preloaded() THEN
        SELECT 'error', 'rate limits are set, and not enforced', 'Add vectorstore to shared_preload_libraries and restart Postgres.' INTO status, detail, remedy;
    ELSE
        SELECT 'ok', CASE WHEN limited THEN 'rate limits are set' ELSE 'no rate limit is set' END, '' INTO status, detail, remedy;
    END IF;
    RETURN NEXT;

    IF to_regprocedure('vectorstore.api_metrics()') IS NOT NULL AND vectorstore._is_preloaded() THEN
        EXECUTE 'SELECT vectorstore.api_metrics()->''stats''' INTO numbers;
        "check" := 'statistics';
        detail := format('written %s s ago; %s of %s counters in use, %s calls found no room',
            coalesce(round((numbers->>'flush_age_seconds')::numeric)::text, 'unknown'), numbers->>'entries', numbers->>'capacity', numbers->>'overflow');
        IF (numbers->>'flush_age_seconds')::double precision > 120 AND NOT pg_is_in_recovery() THEN
            SELECT 'warning', 'Statistics are not written: is max_worker_processes large enough? The log of Postgres says more.' INTO status, remedy;
        ELSIF (numbers->>'overflow')::bigint > 0 THEN
            SELECT 'warning', 'Give the statistics more room in shared memory.' INTO status, remedy;
        ELSE
            SELECT 'ok', '' INTO status, remedy;
        END IF;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_lag() IS 'Rows of vs_doctor: background work and limits.';

CREATE FUNCTION vectorstore._doctor_server() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    delay double precision;
    slot record;
    used bigint;
    room integer := current_setting('max_connections')::integer;
BEGIN
    "check" := 'replication';
    IF pg_is_in_recovery() THEN
        delay := extract(epoch FROM now() - pg_last_xact_replay_timestamp());
        detail := format('this is a standby; its last transaction is %s s old', coalesce(round(delay)::text, 'unknown'));
        status := CASE WHEN delay > 300 THEN 'warning' ELSE 'ok' END;
    remedy := 'Unless nobody writes to the primary: look at pg_stat_wal_receiver here and at pg_stat_replication there.';
        RETURN NEXT;
    ELSE
        SELECT s.slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) AS bytes INTO slot
        FROM pg_replication_slots s WHERE pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) > 1024^3 ORDER BY 2 DESC LIMIT 1;
        IF FOUND THEN
            SELECT 'warning', format('the replication slot %s keeps %s of WAL', slot.slot_name, pg_size_pretty(slot.bytes)),
            'Bring its standby back, or drop the slot: WAL fills the disk meanwhile.' INTO status, detail, remedy;
        ELSE
            SELECT 'ok', 'this is a primary, and no replication slot lags', '' INTO status, detail, remedy;
        END IF;
        RETURN NEXT;
    END IF;

    "check" := 'connections';
    SELECT sum(d.numbackends) INTO used FROM pg_stat_database d;
    detail := format('%s of %s connections in use', used, room);
    status := CASE WHEN used > 0.9 * room THEN 'warning' ELSE 'ok' END;
    remedy := 'Raise max_connections, or lower --pool-size of the proxies: each has two connections more than that.';
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION vectorstore._doctor_server() IS 'Rows of vs_doctor: replication and connections.';

-- API: public
CREATE FUNCTION @extschema@.vs_doctor() RETURNS TABLE ("check" text, status text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    SELECT d."check", d.status, d.detail, CASE d.status WHEN 'ok' THEN '' ELSE d.remedy END
    FROM (SELECT * FROM vectorstore._doctor_versions() UNION ALL SELECT * FROM vectorstore._doctor_rights()
          UNION ALL SELECT * FROM vectorstore._doctor_lag() UNION ALL SELECT * FROM vectorstore._doctor_server()) d;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_doctor() IS
    'Checks the installation: one row a check, or a mistake, with status ok, warning or error, what was found, and what to do about it.';

CREATE FUNCTION vectorstore.api_doctor() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    checks jsonb;
BEGIN
    SELECT jsonb_agg(to_jsonb(d)) INTO checks FROM @extschema@.vs_doctor() d;
    -- Who asks is the proxy.
    IF (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = session_user) THEN
        checks := checks || jsonb_build_object('check', 'login', 'status', 'error',
            'detail', format('the proxy connects as %s, who may do everything', session_user),
            'remedy', 'Create a role for it: CREATE ROLE vectorstore_proxy LOGIN PASSWORD ''...'' IN ROLE vectorstore_app;');
    END IF;
    RETURN checks;
END
$$;
COMMENT ON FUNCTION vectorstore.api_doctor() IS 'The rows of vs_doctor, and whether the proxy has too many rights; needs no key, and tells nothing of any tenant.';

CREATE FUNCTION vectorstore.api_vitals() RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    jobs jsonb;
    late bigint;
    merges jsonb;
BEGIN
    IF vectorstore._schema_version() >= 3 THEN
        -- Counted up to a bound: this is asked every few seconds.
        SELECT jsonb_build_object('waiting', count(*), 'oldest_seconds', coalesce(extract(epoch FROM now() - min(j.run_at)), 0)) INTO jobs
        FROM (SELECT i.run_at FROM vectorstore.ingest_jobs i WHERE i.run_at <= now() AND i.attempts < 3 ORDER BY i.run_at LIMIT 10000) j;
        -- Where there are very many stores, looking at each takes too long.
        IF (SELECT c.reltuples < 200000 FROM pg_class c WHERE c.oid = 'vectorstore.store_counters'::regclass) THEN
            SELECT count(*) INTO late FROM vectorstore.store_counters c LEFT JOIN vectorstore.search_indexes i USING (store_id)
            WHERE c.added - coalesce(i.packed, 0) > 8 * greatest(vectorstore._tail_limit(), 1024);
        END IF;
        SELECT jsonb_build_object('late_stores', late, 'dropped_stores', count(*),
                   'oldest_drop_seconds', coalesce(extract(epoch FROM now() - min(d.dropped_at)), 0)) INTO merges
        FROM vectorstore.dropped_stores d;
    END IF;
    RETURN vectorstore.api_health() || jsonb_build_object('standby', pg_is_in_recovery(), 'jobs', jobs, 'merges', merges);
END
$$;
COMMENT ON FUNCTION vectorstore.api_vitals() IS 'Versions, waiting jobs and background work in numbers; needs no key, and tells nothing of any tenant.';
