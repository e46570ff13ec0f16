"""Quotas hold whatever writers do at once: nothing is over at any moment, counters are exact, and nobody waits for ever."""

import random
import threading
import time
import uuid

import psycopg
import pytest

SECONDS = 6
LIMIT = 2_000


@pytest.fixture
def sql_store(database):
    """Makes empty stores of tiny vectors over SQL and deletes them."""
    names = []

    def make():
        name = f"quota-{uuid.uuid4().hex[:12]}"
        database.execute("SELECT vs_create_store(%s, embedding_model => 'none', dimensions => 2)", [name])
        names.append(name)
        return name

    yield make
    for name in names:
        database.execute("SELECT vs_delete_store(%s)", [name])


class Writers:
    """Sessions that insert, replace, delete and give up, close to the limit, until the time is over."""

    def __init__(self, url, stores, count, seed):
        self.url, self.stores, self.seed = url, stores, seed
        self.lock = threading.Lock()
        self.done = {"insert": 0, "refused": 0, "delete": 0, "abort": 0}
        self.errors = []
        self.end = time.monotonic() + SECONDS
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]

    def run(self, number):
        choice = random.Random(f"{self.seed}.{number}")
        try:
            with psycopg.connect(self.url) as connection:
                while time.monotonic() < self.end:
                    self.step(connection, choice)
        except Exception as error:  # a thread's failure is the test's
            with self.lock:
                self.errors.append(error)

    def step(self, connection, choice):
        store = choice.choice(self.stores)
        # Ids collide between the writers, so that a batch replaces rows of others.
        ids = [f"{choice.randrange(4 * LIMIT)}" for _ in range(choice.choice([1, 2, 5, 10, 20, 50, 100]))]
        # Sorted as vs_upsert asks of those who write the same ids at once.
        ids = sorted(set(ids))
        kind = choice.choices(["insert", "delete", "abort"], [6, 3, 1])[0]
        try:
            if kind == "delete":
                connection.execute("SELECT vs_delete(%s, %s::text[])", [store, ids])
            else:
                texts = [f"text {choice.randrange(1000)} of {id}" for id in ids]
                connection.execute(
                    "SELECT vs_upsert(%s, %s::text[], %s::text[], array_fill('[1,2]'::vector, ARRAY[%s]))",
                    [store, texts, ids, len(ids)],
                )
            if kind == "abort":
                connection.rollback()
            else:
                connection.commit()
        except psycopg.errors.ConfigurationLimitExceeded:
            connection.rollback()
            kind = "refused"
        with self.lock:
            self.done[kind] += 1

    def watch(self, database, query):
        """Runs the query as often as possible while they write; every row it returns is a violation."""
        for thread in self.threads:
            thread.start()
        looks, violations = 0, []
        while time.monotonic() < self.end:
            violations += database.execute(query, [self.stores]).fetchall()
            looks += 1
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a writer hangs"
        return looks, violations


# Counters and rows of one snapshot.
OVER = """
    SELECT s.name, c.chunks, n.rows FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id)
    CROSS JOIN LATERAL (SELECT count(*) AS rows FROM vectorstore.embeddings e WHERE e.store_id = s.store_id) n
    WHERE s.name = ANY (%s) AND (n.rows > c.max_chunks OR n.rows <> c.chunks)
"""


@pytest.mark.parametrize("writers", [16, 64])
def test_a_store_is_never_over_its_quota(database, database_url, sql_store, writers):
    store = sql_store()
    database.execute("SELECT vs_set_quota(%s, max_chunks => %s)", [store, LIMIT])
    crowd = Writers(database_url, [store], writers, seed=writers)
    looks, violations = crowd.watch(database, OVER)
    assert crowd.errors == []
    assert violations == [] and looks >= 5
    assert database.execute("SELECT * FROM vs_verify_stats(%s)", [store]).fetchall() == []
    assert crowd.done["refused"] > 0 and crowd.done["delete"] > 0 and crowd.done["abort"] > 0
    batches = sum(crowd.done.values()) / SECONDS
    print(f"{writers} writers: {batches:.0f} batches/s, {crowd.done}")
    # Each refusal is in an event, and while there is no room there is one event.
    database.execute("SELECT vs_stat_flush()")
    events = database.execute(
        "SELECT sum(refused), count(*), count(*) FILTER (WHERE resolved_at IS NULL) FROM vectorstore.quota_events JOIN vectorstore.stores USING (store_id)"
        " WHERE name = %s AND resource = 'chunks'",
        [store],
    )
    refused, crossings, unresolved = events.fetchone()
    assert refused == crowd.done["refused"] and crossings >= 1 and unresolved <= 1
    # Deletes pass at the limit.
    database.execute("SELECT vs_set_quota(%s, max_chunks => 0)", [store])
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
        database.execute("SELECT vs_upsert(%s, 'one more', embedding => '[1,2]')", [store])
    rows = database.execute(
        "SELECT array_agg(e.id) FROM vectorstore.embeddings e JOIN vectorstore.stores s USING (store_id) WHERE s.name = %s", [store]
    )
    assert database.execute("SELECT vs_delete(%s, %s::text[])", [store, rows.fetchone()[0]]).fetchone()[0] > 0


def test_a_quota_over_http(http, client, store, make_file):
    limits = {"vector_store_id": store.id, "max_chunks": 2}
    [quota] = [q for q in http.ok("PUT", "/admin/quotas", limits)["data"] if q["vector_store_id"] == store.id]
    assert (quota["resource"], quota["used"], quota["quota"], quota["exceeded_at"]) == ("chunks", 0, 2, None)
    rows = f"/vector_stores/{store.id}/embeddings"
    first = http.ok("POST", rows, {"content": "the first text"})["id"]
    http.ok("POST", rows, {"content": "the second text"})
    refused = http.post(rows, {"content": "one too many"})
    error = refused.error(429)
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert error["message"] == "You exceeded your quota: the vector store may hold at most 2 chunks."
    # Waiting does not help: the official clients do not try again.
    assert refused.headers["x-should-retry"] == "false" and "retry-after" not in refused.headers
    # All of a batch or nothing of it.
    http.delete(f"{rows}/{first}")
    assert http.post(f"{rows}/batch", {"embeddings": [{"content": "a text"}, {"content": "another"}]}).status == 429
    assert http.ok("GET", rows)["data"][0]["content"] == "the second text"
    # A file that does not fit fails, and says why.
    file = make_file("long.txt", "A sentence about nothing in particular. " * 2_000)
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert attached.status == "failed" and "quota" in attached.last_error.message
    assert len(http.ok("GET", rows)["data"]) == 1
    http.ok("PUT", "/admin/quotas", {"vector_store_id": store.id})
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert attached.status == "completed"


TENANT_OVER = """
    SELECT q.chunks, n.rows FROM vectorstore.tenant_quotas q
    CROSS JOIN LATERAL (SELECT count(*) AS rows FROM vectorstore.embeddings e WHERE e.tenant_id = q.tenant_id
                        AND EXISTS (SELECT FROM vectorstore.stores s WHERE s.store_id = e.store_id)) n
    WHERE (n.rows > q.max_chunks OR n.rows <> q.chunks) AND cardinality(%s::text[]) > 0
"""


def test_a_tenant_is_never_over_its_quota(database, database_url, sql_store):
    stores = [sql_store() for _ in range(4)]
    crowd = Writers(database_url, stores, 16, seed=7)
    # Writers are under way when counting begins.
    starter = threading.Timer(1, limit_tenant, [database_url])
    starter.start()
    try:
        looks, violations = crowd.watch(database, TENANT_OVER)
        assert crowd.errors == []
        assert violations == [] and looks >= 5
        assert crowd.done["refused"] > 0
        assert database.execute("SELECT * FROM vs_verify_stats()").fetchall() == []
    finally:
        starter.join()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SELECT vs_set_tenant_quota('default')")


def limit_tenant(url):
    """Leaves room for 500 chunks more than there are: nobody writes between the two calls."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT vs_set_tenant_quota('default', max_chunks => 1000000000)")
        connection.execute(
            "SELECT vs_set_tenant_quota('default', max_chunks => used + 500) FROM vs_quotas WHERE store_id IS NULL"
        )


class Full:
    """A store or a tenant at its limit of chunks: writes are refused until something is deleted."""

    def __init__(self, database, store):
        self.database, self.store = database, store
        self.number = 0

    def add(self):
        self.number += 1
        self.database.execute("SELECT vs_upsert(%s, 'a text'::text, %s::text, '[1,2]'::vector)", [self.store, f"{self.number}"])

    def refused(self, times):
        for _ in range(times):
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
                self.add()

    def make_room(self):
        database, store = self.database, self.store
        [id] = database.execute("SELECT min(e.id) FROM vectorstore.embeddings e JOIN vectorstore.stores s USING (store_id) WHERE s.name = %s", [store]).fetchone()
        assert database.execute("SELECT vs_delete(%s, %s::text)", [store, id]).fetchone()[0]

    def events(self, owner):
        """Refused writes and whether it is over, of each event of chunks."""
        self.database.execute("SELECT vs_stat_flush()")
        return self.database.execute(
            "SELECT e.refused, e.resolved_at IS NOT NULL FROM vectorstore.quota_events e"
            " WHERE e.resource = 'chunks' AND e.store_id = CASE WHEN %s THEN (SELECT s.store_id FROM vectorstore.stores s WHERE s.name = %s) ELSE 0 END"
            " AND e.created_at > %s ORDER BY e.room_at",
            [owner == "store", self.store, self.began],
        ).fetchall()

    def exceeded(self, owner):
        return self.database.execute(
            "SELECT exceeded_at IS NOT NULL, refused FROM vs_quotas WHERE resource = 'chunks' AND name IS NOT DISTINCT FROM %s",
            [self.store if owner == "store" else None],
        ).fetchone()


@pytest.fixture(params=["store", "tenant"])
def full(request, database, sql_store):
    """One at a time has the limit, which leaves room for two chunks."""
    full = Full(database, sql_store())
    [full.began] = database.execute("SELECT clock_timestamp()").fetchone()
    if request.param == "store":
        database.execute("SELECT vs_set_quota(%s, max_chunks => 2)", [full.store])
    else:
        database.execute("SELECT vs_set_tenant_quota('default', max_chunks => 1000000000)")
        database.execute("SELECT vs_set_tenant_quota('default', max_chunks => used + 2) FROM vs_quotas WHERE store_id IS NULL")
    full.owner = request.param
    yield full
    database.execute("SELECT vs_set_tenant_quota('default')")


def test_each_crossing_of_a_quota_is_one_event(full):
    full.add()
    full.add()
    full.refused(2)
    full.make_room()
    full.add()
    # Between two flushes of the statistics, and after one.
    full.refused(3)
    assert full.events(full.owner) == [(2, True), (3, False)]
    full.refused(1)
    assert full.events(full.owner) == [(2, True), (4, False)]
    assert full.exceeded(full.owner) == (True, 4)
    full.make_room()
    assert full.exceeded(full.owner) == (False, None)
    assert full.events(full.owner) == [(2, True), (4, True)]


def test_room_made_while_refusals_are_flushed_ends_their_event(full, database_url):
    full.add()
    full.add()
    full.refused(1)
    with psycopg.connect(database_url) as other:
        # The flush cannot see this yet, and this cannot see what the flush writes.
        other.execute("SELECT vs_delete(%s, '1'::text)", [full.store])
        assert full.events(full.owner) == [(1, False)]
        other.commit()
    assert full.exceeded(full.owner) == (False, None)
    full.add()
    full.refused(1)
    assert full.events(full.owner) == [(1, True), (1, False)]


def test_only_room_that_was_made_ends_an_event(full, database, database_url):
    full.add()
    full.add()
    full.refused(1)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT vs_delete(%s, '1'::text)", [full.store])
        other.rollback()
    full.refused(1)
    # A limit that is lower still.
    if full.owner == "store":
        database.execute("SELECT vs_set_quota(%s, max_chunks => 1)", [full.store])
    else:
        database.execute("SELECT vs_set_tenant_quota('default', max_chunks => used - 1) FROM vs_quotas WHERE store_id IS NULL")
    full.make_room()
    full.refused(1)
    assert full.events(full.owner) == [(3, False)]
    # One that is higher.
    if full.owner == "store":
        database.execute("SELECT vs_set_quota(%s, max_chunks => 2)", [full.store])
    else:
        database.execute("SELECT vs_set_tenant_quota('default', max_chunks => used + 1) FROM vs_quotas WHERE store_id IS NULL")
    full.add()
    full.refused(1)
    assert full.events(full.owner) == [(3, True), (1, False)]
