-- What the extension consists of: kind, name as in DROP, and what CREATE OR REPLACE cannot change.
SET search_path = pg_catalog;
SELECT CASE p.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, p.oid::regprocedure::text,
       concat_ws(' ', p.prokind, pg_get_function_result(p.oid), p.proargnames::text, p.proargmodes::text, p.pronargdefaults)
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vectorstore')
UNION ALL
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TYPE' END, c.oid::regclass::text,
       (SELECT string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_depend d
  ON d.deptype = 'e' AND (d.classid = 'pg_class'::regclass AND d.objid = c.oid OR d.classid = 'pg_type'::regclass AND d.objid = c.reltype AND c.relkind = 'c')
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vectorstore') AND c.relkind IN ('v', 'c')
ORDER BY 1, 2;
