-- Step 4: uploads in parts, and the answers kept for Idempotency-Key. The rules of step 1 hold.
--
-- A part of an upload is a file that no list shows: files.upload_id says whose part it is. Completing an upload
-- only renumbers rows of file_parts; the bytes, which are stored out of line, are not written again.
CREATE FUNCTION vectorstore._migrate_0004() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    CREATE TABLE vectorstore.uploads (
        tenant_id bigint NOT NULL,
        upload_id bigint GENERATED ALWAYS AS IDENTITY,
        id text COLLATE "C" NOT NULL,
        filename text NOT NULL,
        purpose text NOT NULL,
        mime_type text NOT NULL,
        bytes bigint NOT NULL CHECK (bytes >= 0),
        -- Of the file, counted from the moment it is made.
        file_expires_seconds integer,
        status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'completed', 'cancelled', 'expired')),
        -- The file that was made of it; it may have been deleted since.
        file_id bigint,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
        PRIMARY KEY (tenant_id, upload_id)
    );
    -- For the sweep, which knows no tenant.
    CREATE INDEX uploads_expires ON vectorstore.uploads (expires_at);

    ALTER TABLE vectorstore.files ADD COLUMN upload_id bigint;
    CREATE INDEX files_upload ON vectorstore.files (tenant_id, upload_id, file_id) WHERE upload_id IS NOT NULL;

    CREATE TABLE vectorstore.idempotency_keys (
        tenant_id bigint NOT NULL,
        -- SHA-256 of the API key: another key's names are not ours.
        key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
        name text COLLATE "C" NOT NULL,
        -- SHA-256 of the request; unknown while a streamed one is still coming.
        digest bytea,
        -- Who is at it, and until when that is believed without a sign of life.
        lease bytea NOT NULL,
        lease_until timestamptz,
        -- The answer, as soon as there is an effect.
        status smallint,
        content_type text,
        body bytea,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, key_hash, name)
    );
    CREATE INDEX idempotency_keys_created ON vectorstore.idempotency_keys (created_at);

    ALTER TABLE vectorstore.uploads ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants;
    ALTER TABLE vectorstore.files ADD FOREIGN KEY (tenant_id, upload_id) REFERENCES vectorstore.uploads;
    ALTER TABLE vectorstore.idempotency_keys ADD FOREIGN KEY (tenant_id) REFERENCES vectorstore.tenants;

    ALTER TABLE vectorstore.uploads ENABLE ROW LEVEL SECURITY;
    ALTER TABLE vectorstore.idempotency_keys ENABLE ROW LEVEL SECURITY;

    COMMENT ON TABLE vectorstore.uploads IS 'Uploads in parts; each part is a row of files until the upload becomes a file.';
    COMMENT ON COLUMN vectorstore.files.upload_id IS 'The upload that this is a part of; NULL for a file.';
    COMMENT ON TABLE vectorstore.idempotency_keys IS 'Requests with an Idempotency-Key, and their answers, for 24 hours.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (4);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0004() IS 'Migration step 4: uploads and idempotency keys.';
