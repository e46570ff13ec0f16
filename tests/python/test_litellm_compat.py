"""What only the setting --litellm-compat changes: answers as those of litellm-pgvector, for clients that parse no others."""

import pytest


@pytest.fixture(scope="module")
def compat(another_proxy):
    """A second proxy on the same database, in litellm-pgvector's manner."""
    return another_proxy(VECTORSTORE_LITELLM_COMPAT="true")[0]


def test_the_query_comes_back_as_a_string_and_20_results_are_the_default(http, compat, store):
    rows = [{"content": f"text {n}", "metadata": {"n": n}} for n in range(30)]
    http.ok("POST", f"/vector_stores/{store.id}/embeddings/batch", {"embeddings": rows})
    path = f"/vector_stores/{store.id}/search"
    for root in (False, True):
        page = compat.ok("POST", path, {"query": "text"}, root=root)
        assert page["search_query"] == "text" and len(page["data"]) == 20
    assert len(compat.ok("POST", path, {"query": "text", "limit": 3})["data"]) == 3
    bare = compat.ok("POST", path, {"query": "text", "return_metadata": False})
    assert bare["search_query"] == "text" and all(item["attributes"] == {} for item in bare["data"])
    assert compat.ok("POST", path, {"query": ["text", "more"]})["search_query"] == ["text", "more"]
    plain = http.ok("POST", path, {"query": "text"})
    assert plain["search_query"] == ["text"] and len(plain["data"]) == 10


def test_a_text_without_a_file_stands_for_itself(http, compat, store):
    inserted = http.ok("POST", f"/vector_stores/{store.id}/embeddings", {"content": "alone"})
    [item] = compat.ok("POST", f"/vector_stores/{store.id}/search", {"query": "alone"})["data"]
    assert (item["file_id"], item["filename"]) == (inserted["id"], "document.txt")
