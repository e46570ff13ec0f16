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
        IF member.proname OPERATOR(pg_catalog.~) '^vs_' OR member.proname OPERATOR(pg_catalog.=) ANY ('{_stores,_stat_indexes,_stat_embedding_cache,_deleted_stores}') THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_admin', member.signature);
        ELSIF member.proname OPERATOR(pg_catalog.~) '^api_' THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO vectorstore_app', member.signature);
        END IF;
    END LOOP;
END
$grants$;
ALTER TYPE vectorstore.search_hit OWNER TO vectorstore_owner;
ALTER VIEW @extschema@.vs_stores OWNER TO vectorstore_owner;
ALTER VIEW @extschema@.vs_stat_indexes OWNER TO vectorstore_owner;
ALTER VIEW @extschema@.vs_stat_embedding_cache OWNER TO vectorstore_owner;
ALTER VIEW @extschema@.vs_deleted_stores OWNER TO vectorstore_owner;
GRANT SELECT ON @extschema@.vs_stores, @extschema@.vs_stat_indexes, @extschema@.vs_stat_embedding_cache, @extschema@.vs_deleted_stores TO vectorstore_admin;
