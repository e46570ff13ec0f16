-- API keys. SQL sees only their SHA-256: the proxy makes keys and hashes them (vectorstore-proxy key new).

-- API: public
CREATE FUNCTION @extschema@.vs_create_api_key(name text, key_hash bytea, expires_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id text := vectorstore._random_id('key_');
BEGIN
    IF octet_length(key_hash) IS DISTINCT FROM 32 THEN
        PERFORM vectorstore._fail('22023', 'key_hash must be the 32 bytes of a SHA-256.', 'invalid_value', 'key_hash',
            'vectorstore-proxy key new prints a key and its hash.');
    END IF;
    PERFORM @extschema@.vs_install();
    PERFORM FROM vectorstore.api_keys k WHERE k.key_hash = vs_create_api_key.key_hash;
    IF FOUND THEN
        PERFORM vectorstore._fail('23505', 'This key exists already.', NULL, 'key_hash');
    END IF;
    INSERT INTO vectorstore.api_keys (tenant_id, key_id, name, key_hash, expires_at)
    VALUES (vectorstore._current_tenant(), id, coalesce(name, ''), key_hash, expires_at);
    RETURN id;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_create_api_key(text, bytea, timestamptz) IS 'Registers an API key by the SHA-256 of the whole key; returns the id of the key.';

-- API: public
CREATE FUNCTION @extschema@.vs_revoke_api_key(id text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE vectorstore.api_keys k SET revoked_at = now()
    WHERE k.tenant_id = vectorstore._current_tenant() AND k.key_id = vs_revoke_api_key.id AND k.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_revoke_api_key(text) IS 'Revokes an API key at once; false when there is no such live key.';
