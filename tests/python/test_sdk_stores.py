"""Vector stores through the official SDK, with strict validation of every answer."""

import asyncio
import time

import openai
import pytest

STORES = 45


@pytest.fixture(scope="module")
def many_stores(client):
    """Made as fast as possible, so that many have the same second of creation; oldest first."""
    ids = [client.vector_stores.create(name=f"paging-{n:02}").id for n in range(STORES)]
    yield ids
    for store in ids:
        client.vector_stores.delete(store)


def test_an_empty_create_has_all_defaults(client, http, make_store):
    store = make_store(name="")
    assert store.id.startswith("vs_") and store.object == "vector_store" and store.name == ""
    assert store.status == "completed" and store.usage_bytes == 0
    assert store.file_counts.model_dump() == {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
    assert store.expires_after is None and store.expires_at is None
    assert abs(store.created_at - time.time()) < 60 and store.last_active_at >= store.created_at
    raw = http.ok("GET", f"/vector_stores/{store.id}")
    assert raw["metadata"] == {}, "never null"
    assert "expires_after" not in raw, "left out when unset: the type has no null"
    without_body = http.ok("POST", "/vector_stores")
    assert without_body["name"] == ""
    client.vector_stores.delete(without_body["id"])


def test_create_retrieve_update_delete(client, make_store):
    created = make_store(name="first", metadata={"team": "a"}, expires_after={"anchor": "last_active_at", "days": 7})
    assert created.expires_after.days == 7 and created.expires_at == created.last_active_at + 7 * 86400
    assert client.vector_stores.retrieve(created.id) == created

    time.sleep(1.1)
    updated = client.vector_stores.update(created.id, name="second", metadata={"team": "b", "n": "1"})
    assert updated.id == created.id and updated.name == "second" and updated.metadata == {"team": "b", "n": "1"}
    assert updated.last_active_at > created.last_active_at
    assert updated.expires_at == updated.last_active_at + 7 * 86400
    unchanged = client.vector_stores.update(created.id, expires_after=None)
    assert unchanged.name == "second" and unchanged.metadata == {"team": "b", "n": "1"}
    assert unchanged.expires_after is None and unchanged.expires_at is None, "null clears the policy"

    deleted = client.vector_stores.delete(created.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (created.id, "vector_store.deleted", True)
    for call in (client.vector_stores.delete, client.vector_stores.retrieve):
        with pytest.raises(openai.NotFoundError) as caught:
            call(created.id)
        assert caught.value.body["message"] == f"No vector store found with id '{created.id}'."
    assert created.id not in [store.id for store in client.vector_stores.list(limit=100)]


def test_stores_may_have_equal_names(make_store):
    assert make_store(name="twin").id != make_store(name="twin").id


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_auto_paging_sees_every_store_once_and_in_order(client, many_stores, order):
    seen = [store.id for store in client.vector_stores.list(limit=10, order=order)]
    assert len(seen) == len(set(seen))
    mine = [store for store in seen if store in set(many_stores)]
    assert mine == (many_stores if order == "asc" else many_stores[::-1])


def test_the_newest_come_first_by_default(client, many_stores):
    page = client.vector_stores.list()
    assert len(page.data) == 20 and page.has_more
    assert [store.id for store in page.data] == many_stores[:-21:-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_after_and_before_give_the_neighbouring_pages(client, http, many_stores, order):
    ids = many_stores if order == "asc" else many_stores[::-1]

    def page(**query):
        return [store.id for store in client.vector_stores.list(order=order, limit=10, **query).data]

    assert page(after=ids[4]) == ids[5:15]
    assert page(before=ids[30]) == ids[20:30], "the page next to the cursor, in the order asked for"
    assert page(before=ids[44], after=ids[40]) == ids[41:44]
    raw = http.ok("GET", f"/vector_stores?order={order}&limit=10&after={ids[4]}")
    assert (raw["object"], raw["first_id"], raw["last_id"], raw["has_more"]) == ("list", ids[5], ids[14], True)
    last = http.ok("GET", f"/vector_stores?order={order}&limit=100&after={ids[40]}&before={ids[44]}")
    assert last["has_more"] is False


def test_an_empty_list_has_null_ids(http, store):
    empty = http.ok("GET", f"/vector_stores/{store.id}/files")
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_paging_survives_a_deletion_between_pages(client, make_store):
    ids = [make_store().id for _ in range(6)]
    first = client.vector_stores.list(limit=2, order="desc")
    assert [store.id for store in first.data] == [ids[5], ids[4]]
    client.vector_stores.delete(ids[3])
    second = first.get_next_page()
    assert [store.id for store in second.data] == [ids[2], ids[1]]


def test_store_creation_attaches_files_and_lists_unknown_ones_as_failed(client, make_store, make_file):
    good = make_file("note.txt", "Parrots can learn to speak.")
    absent = "file-" + "a" * 32
    store = make_store(file_ids=[good.id, absent])
    assert store.status == "completed"
    assert (store.file_counts.completed, store.file_counts.failed, store.file_counts.total) == (1, 1, 2)
    failed = client.vector_stores.files.list(store.id, filter="failed").data
    assert [file.id for file in failed] == [absent] and failed[0].last_error.message
    assert client.vector_stores.files.delete(absent, vector_store_id=store.id).deleted
    counts = client.vector_stores.retrieve(store.id).file_counts
    assert (counts.completed, counts.failed, counts.total) == (1, 0, 1)


def test_every_answer_has_a_request_id_of_its_own(client, store):
    first, second = (client.vector_stores.retrieve(store.id)._request_id for _ in range(2))
    assert first.startswith("req_") and second.startswith("req_") and first != second
    with pytest.raises(openai.NotFoundError) as caught:
        client.vector_stores.retrieve("vs_" + "a" * 32)
    assert caught.value.request_id.startswith("req_")


def test_headers_of_organisations_and_betas_are_ignored(client, store):
    headers = {"OpenAI-Organization": "org-x", "OpenAI-Project": "proj-x", "OpenAI-Beta": "assistants=v1"}
    assert client.vector_stores.retrieve(store.id, extra_headers=headers).id == store.id


def test_the_asynchronous_client_works_alike(async_client):
    async def run():
        async with async_client() as client:
            stores = await asyncio.gather(*(client.vector_stores.create(name=f"async-{n}") for n in range(12)))
            ids = {store.id for store in stores}
            seen = [store.id async for store in client.vector_stores.list(limit=5)]
            renamed = await client.vector_stores.update(stores[0].id, name="renamed")
            await asyncio.gather(*(client.vector_stores.delete(id) for id in ids))
            with pytest.raises(openai.NotFoundError):
                await client.vector_stores.retrieve(stores[0].id)
            return ids, seen, renamed.name

    ids, seen, name = asyncio.run(run())
    assert len(ids) == 12 and ids <= set(seen) and len(seen) == len(set(seen))
    assert name == "renamed"
