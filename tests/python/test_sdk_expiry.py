"""Expiry of stores and files through the official SDK. How the proxy sweeps by itself is in test_jobs.py."""

import openai
import pytest


@pytest.fixture
def expire(database):
    """Moves a store's last use back by so many seconds and sweeps."""

    def move(store, seconds, sweep=True):
        database.execute(
            "UPDATE vectorstore.stores SET last_active_at = now() - make_interval(secs => %s) WHERE id = %s",
            [seconds, store],
        )
        if sweep:
            database.execute("SELECT vs_expire()")

    return move


@pytest.fixture
def short(make_store):
    return make_store(expires_after={"anchor": "last_active_at", "days": 1}).id


def test_an_expired_store_loses_its_content_and_stays_readable(client, short, make_file, expire):
    file = make_file("kept.txt", "Some words that stay.").id
    client.vector_stores.files.create_and_poll(file, vector_store_id=short)
    batch = client.vector_stores.file_batches.create_and_poll(short, file_ids=[file])
    assert client.vector_stores.retrieve(short).usage_bytes > 0
    expire(short, 86_400)

    now = client.vector_stores.retrieve(short)
    assert (now.status, now.usage_bytes, now.file_counts.total) == ("expired", 0, 0)
    assert now.expires_at == now.last_active_at + 86_400
    assert short in [store.id for store in client.vector_stores.list(limit=100)]
    assert list(client.vector_stores.files.list(short)) == []
    assert client.files.retrieve(file).id == file and client.files.content(file).read() == b"Some words that stay."
    old = client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=short)
    assert (old.status, old.file_counts.total) == ("completed", 0)
    for call in (
        lambda: client.vector_stores.search(short, query="words"),
        lambda: client.vector_stores.files.create(short, file_id=file),
        lambda: client.vector_stores.file_batches.create(short, file_ids=[file]),
        lambda: client.vector_stores.update(short, expires_after=None),
        lambda: client.vector_stores.update(short, name="alive"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        assert caught.value.body["message"] == f"Vector store '{short}' has expired."
        assert (caught.value.code, caught.value.type) == (None, "invalid_request_error")
    assert client.vector_stores.retrieve(short) == now, "nothing brings it back"
    assert client.vector_stores.delete(short).deleted


def test_a_store_does_not_expire_a_moment_early(client, short, make_file, expire):
    file = make_file("kept.txt", "Some words.").id
    client.vector_stores.files.create_and_poll(file, vector_store_id=short)
    expire(short, 86_400 - 60)
    now = client.vector_stores.retrieve(short)
    assert (now.status, now.file_counts.completed) == ("completed", 1)


@pytest.mark.parametrize("use", ["search", "attach", "batch", "update", "insert"])
def test_using_a_store_moves_its_expiry(client, http, short, make_file, expire, use):
    file = make_file("a.txt", "Some words.").id
    expire(short, 3600, sweep=False)
    before = client.vector_stores.retrieve(short)
    match use:
        case "search":
            client.vector_stores.search(short, query="words")
        case "attach":
            client.vector_stores.files.create_and_poll(file, vector_store_id=short)
        case "batch":
            client.vector_stores.file_batches.create_and_poll(short, file_ids=[file])
        case "update":
            client.vector_stores.update(short, metadata={"a": "b"})
        case "insert":
            http.ok("POST", f"/vector_stores/{short}/embeddings", {"content": "words"})
    after = client.vector_stores.retrieve(short)
    assert after.last_active_at >= before.last_active_at + 3590
    assert after.expires_at == after.last_active_at + 86_400


def test_reading_a_store_does_not_move_its_expiry(client, short, expire):
    expire(short, 3600, sweep=False)
    before = client.vector_stores.retrieve(short)
    list(client.vector_stores.files.list(short))
    list(client.vector_stores.list(limit=100))
    assert client.vector_stores.retrieve(short) == before


def test_an_expired_file_leaves_all_stores(client, make_store, make_file, database):
    stores = [make_store().id for _ in range(2)]
    dated = make_file("dated.txt", "Volcanoes spit lava.", expires_after={"anchor": "created_at", "seconds": 3600}).id
    kept = make_file("kept.txt", "Glaciers calve icebergs.").id
    for store in stores:
        client.vector_stores.file_batches.create_and_poll(store, file_ids=[dated, kept])
    database.execute("SELECT vs_expire()")
    assert client.files.retrieve(dated).id == dated
    database.execute("UPDATE vectorstore.files SET expires_at = now() WHERE id = %s", [dated])
    database.execute("SELECT vs_expire()")
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(dated)
    for store in stores:
        [file] = client.vector_stores.files.list(store)
        now = client.vector_stores.retrieve(store)
        assert file.id == kept and now.usage_bytes == file.usage_bytes and now.file_counts.total == 1
        assert [hit.file_id for hit in client.vector_stores.search(store, query="lava").data] == [kept]
