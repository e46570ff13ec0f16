"""GET /metrics: exact counts, a format that parsers accept, nothing about tenants; and every query of deploy/ finds series."""

import hashlib
import json
import re
import subprocess
import threading
import uuid
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import provider as scripted
from http_client import Http
from proxies import ROLE
from serving import open_request, sessions, wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# What Prometheus adds to every series, and what it knows by itself.
SCRAPED = {"job": "vectorstore", "instance": "127.0.0.1:8000"}
OWN = "up"


@pytest.fixture(scope="module")
def provider():
    server = scripted.Provider()
    yield server
    server.close()


@pytest.fixture
def proxy(start_proxy, provider, tmp_path):
    models = tmp_path / "providers.toml"
    models.write_text(
        f'[models.other]\nkind = "openai"\nbase_url = "{provider.url}"\ndimensions = 8\n'
        '[models.broken]\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\ndimensions = 8\nretries = 0\nbreaker_failures = 1\n'
    )
    return start_proxy(providers=models, ingest_workers=1)


def scrape(proxy):
    """All samples, as {(name, labels): value}, after the strict parser has read the text."""
    reply = proxy.http.get("/metrics", root=True)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    text = reply.body.decode()
    samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, key
            samples[key] = sample.value
    return text, samples


def requests_of(samples, operation):
    return {
        dict(labels)["status"]: int(value)
        for (name, labels), value in samples.items()
        if name == "vectorstore_http_requests_total" and dict(labels)["operation"] == operation
    }


def drive(own_database, proxy, slow):
    """Traffic in which everything happens once; returns what the metrics must not name."""
    http = proxy.http
    store = http.post("/vector_stores", {"name": "metrics"}).json()["id"]
    other = http.post("/vector_stores", {"name": "other", "embedding_model": "other"}).json()["id"]
    for n in range(10):
        assert http.post(f"/vector_stores/{store}/embeddings", {"content": f"text {n}", "metadata": {}}).status == 200
    for _ in range(7):
        assert http.post(f"/vector_stores/{store}/search", {"query": "text"}).status == 200
    for _ in range(3):
        assert http.post(f"/vector_stores/vs_{'a' * 32}/search", {"query": "text"}).status == 404
    for _ in range(2):
        assert http.post("/embeddings", {"model": "other", "input": "cached"}).status == 200
        assert http.post("/embeddings", {"model": "broken", "input": "x"}).status == 503
    body = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nsome text\r\n--b--\r\n'
    )
    file = http.send("POST", "/files", body, {"content-type": "multipart/form-data; boundary=b"}).json()["id"]
    assert http.post(f"/vector_stores/{store}/files", {"file_id": file}).json()["status"] == "completed"
    assert http.send("POST", "/files", body.replace(b"a.txt", b"a.pdf"), {"content-type": "multipart/form-data; boundary=b"}).status == 200
    wrong = http.get("/files").json()["data"][0]["id"]
    assert http.post(f"/vector_stores/{store}/files", {"file_id": wrong}).json()["status"] == "failed"
    slow("api_list_files", 20)
    assert http.get("/files", headers={"x-request-timeout": "0.2"}).status == 504
    wait_until(lambda: not sessions(own_database, ROLE, "active"), 10, "the statement is cancelled")
    connection = open_request(proxy, "GET", "/files")
    wait_until(lambda: sessions(own_database, ROLE, "active"), 10, "the statement begins")
    connection.close()
    wait_until(lambda: not sessions(own_database, ROLE, "active"), 10, "the statement ends")
    return [store, other, file, own_database.api_key, own_database.api_key[8:24]]


def refuse(own_database, proxy):
    """Requests beyond limits of requests and of tokens, and writes beyond a quota; how many of each kind."""
    printed = subprocess.run([own_database.program, "key", "new"], capture_output=True, text=True, check=True).stdout
    key = dict(line.split("=") for line in printed.split())["key"]
    number = own_database.one("SELECT vs_create_api_key('narrow', %s)", hashlib.sha256(key.encode()).digest())
    http, full = Http(proxy.base_url, key), Http(proxy.base_url, own_database.api_key)
    own_database.all("SELECT vs_set_rate_limit(%s, requests_per_minute => 100, tokens_per_minute => 3)", number)
    for _ in range(4):
        assert http.post("/embeddings", {"model": "local", "input": "far too many words for this limit"}).status == 429
    own_database.all("SELECT vs_set_rate_limit(%s, requests_per_minute => 1)", number)
    statuses = [http.get("/vector_stores").status for _ in range(8)]
    store = full.ok("POST", "/vector_stores", {"name": "full"})["id"]
    own_database.all("SELECT vs_set_quota(%s, max_chunks => 1)", store)
    written = [full.post(f"/vector_stores/{store}/embeddings", {"content": f"text {n}"}).status for n in range(6)]
    assert set(statuses) == {429} | {200} & set(statuses) and written == [200] + [429] * 5
    return {"requests": statuses.count(429), "tokens": 4, "chunks": 5}


def test_refusals_are_told_apart(own_database, proxy):
    def counts():
        _, samples = scrape(proxy)
        families = ("vectorstore_rate_limited_total", "vectorstore_quota_refused_total")
        return {dict(labels)["type"]: value for (name, labels), value in samples.items() if name in families}

    before = counts()
    assert set(before) == {"requests", "tokens", "stores", "chunks", "bytes"}
    refused = refuse(own_database, proxy)
    after = counts()
    assert {kind: after[kind] - before[kind] for kind in after if after[kind] != before[kind]} == refused
    # The flush and a reset of the statistics change nothing.
    own_database.one("SELECT vs_stat_flush()")
    own_database.one("SELECT vs_stat_reset()")
    assert counts() == after


def test_a_scrape_does_not_read_the_whole_cache(own_database, proxy):
    """Of a big embedding cache a sample stands for the rest."""
    own_database.connection.execute(
        "INSERT INTO vectorstore.embedding_cache (model, revision, dimensions, input_hash, embedding, hits)"
        " SELECT 'big', '1', 16, sha256(n::text::bytea), array_fill(n, ARRAY[16])::vector, 1 FROM generate_series(1, 60000) n"
    )
    try:
        own_database.connection.execute("VACUUM (ANALYZE) vectorstore.embedding_cache")
        blocks = own_database.one("SELECT pg_relation_size('vectorstore.embedding_cache') / current_setting('block_size')::bigint")
        with own_database.connect() as connection:
            read = "SELECT pg_stat_get_xact_blocks_fetched('vectorstore.embedding_cache'::regclass)"
            before = connection.execute(read).fetchone()[0]
            cache = connection.execute("SELECT vectorstore.api_metrics()->'embedding_cache'").fetchone()[0]
            fetched = connection.execute(read).fetchone()[0] - before
        real = own_database.one("SELECT count(*) FROM vectorstore.embedding_cache")
        print(f"{blocks} blocks, {fetched} read; {cache['rows']} of {real} rows")
        assert blocks > 1000 and fetched < blocks / 2
        assert abs(cache["rows"] - real) < 0.2 * real
        assert abs(cache["bytes"] / cache["rows"] - 364) < 40
        # A number that does not jump while nothing changes.
        _, samples = scrape(proxy)
        assert samples["vectorstore_embedding_cache_rows", ()] == cache["rows"]
    finally:
        own_database.connection.execute("DELETE FROM vectorstore.embedding_cache WHERE model = 'big'")
        own_database.connection.execute("VACUUM vectorstore.embedding_cache")
    # A small one is counted.
    _, samples = scrape(proxy)
    assert samples["vectorstore_embedding_cache_rows", ()] == own_database.one("SELECT count(*) FROM vectorstore.embedding_cache")


def test_counts_are_those_of_the_client(own_database, proxy, slow):
    secrets = drive(own_database, proxy, slow)
    text, samples = scrape(proxy)
    assert requests_of(samples, "search_vector_store") == {"2xx": 7, "4xx": 3}
    assert requests_of(samples, "create_vector_store_embedding") == {"2xx": 10}
    assert requests_of(samples, "create_embedding") == {"2xx": 2, "5xx": 2}
    assert requests_of(samples, "list_files")["5xx"] == 1
    assert requests_of(samples, "list_files")["dropped"] == 1
    assert samples["vectorstore_pool_cancelled_statements_total", ()] >= 2
    assert samples["vectorstore_provider_breaker_state", (("model", "broken"),)] == 2
    assert samples["vectorstore_provider_breaker_state", (("model", "other"),)] == 0
    lookups = {dict(labels)["result"]: value for (name, labels), value in samples.items() if name == "vectorstore_embedding_cache_lookups_total"}
    assert lookups["hit"] >= 1 and lookups["miss"] >= 1
    count = ("vectorstore_http_request_seconds_count", (("operation", "search_vector_store"), ("status", "2xx")))
    assert samples[count] == 7
    # The database's own numbers: the same searches, whoever sent them.
    assert samples["vectorstore_database_up", ()] == 1
    assert samples["vectorstore_database_calls_total", (("operation", "search_vector_store"),)] >= 7
    assert samples["vectorstore_stores", ()] == own_database.one("SELECT count(*) FROM vectorstore.stores")
    for secret in secrets:
        assert secret not in text
    labels = {label for _, pairs in samples for label, _ in pairs}
    assert labels <= {"operation", "status", "code", "result", "model", "version", "le", "type", "state"}, labels


def test_counters_only_grow(own_database, proxy):
    http, over = proxy.http, threading.Event()
    store = http.post("/vector_stores", {"name": uuid.uuid4().hex}).json()["id"]

    def clients():
        while not over.is_set():
            http.post(f"/vector_stores/{store}/search", {"query": "x"})

    threads = [threading.Thread(target=clients) for _ in range(4)]
    for thread in threads:
        thread.start()
    before = scrape(proxy)[1]
    for _ in range(20):
        after = scrape(proxy)[1]
        for key, value in after.items():
            if key[0].endswith(("_total", "_count", "_bucket", "_sum")):
                assert value >= before.get(key, 0), key
        assert set(before) <= set(after)
        before = after
    over.set()
    for thread in threads:
        thread.join()


def nodes(expression):
    """The expression and all below it, each with the aggregations around it."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
            child = getattr(node, name, None)
            if child is not None:
                stack.append(child)
        stack.extend(getattr(node, "args", None) or [])


def matches(matcher, labels):
    have, kind = labels.get(matcher.name, ""), str(matcher.op)
    if kind.endswith("NotEqual"):
        return have != matcher.value
    if kind.endswith("NotRe"):
        return not re.fullmatch(matcher.value, have)
    if kind.endswith("Re"):
        return bool(re.fullmatch(matcher.value, have))
    return have == matcher.value


def check_query(query, series):
    """Every selector finds a series, and every label that is grouped by exists on it."""
    query = query.replace("$__rate_interval", "5m").replace("$instance", ".*")
    tree = promql_parser.parse(query)
    found = set()
    for selector in (node for node in nodes(tree) if isinstance(node, promql_parser.VectorSelector)):
        hits = [labels for name, labels in series if name == selector.name and all(matches(m, labels) for m in selector.matchers.matchers)]
        assert hits, f"{query}: no series for {selector.name} {selector.matchers.matchers}"
        found.update(label for labels in hits for label in labels)
    for node in nodes(tree):
        modifier = getattr(node, "modifier", None)
        if isinstance(node, promql_parser.AggregateExpr) and modifier is not None:
            assert set(modifier.labels) <= found, f"{query}: {modifier.labels} are not among {found}"


def test_dashboards_and_alerts_ask_for_what_there_is(own_database, proxy, slow):
    drive(own_database, proxy, slow)
    _, samples = scrape(proxy)
    series = [(name, SCRAPED | dict(labels)) for name, labels in samples] + [(OWN, SCRAPED)]
    queries = []
    dashboards = sorted(DEPLOY.glob("grafana/*.json"))
    for path in dashboards:
        dashboard = json.loads(path.read_text())
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
        queries += [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule for path in DEPLOY.glob("prometheus/*.yml") for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["annotations"]["summary"] and rule["labels"]["severity"]
        # What a message names is a label of the result.
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in SCRAPED or any(label in labels for name, labels in series if name in rule["expr"]), label
    queries += [rule["expr"] for rule in rules]
    assert dashboards and len(rules) > 5 and len(queries) > 30
    for query in queries:
        check_query(query, series)
    # And the other way round: what nobody looks at need not be told.
    text = " ".join(queries)
    families = {re.sub(r"_(total|bucket|count|sum|created|info)$", "", name) for name, _ in samples}
    forgotten = [family for family in sorted(families) if not re.search(rf"\b{family}(_total|_bucket|_count|_sum|_info)?\b", text)]
    assert not forgotten, forgotten


@pytest.mark.parametrize("query", ["sum by (tenant) (vectorstore_stores)", "vectorstore_nothing", 'up{job="other"}'])
def test_a_query_for_what_there_is_not_is_found_out(query):
    with pytest.raises(AssertionError):
        check_query(query, [("vectorstore_stores", SCRAPED), (OWN, SCRAPED)])


def test_without_the_database_the_rest_is_told(cluster, own_database, proxy):
    cluster.stop()
    try:
        text, samples = scrape(proxy)
    finally:
        cluster.start()
        own_database.connection = own_database.connect(autocommit=True)
    assert samples["vectorstore_database_up", ()] == 0
    assert ("vectorstore_stores", ()) not in samples and "vectorstore_database_calls" not in text
    assert samples["process_threads", ()] > 1
