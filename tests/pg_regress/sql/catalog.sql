-- Rules that every object must keep. Each query lists the offenders: none.

-- Public objects without a comment.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE (p.pronamespace = 'vectorstore'::regnamespace OR p.proname LIKE 'vs\_%')
  AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass FROM pg_class c
WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT a.attname FROM pg_attribute a
WHERE a.attrelid = 'vs_stores'::regclass AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL;

-- Definer functions without a pinned search_path, and functions that PUBLIC may execute.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.prosecdef AND (p.pronamespace = 'vectorstore'::regnamespace OR p.proname LIKE 'vs\_%')
  AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false);
SELECT p.oid::regprocedure FROM pg_proc p
WHERE (p.pronamespace = 'vectorstore'::regnamespace OR p.proname LIKE 'vs\_%')
  AND has_function_privilege('public', p.oid, 'EXECUTE');

-- Objects that do not belong to the owner role.
SELECT p.oid::regprocedure, p.proowner::regrole FROM pg_proc p
WHERE (p.pronamespace = 'vectorstore'::regnamespace OR p.proname LIKE 'vs\_%') AND p.proowner <> 'vectorstore_owner'::regrole;
SELECT c.oid::regclass, c.relowner::regrole FROM pg_class c
WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relowner <> 'vectorstore_owner'::regrole;

-- Tables without a primary key, or without row-level security (migrations hold no tenant's data).
SELECT c.oid::regclass FROM pg_class c
WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary);
SELECT c.oid::regclass FROM pg_class c
WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind = 'r' AND NOT c.relrowsecurity
  AND c.relname <> 'schema_migrations';

-- Unique keys of per-store tables that do not start with store_id.
SELECT i.indexrelid::regclass FROM pg_index i
WHERE i.indisunique AND i.indrelid IN ('vectorstore.embeddings'::regclass, 'vectorstore.store_files'::regclass, 'vectorstore.store_counters'::regclass,
                                         'vectorstore.search_indexes'::regclass, 'vectorstore.segments'::regclass, 'vectorstore.segment_pages'::regclass, 'vectorstore.changes'::regclass, 'vectorstore.ingest_jobs'::regclass, 'vectorstore.file_batches'::regclass)
  AND i.indkey[0] <> (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attname = 'store_id');

-- Pages that would not be stored as they are, in their row.
SELECT a.attrelid::regclass, a.attname FROM pg_attribute a
WHERE (a.attrelid, a.attname) IN (('vectorstore.segment_pages'::regclass, 'data'), ('vectorstore.segments'::regclass, 'header')) AND a.attstorage <> 'p';

-- Tables and what hangs on them are no members of the extension: DROP EXTENSION leaves them.
SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vectorstore')
  AND d.classid = 'pg_class'::regclass AND (SELECT relkind FROM pg_class WHERE oid = d.objid) <> 'v'
ORDER BY 1;

-- The public functions.
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.proname LIKE 'vs\_%' ORDER BY 1::text COLLATE "C";
