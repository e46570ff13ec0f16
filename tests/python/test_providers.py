"""Embedding providers: a second proxy of ours serves as one, and for faults a server that fails as it is told to."""

import email.utils
import subprocess
import time
import uuid
from urllib.parse import urlsplit

import openai
import pytest

import provider as scripted
from http_client import Http

ROLE = "vs_providers_test"
FACTS = {
    "harbor.txt": "The harbor master logs every vessel that enters the bay.",
    "bread.txt": "Knead the dough for ten minutes and let it rise.",
    "owl.txt": "Owls hunt mice in silence at night.",
}
MODEL = """
[models.{name}]
kind = "openai"
base_url = "{url}"
dimensions = 8
"""
# What each model of the scripted provider is for, and its settings.
MODELS = {
    "plain": 'api_key_env = "SCRIPTED_KEY"\nbatch_size = 10',
    "sized": "send_dimensions = true",
    "retried": "",
    "hopeless": "retries = 1",
    "cached": "",
    "renewed": 'model = "cached"\nrevision = "2"',
    "slow": "query_timeout_seconds = 1\nbreaker_failures = 100",
    "impatient": "timeout_seconds = 1\nretries = 0",
    "breaking": "retries = 0\nbreaker_failures = 3\nbreaker_seconds = 2",
    "degraded": "retries = 0\nbreaker_failures = 100",
    "flaky": "breaker_failures = 100",
}


@pytest.fixture(scope="module")
def provider():
    server = scripted.Provider()
    yield server
    server.close()


@pytest.fixture(scope="module")
def second(provider, proxy_program, database, database_url, base_url, api_key, tmp_path_factory):
    """Base URL of a second proxy on the same database, with providers."""
    database.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}' IN ROLE vectorstore_app;"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    parts = urlsplit(database_url)
    url = f"postgresql://{ROLE}:{ROLE}@127.0.0.1:{database.info.port}{parts.path}"
    folder = tmp_path_factory.mktemp("providers")
    entries = [MODEL.format(name=name, url=provider.url) + more + "\n" for name, more in MODELS.items()]
    mirror = MODEL.format(name="mirror", url=base_url).replace("= 8", "= 256") + 'model = "local"\napi_key_env = "MIRROR_KEY"\n'
    (folder / "providers.toml").write_text("".join(entries) + mirror)
    database.execute("DELETE FROM vectorstore.embedding_cache")
    with scripted.proxy(
        proxy_program,
        url,
        folder / "providers.toml",
        folder / "log",
        MIRROR_KEY=api_key,
        SCRIPTED_KEY="a secret",
    ) as address:
        yield address


@pytest.fixture(scope="module")
def other(second, api_key):
    with openai.OpenAI(base_url=second, api_key=api_key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def other_http(second, api_key):
    return Http(second, api_key)


@pytest.fixture
def make_remote_store(other):
    created = []

    def make(model):
        store = other.vector_stores.create(name=f"test-{uuid.uuid4().hex[:8]}", extra_body={"embedding_model": model})
        created.append(store.id)
        return store

    yield make
    for store in created:
        files = [file.id for file in other.vector_stores.files.list(store)]
        other.vector_stores.delete(store)
        for file in files:
            other.files.delete(file)


def embed(client, model, texts, **arguments):
    return [item.embedding for item in client.embeddings.create(model=model, input=texts, **arguments).data]


def fill(client, store):
    for name, text in FACTS.items():
        file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(name, text.encode()))
        assert (file.status, file.last_error) == ("completed", None)


def fresh():
    return f"text {uuid.uuid4().hex}"


def hits(database, model):
    row = "SELECT count(*), coalesce(sum(hits), 0)::int FROM vectorstore.embedding_cache WHERE model = %s"
    return database.execute(row, [model]).fetchone()


def test_all_models_are_listed(other, client):
    names = [model.id for model in other.models.list()]
    assert names[0] == "local" and set(names) >= {"mirror", *MODELS}
    assert "mirror" not in [model.id for model in client.models.list()], "the first proxy has none of them"


def test_a_proxy_is_a_provider_of_another_one(plain_client, other):
    texts = [f"sentence {n} of {fresh()}" for n in range(150)]
    assert embed(other, "mirror", texts) == embed(plain_client, "local", texts)
    assert embed(other, "mirror", texts, encoding_format="float") == embed(plain_client, "local", texts)


def test_a_store_with_a_remote_model_finds_what_a_local_one_finds(client, other, make_store, make_remote_store):
    local, remote = make_store(), make_remote_store("mirror")
    assert remote.embedding_model == "mirror" and remote.dimensions == 256
    fill(client, local)
    fill(other, remote)
    for question in ["Who writes down which ships arrive?", "how long to work the dough", '"at night"', "owls -mice", "-mice"]:
        for mode in ("hybrid", "vector_only"):
            if (question, mode) == ("-mice", "vector_only"):
                continue
            answers = []
            for api, store in ((client, local), (other, remote)):
                found = api.vector_stores.search(store.id, query=question, extra_body={"search_mode": mode}).data
                answers.append([(hit.filename, pytest.approx(hit.score, abs=1e-6)) for hit in found])
            assert [name for name, _ in answers[0]] == [name for name, _ in answers[1]]
            assert [score.expected for _, score in answers[0]] == [score for _, score in answers[1]]
    several = other.vector_stores.search(remote.id, query=["ships", "dough"], max_num_results=2).data
    assert {hit.filename for hit in several} == {"harbor.txt", "bread.txt"}


def test_texts_without_a_vector_are_embedded_for_their_store(other, other_http, make_remote_store):
    store = make_remote_store("mirror").id
    given = [0.5] * 256
    rows = [{"content": "Foxes sleep by day."}, {"content": "Own vector.", "embedding": given}, {"content": "Bees dance."}]
    other_http.ok("POST", f"/vector_stores/{store}/embeddings/batch", {"embeddings": rows})
    [best] = other.vector_stores.search(store, query="when do foxes sleep?", max_num_results=1).data
    assert best.content[0].text == "Foxes sleep by day."
    exact = other_http.ok("POST", f"/vector_stores/{store}/search", {"embedding": given, "search_mode": "vector_only"})
    assert exact["data"][0]["content"][0]["text"] == "Own vector."


def test_dimensions_come_from_the_model(other, other_http, make_remote_store):
    assert make_remote_store("plain").dimensions == 8
    for path, body in (
        ("/vector_stores", {"embedding_model": "plain", "dimensions": 9}),
        ("/embeddings", {"model": "plain", "input": "x", "dimensions": 9}),
    ):
        error = other_http.post(path, body).error(400)
        assert error["param"] == "dimensions" and "8 dimensions" in error["message"]
    for path, body, param in (
        ("/vector_stores", {"embedding_model": "unheard-of"}, "embedding_model"),
        ("/embeddings", {"model": "unheard-of", "input": "x"}, "model"),
    ):
        assert other_http.post(path, body).error(400)["param"] == param


def test_requests_are_batched_and_carry_the_key(other, provider):
    texts = [fresh() for _ in range(35)]
    assert embed(other, "plain", texts) == [scripted.vector(text) for text in texts]
    sent = provider.sent("plain")
    assert sorted(len(body["input"]) for body in sent) == [5, 10, 10, 10]
    assert all(body["encoding_format"] == "base64" and "dimensions" not in body for body in sent)
    headers = [headers for model, _, headers in provider.requests if model == "plain"]
    assert {header["authorization"] for header in headers} == {"Bearer a secret"}
    embed(other, "sized", [fresh()])
    assert provider.sent("sized")[0]["dimensions"] == 8


def test_a_provider_may_answer_with_numbers(other, provider):
    provider.script["plain"] = ["floats"]
    text = fresh()
    assert embed(other, "plain", [text]) == [scripted.vector(text)]


def test_equal_texts_are_asked_for_once(other, provider, database):
    text, before = fresh(), len(provider.sent("cached"))
    assert embed(other, "cached", [text] * 5) == [scripted.vector(text)] * 5
    assert embed(other, "cached", [text, fresh()])[0] == scripted.vector(text)
    sent = provider.sent("cached")[before:]
    assert [len(body["input"]) for body in sent] == [1, 1]
    deadline = time.monotonic() + 20
    while hits(database, "cached") != (2, 1):
        assert time.monotonic() < deadline, hits(database, "cached")
        time.sleep(0.2)
    [row] = database.execute(
        "SELECT revision, dimensions, used_at > created_at FROM vectorstore.embedding_cache WHERE hits > 0 AND model = 'cached'"
    ).fetchall()
    assert row == ("1", 8, True)


def test_another_revision_is_another_vector(other, provider):
    text, before = fresh(), len(provider.sent("cached"))
    for model in ("cached", "renewed", "cached", "renewed"):
        embed(other, model, [text])
    assert len(provider.sent("cached")) == before + 2, "both have the name 'cached' there"


def test_ingestion_and_search_use_the_cache(other, provider, make_remote_store):
    first, second = make_remote_store("cached"), make_remote_store("cached")
    fill(other, first)
    other.vector_stores.search(first.id, query="harbor master")
    before = len(provider.sent("cached"))
    fill(other, second)
    [best] = other.vector_stores.search(second.id, query="harbor master", max_num_results=1).data
    assert best.filename == "harbor.txt" and len(provider.sent("cached")) == before


def test_the_cache_is_shared_but_for_the_proxy_only(database):
    rights = "SELECT has_table_privilege(%s, 'vectorstore.embedding_cache', 'SELECT, INSERT, UPDATE, DELETE')"
    for role in (ROLE, "vectorstore_app", "vectorstore_admin"):
        assert database.execute(rights, [role]).fetchone() == (False,)
    for role, may in ((ROLE, False), ("vectorstore_app", False), ("vectorstore_admin", True)):
        view = "SELECT has_table_privilege(%s, 'vs_stat_embedding_cache', 'SELECT')"
        assert database.execute(view, [role]).fetchone() == (may,), "how much there is, and nothing of it"
    call = "SELECT has_function_privilege(%s, 'vectorstore.api_cached_embeddings(text,text,integer,bytea[])', 'EXECUTE')"
    assert database.execute(call, [ROLE]).fetchone() == (True,)
    assert database.execute(call, ["vectorstore_admin"]).fetchone() == (False,)


def test_the_cache_is_swept_by_age_and_size(database):
    with database.transaction(force_rollback=True):
        database.execute("DELETE FROM vectorstore.embedding_cache")
        database.execute(
            "INSERT INTO vectorstore.embedding_cache (model, revision, dimensions, input_hash, embedding, used_at)"
            " SELECT 'm', '1', 3, sha256(int4send(n)), '[1,2,3]', now() - make_interval(days => n) FROM generate_series(1, 100) n"
        )

        def sweep(size, days):
            [swept] = database.execute("SELECT vectorstore.api_sweep_cache(%s, %s)", [size, days * 86400]).fetchone()
            left = "SELECT count(*), max(now() - used_at) FROM vectorstore.embedding_cache"
            count, oldest = database.execute(left).fetchone()
            return swept, count, oldest.days

        assert sweep(10**9, 1000) == (0, 100, 100)
        assert sweep(10**9, 80) == (20, 80, 80)
        assert sweep(10 * 312, 1000) == (70, 10, 10), "the ones that were used last stay"


def test_the_cache_says_what_it_saves(database):
    with database.transaction(force_rollback=True):
        database.execute("DELETE FROM vectorstore.embedding_cache")
        assert database.execute("SELECT * FROM vs_stat_embedding_cache").fetchall() == []
        database.execute(
            "INSERT INTO vectorstore.embedding_cache (model, revision, dimensions, input_hash, embedding, hits)"
            " SELECT m, r, 3, sha256(int4send(n)), '[1,2,3]', h"
            " FROM (VALUES ('a', '1', 1, 0), ('a', '1', 2, 5), ('a', '1', 3, 2), ('a', '2', 1, 1), ('b', '1', 1, 0)) v (m, r, n, h)"
        )
        rows = database.execute(
            "SELECT model, revision, dimensions, rows, bytes, hits, rows_hit, used_at = now() AND oldest_at = now()"
            " FROM vs_stat_embedding_cache ORDER BY model, revision"
        ).fetchall()
        assert rows == [
            ("a", "1", 3, 3, 3 * 312, 7, 2, True),
            ("a", "2", 3, 1, 312, 1, 1, True),
            ("b", "1", 3, 1, 312, 0, 0, True),
        ]


def test_too_many_requests_and_server_errors_are_tried_again(other, provider):
    provider.script["retried"] = [(429, {"retry-after": 1}), 500, "close"]
    began, text = time.monotonic(), fresh()
    assert embed(other, "retried", [text]) == [scripted.vector(text)]
    assert len(provider.sent("retried")) == 4 and time.monotonic() - began >= 1


def in_seconds(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def test_a_pause_may_be_asked_for_by_a_date(other, provider):
    # Dates have whole seconds, so that three of them are at least two.
    provider.script["retried"] = [(503, {"retry-after": in_seconds(3)}), (429, {"retry-after": in_seconds(-60)})]
    began, text = time.monotonic(), fresh()
    assert embed(other, "retried", [text]) == [scripted.vector(text)]
    assert 1.9 <= time.monotonic() - began < 8


@pytest.mark.parametrize("after", ["seconds", "date"])
def test_a_provider_that_asks_for_a_long_pause_gets_it(other, provider, after):
    before = len(provider.sent("retried"))
    provider.script["retried"] = [(429, {"retry-after": 3600 if after == "seconds" else in_seconds(3600)})]
    with pytest.raises(openai.InternalServerError) as caught:
        embed(other, "retried", [fresh()])
    assert caught.value.status_code == 503 and len(provider.sent("retried")) == before + 1


@pytest.mark.parametrize(
    ("step", "status"),
    [
        (400, 400),
        (401, 500),
        (404, 500),
        ({"data": []}, 500),
        ({"nothing": 1}, 500),
        ({"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, 500),
        ({"data": [{"index": 7, "embedding": [1.0] * 8}]}, 500),
        ({"data": [{"index": 0, "embedding": "%%%"}]}, 500),
        ({"data": [], "more": "x" * 200_000}, 500),
    ],
)
def test_what_trying_again_cannot_help_is_not_tried_again(other_http, provider, step, status):
    before = len(provider.sent("flaky"))
    provider.script["flaky"] = [step]
    reply = other_http.post("/embeddings", {"model": "flaky", "input": fresh()})
    assert reply.status == status and set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert "as told" not in reply.body.decode(), "what the provider says is for our log"
    assert len(provider.sent("flaky")) == before + 1


def test_retries_end(other_http, provider):
    provider.script["hopeless"] = [500] * 10
    reply = other_http.post("/embeddings", {"model": "hopeless", "input": fresh()})
    assert reply.status == 503 and reply.headers["retry-after"] == "1"
    assert reply.json()["error"]["type"] == "server_error" and len(provider.sent("hopeless")) == 2


def test_a_slow_answer_is_given_up(other_http, provider):
    provider.script["impatient"] = [5.0]
    reply = other_http.post("/embeddings", {"model": "impatient", "input": fresh()})
    assert reply.status == 503 and reply.seconds < 4


def test_the_circuit_opens_and_closes(other_http, provider):
    def call():
        return other_http.post("/embeddings", {"model": "breaking", "input": fresh()}).status

    provider.script["breaking"] = [500] * 4
    assert [call() for _ in range(3)] == [503] * 3 and len(provider.sent("breaking")) == 3
    assert [call() for _ in range(5)] == [503] * 5
    assert len(provider.sent("breaking")) == 3, "it is left alone"
    time.sleep(2.1)
    assert call() == 503 and len(provider.sent("breaking")) == 4, "one tries, and fails"
    assert call() == 503 and len(provider.sent("breaking")) == 4
    time.sleep(2.1)
    assert [call() for _ in range(3)] == [200] * 3


def test_search_goes_by_words_when_the_model_is_down(other, other_http, provider, make_remote_store):
    store = make_remote_store("degraded")
    fill(other, store)
    path = f"/vector_stores/{store.id}/search"
    question = {"query": f"harbor vessel {fresh()}"}
    provider.script["degraded"] = [500]
    reply = other_http.post(path, question)
    assert reply.status == 200 and reply.headers["x-vectorstore-degraded"] == "keyword-only"
    assert [hit["filename"] for hit in reply.json()["data"]] == ["harbor.txt"]

    provider.script["degraded"] = [500]
    reply = other_http.post(path, question | {"search_mode": "vector_only"})
    assert reply.status == 503 and reply.json()["error"]["type"] == "server_error"

    reply = other_http.post(path, question | {"search_mode": "keyword_only"})
    assert reply.status == 200 and "x-vectorstore-degraded" not in reply.headers
    reply = other_http.post(path, question)
    assert reply.status == 200 and "x-vectorstore-degraded" not in reply.headers
    assert len(reply.json()["data"]) == 3, "vectors find the others, too"


def test_pages_of_a_degraded_search_go_on(other, other_http, provider, make_remote_store):
    store = make_remote_store("degraded")
    for n in range(3):
        other.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(f"{n}.txt", f"vessel {n}".encode()))
    path, question = f"/vector_stores/{store.id}/search", {"query": "vessel", "max_num_results": 1, "rewrite_query": True}
    provider.script["degraded"] = [500]
    seen, page = [], None
    while True:
        answer = other_http.ok("POST", path, question | ({"page": page} if page else {}))
        seen += [hit["filename"] for hit in answer["data"]]
        page = answer["next_page"]
        if not page:
            break
    assert sorted(seen) == ["0.txt", "1.txt", "2.txt"]


def test_nothing_is_embedded_without_a_key(other, second, provider, make_remote_store):
    store = make_remote_store("plain")
    fill(other, store)
    other.vector_stores.search(store.id, query=fresh())
    before = len(provider.sent("plain"))
    stranger = Http(second, "vs_live_" + "a" * 16 + "_" + "b" * 52)
    stranger.post(f"/vector_stores/{store.id}/search", {"query": fresh()}).error(401)
    stranger.post(f"/vector_stores/{store.id}/embeddings", {"content": fresh()}).error(401)
    assert len(provider.sent("plain")) == before


def test_a_search_waits_only_so_long(other, other_http, provider, make_remote_store):
    store = make_remote_store("slow")
    fill(other, store)
    provider.script["slow"] = [5.0]
    reply = other_http.post(f"/vector_stores/{store.id}/search", {"query": f"harbor {fresh()}"})
    assert reply.headers["x-vectorstore-degraded"] == "keyword-only" and 0.9 < reply.seconds < 4


def test_ingestion_outlasts_a_short_outage(other, provider, make_remote_store):
    store = make_remote_store("flaky")
    provider.script["flaky"] = [503, "close"]
    fill(other, store)


def test_a_file_is_tried_again_when_the_provider_is_down(other, provider, make_remote_store):
    store = make_remote_store("degraded")
    provider.script["degraded"] = [500, 503]
    file = other.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("again.txt", fresh().encode()), poll_interval_ms=100
    )
    assert (file.status, file.last_error) == ("completed", None)
    assert provider.script["degraded"] == []

    provider.script["degraded"] = [500] * 9
    file = other.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("never.txt", fresh().encode()), poll_interval_ms=100
    )
    assert (file.status, file.last_error.code) == ("failed", "server_error")
    assert len(provider.script["degraded"]) == 6, "three attempts"
    provider.script["degraded"] = [400]
    file = other.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("refused.txt", fresh().encode()), poll_interval_ms=100
    )
    assert (file.status, file.last_error.code) == ("failed", "invalid_file"), "at once"


def test_a_changed_passage_is_embedded_by_the_model_of_its_store(other_http, provider, make_remote_store):
    path = f"/vector_stores/{make_remote_store('plain').id}/embeddings"
    passage = other_http.ok("POST", path, {"content": fresh()})
    for method in ("PUT", "PATCH"):
        text = fresh()
        changed = other_http.ok(method, f"{path}/{passage['id']}", {"content": text})
        assert changed["embedding"] == pytest.approx(scripted.vector(text))
        vector = scripted.vector(fresh())
        changed = other_http.ok(method, f"{path}/{passage['id']}", {"content": fresh(), "embedding": vector})
        assert changed["embedding"] == pytest.approx(vector)
        changed = other_http.ok("PATCH", f"{path}/{passage['id']}", {"metadata": {"n": 1}})
        assert changed["embedding"] == pytest.approx(vector)


def test_a_proxy_without_the_provider_says_so(client, http, make_remote_store, make_file):
    """The first proxy on the same database does not know the model."""
    store = make_remote_store("plain")
    reply = http.post(f"/vector_stores/{store.id}/search", {"query": "anything", "search_mode": "vector_only"})
    assert reply.status in (400, 503)
    assert http.post(f"/vector_stores/{store.id}/search", {"query": "anything"}).status == 200
    file = make_file("late.txt", "Too late.")
    with pytest.raises(openai.BadRequestError) as caught:
        client.vector_stores.files.create(store.id, file_id=file.id)
    assert caught.value.param == "vector_store_id" and "'plain'" in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.m]\nkind = 'openai'\nbase_url = 'http://x/v1'\ndimensions = 8\napi_key_env = 'NOT_SET'", "NOT_SET is not set"),
        ("[models.m]\nkind = 'openai'\nbase_url = 'http://x/v1'", "dimensions"),
        ("nonsense", "line 1"),
    ],
)
def test_mistakes_in_the_file_end_the_start(proxy_program, tmp_path, text, message):
    path = tmp_path / "providers.toml"
    path.write_text(text)
    done = subprocess.run(
        [proxy_program, "serve", "--providers", str(path), "--listen", f"127.0.0.1:{scripted.free_port()}"],
        capture_output=True, text=True, timeout=30, check=False,
    )
    assert done.returncode != 0 and message in done.stderr and "providers.toml" in done.stderr
