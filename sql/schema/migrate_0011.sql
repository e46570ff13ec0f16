-- Step 11: writing many chunks takes less time. The rules of step 1 hold.
CREATE FUNCTION vectorstore._migrate_0011() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $migrate$
BEGIN
    -- The lexemes of a document come from the library, which knows the words of earlier ones. They are what to_tsvector()
    -- says, so that no row changes. By EXECUTE as in step 2.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.document_tsv(language smallint, content text) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT vectorstore._document_lexemes(language, content)'
    $replace$;

    -- As in step 2, but what is sorted are numbers and not whole rows: OFFSET keeps the two queries apart.
    EXECUTE $replace$
    CREATE OR REPLACE FUNCTION vectorstore.note_inserted() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $inserted$
    DECLARE
        change record;
    BEGIN
        FOR change IN
            SELECT r.store_id, count(*) AS chunks, sum(r.tokens) AS tokens, sum(r.bytes) AS bytes,
                   array_agg(r.chunk_id ORDER BY r.chunk_id) AS added, array_agg(DISTINCT r.language) AS languages
            FROM (SELECT n.store_id, n.chunk_id, n.language, vectorstore._tsv_length(n.tsv) AS tokens,
                         octet_length(n.content) + 4 * @extschema:vector@.vector_dims(n.embedding) AS bytes
                  FROM new_rows n OFFSET 0) r
            GROUP BY r.store_id ORDER BY r.store_id
        LOOP
            PERFORM vectorstore._note_change(change.store_id, change.chunks, change.tokens, change.bytes,
                                             change.added, '{}', change.languages);
        END LOOP;
        RETURN NULL;
    END
    $inserted$
    $replace$;
    INSERT INTO vectorstore.schema_migrations (version) VALUES (11);
END
$migrate$;
COMMENT ON FUNCTION vectorstore._migrate_0011() IS 'Migration step 11: faster writing.';
