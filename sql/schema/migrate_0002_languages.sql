-- Step 2, the languages: more codes for document_tsv(), and the languages of stores that detect them.

CREATE FUNCTION vectorstore._migrate_0002_languages() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- Codes 0 to 12 mean what they meant, so no row is written anew. Chinese, Japanese and Korean have no
    -- spaces to split at: their characters are made words before the parser sees them.
    -- By EXECUTE because pgspot refuses OR REPLACE, which could take over a stranger's function. Step 1 made this
    -- one as the same role, and only its owner may replace it.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.document_tsv(language smallint, content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $tsv$
        SELECT CASE
            WHEN language OPERATOR(pg_catalog.=) 1 THEN pg_catalog.to_tsvector('pg_catalog.english', content)
            WHEN language OPERATOR(pg_catalog.=) 2 THEN pg_catalog.to_tsvector('pg_catalog.german', content)
            WHEN language OPERATOR(pg_catalog.=) 3 THEN pg_catalog.to_tsvector('pg_catalog.french', content)
            WHEN language OPERATOR(pg_catalog.=) 4 THEN pg_catalog.to_tsvector('pg_catalog.spanish', content)
            WHEN language OPERATOR(pg_catalog.=) 5 THEN pg_catalog.to_tsvector('pg_catalog.italian', content)
            WHEN language OPERATOR(pg_catalog.=) 6 THEN pg_catalog.to_tsvector('pg_catalog.portuguese', content)
            WHEN language OPERATOR(pg_catalog.=) 7 THEN pg_catalog.to_tsvector('pg_catalog.dutch', content)
            WHEN language OPERATOR(pg_catalog.=) 8 THEN pg_catalog.to_tsvector('pg_catalog.swedish', content)
            WHEN language OPERATOR(pg_catalog.=) 9 THEN pg_catalog.to_tsvector('pg_catalog.danish', content)
            WHEN language OPERATOR(pg_catalog.=) 10 THEN pg_catalog.to_tsvector('pg_catalog.norwegian', content)
            WHEN language OPERATOR(pg_catalog.=) 11 THEN pg_catalog.to_tsvector('pg_catalog.finnish', content)
            WHEN language OPERATOR(pg_catalog.=) 12 THEN pg_catalog.to_tsvector('pg_catalog.russian', content)
            WHEN language OPERATOR(pg_catalog.=) 13 THEN pg_catalog.to_tsvector('pg_catalog.romanian', content)
            WHEN language OPERATOR(pg_catalog.=) 14 THEN pg_catalog.to_tsvector('pg_catalog.hungarian', content)
            WHEN language OPERATOR(pg_catalog.=) 15 THEN pg_catalog.to_tsvector('pg_catalog.turkish', content)
            WHEN language OPERATOR(pg_catalog.=) 16 THEN pg_catalog.to_tsvector('pg_catalog.greek', content)
            WHEN language OPERATOR(pg_catalog.=) 17 THEN pg_catalog.to_tsvector('pg_catalog.arabic', content)
            WHEN language OPERATOR(pg_catalog.=) 18 THEN pg_catalog.to_tsvector('pg_catalog.catalan', content)
            WHEN language OPERATOR(pg_catalog.=) 19 THEN pg_catalog.to_tsvector('pg_catalog.hindi', content)
            WHEN language OPERATOR(pg_catalog.=) 20 THEN pg_catalog.to_tsvector('pg_catalog.indonesian', content)
            WHEN language OPERATOR(pg_catalog.>=) 21 AND language OPERATOR(pg_catalog.<=) 23
                THEN pg_catalog.to_tsvector('pg_catalog.simple', vectorstore._bigrams(content))
            ELSE pg_catalog.to_tsvector('pg_catalog.simple', content)
        END
    $tsv$
    $replace$;

    ALTER TABLE vectorstore.stores ADD COLUMN languages smallint[] NOT NULL DEFAULT '{}';
    COMMENT ON COLUMN vectorstore.stores.languages IS 'Of a store that detects languages (language 127): codes that its chunks have had. Empty for others.';
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0002_languages() IS 'Part of migration step 2.';
