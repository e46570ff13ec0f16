"""Batches of files through the official SDK, with strict validation of every answer."""

import asyncio
import time

import openai
import pytest

from http_client import UNKNOWN, check

SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}}


def counts(batch):
    c = batch.file_counts
    return {"in_progress": c.in_progress, "completed": c.completed, "failed": c.failed, "cancelled": c.cancelled}


def expect(batch, **wanted):
    wanted = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0} | wanted
    assert counts(batch) == wanted and batch.file_counts.total == sum(wanted.values())


def ids_of(page):
    return [file.id for file in page]


@pytest.fixture
def files(make_file):
    return [make_file(f"{n}.txt", f"Chapter {n} is about number{n}.").id for n in range(5)]


def test_a_batch_of_ids_shares_its_settings(client, store, files):
    batch = client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=files, attributes={"shelf": "a", "year": 2024, "new": True}, chunking_strategy=SMALL
    )
    assert batch.id.startswith("vsfb_") and batch.object == "vector_store.files_batch"
    assert (batch.status, batch.vector_store_id) == ("completed", store.id)
    assert abs(batch.created_at - time.time()) < 60
    expect(batch, completed=5)
    assert client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id) == batch
    listed = list(client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, limit=2))
    assert sorted(ids_of(listed)) == sorted(files)
    for file in listed:
        assert file.status == "completed" and file.attributes == {"shelf": "a", "year": 2024, "new": True}
        assert file.chunking_strategy.static.max_chunk_size_tokens == 200
    hits = client.vector_stores.search(store.id, query="number3").data
    assert hits[0].file_id == files[3] and hits[0].attributes["shelf"] == "a"
    expect(client.vector_stores.retrieve(store.id), completed=5)


def test_a_batch_of_files_gives_each_its_own_settings(client, store, files):
    batch = client.vector_stores.file_batches.create_and_poll(
        store.id,
        files=[
            {"file_id": files[0], "attributes": {"n": 0}, "chunking_strategy": SMALL},
            {"file_id": files[1], "attributes": {"n": 1}},
            {"file_id": files[2]},
        ],
        attributes={"ignored": 1},
        chunking_strategy=SMALL,
    )
    expect(batch, completed=3)
    found = {
        file.id: (file.attributes, file.chunking_strategy.static.max_chunk_size_tokens)
        for file in client.vector_stores.files.list(store.id)
    }
    assert found == {files[0]: ({"n": 0}, 200), files[1]: ({"n": 1}, 800), files[2]: ({}, 800)}


def test_two_hundred_small_files_are_done_when_the_answer_comes(client, store, make_file):
    files = [make_file(f"{n}.md", f"# Item {n}\n\nAbout number{n}.").id for n in range(200)]
    begin = time.monotonic()
    batch = client.vector_stores.file_batches.create(store.id, file_ids=files)
    seconds = time.monotonic() - begin
    print(f"200 files in {seconds:.2f} s")
    assert seconds < 7, "no request waits longer than its budget"
    batch = client.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id)
    expect(batch, completed=200)
    seen = ids_of(client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, limit=30))
    assert len(seen) == 200 and sorted(seen) == sorted(files)


def test_upload_and_poll_of_a_batch(client, store, make_file):
    earlier = make_file("earlier.txt", "It was there before.").id
    batch = client.vector_stores.file_batches.upload_and_poll(
        store.id, files=[(f"{n}.txt", f"upload {n}".encode()) for n in range(12)], file_ids=[earlier], max_concurrency=4
    )
    assert batch.status == "completed"
    expect(batch, completed=13)


def test_the_asynchronous_client_works_alike(async_client, make_store):
    stores = [make_store().id for _ in range(3)]

    async def run():
        async with async_client() as client:
            batches = client.vector_stores.file_batches
            upload = batches.upload_and_poll
            done = await asyncio.gather(
                *(upload(store, files=[(f"{n}.txt", b"some words") for n in range(8)]) for store in stores)
            )
            for store, batch in zip(stores, done, strict=True):
                expect(batch, completed=8)
                listed = [file.id async for file in batches.list_files(batch.id, vector_store_id=store, limit=3)]
                assert len(set(listed)) == 8
                again = await batches.create_and_poll(store, file_ids=listed)
                expect(again, completed=8)
                expect(await batches.retrieve(batch.id, vector_store_id=store))
                cancelled = await batches.cancel(again.id, vector_store_id=store)
                assert cancelled == again, "a finished batch stays as it is"
            file = await client.vector_stores.files.upload_and_poll(
                vector_store_id=stores[0], file=("late.txt", b"late words")
            )
            assert file.status == "completed"
            other = await client.vector_stores.files.create_and_poll(file.id, vector_store_id=stores[1])
            assert (await client.vector_stores.files.poll(other.id, vector_store_id=stores[1])).status == "completed"

    asyncio.run(run())


def test_files_that_fail_do_not_fail_the_batch(client, store, make_file):
    good = make_file("good.txt", "Readable words.").id
    picture = make_file("picture.png", b"\x89PNG\r\n\x1a\n").id
    absent, odd = "file-" + UNKNOWN, "no file id at all"
    # One of them twice: it is one file.
    batch = client.vector_stores.file_batches.create_and_poll(store.id, file_ids=[good, picture, absent, odd, good])
    assert batch.status == "completed"
    expect(batch, completed=1, failed=3)
    batches = client.vector_stores.file_batches
    failed = list(batches.list_files(batch.id, vector_store_id=store.id, filter="failed"))
    codes = {file.id: file.last_error.code for file in failed}
    assert codes == {picture: "unsupported_file", absent: "invalid_file", odd: "invalid_file"}
    assert ids_of(batches.list_files(batch.id, vector_store_id=store.id, filter="completed")) == [good]
    assert ids_of(batches.list_files(batch.id, vector_store_id=store.id, filter="cancelled")) == []
    now = client.vector_stores.retrieve(store.id)
    assert now.status == "completed"
    expect(now, completed=1, failed=3)
    assert client.vector_stores.files.delete(absent, vector_store_id=store.id).deleted
    expect(client.vector_stores.retrieve(store.id), completed=1, failed=2)
    expect(batches.retrieve(batch.id, vector_store_id=store.id), completed=1, failed=2)


def test_pages_of_a_batch_in_both_directions(client, store, make_file):
    files = [make_file(f"{n}.txt", f"page {n}").id for n in range(11)]
    batch = client.vector_stores.file_batches.create_and_poll(store.id, file_ids=files[:9])
    client.vector_stores.file_batches.create_and_poll(store.id, file_ids=files[9:])
    page = client.vector_stores.file_batches.list_files
    for order in ("asc", "desc"):
        seen = ids_of(page(batch.id, vector_store_id=store.id, limit=4, order=order))
        assert sorted(seen) == sorted(files[:9])
        before = page(batch.id, vector_store_id=store.id, limit=3, order=order, before=seen[6])
        assert ids_of(before.data) == seen[3:6]
        after = page(batch.id, vector_store_id=store.id, limit=100, order=order, after=seen[6])
        assert ids_of(after.data) == seen[7:]


def test_an_old_batch_stays_sane_when_its_files_move_on(client, store, files):
    batches = client.vector_stores.file_batches
    first = batches.create_and_poll(store.id, file_ids=files)
    second = batches.create_and_poll(store.id, file_ids=files[:2], chunking_strategy=SMALL)
    client.vector_stores.files.create_and_poll(files[2], vector_store_id=store.id, attributes={"alone": True})
    expect(second, completed=2)
    after = batches.retrieve(first.id, vector_store_id=store.id)
    assert after.status == "completed"
    expect(after, completed=2)
    expect(client.vector_stores.retrieve(store.id), completed=5)


def test_pollers_are_told_when_to_come_back(http, store, files):
    path = f"/vector_stores/{store.id}/file_batches"
    made = http.post(path, {"file_ids": files})
    one = http.get(f"{path}/{made.json()['id']}")
    file = http.get(f"/vector_stores/{store.id}/files/{files[0]}")
    for reply in (made, one, file):
        assert 100 <= int(reply.headers["openai-poll-after-ms"]) <= 1000
    # The body of a cancellation may be absent, empty or an object.
    for body in (None, b"", {}):
        assert http.ok("POST", f"{path}/{made.json()['id']}/cancel", body) == one.json()


BODIES = {
    "no files": ({}, "missing_required_parameter", "file_ids"),
    "no ids": ({"file_ids": []}, "empty_array", "file_ids"),
    "2,001 ids": ({"file_ids": ["file-x"] * 2001}, "array_above_max_length", "file_ids"),
    "both forms": (
        {"file_ids": ["file-x"], "files": [{"file_id": "file-x"}]},
        "mutually_exclusive_parameters",
        "files",
    ),
    "a number": ({"file_ids": [1]}, "invalid_type", "file_ids[0]"),
    "a file without id": ({"files": [{"attributes": {}}]}, "missing_required_parameter", "files[0].file_id"),
    "bad attributes": (
        {"files": [{"file_id": "file-x", "attributes": {"k": None}}]},
        "invalid_type",
        "files[0].attributes.k",
    ),
    "an empty id": ({"file_ids": ["file-x", ""]}, "invalid_value", "file_ids[1]"),
    "a file with an empty id": ({"files": [{"file_id": ""}]}, "invalid_value", "files[0].file_id"),
    "bad numbers that the strategy does not use": (
        {"file_ids": ["file-x"], "chunking_strategy": {"type": "auto", "static": {}}},
        "missing_required_parameter",
        "chunking_strategy.static.max_chunk_size_tokens",
    ),
    "an unknown strategy": (
        {"file_ids": ["file-x"], "chunking_strategy": {"type": "contextual"}},
        "invalid_value",
        "chunking_strategy.type",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_batch_is_refused(http, target, name):
    body, code, param = BODIES[name]
    check(http.post(f"/vector_stores/{target}/file_batches", body), 400, code, param)


def test_unknown_batches_follow_the_id_rule(client, http, store, make_store, files):
    base = f"/vector_stores/{store.id}/file_batches"
    for method, end in (("GET", ""), ("GET", "/files"), ("POST", "/cancel")):
        error = check(http.send(method, f"{base}/vsfb_{UNKNOWN}{end}"), 404, None)
        assert error["message"].startswith(f"No file batch found with id 'vsfb_{UNKNOWN}'")
        check(http.send(method, f"{base}/non_existent_batch_id{end}"), 400, "invalid_value", "batch_id")
    batch = client.vector_stores.file_batches.create_and_poll(store.id, file_ids=files[:1])
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=make_store().id)
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.file_batches.create("vs_" + UNKNOWN, file_ids=files)
    check(http.get(f"{base}/{batch.id}/files?filter=lost"), 400, "invalid_value", "filter")
    check(http.get(f"{base}/{batch.id}/files?after=file-{UNKNOWN}"), 400, "invalid_value", "after")


def test_a_store_without_a_model_takes_no_files(http, client, files):
    store = http.ok("POST", "/vector_stores", {"embedding_model": "none", "dimensions": 3})["id"]
    for path, body in (("files", {"file_id": files[0]}), ("file_batches", {"file_ids": files})):
        check(http.post(f"/vector_stores/{store}/{path}", body), 400, "invalid_value", "vector_store_id")
    assert client.vector_stores.delete(store).deleted
    # Created with files or not at all.
    before = len(list(client.vector_stores.list(limit=100)))
    body = {"embedding_model": "none", "dimensions": 3, "file_ids": files}
    check(http.post("/vector_stores", body), 400, "invalid_value", "vector_store_id")
    assert len(list(client.vector_stores.list(limit=100))) == before


def test_a_hundred_files_attached_at_once_all_become_searchable(async_client, client, store, make_file):
    files = [make_file(f"{n}.txt", f"Parallel number{n}.").id for n in range(100)]

    async def run():
        async with async_client() as client:
            attach = client.vector_stores.files.create
            # Some twice, and some of those with other attributes.
            again = [attach(store.id, file_id=file) for file in files[:20]]
            other = [attach(store.id, file_id=file, attributes={"k": 1}) for file in files[20:30]]
            await asyncio.gather(*(attach(store.id, file_id=file) for file in files), *again, *other)

    asyncio.run(run())
    for file in files[20:30]:
        assert client.vector_stores.files.poll(file, vector_store_id=store.id).status == "completed"
    now = client.vector_stores.retrieve(store.id)
    expect(now, completed=100)
    listed = list(client.vector_stores.files.list(store.id, limit=100))
    assert now.usage_bytes == sum(file.usage_bytes for file in listed)
    hits = client.vector_stores.search(store.id, query="number77", max_num_results=50).data
    assert hits[0].file_id == files[77]
    assert len({hit.file_id for hit in hits}) == len(hits) == 50, "no chunk twice"


def test_deleting_files_and_stores_while_batches_run_disturbs_nobody(async_client, make_file, make_store):
    """All that locks the same rows in its own way, at once: nothing may deadlock, or fail but for what is gone."""
    files = [make_file(f"{n}.txt", f"Shared number{n}. " * 40).id for n in range(40)]
    stores = [make_store().id for _ in range(4)]
    gone = []

    async def run():
        async with async_client() as client:
            batches, jobs = client.vector_stores.file_batches, []
            for number, store in enumerate(stores):
                for part in (files, files[::-1], files[10:30]):
                    jobs.append(batches.create(store, file_ids=part, attributes={"part": len(jobs)}))
                jobs.append(client.vector_stores.files.create(store, file_id=files[number], chunking_strategy=SMALL))
            jobs += [client.files.delete(file) for file in files[::4]]
            jobs.append(client.vector_stores.delete(stores[3]))
            for result in await asyncio.gather(*jobs, return_exceptions=True):
                if isinstance(result, Exception):
                    assert isinstance(result, openai.NotFoundError), result
                    gone.append(result)
            for store in stores[:3]:
                async with asyncio.timeout(60):
                    while (now := await client.vector_stores.retrieve(store)).status == "in_progress":
                        await asyncio.sleep(0.1)
                listed = [file async for file in client.vector_stores.files.list(store, limit=100)]
                assert {file.id for file in listed if file.status == "completed"} == set(files) - set(files[::4])
                assert now.usage_bytes == sum(file.usage_bytes for file in listed)
                assert now.file_counts.total == len(listed)

    asyncio.run(run())
    assert len(gone) < 20
