-- Languages: each finds inflected forms of its words; scripts without spaces; detection; names.
\set SHOW_CONTEXT never
SELECT n.code, n.name FROM unnest(string_to_array(vectorstore._language_names(), ', ')) AS name
CROSS JOIN LATERAL (SELECT vectorstore._language_code(name) AS code, name) n ORDER BY n.code;

-- One store a language: a text, and a query in another form of its words. `simple` knows no forms.
CREATE TEMP TABLE cases (language text, content text, query text);
INSERT INTO cases VALUES
    ('simple', 'rotating the keys', 'KEYS'), ('simple', 'rotating the keys', 'key'),
    ('english', 'rotating the keys', 'rotation key'), ('german', 'Die Häuser am Hafen', 'Haus'),
    ('french', 'Les chevaux mangeaient', 'manger'), ('spanish', 'Las casas bonitas', 'casa bonita'),
    ('italian', 'I ragazzi giocavano', 'ragazzo'), ('portuguese', 'As cidades antigas', 'cidade antiga'),
    ('dutch', 'De boeken liggen hier', 'boek'), ('swedish', 'Flickorna läste böckerna', 'flicka'),
    ('danish', 'Husene ved havnen', 'hus'), ('norwegian', 'Bilene på veien', 'bil'),
    ('finnish', 'Talossa on ovi', 'talo'), ('russian', 'В больших домах', 'большой дом'),
    ('romanian', 'Cărțile bibliotecilor', 'carte bibliotecă'), ('hungarian', 'A házakban laknak', 'ház'),
    ('turkish', 'Kitaplarımız masada', 'kitap'), ('greek', 'Οι δρόμοι των ανθρώπων', 'δρόμος άνθρωπος'),
    ('arabic', 'الكتب في المكتبات', 'مكتبة'), ('catalan', 'Els gats de les nenes cantaven', 'cantar nena'),
    ('hindi', 'लड़कियों की किताबें', 'किताब'), ('indonesian', 'Mereka membaca bukunya', 'buku'),
    ('chinese', '服务的密钥应该每月更换', '密钥'), ('chinese', '服务的密钥应该每月更换', '钥'), ('chinese', '服务的密钥应该每月更换', '猫'),
    ('japanese', '東京都で猫を飼うデータベース', '猫'), ('japanese', '東京都で猫を飼うデータベース', 'データ'), ('japanese', 'ＰＯＳＴＧＲＥＳの使い方', 'postgres'),
    ('korean', '물을 마시는 고양이가 있다', '물'), ('korean', '물을 마시는 고양이가 있다', '고양이는'), ('korean', 'PostgreSQL을 배우다', 'postgresql');
DO $$
DECLARE
    language text;
BEGIN
    FOR language IN SELECT DISTINCT c.language FROM cases c LOOP
        PERFORM vs_create_store(language, embedding_model => 'none', dimensions => 1, language => language);
    END LOOP;
END
$$;
SELECT count(vs_upsert(c.language, c.content, c.content, '[1]')) AS written FROM (SELECT DISTINCT language, content FROM cases) c;
SELECT c.language, c.query, count(s.id) AS found
FROM cases c LEFT JOIN LATERAL vs_search(c.language, c.query, mode => 'keyword_only') s ON s.content = c.content
GROUP BY c.language, c.query, c.content ORDER BY vectorstore._language_code(c.language), c.content COLLATE "C", c.query COLLATE "C";
-- A query is read as the documents are.
SELECT count(*) AS cases, count(*) FILTER (WHERE vectorstore._query_lexemes(vectorstore._store(c.language), c.content || ' ' || c.query)
    = vectorstore.document_tsv(vectorstore._language_code(c.language), c.content || ' ' || c.query)) AS equal
FROM cases c;
SELECT count(vs_delete_store(l.language)) AS deleted FROM (SELECT DISTINCT language FROM cases) l;

-- Runs are cut into characters and pairs, in order, so that phrases are found by position.
SELECT vectorstore._bigrams('第3章 東京都のpgvector ｶﾅ'), vectorstore._bigrams('');
SELECT vectorstore.document_tsv(22::smallint, '昨日は東京都へ行った') @@ phraseto_tsquery('simple', vectorstore._bigrams('東京都へ')) AS phrase,
       vectorstore.document_tsv(22::smallint, '東京と京都') @@ phraseto_tsquery('simple', vectorstore._bigrams('東京都')) AS other_order;
-- The longest content of rare characters still fits.
SELECT length(vectorstore.document_tsv(21::smallint, string_agg(chr(19968 + (abs(hashint4(i)) % 20900)), ''))) > 80000 AS fits FROM generate_series(1, 87381) i;

-- Detection: every chunk has its own language; what is not certain is `simple`.
SELECT vs_create_store('babel', embedding_model => 'none', dimensions => 1, language => 'Auto') IS NOT NULL AS created;
SELECT vectorstore._query_lexemes(vectorstore._store('babel'), 'keys') AS empty;
SELECT cardinality(vs_upsert('babel', ARRAY[
    'The keys of the service should be rotated every month, because nobody can tell who has read them.',
    'Die Schlüssel des Dienstes sollten jeden Monat gewechselt werden, weil niemand weiß, wer sie gelesen hat.',
    'Les clés du service devraient être changées chaque mois, car personne ne sait qui les a lues.',
    'Ключи службы следует менять каждый месяц, потому что никто не знает, кто их уже прочитал.',
    'サービスの鍵は毎月交換してください。誰が読んだか分からないからです。',
    'E-1042'], ARRAY['en', 'de', 'fr', 'ru', 'ja', 'code'], array_fill('[1]'::vector, ARRAY[6]))) AS written;
SELECT e.id, e.language FROM vectorstore.embeddings e WHERE e.store_id = vectorstore._store('babel') ORDER BY e.language;
SELECT vectorstore._note_languages(vectorstore._store('babel'), (SELECT array_agg(e.language) FROM vectorstore.embeddings e WHERE e.store_id = vectorstore._store('babel')));
SELECT s.language, s.languages FROM vectorstore.stores s WHERE s.name = 'babel';
-- Nothing new, nothing written.
SELECT xmin AS before FROM vectorstore.stores WHERE name = 'babel' \gset
SELECT vectorstore._note_languages(vectorstore._store('babel'), '{1,2}');
SELECT xmin = :'before' AS untouched FROM vectorstore.stores WHERE name = 'babel';
-- A query is read in all languages of the store; a lexeme of several counts as often as in one of them.
SELECT vectorstore._query_lexemes(vectorstore._store('babel'), 'rotation keys keys it''s \ ''x''') AS lexemes;
SELECT q.codes, q.query, vectorstore._union_lexemes(q.codes::smallint[], q.query) AS lexemes FROM (VALUES
    ('{}', 'rotate the keys'), ('{0}', 'rotate the keys'), ('{1}', 'rotate the keys'), ('{0,1}', 'rotate the keys'), ('{0,1}', 'to be or not to be'),
    ('{1,2}', 'the war'), ('{1,22}', 'the 東京'), ('{1}', 'the')) AS q(codes, query);
SELECT q.query, array_agg(h.id ORDER BY h.id) AS found
FROM (VALUES (1, 'rotate'), (2, 'Dienst'), (3, 'changer'), (4, 'службе'), (5, '鍵'), (6, 'E-1042')) AS q(place, query),
     vs_search('babel', q.query, mode => 'keyword_only') AS h
GROUP BY q.place, q.query ORDER BY q.place;
-- A changed text is detected again.
SELECT vs_upsert('babel', 'Las claves del servicio deberían cambiarse cada mes, porque nadie sabe quién las ha leído.', 'code', '[1]'::vector);
SELECT e.language FROM vectorstore.embeddings e WHERE e.store_id = vectorstore._store('babel') AND e.id = 'code';
SELECT vs_delete_store('babel');

-- Stores with one language keep no list, and unknown names are refused.
SELECT vs_create_store('plain', embedding_model => 'none', dimensions => 1, language => 'turkish') IS NOT NULL AS created;
SELECT vectorstore._note_languages(vectorstore._store('plain'), '{15}');
SELECT s.language, s.languages FROM vectorstore.stores s WHERE s.name = 'plain';
SELECT vs_delete_store('plain');
SELECT vs_create_store('nowhere', language => 'klingon');
