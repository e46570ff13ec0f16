-- Facets: how often each value of a metadata key occurs.

CREATE FUNCTION vectorstore._facets(store_id bigint, keys text[], options jsonb)
RETURNS TABLE (key text, value jsonb, count bigint)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'facets_wrapper';
COMMENT ON FUNCTION vectorstore._facets(bigint, text[], jsonb) IS
    'Counts the values of metadata keys over all chunks that pass options.filter and the times created_from and created_to.';

-- API: public
CREATE FUNCTION @extschema@.vs_facets(
    store text, keys text[], filter jsonb DEFAULT NULL, query text DEFAULT NULL, embedding @extschema:vector@.vector DEFAULT NULL,
    candidates integer DEFAULT 1000, mode text DEFAULT 'hybrid', max_values integer DEFAULT 10,
    created_from timestamptz DEFAULT NULL, created_to timestamptz DEFAULT NULL, boundaries double precision[] DEFAULT NULL
) RETURNS TABLE (key text, value jsonb, count bigint, exact boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    number bigint := vectorstore._store(store);
    options jsonb := jsonb_build_object('filter', filter, 'created_from', vectorstore._microseconds(created_from),
                                        'created_to', vectorstore._microseconds(created_to));
BEGIN
    PERFORM vectorstore._require_active(number);
    RETURN QUERY SELECT f.key, f.value, f.count, f.exact
    FROM vectorstore._facet_list(number, keys, options, query, embedding, candidates, mode, max_values, boundaries) f;
END
$$;
COMMENT ON FUNCTION @extschema@.vs_facets(text, text[], jsonb, text, @extschema:vector@.vector, integer, text, integer, timestamptz, timestamptz, double precision[]) IS
    'Values of metadata keys with their counts, the most frequent max_values (1..1000) of each key. Without query and embedding: exact, over all chunks that pass the filter. With one: over the best candidates (1..10000) of that search, and exact is false. boundaries: ascending numbers; numeric values are then counted by range, as {"from", "to"}, from inclusive.';

CREATE FUNCTION vectorstore._facet_list(
    p_store_id bigint, p_keys text[], p_options jsonb, p_query text, p_embedding @extschema:vector@.vector,
    p_candidates integer, p_mode text, p_max_values integer, p_boundaries double precision[]
) RETURNS TABLE (key text, value jsonb, count bigint, exact boolean)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    all_rows boolean := p_query IS NULL AND p_embedding IS NULL;
    -- Each once.
    keys text[] := ARRAY(SELECT DISTINCT u.key FROM unnest(p_keys) AS u(key));
    bounds double precision[] := '-infinity'::double precision || p_boundaries || 'infinity'::double precision;
BEGIN
    IF coalesce(cardinality(p_keys), 0) NOT BETWEEN 1 AND 32 OR array_position(p_keys, NULL) IS NOT NULL THEN
        PERFORM vectorstore._fail('22023', 'Facets take from 1 to 32 keys.', 'invalid_value', 'keys');
    ELSIF p_max_values IS NULL OR p_max_values NOT BETWEEN 1 AND 1000 THEN
        PERFORM vectorstore._fail('22023', 'max_values must be from 1 to 1000.', 'invalid_value', 'max_values');
    ELSIF p_candidates IS NULL OR p_candidates NOT BETWEEN 1 AND 10000 THEN
        PERFORM vectorstore._fail('22023', 'candidates must be from 1 to 10000.', 'invalid_value', 'candidates');
    ELSIF p_boundaries IS NOT NULL
          -- Equal to what is left of it: no NULL, nothing twice or infinite, and one dimension.
          AND p_boundaries IS DISTINCT FROM ARRAY(SELECT DISTINCT b FROM unnest(p_boundaries) b WHERE vectorstore._bound(b) IS NOT NULL ORDER BY b) THEN
        PERFORM vectorstore._fail('22023', 'boundaries must be finite numbers that ascend.', 'invalid_value', 'boundaries');
    END IF;
    RETURN QUERY
    WITH counted AS (
        SELECT f.key, f.value, f.count FROM vectorstore._facets(p_store_id, keys, p_options) f WHERE all_rows
        UNION ALL
        SELECT k.key, r.row->k.key, count(*)
        FROM vectorstore._search(p_store_id, ARRAY[p_query], ARRAY[p_embedding],
                                 p_options || jsonb_build_object('k', p_candidates, 'mode', p_mode)) h
        CROSS JOIN LATERAL vectorstore._passes(true, h.metadata, h.filename, h.file_id, h.id) AS r(row)
        CROSS JOIN unnest(keys) AS k(key)
        WHERE NOT all_rows AND jsonb_typeof(r.row->k.key) IN ('string', 'number', 'boolean')
        GROUP BY 1, 2
    ), ranged AS (
        SELECT c.key, CASE WHEN p_boundaries IS NULL OR jsonb_typeof(c.value) <> 'number' THEN c.value
                           ELSE jsonb_strip_nulls(jsonb_build_object(
                               'from', vectorstore._bound(bounds[width_bucket((c.value)::double precision, p_boundaries) + 1]),
                               'to', vectorstore._bound(bounds[width_bucket((c.value)::double precision, p_boundaries) + 2]))) END AS value,
               c.count
        FROM counted c
    ), summed AS (
        SELECT r.key, r.value, sum(r.count)::bigint AS count,
               row_number() OVER (PARTITION BY r.key ORDER BY sum(r.count) DESC, r.value) AS place
        FROM ranged r GROUP BY r.key, r.value
    )
    SELECT s.key, s.value, s.count, all_rows FROM summed s
    WHERE s.place <= p_max_values ORDER BY array_position(p_keys, s.key), s.place;
END
$$;
COMMENT ON FUNCTION vectorstore._facet_list(bigint, text[], jsonb, text, @extschema:vector@.vector, integer, text, integer, double precision[]) IS
    'Counts over all rows, or over the candidates of a search; 22023 names what is wrong.';

CREATE FUNCTION vectorstore._bound(bound double precision) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN bound BETWEEN '-1.7976931348623157e308' AND '1.7976931348623157e308' THEN to_jsonb(bound) END $$;
COMMENT ON FUNCTION vectorstore._bound(double precision) IS 'A boundary as JSON; NULL for an infinite one.';
