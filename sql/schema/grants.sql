-- Owner and rights of everything above, in one place: nothing belongs to the superuser who ran CREATE
-- EXTENSION, and nobody may execute what is not granted here.
DO $grants$
DECLARE
    member record;
BEGIN
    FOR member IN
        SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS signature, p.proname, p.prokind, n.nspname
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.objid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND d.refobjid OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'vectorstore')
          AND d.deptype OPERATOR(pg_catalog.=) 'e'
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', member.signature);
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO vectorstore_owner', member.signature);
        IF member.proname OPERATOR(pg_catalog.~) '^vs_' OR member.proname OPERATOR(pg_catalog.=) ANY ('{_stores,_stat_indexes,_stat_embedding_cache,_tenants,_api_keys,_audit_log,_quotas,_stat_requests,_stat_stores,_stat_keys,_my_rate_limits,_deleted_stores}') THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_admin', member.signature);
            -- What is left concerns all tenants.
            IF member.proname OPERATOR(pg_catalog.<>) ALL ('{vs_install,vs_sweep,vs_expire,vs_doctor,_stat_embedding_cache}') THEN
                EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_user', member.signature);
            END IF;
        ELSIF member.proname OPERATOR(pg_catalog.~) '^api_' THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_app', member.signature);
        END IF;
    END LOOP;
END
$grants$;
ALTER TYPE vectorstore.search_hit OWNER TO vectorstore_owner;
ALTER TYPE vectorstore.usage_row OWNER TO vectorstore_owner;
ALTER TYPE vectorstore.usage_bucket OWNER TO vectorstore_owner;
ALTER TYPE vectorstore.rate_limit_row OWNER TO vectorstore_owner;
DO $views$
DECLARE
    member pg_catalog.text;
BEGIN
    FOR member IN
        SELECT c.oid::pg_catalog.regclass::pg_catalog.text
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND d.refobjid OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'vectorstore')
          AND d.deptype OPERATOR(pg_catalog.=) 'e' AND c.relkind OPERATOR(pg_catalog.=) 'v'
    LOOP
        EXECUTE pg_catalog.format('ALTER VIEW %s OWNER TO vectorstore_owner', member);
        -- Each calls a function, which must be granted too: that decides who sees something.
        EXECUTE pg_catalog.format('GRANT SELECT ON %s TO vectorstore_admin, vectorstore_user', member);
    END LOOP;
END
$views$;
