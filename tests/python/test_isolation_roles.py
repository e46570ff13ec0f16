"""Every database role against every object: what is not on its list is refused by Postgres itself, and who calls cannot be
said by anything that a role may set.
"""

import hashlib

import psycopg
import pytest
from psycopg import errors, sql

from proxies import PASSWORD, ROLE, with_database

# What only members of vectorstore_admin may call. Anything else that begins with vs_ is for every SQL user.
# Of all tenants.
ADMIN_ONLY = {"vs_install", "vs_expire", "vs_sweep", "vs_doctor", "_stat_embedding_cache"}
TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ROLES = {
    "nobody": "vs_roles_nobody",
    "user": "vs_roles_user",
    "reader": "vs_roles_reader",
    "admin": "vs_roles_admin",
    "app": ROLE,
}


class World:
    """A database with two tenants, a role of each kind, and a connection as a superuser that takes their places."""

    def __init__(self, database):
        self.database = database
        for role in set(ROLES.values()) - {ROLE}:
            database.connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        database.connection.execute("GRANT vectorstore_admin TO vs_roles_admin")
        # Without a tenant, with the rights of a user.
        database.connection.execute("GRANT vectorstore_user TO vs_roles_user")
        for tenant in ("roles-a", "roles-b"):
            database.one("SELECT vs_create_tenant(%s)", tenant)
            database.one("SELECT vs_set_tenant(%s)", tenant)
            database.one("SELECT vs_create_store(%s, embedding_model => 'none', dimensions => 2)", f"of {tenant}")
            database.one("SELECT vs_upsert(%s, %s, 'one', embedding => '[1,0]')", f"of {tenant}", f"text of {tenant}")
            database.one("SELECT vs_create_api_key('k', %s)", self.key(tenant))
        database.one("SELECT vs_set_tenant(NULL)")
        database.one("SELECT vs_grant_tenant('vs_roles_reader', 'roles-a', 'read')")

    @staticmethod
    def key(tenant):
        return hashlib.sha256(tenant.encode()).digest()

    def functions(self):
        """Signature and name of every function of ours."""
        return self.database.all(
            """SELECT p.oid, p.oid::regprocedure::text, p.proname, p.prorettype = 'trigger'::regtype, n.nspname
               FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
               WHERE n.nspname = 'vectorstore' OR n.nspname = 'public' AND starts_with(p.proname, 'vs_') ORDER BY 2"""
        )

    def views_functions(self):
        """Functions that views of ours call, with the rights of whoever reads the view."""
        rows = self.database.all(
            """SELECT DISTINCT p.proname FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
               JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_proc'::regclass
               JOIN pg_proc p ON p.oid = d.refobjid WHERE starts_with(c.relname, 'vs_') AND c.relnamespace = 'public'::regnamespace"""
        )
        return {name for (name,) in rows}

    def as_role(self, role):
        """A connection that has given up all other rights: it logged in as a superuser, and may not go back unnoticed."""
        connection = self.database.connect(autocommit=True)
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ROLES[role])))
        return connection

    def drop(self):
        for role in set(ROLES.values()) - {ROLE}:
            name = sql.Identifier(role)
            self.database.connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            self.database.connection.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest.fixture(scope="module")
def world(own_database):
    made = World(own_database)
    yield made
    made.drop()


def allowed(role, name, schema, views):
    """Whether the role is meant to execute a function."""
    if role == "app":
        return schema == "vectorstore" and name.startswith("api_")
    if role == "nobody":
        return False
    if schema == "public":
        return role == "admin" or name not in ADMIN_ONLY
    # What stands in the policies is called by whoever reads a table; of views, by whoever reads the view.
    return name in views and (role == "admin" or name not in ADMIN_ONLY) or name == "current_tenant" and role != "admin"


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_a_right_on_any_table_or_sequence(world, role):
    relations = world.database.all(
        """SELECT c.oid, c.relname, c.relkind FROM pg_class c
           WHERE c.relnamespace = 'vectorstore'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"""
    )
    assert len([name for _, name, kind in relations if kind in ("r", "p")]) > 20
    assert len([name for _, name, kind in relations if kind == "S"]) > 5
    with world.as_role(role) as connection:
        for oid, name, kind in relations:
            rights = ("USAGE", "SELECT", "UPDATE") if kind == "S" else TABLE_RIGHTS
            question = "SELECT has_sequence_privilege(%s, %s)" if kind == "S" else "SELECT has_table_privilege(%s, %s)"
            for right in rights:
                assert connection.execute(question, [oid, right]).fetchone() == (False,), (name, right)
            if kind != "S":
                columns = "SELECT has_any_column_privilege(%s, 'SELECT, INSERT, UPDATE, REFERENCES')"
                assert connection.execute(columns, [oid]).fetchone() == (False,), name
            # Not by the catalogue's word alone.
            table = sql.Identifier("vectorstore", name)
            attempts = ["SELECT * FROM {}"]
            if kind != "S":
                attempts += ["DELETE FROM {}", "TRUNCATE {}", "COPY {} TO STDOUT", "DROP TABLE {}"]
            for attempt in attempts:
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(attempt).format(table))
        # Nor what the planner has learned of the rows.
        statistics = "SELECT count(*) FROM pg_stats WHERE schemaname = 'vectorstore'"
        assert connection.execute(statistics).fetchone() == (0,)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_executes_what_is_on_its_list_and_nothing_else(world, role):
    views, functions = world.views_functions(), world.functions()
    assert len(functions) > 150 and len(views) >= 4
    with world.as_role(role) as connection:
        for oid, signature, name, is_trigger, schema in functions:
            may = allowed(role, name, schema, views)
            has = connection.execute("SELECT has_function_privilege(%s, 'EXECUTE')", [oid]).fetchone()[0]
            assert has is may, signature
            if may or is_trigger:
                continue
            # The right is checked before the arguments are looked at.
            types = signature[signature.index("(") + 1 : -1]
            kinds = list(enumerate(split_types(types)))
            arguments = ", ".join(f"a{at}" for at, _ in kinds)
            # From a table: a call of constants that are NULL may be left out by the planner.
            nulls = ", ".join(["1 AS one", *(f"NULL::{kind} AS a{at}" for at, kind in kinds)])
            with pytest.raises(errors.InsufficientPrivilege, match="permission denied for (function|aggregate|schema)"):
                connection.execute(f"SELECT {signature[: signature.index('(')]}({arguments}) FROM (SELECT {nulls} OFFSET 0) t")
                pytest.fail(signature)


def split_types(types):
    """The types of a signature; none of ours has a comma of its own."""
    concrete = {"anycompatible": "bigint"}
    return [concrete.get(kind, kind) for kind in types.split(",") if kind]


@pytest.mark.parametrize("role", ROLES)
def test_views_show_a_role_its_own_tenant(world, role):
    query = "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace AND starts_with(relname, 'vs_')"
    views = [name for (name,) in world.database.all(query)]
    assert {"vs_stores", "vs_tenants", "vs_api_keys", "vs_audit_log"} <= set(views)
    with world.as_role(role) as connection:
        for view in views:
            query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(view))
            if role in ("nobody", "app", "user") or role == "reader" and view == "vs_stat_embedding_cache":
                # A user without a tenant is refused by the function behind the view; the cache is of all tenants.
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(query)
                continue
            text = repr(connection.execute(query).fetchall())
            assert "roles-b" not in text or role == "admin", (view, text)
        if role == "reader":
            assert connection.execute("SELECT name FROM vs_stores").fetchall() == [("of roles-a",)]
            # Only administrators of the tenant see its keys and what they did.
            assert connection.execute("SELECT count(*) FROM vs_api_keys").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM vs_audit_log").fetchone() == (0,)


def test_the_roles_are_no_more_than_they_say(world):
    """No role of ours can become the owner or a superuser, create objects, log in without being told to, or pass by policies."""
    ours = ("vectorstore_owner", "vectorstore_admin", "vectorstore_app", "vectorstore_user")
    for role in (*ours, *ROLES.values()):
        [row] = world.database.all(
            """SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication, rolcanlogin AND rolname <> %s,
                      rolname <> 'vectorstore_owner' AND pg_has_role(oid, 'vectorstore_owner', 'MEMBER'),
                      rolname <> 'vectorstore_owner' AND has_schema_privilege(oid, 'vectorstore', 'CREATE'),
                      has_schema_privilege(oid, 'public', 'CREATE')
               FROM pg_roles WHERE rolname = %s""",
            ROLE,
            role,
        )
        assert row == (False,) * 5, role


def test_a_login_of_the_proxy_cannot_become_somebody_else(world):
    url = with_database(world.database.server, world.database.name, f"{ROLE}:{PASSWORD}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT vectorstore.api_health()")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SET vectorstore.background_merge = off")
        assert connection.execute("SELECT current_setting('vectorstore.background_merge')").fetchone() == ("on",)
        for statement in (
            "SET ROLE vectorstore_owner",
            "SET ROLE vectorstore_admin",
            "SET ROLE vs_roles_reader",
            "SET SESSION AUTHORIZATION vectorstore_owner",
            "SET vectorstore.model_path = '/etc'",
            "CREATE TABLE vectorstore.mine (i integer)",
            "CREATE TABLE public.mine (i integer)",
            "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "ALTER FUNCTION vectorstore.api_health() SET search_path = public",
            "LOAD 'auto_explain'",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)
                pytest.fail(statement)
        # The prefix of our settings is reserved: nobody can invent one that looks as if it counted.
        with pytest.raises(errors.InvalidName):
            connection.execute("SET vectorstore.tenant = '1'")


def test_who_calls_cannot_be_said_by_a_setting(world):
    """Only a key opens a tenant, for one call; whatever the session has set or called before changes nothing."""
    url = with_database(world.database.server, world.database.name, f"{ROLE}:{PASSWORD}")
    tenants = dict(world.database.all("SELECT id, tenant_id::text FROM vectorstore.tenants"))
    names = "SELECT vectorstore.api_list_vector_stores(%s, NULL, NULL, NULL, NULL)->'data'->0->>'name'"
    a, b, unknown = world.key("roles-a"), world.key("roles-b"), world.key("none")
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("vs.tenant", "app.tenant_id", "request.jwt.claims", "search_path", "session.role"):
            value = tenants["roles-b"] if setting != "search_path" else "pg_temp, public"
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
            assert connection.execute(names, [a]).fetchone() == ("of roles-a",), setting
        # An object of the session's own in place of ours.
        connection.execute("CREATE TEMP TABLE api_keys (key_hash bytea, tenant_id bigint, key bigint, role text)")
        connection.execute("INSERT INTO api_keys VALUES (%s, %s, 1, 'operator')", [unknown, tenants["roles-b"]])
        with pytest.raises(errors.InvalidAuthorizationSpecification):
            connection.execute(names, [unknown])
        # In one transaction with calls that were let in, and behind one that failed.
        with connection.transaction():
            assert connection.execute(names, [a]).fetchone() == ("of roles-a",)
            for bad in (unknown, b"", None, a[:31], b"\0" + a, a[:-1] + bytes([a[-1] ^ 1])):
                with pytest.raises(errors.InvalidAuthorizationSpecification), connection.transaction():
                    connection.execute(names, [bad])
                assert connection.execute(names, [b]).fetchone() == ("of roles-b",)
            for statement in ("SELECT * FROM vectorstore.stores", "SELECT vectorstore._current_tenant()", "SELECT * FROM vs_stores"):
                with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(statement)


def test_a_table_granted_by_mistake_shows_no_other_tenant(world):
    """The second wall: policies, for every table of tenants; tables that belong to no tenant show nothing."""
    tables = [name for (name,) in world.database.all(
        "SELECT relname FROM pg_class WHERE relnamespace = 'vectorstore'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'"
    )]
    execute = world.database.connection.execute
    execute("GRANT USAGE ON SCHEMA vectorstore TO vs_roles_reader, vs_roles_nobody")
    for name in tables:
        execute(sql.SQL("GRANT SELECT ON {} TO vs_roles_reader, vs_roles_nobody").format(sql.Identifier("vectorstore", name)))
    own = world.database.one("SELECT tenant_id FROM vectorstore.tenants WHERE id = 'roles-a'")
    seen = set()
    try:
        with world.as_role("reader") as reader, world.as_role("nobody") as nobody:
            for name in tables:
                query = sql.SQL("SELECT to_jsonb(t) FROM {} t").format(sql.Identifier("vectorstore", name))
                rows = [row for (row,) in reader.execute(query)]
                assert {row.get("tenant_id") for row in rows} <= {own}, name
                seen |= {name} if rows else set()
                try:
                    assert nobody.execute(query).fetchall() == [], name
                except errors.InsufficientPrivilege:
                    # Not even the function of the policy is its own to call.
                    pass
    finally:
        for name in tables:
            execute(sql.SQL("REVOKE SELECT ON {} FROM vs_roles_reader, vs_roles_nobody").format(sql.Identifier("vectorstore", name)))
        execute("REVOKE USAGE ON SCHEMA vectorstore FROM vs_roles_reader, vs_roles_nobody")
    assert {"tenants", "stores", "embeddings", "api_keys", "tenant_roles"} <= seen
