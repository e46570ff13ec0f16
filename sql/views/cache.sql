-- What the embedding cache holds and saves. A view over a function, as vs_stores.
CREATE FUNCTION vectorstore._stat_embedding_cache()
RETURNS TABLE (
    model text, revision text, dimensions integer, rows bigint, bytes bigint, hits bigint, rows_hit bigint,
    oldest_at timestamptz, used_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('vectorstore.embedding_cache') IS NOT NULL THEN
        RETURN QUERY
        SELECT c.model, c.revision, c.dimensions, count(*),
               -- As the sweep counts it: keys and index, too.
               sum(4 * c.dimensions + 300)::bigint, sum(c.hits)::bigint, count(*) FILTER (WHERE c.hits > 0),
               min(c.created_at), max(c.used_at)
        FROM vectorstore.embedding_cache c GROUP BY c.model, c.revision, c.dimensions;
    END IF;
END
$$;
COMMENT ON FUNCTION vectorstore._stat_embedding_cache() IS 'Rows of vs_stat_embedding_cache.';

CREATE VIEW @extschema@.vs_stat_embedding_cache AS SELECT * FROM vectorstore._stat_embedding_cache();
COMMENT ON VIEW @extschema@.vs_stat_embedding_cache IS
    'What the cache of embeddings holds of each model, for all tenants together, and how often it was of use.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.model IS 'Name of the model.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.revision IS 'Its revision, as configured; only the newest is still of use.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.dimensions IS 'Dimensions of the vectors.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.rows IS 'Number of vectors.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.bytes IS 'About how much space they take, as VECTORSTORE_CACHE_MIB counts it.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.hits IS 'How often a vector of now was used again in place of a request to the model; proxies write it every few seconds.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.rows_hit IS 'Number of vectors that were used again.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.oldest_at IS 'When the oldest vector was computed.';
COMMENT ON COLUMN @extschema@.vs_stat_embedding_cache.used_at IS 'When a vector was used last.';
