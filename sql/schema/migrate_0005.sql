-- Step 5: the embedding cache. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0005() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- The one table whose key begins with neither store nor tenant: a vector is a function of model and text, and
    -- every tenant's text has the same.
    CREATE TABLE vectorstore.embedding_cache (
        model text COLLATE "C" NOT NULL,
        revision text COLLATE "C" NOT NULL,
        dimensions integer NOT NULL,
        -- SHA-256 of the text.
        input_hash bytea NOT NULL CHECK (octet_length(input_hash) = 32),
        embedding @extschema:vector@.vector NOT NULL,
        hits bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT now(),
        used_at timestamptz NOT NULL DEFAULT now()
    ) WITH (
        -- Room for counters to change in place.
        fillfactor = 90
    );
    ALTER TABLE vectorstore.embedding_cache
        ALTER COLUMN embedding SET STORAGE EXTERNAL,
        ALTER COLUMN embedding SET STATISTICS 0;
    ALTER TABLE vectorstore.embedding_cache ADD PRIMARY KEY (model, revision, dimensions, input_hash);
    ALTER TABLE vectorstore.embedding_cache ENABLE ROW LEVEL SECURITY;

    COMMENT ON TABLE vectorstore.embedding_cache IS
        'Vectors that embedding providers have computed, shared by all tenants: a row holds no text and names no tenant. Granted to nobody; only the proxy reads it, by the hash of a text that it has.';
    COMMENT ON COLUMN vectorstore.embedding_cache.revision IS 'As configured; another one whenever the model gives other vectors.';
    COMMENT ON COLUMN vectorstore.embedding_cache.input_hash IS 'SHA-256 of the text.';
    COMMENT ON COLUMN vectorstore.embedding_cache.hits IS 'How often the vector was used again; proxies write it every few seconds.';

    INSERT INTO vectorstore.schema_migrations (version) VALUES (5);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0005() IS 'Migration step 5: the embedding cache.';
