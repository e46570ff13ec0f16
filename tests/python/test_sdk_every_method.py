"""Every public method of the SDK's resources that we serve, through the synchronous and the asynchronous client. The SDK
itself says which methods there are: one that no test here calls fails the last test.
"""

import asyncio
import hashlib
import inspect

import openai
import pytest

RESOURCES = [
    "vector_stores",
    "vector_stores.files",
    "vector_stores.file_batches",
    "files",
    "uploads",
    "uploads.parts",
    "embeddings",
    "models",
]
TEXTS = ["Cats sleep most of the day.", "Rockets burn liquid oxygen.", "Bread needs flour and water."]
CALLED = set()


class Caller:
    """Calls methods of either client by their names, and remembers them and what is to be deleted."""

    def __init__(self, client):
        self.client = client
        self.stores, self.files = [], []

    def method(self, name, /):
        CALLED.add(name)
        target = self.client
        for part in name.split("."):
            target = getattr(target, part)
        return target

    async def __call__(self, name, /, *arguments, **options):
        result = self.method(name)(*arguments, **options)
        return await result if inspect.isawaitable(result) else result

    async def all(self, name, /, *arguments, **options):
        """Every item of a list, page by page."""
        pages = self.method(name)(*arguments, **options)
        if hasattr(pages, "__aiter__"):
            return [item async for item in pages]
        return list(pages)

    async def make_store(self, **options):
        store = await self("vector_stores.create", name="every method", **options)
        self.stores.append(store.id)
        return store

    async def make_file(self, name, content, purpose="assistants"):
        file = await self("files.create", file=(name, content.encode()), purpose=purpose)
        self.files.append(file.id)
        return file

    async def make_files(self):
        return [(await self.make_file(f"{n}.txt", text)).id for n, text in enumerate(TEXTS)]

    async def clean_up(self):
        for store in self.stores:
            self.files += [file.id for file in await self.all("vector_stores.files.list", store)]
            await self("vector_stores.delete", store)
        for file in set(self.files):
            await self("files.delete", file)


@pytest.fixture(params=["synchronous", "asynchronous"])
def run(request, client, async_client):
    """Runs a scenario with one of the clients and deletes what it has made."""

    async def work(scenario, client):
        call = Caller(client)
        try:
            await scenario(call)
        finally:
            await call.clean_up()

    async def with_async_client(scenario):
        async with async_client() as asynchronous:
            await work(scenario, asynchronous)

    def run(scenario):
        asyncio.run(work(scenario, client) if request.param == "synchronous" else with_async_client(scenario))

    return run


def test_vector_stores(run):
    async def scenario(call):
        first = await call.make_store(metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 1})
        second = await call.make_store(file_ids=await call.make_files())
        assert second.file_counts.total == 3
        assert await call("vector_stores.retrieve", first.id) == first
        updated = await call("vector_stores.update", first.id, name="renamed", metadata={"c": "d"})
        assert (updated.name, updated.metadata) == ("renamed", {"c": "d"})
        listed = [store.id for store in await call.all("vector_stores.list", limit=1)]
        assert listed.index(second.id) < listed.index(first.id)
        for file in call.files:
            polled = await call("vector_stores.files.poll", file, vector_store_id=second.id, poll_interval_ms=50)
            assert polled.status == "completed"
        found = await call.all("vector_stores.search", second.id, query="When do cats sleep?", max_num_results=2)
        assert [len(found), found[0].content[0].text] == [2, TEXTS[0]]
        deleted = await call("vector_stores.delete", call.stores.pop(0))
        assert (deleted.id, deleted.deleted) == (first.id, True)
        with pytest.raises(openai.NotFoundError):
            await call("vector_stores.retrieve", first.id)

    run(scenario)


def test_vector_store_files(run):
    async def scenario(call):
        store = (await call.make_store()).id
        one, two, three = await call.make_files()
        created = await call("vector_stores.files.create", store, file_id=one, attributes={"n": 1})
        assert (created.id, created.vector_store_id) == (one, store)
        done = await call("vector_stores.files.poll", one, vector_store_id=store, poll_interval_ms=50)
        assert await call("vector_stores.files.retrieve", one, vector_store_id=store) == done
        assert (done.status, done.attributes) == ("completed", {"n": 1})
        strategy = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 100}}
        options = {"vector_store_id": store, "chunking_strategy": strategy, "poll_interval_ms": 50}
        polled = await call("vector_stores.files.create_and_poll", two, **options)
        assert polled.status == "completed" and polled.chunking_strategy.static.max_chunk_size_tokens == 200
        uploaded = await call("vector_stores.files.upload", vector_store_id=store, file=("up.txt", b"up"))
        both = await call("vector_stores.files.upload_and_poll", vector_store_id=store, file=("both.txt", b"both"))
        assert both.status == "completed"
        listed = await call.all("vector_stores.files.list", store, limit=1, order="asc")
        assert [file.id for file in listed] == [one, two, uploaded.id, both.id]
        updated = await call("vector_stores.files.update", one, vector_store_id=store, attributes={"n": 2})
        assert updated.attributes == {"n": 2}
        content = await call.all("vector_stores.files.content", two, vector_store_id=store)
        assert [part.text for part in content] == [TEXTS[1]]
        deleted = await call("vector_stores.files.delete", one, vector_store_id=store)
        assert (deleted.id, deleted.object) == (one, "vector_store.file.deleted")
        with pytest.raises(openai.NotFoundError):
            await call("vector_stores.files.retrieve", three, vector_store_id=store)

    run(scenario)


def test_file_batches(run):
    async def scenario(call):
        store = (await call.make_store()).id
        files = await call.make_files()
        batch = await call("vector_stores.file_batches.create", store, file_ids=files[:2], attributes={"a": 1})
        assert (batch.object, batch.file_counts.total) == ("vector_store.files_batch", 2)
        options = {"vector_store_id": store}
        done = await call("vector_stores.file_batches.poll", batch.id, poll_interval_ms=50, **options)
        assert (done.id, done.status, done.file_counts.completed) == (batch.id, "completed", 2)
        assert await call("vector_stores.file_batches.retrieve", batch.id, **options) == done
        listed = await call.all("vector_stores.file_batches.list_files", batch.id, limit=1, order="asc", **options)
        # They have one time of creation, and between them any order will do.
        assert sorted(file.id for file in listed) == sorted(files[:2])
        assert all(file.attributes == {"a": 1} for file in listed)
        each = [{"file_id": files[2], "attributes": {"b": 2}}]
        polled = await call("vector_stores.file_batches.create_and_poll", store, files=each, poll_interval_ms=50)
        assert (polled.status, polled.file_counts.completed) == ("completed", 1)
        uploaded = await call(
            "vector_stores.file_batches.upload_and_poll",
            store,
            files=[("x.txt", b"x"), ("y.txt", b"y")],
            file_ids=files[:1],
            poll_interval_ms=50,
        )
        assert (uploaded.status, uploaded.file_counts.completed) == ("completed", 3)
        ended = await call("vector_stores.file_batches.cancel", batch.id, **options)
        assert (ended.id, ended.status) == (batch.id, "completed"), "a finished batch stays what it is"

    run(scenario)


def test_files(run):
    async def scenario(call):
        file = await call.make_file("plain.txt", "äöü", purpose="user_data")
        assert (file.filename, file.bytes, file.purpose) == ("plain.txt", 6, "user_data")
        assert await call("files.retrieve", file.id) == file
        assert file.id in [listed.id for listed in await call.all("files.list", purpose="user_data", limit=1)]
        assert (await call("files.content", file.id)).content == "äöü".encode()
        with pytest.deprecated_call():
            assert await call("files.retrieve_content", file.id) == "äöü"
        waited = await call("files.wait_for_processing", file.id, poll_interval=0.01, max_wait_seconds=5)
        assert waited.status == "processed"
        deleted = await call("files.delete", call.files.pop())
        assert (deleted.id, deleted.object, deleted.deleted) == (file.id, "file", True)

    run(scenario)


def test_uploads(run):
    async def scenario(call):
        options = {"mime_type": "text/plain", "purpose": "assistants"}
        upload = await call("uploads.create", bytes=6, filename="six.txt", **options)
        parts = [(await call("uploads.parts.create", upload.id, data=data)).id for data in (b"one", b"two")]
        md5 = hashlib.md5(b"twoone").hexdigest()
        done = await call("uploads.complete", upload.id, part_ids=parts[::-1], md5=md5)
        call.files.append(done.file.id)
        assert (await call("files.content", done.file.id)).content == b"twoone"
        chunked = await call(
            "uploads.upload_file_chunked", file=b"0123456789", filename="ten.txt", bytes=10, part_size=3, **options
        )
        call.files.append(chunked.file.id)
        assert (await call("files.content", chunked.file.id)).content == b"0123456789"
        other = await call("uploads.create", bytes=1, filename="x.txt", **options)
        assert (await call("uploads.cancel", other.id)).status == "cancelled"

    run(scenario)


def test_embeddings_and_models(run):
    async def scenario(call):
        answer = await call("embeddings.create", model="local", input=TEXTS, encoding_format="float")
        assert [(item.index, len(item.embedding)) for item in answer.data] == [(0, 256), (1, 256), (2, 256)]
        models = await call.all("models.list")
        for model in models:
            assert await call("models.retrieve", model.id) == model
        # No model here was made by a client, so that none can be deleted.
        with pytest.raises(openai.APIStatusError) as caught:
            await call("models.delete", "local")
        assert caught.value.status_code == 405 and caught.value.type == "invalid_request_error"

    run(scenario)


def test_no_method_of_the_sdk_is_left_out(request, client):
    """Only after all of the others have run."""
    # By name: with `-k` or a single test asked for, nothing can be said.
    here = {item.originalname for item in request.session.items if item.path == request.node.path}
    if here != {name for name in vars(request.module) if name.startswith("test_")}:
        pytest.skip("only some of the tests of this file were asked for")
    public = set()
    for resource in RESOURCES:
        target = client
        for part in resource.split("."):
            target = getattr(target, part)
        names = [name for name, _ in inspect.getmembers(type(target), inspect.isfunction)]
        public |= {f"{resource}.{name}" for name in names if not name.startswith("_")}
    assert len(public) >= 39 and public <= CALLED, public - CALLED
