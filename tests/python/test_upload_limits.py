"""Big uploads: the proxy's memory does not grow with them, and what is too large is refused before it is read."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import select
import socket
import time
from pathlib import Path

import pytest

from proxies import Proxy

MEGABYTE = 2**20
SIZE = 200 * MEGABYTE
GROWTH = 64 * MEGABYTE
# What is sent again and again: no piece of a file looks like the one before.
BLOCK = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(MEGABYTE // 32))
LIMIT = 8 * MEGABYTE


@pytest.fixture(scope="module")
def small(own_database):
    """A proxy that takes files of 8 MiB, kept for all tests of this module."""
    proxy = Proxy(own_database, max_file_bytes=LIMIT).start()
    yield proxy
    proxy.stop()


def memory(process, name):
    """VmRSS is what a process has in memory now, VmHWM the most that it ever had; in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{name} is not in /proc")


def form(field, filename, length, **more):
    """Head, a generator of the file's bytes, and tail of a multipart body."""
    texts = "".join(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in more.items())
    head = f'{texts}--x\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n\r\n'.encode()
    return head, lambda: (BLOCK[: min(MEGABYTE, length - at)] for at in range(0, length, MEGABYTE)), b"\r\n--x--\r\n"


def upload(proxy, path, length, field="file", filename="big.bin", **more):
    """Streams a form, so that this process needs no memory for it either; the answer's JSON."""
    head, pieces, tail = form(field, filename, length, **more)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
    with contextlib.closing(connection):
        connection.putrequest("POST", f"/v1{path}")
        for name, value in headers(proxy).items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(head) + length + len(tail)))
        connection.endheaders()
        connection.send(head)
        for piece in pieces():
            connection.send(piece)
        connection.send(tail)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        return json.loads(body)


def headers(proxy):
    return {
        "authorization": f"Bearer {proxy.database.api_key}",
        "content-type": "multipart/form-data; boundary=x",
        "connection": "close",
    }


def digest_of(proxy, file):
    """SHA-256 and length of a download, read piece by piece."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", f"/v1/files/{file}/content", headers={"authorization": f"Bearer {proxy.database.api_key}"})
        response = connection.getresponse()
        assert response.status == 200
        digest, length = hashlib.sha256(), 0
        while piece := response.read(MEGABYTE):
            digest.update(piece)
            length += len(piece)
        return digest.digest(), length


def expected(parts):
    digest = hashlib.sha256()
    for length in parts:
        for at in range(0, length, MEGABYTE):
            digest.update(BLOCK[: min(MEGABYTE, length - at)])
    return digest.digest(), sum(parts)


def test_the_memory_of_a_proxy_does_not_grow_with_uploads(start_proxy):
    proxy = start_proxy()
    # What every upload needs once: threads, connections to the database, the code itself.
    for _ in range(2):
        proxy.http.ok("DELETE", f"/files/{upload(proxy, '/files', 5 * MEGABYTE, purpose='assistants')['id']}")
    before = memory(proxy.process, "VmRSS")

    file = upload(proxy, "/files", SIZE, purpose="assistants")
    assert file["bytes"] == SIZE and digest_of(proxy, file["id"]) == expected([SIZE])
    proxy.http.ok("DELETE", f"/files/{file['id']}")
    of_files = memory(proxy.process, "VmHWM") - before

    # Two parts at the same time, near the limit of a part.
    lengths = [60 * MEGABYTE, 60 * MEGABYTE, 60 * MEGABYTE, 20 * MEGABYTE]
    create = {"filename": "big.bin", "purpose": "assistants", "mime_type": "application/octet-stream", "bytes": SIZE}
    begun = proxy.http.ok("POST", "/uploads", create)["id"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda length: upload(proxy, f"/uploads/{begun}/parts", length, field="data"), lengths))
    done = proxy.http.ok("POST", f"/uploads/{begun}/complete", {"part_ids": [part["id"] for part in parts]})
    assert done["status"] == "completed" and done["file"]["bytes"] == SIZE
    assert digest_of(proxy, done["file"]["id"]) == expected(lengths)
    proxy.http.ok("DELETE", f"/files/{done['file']['id']}")
    of_parts = memory(proxy.process, "VmHWM") - before

    print(f"before {before >> 20} MiB, more for a file {of_files >> 20} MiB, for parts {of_parts >> 20} MiB")
    assert of_files <= GROWTH and of_parts <= GROWTH


# ---- Too large ----


def open_request(proxy, path, *more):
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    lines = [f"POST /v1{path} HTTP/1.1", "host: test", *(f"{name}: {value}" for name, value in headers(proxy).items())]
    connection.sendall("\r\n".join([*lines, *more, "", ""]).encode())
    return connection


def answer(connection):
    """All that comes until the server hangs up."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


def is_413(received):
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 "), received[:200]
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


@pytest.fixture(scope="module")
def part_of(small):
    create = {"filename": "a", "purpose": "assistants", "mime_type": "text/plain", "bytes": 1}
    return f"/uploads/{small.http.ok('POST', '/uploads', create)['id']}/parts"


@pytest.mark.parametrize(("target", "length"), [("file", LIMIT + MEGABYTE), ("part", 65 * MEGABYTE), ("file", 2**40)])
def test_a_client_that_asks_first_sends_no_byte_of_what_is_too_large(small, part_of, target, length):
    path = "/files" if target == "file" else part_of
    with open_request(small, path, f"content-length: {length}", "expect: 100-continue") as connection:
        began = time.monotonic()
        received = answer(connection)
    assert b"100 Continue" not in received, "the answer to the question whether to send"
    is_413(received)
    assert time.monotonic() - began < 2


def test_a_client_that_asks_first_may_send_what_is_small_enough(small):
    head, pieces, tail = form("file", "asked.txt", 1000, purpose="assistants")
    body = head + b"".join(pieces()) + tail
    with open_request(small, "/files", f"content-length: {len(body)}", "expect: 100-continue") as connection:
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        received = answer(connection)
    assert received.startswith(b"HTTP/1.1 200 ")
    file = json.loads(received.partition(b"\r\n\r\n")[2])["id"]
    small.http.ok("DELETE", f"/files/{file}")


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize("target", ["file", "part"])
def test_a_client_that_goes_on_sending_is_stopped(small, part_of, target, announced):
    """Nobody has to send a file to its end to hear that it is too large; with no length announced, the limit has to
    be passed first."""
    path, field = ("/files", "file") if target == "file" else (part_of, "data")
    limit = LIMIT if target == "file" else 64 * MEGABYTE
    head, _, _ = form(field, "endless.bin", 0, **({"purpose": "assistants"} if target == "file" else {}))
    length = "content-length: 1099511627776" if announced else "transfer-encoding: chunked"
    before = small.database.one("SELECT count(*) FROM vectorstore.files")
    with open_request(small, path, length) as connection:
        sent = 0

        def send(data):
            nonlocal sent
            framed = data if announced else b"%x\r\n%s\r\n" % (len(data), data)
            connection.settimeout(10)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(framed)
            sent += len(data)

        send(head)
        while not select.select([connection], [], [], 0)[0]:
            assert sent < limit + 64 * MEGABYTE, "nobody says stop"
            send(BLOCK)
        received = answer(connection)
    is_413(received)
    # What lies in the buffers of both sockets has been sent and never read.
    assert sent <= (16 * MEGABYTE if announced else limit + 16 * MEGABYTE)
    assert announced or sent > limit
    assert small.database.one("SELECT count(*) FROM vectorstore.files") == before, "nothing of it is kept"
