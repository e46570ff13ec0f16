-- Roles and the schema.
--
-- Roles are shared by the whole cluster and no members of an extension. They are made here, and not by a
-- separate step, so that pg_restore into a fresh cluster finds them: CREATE EXTENSION comes before the tables.
DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['vectorstore_owner', 'vectorstore_admin', 'vectorstore_user', 'vectorstore_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) wanted) THEN
            BEGIN
                EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- Another database of the cluster was quicker.
            END;
        END IF;
    END LOOP;
    IF EXISTS (
        SELECT FROM pg_catalog.pg_roles
        WHERE rolname OPERATOR(pg_catalog.=) 'vectorstore_owner' AND (rolsuper OR rolbypassrls OR rolcreaterole)
    ) THEN
        RAISE EXCEPTION 'role vectorstore_owner exists and has more rights than it may have'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'The role must be neither superuser, nor BYPASSRLS, nor CREATEROLE.';
    END IF;
    -- Whoever is given a tenant becomes a member; the functions that do it belong to the owner.
    GRANT vectorstore_user TO vectorstore_owner WITH ADMIN OPTION;
END
$roles$;

-- The schema is no member of the extension: it holds the data, and DROP EXTENSION must never take that.
-- It belongs to pg_database_owner, a role that every cluster has, so that a dump restores everywhere.
DO $schema$
BEGIN
    -- A user named vectorstore would have it first in the search_path.
    IF pg_catalog.current_schema() OPERATOR(pg_catalog.=) 'vectorstore' THEN
        RAISE EXCEPTION 'the functions of vectorstore cannot live in the schema of its data'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'CREATE EXTENSION vectorstore SCHEMA public;';
    END IF;
    IF pg_catalog.to_regnamespace('vectorstore') IS NULL THEN
        CREATE SCHEMA vectorstore AUTHORIZATION pg_database_owner;
        ALTER EXTENSION vectorstore DROP SCHEMA vectorstore;
    ELSIF NOT EXISTS (
        SELECT FROM pg_catalog.pg_namespace n
        WHERE n.nspname OPERATOR(pg_catalog.=) 'vectorstore'
          AND n.nspowner OPERATOR(pg_catalog.=) 'pg_database_owner'::pg_catalog.regrole
    ) THEN
        RAISE EXCEPTION 'schema vectorstore exists and is not the one of this extension'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Rename or drop it. The schema of this extension belongs to pg_database_owner.';
    END IF;
END
$schema$;
COMMENT ON SCHEMA vectorstore IS 'Data and internals of the extension vectorstore. SQL users call vs_*; the HTTP proxy calls api_*.';
GRANT USAGE, CREATE ON SCHEMA vectorstore TO vectorstore_owner;
GRANT USAGE ON SCHEMA vectorstore TO vectorstore_admin, vectorstore_user, vectorstore_app;
GRANT USAGE ON SCHEMA @extschema@ TO vectorstore_owner, vectorstore_admin, vectorstore_user;
GRANT USAGE ON SCHEMA @extschema:vector@ TO vectorstore_owner, vectorstore_admin, vectorstore_user, vectorstore_app;
