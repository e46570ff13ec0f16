"""Idempotency-Key: a POST that is sent twice happens once, whatever becomes of the process that runs it."""

import concurrent.futures
import contextlib
import threading
import time
import uuid
from http.client import HTTPException

import pytest

from http_client import check


def fresh():
    return {"idempotency-key": uuid.uuid4().hex}


def count_stores(http, name):
    return sum(store["name"] == name for store in http.ok("GET", "/vector_stores?limit=100")["data"])


@pytest.fixture
def name(http, client):
    """A name for stores, which are deleted after the test."""
    name = f"idempotent-{uuid.uuid4().hex[:12]}"
    yield name
    for store in client.vector_stores.list(limit=100):
        if store.name == name:
            client.vector_stores.delete(store.id)


def test_the_same_request_gets_the_same_answer(http, name):
    headers = fresh()
    first = http.post("/vector_stores", {"name": name}, headers=headers)
    again = http.post("/vector_stores", {"name": name}, headers=headers)
    assert (first.status, again.status) == (200, 200) and first.body == again.body
    assert "idempotent-replayed" not in first.headers and again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert count_stores(http, name) == 1
    # Without the key, or under another one, it is another request.
    http.ok("POST", "/vector_stores", {"name": name})
    http.ok("POST", "/vector_stores", {"name": name}, headers=fresh())
    assert count_stores(http, name) == 3


def test_another_request_under_the_same_key_is_refused(http, name, store):
    headers = fresh()
    http.ok("POST", "/vector_stores", {"name": name}, headers=headers)
    for path, body in (
        ("/vector_stores", {"name": name + "!"}),
        (f"/vector_stores/{store.id}", {"name": name}),
        ("/vector_stores?x=1", {"name": name}),
    ):
        reply = http.post(path, body, headers=headers)
        check(reply, 422, "idempotency_key_reused", "Idempotency-Key")
        assert reply.headers["x-should-retry"] == "false"
    assert count_stores(http, name) == 1


def test_a_refused_request_may_be_corrected(http, name):
    headers = fresh()
    check(http.post("/vector_stores", {"name": 7}, headers=headers), 400, "invalid_type", "name")
    http.ok("POST", "/vector_stores", {"name": name}, headers=headers)
    assert count_stores(http, name) == 1


@pytest.mark.parametrize("value", ["", "k" * 256])
def test_a_bad_key_is_refused(http, value):
    reply = http.post("/vector_stores", {}, headers={"idempotency-key": value})
    check(reply, 400, "invalid_value", "Idempotency-Key")


def test_keys_count_on_post_alone(http, store):
    headers = fresh()
    first = http.send("GET", f"/vector_stores/{store.id}", headers=headers)
    http.ok("POST", f"/vector_stores/{store.id}", {"name": "renamed"}, headers=headers)
    again = http.send("GET", f"/vector_stores/{store.id}", headers=headers)
    assert first.json()["name"] != again.json()["name"] == "renamed"


def test_twenty_twins_make_one_store(http, name):
    headers = fresh()
    ready = threading.Barrier(20)

    def send(_):
        ready.wait()
        return http.post("/vector_stores", {"name": name}, headers=headers)

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(send, range(20)))
    assert count_stores(http, name) == 1
    bodies = {reply.body for reply in replies if reply.status == 200}
    assert len(bodies) == 1
    for reply in replies:
        if reply.status != 200:
            check(reply, 409, "idempotency_key_in_use", "Idempotency-Key")
            assert reply.headers["x-should-retry"] == "true" and int(reply.headers["retry-after-ms"]) > 0


def multipart(content, boundary, purpose="assistants"):
    lines = [
        f"--{boundary}",
        'content-disposition: form-data; name="purpose"',
        "",
        purpose,
        f"--{boundary}",
        'content-disposition: form-data; name="file"; filename="twice.txt"',
        "",
    ]
    body = "\r\n".join(lines).encode() + b"\r\n" + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={boundary}"}


@pytest.mark.parametrize("size", [1_000, 6_000_000], ids=["in memory", "spooled"])
def test_an_upload_is_compared_by_its_content(http, client, size):
    """Clients make a new boundary each time they send the same file."""
    key = fresh()
    content = b"0123456789" * (size // 10)

    def send(content, boundary, purpose="assistants"):
        body, headers = multipart(content, boundary, purpose)
        return http.post("/files", body, headers=headers | key)

    first = send(content, "first")
    again = send(content, "second-boundary")
    assert first.status == 200 and first.body == again.body and again.headers["idempotent-replayed"] == "true"
    check(send(content[:-1] + b"x", "third"), 422, "idempotency_key_reused", "Idempotency-Key")
    check(send(content, "fourth", "user_data"), 422, "idempotency_key_reused", "Idempotency-Key")
    assert sum(file.id == first.json()["id"] for file in client.files.list()) == 1
    client.files.delete(first.json()["id"])


def test_the_sdk_can_send_the_key(client, name):
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (client.vector_stores.create(name=name, extra_headers=headers) for _ in range(2))
    assert first == again


def test_inserted_texts_are_not_doubled(http, store):
    for path, body in (
        (f"/vector_stores/{store.id}/embeddings", {"content": "one"}),
        (f"/vector_stores/{store.id}/embeddings/batch", {"embeddings": [{"content": "two"}, {"content": "three"}]}),
    ):
        headers = fresh()
        assert http.ok("POST", path, body, headers=headers) == http.ok("POST", path, body, headers=headers)
    found = http.ok("POST", f"/vector_stores/{store.id}/search", {"query": "x", "search_mode": "list"})
    assert len(found["data"]) == 3


@contextlib.contextmanager
def lost_answers(database):
    """Proxies seem to die behind the commit of what they do."""
    database.execute(
        """CREATE FUNCTION public.lose_answer() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
               -- The end of a request clears the lease; until then the answer is that of the effect.
               IF new.lease_until IS NULL THEN RETURN NULL; END IF;
               RETURN new;
           END $$"""
    )
    database.execute(
        "CREATE TRIGGER lose_answer BEFORE UPDATE ON vectorstore.idempotency_keys FOR EACH ROW EXECUTE FUNCTION public.lose_answer()"
    )
    try:
        yield
    finally:
        database.execute("DROP TRIGGER lose_answer ON vectorstore.idempotency_keys")
        database.execute("DROP FUNCTION public.lose_answer()")


@pytest.mark.parametrize("path", ["one", "batch", "store", "file"])
def test_an_answer_that_got_lost_is_given_again(http, client, database, store, name, path):
    """The process died behind the commit: only what the effect's own transaction has written is there."""
    headers = fresh()
    body, extra = {"name": name}, {}
    target = {
        "one": f"/vector_stores/{store.id}/embeddings",
        "batch": f"/vector_stores/{store.id}/embeddings/batch",
        "store": "/vector_stores",
        "file": "/files",
    }[path]
    if path == "one":
        body = {"content": "text", "metadata": {"b": 1, "a": [2.5, None]}}
    elif path == "batch":
        body = {"embeddings": [{"content": "text"}]}
    elif path == "file":
        body, extra = multipart(b"text", "b")
    with lost_answers(database):
        first = http.post(target, body, headers=headers | extra)
    assert first.status == 200, first.body
    check(http.post(target, body, headers=headers | extra), 409, "idempotency_key_in_use", "Idempotency-Key")
    expire_lease(database, headers)
    again = http.post(target, body, headers=headers | extra)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    if path == "file":
        client.files.delete(first.json()["id"])


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost"])
@pytest.mark.parametrize("kind", ["file", "batch", "store"])
def test_files_are_attached_once(http, database, store, name, make_file, kind, lost):
    """The answer of the effect says `in_progress`; whoever waited for the files keeps the better one."""
    file = make_file("once.txt", b"attached once").id
    attachment = {"file_id": file, "attributes": {"n": 1}}
    path, body = {
        "file": (f"/vector_stores/{store.id}/files", attachment),
        "batch": (f"/vector_stores/{store.id}/file_batches", {"files": [attachment]}),
        "store": ("/vector_stores", {"name": name, "file_ids": [file]}),
    }[kind]
    headers = fresh()
    with lost_answers(database) if lost else contextlib.nullcontext():
        first = http.ok("POST", path, body, headers=headers)
    assert first["status"] == "completed"
    if lost:
        expire_lease(database, headers)
    target = first["id"] if kind == "store" else store.id
    if kind != "store":
        # Done again, it would undo this.
        http.ok("POST", f"/vector_stores/{target}/files/{file}", {"attributes": {"n": 2}})
    again = http.post(path, body, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    answer = again.json()
    assert answer["id"] == first["id"] and answer["status"] == ("in_progress" if lost else "completed")
    assert lost or answer == first
    [attached] = http.ok("GET", f"/vector_stores/{target}/files")["data"]
    assert attached["status"] == "completed" and attached["attributes"] == ({} if kind == "store" else {"n": 2})
    batches = "SELECT count(*) FROM vectorstore.file_batches b JOIN vectorstore.stores s USING (store_id) WHERE s.id = %s"
    assert database.execute(batches, [target]).fetchone() == (int(kind == "batch"),)
    assert count_stores(http, name) == int(kind == "store")


def expire_lease(database, headers):
    done = database.execute(
        "UPDATE vectorstore.idempotency_keys SET lease_until = now() WHERE name = %s", [headers["idempotency-key"]]
    )
    assert done.rowcount == 1


def test_a_request_that_died_before_its_effect_runs_again(http, database, name):
    headers = fresh()
    database.execute(
        """INSERT INTO vectorstore.idempotency_keys (tenant_id, key_hash, name, digest, lease, lease_until)
           SELECT tenant_id, key_hash, %s, sha256('other'), 'dead', now() + interval '1 hour'
           FROM vectorstore.api_keys""",
        [headers["idempotency-key"]],
    )
    check(http.post("/vector_stores", {"name": name}, headers=headers), 422, "idempotency_key_reused")
    database.execute(
        "UPDATE vectorstore.idempotency_keys SET lease_until = now() WHERE name = %s", [headers["idempotency-key"]]
    )
    http.ok("POST", "/vector_stores", {"name": name}, headers=headers)
    assert count_stores(http, name) == 1


def test_a_slow_upload_keeps_its_lease_and_others_wait(http, base_url, api_key):
    """The twin of a request whose body is still coming is told to come back."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(base_url)
    key = uuid.uuid4().hex
    body, headers = multipart(b"slow", "b")
    head = (
        f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api_key}\r\nidempotency-key: {key}\r\n"
        f"content-type: {headers['content-type']}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as slow:
        slow.sendall(head + body[:-10])
        time.sleep(0.5)
        twin = http.post("/files", body, headers=headers | {"idempotency-key": key})
        check(twin, 409, "idempotency_key_in_use", "Idempotency-Key")
        slow.sendall(body[-10:])
        received = b""
        while piece := slow.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 200")
    again = http.post("/files", body, headers=headers | {"idempotency-key": key})
    assert again.status == 200 and again.headers["idempotent-replayed"] == "true"
    http.ok("DELETE", f"/files/{again.json()['id']}")


def test_after_24_hours_a_key_is_free_and_swept(http, database, name):
    headers = fresh()
    key = headers["idempotency-key"]
    http.ok("POST", "/vector_stores", {"name": name}, headers=headers)
    age = "UPDATE vectorstore.idempotency_keys SET created_at = now() - interval '25 hours' WHERE name = %s"
    database.execute(age, [key])
    http.ok("POST", "/vector_stores", {"name": name}, headers=headers)
    assert count_stores(http, name) == 2
    database.execute(age, [key])
    assert database.execute("SELECT vs_expire()").fetchone()[0] >= 1
    known = "SELECT count(*) FROM vectorstore.idempotency_keys WHERE name = %s"
    assert database.execute(known, [key]).fetchone()[0] == 0


def test_nothing_is_lost_or_doubled_when_a_proxy_is_killed(http, another_proxy, database, store):
    """Clients that do not know what became of their requests send all of them again, to the proxy that is left."""
    path = f"/vector_stores/{store.id}/embeddings"
    keys = [f"killed-{uuid.uuid4().hex}" for _ in range(300)]
    answers = {}
    for begin in range(0, 300, 100):
        doomed, process = another_proxy()

        def send(n, proxy=doomed):
            try:
                reply = proxy.post(path, {"content": f"text {n}"}, headers={"idempotency-key": keys[n]})
                if reply.status == 200:
                    answers[n] = reply.json()
            except (OSError, HTTPException):
                pass

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            sending = [pool.submit(send, n) for n in range(begin, begin + 100)]
            while sum(future.done() for future in sending) < 30 + begin // 10:
                time.sleep(0.001)
            process.kill()
    assert 0 < len(answers) < 300, "the proxies must die in the middle of it"
    # What was running when they died is believed to run for 30 seconds more.
    database.execute("UPDATE vectorstore.idempotency_keys SET lease_until = now() WHERE name LIKE 'killed-%'")
    for n, key in enumerate(keys):
        answer = http.ok("POST", path, {"content": f"text {n}"}, headers={"idempotency-key": key})
        assert answers.get(n, answer) == answer
    query = "SELECT count(*), count(DISTINCT content) FROM vs_list(%s, 10000)"
    assert database.execute(query, [store.id]).fetchone() == (300, 300)
