-- Everything that a version is made of, in words that do not depend on when and in which order it was made: members of
-- the extension, and the data's tables with all that hangs on them. Side tables of single stores are left out.
SET search_path = pg_catalog;
CREATE TEMP VIEW member AS
  SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
  WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vectorstore');
CREATE TEMP VIEW relation AS
  SELECT c.* FROM pg_class c
  WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relname !~ '^hnsw_[0-9]' AND c.relkind IN ('r', 'p', 'S', 'v', 'c', 'm')
  UNION ALL
  SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
  WHERE c.relnamespace <> 'vectorstore'::regnamespace;
CREATE FUNCTION pg_temp.acl(given aclitem[], kind "char", owner oid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('%s:%s%s', coalesce(nullif(a.grantee::regrole::text, '-'), 'PUBLIC'), a.privilege_type, CASE WHEN a.is_grantable THEN '*' END), ' '
                    ORDER BY a.grantee::regrole::text COLLATE "C", a.privilege_type COLLATE "C")
  FROM aclexplode(coalesce(given, acldefault(kind, owner))) a $$;

SELECT 'extension', extversion, extrelocatable, extconfig, extnamespace::regnamespace FROM pg_extension WHERE extname = 'vectorstore';
SELECT 'member', pg_describe_object(m.classid, m.objid, m.objsubid) AS line FROM member m ORDER BY line;

SELECT 'function', p.oid::regprocedure::text AS name, p.proowner::regrole, pg_temp.acl(p.proacl, 'f', p.proowner),
       obj_description(p.oid, 'pg_proc'), CASE p.prokind WHEN 'a' THEN pg_get_function_result(p.oid) ELSE pg_get_functiondef(p.oid) END
FROM pg_proc p
WHERE p.pronamespace = 'vectorstore'::regnamespace OR p.oid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass)
ORDER BY name;
SELECT 'aggregate', a.aggfnoid::regprocedure::text AS name, a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggtranstype::regtype, a.agginitval
FROM pg_aggregate a WHERE a.aggfnoid IN (SELECT objid FROM member WHERE classid = 'pg_proc'::regclass) ORDER BY name;

SELECT 'relation', r.relname, r.relkind, r.relpersistence, r.reloptions, r.relrowsecurity, r.relforcerowsecurity, r.relowner::regrole, am.amname,
       pg_temp.acl(r.relacl, CASE r.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, r.relowner), obj_description(r.oid, 'pg_class'),
       pg_get_partkeydef(r.oid), pg_get_expr(r.relpartbound, r.oid), CASE r.relkind WHEN 'v' THEN pg_get_viewdef(r.oid) END,
       (SELECT t.reloptions FROM pg_class t WHERE t.oid = r.reltoastrelid)
FROM relation r LEFT JOIN pg_am am ON am.oid = r.relam ORDER BY r.relname COLLATE "C";
SELECT 'column', r.relname, a.attname, row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, a.attcollation::regcollation, a.attacl,
       pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum)
FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
WHERE r.relkind <> 'S' ORDER BY r.relname COLLATE "C", a.attnum;
SELECT 'constraint', r.relname, c.conname, c.contype, c.convalidated, c.condeferrable, pg_get_constraintdef(c.oid), obj_description(c.oid, 'pg_constraint')
FROM relation r JOIN pg_constraint c ON c.conrelid = r.oid ORDER BY r.relname COLLATE "C", c.conname COLLATE "C";
SELECT 'index', r.relname, pg_get_indexdef(i.indexrelid) AS line, i.indisvalid, i.indisprimary, i.indisclustered, i.indisreplident, x.reloptions, x.relowner::regrole
FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid ORDER BY r.relname COLLATE "C", line;
SELECT 'trigger', r.relname, pg_get_triggerdef(t.oid) AS line, t.tgenabled FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid
WHERE NOT t.tgisinternal ORDER BY r.relname COLLATE "C", line;
SELECT 'policy', p.tablename, p.policyname, p.permissive, p.roles, p.cmd, p.qual, p.with_check FROM pg_policies p
WHERE p.schemaname = 'vectorstore' ORDER BY 2, 3;
SELECT 'sequence', s.sequencename, s.data_type, s.start_value, s.min_value, s.max_value, s.increment_by, s.cycle, s.cache_size
FROM pg_sequences s WHERE s.schemaname = 'vectorstore' ORDER BY 2;
SELECT 'type', t.typname, t.typtype, t.typowner::regrole, pg_temp.acl(t.typacl, 'T', t.typowner), obj_description(t.oid, 'pg_type')
FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid ORDER BY t.typname COLLATE "C";
SELECT 'statistics', s.stxname, s.stxrelid::regclass, s.stxkeys, s.stxkind FROM pg_statistic_ext s WHERE s.stxnamespace = 'vectorstore'::regnamespace ORDER BY 2;
SELECT 'schema', n.nspname, n.nspowner::regrole, pg_temp.acl(n.nspacl, 'n', n.nspowner), obj_description(n.oid, 'pg_namespace')
FROM pg_namespace n WHERE n.nspname = 'vectorstore';
SELECT 'defaults', a.defaclrole::regrole, a.defaclnamespace::regnamespace, a.defaclobjtype, a.defaclacl FROM pg_default_acl a ORDER BY 2, 3, 4;
SELECT 'role', r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolbypassrls,
       (SELECT array_agg(m.roleid::regrole::text ORDER BY m.roleid::regrole::text) FROM pg_auth_members m WHERE m.member = r.oid)
FROM pg_roles r WHERE r.rolname IN ('vectorstore_owner', 'vectorstore_admin', 'vectorstore_app', 'vectorstore_user') ORDER BY 2;
