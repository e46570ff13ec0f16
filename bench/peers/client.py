"""Requests to a server on this machine: kept connections, bodies that were made before the clock runs."""

from __future__ import annotations

import http.client
import json
import threading
import time
from urllib.parse import urlsplit


# A server may hang up on a connection on which nothing came for longer.
IDLE = 4


class Client:
    """One connection for each thread that asks."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self.address, self.prefix = (parts.hostname or "127.0.0.1", parts.port or 80), parts.path.rstrip("/")
        self.headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.kept = threading.local()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        if not hasattr(self.kept, "connection") or time.monotonic() - self.kept.used > IDLE:
            self.kept.connection = http.client.HTTPConnection(*self.address, timeout=600)
            self.kept.connection.connect()
        connection = self.kept.connection
        connection.request(method, self.prefix + path, body, self.headers | (headers or {}))
        response = connection.getresponse()
        status, answer = response.status, response.read()
        self.kept.used = time.monotonic()
        return status, answer

    def ask(self, method: str, path: str, body: object = None) -> dict:
        """JSON for JSON; anything but 200 is an error."""
        status, answer = self.send(method, path, None if body is None else json.dumps(body).encode())
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer)
