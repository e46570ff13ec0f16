"""The texts of a store one by one over HTTP: list, read, replace, change, delete, with versions against lost updates."""

import concurrent.futures
import uuid

import pytest

from http_client import check

TEXTS = ["Cats sleep most of the day.", "Rockets burn liquid oxygen.", "Bread needs flour and water."]
TOPICS = ["cats", "rockets", "bread"]


@pytest.fixture
def filled(http, store):
    """The path of a store's texts, and their ids."""
    path = f"/vector_stores/{store.id}/embeddings"
    rows = [{"content": text, "metadata": {"topic": topic}} for text, topic in zip(TEXTS, TOPICS, strict=True)]
    return path, [row["id"] for row in http.ok("POST", f"{path}/batch", {"embeddings": rows})["data"]]


def usage(http, path):
    return http.ok("GET", path.removesuffix("/embeddings"))["usage_bytes"]


def search(http, path, query, **options):
    page = http.ok("POST", path.replace("/embeddings", "/search"), {"query": query, **options})
    return [item["content"][0]["text"] for item in page["data"]]


def test_a_text_is_read_with_its_vector(http, filled):
    path, ids = filled
    reply = http.get(f"{path}/{ids[0]}")
    body = reply.json()
    assert reply.headers["etag"] == '"1"'
    assert len(body.pop("embedding")) == 256
    assert body.pop("updated_at") == body.pop("created_at")
    assert body == {
        "id": ids[0],
        "object": "embedding",
        "vector_store_id": path.split("/")[2],
        "content": TEXTS[0],
        "metadata": {"topic": "cats"},
        "file_id": None,
        "filename": None,
        "version": 1,
    }


def test_texts_are_paged_in_the_order_of_their_writing(http, filled):
    path, ids = filled

    def page(query):
        return http.ok("GET", f"{path}?{query}")

    def walk(query, cursor):
        found, answer = [], page(query)
        while True:
            found += [item["id"] for item in answer["data"]]
            if not answer["has_more"]:
                return found
            answer = page(f"{query}&{cursor}={answer['last_id']}")

    assert walk("limit=1&order=asc", "after") == ids
    assert walk("limit=2", "after") == ids[::-1]
    assert [item["id"] for item in page(f"order=asc&before={ids[2]}&limit=1")["data"]] == [ids[1]]
    answer = page("order=asc")
    assert (answer["first_id"], answer["last_id"], answer["has_more"]) == (ids[0], ids[2], False)
    assert "embedding" not in answer["data"][0] and len(page("include=embedding")["data"][0]["embedding"]) == 256
    for query, param in (("after=emb_none", "after"), ("limit=0", "limit"), ("order=up", "order"), ("include=x", "include")):
        check(http.get(f"{path}?{query}"), 400, param=param)


def test_a_new_text_gets_a_new_vector_and_is_found_at_once(http, filled):
    path, ids = filled
    before = http.ok("GET", f"{path}/{ids[0]}")
    used = usage(http, path)
    reply = http.send("PATCH", f"{path}/{ids[0]}", {"content": "Walruses have tusks."})
    after = reply.json()
    assert reply.status == 200 and reply.headers["etag"] == '"2"' and after["version"] == 2
    assert after["metadata"] == before["metadata"] and after["embedding"] != before["embedding"]
    assert search(http, path, "walrus tusks", max_num_results=1) == ["Walruses have tusks."]
    assert usage(http, path) == used + len("Walruses have tusks.") - len(TEXTS[0])
    # New metadata alone leave the vector alone.
    changed = http.ok("PATCH", f"{path}/{ids[0]}", {"metadata": {"topic": "sea"}})
    assert changed["embedding"] == after["embedding"] and changed["version"] == 3
    assert search(http, path, "walrus", filters={"topic": "sea"}) == ["Walruses have tusks."]
    assert search(http, path, "walrus", filters={"topic": "cats"}) == []
    # Nothing to change is no change.
    assert http.ok("PATCH", f"{path}/{ids[0]}", {"content": None, "metadata": None})["version"] == 3


def test_a_replacement_forgets_what_is_absent(http, filled):
    path, ids = filled
    vector = [1.0] + [0.0] * 255
    body = http.ok("PUT", f"{path}/{ids[1]}", {"content": "new", "embedding": vector})
    assert (body["content"], body["metadata"], body["version"]) == ("new", {}, 2) and body["embedding"] == vector
    body = http.ok("PUT", f"{path}/{ids[1]}", {"content": "new", "metadata": {"a": [1]}})
    assert body["metadata"] == {"a": [1]} and body["embedding"] != vector
    check(http.send("PUT", f"{path}/{ids[1]}", {"metadata": {}}), 400, "missing_required_parameter", "content")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"embedding": [1.0] * 255}, "invalid_value", "embedding"),
        ({"embedding": [0.0] * 256}, "invalid_value", "embedding"),
        ({"embedding": []}, "empty_array", "embedding"),
        ({"metadata": [1]}, "invalid_type", "metadata"),
        ({"content": 7}, "invalid_type", "content"),
        ({"content": "x" * 262145}, "string_above_max_length", "content"),
    ],
)
def test_a_bad_change_changes_nothing(http, filled, body, code, param):
    path, ids = filled
    check(http.send("PATCH", f"{path}/{ids[0]}", body), 400, code, param)
    assert http.ok("GET", f"{path}/{ids[0]}")["version"] == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_lost_update_is_refused(http, filled, method):
    path, ids = filled
    body = None if method == "DELETE" else {"content": "mine"}
    http.ok("PATCH", f"{path}/{ids[0]}", {"content": "theirs"})
    for stale in ('"1"', "1", 'W/"2"', '"x"', '"1", "3"'):
        reply = http.send(method, f"{path}/{ids[0]}", body, headers={"if-match": stale})
        check(reply, 412, "version_mismatch", "If-Match")
    assert http.ok("GET", f"{path}/{ids[0]}")["content"] == "theirs"
    for n, match in enumerate(('"2"', "*", '"1", "4"')):
        if method != "DELETE":
            assert http.ok(method, f"{path}/{ids[0]}", {"content": f"{n}"}, headers={"if-match": match})
    if method == "DELETE":
        http.ok(method, f"{path}/{ids[0]}", headers={"if-match": '"2"'})


def test_of_concurrent_writers_with_the_same_version_one_wins(http, filled):
    path, ids = filled

    def write(n):
        return http.send("PATCH", f"{path}/{ids[0]}", {"metadata": {"n": n}}, headers={"if-match": '"1"'}).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(8))) == [200] + [412] * 7
    assert http.ok("GET", f"{path}/{ids[0]}")["version"] == 2


def test_a_deleted_text_is_gone_at_once(http, filled):
    path, ids = filled
    answer = http.ok("DELETE", f"{path}/{ids[0]}")
    assert answer == {"id": ids[0], "object": "embedding.deleted", "deleted": True}
    assert TEXTS[0] not in search(http, path, "cats sleep")
    for method, body in (("GET", None), ("PUT", {"content": "x"}), ("PATCH", {"content": "x"}), ("DELETE", None)):
        error = check(http.send(method, f"{path}/{ids[0]}", body), 404, None, "embedding_id")
        assert ids[0] in error["message"]
    http.ok("POST", f"{path}/batch", {"embeddings": [{"content": "x"}]})
    http.ok("DELETE", f"{path}/batch", {"filter": {}, "expected_count": 3})
    assert usage(http, path) == 0


def test_texts_are_deleted_by_ids_or_by_a_filter(http, filled):
    path, ids = filled

    def delete(**body):
        return http.send("DELETE", f"{path}/batch", body)

    def left():
        return len(http.ok("GET", path)["data"])

    rockets = {"type": "in", "key": "topic", "value": ["rockets", "bread"]}
    assert delete(filter=rockets, dry_run=True).json() == {
        "object": "embedding.batch.deleted",
        "deleted": 2,
        "dry_run": True,
    }
    check(delete(filter=rockets, expected_count=3), 412, "count_mismatch", "expected_count")
    assert left() == 3
    assert delete(filter=rockets, expected_count=2).json()["deleted"] == 2
    assert left() == 1
    assert delete(ids=[ids[0], "unknown"]).json()["deleted"] == 1
    assert left() == 0
    check(delete(), 400, param="ids")
    check(delete(ids=["a"], filter={}), 400, param="ids")
    check(delete(ids=[]), 400, "empty_array", "ids")
    check(delete(filter={}), 400, "missing_required_parameter", "expected_count")
    check(delete(filter={"type": "like", "key": "a", "value": "b"}), 400)
    check(delete(ids=["a"], expected_count=-1), 400, "integer_below_min_value", "expected_count")


def test_the_text_alone_is_enough_to_insert(http, store):
    path = f"/vector_stores/{store.id}/embeddings"
    inserted = http.ok("POST", path, {"content": "Penguins cannot fly."})
    vector = http.ok("GET", f"{path}/{inserted['id']}")["embedding"]
    embedded = http.ok("POST", "/embeddings", {"model": "local", "input": "Penguins cannot fly.", "encoding_format": "float"})
    assert vector == pytest.approx(embedded["data"][0]["embedding"], abs=1e-6)


def test_a_store_with_something_in_it_survives_a_restricted_delete(http, client, filled):
    path, ids = filled
    target = path.removesuffix("/embeddings")
    reply = http.delete(f"{target}?mode=restrict")
    check(reply, 409, "vector_store_not_empty", "mode")
    assert reply.headers["x-should-retry"] == "false"
    check(http.delete(f"{target}?mode=gently"), 400, "invalid_value", "mode")
    http.ok("DELETE", f"{path}/batch", {"ids": ids})
    assert http.ok("DELETE", f"{target}?mode=restrict")["deleted"] is True
    full = http.ok("POST", "/vector_stores", {"name": "full"})["id"]
    http.ok("POST", f"/vector_stores/{full}/embeddings", {"content": "x"})
    assert http.ok("DELETE", f"/vector_stores/{full}?mode=cascade")["deleted"] is True


def test_sql_does_the_same(http, database, filled):
    path, ids = filled
    store = path.split("/")[2]

    def one(query, *arguments):
        return database.execute(query, arguments).fetchone()[0]

    assert one("SELECT vs_update(%s, %s, content => 'changed')", store, ids[0]) == 2
    assert one("SELECT vs_update(%s, %s, metadata => '{\"a\": 1}', expected_version => 2)", store, ids[0]) == 3
    for query, state in (
        ("SELECT vs_update(%s, %s, content => 'x', expected_version => 2)", "44000"),
        ("SELECT vs_update(%s, %s || 'x', content => 'x')", "P0002"),
        ("SELECT vs_delete_where(%s, jsonb_build_object('topic', %s::text), expected_count => 1)", "44000"),
        ("SELECT vs_delete_store(%s, mode => substr('restrict', 1, length(%s)))", "2BP01"),
    ):
        with pytest.raises(Exception) as caught:
            one(query, store, ids[0])
        assert caught.value.sqlstate == state, caught.value
    rows = database.execute("SELECT id, content, version FROM vs_list(%s)", [store]).fetchall()
    # What was changed was written last.
    assert [row[0] for row in rows] == [*ids[1:], ids[0]] and rows[2][1:] == ("changed", 3)
    rows = database.execute("SELECT id FROM vs_list(%s, 1, after => %s)", [store, ids[1]]).fetchall()
    assert [row[0] for row in rows] == [ids[2]]
    assert one("SELECT id FROM vs_list(%s, filter => '{\"topic\": \"bread\"}')", store) == ids[2]
    assert one("SELECT vs_delete_where(%s, '{\"topic\": \"bread\"}', dry_run => true)", store) == 1
    assert one("SELECT vs_delete_where(%s, '{\"topic\": \"bread\"}')", store) == 1
    assert len(http.ok("GET", path)["data"]) == 2


def test_an_id_of_any_characters_is_reached(http, store, database):
    odd = f"a/b c%{uuid.uuid4().hex[:6]}é"
    database.execute("SELECT vs_upsert(%s, 'odd', %s)", [store.id, odd])
    from urllib.parse import quote

    path = f"/vector_stores/{store.id}/embeddings/{quote(odd, safe='')}"
    assert http.ok("GET", path)["id"] == odd
    assert http.ok("DELETE", path)["id"] == odd


def test_changes_of_packed_texts_are_found(http, database, store):
    """In segments, too: an old text is not found any more, a new one is."""
    path = f"/vector_stores/{store.id}/embeddings"
    rows = [{"content": f"text number {n}", "metadata": {"n": n}} for n in range(200)]
    ids = [row["id"] for row in http.ok("POST", f"{path}/batch", {"embeddings": rows})["data"]]
    database.execute("SET vectorstore.tail_limit = 100")
    database.execute("SELECT vs_merge(%s)", [store.id])
    http.ok("PATCH", f"{path}/{ids[7]}", {"content": "an aardvark digs"})
    assert search(http, path, "aardvark", search_mode="keyword_only") == ["an aardvark digs"]
    assert http.ok("DELETE", f"{path}/batch", {"filter": {"type": "gte", "key": "n", "value": 100}})["deleted"] == 100
    assert len(search(http, path, "text number", search_mode="keyword_only", max_num_results=50)) == 50
    listed = http.ok("POST", path.replace("/embeddings", "/search"), {"query": "", "search_mode": "list", "limit": 100})
    assert len(listed["data"]) == 100 and not listed["has_more"]
