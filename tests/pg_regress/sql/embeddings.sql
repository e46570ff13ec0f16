-- Chunks: insert, replace, read, delete.
\set SHOW_CONTEXT never
SELECT vs_create_store('plane', embedding_model => 'none', dimensions => 2) IS NOT NULL AS created;
SELECT vs_upsert('plane', 'east', 'e', embedding => '[1,0]', metadata => '{"axis": "x", "n": 1}');
SELECT vs_upsert('plane', ARRAY['north', 'west', 'south'], ARRAY['n', 'w', 's'], ARRAY['[0,1]', '[-1,0]', '[0,-1]']::vector[],
                 ARRAY['{"axis": "y"}', NULL, '{"axis": "y", "n": 4}']::jsonb[]);
SELECT id, content, metadata, embedding, version FROM vs_get('plane', 'n');
SELECT * FROM vs_get('plane', 'nowhere');

-- Ids made by us come back in order.
SELECT array_length(ids, 1), ids[1] ~ '^emb_[a-z2-7]{24}$' AS well_formed
FROM vs_upsert('plane', ARRAY['a', 'b'], embeddings => ARRAY['[1,1]', '[1,-1]']::vector[]) AS ids;

-- An upsert replaces; the version counts.
SELECT vs_upsert('plane', 'north east', 'n', embedding => '[1,1]');
SELECT id, content, metadata, embedding, version, updated_at >= created_at AS later FROM vs_get('plane', 'n');

SELECT vs_delete('plane', 'n'), vs_delete('plane', 'n');
SELECT vs_delete('plane', ARRAY['e', 'w', 'nowhere']);
SELECT chunks FROM vs_stores WHERE name = 'plane';

-- Texts are embedded by the store's model: unit length, equal for equal texts.
SELECT vector_dims(vs_embed('hello world')), round(vector_norm(vs_embed('hello world'))::numeric, 5),
       vs_embed('hello world') = vs_embed('hello world') AS same, vector_norm(vs_embed('')) AS of_nothing;
SELECT vs_create_store('texts') IS NOT NULL AS created;
SELECT vs_upsert('texts', 'hello world', 'h');
SELECT embedding = vs_embed('hello world') AS embedded FROM vs_get('texts', 'h');
-- A bulk statement is one statement: one bad item, and nothing is written.
SELECT vs_upsert('texts', ARRAY['good', NULL]);
SELECT chunks FROM vs_stores WHERE name = 'texts';
SELECT vs_delete_store('texts'), vs_delete_store('plane');
