"""A statement that nobody waits for is stopped: its client has hung up, or its deadline has passed."""

import random
import signal
import threading
import time
import uuid

import pytest

from proxies import ROLE
from serving import open_request, sessions, wait_until

# A statement that is not stopped takes this long; the proxy's own limit is longer.
LONG = 25
# How soon after the hang-up it must be gone.
SOON = 2

LIST, SEARCH, CREATE = "api_list_vector_stores", "api_search", "api_create_vector_store"
PART, APPEND = "api_read_file_part", "api_append_file"


@pytest.fixture
def proxy(start_proxy):
    return start_proxy(pool_size=2, ingest_workers=0)


def busy(database):
    return sessions(database, ROLE, "active")


def multipart(content, **fields):
    parts = [f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    parts.append('--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n')
    return "".join(parts).encode() + content + b"\r\n--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("kind", ["list", "search", "create", "create with a key", "download", "upload"])
def test_a_hung_up_request_frees_its_query(own_database, proxy, slow, kind):
    store = proxy.http.post("/vector_stores", {"name": "hang up"}).json()["id"]
    body, headers = multipart(b"x" * 1000, purpose="assistants")
    file = proxy.http.send("POST", "/files", body, headers).json()["id"]
    before = sessions(own_database, ROLE)
    big, big_headers = multipart(b"y" * (5 << 20), purpose="assistants")
    function, request = {
        "list": (LIST, ("GET", "/vector_stores")),
        "search": (SEARCH, ("POST", f"/vector_stores/{store}/search", {"query": "nothing"})),
        "create": (CREATE, ("POST", "/vector_stores", {"name": "never"})),
        "create with a key": (CREATE, ("POST", "/vector_stores", {"name": "never"}, {"idempotency-key": uuid.uuid4().hex})),
        "download": (PART, ("GET", f"/files/{file}/content")),
        "upload": (APPEND, ("POST", "/files", big, big_headers)),
    }[kind]
    slow(function, LONG)
    connection = open_request(proxy, *request)
    wait_until(lambda: busy(own_database), 10, "the statement begins")
    connection.close()
    taken = wait_until(lambda: not busy(own_database), SOON, "the statement is gone")
    print(f"{kind}: gone after {taken:.3f} s")
    # Nothing of it is left, and its connection is used again: no process has gone.
    assert own_database.one("SELECT count(*) FROM vectorstore.stores WHERE name = 'never'") == 0
    assert proxy.http.get(f"/vector_stores/{store}").status == 200
    wait_until(lambda: not sessions(own_database, ROLE, "idle in transaction"), SOON, "no transaction is left")
    assert before <= sessions(own_database, ROLE)


@pytest.mark.parametrize("header", ["x-stainless-read-timeout", "x-stainless-timeout", "x-request-timeout"])
def test_the_deadline_of_a_request_stops_its_statement(own_database, proxy, slow, header):
    slow(LIST, LONG)
    reply = proxy.http.get("/vector_stores", headers={header: "1"})
    assert (reply.status, reply.json()["error"]["type"]) == (504, "server_error")
    assert 0.9 < reply.seconds < 2
    wait_until(lambda: not busy(own_database), SOON, "the statement is gone")


def test_the_deadline_holds_without_the_proxy(own_database, start_proxy, slow):
    """Postgres knows it, too: a proxy that stands still cannot cancel."""
    proxy = start_proxy(pool_size=1, ingest_workers=0)
    slow(LIST, LONG)
    connection = open_request(proxy, "GET", "/vector_stores", headers={"x-request-timeout": "1"})
    wait_until(lambda: busy(own_database), 10, "the statement begins")
    proxy.process.send_signal(signal.SIGSTOP)
    try:
        taken = wait_until(lambda: not busy(own_database), 1 + SOON, "the statement is gone")
        print(f"gone {taken:.2f} s after its beginning")
    finally:
        proxy.process.send_signal(signal.SIGCONT)
        connection.close()


def test_a_deadline_is_of_one_request(own_database, start_proxy, slow):
    """The next request on the connection has all the time that it needs."""
    proxy = start_proxy(pool_size=1, ingest_workers=0)
    assert proxy.http.get("/vector_stores", headers={"x-request-timeout": "1"}).status == 200
    slow(LIST, 3)
    assert proxy.http.get("/vector_stores").status == 200
    assert proxy.http.get("/vector_stores", headers={"x-request-timeout": "1"}).status == 504
    assert proxy.http.get("/vector_stores").status == 200


def test_the_setting_bounds_every_request(own_database, start_proxy, slow):
    proxy = start_proxy(request_timeout=1, ingest_workers=0)
    slow(LIST, LONG)
    reply = proxy.http.get("/vector_stores", headers={"x-request-timeout": "60"})
    assert reply.status == 504 and reply.seconds < 2


def test_no_other_request_is_struck(own_database, start_proxy, slow):
    """Hang-ups at any moment, on two connections that others use as well: the others' statements are never cancelled."""
    proxy = start_proxy(pool_size=2, ingest_workers=0)
    store = proxy.http.post("/vector_stores", {"name": "others"}).json()["id"]
    slow(LIST, 0.05)
    end = time.monotonic() + 8
    statuses, hang_ups = [], 0

    def others():
        while time.monotonic() < end:
            statuses.append(proxy.http.get(f"/vector_stores/{store}").status)

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    draw = random.Random(20260)
    while time.monotonic() < end:
        connection = open_request(proxy, "GET", "/vector_stores")
        time.sleep(draw.random() * 0.08)
        connection.close()
        hang_ups += 1
    for thread in threads:
        thread.join()
    print(f"{hang_ups} hang-ups beside {len(statuses)} requests")
    assert hang_ups > 50 and len(statuses) > 200
    assert set(statuses) == {200}
    wait_until(lambda: not busy(own_database), SOON, "nothing is left")
    assert len(sessions(own_database, ROLE)) <= 4


def test_a_killed_proxy_leaves_no_statement(own_database, start_proxy, slow):
    proxy = start_proxy(ingest_workers=0)
    slow(LIST, LONG)
    connection = open_request(proxy, "GET", "/vector_stores")
    wait_until(lambda: busy(own_database), 10, "the statement begins")
    proxy.kill()
    taken = wait_until(lambda: not busy(own_database), 10, "the statement is gone")
    print(f"gone {taken:.1f} s after kill -9")
    connection.close()
