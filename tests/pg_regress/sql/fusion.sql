-- The five ways of fusion: from the tail and from a segment the same, and equal to what SQL computes.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET vectorstore.background_merge = off;
SELECT vs_create_store('fuse', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('fuse',
    ARRAY['harbour harbour town', 'mountain village', 'harbour and mountain', 'quiet plain', 'harbour', 'harbour', 'far plain'],
    ARRAY['a', 'b', 'c', 'd', 'e', 'f', 'g'],
    ARRAY['[1,0]', '[0.6,0.8]', '[0.8,0.6]', '[-1,0]', '[0,1]', '[0,1]', '[0,-1]']::vector[]);
-- One query for all: what each method makes of each chunk, and the tie of e and f, which goes by the order of writing.
CREATE VIEW pg_temp.fused AS
    SELECT m.place, m.method, h.place AS rank, h.id, h.score, h.explanation
    FROM unnest(ARRAY['weighted', 'minmax', 'dbsf', 'zscore', 'rrf']) WITH ORDINALITY AS m(method, place)
    CROSS JOIN LATERAL ROWS FROM (vs_search('fuse', 'harbour', '[1,0]', fusion => m.method, explain => true))
        WITH ORDINALITY AS h(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, place);
CREATE TEMP TABLE tail AS SELECT * FROM pg_temp.fused;
SELECT method, string_agg(format('%s %s', id, round(score::numeric, 4)), ', ' ORDER BY rank) AS hits FROM tail GROUP BY place, method ORDER BY place;

-- The formulas. A leg's statistics are those of the chunks that it ranked itself.
CREATE TEMP TABLE leg AS
    SELECT id, l.leg, (explanation->l.leg->>l.raw)::float8 AS raw, (explanation->l.leg->>'rank')::integer AS rank
    FROM tail, (VALUES ('vector', 'cosine'), ('keyword', 'bm25')) AS l(leg, raw) WHERE method = 'weighted';
SELECT leg, count(raw) AS scored, count(rank) AS ranked FROM leg GROUP BY leg ORDER BY leg;
WITH stat AS (
    SELECT leg, min(raw), max(raw), avg(raw) AS mean, stddev_samp(raw) AS deviation FROM leg WHERE rank IS NOT NULL GROUP BY leg
), scaled AS (
    SELECT l.id, l.leg, m.method, CASE WHEN m.method = 'rrf' THEN coalesce(61 / (60 + l.rank::float8), 0)
        WHEN l.leg = 'keyword' AND l.rank IS NULL AND m.method IN ('weighted', 'minmax') THEN 0
        WHEN m.method = 'weighted' THEN CASE leg WHEN 'vector' THEN (1 + raw) / 2 ELSE raw / (raw + 10) END
        WHEN m.method = 'minmax' THEN (raw - s.min) / (s.max - s.min)
        WHEN raw IS NULL OR l.leg = 'keyword' AND raw <= 0 THEN 0
        WHEN m.method = 'dbsf' THEN least(greatest((raw - s.mean + 3 * s.deviation) / (6 * s.deviation), 0), 1)
        ELSE 1 / (1 + exp(-(raw - s.mean) / s.deviation)) END AS score
    FROM leg l JOIN stat s USING (leg) CROSS JOIN (SELECT DISTINCT method FROM tail) m
), expected AS (
    SELECT method, id, sum(score * CASE leg WHEN 'vector' THEN 0.7 ELSE 0.3 END) AS score FROM scaled GROUP BY method, id
)
SELECT t.method, bool_and(abs(t.score - x.score) < 1e-6) AS as_computed FROM tail t JOIN expected x USING (method, id) GROUP BY t.place, t.method ORDER BY t.place;
-- Explained parts add up.
SELECT bool_and(abs(score - (explanation#>>'{vector,weight}')::float8 * (explanation#>>'{vector,normalised}')::float8
                          - (explanation#>>'{keyword,weight}')::float8 * (explanation#>>'{keyword,normalised}')::float8) < 1e-9) AS adds_up FROM tail;
SELECT id, explanation - 'search' AS explanation FROM tail WHERE method = 'rrf' AND id = 'd';
SELECT DISTINCT explanation->'search' AS search FROM tail;

-- The same from a segment, and with a part of it deleted and new rows in the tail.
SELECT * FROM vs_merge('fuse');
SELECT count(*) AS differences FROM tail t FULL JOIN pg_temp.fused f USING (method, rank)
WHERE (t.id, t.score, t.explanation - 'search') IS DISTINCT FROM (f.id, f.score, f.explanation - 'search');
SELECT DISTINCT explanation->'search' AS search FROM pg_temp.fused;
SELECT vs_upsert('fuse', 'x ' || i, 'x' || i, embedding => '[-1,0]') FROM generate_series(1, 2) i;
SELECT vs_delete('fuse', ARRAY['x1', 'x2']);
SELECT count(*) AS differences FROM tail t FULL JOIN pg_temp.fused f USING (method, rank)
WHERE (t.id, t.score, t.explanation - 'search') IS DISTINCT FROM (f.id, f.score, f.explanation - 'search');
-- Half in the segment, half in the tail.
SELECT vs_delete('fuse', ARRAY['e', 'f', 'g']);
SELECT vs_upsert('fuse', ARRAY['harbour', 'harbour', 'far plain'], ARRAY['e', 'f', 'g'], ARRAY['[0,1]', '[0,1]', '[0,-1]']::vector[]);
SELECT count(*) AS differences FROM tail t FULL JOIN pg_temp.fused f USING (method, rank)
WHERE (t.id, t.score, t.explanation - 'search') IS DISTINCT FROM (f.id, f.score, f.explanation - 'search');
SELECT DISTINCT explanation->'search' AS search FROM pg_temp.fused;

-- Weights are relative; a weight of zero takes the leg out.
CREATE FUNCTION pg_temp.found(vector_weight float8, keyword_weight float8, fusion text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s', h.id, round(h.score::numeric, 4)), ', ' ORDER BY h.place)
    FROM ROWS FROM (vs_search('fuse', 'harbour', '[1,0]', vector_weight => vector_weight, keyword_weight => keyword_weight, fusion => fusion))
        WITH ORDINALITY AS h(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, place)
$$;
SELECT m.method, pg_temp.found(7, 3, m.method) = pg_temp.found(0.7, 0.3, m.method) AS relative, pg_temp.found(1, 0, m.method) AS vector, pg_temp.found(0, 1, m.method) AS keyword
FROM unnest(ARRAY['weighted', 'minmax', 'dbsf', 'zscore', 'rrf']) AS m(method);
-- The k of reciprocal rank fusion: the smaller, the more the first ranks count.
SELECT rrf_k, string_agg(format('%s %s', id, round(score::numeric, 4)), ', ' ORDER BY score DESC, id)
FROM unnest(ARRAY[0, 1, 60, 1000]) AS rrf_k, vs_search('fuse', 'harbour', '[1,0]', fusion => 'rrf', rrf_k => rrf_k, k => 4) GROUP BY rrf_k ORDER BY rrf_k;
-- A query with one leg answers on that leg's own scale, whatever the fusion.
SELECT m.method, string_agg(format('%s %s', id, round(score::numeric, 4)), ', ' ORDER BY score DESC, id)
FROM unnest(ARRAY['weighted', 'minmax', 'rrf']) AS m(method), vs_search('fuse', 'harbour', fusion => m.method) GROUP BY 1 ORDER BY 1;
SELECT vs_delete_store('fuse');
