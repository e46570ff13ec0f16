"""Stopping loses no request that has been begun, and a second signal stops at once."""

import signal
import threading
import time

from http_client import Http
from proxies import ROLE
from serving import open_request, sessions, wait_until

LIST, SEARCH = "api_list_vector_stores", "api_search"


def test_a_stop_loses_no_request(own_database, start_proxy, slow):
    """50 requests under way, five of them searches that take long, and more that come while the proxy drains."""
    proxy = start_proxy(pool_size=50, drain_seconds=2, ingest_workers=0)
    store = proxy.http.post("/vector_stores", {"name": "drain"}).json()["id"]
    slow(LIST, 1)
    slow(SEARCH, 4)
    replies, late = [], []

    def ask(kept, method, path, body=None):
        try:
            kept.append(proxy.http.send(method, path, body).status)
        except OSError as error:
            kept.append(error)

    searches = [("POST", f"/vector_stores/{store}/search", {"query": "anything"})] * 5
    requests = searches + [("GET", "/vector_stores")] * 45
    threads = [threading.Thread(target=ask, args=(replies, *request)) for request in requests]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(sessions(own_database, ROLE, "active")) == 50, 10, "all statements begin")

    begin = time.monotonic()
    proxy.process.send_signal(signal.SIGTERM)
    for path in ["/ready", "/readyz"]:
        wait_until(lambda: proxy.http.get(path, root=True).status == 503, 0.5, f"{path} says that it stops")
    assert proxy.http.get("/livez", root=True).status == 200
    assert proxy.http.get("/healthz?verbose", root=True).json()["checks"]["process"]["status"] == "down"
    # The load balancer needs a moment: until then new requests are served as ever.
    while time.monotonic() - begin < 1.5:
        ask(late, "GET", f"/vector_stores/{store}")
    for thread in threads:
        thread.join()
    assert replies == [200] * 50
    assert len(late) > 10 and set(late) == {200}
    assert proxy.process.wait(30) == 0
    print(f"{len(late)} requests came late; exit after {time.monotonic() - begin:.1f} s")
    # PostgreSQL notices a little later.
    wait_until(lambda: not sessions(own_database, ROLE), 10, "sessions of the stopped proxy end")


def test_another_process_takes_over_without_an_error(own_database, start_proxy):
    """What a load balancer does: it sends requests to the process that is ready, and the first one stops meanwhile."""
    first = start_proxy(drain_seconds=1, ingest_workers=0)
    store = first.http.post("/vector_stores", {"name": "hand over"}).json()["id"]
    targets, statuses, over = [first], [], threading.Event()

    def clients():
        while not over.is_set():
            http = Http(targets[-1].base_url, own_database.api_key)
            try:
                statuses.append(http.get(f"/vector_stores/{store}").status)
            except OSError as error:
                statuses.append(error)

    threads = [threading.Thread(target=clients) for _ in range(4)]
    for thread in threads:
        thread.start()
    targets.append(start_proxy(ingest_workers=0))
    assert first.stop() == 0
    over.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 100 and set(statuses) == {200}


def test_a_second_signal_stops_at_once(own_database, start_proxy, slow):
    proxy = start_proxy(drain_seconds=20, ingest_workers=0)
    slow(LIST, 25)
    connection = open_request(proxy, "GET", "/vector_stores")
    wait_until(lambda: sessions(own_database, ROLE, "active"), 10, "the statement begins")
    proxy.process.send_signal(signal.SIGTERM)
    wait_until(lambda: proxy.http.get("/ready", root=True).status == 503, 1, "it drains")
    begin = time.monotonic()
    proxy.process.send_signal(signal.SIGINT)
    proxy.process.wait(2)
    print(f"exit {time.monotonic() - begin:.2f} s after the second signal")
    connection.close()
    # Its statement ends with it.
    wait_until(lambda: not sessions(own_database, ROLE, "active"), 10, "the statement is gone")
