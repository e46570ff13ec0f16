"""More requests than connections: those who wait too long are told to come back, and whoever needs no connection is answered."""

import re
import threading
import time

from http_client import UNKNOWN
from proxies import Proxy

LIST = "api_list_vector_stores"


def test_an_exhausted_pool_says_when_to_come_back(own_database, slow, tmp_path):
    log = tmp_path / "proxy.log"
    proxy = Proxy(own_database, log, pool_size=5, ingest_workers=0).start()
    try:
        slow(LIST, 5)
        check(proxy)
    finally:
        proxy.stop()
    complaints = [line for line in log.read_text().splitlines() if "a request failed" in line]
    assert len(complaints) == 1, complaints


def check(proxy):
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(proxy.http.get("/vector_stores"))) for _ in range(50)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    # Meanwhile, on a proxy without a free connection:
    quick = 0
    while time.monotonic() - begin < 1.5:
        for status, reply in [
            (400, proxy.http.post(f"/vector_stores/vs_{UNKNOWN}/search", {"query": 7})),
            (400, proxy.http.post("/vector_stores", b"{")),
            (401, proxy.http.get("/vector_stores", headers={"authorization": None})),
            (401, proxy.http.get("/vector_stores", headers={"authorization": "Bearer sk-other"})),
            (404, proxy.http.get("/nowhere")),
            (200, proxy.http.get("/livez", root=True)),
            (200, proxy.http.get("/readyz", root=True)),
            (200, proxy.http.get("/metrics", root=True)),
        ]:
            assert reply.status == status and reply.seconds < 1, reply
            quick += 1
    health = proxy.http.get("/healthz?verbose", root=True).json()
    assert (health["status"], health["checks"]["pool"]["status"]) == ("degraded", "degraded")
    for thread in threads:
        thread.join()
    served = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 503]
    assert (len(served), len(refused)) == (5, 45)
    slowest = max(reply.seconds for reply in refused)
    print(f"{quick} quick answers; the last refusal after {slowest:.2f} s")
    assert slowest < 2.5
    for reply in refused:
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["error"]["type"] == "server_error"
    # And then it serves again.
    assert proxy.http.get("/files").status == 200
    metrics = proxy.http.get("/metrics", root=True).body.decode()
    # The proxy's own tasks may have waited in vain as well.
    assert int(re.search(r"^vectorstore_pool_timeouts_total (\d+)$", metrics, re.M)[1]) >= 45
    assert proxy.http.get("/healthz", root=True).json()["status"] == "ok"
