-- Makes and migrates the data's tables. They are ordinary objects, no members of the extension: a dump holds
-- them whole, with indexes, triggers and policies, and DROP EXTENSION leaves them alone.

CREATE FUNCTION vectorstore._schema_version() RETURNS integer
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    version integer := 0;
BEGIN
    IF to_regclass('vectorstore.schema_migrations') IS NOT NULL THEN
        SELECT coalesce(max(m.version), 0) INTO version FROM vectorstore.schema_migrations m;
    END IF;
    RETURN version;
END
$$;
COMMENT ON FUNCTION vectorstore._schema_version() IS 'Number of the last migration step that ran; 0 before vs_install().';

-- The last step that this version of the extension knows.
CREATE FUNCTION vectorstore._schema_target() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT 12 $$;
COMMENT ON FUNCTION vectorstore._schema_target() IS 'Number of the last migration step of this version.';

-- API: public
CREATE FUNCTION @extschema@.vs_install() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
BEGIN
    IF vectorstore._schema_version() = vectorstore._schema_target() THEN
        RETURN vectorstore._schema_target();
    END IF;
    -- One installer at a time; the second finds the work done.
    PERFORM pg_advisory_xact_lock(hashtextextended('vectorstore.install', 0));
    IF vectorstore._schema_version() < 1 THEN
        PERFORM vectorstore._migrate_0001();
    END IF;
    IF vectorstore._schema_version() < 2 THEN
        PERFORM vectorstore._migrate_0002();
    END IF;
    IF vectorstore._schema_version() < 3 THEN
        PERFORM vectorstore._migrate_0003();
    END IF;
    IF vectorstore._schema_version() < 4 THEN
        PERFORM vectorstore._migrate_0004();
    END IF;
    IF vectorstore._schema_version() < 5 THEN
        PERFORM vectorstore._migrate_0005();
    END IF;
    IF vectorstore._schema_version() < 6 THEN
        PERFORM vectorstore._migrate_0006();
    END IF;
    IF vectorstore._schema_version() < 7 THEN
        PERFORM vectorstore._migrate_0007();
    END IF;
    IF vectorstore._schema_version() < 8 THEN
        PERFORM vectorstore._migrate_0008();
    END IF;
    IF vectorstore._schema_version() < 9 THEN
        PERFORM vectorstore._migrate_0009();
    END IF;
    IF vectorstore._schema_version() < 10 THEN
        PERFORM vectorstore._migrate_0010();
    END IF;
    IF vectorstore._schema_version() < 11 THEN
        PERFORM vectorstore._migrate_0011();
    END IF;
    IF vectorstore._schema_version() < 12 THEN
        PERFORM vectorstore._migrate_0012();
    END IF;
    IF vectorstore._schema_version() > vectorstore._schema_target() THEN
        PERFORM vectorstore._fail('55000', 'The data was made by a newer version of vectorstore.', NULL, NULL,
            'Install that version of the extension, then run ALTER EXTENSION vectorstore UPDATE.');
    END IF;
    RETURN vectorstore._schema_version();
END
$$;
COMMENT ON FUNCTION @extschema@.vs_install() IS
    'Creates the tables of vectorstore, or migrates them after ALTER EXTENSION UPDATE. Returns the schema''s version. Safe to call again; vs_create_store calls it by itself.';
