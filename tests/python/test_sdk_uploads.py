"""Uploads in parts, through the official SDK: in any order and at the same time, checked, cancelled, expired."""

import asyncio
import concurrent.futures
import hashlib

import openai
import pytest


MEGABYTE = 2**20


@pytest.fixture
def make_upload(client):
    """Creates uploads; what came of them is deleted after the test."""
    created = []

    def make(content_bytes, filename="big.txt", **arguments):
        arguments.setdefault("purpose", "assistants")
        upload = client.uploads.create(
            bytes=content_bytes, filename=filename, mime_type="text/plain", **arguments
        )
        created.append(upload.id)
        return upload

    yield make
    for upload in created:
        try:
            client.uploads.cancel(upload)
        except openai.BadRequestError:
            # Completed: its file is deleted by the test.
            continue


def pattern(length, seed=1):
    """Bytes that are wrong when a piece is missing, doubled or moved."""
    return b"".join(hashlib.sha256(b"%d/%d" % (seed, n)).digest() for n in range(length // 32 + 1))[:length]


def test_a_file_of_several_parts(client, make_upload):
    content = pattern(5 * MEGABYTE + 12_345)
    # Small ones, one that is spooled to disk, and an empty one.
    cuts = [0, 1, 700_000, 700_000, 700_000 + 4 * MEGABYTE + 17, len(content)]
    pieces = [content[begin:end] for begin, end in zip(cuts, cuts[1:], strict=False)]
    upload = make_upload(len(content), filename="folder/notes.md")
    assert (upload.object, upload.status, upload.file) == ("upload", "pending", None)
    assert (upload.bytes, upload.filename, upload.purpose) == (len(content), "notes.md", "assistants")
    assert upload.id.startswith("upload_") and upload.expires_at - upload.created_at == 3600
    # The last part first: only the list of ids says where a part stands.
    parts = {n: client.uploads.parts.create(upload.id, data=pieces[n]) for n in reversed(range(len(pieces)))}
    for part in parts.values():
        assert part.object == "upload.part" and part.id.startswith("part_") and part.upload_id == upload.id
    listed = {file.id for file in client.files.list()}
    assert not listed & {part.id for part in parts.values()}, "parts are no files"
    ordered = [parts[n].id for n in range(len(pieces))]
    done = client.uploads.complete(upload.id, part_ids=ordered, md5=hashlib.md5(content).hexdigest())
    assert (done.id, done.status) == (upload.id, "completed")
    file = done.file
    assert (file.object, file.bytes, file.filename, file.status) == ("file", len(content), "notes.md", "processed")
    try:
        assert client.files.content(file.id).content == content
        assert client.files.retrieve(file.id) == file
        assert file.id in {listed.id for listed in client.files.list()}
    finally:
        client.files.delete(file.id)
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.uploads.complete(upload.id, part_ids=ordered)
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.uploads.cancel(upload.id)


def test_parts_arrive_at_the_same_time(client, make_upload):
    content = pattern(12 * 300_000)
    upload = make_upload(len(content))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        pieces = [content[n * 300_000 : (n + 1) * 300_000] for n in range(12)]
        parts = list(pool.map(lambda piece: client.uploads.parts.create(upload.id, data=piece).id, pieces))
    file = client.uploads.complete(upload.id, part_ids=parts).file
    assert client.files.content(file.id).content == content
    client.files.delete(file.id)


def test_a_file_of_an_upload_can_be_searched(client, make_upload, store):
    content = b"Walruses use their tusks to climb onto the ice. " * 20
    upload = make_upload(len(content), filename="walrus.txt")
    half = len(content) // 2
    parts = [client.uploads.parts.create(upload.id, data=piece).id for piece in (content[:half], content[half:])]
    file = client.uploads.complete(upload.id, part_ids=parts).file
    attached = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert attached.status == "completed"
    assert client.vector_stores.search(store.id, query="walrus tusks").data[0].filename == "walrus.txt"


@pytest.mark.parametrize("name", ["fewer", "more", "twice", "unknown", "another's", "bad id", "md5"])
def test_what_does_not_fit_is_refused_and_the_upload_stays_pending(client, make_upload, name):
    content = pattern(1000)
    upload = make_upload(1000)
    part = client.uploads.parts.create(upload.id, data=content).id
    half = client.uploads.parts.create(upload.id, data=content[:500]).id
    other = make_upload(1000)
    foreign = client.uploads.parts.create(other.id, data=content).id
    bad = {
        "fewer": {"part_ids": [half]},
        "more": {"part_ids": [part, half]},
        "twice": {"part_ids": [half, half]},
        "unknown": {"part_ids": ["part_" + "a" * 32]},
        "another's": {"part_ids": [foreign]},
        "bad id": {"part_ids": ["odd"]},
        "md5": {"part_ids": [part], "md5": hashlib.md5(content[1:]).hexdigest()},
    }[name]
    with pytest.raises(openai.BadRequestError) as caught:
        client.uploads.complete(upload.id, **bad)
    assert caught.value.code == "invalid_value" and caught.value.param.startswith("md5" if name == "md5" else "part_ids")
    done = client.uploads.complete(upload.id, part_ids=[part])
    assert done.status == "completed"
    client.files.delete(done.file.id)


def test_a_cancelled_upload_takes_no_more(client, make_upload):
    upload = make_upload(4)
    part = client.uploads.parts.create(upload.id, data=b"1234").id
    assert client.uploads.cancel(upload.id).status == "cancelled"
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        client.uploads.parts.create(upload.id, data=b"5678")
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        client.uploads.complete(upload.id, part_ids=[part])


def test_an_expired_upload_takes_no_more_and_its_parts_are_swept(client, make_upload, database):
    upload = make_upload(4)
    alive = make_upload(4)
    parts = [client.uploads.parts.create(target.id, data=b"1234").id for target in (upload, alive)]

    def stored():
        query = "SELECT array_agg(id ORDER BY file_id) FROM vectorstore.files WHERE id = ANY (%s)"
        return database.execute(query, [parts]).fetchone()[0]

    assert stored() == parts
    database.execute("UPDATE vectorstore.uploads SET expires_at = now() WHERE id = %s", [upload.id])
    with pytest.raises(openai.BadRequestError, match="expired"):
        client.uploads.parts.create(upload.id, data=b"5678")
    with pytest.raises(openai.BadRequestError, match="expired"):
        client.uploads.complete(upload.id, part_ids=parts[:1])
    assert client.uploads.cancel(upload.id).status == "expired"
    database.execute("SELECT vs_expire()")
    assert stored() == parts[1:], "only the parts of uploads that ended are swept"
    assert client.uploads.cancel(upload.id).status == "expired"
    done = client.uploads.complete(alive.id, part_ids=parts[1:])
    client.files.delete(done.file.id)


def test_an_upload_may_be_empty_and_its_file_may_expire(client, make_upload):
    upload = make_upload(0, expires_after={"anchor": "created_at", "seconds": 3600})
    file = client.uploads.complete(upload.id, part_ids=[]).file
    assert file.bytes == 0 and client.files.content(file.id).content == b""
    assert abs(file.expires_at - file.created_at - 3600) <= 1
    client.files.delete(file.id)


def test_an_unknown_upload_is_not_found(client, http):
    unknown = "upload_" + "a" * 32
    with pytest.raises(openai.NotFoundError, match=f"No such Upload object: {unknown}"):
        client.uploads.parts.create(unknown, data=b"x")
    with pytest.raises(openai.NotFoundError):
        client.uploads.complete(unknown, part_ids=[])
    with pytest.raises(openai.NotFoundError):
        client.uploads.cancel(unknown)
    assert http.post("/uploads/odd/cancel").error(400)["code"] == "invalid_value"


def test_a_part_over_64_megabytes_is_refused(client, make_upload):
    upload = make_upload(100 * MEGABYTE)
    with pytest.raises(openai.APIStatusError) as caught:
        client.uploads.parts.create(upload.id, data=bytes(64 * MEGABYTE + 1))
    assert caught.value.status_code == 413


def test_a_part_needs_its_data(client, make_upload, http):
    upload = make_upload(1)
    boundary = "x-boundary"
    body = f'--{boundary}\r\ncontent-disposition: form-data; name="other"\r\n\r\nx\r\n--{boundary}--\r\n'.encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    error = http.post(f"/uploads/{upload.id}/parts", body, headers=headers).error(400)
    assert (error["code"], error["param"]) == ("missing_required_parameter", "data")


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_the_helper_uploads_a_file_in_chunks(client, tmp_path, source):
    content = pattern(3 * MEGABYTE + 5)
    arguments = {"mime_type": "text/markdown", "purpose": "assistants", "part_size": MEGABYTE}
    if source == "path":
        path = tmp_path / "chunked.md"
        path.write_bytes(content)
        done = client.uploads.upload_file_chunked(
            file=path, md5=hashlib.md5(content).hexdigest(), **arguments
        )
    else:
        done = client.uploads.upload_file_chunked(
            file=content, filename="chunked.md", bytes=len(content), **arguments
        )
    assert (done.status, done.file.filename, done.file.bytes) == ("completed", "chunked.md", len(content))
    assert client.files.content(done.file.id).content == content
    client.files.delete(done.file.id)


def test_the_asynchronous_helper_uploads_a_file_in_chunks(client, async_client, tmp_path):
    content = pattern(2 * MEGABYTE + 5)
    path = tmp_path / "async.md"
    path.write_bytes(content)

    async def upload():
        async with async_client() as asynchronous:
            return await asynchronous.uploads.upload_file_chunked(
                file=path, mime_type="text/markdown", purpose="assistants", part_size=MEGABYTE
            )

    done = asyncio.run(upload())
    assert (done.status, done.file.bytes) == ("completed", len(content))
    assert client.files.content(done.file.id).content == content
    client.files.delete(done.file.id)


def test_the_asynchronous_client_adds_parts_at_the_same_time(client, async_client):
    content = pattern(8 * 100_000)

    async def upload():
        async with async_client() as asynchronous:
            upload = await asynchronous.uploads.create(
                bytes=len(content), filename="a.txt", mime_type="text/plain", purpose="user_data"
            )
            parts = await asyncio.gather(
                *(
                    asynchronous.uploads.parts.create(upload.id, data=content[n * 100_000 : (n + 1) * 100_000])
                    for n in range(8)
                )
            )
            cancelled = await asynchronous.uploads.create(
                bytes=1, filename="b.txt", mime_type="text/plain", purpose="user_data"
            )
            assert (await asynchronous.uploads.cancel(cancelled.id)).status == "cancelled"
            return await asynchronous.uploads.complete(upload.id, part_ids=[part.id for part in parts])

    file = asyncio.run(upload()).file
    assert client.files.content(file.id).content == content
    client.files.delete(file.id)
