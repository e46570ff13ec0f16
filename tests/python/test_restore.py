"""Soft deletion over HTTP: a store is gone for everybody, and comes back with its files, also those still being read."""

import openai
import pytest

from http_client import check
from test_jobs import wait_for


def delete_softly(http, store):
    assert http.ok("DELETE", f"/vector_stores/{store}?mode=soft") == {
        "id": store,
        "object": "vector_store.deleted",
        "deleted": True,
    }


def test_a_deleted_store_comes_back_as_it_was(http, client, make_store, make_file):
    store = make_store(name="kept aside", metadata={"a": "b"}).id
    file, gone = (make_file(f"{word}.txt", f"{word} are in season.").id for word in ("Plums", "Quinces"))
    client.vector_stores.file_batches.create_and_poll(store, file_ids=[file, gone])
    before = client.vector_stores.retrieve(store)
    delete_softly(http, store)

    assert store not in [other.id for other in client.vector_stores.list(limit=100)]
    for path in ("", "/files", f"/files/{file}"):
        check(http.get(f"/vector_stores/{store}{path}"), 404, None, "vector_store_id")
    check(http.delete(f"/vector_stores/{store}?mode=soft"), 404, None, "vector_store_id")
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.search(store, query="plums")
    # What is deleted for good meanwhile does not come back.
    assert client.files.delete(gone).deleted

    restored = http.ok("POST", f"/vector_stores/{store}/restore")
    after = client.vector_stores.retrieve(store)
    assert restored["id"] == after.id and after.last_active_at >= before.last_active_at
    assert (after.name, after.metadata, after.created_at) == (before.name, before.metadata, before.created_at)
    assert (after.file_counts.completed, after.file_counts.total) == (1, 1)
    assert 0 < after.usage_bytes < before.usage_bytes
    hits = client.vector_stores.search(store, query="quinces plums").data
    assert [hit.file_id for hit in hits] == [file]
    assert http.ok("POST", f"/vector_stores/{store}/restore")["id"] == store, "a repeated request changes nothing"
    assert client.vector_stores.delete(store).deleted
    check(http.post(f"/vector_stores/{store}/restore"), 404, None, "vector_store_id")


def test_what_cannot_be_restored(http, store):
    check(http.post("/vector_stores/vs_" + "a" * 32 + "/restore"), 404, None, "vector_store_id")
    check(http.post("/vector_stores/nonsense/restore"), 400, "invalid_value", "vector_store_id")
    check(http.delete(f"/vector_stores/{store.id}?mode=gently"), 400, "invalid_value", "mode")


def test_files_in_progress_wait_for_their_store(own_database, start_proxy):
    """Nobody works on them while it is deleted, and somebody does afterwards."""
    idle = start_proxy(ingest_workers=0, ingest_wait=0)
    with idle.client() as client:
        store = client.vector_stores.create(name="busy").id
        file = client.vector_stores.files.upload(vector_store_id=store, file=("late.txt", b"read me later"))
        assert file.status == "in_progress"
        delete_softly(idle.http, store)
        working = start_proxy(ingest_workers=2)
        other = client.vector_stores.create(name="other").id
        client.vector_stores.files.create(other, file_id=file.id)
        wait_for(lambda: client.vector_stores.files.retrieve(file.id, vector_store_id=other).status == "completed")
        assert own_database.all("SELECT lease, attempts FROM vectorstore.ingest_jobs") == [(None, 0)]
        restored = working.http.ok("POST", f"/vector_stores/{store}/restore")
        assert restored["status"] == "in_progress"
        wait_for(lambda: client.vector_stores.files.retrieve(file.id, vector_store_id=store).status == "completed")
        [hit] = client.vector_stores.search(store, query="later").data
        assert hit.file_id == file.id
        for each in (store, other):
            client.vector_stores.delete(each)
