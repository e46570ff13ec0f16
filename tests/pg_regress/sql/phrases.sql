-- Phrases in quotes, excluded words and phrases, stop words: from the tail and from a segment the same.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET vectorstore.background_merge = off;
SELECT vs_create_store('deeds', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT cardinality(vs_upsert('deeds',
    ARRAY['The quick brown fox jumps over the lazy dog.', 'A brown dog and a quick fox.', 'The fox is brown and quick.',
          'Lazy cats sleep; the dog barks.', 'State-of-the-art rotation of keys', 'Rotate the key, then the keys rotate.',
          'To be or not to be, that is the question.', 'Nothing else matters.', 'e-mail to support@example.com about error E-1042'],
    ARRAY['fox1', 'fox2', 'fox3', 'cats', 'art', 'rotate', 'hamlet', 'nothing', 'mail'],
    ARRAY['[1,0]', '[0.9,0.1]', '[0.8,0.2]', '[0.7,0.3]', '[0.6,0.4]', '[0.5,0.5]', '[0.4,0.6]', '[0.3,0.7]', '[0.2,0.8]']::vector[])) AS written;
CREATE TEMP TABLE question (place serial, query text);
INSERT INTO question (query) VALUES
    ('brown fox'), ('"brown fox"'), ('"quick fox"'), ('"quick brown" dog'), ('“brown fox”'), ('"Brown  FOXES"'), ('"fox brown"'), ('"the lazy dog"'),
    ('"fox is brown"'), ('"quick" "dog"'), ('"brown fox" "rotate the key"'),
    ('fox -lazy'), ('fox -lazy -"quick fox"'), ('fox -"brown fox"'), ('fox -"brown dog"'), ('dog -cats -fox'), ('fox -foxes'), ('fox -unknown'), ('rotation -state-of-the-art'),
    ('"rotation of keys"'), ('key -"rotation of keys"'), ('5 - brown'), ('--brown'), ('brown -5'), ('fox-brown'), ('"brown fox'), ('5" brown'), ('""'),
    ('the of and'), ('to be or not to be'), ('"to be or not to be"'), ('"to be" question'), ('question -the'), ('E-1042'), ('error -1042'), ('error -E-1042'),
    ('please tell me, if you can, everything that anybody has ever written about the dog that barks and the lazy cats that sleep all day long'),
    ('-fox'), ('-fox -dog'), ('-"brown fox"'), ('zeppelin'), ('"zeppelin" fox');
CREATE VIEW pg_temp.answers AS
    SELECT q.place, q.query,
           (SELECT coalesce(string_agg(h.id, ' ' ORDER BY h.score DESC, h.content), '-') FROM vs_search('deeds', q.query, mode => 'keyword_only') h) AS keyword,
           (SELECT coalesce(string_agg(h.id || h.score, ' ' ORDER BY h.score DESC, h.content), '-') FROM vs_search('deeds', q.query, mode => 'keyword_only') h) AS scores,
           (SELECT coalesce(string_agg(h.id, ' ' ORDER BY h.score DESC, h.content), '-') FROM vs_search('deeds', q.query, '[1,0]', mode => 'vector_only') h) AS vector,
           (SELECT coalesce(string_agg(h.id || h.score, ' ' ORDER BY h.score DESC, h.content), '-') FROM vs_search('deeds', q.query, '[1,0]') h) AS hybrid
    FROM question q;
CREATE TEMP TABLE tail AS SELECT * FROM pg_temp.answers;
SELECT query, keyword FROM tail ORDER BY place;
-- A phrase is what a result must contain in the vector leg too; an exclusion takes out of it.
SELECT query, vector FROM tail WHERE query ~ '"|(^| )-' ORDER BY place;
-- What Postgres itself finds.
SELECT p.phrase, bool_and((e.tsv @@ phraseto_tsquery('english', p.phrase)) = (h.id IS NOT NULL)) AS as_postgres
FROM unnest(ARRAY['brown fox', 'quick fox', 'fox is brown', 'rotation of keys', 'the lazy dog', 'state-of-the-art', 'support@example.com', 'dog']) AS p(phrase)
CROSS JOIN vectorstore.embeddings e LEFT JOIN LATERAL (SELECT s.id FROM vs_search('deeds', format('"%s"', p.phrase), mode => 'keyword_only') s WHERE s.id = e.id) h ON true
GROUP BY p.phrase ORDER BY p.phrase;

-- From a segment.
SELECT * FROM vs_merge('deeds');
SELECT t.query, t.keyword, a.keyword AS now FROM tail t JOIN pg_temp.answers a USING (place) WHERE (t.keyword, t.vector, t.hybrid, t.scores) IS DISTINCT FROM (a.keyword, a.vector, a.hybrid, a.scores);
-- Two segments, a tail, and deleted rows in all of them.
SELECT vs_upsert('deeds', 'brown fox, quick fox, lazy dog ' || i, 'gone' || i, embedding => '[1,0]') FROM generate_series(1, 3) i;
SELECT vs_delete('deeds', ARRAY['fox2', 'cats', 'rotate']);
SELECT segments FROM vs_merge('deeds');
SELECT vs_upsert('deeds', ARRAY['A brown dog and a quick fox.', 'Lazy cats sleep; the dog barks.', 'Rotate the key, then the keys rotate.'],
                 ARRAY['fox2', 'cats', 'rotate'], ARRAY['[0.9,0.1]', '[0.7,0.3]', '[0.5,0.5]']::vector[]);
SELECT vs_delete('deeds', ARRAY['gone1', 'gone2', 'gone3']);
SELECT t.query, t.keyword, a.keyword AS now FROM tail t JOIN pg_temp.answers a USING (place) WHERE (t.keyword, t.vector, t.hybrid, t.scores) IS DISTINCT FROM (a.keyword, a.vector, a.hybrid, a.scores);
SELECT explanation->'search' AS search FROM vs_search('deeds', '"brown fox"', mode => 'keyword_only', explain => true);

-- A phrase and an exclusion hold beside a filter.
SELECT vs_upsert('deeds', 'A brown fox with a label', 'label', embedding => '[0,1]', metadata => '{"label": true}');
SELECT id FROM vs_search('deeds', '"brown fox"', mode => 'keyword_only', filter => '{"label": true}');
SELECT id FROM vs_search('deeds', 'fox -label', mode => 'keyword_only', filter => '{"label": true}');
SELECT id FROM vs_search('deeds', '-label', '[1,0]', filter => '{"label": true}');
SELECT vs_delete_store('deeds');
-- In a store that embeds its texts nothing is left of a query of exclusions to be embedded.
SELECT vs_create_store('local') IS NOT NULL AS created;
SELECT vs_upsert('local', 'a brown fox', 'fox');
SELECT id FROM vs_search('local', '-dog');
SELECT id FROM vs_search('local', 'fox -dog');
SELECT id FROM vs_search('local', '-fox', vs_embed('fox'));
SELECT vs_delete_store('local');
