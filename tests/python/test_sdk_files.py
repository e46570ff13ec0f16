"""Files and the files of a store through the official SDK, with strict validation of every answer."""

import asyncio
import time

import openai
import pytest

CONTENTS = {
    "note.txt": "The lighthouse keeper counts the ships that pass at night.\n",
    "guide.md": "# Bread\n\nKnead the dough for ten minutes and let it rise.\n",
    "data.json": '{"planet": "Saturn", "moons": ["Titan", "Enceladus"]}\n',
    "tool.py": 'def greet(name):\n    """Say hello to a visitor."""\n    return f"hello {name}"\n',
    "page.html": (
        "<html><body><h1>Bees</h1><p>A queen bee lays <b>eggs</b> all summer.</p>"
        "<script>var x = 1</script></body></html>"
    ),
}
QUESTIONS = {
    "note.txt": "who counts ships?",
    "guide.md": "how long do I knead dough?",
    "data.json": "moons of Saturn",
    "tool.py": "function that greets a visitor",
    "page.html": "what does a queen bee do?",
}


def texts_of(client, store, query, **arguments):
    return [hit.content[0].text for hit in client.vector_stores.search(store, query=query, **arguments)]


def test_create_retrieve_list_download_delete_a_file(client, make_file):
    data = bytes(range(256)) * 5
    file = make_file("raw bytes é.bin", data, purpose="user_data")
    assert file.id.startswith("file-") and file.object == "file"
    assert (file.bytes, file.filename) == (1280, "raw bytes é.bin")
    assert (file.purpose, file.status) == ("user_data", "processed")
    assert abs(file.created_at - time.time()) < 60
    assert client.files.retrieve(file.id) == file
    assert client.files.wait_for_processing(file.id) == file
    assert client.files.content(file.id).read() == data
    assert file.id in [listed.id for listed in client.files.list(purpose="user_data")]
    assert file.id not in [listed.id for listed in client.files.list(purpose="batch")]

    deleted = client.files.delete(file.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (file.id, "file", True)
    for call in (client.files.delete, client.files.retrieve, client.files.content):
        with pytest.raises(openai.NotFoundError) as caught:
            call(file.id)
        assert caught.value.param == "id"
        assert caught.value.body["message"].startswith(f"No such File object: {file.id}")


@pytest.mark.parametrize("size", [0, 1, 4 * 2**20, 4 * 2**20 + 1, 9 * 2**20 + 17])
def test_a_file_of_any_size_comes_back_as_it_was(client, make_file, size):
    """Around the sizes at which the proxy changes how it stores a file."""
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    file = make_file("big.txt", data)
    assert file.bytes == size
    assert client.files.content(file.id).read() == data


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_auto_paging_sees_every_file_once_and_in_order(client, make_file, order):
    ids = [make_file(f"{n}.txt", f"file {n}", purpose="fine-tune").id for n in range(25)]
    seen = [file.id for file in client.files.list(limit=10, order=order, purpose="fine-tune")]
    assert len(seen) == len(set(seen))
    assert [id for id in seen if id in set(ids)] == (ids if order == "asc" else ids[::-1])


def test_a_file_name_loses_its_directories(http, client):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../etc/pass wd.txt"\r\n\r\nhello\r\n'
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--x--\r\n'
    )
    file = http.ok("POST", "/files", body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert (file["filename"], file["bytes"]) == ("pass wd.txt", 5), "and parts may come in any order"
    client.files.delete(file["id"])


def test_a_file_may_expire(make_file):
    file = make_file("short.txt", "gone soon", expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.expires_at == file.created_at + 3600


@pytest.mark.parametrize("name", CONTENTS)
def test_upload_and_poll_makes_a_file_searchable(client, store, name):
    file = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=(name, CONTENTS[name].encode()), attributes={"kind": name}
    )
    assert file.status == "completed" and file.last_error is None and file.object == "vector_store.file"
    assert file.vector_store_id == store.id and file.usage_bytes > 0 and file.attributes == {"kind": name}
    strategy = file.chunking_strategy.static
    assert (strategy.max_chunk_size_tokens, strategy.chunk_overlap_tokens) == (800, 400)
    hits = client.vector_stores.search(store.id, query=QUESTIONS[name]).data
    assert [(hit.file_id, hit.filename, hit.attributes) for hit in hits] == [(file.id, name, {"kind": name})]

    parsed = client.vector_stores.files.content(file.id, vector_store_id=store.id).data
    assert [part.type for part in parsed] == ["text"]
    if name == "page.html":
        assert "A queen bee lays eggs all summer." in parsed[0].text
        assert "<" not in parsed[0].text and "var x" not in parsed[0].text
    else:
        assert parsed[0].text == CONTENTS[name]


def test_counts_and_bytes_follow_the_files(client, store):
    for name, content in CONTENTS.items():
        client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(name, content.encode()))
    files = list(client.vector_stores.files.list(store.id, limit=2, order="asc"))
    assert sorted(QUESTIONS) == sorted(client.files.retrieve(file.id).filename for file in files)
    now = client.vector_stores.retrieve(store.id)
    assert (now.file_counts.completed, now.file_counts.total, now.status) == (5, 5, "completed")
    assert now.usage_bytes == sum(file.usage_bytes for file in files)

    removed = client.vector_stores.files.delete(files[0].id, vector_store_id=store.id)
    assert (removed.id, removed.object, removed.deleted) == (files[0].id, "vector_store.file.deleted", True)
    assert client.files.retrieve(files[0].id).id == files[0].id, "the file itself stays"
    after = client.vector_stores.retrieve(store.id)
    assert (after.file_counts.completed, after.file_counts.total) == (4, 4)
    assert after.usage_bytes == now.usage_bytes - files[0].usage_bytes
    with pytest.raises(openai.NotFoundError) as caught:
        client.vector_stores.files.retrieve(files[0].id, vector_store_id=store.id)
    expected = f"No file found with id '{files[0].id}' in vector store '{store.id}'."
    assert caught.value.body["message"] == expected
    client.files.delete(files[0].id)


def test_a_long_file_is_cut_as_asked_and_read_back_without_overlap(client, store, make_file):
    text = " ".join(f"Sentence number {n} is about topic {n % 7}." for n in range(400))
    file = make_file("long.txt", text)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, chunking_strategy=static)
    assert attached.status == "completed" and attached.chunking_strategy.static.max_chunk_size_tokens == 100
    assert len(texts_of(client, store.id, "topic 3", max_num_results=50)) > 20
    parsed = client.vector_stores.files.content(file.id, vector_store_id=store.id).data
    assert "".join(part.text for part in parsed) == text

    small = client.vector_stores.retrieve(store.id).usage_bytes
    again = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, chunking_strategy=static)
    assert again == attached and client.vector_stores.retrieve(store.id).usage_bytes == small
    other = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert other.chunking_strategy.static.max_chunk_size_tokens == 800
    counts = client.vector_stores.retrieve(store.id)
    assert counts.file_counts.total == 1 and counts.usage_bytes == other.usage_bytes < small


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("picture.png", b"\x89PNG\r\n\x1a\n", "unsupported_file"),
        ("noextension", b"plain text", "unsupported_file"),
        ("binary.txt", b"\xff\x00\xfe\x80", "invalid_file"),
        ("empty.txt", b"", "invalid_file"),
    ],
)
def test_a_file_that_cannot_be_read_fails_and_says_why(client, store, name, content, code):
    file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(name, content))
    assert file.status == "failed" and file.last_error.code == code and file.last_error.message
    assert client.vector_stores.files.retrieve(file.id, vector_store_id=store.id) == file
    now = client.vector_stores.retrieve(store.id)
    assert (now.file_counts.failed, now.file_counts.total, now.status) == (1, 1, "completed")
    assert [f.id for f in client.vector_stores.files.list(store.id, filter="failed")] == [file.id]
    assert list(client.vector_stores.files.list(store.id, filter="completed")) == []
    assert texts_of(client, store.id, "plain text") == []


def test_attaching_an_unknown_file_is_not_found(client, store):
    with pytest.raises(openai.NotFoundError) as caught:
        client.vector_stores.files.create(store.id, file_id="file-" + "a" * 32)
    assert caught.value.body["message"].startswith("No such File object: file-")


def test_deleting_a_file_takes_its_chunks_out_of_every_store_at_once(client, make_store, make_file):
    stores = [make_store().id for _ in range(2)]
    gone, kept = make_file("gone.txt", "Volcanoes spit lava."), make_file("kept.txt", "Glaciers calve icebergs.")
    for store in stores:
        for file in (gone, kept):
            client.vector_stores.files.create_and_poll(file.id, vector_store_id=store)
    client.files.delete(gone.id)
    for store in stores:
        assert texts_of(client, store, "Volcanoes spit lava.") == ["Glaciers calve icebergs."]
        now = client.vector_stores.retrieve(store)
        assert now.file_counts.total == 1
        [file] = client.vector_stores.files.list(store)
        assert file.id == kept.id and now.usage_bytes == file.usage_bytes


def test_files_of_a_store_page_in_both_directions(client, store):
    ids = [
        client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=(f"{n}.txt", f"word {n}".encode())).id
        for n in range(12)
    ]
    for order, wanted in (("asc", ids), ("desc", ids[::-1])):
        seen = [file.id for file in client.vector_stores.files.list(store.id, limit=5, order=order)]
        assert sorted(seen) == sorted(ids) and len(seen) == 12
        times = [client.files.retrieve(id).created_at for id in seen]
        assert times == sorted(times, reverse=order == "desc")
        page = client.vector_stores.files.list(store.id, limit=3, order=order, before=seen[8]).data
        assert [file.id for file in page] == seen[5:8]
        assert seen == wanted


def test_many_attachments_at_once_all_succeed(async_client, store):
    async def run():
        async with async_client() as client:
            upload = client.vector_stores.files.upload_and_poll
            files = await asyncio.gather(
                *(
                    upload(vector_store_id=store.id, file=(f"{n}.md", f"# Item {n}\n\nnumber {n}".encode()))
                    for n in range(20)
                )
            )
            return files, await client.vector_stores.retrieve(store.id)

    files, after = asyncio.run(run())
    assert {file.status for file in files} == {"completed"}
    assert (after.file_counts.completed, after.file_counts.total) == (20, 20)
    assert after.usage_bytes == sum(file.usage_bytes for file in files)
