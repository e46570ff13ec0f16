"""What all endpoints have in common (headers, errors, bodies, content types, ids), one table for each convention."""

import json
import re
import uuid

import pytest

from http_client import ANY, UNKNOWN, check

pytestmark = pytest.mark.usefixtures("postgres_survives", "proxy_survives")

UNKNOWN_IDS = {
    "store": f"vs_{UNKNOWN}",
    "file": f"file-{UNKNOWN}",
    "upload": f"upload_{UNKNOWN}",
    "embedding": f"emb_{UNKNOWN}",
}
# Every operation, with a body that is right apart from the ids.
OPERATIONS = [
    ("GET", "/vector_stores", None),
    ("POST", "/vector_stores", {"name": 7}),
    ("GET", "/vector_stores/{store}", None),
    ("POST", "/vector_stores/{store}", {}),
    ("DELETE", "/vector_stores/{store}", None),
    ("POST", "/vector_stores/{store}/search", {"query": "x"}),
    ("GET", "/vector_stores/{store}/files", None),
    ("POST", "/vector_stores/{store}/files", {"file_id": "file-x"}),
    ("GET", "/vector_stores/{store}/files/{file}", None),
    ("POST", "/vector_stores/{store}/files/{file}", {"attributes": {}}),
    ("DELETE", "/vector_stores/{store}/files/{file}", None),
    ("GET", "/vector_stores/{store}/files/{file}/content", None),
    ("GET", "/vector_stores/{store}/embeddings", None),
    ("POST", "/vector_stores/{store}/embeddings", {"content": "x"}),
    ("POST", "/vector_stores/{store}/embeddings/batch", {"embeddings": [{"content": "x"}]}),
    ("DELETE", "/vector_stores/{store}/embeddings/batch", {"ids": ["x"]}),
    ("GET", "/vector_stores/{store}/embeddings/{embedding}", None),
    ("PUT", "/vector_stores/{store}/embeddings/{embedding}", {"content": "x"}),
    ("PATCH", "/vector_stores/{store}/embeddings/{embedding}", {"content": "x"}),
    ("DELETE", "/vector_stores/{store}/embeddings/{embedding}", None),
    ("GET", "/files", None),
    ("GET", "/files/{file}", None),
    ("DELETE", "/files/{file}", None),
    ("GET", "/files/{file}/content", None),
    ("POST", "/uploads", {"filename": "x"}),
    ("POST", "/uploads/{upload}/complete", {"part_ids": []}),
    ("POST", "/uploads/{upload}/cancel", None),
    ("POST", "/embeddings", {"model": "none", "input": "x"}),
    ("GET", "/models", None),
    ("GET", "/models/{store}", None),
]
JSON_OPERATIONS = [operation for operation in OPERATIONS if operation[0] in ("POST", "PUT", "PATCH") and operation[2]]


def name_of(operation):
    return f"{operation[0]} {operation[1]}"


def path_of(operation, **ids):
    return operation[1].format(**UNKNOWN_IDS | ids)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_reply_has_the_headers(http, operation):
    reply = http.send(operation[0], path_of(operation), operation[2])
    assert re.fullmatch(r"req_[0-9a-f]{32}", reply.headers["x-request-id"])
    assert reply.headers["openai-processing-ms"].isdigit()
    assert reply.headers["openai-version"] == "2020-10-01"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    if reply.status >= 400:
        check(reply, reply.status)
        assert "x-should-retry" not in reply.headers, "the status says it"
    other = http.send(operation[0], path_of(operation), operation[2])
    assert other.headers["x-request-id"] != reply.headers["x-request-id"]


@pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if "{" in operation[1]], ids=name_of
)
def test_an_unknown_id_is_not_found_and_one_of_another_form_is_a_bad_value(http, operation, target):
    """The store is looked for first; inside a store that exists, the file or the text is."""
    check(http.send(operation[0], path_of(operation), operation[2]), 404, param=ANY)
    if operation[1].startswith("/models"):
        return
    odd = dict.fromkeys(UNKNOWN_IDS, "abc123")
    check(http.send(operation[0], path_of(operation, **odd), operation[2]), 400, "invalid_value")
    inner = operation[1].removeprefix("/vector_stores/{store}")
    if inner != operation[1] and "{" in inner:
        check(http.send(operation[0], path_of(operation, store=target), operation[2]), 404)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_beta_organisation_and_helper_headers_are_ignored(http, operation):
    plain = http.send(operation[0], path_of(operation), operation[2])
    headers = {
        "openai-beta": "assistants=v2",
        "openai-organization": "org-x",
        "openai-project": "proj_x",
        "x-stainless-lang": "python",
        "x-stainless-poll-helper": "true",
        "x-stainless-custom-poll-interval": "10",
        "x-stainless-retry-count": "1",
        "accept": "text/html",
    }
    reply = http.send(operation[0], path_of(operation), operation[2], headers=headers)
    assert (reply.status, reply.body) == (plain.status, plain.body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_the_prefix_can_be_left_out(http, operation):
    prefixed = http.send(operation[0], path_of(operation), operation[2])
    bare = http.send(operation[0], path_of(operation), operation[2], root=True)
    assert (bare.status, bare.body) == (prefixed.status, prefixed.body)


BAD_BODIES = {
    "no JSON": b"{",
    "text behind it": b"{} x",
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"7",
    "null": b"null",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "half a surrogate": b'{"name": "\\ud800"}',
    "NaN": b'{"name": NaN}',
    "too deep": b'{"name": ' + b"[" * 200 + b"]" * 200 + b"}",
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "NUL in a value": b'{"name": "a\\u0000b"}',
    "NUL in a key": b'{"a\\u0000b": 1}',
    "NUL deep inside": b'{"metadata": {"a": [{"b": "\\u0000"}]}}',
}


@pytest.mark.parametrize("body", BAD_BODIES)
@pytest.mark.parametrize("operation", JSON_OPERATIONS, ids=name_of)
def test_a_body_that_is_no_json_object_is_refused(http, operation, body):
    error = check(http.send(operation[0], path_of(operation), BAD_BODIES[body]), 400)
    if body.startswith("NUL"):
        assert error["code"] == "invalid_value"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("operation", JSON_OPERATIONS, ids=name_of)
def test_another_content_type_is_the_clients_fault(http, operation, content_type):
    reply = http.send(operation[0], path_of(operation), operation[2], headers={"content-type": content_type})
    check(reply, 400)


@pytest.mark.parametrize("path", ["/files", f"/uploads/upload_{UNKNOWN}/parts"])
@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain", None])
def test_multipart_is_required_where_it_is(http, path, content_type):
    check(http.post(path, {"purpose": "assistants"}, headers={"content-type": content_type}), 400)


@pytest.mark.parametrize("body", [None, b"", b"  ", {}], ids=["none", "empty", "blank", "object"])
def test_an_absent_body_is_an_empty_object(http, client, body):
    reply = http.post("/vector_stores", body)
    assert reply.status == 200 and reply.json()["name"] == ""
    client.vector_stores.delete(reply.json()["id"])
    check(http.post("/embeddings", body), 400, "missing_required_parameter", "model")
    check(http.post("/uploads", body), 400, "missing_required_parameter", "filename")
    upload = {"filename": "x", "purpose": "batch", "mime_type": "text/plain", "bytes": 1}
    made = http.ok("POST", "/uploads", upload)["id"]
    assert http.post(f"/uploads/{made}/cancel", body).json()["status"] == "cancelled"


# Fields that may be null as well as absent, with an otherwise good body.
NULLS = [
    ("/vector_stores", {}, ["name", "description", "file_ids", "expires_after", "chunking_strategy", "metadata"]),
    ("/vector_stores/{store}", {}, ["name", "expires_after", "metadata"]),
    (
        "/vector_stores/{store}/search",
        {"query": "x"},
        ["filters", "max_num_results", "ranking_options", "rewrite_query", "limit", "return_metadata"],
    ),
    (
        "/vector_stores/{store}/search",
        {"query": "x", "ranking_options": {"ranker": None, "score_threshold": None, "hybrid_search": None}},
        [],
    ),
    ("/vector_stores/{store}/files/{file}", {}, ["attributes"]),
    ("/vector_stores/{store}/embeddings", {"content": "x"}, ["embedding", "metadata"]),
    ("/embeddings", {"model": "local", "input": "x"}, ["encoding_format", "dimensions", "user"]),
    ("/uploads", {"filename": "x", "purpose": "batch", "mime_type": "", "bytes": 0}, ["expires_after"]),
]


@pytest.mark.parametrize(("path", "body", "optional"), NULLS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_explicit_null_is_an_absent_field(http, client, make_file, store, path, body, optional):
    file = make_file("nulls.txt", "some text").id
    http.ok("POST", f"/vector_stores/{store.id}/files", {"file_id": file, "attributes": None, "chunking_strategy": None})
    answer = http.ok("POST", path.format(store=store.id, file=file), body | dict.fromkeys(optional))
    if path == "/vector_stores":
        client.vector_stores.delete(answer["id"])
    elif path == "/uploads":
        client.uploads.cancel(answer["id"])


@pytest.mark.parametrize(
    ("path", "body"), [(path, body) for path, body, _ in NULLS], ids=lambda value: value if isinstance(value, str) else ""
)
def test_unknown_fields_are_ignored(http, client, make_file, store, path, body):
    file = make_file("unknown.txt", "some text").id
    http.ok("POST", f"/vector_stores/{store.id}/files", {"file_id": file, "provider_id": "x"})
    extra = {"provider_id": "x", "unknown": {"a": [1]}, "attributes": {}}
    answer = http.ok("POST", path.format(store=store.id, file=file), extra | body)
    if path == "/vector_stores":
        client.vector_stores.delete(answer["id"])
    elif path == "/uploads":
        client.uploads.cancel(answer["id"])


@pytest.mark.parametrize("path", ["/v1/foo", "/foo", "/v1", "/", "/v1/vector_stores/", "/v1/vector_stores/a/b/c/d", "/v1//files"])
def test_an_unknown_url_is_named(http, path):
    error = check(http.get(path, root=True), 404, None, None)
    assert error["message"] == f"Invalid URL (GET {path})"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/vector_stores"),
        ("DELETE", "/embeddings"),
        ("GET", "/uploads"),
        ("GET", f"/vector_stores/vs_{UNKNOWN}/search"),
        ("POST", "/models"),
        ("TRACE", "/files"),
        ("OPTIONS", "/files"),
    ],
)
def test_a_wrong_method_is_405(http, method, path):
    reply = http.send(method, path)
    error = check(reply, 405, None, None)
    assert error["message"] == f"Invalid URL ({method} /v1{path})" and reply.headers["allow"]


@pytest.mark.parametrize("path", ["/vector_stores", "/files", "/models"])
def test_head_is_get_without_its_body(http, path):
    get, head = http.get(path), http.send("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-type"] == "application/json" and head.headers["x-request-id"]
    refused = http.send("HEAD", path, headers={"authorization": None})
    assert (refused.status, refused.body) == (401, b"")


def test_permanent_refusals_say_so(http, client, store):
    http.ok("POST", f"/vector_stores/{store.id}/embeddings", {"content": "x"})
    reply = http.delete(f"/vector_stores/{store.id}?mode=restrict")
    check(reply, 409)
    assert reply.headers["x-should-retry"] == "false"
    key = {"idempotency-key": uuid.uuid4().hex}
    http.ok("POST", f"/vector_stores/{store.id}", {"name": "a"}, headers=key)
    reply = http.post(f"/vector_stores/{store.id}", {"name": "b"}, headers=key)
    assert (reply.status, reply.headers["x-should-retry"]) == (422, "false")


def test_nothing_of_an_error_is_none_or_html(http):
    for path in ("/files/None", "/vector_stores/None", "/vector_stores/%3Cscript%3E"):
        error = check(http.get(path), 400, "invalid_value")
        assert '"None"' not in json.dumps(error)


# ---- Models and embeddings ----


def test_models_are_listed_and_retrieved_by_name(client, http):
    names = [model.id for model in client.models.list()]
    assert "local" in names and len(names) == len(set(names)) >= 2
    for name in names:
        model = client.models.retrieve(name)
        assert (model.id, model.object, model.owned_by) == (name, "model", "vectorstore")
    error = check(http.get("/models/gpt-4"), 404, "model_not_found", "model")
    assert error["message"] == "The model 'gpt-4' does not exist."


def embed(http, input, **options):
    return http.post("/embeddings", {"model": "local", "input": input, "encoding_format": "base64", **options})


def test_the_limits_of_embeddings(http):
    """Texts are counted in tokens of cl100k_base; each ' a' is one."""
    assert len(embed(http, ["x"] * 2048).json()["data"]) == 2048
    check(embed(http, ["x"] * 2049), 400, "array_above_max_length", "input")
    assert embed(http, " a" * 8192).status == 200
    check(embed(http, " a" * 8193), 400, "context_length_exceeded", "input")
    assert embed(http, [264] * 8192).status == 200
    check(embed(http, [264] * 8193), 400, "array_above_max_length", "input")
    assert embed(http, [" a" * 8000] * 37 + [" a" * 4000]).status == 200
    check(embed(http, [" a" * 8000] * 37 + [" a" * 4001]), 400, "context_length_exceeded", "input")
    check(embed(http, [[264] * 8000] * 37 + [[264] * 4001]), 400, "context_length_exceeded", "input")


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"dimensions": 0}, "integer_below_min_value", "dimensions"),
        ({"dimensions": 1.5}, "invalid_type", "dimensions"),
        ({"dimensions": 255}, "invalid_value", "dimensions"),
        ({"encoding_format": "hex"}, "invalid_value", "encoding_format"),
        ({"encoding_format": 1}, "invalid_type", "encoding_format"),
        ({"model": "gpt-4"}, "model_not_found", "model"),
        ({"model": None}, "missing_required_parameter", "model"),
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": ""}, "empty_string", "input"),
        ({"input": []}, "empty_array", "input"),
        ({"input": [[]]}, "empty_array", "input[0]"),
        ({"input": [100_256]}, "invalid_value", "input"),
        ({"user": 7}, "invalid_type", "user"),
    ],
)
def test_bad_options_of_embeddings(http, options, code, param):
    check(http.post("/embeddings", {"model": "local", "input": "x", **options}), 400, code, param)


def test_dimensions_may_name_the_models_own(http):
    assert embed(http, "x", dimensions=256).json() == embed(http, "x").json()
