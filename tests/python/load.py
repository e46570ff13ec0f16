"""Requests at a steady rate over kept connections, by threads: what comes back is counted, and when it was sent."""

import http.client
import json
import threading
import time
from collections import namedtuple
from urllib.parse import urlsplit

Answer = namedtuple("Answer", "status headers body at seconds")


class Connection:
    """One kept connection with one key."""

    def __init__(self, base_url, api_key):
        parts = urlsplit(base_url)
        self.prefix, self.key = parts.path.rstrip("/"), api_key
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)

    def send(self, method, path, body=None, key=None):
        headers = {"authorization": f"Bearer {key or self.key}"}
        content = None
        if body is not None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["content-type"] = "application/json"
        at = time.monotonic()
        self.connection.request(method, self.prefix + path, content, headers)
        response = self.connection.getresponse()
        data = response.read()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, data, at, time.monotonic() - at)


def offer(base_urls, api_key, rate, seconds, method="GET", path="/vector_stores?limit=1", body=None, threads=4):
    """Offers `rate` requests a second in all to the proxies, each by some threads; the answers in the order of sending."""
    workers = [url for url in base_urls for _ in range(threads)]
    answers, lock = [], threading.Lock()
    pause = len(workers) / rate
    begin = time.monotonic() + 0.2

    def work(url, at):
        connection, own = Connection(url, api_key), []
        due = begin + at * pause / len(workers)
        while due < begin + seconds:
            time.sleep(max(0, due - time.monotonic()))
            own.append(connection.send(method, path, body))
            due += pause
        with lock:
            answers.extend(own)

    running = [threading.Thread(target=work, args=job) for job in zip(workers, range(len(workers)))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sorted(answers, key=lambda answer: answer.at)
