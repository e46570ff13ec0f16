"""What the tenant costs: for the application role every look-up, filter and listing goes by its index, and no policy gets
in its way. The plans are those that run inside of the functions, told by auto_explain.
"""

import hashlib
import json

import pytest
from psycopg import sql

from proxies import ROLE

TENANTS, STORES, ROWS = 4, 2_000, 20_000
# Tables that are small in every installation.
SMALL = {"schema_migrations", "secrets", "tenants"}


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


class World:
    def __init__(self, database):
        self.database = database
        one, run = database.one, database.connection.execute
        self.key, self.narrow, self.filtered = (hashlib.sha256(text).digest() for text in (b"plans", b"narrow", b"filtered"))
        for number in range(TENANTS):
            one("SELECT vs_create_tenant(%s)", f"plans-{number}")
        one("SELECT vs_set_tenant('plans-0')")
        # Of its own, so that it has segments; the other rows are written below, behind its back.
        self.store = one("SELECT vs_create_store('plans', embedding_model => 'none', dimensions => 2)")
        one(
            """SELECT count(vs_upsert('plans', ARRAY(SELECT 'text ' || i FROM generate_series(1, 2000) i),
                      ARRAY(SELECT 'p' || i FROM generate_series(1, 2000) i), ARRAY(SELECT '[1,0]'::vector FROM generate_series(1, 2000) i),
                      ARRAY(SELECT jsonb_build_object('group', i %% 10) FROM generate_series(1, 2000) i)))"""
        )
        one("SELECT count(*) FROM vs_merge('plans')")
        self.number = one("SELECT store_id FROM vectorstore.stores WHERE id = %s", self.store)
        own = "(SELECT tenant_id FROM vectorstore.tenants WHERE id = 'plans-0')"
        every = f"{own} + i %% {TENANTS}"
        run("SET session_replication_role = replica")
        run(
            f"""INSERT INTO vectorstore.stores (tenant_id, id, name, embedding_model, dimensions, language)
                SELECT {every}, vectorstore._new_id('vs_', i), 'many ' || i, 'none', 2, 1 FROM generate_series(1, %s) i""",
            [STORES],
        )
        run("INSERT INTO vectorstore.store_counters (store_id, tenant_id) SELECT store_id, tenant_id FROM vectorstore.stores ON CONFLICT DO NOTHING")
        run(
            """INSERT INTO vectorstore.embeddings (store_id, tenant_id, id, language, embedding, content)
               SELECT s.store_id, s.tenant_id, 'e' || i, 1, '[1,0]', 'text' FROM vectorstore.stores s, generate_series(1, %s) i
               WHERE s.name LIKE 'many%%'""",
            [ROWS // STORES],
        )
        run(
            f"""INSERT INTO vectorstore.files (tenant_id, file_id, id, filename, purpose) OVERRIDING SYSTEM VALUE
                SELECT {every}, i, vectorstore._new_id('file-', i), 'f', 'assistants' FROM generate_series(1, %s) i""",
            [ROWS],
        )
        run(
            """INSERT INTO vectorstore.store_files (store_id, tenant_id, id, filename, status, chunking_strategy)
               SELECT s.store_id, f.tenant_id, f.id, 'f', 'completed', '{}' FROM vectorstore.files f
               JOIN LATERAL (SELECT min(store_id) AS store_id FROM vectorstore.stores WHERE tenant_id = f.tenant_id) s ON true"""
        )
        run(
            f"""INSERT INTO vectorstore.api_keys (tenant_id, key_id, name, key_hash)
                SELECT {every}, 'key_' || i, '', sha256(i::text::bytea) FROM generate_series(1, %s) i""",
            [ROWS],
        )
        run("SET session_replication_role = origin")
        run("ANALYZE")
        self.file = one(f"SELECT id FROM vectorstore.store_files WHERE tenant_id = {own} LIMIT 1")
        holder = database.all("SELECT s.id, s.store_id FROM vectorstore.stores s JOIN vectorstore.store_files f USING (store_id) WHERE f.id = %s", self.file)
        [(self.holder, self.holder_number)] = holder
        one("SELECT vs_create_api_key('k', %s)", self.key)
        one("SELECT vs_create_api_key('k', %s, role => 'write', stores => %s)", self.narrow, [self.store, self.holder])
        one("SELECT vs_create_api_key('k', %s, role => 'read', filter => '{\"group\": 3}')", self.filtered)

    def plans(self, role, query, *values):
        """The plans of all statements that a query runs, inside of functions too, each with its text."""
        found = []
        with self.database.connect(autocommit=True) as connection:
            connection.add_notice_handler(lambda notice: found.append(notice.message_primary))
            connection.execute("LOAD 'auto_explain'")
            for setting in (
                "log_min_duration = 0",
                "log_nested_statements = on",
                "log_format = json",
                "log_level = notice",
                "log_verbose = on",
                "log_analyze = on",
                "log_timing = off",
            ):
                connection.execute(f"SET auto_explain.{setting}")
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            found.clear()
            # Functions plan a statement anew for the first five calls.
            for _ in range(7):
                connection.execute(query, values, prepare=True)
        parsed = [json.loads(text[text.index("{") :]) for text in found if "plan:" in text]
        assert parsed, "auto_explain said nothing"
        return [(plan["Query Text"], plan["Plan"]) for plan in parsed]


@pytest.fixture(scope="module")
def world(own_database):
    return World(own_database)


CALLS = {
    "retrieve a store": "SELECT vectorstore.api_get_vector_store(%(number)s, %(store)s, %(key)s)",
    "list stores": "SELECT vectorstore.api_list_vector_stores(%(key)s, 20, NULL, NULL, NULL)",
    "the next stores": "SELECT vectorstore.api_list_vector_stores(%(key)s, 20, NULL, %(store)s, NULL)",
    "search": "SELECT vectorstore.api_search(%(number)s, %(store)s, %(key)s, ARRAY['text'], ARRAY['[1,0]'::vector], '{}')",
    "search with a filter": """SELECT vectorstore.api_search(%(number)s, %(store)s, %(key)s, ARRAY['text'], ARRAY['[1,0]'::vector],
                               '{"filter": {"group": 3}}')""",
    "list by a filter": """SELECT vectorstore.api_search(%(number)s, %(store)s, %(key)s, NULL, NULL, '{"filter": {"group": 3}}')""",
    "facets": """SELECT vectorstore.api_search(%(number)s, %(store)s, %(key)s, NULL, NULL, '{}', NULL, '{group}')""",
    "list passages": "SELECT vectorstore.api_list_embeddings(%(number)s, %(store)s, %(key)s, 20, NULL, NULL, NULL, false)",
    "retrieve a passage": "SELECT vectorstore.api_get_embedding(%(number)s, %(store)s, %(key)s, 'p3')",
    "list files of a store": "SELECT vectorstore.api_list_store_files(%(holder_number)s, %(holder)s, %(key)s, 20, NULL, NULL, NULL, NULL)",
    "retrieve a file of a store": "SELECT vectorstore.api_get_store_file(%(holder_number)s, %(holder)s, %(key)s, %(file)s)",
    "list files": "SELECT vectorstore.api_list_files(%(key)s, NULL, 20, NULL, NULL)",
    "retrieve a file": "SELECT vectorstore.api_get_file(%(key)s, %(file)s)",
}
# What a key with a mandatory filter may not do, or finds nothing of.
REFUSED = {("filtered", call) for call in ("list files", "retrieve a file", "retrieve a file of a store")}


# Rows that a statement may read: a few pages, or where rows are tested by a filter or by the stores of a key, those of one
# store or one tenant, which are a quarter of all.
A_PAGE, A_TENANT = 300, ROWS // TENANTS + 1


def check(plans, enough):
    """No statement reads more than it must, and none asks a policy. Returns the tables that are read."""
    tables = set()
    for query, plan in plans:
        assert "current_tenant" not in json.dumps(plan), query
        for node in nodes(plan):
            name = node.get("Relation Name")
            if name is None or node["Node Type"] == "ModifyTable":
                continue
            assert node["Node Type"] != "Seq Scan" or name in SMALL, (query, node)
            removed = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
            assert (node["Actual Rows"] + removed) * node["Actual Loops"] <= enough, (query, node)
            tables.add(name)
    return tables


@pytest.mark.parametrize(
    ("call", "kind"),
    [(call, kind) for call in CALLS for kind in ("key", "narrow", "filtered") if (kind, call) not in REFUSED],
)
def test_the_functions_of_the_proxy_use_their_indexes(world, call, kind):
    values = vars(world) | {"key": getattr(world, kind)}
    names = {name: value for name, value in values.items() if isinstance(value, (str, int, bytes))}
    query, arguments = positional(CALLS[call], names)
    tested = "filter" in (call + kind) or (call, kind) == ("list stores", "narrow")
    tables = check(world.plans(ROLE, query, *arguments), A_TENANT if tested else A_PAGE)
    assert "api_keys" in tables
    assert "stores" in tables or "files" in call or call == "retrieve a file"


def positional(query, names):
    arguments = []
    while "%(" in query:
        name = query[query.index("%(") + 2 : query.index(")s", query.index("%("))]
        query = query.replace(f"%({name})s", "%s", 1)
        arguments.append(names[name])
    return query, arguments


def test_a_search_of_a_sql_user_runs_no_statement_of_its_own(world):
    """The user's tenant is found, and the store, by reading indexes natively: beside the call itself nothing is planned."""
    world.database.connection.execute("DROP ROLE IF EXISTS vs_plans_user")
    world.database.connection.execute("CREATE ROLE vs_plans_user")
    try:
        world.database.one("SELECT vs_grant_tenant('vs_plans_user', 'plans-0', 'read')")
        query = "SELECT * FROM vs_search('plans', embedding => '[1,0]', filter => '{\"group\": 3}')"
        plans = world.plans("vs_plans_user", query)
        assert {plan["Node Type"] for _, plan in plans} == {"Function Scan"}, plans
    finally:
        world.database.connection.execute("DROP OWNED BY vs_plans_user")
        world.database.connection.execute("DROP ROLE vs_plans_user")


def test_a_policy_is_asked_once_a_statement(world):
    """A role that was given a table reads it by index all the same, and the tenant is looked up once, not for every row."""
    run = world.database.connection.execute
    run("CREATE ROLE vs_plans_reader")
    try:
        world.database.one("SELECT vs_grant_tenant('vs_plans_reader', 'plans-0', 'read')")
        run("GRANT USAGE ON SCHEMA vectorstore TO vs_plans_reader")
        run("GRANT SELECT ON vectorstore.embeddings TO vs_plans_reader")
        query = "SELECT count(*) FROM vectorstore.embeddings WHERE store_id = %s AND chunk_id > 0"
        for text, plan in world.plans("vs_plans_reader", query, world.number):
            if "vectorstore.embeddings" not in text:
                continue
            kinds = [node["Node Type"] for node in nodes(plan)]
            assert "Seq Scan" not in kinds, plan
            assert any(node.get("Subplan Name", "").startswith("InitPlan") for node in nodes(plan)), plan
            assert all("current_tenant" not in str(node.get("Filter")) for node in nodes(plan)), plan
    finally:
        run("DROP OWNED BY vs_plans_reader")
        run("DROP ROLE vs_plans_reader")
