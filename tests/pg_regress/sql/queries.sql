-- Several queries, negative ones, thresholds, creation times and groups: from the tail and from a segment the same.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET vectorstore.background_merge = off;
SELECT vs_create_store('colours', embedding_model => 'none', dimensions => 3) IS NOT NULL AS created;
SELECT cardinality(vs_upsert('colours',
    ARRAY['red paint', 'green paint', 'blue paint', 'red and green', 'red red red wall', 'grey wall', 'green wall', 'blue sky', 'no colour at all'],
    ARRAY['red', 'green', 'blue', 'yellow', 'wall1', 'wall2', 'wall3', 'sky', 'none'],
    ARRAY['[1,0,0]', '[0,1,0]', '[0,0,1]', '[0.6,0.8,0]', '[0.8,0,0.6]', '[-1,0,0]', '[0,0.8,0.6]', '[0,0.6,0.8]', '[0,-1,0]']::vector[],
    ARRAY['{"kind": "paint", "n": 1}', '{"kind": "paint", "n": 1}', '{"kind": "paint", "n": 2}', '{"kind": "mixture"}', '{"kind": "wall", "n": "1"}',
          '{"kind": "wall"}', '{"kind": "wall", "n": true}', NULL, NULL]::jsonb[])) AS written;
-- Sets the creation times, row by row: a changed row is a new version, and equal scores go by its number.
CREATE FUNCTION pg_temp.set_times(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE the_id text;
BEGIN
    FOREACH the_id IN ARRAY ids LOOP
        UPDATE vectorstore.embeddings e
        SET created_at = timestamptz '2024-03-01 00:00+00' + interval '1 day' * array_position('{sky,red,wall2,blue,none,green,wall1,yellow,wall3}', the_id)
        WHERE e.store_id = vectorstore._store('colours') AND e.id = the_id;
    END LOOP;
END $$;
SELECT pg_temp.set_times('{red,green,blue,yellow,wall1,wall2,wall3,sky,none}');

-- Each call under a number; its answer as one text.
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE format('SELECT string_agg(format(''%%s %%s'', h.id, round(h.score::numeric, 4)), '', '' ORDER BY h.place)
        FROM ROWS FROM (vs_search(''colours'', %s)) WITH ORDINALITY AS h(id, file_id, filename, score, vector_score, keyword_score, content, metadata, explanation, place)', call)
    INTO answer;
    RETURN coalesce(answer, '-');
END $$;
CREATE TEMP TABLE call (place serial, call text);
INSERT INTO call (call) VALUES
    -- Several vectors.
    ($$embeddings => '{"[1,0,0]","[0,1,0]"}'$$),
    ($$embeddings => '{"[1,0,0]","[0,1,0]"}', combine => 'sum'$$),
    ($$embeddings => '{"[1,0,0]","[0,1,0]"}', combine => 'rrf'$$),
    ($$embeddings => '{"[1,0,0]","[0,1,0]"}', combine => 'rrf', rrf_k => 1, k => 3$$),
    ($$embedding => '[1,0,0]', embeddings => '{"[0,1,0]"}'$$),
    ($$embeddings => '{"[0,1,0]","[1,0,0]"}'$$),
    ($$embeddings => '{"[1,0,0]"}'$$),
    ($$embedding => '[1,0,0]'$$),
    -- Several texts.
    ($$queries => '{red,green}'$$),
    ($$queries => '{red,green}', combine => 'sum'$$),
    ($$queries => '{red,green}', combine => 'rrf'$$),
    ($$'red', queries => '{green,blue}', k => 4$$),
    -- Both, by place; and a text beside a vector alone.
    ($$queries => '{red,green}', embeddings => '{"[1,0,0]","[0,1,0]"}'$$),
    ($$queries => '{red,green}', embeddings => '{"[1,0,0]","[0,1,0]"}', combine => 'sum', fusion => 'rrf'$$),
    ($$'red', embeddings => '{"[0,0,1]"}', k => 4$$),
    ($$queries => '{NULL,wall}', embeddings => '{"[1,0,0]",NULL}', k => 4$$),
    -- Negative ones.
    ($$embedding => '[1,0,0]', negative_embeddings => '{"[0,1,0]"}'$$),
    ($$embedding => '[1,0,0]', negative_embeddings => '{"[0,1,0]"}', negative_weight => 0.5$$),
    ($$embedding => '[1,0,0]', negative_embeddings => '{"[0,1,0]"}', negative_weight => 0$$),
    ($$'red', negative_queries => '{wall}'$$),
    ($$'red', negative_queries => '{wall}', mode => 'keyword_only', negative_weight => 0.5$$),
    ($$'paint', '[1,0,0]', negative_queries => '{red}', negative_embeddings => '{"[1,0,0]"}', k => 3$$),
    ($$embeddings => '{"[1,0,0]","[0,1,0]"}', negative_embeddings => '{"[0,0,1]","[-1,0,0]"}', combine => 'sum'$$),
    -- Thresholds: of the fused score, of a leg. What is equal stays.
    ($$'red', '[1,0,0]', score_threshold => 0.7$$),
    ($$'red', '[1,0,0]', vector_threshold => 0.8$$),
    ($$'red', '[1,0,0]', keyword_threshold => 0.01$$),
    ($$'red', '[1,0,0]', vector_threshold => 0.9, keyword_threshold => 0.01$$),
    ($$embedding => '[1,0,0]', vector_threshold => 1$$),
    ($$embedding => '[1,0,0]', keyword_threshold => 0.5, k => 2$$),
    ($$'red', mode => 'keyword_only', vector_threshold => 0.9$$),
    ($$'red', '[1,0,0]', fusion => 'minmax', score_threshold => 0.9$$),
    ($$embedding => '[1,0,0]', vector_threshold => 0.8, negative_embeddings => '{"[0,1,0]"}'$$),
    -- Times: from is in, to is out.
    ($$embedding => '[1,0,0]', created_from => '2024-03-04 00:00+00', created_to => '2024-03-07 00:00+00'$$),
    ($$embedding => '[1,0,0]', created_from => '2024-03-09 00:00+00'$$),
    ($$embedding => '[1,0,0]', created_to => '2024-03-03 00:00:00.000001+00'$$),
    ($$embedding => '[1,0,0]', created_from => '-infinity', created_to => 'infinity', k => 2$$),
    ($$embedding => '[1,0,0]', created_from => 'infinity'$$),
    ($$'wall', created_from => '2024-03-08 00:00+00', filter => '{"kind": "wall"}'$$),
    -- Groups: at most so many of a value; without a value everyone stands alone.
    ($$embedding => '[1,0,0]', group_by => 'kind'$$),
    ($$embedding => '[1,0,0]', group_by => 'kind', group_size => 2$$),
    ($$embedding => '[1,0,0]', group_by => 'kind', k => 2$$),
    ($$embedding => '[1,0,0]', group_by => 'n'$$),
    ($$embedding => '[1,0,0]', group_by => 'file_id', k => 3$$),
    ($$embedding => '[1,0,0]', group_by => 'filename'$$),
    ($$embedding => '[1,0,0]', group_by => 'unheard-of', k => 3$$),
    ($$'paint wall', '[1,0,0]', group_by => 'kind', filter => '{"type": "in", "key": "kind", "value": ["paint", "wall"]}'$$);
CREATE TEMP TABLE tail AS SELECT place, call, pg_temp.answer(call) FROM call ORDER BY place;
SELECT call, answer FROM tail ORDER BY place;
-- The order of queries of equal weight changes nothing.
SELECT count(DISTINCT pg_temp.answer(c)) FROM unnest(ARRAY[$$queries => '{red,green,wall}', combine => 'sum'$$, $$queries => '{wall,red,green}', combine => 'sum'$$]) AS c;

-- From a segment.
SELECT * FROM vs_merge('colours');
SELECT call, answer, pg_temp.answer(call) AS now FROM tail WHERE answer <> pg_temp.answer(call) ORDER BY place;
-- From a segment and a tail, after rows came and went.
SELECT vs_upsert('colours', 'red ' || i, 'gone' || i, embedding => '[1,0,0]', metadata => '{"kind": "paint"}') FROM generate_series(1, 3) i;
SELECT vs_delete('colours', ARRAY['gone1', 'gone2', 'gone3']);
CREATE TEMP TABLE again AS SELECT id, content, embedding, metadata FROM vectorstore.embeddings WHERE store_id = vectorstore._store('colours') AND id IN ('green', 'wall1', 'wall3', 'none');
SELECT vs_delete('colours', ARRAY['green', 'wall1', 'wall3', 'none']);
SELECT count(vs_upsert('colours', content, id, embedding, metadata)) FROM (SELECT * FROM again ORDER BY id) a;
SELECT pg_temp.set_times('{green,none,wall1,wall3}');
SELECT (explanation->'search'->>'segments')::integer AS segments, explanation->'search'->'tail_rows' AS tail FROM vs_search('colours', embedding => '[1,0,0]', k => 1, explain => true);
-- Rows of the tail are younger, and come behind others of the same score: beside that, and what goes by ranks, all is
-- as it was.
CREATE FUNCTION pg_temp.scores(answer text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace(answer, '\w+ (?=[01]\.)', '', 'g') $$;
SELECT call, answer, pg_temp.answer(call) AS now FROM tail WHERE call !~ 'rrf' AND pg_temp.scores(answer) <> pg_temp.scores(pg_temp.answer(call)) ORDER BY place;

-- Explained by the query that it fits best.
SELECT id, explanation->'query' AS query, explanation->'vector'->'cosine' AS cosine FROM vs_search('colours', embeddings => '{"[1,0,0]","[0,1,0]"}', k => 3, explain => true);
SELECT vs_delete_store('colours');
