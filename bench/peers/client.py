"""Requests to a server on this machine: kept connections, bodies that were made before the clock runs."""

from __future__ import annotations

import http.client
import json
import threading
from urllib.parse import urlsplit


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
        if not hasattr(self.kept, "connection"):
            self.kept.connection = http.client.HTTPConnection(*self.address, timeout=600)
            self.kept.connection.connect()
        connection = self.kept.connection
        connection.request(method, self.prefix + path, body, self.headers | (headers or {}))
        response = connection.getresponse()
        return response.status, response.read()

    def ask(self, method: str, path: str, body: object = None) -> dict:
        """JSON for JSON; anything but 200 is an error."""
        status, answer = self.send(method, path, None if body is None else json.dumps(body).encode())
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer)
