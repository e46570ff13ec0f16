"""API keys over HTTP: made, changed, replaced, ended; and what each restriction keeps from whom."""

import json
import time
import uuid

import pytest

from http_client import UNKNOWN, check
from tenancy import new_tenant, upload_file, wait_for_files

KEYS = {
    "object", "id", "created_at", "name", "tenant", "role", "vector_store_ids", "allowed_ips", "filter", "expires_at",
    "revoked_at", "last_used_at", "status",
}  # fmt: skip


@pytest.fixture(scope="module")
def operator(proxies):
    """Of a proxy that believes what clients on this machine say about addresses."""
    return proxies(ingest_wait=5, trusted_proxies="127.0.0.1").http


@pytest.fixture
def tenant(operator):
    tenant = new_tenant(operator)
    yield tenant
    operator.ok("DELETE", f"/admin/tenants/{tenant.id}?mode=cascade")


def status(http, path="/vector_stores", **options):
    return http.get(path, **options).status


def test_a_key_is_shown_once(tenant):
    reply = tenant.admin.post("/api_keys", {"name": "billing", "role": "write"})
    made = reply.json()
    assert reply.status == 200 and reply.headers["cache-control"] == "no-store"
    assert set(made) == KEYS | {"key"}
    assert (made["object"], made["tenant"], made["name"], made["role"]) == ("api_key", tenant.id, "billing", "write")
    assert made["id"].startswith("key_") and made["status"] == "active"
    secret = made.pop("key")
    assert status(tenant.with_key(secret)) == 200
    assert tenant.admin.ok("GET", f"/api_keys/{made['id']}") | {"last_used_at": None} == made
    listed = tenant.admin.ok("GET", "/api_keys")
    assert [key["id"] for key in listed["data"]][0] == made["id"] == listed["first_id"]
    assert secret.split("_")[-1] not in json.dumps(listed)


def test_the_least_is_the_default(tenant):
    made = tenant.admin.ok("POST", "/api_keys", {})
    assert (made["role"], made["name"], made["expires_at"], made["vector_store_ids"]) == ("read", "", None, None)


def test_lists_have_pages(tenant):
    made = [tenant.make_key(name=str(number))["id"] for number in range(4)]
    newest = tenant.admin.ok("GET", "/api_keys?limit=2")
    assert [key["id"] for key in newest["data"]] == made[:1:-1] and newest["has_more"]
    older = tenant.admin.ok("GET", f"/api_keys?limit=2&after={newest['last_id']}")
    assert [key["id"] for key in older["data"]] == made[1::-1]
    oldest = tenant.admin.ok("GET", f"/api_keys?order=asc&limit=2&after={made[0]}")
    assert [key["id"] for key in oldest["data"]] == made[1:3]


def test_a_deleted_key_is_nobodys_at_once(tenant):
    made = tenant.make_key()
    http = tenant.with_key(made["key"])
    assert status(http) == 200
    gone = tenant.admin.ok("DELETE", f"/api_keys/{made['id']}")
    assert gone == {"id": made["id"], "object": "api_key.deleted", "deleted": True}
    check(http.get("/vector_stores"), 401, "invalid_api_key")


def test_a_change_is_in_force_with_the_next_request(tenant):
    made = tenant.make_key("write")
    http, path = tenant.with_key(made["key"]), f"/api_keys/{made['id']}"
    store = http.ok("POST", "/vector_stores", {"name": "a"})["id"]
    assert tenant.admin.ok("PUT", path, {"role": "read", "name": "b"})["role"] == "read"
    check(http.delete(f"/vector_stores/{store}"), 403, "insufficient_permissions")
    tenant.admin.ok("PUT", path, {"role": "write", "expires_at": int(time.time()) + 3600})
    changed = tenant.admin.ok("PUT", path, {"expires_at": None})
    assert (changed["name"], changed["role"], changed["expires_at"]) == ("b", "write", None)
    assert http.delete(f"/vector_stores/{store}").status == 200


def test_a_key_expires(tenant):
    made = tenant.make_key("read", expires_at=int(time.time()) + 2)
    http = tenant.with_key(made["key"])
    assert status(http) == 200
    deadline = time.monotonic() + 10
    while status(http) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    check(http.get("/vector_stores"), 401, "invalid_api_key")
    assert tenant.admin.ok("GET", f"/api_keys/{made['id']}")["status"] == "expired"


@pytest.mark.parametrize(
    "body, param",
    [
        ({"expires_at": 1}, "expires_at"),
        ({"allowed_ips": ["10.0.0.0/33"]}, "allowed_ips"),
        ({"allowed_ips": ["10.0.0.1/8"]}, "allowed_ips"),
        ({"role": "write", "filter": {"type": "eq", "key": "a", "value": 1}}, "role"),
        ({"role": "owner"}, "role"),
        ({"filter": {"type": "in", "key": "a", "value": 1}}, None),
        ({"vector_store_ids": ["x"]}, "vector_store_ids"),
    ],
)
def test_impossible_keys_are_refused(tenant, body, param):
    error = tenant.admin.post("/api_keys", body).error(400)
    assert param is None or error["param"] == param
    assert len(tenant.admin.ok("GET", "/api_keys")["data"]) == 1


def test_a_rotated_key_has_a_successor_while_both_work(tenant, own_database):
    store = tenant.admin.ok("POST", "/vector_stores", {"name": "a"})["id"]
    settings = {"name": "n", "role": "write", "vector_store_ids": [store], "allowed_ips": ["127.0.0.0/8"]}
    old = tenant.admin.ok("POST", "/api_keys", settings)
    new = tenant.admin.ok("POST", f"/api_keys/{old['id']}/rotate")
    assert {name: new[name] for name in settings} == settings
    assert new["id"] != old["id"] and new["key"] != old["key"] and new["expires_at"] is None
    clients = [tenant.with_key(key["key"]) for key in (old, new)]
    assert [status(http) for http in clients] == [200, 200]
    ends = tenant.admin.ok("GET", f"/api_keys/{old['id']}")["expires_at"]
    assert abs(ends - time.time() - 86400) < 60
    own_database.all("UPDATE vectorstore.api_keys SET expires_at = now() WHERE key_id = %s RETURNING 1", old["id"])
    assert [status(http) for http in clients] == [401, 200]
    last = tenant.admin.ok("POST", f"/api_keys/{new['id']}/rotate", {"overlap_seconds": 0})
    assert status(clients[1]) == 401 and status(tenant.with_key(last["key"])) == 200


def test_a_rotated_key_keeps_what_its_predecessors_made(tenant):
    store = tenant.admin.ok("POST", "/vector_stores", {"name": "a"})["id"]
    old = tenant.make_key("write", vector_store_ids=[store])
    file = upload_file(tenant.with_key(old["key"]), "A text.")
    upload = {"filename": "f.txt", "purpose": "assistants", "bytes": 4, "mime_type": "text/plain"}
    upload = tenant.with_key(old["key"]).ok("POST", "/uploads", upload)["id"]
    middle = tenant.admin.ok("POST", f"/api_keys/{old['id']}/rotate", {"overlap_seconds": 60})
    new = tenant.admin.ok("POST", f"/api_keys/{middle['id']}/rotate", {"overlap_seconds": 60})
    # What is remembered does not hang on the row of a key that is gone.
    tenant.admin.ok("DELETE", f"/api_keys/{middle['id']}")
    last = upload_file(tenant.with_key(new["key"]), "Another text.")
    for key in (old, new):
        http = tenant.with_key(key["key"])
        assert {entry["id"] for entry in http.ok("GET", "/files")["data"]} == {file, last}
    assert tenant.client("write", vector_store_ids=[store]).get(f"/files/{file}").status == 404
    http = tenant.with_key(new["key"])
    assert http.ok("POST", f"/uploads/{upload}/cancel")["status"] == "cancelled"
    http.ok("DELETE", f"/files/{file}")


def test_a_key_that_has_ended_has_no_successor(tenant, own_database):
    old, other = tenant.make_key("read"), tenant.make_key("read")
    tenant.admin.ok("POST", f"/api_keys/{old['id']}/rotate", {"overlap_seconds": 0})
    check(tenant.admin.post(f"/api_keys/{old['id']}/rotate"), 400, param="key_id")
    assert own_database.one("SELECT vs_revoke_api_key(%s, %s)", other["id"], tenant.id)
    check(tenant.admin.post(f"/api_keys/{other['id']}/rotate"), 400, param="key_id")


def test_an_answer_with_a_key_is_never_stored(tenant, own_database):
    headers = {"idempotency-key": uuid.uuid4().hex}
    made = tenant.make_key()
    for path in ("/api_keys", f"/api_keys/{made['id']}/rotate"):
        check(tenant.admin.post(path, {}, headers=headers), 400, "unsupported_parameter", "Idempotency-Key")
    assert len(tenant.admin.ok("GET", "/api_keys")["data"]) == 2
    # Elsewhere the header works, and what is stored belongs to the key, not to its address.
    first = tenant.admin.post("/vector_stores", {"name": "a"}, headers=headers)
    away = tenant.admin.post("/vector_stores", {"name": "a"}, headers=headers | {"x-forwarded-for": "192.0.2.7"})
    assert first.status == 200 and away.body == first.body
    stored = own_database.all("SELECT key_hash FROM vectorstore.idempotency_keys WHERE name = %s", *headers.values())
    assert [len(key) for [key] in stored] == [32]


def test_a_key_is_bound_to_networks(tenant):
    http = tenant.client("read", allowed_ips=["192.0.2.0/24", "2001:db8::/32"])
    for address, expected in [
        ("192.0.2.7", 200),
        ("::ffff:192.0.2.7", 200),
        ("2001:db8::7", 200),
        ("192.0.3.7", 401),
        ("192.0.2.7, 198.51.100.1", 401),
        ("198.51.100.1, 192.0.2.7", 200),
        ("unknown", 401),
        (None, 401),
    ]:
        assert status(http, headers={"x-forwarded-for": address}) == expected, address
    local = tenant.client("read", allowed_ips=["127.0.0.1/32"])
    assert status(local) == 200
    assert status(local, headers={"x-forwarded-for": "192.0.2.7"}) == 401


def test_nobody_is_believed_who_is_no_proxy(tenant, start_proxy):
    http = tenant.client("read", allowed_ips=["192.0.2.0/24"])
    http.address = start_proxy().http.address
    assert status(http, headers={"x-forwarded-for": "192.0.2.7"}) == 401


def test_a_key_narrowed_to_stores(tenant):
    inside, outside = (tenant.admin.ok("POST", "/vector_stores", {"name": name})["id"] for name in ("in", "out"))
    http = tenant.client("write", vector_store_ids=[inside])
    assert [store["id"] for store in http.ok("GET", "/vector_stores")["data"]] == [inside]
    check(http.post("/vector_stores", {"name": "new"}), 403, "insufficient_permissions")
    theirs = upload_file(tenant.admin, "theirs")
    own = upload_file(http, "own")
    assert [file["id"] for file in http.ok("GET", "/files")["data"]] == [own]
    check(http.get(f"/files/{theirs}"), 404)
    check(http.post(f"/vector_stores/{inside}/files", {"file_id": theirs}), 404)
    tenant.admin.ok("POST", f"/vector_stores/{inside}/files", {"file_id": theirs})
    assert http.get(f"/files/{theirs}/content").body == b"theirs"
    # What others may need is not the narrowed key's to delete.
    check(http.delete(f"/files/{theirs}"), 403, "insufficient_permissions")
    assert http.delete(f"/files/{own}").status == 200
    check(http.get(f"/vector_stores/{outside}"), 404)
    # A narrowed administrator could make itself a key that is not.
    check(tenant.client("admin", vector_store_ids=[inside]).get("/api_keys"), 403, "insufficient_permissions")


@pytest.fixture
def papers(tenant):
    """A store with open and secret texts and files."""
    http = tenant.admin
    store = http.ok("POST", "/vector_stores", {"name": "papers"})["id"]
    texts = [
        {"content": f"A {level} memo about harvests, number {number}.", "metadata": {"level": level, "number": number}}
        for number in range(6)
        for level in ("open", "secret")
    ]
    http.ok("POST", f"/vector_stores/{store}/embeddings/batch", {"embeddings": texts})
    files = {}
    for level in ("open", "secret"):
        files[level] = upload_file(http, f"A {level} report about harvests.")
        body = {"file_id": files[level], "attributes": {"level": level}}
        http.ok("POST", f"/vector_stores/{store}/files", body)
    wait_for_files(http, store)
    return store, files


def test_a_key_with_a_filter_reads_what_passes_it(tenant, papers):
    store, files = papers
    mandatory = {"type": "eq", "key": "level", "value": "open"}
    made = tenant.make_key("read", filter=mandatory)
    assert made["filter"] == mandatory
    http, path = tenant.with_key(made["key"]), f"/vector_stores/{store}"
    everything = tenant.admin.ok("GET", f"{path}/embeddings?limit=100")["data"]
    hidden = [text for text in everything if text["metadata"].get("level") != "open"]
    assert len(everything) == 14 and len(hidden) == 7

    def search(**body):
        answer = http.ok("POST", f"{path}/search", {"query": "secret memo harvests", "max_num_results": 50} | body)
        assert {result["attributes"]["level"] for result in answer["data"]} <= {"open"}
        assert "secret memo" not in json.dumps(answer["data"])
        return answer

    assert len(search()["data"]) == 7
    for mode in ("keyword_only", "vector_only", "list"):
        assert len(search(search_mode=mode)["data"]) == 7, mode
    assert search(filters={"type": "eq", "key": "level", "value": "secret"})["data"] == []
    negated = {"type": "or", "filters": [{"type": "ne", "key": "level", "value": "open"}, mandatory]}
    assert len(search(filters=negated)["data"]) == 7
    assert len(search(filters={"type": "lt", "key": "number", "value": 2})["data"]) == 2
    # Pages and counts.
    first = search(max_num_results=4)
    second = search(max_num_results=4, page=first["next_page"])
    assert len(first["data"]) + len(second["data"]) == 7 and not second["has_more"]
    for mode in ("list", "hybrid"):
        facets = search(search_mode=mode, facets=["level"])["facets"]
        assert facets["level"]["values"] == [{"value": "open", "count": 7}], mode
    # A page of somebody who may see more.
    body = {"query": "secret memo harvests", "max_num_results": 4}
    page = tenant.admin.ok("POST", f"{path}/search", body)["next_page"]
    check(http.post(f"{path}/search", body | {"page": page}), 400, param="page")
    # The texts and the files.
    listed = http.ok("GET", f"{path}/embeddings?limit=100&include=embedding")["data"]
    assert len(listed) == 7 and all(text["metadata"]["level"] == "open" for text in listed)
    for text in hidden:
        unknown = http.get(f"{path}/embeddings/emb_{UNKNOWN}").body.replace(
            f"emb_{UNKNOWN}".encode(), text["id"].encode()
        )
        assert http.get(f"{path}/embeddings/{text['id']}").body == unknown
        check(http.get(f"{path}/embeddings?after={text['id']}"), 400)
    assert [file["id"] for file in http.ok("GET", f"{path}/files")["data"]] == [files["open"]]
    assert "open report" in http.get(f"{path}/files/{files['open']}/content").body.decode()
    for suffix in ("", "/content"):
        check(http.get(f"{path}/files/{files['secret']}{suffix}"), 404)
    for path in ("/files", f"/files/{files['open']}", f"/files/{files['open']}/content"):
        check(http.get(path), 403, "insufficient_permissions")


def nested(leaf, levels):
    """The filter, so many levels deep."""
    for _ in range(levels - 1):
        leaf = {"type": "or", "filters": [leaf]}
    return leaf


def test_filters_of_keys_and_of_searches_may_both_be_as_big_as_filters_are(tenant, papers):
    store, _ = papers
    secret = {"type": "eq", "key": "level", "value": "secret"}
    opened = {"type": "eq", "key": "level", "value": "open"}
    wide = [{"type": "in", "key": "level", "value": ["open", *(f"{part} {n}" for n in range(999))]} for part in range(10)]
    long = {"type": "or", "filters": [opened] * 511}
    for mandatory in (nested(opened, 32), {"type": "and", "filters": wide}, long):
        http = tenant.client("read", filter=mandatory)

        def search(filters, **body):
            body = {"query": "memo harvests", "max_num_results": 50, "filters": filters} | body
            return http.post(f"/vector_stores/{store}/search", body)

        for filters, hits in [
            (nested(secret, 32), 0),
            (nested({"type": "ne", "key": "level", "value": "x"}, 32), 7),
            ({"type": "or", "filters": [secret] * 511}, 0),
            ({"type": "and", "filters": wide}, 7),
            (nested({"type": "lt", "key": "number", "value": 2}, 32), 2),
            # How some clients say that they want none.
            ({}, 7),
            (None, 7),
        ]:
            for mode in ("hybrid", "vector_only", "keyword_only", "list"):
                reply = search(filters, search_mode=mode, facets=["level"])
                assert reply.status == 200, reply.body
                answer = reply.json()
                assert {result["attributes"]["level"] for result in answer["data"]} <= {"open"}
                assert len(answer["data"]) == hits, (filters, mode)
                # A listing counts all chunks, another search its candidates.
                assert all(value["value"] == "open" for value in answer["facets"]["level"]["values"])
        # One more is refused as it is to everybody, and the error says where, as the client counts.
        for filters in (nested(secret, 33), {"type": "or", "filters": [secret] * 512}, {"type": "eq", "key": "a"}):
            for mode in ("hybrid", "list"):
                own, theirs = (
                    client.post(f"/vector_stores/{store}/search", {"query": "x", "filters": filters, "search_mode": mode})
                    for client in (http, tenant.admin)
                )
                assert check(own, 400) == check(theirs, 400)
    check(tenant.admin.post("/api_keys", {"role": "read", "filter": nested(opened, 33)}), 400)


def test_a_page_shows_nothing_that_has_become_secret(tenant, papers):
    """The list is frozen by its first page; what a key may see is not."""
    store, files = papers
    http, path = tenant.client("read", filter={"level": "open"}), f"/vector_stores/{store}"
    for mode in ("keyword_only", "list"):
        body = {"query": "memo report harvests", "max_num_results": 1, "search_mode": mode}
        first = http.ok("POST", f"{path}/search", body)
        assert first["has_more"]
        for text in tenant.admin.ok("GET", f"{path}/embeddings?limit=100")["data"]:
            if text["metadata"]["level"] == "open" and "number" in text["metadata"]:
                changed = {"metadata": text["metadata"] | {"level": "secret", "was": "open"}}
                tenant.admin.ok("PATCH", f"{path}/embeddings/{text['id']}", changed)
        tenant.admin.ok("POST", f"{path}/files/{files['open']}", {"attributes": {"level": "secret", "was": "open"}})
        rest = http.ok("POST", f"{path}/search", body | {"max_num_results": 50, "page": first["next_page"]})
        assert rest["data"] == [] and not rest["has_more"], mode
        for text in tenant.admin.ok("GET", f"{path}/embeddings?limit=100")["data"]:
            if "was" in text["metadata"] and "number" in text["metadata"]:
                changed = {"metadata": {"level": "open", "number": text["metadata"]["number"]}}
                tenant.admin.ok("PATCH", f"{path}/embeddings/{text['id']}", changed)
        tenant.admin.ok("POST", f"{path}/files/{files['open']}", {"attributes": {"level": "open"}})


def test_a_key_gives_no_more_than_it_has(tenant, operator):
    for body in ({"role": "operator"}, {"role": "operator", "name": "x"}):
        check(tenant.admin.post("/api_keys", body), 403, "insufficient_permissions")
    stronger = operator.ok("POST", f"/api_keys?tenant={tenant.id}", {"role": "operator"})
    path = f"/api_keys/{stronger['id']}"
    for method, where, body in (
        ("PUT", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/rotate", {}),
    ):
        check(tenant.admin.send(method, where, body), 403, "insufficient_permissions")
    operator.ok("DELETE", f"{path}?tenant={tenant.id}")


def test_tenants_come_and_go(operator):
    name = f"t-{uuid.uuid4().hex[:10]}"
    made = operator.ok("POST", "/admin/tenants", {"id": name, "name": "Acme"})
    assert (made["object"], made["id"], made["name"], made["vector_stores"]) == ("tenant", name, "Acme", 0)
    check(operator.post("/admin/tenants", {"id": name}), 409)
    for bad in ("", "A", "a b", "-a", "a" * 64, "ä"):
        check(operator.post("/admin/tenants", {"id": bad}), 400, param="id")
    assert operator.ok("PUT", f"/admin/tenants/{name}", {"name": "Acme Ltd"})["name"] == "Acme Ltd"
    assert name in [tenant["id"] for tenant in operator.ok("GET", "/admin/tenants?limit=100")["data"]]
    http = operator.ok("POST", f"/api_keys?tenant={name}", {"role": "write"})["key"]
    headers = {"authorization": f"Bearer {http}"}
    operator.ok("POST", "/vector_stores", {"name": "a"}, headers=headers)
    assert operator.ok("GET", f"/admin/tenants/{name}")["vector_stores"] == 1
    check(operator.delete(f"/admin/tenants/{name}"), 409)
    gone = operator.ok("DELETE", f"/admin/tenants/{name}?mode=cascade")
    assert gone == {"id": name, "object": "tenant.deleted", "deleted": True}
    check(operator.get("/vector_stores", headers=headers), 401, "invalid_api_key")
    check(operator.get(f"/admin/tenants/{name}"), 404)
