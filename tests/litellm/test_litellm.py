"""LiteLLM's SDK against the running proxy, by both ways in: its provider `pg_vector`, made for litellm-pgvector, with a base
without /v1, and its provider `openai` with a base with /v1, which can do files, too. scripts/test-python starts this.
"""

import asyncio
import os
import uuid

# Before the import: no price list is fetched from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import litellm.vector_store_files.main as store_files
import litellm.vector_stores.main as stores
import pytest

BASE = os.environ["OPENAI_BASE_URL"].rstrip("/")
PROVIDERS = {
    "pg_vector": {"custom_llm_provider": "pg_vector", "api_base": BASE.removesuffix("/v1")},
    "openai": {"custom_llm_provider": "openai", "api_base": BASE},
}
TEXTS = ["Cats sleep most of the day.", "Rockets burn liquid oxygen.", "Bread needs flour and water."]


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return PROVIDERS[request.param] | {"api_key": os.environ["OPENAI_API_KEY"]}


@pytest.fixture
def openai_provider():
    return PROVIDERS["openai"] | {"api_key": os.environ["OPENAI_API_KEY"]}


@pytest.fixture
def store(provider):
    """Id of a store that is deleted after the test."""
    store = stores.create(name=f"litellm-{uuid.uuid4().hex[:8]}", metadata={"team": "a"}, **provider)
    yield store["id"]
    stores.delete(vector_store_id=store["id"], **provider)


@pytest.fixture
def filled(openai_provider, store):
    """The store with a file for each text, attached by LiteLLM, too, which drops attributes that are no strings."""
    files = []
    for n, text in enumerate(TEXTS):
        file = litellm.create_file(file=(f"text-{n}.txt", text.encode()), purpose="assistants", **openai_provider)
        attached = store_files.create(
            vector_store_id=store, file_id=file.id, attributes={"n": str(n)}, **openai_provider
        )
        assert (attached["id"], attached["status"]) == (file.id, "completed")
        files.append(file.id)
    yield store, files
    for file in files:
        litellm.file_delete(file_id=file, **openai_provider)


def test_a_store_is_created_with_the_fields_that_litellm_knows(provider):
    made = stores.create(
        name="made", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 2}, **provider
    )
    assert made["id"].startswith("vs_") and made["object"] == "vector_store" and made["name"] == "made"
    assert made["metadata"] == {"a": "b"} and made["status"] == "completed"
    assert made["expires_after"] == {"anchor": "last_active_at", "days": 2}
    counts = made["file_counts"]
    assert counts["total"] == sum(counts[key] for key in ("in_progress", "completed", "failed", "cancelled")) == 0
    stores.delete(vector_store_id=made["id"], **provider)


def test_a_store_is_retrieved_listed_updated_and_deleted(provider):
    made = stores.create(name="first", **provider)
    assert stores.retrieve(vector_store_id=made["id"], **provider)["name"] == "first"
    assert made["id"] in [store["id"] for store in stores.list(limit=100, **provider)["data"]]
    assert stores.update(vector_store_id=made["id"], name="second", **provider)["name"] == "second"
    assert stores.delete(vector_store_id=made["id"], **provider)["deleted"] is True
    # LiteLLM knows the status 404 of one provider, but not of the other.
    error = litellm.NotFoundError if provider["custom_llm_provider"] == "pg_vector" else litellm.BadRequestError
    with pytest.raises(error, match="No vector store found"):
        stores.search(vector_store_id=made["id"], query="x", **provider)


@pytest.mark.parametrize("query", ["where do cats sleep?", ["cats sleep", "a cat's day"]], ids=["text", "list"])
def test_a_search_finds_what_was_put_in(provider, filled, query):
    store, files = filled
    page = stores.search(vector_store_id=store, query=query, max_num_results=2, **provider)
    assert page["object"] == "vector_store.search_results.page" and len(page["data"]) == 2
    best = page["data"][0]
    assert best["content"] == [{"type": "text", "text": TEXTS[0]}]
    assert (best["file_id"], best["filename"], best["attributes"]) == (files[0], "text-0.txt", {"n": "0"})
    assert 1 >= best["score"] >= page["data"][1]["score"] >= 0


def test_filters_and_options_reach_the_search(provider, filled):
    store, files = filled

    def found(**options):
        page = stores.search(vector_store_id=store, query="anything", **options, **provider)
        return {item["file_id"] for item in page["data"]}

    assert found() == set(files)
    assert found(filters={"type": "gte", "key": "n", "value": "1"}) == set(files[1:])
    assert found(filters={"n": "2"}) == {files[2]}
    assert found(ranking_options={"score_threshold": 1.0}) == set()
    assert found(rewrite_query=True) == set(files)


def test_the_asynchronous_functions(provider, filled):
    store, files = filled

    async def run():
        made = await stores.acreate(name="async", **provider)
        page = await stores.asearch(vector_store_id=store, query="rockets", **provider)
        await stores.adelete(vector_store_id=made["id"], **provider)
        return page

    assert asyncio.run(run())["data"][0]["file_id"] == files[1]


def test_errors_are_those_of_litellm(provider):
    with pytest.raises(litellm.AuthenticationError):
        stores.search(vector_store_id="vs_x", query="x", **provider | {"api_key": "sk-wrong"})
    with pytest.raises(litellm.BadRequestError, match="abc123"):
        stores.search(vector_store_id="abc123", query="x", **provider)


def test_the_files_of_a_store(openai_provider):
    """Only the provider `openai` has them."""
    store = stores.create(name="files", **openai_provider)["id"]
    file = litellm.create_file(file=("notes.txt", TEXTS[0].encode()), purpose="assistants", **openai_provider)
    ours = {"vector_store_id": store, "file_id": file.id, **openai_provider}
    attached = store_files.create(chunking_strategy={"type": "auto"}, **ours)
    assert attached["object"] == "vector_store.file" and attached["status"] == "completed"
    assert store_files.retrieve(**ours)["id"] == file.id
    listed = store_files.list(vector_store_id=store, **openai_provider)
    assert [item["id"] for item in listed["data"]] == [file.id] and not listed["has_more"]
    content = store_files.retrieve_content(**ours)
    assert content["data"][0]["text"] == TEXTS[0]
    assert store_files.update(attributes={"a": "b"}, **ours)["attributes"] == {"a": "b"}
    assert store_files.delete(**ours)["deleted"] is True
    assert stores.search(vector_store_id=store, query="cats", **openai_provider)["data"] == []
    litellm.file_delete(file_id=file.id, **openai_provider)
    stores.delete(vector_store_id=store, **openai_provider)


def test_files(openai_provider):
    file = litellm.create_file(file=("plain.txt", b"bytes"), purpose="user_data", **openai_provider)
    assert (file.filename, file.bytes, file.purpose) == ("plain.txt", 5, "user_data")
    assert litellm.file_retrieve(file_id=file.id, **openai_provider).id == file.id
    assert litellm.file_content(file_id=file.id, **openai_provider).content == b"bytes"
    assert file.id in [listed.id for listed in litellm.file_list(**openai_provider)]
    assert litellm.file_delete(file_id=file.id, **openai_provider).deleted is True


def test_rag_ingestion(openai_provider):
    """LiteLLM's own way to fill a store: it creates one, uploads, and attaches."""
    done = asyncio.run(
        litellm.aingest(
            ingest_options={"name": "ingested", "vector_store": openai_provider},
            file_data=("rockets.txt", TEXTS[1].encode(), "text/plain"),
        )
    )
    assert done["status"] == "completed", done
    page = stores.search(vector_store_id=done["vector_store_id"], query="oxygen", **openai_provider)
    assert page["data"][0]["file_id"] == done["file_id"]
    stores.delete(vector_store_id=done["vector_store_id"], **openai_provider)
    litellm.file_delete(file_id=done["file_id"], **openai_provider)


@pytest.mark.parametrize("encoding_format", ["float", "base64", None])
def test_embeddings(encoding_format):
    answer = litellm.embedding(
        model="openai/local",
        input=TEXTS,
        encoding_format=encoding_format,
        api_base=BASE,
        api_key=os.environ["OPENAI_API_KEY"],
    )
    assert [item["index"] for item in answer.data] == [0, 1, 2]
    if encoding_format != "base64":
        assert all(len(item["embedding"]) == 256 for item in answer.data)
