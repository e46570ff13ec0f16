"""Embedding providers that fail: what is tried again, when that ends, and what works without them."""

import email.utils
import time

import openai
import pytest

import provider as scripted
from provider_proxy import embed, fill, fresh


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
