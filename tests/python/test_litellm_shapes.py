"""What LiteLLM's `pg_vector` provider and users of litellm-pgvector send, byte for byte: explicit nulls, no OpenAI-Beta
header, paths without /v1, flat filters, and vectors inserted next to their texts.
"""

import time

import pytest

TEXTS = ["Cats sleep most of the day.", "Rockets burn liquid oxygen.", "Bread needs flour and water."]


@pytest.fixture
def vectors(http):
    answer = http.ok("POST", "/embeddings", {"model": "local", "input": TEXTS, "encoding_format": "float"})
    return [item["embedding"] for item in answer["data"]]


@pytest.fixture
def filled(http, store, vectors):
    """Id of a store with the texts, inserted with vectors and metadata."""
    rows = [
        {"content": text, "embedding": vector, "metadata": {"topic": topic, "filename": f"{topic}.txt", "rank": n}}
        for n, (text, vector, topic) in enumerate(zip(TEXTS, vectors, ("cats", "rockets", "bread"), strict=True))
    ]
    http.ok("POST", f"/vector_stores/{store.id}/embeddings/batch", {"embeddings": rows})
    return store.id


def contents(page):
    return [part["text"] for item in page["data"] for part in item["content"]]


def test_health_needs_no_key(http):
    for path in ("/health", "/v1/health"):
        reply = http.get(path, root=True, headers={"authorization": None})
        body = reply.json()
        assert reply.status == 200 and body["status"] == "healthy"
        assert isinstance(body["timestamp"], int) and abs(body["timestamp"] - time.time()) < 60


def test_create_with_explicit_nulls(http):
    body = {"name": "lite", "file_ids": None, "expires_after": None, "chunking_strategy": None, "metadata": None}
    store = http.ok("POST", "/vector_stores", body)
    assert store["object"] == "vector_store" and store["id"].startswith("vs_") and store["name"] == "lite"
    assert store["metadata"] == {} and "expires_after" not in store
    counts = store["file_counts"]
    assert counts["total"] == sum(n for name, n in counts.items() if name != "total") == 0
    assert isinstance(store["last_active_at"], int)
    http.ok("DELETE", f"/vector_stores/{store['id']}")


def test_search_with_explicit_nulls(http, filled):
    body = {
        "query": "where do cats sleep?",
        "filters": None,
        "max_num_results": None,
        "ranking_options": None,
        "rewrite_query": None,
    }
    page = http.ok("POST", f"/vector_stores/{filled}/search", body)
    assert page["object"] == "vector_store.search_results.page" and page["search_query"] == [body["query"]]
    best = page["data"][0]
    assert best["content"] == [{"type": "text", "text": TEXTS[0]}]
    assert best["filename"] == "cats.txt" and best["file_id"]
    assert best["attributes"] == {"topic": "cats", "filename": "cats.txt", "rank": 0}
    several = http.ok("POST", f"/vector_stores/{filled}/search", body | {"query": ["cats", "rockets"]})
    assert {"cats.txt", "rockets.txt"} <= {item["filename"] for item in several["data"][:2]}


def test_every_route_answers_without_the_prefix_too(http, filled):
    body = {"query": "oxygen"}
    prefixed = http.ok("POST", f"/vector_stores/{filled}/search", body)
    assert http.ok("POST", f"/vector_stores/{filled}/search", body, root=True) == prefixed
    assert http.ok("GET", f"/vector_stores/{filled}", root=True)["id"] == filled
    assert http.ok("GET", "/vector_stores?limit=1", root=True)["object"] == "list"


def test_store_ids_may_be_url_encoded(http, filled):
    encoded = filled.replace("_", "%5F")
    assert http.ok("POST", f"/vector_stores/{encoded}/search", {"query": "oxygen"})["data"]


def test_limit_is_an_alias_with_its_own_maximum(http, filled):
    path = f"/vector_stores/{filled}/search"
    assert len(http.ok("POST", path, {"query": "bread", "limit": 2})["data"]) == 2
    assert len(http.ok("POST", path, {"query": "bread", "limit": 100})["data"]) == 3
    assert http.post(path, {"query": "bread", "limit": 101}).error(400)["param"] == "limit"


def test_flat_filters_are_joined_by_and(http, filled):
    path = f"/vector_stores/{filled}/search"

    def found(filters):
        return contents(http.ok("POST", path, {"query": "anything at all", "filters": filters}))

    assert found({"topic": "rockets"}) == [TEXTS[1]]
    assert found({"topic": "rockets", "rank": 1}) == [TEXTS[1]]
    assert found({"topic": "rockets", "rank": 2}) == []
    assert len(found({})) == 3


def test_metadata_can_be_left_out_of_results(http, filled):
    path = f"/vector_stores/{filled}/search"
    without = http.ok("POST", path, {"query": "bread", "return_metadata": False})["data"]
    assert without and all(item["attributes"] == {} for item in without)
    assert (
        http.ok("POST", path, {"query": "bread", "return_metadata": True})["data"][0]["attributes"]["topic"] == "bread"
    )


@pytest.mark.parametrize("root", [False, True], ids=["with /v1", "without /v1"])
@pytest.mark.parametrize("with_vector", [True, False])
def test_insert_one_text(http, store, vectors, with_vector, root):
    body = {"content": TEXTS[0], "metadata": {"topic": "cats", "nested": {"a": [1, None]}}}
    if with_vector:
        body["embedding"] = vectors[0]
    inserted = http.ok("POST", f"/vector_stores/{store.id}/embeddings", body, root=root)
    assert set(inserted) == {"id", "object", "vector_store_id", "content", "metadata", "created_at"}
    assert inserted["object"] == "embedding" and inserted["vector_store_id"] == store.id
    assert inserted["content"] == TEXTS[0] and inserted["metadata"] == body["metadata"]
    assert isinstance(inserted["created_at"], int) and abs(inserted["created_at"] - time.time()) < 60
    page = http.ok("POST", f"/vector_stores/{store.id}/search", {"query": TEXTS[0], "search_mode": "vector_only"})
    [item] = page["data"]
    assert item["score"] == pytest.approx(1, abs=1e-6) and item["filename"] == "document.txt"


def test_nulls_in_an_insert_are_absent(http, store):
    body = {"content": TEXTS[1], "embedding": None, "metadata": None}
    assert http.ok("POST", f"/vector_stores/{store.id}/embeddings", body)["metadata"] == {}
    assert contents(http.ok("POST", f"/vector_stores/{store.id}/search", {"query": "rockets"})) == [TEXTS[1]]


def test_a_batch_keeps_its_order_and_may_mix_vectors_and_none(http, store, vectors):
    rows = [{"content": text, "metadata": {"n": n}} for n, text in enumerate(TEXTS)]
    rows[1]["embedding"] = vectors[0]
    batch = http.ok("POST", f"/vector_stores/{store.id}/embeddings/batch", {"embeddings": rows})
    assert set(batch) == {"object", "data", "created"}
    assert batch["object"] == "embedding.batch" and isinstance(batch["created"], int)
    assert [item["content"] for item in batch["data"]] == TEXTS
    assert [item["metadata"] for item in batch["data"]] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert len({item["id"] for item in batch["data"]}) == 3
    near = http.ok(
        "POST", f"/vector_stores/{store.id}/search", {"query": TEXTS[0], "search_mode": "vector_only", "limit": 2}
    )
    assert sorted(contents(near)) == sorted(TEXTS[:2]), "the given vector counts, not the text"


def test_a_batch_is_all_or_nothing(http, store, vectors):
    path = f"/vector_stores/{store.id}/embeddings/batch"
    rows = [{"content": TEXTS[0], "embedding": vectors[0]}, {"content": TEXTS[1], "embedding": vectors[1][:-1]}]
    message = http.post(path, {"embeddings": rows}).error(400)["message"]
    assert "255" in message and "256" in message
    assert http.post(path, {"embeddings": []}).error(400)["code"] == "empty_array"
    assert contents(http.ok("POST", f"/vector_stores/{store.id}/search", {"query": TEXTS[0]})) == []


def test_a_store_for_vectors_of_another_model(http, make_store):
    store = make_store(extra_body={"embedding_model": "none", "dimensions": 3}).id
    rows = [{"content": "east", "embedding": [1, 0, 0]}, {"content": "north", "embedding": [0, 1, 0]}]
    http.ok("POST", f"/vector_stores/{store}/embeddings/batch", {"embeddings": rows})
    path = f"/vector_stores/{store}/search"
    page = http.ok("POST", path, {"query": "compass", "embedding": [0.1, 0.9, 0], "search_mode": "vector_only"})
    assert contents(page) == ["north", "east"]
    assert contents(http.ok("POST", path, {"query": "east"})) == ["east"], "without a vector, words alone decide"
    error = http.post(f"/vector_stores/{store}/embeddings", {"content": "west"}).error(400)
    assert (error["code"], error["param"]) == ("missing_required_parameter", "embedding")


def test_an_unknown_store_is_not_found_on_every_route(http):
    unknown = "/vector_stores/vs_" + "a" * 32
    for path, body in (
        ("/search", {"query": "x"}),
        ("/embeddings", {"content": "x"}),
        ("/embeddings/batch", {"embeddings": [{"content": "x"}]}),
    ):
        error = http.post(unknown + path, body).error(404)
        assert error["message"].startswith("No vector store found with id 'vs_") and error["code"] is None
