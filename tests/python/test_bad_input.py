"""Bad input is answered with a 4xx and the whole error object, quickly, and harms neither the proxy nor Postgres."""

import hashlib

import psycopg
import pytest

from http_client import ANY, UNKNOWN, check

pytestmark = pytest.mark.usefixtures("postgres_survives", "proxy_survives")


def vector(**changed):
    """A vector of 256 numbers, as JSON text; one of them is replaced by the given text."""
    return "[" + ", ".join([*(["0.1"] * 255), changed.get("last", "0.1")]) + "]"


def insert(embedding):
    return b'{"content": "text", "embedding": %s}' % embedding.encode()


def nested_filter(depth):
    return '{"type": "and", "filters": [' * depth + '{"type": "eq", "key": "a", "value": 1}' + "]}" * depth


def wide_filter(nodes):
    return '{"type": "or", "filters": [' + ", ".join(['{"type": "eq", "key": "a", "value": 1}'] * nodes) + "]}"


def search_filter(text):
    return b'{"query": "x", "filters": %s}' % text.encode()


def comparison(type, value):
    return search_filter(f'{{"type": "{type}", "key": "a", "value": {value}}}')


def ranking(**options):
    return {"query": "x", "ranking_options": options}


def expiry(days):
    return {"expires_after": {"anchor": "last_active_at", "days": days}}


def chunks(size, overlap):
    numbers = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return {"chunking_strategy": {"type": "static", "static": numbers}}


ABOVE, BELOW, LONG = "integer_above_max_value", "integer_below_min_value", "string_above_max_length"
MISSING, TYPE, VALUE = "missing_required_parameter", "invalid_type", "invalid_value"
NUMBERS = "chunking_strategy.static."
THRESHOLD = "ranking_options.score_threshold"
STORES = "/vector_stores"
SEARCH = "/vector_stores/{store}/search"
INSERT = "/vector_stores/{store}/embeddings"

# Name: (path, body, code, param). All are 400; None as code or param means null, ANY means whatever.
BODIES = {
    "not JSON": (STORES, b"hello", None, None),
    "truncated JSON": (SEARCH, b'{"query": "x"', None, None),
    "trailing JSON": (SEARCH, b'{"query": "x"} {"query": "y"}', None, None),
    "JSON that is no object": (SEARCH, b'["query"]', None, None),
    "only a byte order mark": (STORES, b"\xef\xbb\xbf", None, None),
    "depth 100,000 of arrays": (STORES, b"[" * 100_000, None, None),
    "depth 100,000 of objects": (SEARCH, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, None, None),
    "invalid UTF-8": (SEARCH, b'{"query": "\xff\xfe"}', None, None),
    "overlong UTF-8": (SEARCH, b'{"query": "\xc0\x80"}', None, None),
    "NUL in a string": (SEARCH, b'{"query": "a\\u0000b"}', VALUE, "query"),
    "NUL in a key": (STORES, b'{"metadata": {"a\\u0000": "b"}}', VALUE, ANY),
    "NUL in a filter": (SEARCH, comparison("eq", '"\\u0000"'), VALUE, ANY),
    "raw NUL byte": (SEARCH, b'{"query": "a\x00b"}', None, None),
    "lone surrogate": (SEARCH, b'{"query": "\\ud800"}', None, None),
    "surrogates in the wrong order": (STORES, b'{"name": "\\udc00\\ud800"}', None, None),
    "NaN": (INSERT, insert(vector(last="NaN")), None, None),
    "Infinity": (INSERT, insert(vector(last="-Infinity")), None, None),
    "1e39, too large for 32 bits": (INSERT, insert(vector(last="1e39")), ANY, "embedding[255]"),
    "1e999, too large for 64 bits": (INSERT, insert(vector(last="1e999")), ANY, ANY),
    "null in a vector": (INSERT, insert(vector(last="null")), TYPE, "embedding[255]"),
    "zero vector": (INSERT, insert(str([0] * 256)), VALUE, "embedding"),
    "vector that underflows to zero": (INSERT, insert(str([1e-60] * 256)), VALUE, "embedding"),
    "vector of 255": (INSERT, insert(str([0.1] * 255)), VALUE, "embedding"),
    "vector of 257": (INSERT, insert(str([0.1] * 257)), VALUE, "embedding"),
    "empty vector": (INSERT, insert("[]"), "empty_array", "embedding"),
    "vector of 16,001": (INSERT, insert(str([0.1] * 16_001)), "array_above_max_length", "embedding"),
    "search by a vector of 255": (SEARCH, {"query": "x", "embedding": [0.1] * 255}, VALUE, "embedding"),
    "search by a zero vector": (SEARCH, {"query": "x", "embedding": [0] * 256}, VALUE, "embedding"),
    "integer above 64 bits": (
        SEARCH,
        b'{"query": "x", "max_num_results": 18446744073709551616}',
        ANY,
        "max_num_results",
    ),
    "integer above 63 bits": (SEARCH, {"query": "x", "max_num_results": 2**63}, ABOVE, "max_num_results"),
    "integer below 64 bits": (
        SEARCH,
        b'{"query": "x", "max_num_results": -9223372036854775809}',
        ANY,
        "max_num_results",
    ),
    "no results wanted": (SEARCH, {"query": "x", "max_num_results": 0}, BELOW, "max_num_results"),
    "51 results wanted": (SEARCH, {"query": "x", "max_num_results": 51}, ABOVE, "max_num_results"),
    "half a result wanted": (SEARCH, {"query": "x", "max_num_results": 1.5}, TYPE, "max_num_results"),
    "missing query": (SEARCH, {}, MISSING, "query"),
    "no body": (SEARCH, None, MISSING, "query"),
    "null query": (SEARCH, {"query": None}, MISSING, "query"),
    "empty query": (SEARCH, {"query": ""}, ANY, "query"),
    "blank query": (SEARCH, {"query": " \n\t "}, ANY, "query"),
    "query of a wrong type": (SEARCH, {"query": {"text": "x"}}, TYPE, "query"),
    "no queries": (SEARCH, {"query": []}, "empty_array", "query"),
    "1,000 queries": (SEARCH, {"query": ["x"] * 1000}, "array_above_max_length", "query"),
    "query of 1 MB": (SEARCH, {"query": "word " * 200_000}, LONG, "query"),
    "query of 8,192 wide characters": (SEARCH, {"query": "数" * 8192}, LONG, "query"),
    "threshold above one": (SEARCH, ranking(score_threshold=1.01), "decimal_above_max_value", THRESHOLD),
    "threshold below zero": (SEARCH, ranking(score_threshold=-0.1), "decimal_below_min_value", THRESHOLD),
    "unknown ranker": (SEARCH, ranking(ranker="best"), VALUE, "ranking_options.ranker"),
    "no weight": (SEARCH, {"query": "x", "vector_weight": 0, "keyword_weight": 0}, ANY, ANY),
    "negative weight": (SEARCH, {"query": "x", "vector_weight": -1}, "decimal_below_min_value", "vector_weight"),
    "unknown fusion": (SEARCH, {"query": "x", "fusion": "best"}, VALUE, "fusion"),
    "unknown combination": (SEARCH, {"query": "x", "combine": "min"}, VALUE, "combine"),
    "negative rank constant": (SEARCH, {"query": "x", "rrf_k": -1}, "decimal_below_min_value", "rrf_k"),
    "blank negative query": (SEARCH, {"query": "x", "negative_query": [" "]}, ANY, "negative_query[0]"),
    "nothing but a negative query": (SEARCH, {"negative_query": "x"}, MISSING, "query"),
    "more vectors than queries": (SEARCH, {"query": "x", "embeddings": [[1], [2]]}, VALUE, "embeddings"),
    "two kinds of vectors": (SEARCH, {"embedding": [1], "embeddings": [[1]]}, VALUE, "embeddings"),
    "infinite number in one of the vectors": (SEARCH, {"embeddings": [[1, 1e39]]}, ANY, "embeddings[0][1]"),
    "search by vectors of 255": (SEARCH, {"embeddings": [[0.1] * 255] * 2}, VALUE, "embeddings"),
    "search away from a vector of 255": (
        SEARCH,
        {"query": "x", "negative_embeddings": [[0.1] * 255]},
        VALUE,
        "negative_embeddings",
    ),
    "vectors that differ in length": (SEARCH, {"embeddings": [[1] * 256, [1]]}, VALUE, "embeddings[1]"),
    "leg's threshold above one": (SEARCH, {"query": "x", "vector_threshold": 2}, ANY, "vector_threshold"),
    "time before 1970": (SEARCH, {"query": "x", "created_after": -1}, BELOW, "created_after"),
    "time that is a text": (SEARCH, {"query": "x", "created_before": "2026-01-01"}, TYPE, "created_before"),
    "groups of none": (SEARCH, {"query": "x", "group_by": "a", "group_size": 0}, BELOW, "group_size"),
    "groups of nothing": (SEARCH, {"query": "x", "group_by": ""}, "empty_string", "group_by"),
    "33 facets": (SEARCH, {"query": "x", "facets": ["a"] * 33}, "array_above_max_length", "facets"),
    "facet that is a number": (SEARCH, {"query": "x", "facets": [1]}, TYPE, "facets[0]"),
    "page of nobody": (SEARCH, {"query": "x", "page": "abc"}, VALUE, "page"),
    "page of 1 MB": (SEARCH, {"query": "x", "page": "a" * 1_000_000}, LONG, "page"),
    "page of a listing of nobody": (SEARCH, {"search_mode": "list", "page": "AAAA"}, VALUE, "page"),
    "listing in groups": (SEARCH, {"search_mode": "list", "group_by": "a"}, VALUE, "group_by"),
    "filter of an unknown type": (SEARCH, comparison("like", '"b"'), VALUE, "filters.type"),
    "filter that is a string": (SEARCH, search_filter('"a = 1"'), TYPE, "filters"),
    "filter without a value": (SEARCH, search_filter('{"type": "eq", "key": "a"}'), MISSING, ANY),
    "filter with a null value": (SEARCH, comparison("eq", "null"), ANY, ANY),
    "scalar for in": (SEARCH, comparison("in", '"b"'), TYPE, "filters.value"),
    "array for eq": (SEARCH, comparison("eq", '["b"]'), TYPE, "filters.value"),
    "filter of depth 60": (SEARCH, search_filter(nested_filter(60)), ANY, ANY),
    "filter of depth 100": (SEARCH, search_filter(nested_filter(100)), ANY, ANY),
    "in with 10,000 values": (SEARCH, comparison("in", list(range(10_000))), "array_above_max_length", ANY),
    "filter of 10,000 nodes": (SEARCH, search_filter(wide_filter(10_000)), ANY, ANY),
    "17 pairs of metadata": (STORES, {"metadata": {f"k{n}": "v" for n in range(17)}}, ANY, "metadata"),
    "metadata key of 65": (STORES, {"metadata": {"k" * 65: "v"}}, LONG, ANY),
    "metadata value of 513": (STORES, {"metadata": {"k": "v" * 513}}, LONG, "metadata.k"),
    "metadata value that is a number": (STORES, {"metadata": {"k": 1}}, TYPE, "metadata.k"),
    "metadata that is a list": (STORES, {"metadata": ["k"]}, TYPE, "metadata"),
    "name of 257": (STORES, {"name": "n" * 257}, LONG, "name"),
    "name that is a number": (STORES, {"name": 5}, TYPE, "name"),
    "501 files": (STORES, {"file_ids": ["file-x"] * 501}, "array_above_max_length", "file_ids"),
    "expiry of 0 days": (STORES, expiry(0), BELOW, "expires_after.days"),
    "expiry of 366 days": (STORES, expiry(366), ABOVE, "expires_after.days"),
    "expiry without its anchor": (STORES, {"expires_after": {"days": 3}}, MISSING, "expires_after.anchor"),
    "chunking of an unknown type": (
        STORES,
        {"chunking_strategy": {"type": "contextual"}, "file_ids": []},
        VALUE,
        "chunking_strategy.type",
    ),
    "chunks of 99 tokens": (STORES, chunks(99, 0), BELOW, NUMBERS + "max_chunk_size_tokens"),
    "overlap above one half": (STORES, chunks(100, 51), ABOVE, NUMBERS + "chunk_overlap_tokens"),
    "content of a wrong type": (INSERT, {"content": ["x"]}, TYPE, "content"),
    "missing content": (INSERT, {"metadata": {}}, MISSING, "content"),
    "content without words": (INSERT, {"content": ""}, ANY, "content"),
    "content of 300 KB": (INSERT, {"content": "word " * 60_000}, LONG, "content"),
    "content of 262,144 wide characters": (INSERT, {"content": "数" * 262_144}, LONG, "content"),
    "metadata of 100 KB": (INSERT, {"content": "x", "metadata": {"k": "v" * 100_000}}, ANY, "metadata"),
    "batch of a wrong type": (INSERT + "/batch", {"embeddings": {"content": "x"}}, TYPE, "embeddings"),
    "batch with a string inside": (INSERT + "/batch", {"embeddings": ["x"]}, TYPE, "embeddings[0]"),
    "batch of 10,001": (
        INSERT + "/batch",
        {"embeddings": [{"content": "x"}] * 10_001},
        "array_above_max_length",
        "embeddings",
    ),
    "attributes with a list": (
        "/vector_stores/{store}/files",
        {"file_id": "file-" + UNKNOWN, "attributes": {"k": ["v"]}},
        TYPE,
        "attributes.k",
    ),
    "missing file id": ("/vector_stores/{store}/files", {}, MISSING, "file_id"),
    "file id of a wrong form": ("/vector_stores/{store}/files", {"file_id": "abc"}, VALUE, "file_id"),
    "missing attributes": ("/vector_stores/{store}/files/file-" + UNKNOWN, {}, MISSING, "attributes"),
    "embedding without input": ("/embeddings", {"model": "local"}, MISSING, "input"),
    "embedding without model": ("/embeddings", {"input": "x"}, MISSING, "model"),
    "embedding of nothing": ("/embeddings", {"model": "local", "input": ""}, ANY, "input"),
    "2,049 embeddings": ("/embeddings", {"model": "local", "input": ["x"] * 2049}, "array_above_max_length", "input"),
    "unknown encoding": (
        "/embeddings",
        {"model": "local", "input": "x", "encoding_format": "hex"},
        VALUE,
        "encoding_format",
    ),
    "unknown token": ("/embeddings", {"model": "local", "input": [[4_000_000_000]]}, ANY, ANY),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused(http, target, name):
    path, body, code, param = BODIES[name]
    check(http.post(path.format(store=target), body), 400, code, param)


@pytest.mark.parametrize("join", ["nestloop", "hashjoin", "mergejoin"])
def test_a_bad_search_of_an_empty_store_is_refused_whatever_the_plan(database, api_key, target, join):
    """A join with an empty table may skip its other side, and with it a check that stands there."""
    key = hashlib.sha256(api_key.encode()).digest()
    with database.transaction(force_rollback=True):
        for other in {"nestloop", "hashjoin", "mergejoin"} - {join}:
            database.execute(f"SET LOCAL enable_{other} = off")
        with pytest.raises(psycopg.Error) as caught, database.transaction():
            database.execute(
                """SELECT vectorstore.api_search(vectorstore._id_number('vs_', %(store)s), %(store)s, %(key)s,
                   ARRAY[' '], '{}', '{"k": 10}')""",
                {"store": target, "key": key},
            )
        assert caught.value.sqlstate == "22023"


QUERIES = {
    "limit 0": ("limit=0", "integer_below_min_value", "limit"),
    "limit 101": ("limit=101", "integer_above_max_value", "limit"),
    "limit -1": ("limit=-1", "integer_below_min_value", "limit"),
    "limit abc": ("limit=abc", "invalid_type", "limit"),
    "limit 1.5": ("limit=1.5", "invalid_type", "limit"),
    "empty limit": ("limit=", ANY, "limit"),
    "limit above 64 bits": ("limit=18446744073709551616", ANY, "limit"),
    "unknown order": ("order=sideways", "invalid_value", "order"),
    "unknown after": (f"after=vs_{UNKNOWN}", "invalid_value", "after"),
    "unknown before": (f"before=vs_{UNKNOWN}", "invalid_value", "before"),
    "cursor of another form": ("after=%27%3B--", "invalid_value", "after"),
    "cursor with NUL": ("after=vs_%00", "invalid_value", "after"),
    "cursor of 10,000": ("after=" + "a" * 10_000, ANY, "after"),
}


@pytest.mark.parametrize("path", [STORES, "/vector_stores/{store}/files"])
@pytest.mark.parametrize("name", QUERIES)
def test_a_bad_query_string_is_refused(http, target, name, path):
    query, code, param = QUERIES[name]
    check(http.get(f"{path.format(store=target)}?{query}"), 400, code, param)


def test_an_unknown_status_is_refused(http, target):
    check(http.get(f"/vector_stores/{target}/files?filter=lost"), 400, "invalid_value", "filter")


PATHS = {
    "id without its prefix": ("/vector_stores/abc123", 400, "invalid_value"),
    "id of one character": ("/vector_stores/x", 400, "invalid_value"),
    "unknown id": (f"/vector_stores/vs_{UNKNOWN}", 404, None),
    "id with a prefix only": ("/vector_stores/vs_", 404, None),
    "id of 10,000": ("/vector_stores/vs_" + "a" * 10_000, 400, "invalid_value"),
    "id with NUL": ("/vector_stores/vs_%00", 400, "invalid_value"),
    "id of invalid UTF-8": ("/vector_stores/vs_%ff%fe", 400, "invalid_value"),
    "id with a quote": ("/vector_stores/vs_'%20OR%201=1--", 404, None),
    "id with an encoded slash": ("/vector_stores/vs_a%2Fb", 404, None),
    "id with a right-to-left mark": ("/vector_stores/vs_%E2%80%AEabc", 404, None),
    "file of a wrong form": ("/vector_stores/{store}/files/abc", 400, "invalid_value"),
    "unknown file of a store": ("/vector_stores/{store}/files/file-" + UNKNOWN, 404, None),
    "unknown file": (f"/files/file-{UNKNOWN}", 404, None),
    "file id without its prefix": ("/files/abc123", 400, "invalid_value"),
    "file with NUL": ("/files/file-%00/content", 400, "invalid_value"),
    "unknown route": ("/assistants", 404, None),
    "route above the root": ("/../../etc/passwd", 404, None),
    "encoded route above the root": ("/%2e%2e/%2e%2e/etc/passwd", 404, None),
    "dots in place of an id": ("/vector_stores/../files", 400, "invalid_value"),
    "two slashes": ("//vector_stores", 404, None),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_bad_path_is_refused(http, target, name):
    path, status, code = PATHS[name]
    error = check(http.get(path.format(store=target)), status, code)
    if name == "unknown route":
        assert error["message"] == "Invalid URL (GET /v1/assistants)"
