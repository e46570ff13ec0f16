"""Every operation under every kind of key: what belongs to somebody else is not there, byte for byte.

The operations are those of the committed OpenAPI document; one that has no row in operations.py fails.
"""

import json
import re

import pytest

from http_client import UNKNOWN_KEY, check
from operations import RANK, ROWS, call, calls, operations, placeholders
from tenancy import UNKNOWN_IDS, new_tenant, upload_file, wait_for_files

ID = re.compile(rb"(vs_|file-|vsfb_|upload_|part_|emb_|key_)[a-z2-7]{16,}|vs_live_[a-z2-7_]+")
TIME = re.compile(rb'"(created_at|expires_at|last_active_at)": ?\d+')
UNKNOWN = UNKNOWN_IDS | {"word": "word" + "a" * 11}
CALLS = [entry for entry in calls() if entry[1] != "open"]


def name_of(entry):
    name, _, variant = entry
    return f"{name} {variant.query}{json.dumps(variant.body) if variant.body else ''}"


each_call = pytest.mark.parametrize("entry", CALLS, ids=map(name_of, CALLS))


class World:
    """Two tenants that have everything, and keys of every kind."""

    def __init__(self, proxy, database):
        self.database = database
        self.operator = proxy.http
        self.mine, self.other = new_tenant(self.operator), new_tenant(self.operator)
        for tenant in (self.mine, self.other):
            tenant.fill()
            tenant.ids["word"] = tenant.word
            tenant.keys = {role: tenant.client(role) for role in ("read", "write")} | {"admin": tenant.admin}
        self.bad = self.make_bad_keys()
        # A store of mine with what the narrowed key may see, and nothing of it is in the store of `mine.ids`.
        side = self.mine.admin.ok("POST", "/vector_stores", {"name": "side"})["id"]
        self.narrow = self.mine.client("write", vector_store_ids=[side])
        self.narrow_admin = self.mine.client("admin", vector_store_ids=[side])
        file = upload_file(self.narrow, "A text on the side.")
        self.narrow.ok("POST", f"/vector_stores/{side}/files", {"file_id": file})
        wait_for_files(self.narrow, side)
        self.side = {"store": side, "file": file, "word": "side"}

    def make_bad_keys(self):
        mine, role = self.mine, "admin"
        revoked, expired, away = (
            mine.make_key(role),
            mine.make_key(role),
            mine.client(role, allowed_ips=["192.0.2.0/24"]),
        )
        assert self.database.one("SELECT vs_revoke_api_key(%s, %s)", revoked["id"], mine.id)
        self.database.all(
            "UPDATE vectorstore.api_keys SET expires_at = now() - interval '1 s' WHERE key_id = %s RETURNING 1",
            expired["id"],
        )
        deleted = mine.make_key(role)
        mine.admin.ok("DELETE", f"/api_keys/{deleted['id']}")
        return {
            "unknown": mine.with_key(UNKNOWN_KEY),
            "revoked": mine.with_key(revoked["key"]),
            "expired": mine.with_key(expired["key"]),
            "deleted": mine.with_key(deleted["key"]),
            "elsewhere": away,
        }

    def fingerprint(self):
        """All that `mine` has, as its administrator sees it; but not what belongs to the narrowed key."""
        http, ids = self.mine.admin, self.mine.ids
        store = f"/vector_stores/{ids['store']}"
        paths = [
            store,
            f"{store}/files",
            f"{store}/embeddings",
            f"{store}/file_batches/{ids['batch']}",
            f"/files/{ids['file']}",
        ]
        stores = [other for other in http.ok("GET", "/vector_stores")["data"] if other["id"] != self.side["store"]]
        keys = [key | {"last_used_at": None} for key in http.ok("GET", "/api_keys?limit=100")["data"]]
        return [http.ok("GET", path) for path in (*paths, "/admin/quotas")] + [stores, keys]


@pytest.fixture(scope="module")
def world(own_database, proxies):
    return World(proxies(ingest_wait=5), own_database)


def same(reply, ids):
    """An answer without what two answers may differ in: the ids that were sent, and in a success what is new."""
    body = reply.body
    for key, value in ids.items():
        body = body.replace(value.encode(), f"<{key}>".encode())
    if reply.status == 200:
        body = TIME.sub(rb"<time>", ID.sub(rb"<id>", body))
    # What is left of a rate limit changes with each request.
    fixed = [name for name in reply.headers if name not in VARYING and not name.startswith("x-ratelimit-")]
    headers = {name: reply.headers[name] for name in fixed}
    return reply.status, headers, body


VARYING = {"x-request-id", "openai-processing-ms", "date", "content-length"}


def check_hidden(http, entry, own, foreign):
    """What is somebody else's and what does not exist get the same answer: all of it, and each among own objects."""
    name, _, variant = entry
    places = placeholders(name, variant)
    choices = {frozenset(places)} | ({frozenset([place]) for place in places} if own.keys() >= set(places) else set())
    for choice in choices:
        sent, unknown = own | {key: foreign[key] for key in choice}, own | {key: UNKNOWN[key] for key in choice}
        theirs, nobodys = call(http, name, variant, sent), call(http, name, variant, unknown)
        sent, unknown = ({key: ids[key] for key in choice} for ids in (sent, unknown))
        # Where nothing is named, there is nothing to compare.
        assert same(theirs, sent) == same(nobodys, unknown) or not choice
        assert theirs.status in (200, 400, 403, 404), theirs.body
        path = {place for place in choice if f"{{{place}}}" in name}
        if path:
            assert theirs.status in (403, 404), theirs.body
        for key, value in foreign.items():
            if key not in choice:
                assert value.encode() not in theirs.body, key


def test_every_operation_has_its_row(repository):
    document = json.loads((repository / "proxy" / "openapi.json").read_text())
    assert operations(document) == ROWS.keys()


@each_call
def test_a_bad_key_gets_nowhere(world, entry):
    name, _, variant = entry
    ids = world.mine.ids
    for header, code in ((None, None), ("Bearer", None), ("Bearer sk-foreign", "invalid_api_key")):
        reply = call(world.mine.admin, name, variant, ids, headers={"authorization": header})
        assert reply.error(401)["code"] == code
    answers = {kind: call(http, name, variant, ids) for kind, http in world.bad.items()}
    assert answers["unknown"].error(401)["code"] == "invalid_api_key"
    for kind, reply in answers.items():
        assert same(reply, {}) == same(answers["unknown"], {}), kind


@each_call
def test_another_tenant_sees_nothing(world, entry):
    name, access, variant = entry
    before = world.fingerprint()
    for role, http in world.other.keys.items():
        if RANK[role] < RANK[access]:
            check_forbidden(http, entry, world.mine.ids)
        else:
            check_hidden(http, entry, world.other.ids, world.mine.ids)
    assert world.fingerprint() == before
    hits = world.other.admin.ok("POST", f"/vector_stores/{world.other.ids['store']}/search", {"query": world.mine.word})
    assert world.mine.word not in json.dumps(hits["data"])


def test_a_page_of_somebody_else_is_no_way_in(world):
    body = {"query": "text", "max_num_results": 1}
    mine, other = world.mine, world.other
    page = mine.admin.ok("POST", f"/vector_stores/{mine.ids['store']}/search", body)["next_page"]
    own = f"/vector_stores/{other.ids['store']}/search"
    assert other.admin.ok("POST", own, body)["next_page"] not in (None, page)
    check(other.admin.post(own, body | {"page": page}), 400, param="page")
    foreign = f"/vector_stores/{mine.ids['store']}/search"
    with_page, without = (other.admin.post(foreign, body | more) for more in ({"page": page}, {}))
    assert same(with_page, {}) == same(without, {}) and with_page.status == 404


def test_nobody_else_brings_a_deleted_store_back(world):
    mine = world.mine.admin
    store = mine.ok("POST", "/vector_stores", {"name": "deleted"})["id"]
    mine.ok("DELETE", f"/vector_stores/{store}")
    for http in (world.other.admin, world.narrow):
        answers = [http.post(f"/vector_stores/{id}/restore") for id in (store, UNKNOWN["store"])]
        assert same(answers[0], {"store": store}) == same(answers[1], {"store": UNKNOWN["store"]})
        assert answers[0].status == 404
    assert mine.get(f"/vector_stores/{store}").status == 404


def check_forbidden(http, entry, ids):
    """Whether what it names exists or not."""
    name, _, variant = entry
    for named in (ids, UNKNOWN):
        error = call(http, name, variant, named).error(403)
        assert (error["code"], error["type"]) == ("insufficient_permissions", "invalid_request_error")


@each_call
def test_a_key_narrowed_to_another_store_sees_nothing(world, entry):
    name, access, variant = entry
    before = world.fingerprint()
    if access in ("create", "admin", "operator"):
        check_forbidden(world.narrow, entry, world.mine.ids)
        check_forbidden(world.narrow_admin, entry, world.mine.ids)
    else:
        check_hidden(world.narrow, entry, world.side, world.mine.ids)
    assert world.fingerprint() == before


@each_call
def test_a_role_is_not_exceeded(world, entry):
    before = world.fingerprint()
    for role, http in world.mine.keys.items():
        if RANK[role] < RANK[entry[1]]:
            check_forbidden(http, entry, world.mine.ids)
    assert world.fingerprint() == before


@each_call
def test_the_right_key_may(world, entry):
    name, access, variant = entry
    reads = name.startswith("GET")
    tenant = world.mine if reads else new_tenant(world.operator)
    ids = tenant.ids if reads else tenant.fill() | {"word": tenant.word}
    role = {"search": "read", "create": "write"}.get(access, access)
    http = world.operator if role == "operator" else tenant.keys.get(role) or tenant.client(role)
    reply = call(http, name, variant, ids)
    assert reply.status == 200, reply.body
    if not reads and name != "DELETE /v1/admin/tenants/{tenant}":
        world.operator.ok("DELETE", f"/admin/tenants/{tenant.id}?mode=cascade")
