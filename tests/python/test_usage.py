"""Statistics against a ledger: what the server counted is what a client counted, number by number."""

import hashlib
import json
import random
import subprocess
import threading
import time
from collections import Counter

import pytest

from http_client import UNKNOWN, Http
from load import Connection
from proxies import Database

REQUESTS = 5000
THREADS = 4
SEED = 20261


@pytest.fixture(scope="module")
def keys(own_database, proxy_program):
    """Three more API keys."""
    made = []
    for name in ("first", "second", "third"):
        printed = subprocess.run([proxy_program, "key", "new"], capture_output=True, text=True, check=True).stdout
        made.append(dict(line.split("=") for line in printed.split())["key"])
        digest = hashlib.sha256(made[-1].encode()).digest()
        own_database.all("SELECT vs_create_api_key(%s, %s)", name, digest)
    return made


class Ledger:
    """What a client counts, by operation and by store."""

    def __init__(self):
        self.operations, self.errors = Counter(), Counter()
        self.stores, self.store_errors = Counter(), Counter()
        self.created, self.deleted = Counter(), Counter()
        self.lock = threading.Lock()

    def note(self, operation, status, store=None, created=0, deleted=0):
        with self.lock:
            self.operations[operation] += 1
            self.stores[store] += 1
            if status >= 400:
                self.errors[operation] += 1
                self.store_errors[store] += 1
            else:
                self.created[store] += created
                self.deleted[store] += deleted


class Client:
    """Sends requests of many kinds, right and wrong."""

    def __init__(self, ledger, base_urls, keys, stores, seed):
        self.random, self.ledger, self.stores = random.Random(seed), ledger, stores
        self.connections = [Connection(url, key) for url in base_urls for key in keys]
        self.known = {store: [] for store in stores}

    def send(self, operation, method, path, body=None, store=None, created=0, deleted=0):
        answer = self.random.choice(self.connections).send(method, path, body)
        assert answer.status < 500, (path, answer.body)
        # A store of nobody's is not one that has statistics.
        self.ledger.note(operation, answer.status, store if store in self.stores else None, created, deleted)
        return answer

    def step(self):
        store = self.random.choice([*self.stores, f"vs_{UNKNOWN}"])
        path = f"/vector_stores/{store}"
        self.random.choice(KINDS)(self, store, path)


def search(client, store, path):
    client.send("search_vector_store", "POST", f"{path}/search", {"query": "one"}, store)


def bad_search(client, store, path):
    body = client.random.choice([{"query": ""}, {"max_num_results": 0, "query": "a"}, b"{", {"query": {}}])
    client.send("search_vector_store", "POST", f"{path}/search", body, store)


def look(client, store, path):
    client.send("retrieve_vector_store", "GET", path, None, store)


def list_stores(client, store, path):
    limit = client.random.choice([1, 5, 0, 101])
    client.send("list_vector_stores", "GET", f"/vector_stores?limit={limit}")


def add(client, store, path):
    many = client.random.randint(1, 4)
    if many == 1:
        body = {"content": "one", "embedding": None, "metadata": {}}
        answer = client.send("create_vector_store_embedding", "POST", f"{path}/embeddings", body, store, created=1)
        ids = [answer] if answer.status == 200 else []
    else:
        body = {"embeddings": [{"content": f"text {at}"} for at in range(many)]}
        client.send("create_vector_store_embedding", "POST", f"{path}/embeddings/batch", body, store, created=many)
        ids = []
    for answer in ids:
        client.known[store].append(json.loads(answer.body)["id"])


def remove(client, store, path):
    known = client.known.get(store)
    if known:
        client.send("delete_vector_store_embedding", "DELETE", f"{path}/embeddings/{known.pop()}", None, store, deleted=1)
    else:
        client.send("delete_vector_store_embedding", "DELETE", f"{path}/embeddings/emb_{UNKNOWN}", None, store, deleted=1)


def change(client, store, path):
    known = client.known.get(store)
    one = client.random.choice(known) if known else f"emb_{UNKNOWN}"
    method = client.random.choice(["PATCH", "PUT"])
    client.send("update_vector_store_embedding", method, f"{path}/embeddings/{one}", {"content": "two"}, store)


def embed(client, store, path):
    body = client.random.choice([{"model": "local", "input": "a text"}, {"model": "nobody's", "input": "a"}, {}])
    client.send("create_embedding", "POST", "/embeddings", body)


def models(client, store, path):
    name = client.random.choice(["local", "nobody's"])
    client.send("retrieve_model", "GET", f"/models/{name.replace(chr(39), '')}")


def files(client, store, path):
    client.send("list_vector_store_files", "GET", f"{path}/files?order=asc", None, store)


KINDS = [search, search, search, bad_search, look, list_stores, add, add, remove, change, embed, models, files]


def wait_for(question, wanted, deadline=10):
    """Proxies report what they refused once a second."""
    end = time.monotonic() + deadline
    while (answer := question()) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert answer == wanted


def test_the_statistics_equal_the_ledger(start_proxy, own_database, keys):
    proxies = [start_proxy(), start_proxy()]
    admin = proxies[0].http
    stores = [admin.ok("POST", "/vector_stores", {"name": f"ledger {at}"})["id"] for at in range(3)]
    own_database.one("SELECT vs_stat_reset()")
    ledger = Ledger()
    clients = [Client(ledger, [proxy.base_url for proxy in proxies], keys, stores, SEED + at) for at in range(THREADS)]

    def work(client):
        for _ in range(REQUESTS // THREADS):
            client.step()

    threads = [threading.Thread(target=work, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ledger.operations.values()) == REQUESTS
    assert sum(ledger.errors.values()) > REQUESTS / 10, "too few mistakes"

    def in_sql():
        rows = own_database.all("SELECT operation, calls, errors FROM vs_stat_requests WHERE calls > 0")
        return {name: (calls, errors) for name, calls, errors in rows if "stats" not in name and name != "stat_reset"}

    expected = {name: (calls, ledger.errors[name]) for name, calls in ledger.operations.items()}
    wait_for(in_sql, expected)

    # Over HTTP, of the tenant: the same, less the making of the stores, which came before.
    stats = admin.ok("GET", "/stats?range=daily&bucket=minute")
    over_http = {
        entry["operation"]: (entry["requests"], entry["errors"])
        for entry in stats["operations"]
        if entry["operation"] in expected
    }
    assert over_http == expected
    assert stats["embeddings_created"] == sum(ledger.created.values())
    assert stats["embeddings_deleted"] == sum(ledger.deleted.values())
    assert stats["searches"] == ledger.operations["search_vector_store"]
    assert sum(row["embeddings_created"] for row in stats["data"]) == stats["embeddings_created"]
    assert stats["p50_response_ms"] <= stats["p95_response_ms"] <= stats["p99_response_ms"]

    # Of each store.
    for store in stores:
        one = admin.ok("GET", f"/vector_stores/{store}/stats")
        assert one["object"] == "vector_store.stats" and one["vector_store_id"] == store
        counted = one["requests"], one["errors"], one["embeddings_created"], one["embeddings_deleted"]
        ours = ledger.stores[store], ledger.store_errors[store], ledger.created[store], ledger.deleted[store]
        assert counted == ours
        chunks, size = own_database.all("SELECT chunks, usage_bytes FROM vs_stores WHERE id = %s", store)[0]
        assert chunks == ledger.created[store] - ledger.deleted[store]
        assert one["usage_bytes"] == one["bytes_change"] == size

    # The flush changes nothing.
    own_database.one("SELECT vs_stat_flush()")
    assert in_sql() == expected


def test_ranges_and_buckets(start_proxy):
    http = start_proxy().http
    for query, bucket, rows in [
        ("", "hour", 24), ("?range=daily&bucket=minute", "minute", 1440), ("?range=weekly", "day", 7),
        ("?range=weekly&bucket=hour", "hour", 168), ("?range=monthly", "day", 30), ("?range=all", "month", None),
    ]:
        stats = http.ok("GET", f"/stats{query}")
        assert stats["bucket"] == bucket
        assert rows is None or len(stats["data"]) == rows
        starts = [row["start_at"] for row in stats["data"]]
        assert starts == sorted(starts) and starts[0] == stats["start_at"] and starts[-1] <= stats["end_at"]
        assert sum(row["requests"] for row in stats["data"]) == stats["requests"]
    assert http.get("/stats?range=hourly").error(400)["param"] == "range"
    assert http.get("/stats?range=all&bucket=minute").error(400)["param"] == "bucket"
    assert http.get(f"/vector_stores/vs_{UNKNOWN}/stats").error(404)


def test_nobodys_requests_are_nobodys(start_proxy, own_database):
    """Requests without a valid key count for the server, and for no tenant."""
    proxy = start_proxy()
    before = {row["operation"]: row["errors"] for row in own_database.one("SELECT vectorstore.api_metrics()")["operations"]}
    stranger = Http(proxy.base_url, "vs_live_" + "a" * 16 + "_" + "b" * 52)
    mine = own_database.one("SELECT coalesce(sum(calls), 0) FROM vs_stat_requests WHERE operation = 'list_files'")
    for headers in ({}, {"authorization": None}, {"authorization": "Bearer x"}):
        assert stranger.get("/files", headers=headers).status == 401

    def errors():
        operations = own_database.one("SELECT vectorstore.api_metrics()")["operations"]
        return {row["operation"]: row["errors"] for row in operations}.get("list_files", 0)

    wait_for(errors, before.get("list_files", 0) + 3)
    assert own_database.one("SELECT coalesce(sum(calls), 0) FROM vs_stat_requests WHERE operation = 'list_files'") == mine


def test_the_log_tells_what_a_key_was_used_for(start_proxy, own_database, keys):
    proxy = start_proxy()
    http = Http(proxy.base_url, keys[0])
    store = http.ok("POST", "/vector_stores", {"name": "logged"})["id"]
    question = "SELECT key_id FROM vectorstore.api_keys WHERE key_hash = sha256(%s)"
    first, second = (own_database.one(question, key.encode()) for key in keys[:2])
    for _ in range(3):
        assert http.post(f"/vector_stores/{store}/search", {"query": "one", "search_mode": "keyword_only"}).status == 200
    assert http.post(f"/vector_stores/{store}/search", {"query": "one", "page": "no page"}).status == 400
    assert http.get("/api_keys/key_" + "a" * 24).status == 404
    own_database.one("SELECT vs_stat_flush()")
    query = """SELECT operation, store_id, sum(calls)::int, sum(errors)::int FROM vs_usage_logs(now() - interval '1 hour', key => %s)
               WHERE store_id = %s OR operation = 'retrieve_api_key' GROUP BY 1, 2 ORDER BY 1"""
    logged = own_database.all(query, first, store)
    assert ("search_vector_store", store, 4, 1) in logged
    assert [row[2:] for row in logged if row[1] is None] == [(1, 1)]
    assert own_database.all(query, second, store) == []
    # About the store, whoever asked; and nothing from before.
    [[calls]] = own_database.all("SELECT sum(calls)::int FROM vs_usage_logs(store => %s) WHERE operation = 'search_vector_store'", store)
    assert calls == 4
    assert own_database.all("SELECT * FROM vs_usage_logs(clock_timestamp())") == []


def test_a_stop_loses_nothing(start_proxy, own_database):
    proxy = start_proxy()
    question = "SELECT coalesce(sum(errors), 0)::bigint FROM vs_stat_requests WHERE operation = 'create_embedding'"
    before = own_database.one(question)
    for _ in range(5):
        assert proxy.http.post("/embeddings", {}).status == 400
    assert proxy.stop() == 0
    assert own_database.one(question) == before + 5


def test_dropped_databases_leave_room_for_others(database_url, proxy_program):
    names = [f"test.{number}" for number in range(1000)]
    for _ in range(3):
        fresh = Database(database_url, proxy_program)
        try:
            fresh.all("SELECT vectorstore._stat_count(n, 1) FROM unnest(%s::text[]) n", names)
            counted = fresh.one("SELECT count(*) FROM vectorstore._stat_ever() WHERE starts_with(operation, 'test.')")
        finally:
            fresh.drop()
        assert counted == len(names)
