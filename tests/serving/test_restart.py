"""Postgres restarts, or ends every session, under load: clients see 503 with Retry-After and nothing worse, and soon 200 again."""

import collections
import threading
import time

import pytest

from http_client import Http

RATE = 100
# Seconds between stop and start.
AWAY = 3
# Once Postgres accepts connections again, requests succeed within this time.
RECOVERY = 5


class Load:
    """Sends so many requests a second, half of them reads, until it is left."""

    def __init__(self, proxy, store):
        self.http = Http(proxy.base_url, proxy.database.api_key)
        self.store = store
        self.replies, self.lives, self.threads, self.over = [], [], [], threading.Event()

    def ask(self, number):
        begin = time.monotonic()
        try:
            if number % 4 == 0:
                reply = self.http.post(f"/vector_stores/{self.store}/search", {"query": "restart"})
            elif number % 4 == 1:
                reply = self.http.post(f"/vector_stores/{self.store}", {"metadata": {"n": str(number)}})
            elif number % 4 == 2:
                body = {"content": f"text {number}", "metadata": {"n": number}}
                reply = self.http.post(f"/vector_stores/{self.store}/embeddings", body)
            else:
                reply = self.http.get(f"/vector_stores/{self.store}")
        except OSError as error:
            self.replies.append((begin, error, None))
            return
        self.replies.append((begin, reply.status, reply.headers.get("retry-after")))

    def run(self):
        begin, number = time.monotonic(), 0
        while not self.over.is_set():
            thread = threading.Thread(target=self.ask, args=(number,))
            thread.start()
            self.threads.append(thread)
            number += 1
            time.sleep(max(0.0, begin + number / RATE - time.monotonic()))

    def watch(self):
        while not self.over.is_set():
            try:
                self.lives.append(self.http.get("/livez", root=True).status)
            except OSError as error:
                self.lives.append(error)
            time.sleep(0.05)

    def __enter__(self):
        self.runners = [threading.Thread(target=self.run), threading.Thread(target=self.watch)]
        for runner in self.runners:
            runner.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in [*self.runners, *self.threads]:
            thread.join()


def restart(mode):
    def strike(cluster):
        cluster.stop(mode)
        # A shorter absence goes unnoticed: requests wait for a connection that long.
        time.sleep(AWAY)
        cluster.start()

    return strike


STRIKES = {
    "fast": restart("fast"),
    "immediate": restart("immediate"),
    "sessions": lambda cluster: cluster.terminate_sessions(),
}


@pytest.mark.parametrize("kind", STRIKES)
def test_clients_see_nothing_worse_than_503(own_database, cluster, start_proxy, kind):
    proxy = start_proxy(ingest_workers=1)
    store = proxy.http.post("/vector_stores", {"name": f"restart {kind}"}).json()["id"]
    pid = proxy.process.pid
    with Load(proxy, store) as load:
        STRIKES[kind](cluster)
        up = time.monotonic()
        time.sleep(RECOVERY + 1)
    assert proxy.process.poll() is None and proxy.process.pid == pid
    counts = collections.Counter(str(status) for _, status, _ in load.replies)
    refused = [begin for begin, status, _ in load.replies if status == 503]
    last = max(refused, default=up) - up
    print(f"{kind}: {dict(counts)}; the last refused request began {last:.2f} s after the server was up")
    assert set(counts) <= {"200", "503"}, counts
    assert all(int(after) >= 1 for _, status, after in load.replies if status == 503)
    assert counts["200"] > 3 * RATE
    assert last <= RECOVERY
    assert set(load.lives) == {200} and len(load.lives) > 50
    assert proxy.http.get("/ready", root=True).status == 200
    assert refused or kind == "sessions", "the server was away"
    # The test's own session has gone with the others.
    own_database.connection = own_database.connect(autocommit=True)
