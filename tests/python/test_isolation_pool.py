"""Two tenants through a proxy with a single database connection, with errors and hang-ups between: what one call has
left in the session must never reach the next.

VS_POOL_REQUESTS sets the number of requests, VS_POOL_SEED what they are.
"""

import json
import os
import random
import socket
import threading

import pytest

from http_client import UNKNOWN, UNKNOWN_KEY
from tenancy import multipart, new_tenant

REQUESTS = int(os.environ.get("VS_POOL_REQUESTS", "5000"))
SEED = int(os.environ.get("VS_POOL_SEED", "0")) or random.randrange(1, 2**31)
THREADS = 8


@pytest.fixture(scope="module")
def pair(proxies):
    proxy = proxies(pool_size=1, ingest_wait=5)
    tenants = [new_tenant(proxy.http) for _ in range(2)]
    for tenant in tenants:
        tenant.fill()
        tenant.narrow = tenant.client("read", vector_store_ids=[tenant.ids["store"]])
        tenant.filtered = tenant.client("read", filter={"type": "eq", "key": "owner", "value": tenant.word})
        tenant.reader = tenant.client("read")
    return proxy, tenants


def requests(rng, own, other):
    """One request at random: client, method, path, body, and the statuses that it may get."""
    http = rng.choice([own.admin, own.narrow, own.filtered, own.reader])
    store, foreign = f"/vector_stores/{own.ids['store']}", f"/vector_stores/{other.ids['store']}"
    search = {"query": rng.choice([own.word, other.word, "a text"])}
    unknown = {"authorization": f"Bearer {UNKNOWN_KEY}"}
    return rng.choice(
        [
            (http, "GET", store, None, {}, {200}),
            (http, "GET", "/vector_stores?limit=100", None, {}, {200}),
            (http, "POST", f"{store}/search", search, {}, {200}),
            (http, "POST", f"{store}/search", {"search_mode": "list", "facets": ["owner"]}, {}, {200}),
            (http, "GET", f"{store}/embeddings?include=embedding", None, {}, {200}),
            (own.admin, "GET", "/files", None, {}, {200}),
            (own.admin, "GET", "/api_keys?limit=100", None, {}, {200}),
            (own.admin, "POST", f"{store}/embeddings", {"content": f"One more {own.word}."}, {}, {200}),
            (own.admin, "POST", store, {"name": f"{own.word} store"}, {}, {200}),
            (http, "GET", foreign, None, {}, {404}),
            (http, "POST", f"{foreign}/search", search, {}, {404}),
            (http, "GET", f"/vector_stores/vs_{UNKNOWN}", None, {}, {404}),
            (http, "GET", f"/vector_stores?after={other.ids['store']}", None, {}, {400}),
            (http, "POST", f"{store}/search", {"query": 7}, {}, {400}),
            (http, "POST", f"{store}/search", search | {"filters": {"type": "in", "key": "a", "value": 1}}, {}, {400}),
            (http, "GET", store, None, unknown, {401}),
            (own.reader, "DELETE", store, None, {}, {403}),
            (own.filtered, "GET", "/files", None, {}, {403}),
        ]
    )


def hang_up(http, method, path, body, headers):
    """Sends a request and does not wait for the answer."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {http.prefix}{path} HTTP/1.1", "host: x", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in ({"authorization": f"Bearer {http.api_key}"} | headers).items()]
    if body is not None:
        lines.append("content-type: application/json")
    with socket.create_connection(http.address, timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def test_nothing_of_one_tenant_reaches_the_other(pair, own_database):
    print(f"VS_POOL_SEED={SEED} VS_POOL_REQUESTS={REQUESTS}")
    proxy, tenants = pair
    secrets = [[tenant.word, *tenant.ids.values()] for tenant in tenants]
    failures, answered = [], []

    def work(number):
        rng = random.Random(SEED + number)
        for _ in range(REQUESTS // THREADS):
            side = rng.randrange(2)
            http, method, path, body, headers, expected = requests(rng, tenants[side], tenants[1 - side])
            if rng.random() < 0.05:
                hang_up(http, method, path, body, headers)
                continue
            reply = http.send(method, path, body, headers=headers)
            sent = path + json.dumps(body)
            foreign = [secret for secret in secrets[1 - side] if secret not in sent and secret.encode() in reply.body]
            # What was asked for may be named in the answer, and nowhere else than where it was asked for.
            results = json.dumps(reply.json().get("data", [])) if reply.status == 200 else ""
            foreign += [secret for secret in secrets[1 - side] if secret in results]
            # The only connection may be busy for longer than a request waits for it.
            if foreign or reply.status not in expected | {503}:
                failures.append((method, path, body, reply.status, reply.body[:500], foreign))
                return
            answered.append(reply.status)

    threads = [threading.Thread(target=work, args=[number]) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    counts = {status: answered.count(status) for status in sorted(set(answered))}
    print(counts)
    assert len(answered) > REQUESTS * 0.9 and counts.get(503, 0) < REQUESTS * 0.01
    for status in (200, 400, 401, 403, 404):
        assert counts[status] > REQUESTS * 0.02
    # Two more look after the database and cancel statements, without a key.
    [backends] = own_database.all(
        r"""SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vectorstore-proxy'
            AND datname = current_database() AND query ~ 'vectorstore\.api_.*\$1'"""
    )
    assert backends == (1,)
    assert proxy.stop() == 0


def test_an_upload_that_breaks_off_leaves_nothing(pair):
    """A big file is written in one transaction: it ends in the middle, on the connection that the next request gets."""
    proxy, (own, other) = pair
    if proxy.process.poll() is not None:
        proxy.start()
    body, headers = multipart("file", "x" * 6_000_000, purpose="assistants")
    for _ in range(5):
        with socket.create_connection(own.admin.address, timeout=10) as connection:
            head = [f"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"]
            head += [f"authorization: Bearer {own.admin.api_key}", f"content-type: {headers['content-type']}"]
            connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[:5_500_000])
        listed = other.admin.ok("GET", "/files")["data"]
        assert [file["id"] for file in listed] == [other.ids["file"]]
    assert [file["id"] for file in own.admin.ok("GET", "/files")["data"]] == [own.ids["file"]]
