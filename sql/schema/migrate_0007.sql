-- Step 7: tenants, and what their keys and roles may do. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0007() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
DECLARE
    target text;
BEGIN
    ALTER TABLE vectorstore.tenants ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

    -- Keys of before could do everything in their tenant.
    ALTER TABLE vectorstore.api_keys
        ADD COLUMN key bigint GENERATED ALWAYS AS IDENTITY,
        ADD COLUMN role text NOT NULL DEFAULT 'admin' CHECK (role IN ('read', 'write', 'admin', 'operator')),
        -- Numbers of the stores that the key is narrowed to; NULL for all.
        ADD COLUMN stores bigint[],
        ADD COLUMN allowed_ips cidr[],
        -- What chunks and files must pass to be read; such a key reads only.
        ADD COLUMN filter jsonb CHECK (filter IS NULL OR role = 'read'),
        -- The key that this one takes the place of.
        ADD COLUMN rotated_from bigint,
        -- The first of those that took each other's place, whose number what they made bears; NULL for the first itself.
        ADD COLUMN origin bigint,
        ADD COLUMN last_used_at timestamptz,
        ADD CONSTRAINT api_keys_key UNIQUE (key);

    ALTER TABLE vectorstore.files ADD COLUMN created_by bigint NOT NULL DEFAULT 0;
    ALTER TABLE vectorstore.uploads ADD COLUMN created_by bigint NOT NULL DEFAULT 0;

    CREATE TABLE vectorstore.tenant_roles (
        tenant_id bigint NOT NULL,
        role text COLLATE "C" NOT NULL,
        access text NOT NULL CHECK (access IN ('read', 'write', 'admin')),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, role)
    );
    CREATE UNIQUE INDEX tenant_roles_role ON vectorstore.tenant_roles (role, tenant_id);

    CREATE TABLE vectorstore.audit_log (
        tenant_id bigint NOT NULL,
        audit_id bigint GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        -- key_... or a database role.
        actor text NOT NULL,
        action text NOT NULL,
        object text NOT NULL,
        detail jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, audit_id)
    );

    -- For policies: whose rows a role sees that was granted a table. No member of the extension, so that dropping that
    -- takes no policy.
    CREATE FUNCTION vectorstore.current_tenant() RETURNS bigint
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $tenant$
    DECLARE
        tenant bigint;
    BEGIN
        EXECUTE 'SELECT vectorstore._current_tenant()' INTO tenant;
        RETURN tenant;
    EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value OR undefined_function THEN
        RETURN NULL;
    END
    $tenant$;
    COMMENT ON FUNCTION vectorstore.current_tenant() IS 'Number of the tenant of the SQL user, or NULL: for row-level security.';
    REVOKE ALL ON FUNCTION vectorstore.current_tenant() FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION vectorstore.current_tenant() TO vectorstore_user;

    FOREACH target IN ARRAY ARRAY['tenants', 'api_keys', 'stores', 'store_counters', 'files', 'file_parts', 'store_files',
                                  'file_batches', 'embeddings', 'uploads', 'idempotency_keys', 'ingest_jobs', 'tenant_roles', 'audit_log'] LOOP
        EXECUTE format('ALTER TABLE vectorstore.%I ENABLE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY tenant ON vectorstore.%I USING (tenant_id = (SELECT vectorstore.current_tenant()))', target);
    END LOOP;

    ALTER TABLE vectorstore.tenant_roles ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants ON DELETE CASCADE;

    COMMENT ON TABLE vectorstore.tenant_roles IS 'Database roles and the tenants that they work for.';
    COMMENT ON TABLE vectorstore.audit_log IS 'Administrative acts. Rows of a tenant stay when it is deleted.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (7);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0007() IS 'Migration step 7: tenants, and what their keys and roles may do.';
