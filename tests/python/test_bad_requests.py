"""Requests that are bad beyond their JSON: keys, methods, headers, sizes and multipart bodies."""

import json
import socket

import pytest

from http_client import ANY, UNKNOWN_KEY, check

pytestmark = pytest.mark.usefixtures("postgres_survives", "proxy_survives")

KEYS = {
    "no key": (None, None),
    "empty header": ("", None),
    "scheme without a key": ("Bearer", None),
    "scheme and a blank": ("Bearer ", None),
    "another scheme": ("Basic dXNlcjpwYXNz", None),
    "key without its scheme": (UNKNOWN_KEY, None),
    "key of another provider": ("Bearer sk-proj-1234567890", "invalid_api_key"),
    "unknown key": (f"Bearer {UNKNOWN_KEY}", "invalid_api_key"),
    "key with a quote": ("Bearer vs_live_' OR 1=1--", "invalid_api_key"),
    "key of 20,000": ("Bearer " + "a" * 20_000, "invalid_api_key"),
    "key outside of ASCII": ("Bearer vs_live_\xe9".encode("latin-1"), "invalid_api_key"),
}
ROUTES = [
    ("GET", "/vector_stores", None),
    ("POST", "/vector_stores", {}),
    ("POST", "/vector_stores/{store}/search", {"query": "x"}),
    ("POST", "/vector_stores/{store}/embeddings", {"content": "x"}),
    ("DELETE", "/vector_stores/{store}", None),
    ("GET", "/files", None),
    ("POST", "/embeddings", {"model": "local", "input": "x"}),
    ("GET", "/models", None),
]


@pytest.mark.parametrize("name", KEYS)
def test_a_request_without_a_valid_key_is_refused_on_every_route(http, target, name):
    header, code = KEYS[name]
    for method, path, body in ROUTES:
        reply = http.send(method, path.format(store=target), body, headers={"authorization": header})
        error = check(reply, 401, code, None)
        assert reply.headers["www-authenticate"] == "Bearer"
        assert UNKNOWN_KEY not in error["message"]


def test_the_end_of_a_key_counts(http, api_key):
    other = api_key[:-1] + ("b" if api_key.endswith("a") else "a")
    check(http.get("/vector_stores", headers={"authorization": f"Bearer {other}"}), 401, "invalid_api_key")
    assert http.get("/vector_stores", headers={"authorization": f"bearer {api_key}"}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/vector_stores", {"GET", "POST"}),
        ("PATCH", "/vector_stores/{store}", {"GET", "POST", "DELETE"}),
        ("GET", "/vector_stores/{store}/search", {"POST"}),
        ("DELETE", "/files", {"GET", "POST"}),
        ("GET", "/embeddings", {"POST"}),
        ("BREW", "/models", {"GET"}),
    ],
)
def test_a_wrong_method_is_refused_and_the_right_ones_are_named(http, target, method, path, allowed):
    reply = http.send(method, path.format(store=target))
    check(reply, 405, None, None)
    assert allowed <= {word.strip() for word in reply.headers["allow"].split(",")}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "json",
        "é",
    ],
)
def test_another_content_type_is_refused(http, target, content_type):
    headers = {"content-type": content_type.encode("latin-1")}
    reply = http.post(f"/vector_stores/{target}/search", {"query": "x"}, headers=headers)
    check(reply, 400, None, None)


@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "Application/JSON"])
def test_ways_to_write_json_are_taken(http, target, content_type):
    reply = http.post(f"/vector_stores/{target}/search", {"query": "x"}, headers={"content-type": content_type})
    assert reply.status == 200


def test_duplicate_keys_are_no_failure_of_the_server(http, target):
    reply = http.post(f"/vector_stores/{target}/search", b'{"query": "x", "query": "y"}')
    assert reply.status == 200 and reply.json()["search_query"] == ["y"] or check(reply, 400)


def test_strange_text_is_no_error(http, target):
    zalgo = "z\u0338\u0322\u031b\u034ea\u0336\u035a\u0313"
    for text in ("\u202e\u05d0\u05d1", zalgo, "\ufeffmark", "🏳️‍🌈", "'; DROP TABLE x; --", "a\tb\nc", "%s %n $1 {}"):
        page = http.ok("POST", f"/vector_stores/{target}/search", {"query": text})
        assert page["search_query"] == [text]


# ---- Sizes ----

MEGABYTE = 2**20


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_json_body_over_the_limit_is_refused(http, target, chunked):
    body = json.dumps({"query": "x" * 10 * MEGABYTE}).encode()
    check(http.post(f"/vector_stores/{target}/search", body, chunked=chunked), 413, None, None)


def test_a_json_body_of_the_limit_is_read(http, target):
    """8 MiB are read, one byte more is not: the error tells which of both checks has spoken."""
    empty = len(json.dumps({"query": ""}))
    for length, status in ((8 * MEGABYTE, 400), (8 * MEGABYTE + 1, 413)):
        body = json.dumps({"query": "x" * (length - empty)}).encode()
        assert len(body) == length
        check(http.post(f"/vector_stores/{target}/search", body), status)


@pytest.mark.parametrize("path", ["/vector_stores", "/files"])
def test_an_announced_length_over_the_limit_is_refused_before_the_body_comes(http, path):
    content_type = "multipart/form-data; boundary=x" if path == "/files" else "application/json"
    headers = {"content-length": str(2**40), "content-type": content_type}
    check(http.post(path, headers=headers), 413, None, None)


@pytest.mark.parametrize("value", ["a" * 40_000, "a" * 100_000])
def test_headers_that_are_too_large_are_refused(http, value):
    check(http.get("/vector_stores", headers={"x-large": value}), 431)


def test_a_compressed_body_is_not_unpacked(http):
    check(http.post("/vector_stores", b"\x1f\x8b" + bytes(1000), headers={"content-encoding": "gzip"}), 400, None, None)


@pytest.mark.parametrize(
    "sent", [b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100]
)
def test_what_is_not_http_is_hung_up_on(http, sent):
    with socket.create_connection(http.address, timeout=2) as connection:
        connection.sendall(sent)
        answer = connection.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


# ---- Multipart ----


def part(name, content, filename=None):
    extra = "" if filename is None else f'; filename="{filename}"'
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"


FILE = part("file", b"hello", "a.txt")
PURPOSE = part("purpose", b"assistants")
END = b"--x--\r\n"
BOUNDARY = "multipart/form-data; boundary=x"
UPLOADS = {
    "no boundary": ("multipart/form-data", FILE + PURPOSE + END, None, None),
    "another boundary": ("multipart/form-data; boundary=y", FILE + PURPOSE + END, ANY, ANY),
    "boundary of 10,000": ("multipart/form-data; boundary=" + "x" * 10_000, FILE + PURPOSE + END, ANY, ANY),
    "JSON in place of a form": ("application/json", b'{"purpose": "assistants"}', None, None),
    "no content type": (None, FILE + PURPOSE + END, None, None),
    "empty body": (BOUNDARY, b"", ANY, ANY),
    "no end": (BOUNDARY, FILE + PURPOSE, ANY, ANY),
    "cut in the file": (BOUNDARY, PURPOSE + FILE[:-10], ANY, ANY),
    "no file": (BOUNDARY, PURPOSE + END, "missing_required_parameter", "file"),
    "no purpose": (BOUNDARY, FILE + END, "missing_required_parameter", "purpose"),
    "unknown purpose": (BOUNDARY, part("purpose", b"fun") + FILE + END, "invalid_value", "purpose"),
    "purpose that is no text": (BOUNDARY, part("purpose", b"\xff\xfe") + FILE + END, ANY, ANY),
    "purpose with NUL": (BOUNDARY, part("purpose", b"assistants\x00") + FILE + END, ANY, ANY),
    "purpose of 1 MB": (BOUNDARY, part("purpose", b"a" * MEGABYTE) + FILE + END, ANY, ANY),
    "two files": (BOUNDARY, FILE + FILE + PURPOSE + END, ANY, ANY),
    "10,000 parts": (BOUNDARY, part("extra", b"x") * 10_000 + FILE + PURPOSE + END, ANY, ANY),
    "name of a part of 1 MB": (BOUNDARY, part("n" * MEGABYTE, b"x") + FILE + PURPOSE + END, ANY, ANY),
    "file name of 300": (
        BOUNDARY,
        part("file", b"x", "n" * 300) + PURPOSE + END,
        "string_above_max_length",
        "filename",
    ),
    "part without a header": (BOUNDARY, b"--x\r\n\r\nhello\r\n" + FILE + END, ANY, ANY),
    "expiry too soon": (
        BOUNDARY,
        part("expires_after[anchor]", b"created_at") + part("expires_after[seconds]", b"60") + FILE + PURPOSE + END,
        "integer_below_min_value",
        ANY,
    ),
    "expiry without its anchor": (
        BOUNDARY,
        part("expires_after[seconds]", b"3600") + FILE + PURPOSE + END,
        "missing_required_parameter",
        ANY,
    ),
    "expiry that is no number": (
        BOUNDARY,
        part("expires_after[anchor]", b"created_at") + part("expires_after[seconds]", b"soon") + FILE + PURPOSE + END,
        "invalid_type",
        ANY,
    ),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_a_bad_upload_is_refused_and_stores_nothing(http, name):
    content_type, body, code, param = UPLOADS[name]
    before = http.ok("GET", "/files")["data"]
    check(http.post("/files", body, headers={"content-type": content_type}), 400, code, param)
    assert http.ok("GET", "/files")["data"] == before


def test_a_file_name_with_nul_is_no_failure_of_the_server(http):
    reply = http.post("/files", part("file", b"x", "a\0b.txt") + PURPOSE + END, headers={"content-type": BOUNDARY})
    if reply.status == 200:
        file = reply.json()
        assert "\0" not in file["filename"]
        http.ok("DELETE", f"/files/{file['id']}")
    else:
        check(reply, 400)
