"""Embedding providers: which models there are, and stores whose texts they embed."""

import subprocess

import openai
import pytest

import provider as scripted
from http_client import Http
from provider_proxy import MODELS, embed, fill, fresh


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


def test_nothing_is_embedded_without_a_key(other, second, provider, make_remote_store):
    store = make_remote_store("plain")
    fill(other, store)
    other.vector_stores.search(store.id, query=fresh())
    before = len(provider.sent("plain"))
    stranger = Http(second, "vs_live_" + "a" * 16 + "_" + "b" * 52)
    stranger.post(f"/vector_stores/{store.id}/search", {"query": fresh()}).error(401)
    stranger.post(f"/vector_stores/{store.id}/embeddings", {"content": fresh()}).error(401)
    assert len(provider.sent("plain")) == before


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
