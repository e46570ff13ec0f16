"""A plain HTTP client that sends what it is told, well formed or not, and checks what every error must look like."""

import http.client
import json
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

ERROR_KEYS = {"message", "type", "param", "code"}
# No id and no key has these, whatever their prefix.
UNKNOWN = "a" * 32
UNKNOWN_KEY = "vs_live_" + "a" * 16 + "_" + "b" * 52
# Stands for every value, where the exact one is no promise.
ANY = object()
# Longest time that refusing a request may take, in seconds.
REFUSAL = 2


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)

    def error(self, status=None):
        """The error object, after checking all that every error has in common."""
        assert status is None or self.status == status, f"{self.status}: {self.body[:500]!r}"
        assert 400 <= self.status < 500, f"{self.status}: {self.body[:500]!r}"
        assert self.headers["content-type"].startswith("application/json")
        assert self.headers["x-request-id"].startswith("req_")
        body = self.json()
        assert set(body) == {"error"}
        error = body["error"]
        assert set(error) == ERROR_KEYS
        assert isinstance(error["message"], str) and error["message"]
        assert isinstance(error["type"], str) and error["type"]
        assert error["param"] is None or isinstance(error["param"], str)
        assert error["code"] is None or isinstance(error["code"], str)
        assert len(self.body) < 4096, "an error must not echo a large input"
        return error


class Http:
    """`path` is taken below /v1, or below the root when it is given with `root=True`."""

    def __init__(self, base_url, api_key):
        parts = urlsplit(base_url)
        self.address = (parts.hostname, parts.port or 80)
        self.prefix = parts.path.rstrip("/")
        self.api_key = api_key

    def send(self, method, path, body=None, headers=None, root=False, chunked=False):
        """One request on a connection of its own. A header set to None is not sent."""
        content = body
        if body is not None and not isinstance(body, bytes):
            content = json.dumps(body).encode()
        all_headers = {"authorization": f"Bearer {self.api_key}"}
        if content is not None:
            all_headers["content-type"] = "application/json"
            if not chunked:
                all_headers["content-length"] = str(len(content))
        all_headers |= {name.lower(): value for name, value in (headers or {}).items()}
        begin = time.monotonic()
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.putrequest(method, path if root else self.prefix + path, skip_accept_encoding=True)
            for name, value in all_headers.items():
                if value is not None:
                    connection.putheader(name, value)
            if chunked:
                connection.putheader("transfer-encoding", "chunked")
            connection.endheaders()
            if content is not None:
                self._send_body(connection, content, chunked)
            response = connection.getresponse()
            received = response.read()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, received, time.monotonic() - begin)
        finally:
            connection.close()

    @staticmethod
    def _send_body(connection, content, chunked):
        try:
            if not chunked:
                connection.send(content)
                return
            for start in range(0, len(content), 65536):
                piece = content[start : start + 65536]
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # The server has answered before it read everything: the answer is what counts.
            pass

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.send("POST", path, body, **options)

    def delete(self, path, **options):
        return self.send("DELETE", path, **options)

    def ok(self, method, path, body=None, **options):
        """The JSON of an answer that must be 200."""
        reply = self.send(method, path, body, **options)
        assert reply.status == 200, f"{reply.status}: {reply.body[:500]!r}"
        return reply.json()


def check(reply, status, code=ANY, param=ANY):
    """An error that is the client's fault: complete, quick, and without a word about our insides."""
    error = reply.error(status)
    assert code is ANY or error["code"] == code, error
    assert param is ANY or error["param"] == param, error
    assert error["type"] == "invalid_request_error"
    assert reply.seconds < REFUSAL
    for word in ("SQLSTATE", "vectorstore._", "serde", "panicked", "/src/"):
        assert word not in error["message"], "internals must not leak"
    return error
