"""Jobs that outlive their proxies: killed, stopped, failing; nothing stays in progress, is lost or comes twice."""

import signal
import time

import pytest

FILES = 200
# Long enough that a batch of them takes a while, and that every one has several chunks.
SMALL_CHUNKS = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}


def content(n):
    return "".join(f"Sentence {i} of document {n} speaks of topic{n}. " for i in range(60))


@pytest.fixture(scope="module")
def files(own_database):
    """Ids of the files, put straight into the database."""
    return [
        own_database.one(
            """SELECT vectorstore.api_create_file(k.key_hash, %s, 'assistants', %s, NULL)->>'id'
               FROM vectorstore.api_keys k""",
            f"{n}.txt",
            content(n).encode(),
        )
        for n in range(FILES)
    ]


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def poll(client, batch, store):
    """As the SDK's own, which never gives up."""
    look = client.vector_stores.file_batches.retrieve
    wait_for(lambda: look(batch.id, vector_store_id=store).file_counts.in_progress == 0)
    return client.vector_stores.file_batches.poll(batch.id, vector_store_id=store)


def chunks_by_file(database, store):
    """How many chunks each file has, after checking that none is missing, doubled or of another file."""
    rows = database.all(
        """SELECT f.filename, count(e.id), count(DISTINCT e.chunk_index), max(e.chunk_index),
                  string_agg(e.content, '' ORDER BY e.chunk_index)
           FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id)
           LEFT JOIN vectorstore.embeddings e ON e.store_id = f.store_id AND e.file_id = f.id
           WHERE s.id = %s GROUP BY f.filename""",
        store,
    )
    found = {}
    for filename, count, indexes, last, text in rows:
        assert count == indexes == last + 1, f"{filename}: {count} chunks, {indexes} places, the last {last}"
        expected = content(int(filename.removesuffix(".txt")))
        assert "".join(text.split()) == "".join(expected.split()), filename
        found[filename] = count
    return found


def check_counters(database, store):
    rows = database.all(
        """SELECT c.chunks, c.usage_bytes, c.files_completed, c.files_in_progress,
                  (SELECT count(*) FROM vectorstore.embeddings e WHERE e.store_id = s.store_id),
                  (SELECT sum(usage_bytes)::bigint FROM vectorstore.store_files f WHERE f.store_id = s.store_id),
                  (SELECT count(*) FROM vectorstore.ingest_jobs j WHERE j.store_id = s.store_id)
           FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) WHERE s.id = %s""",
        store,
    )
    [[chunks, usage, completed, busy, real_chunks, real_usage, jobs]] = rows
    assert (chunks, usage) == (real_chunks, real_usage) and (completed, busy, jobs) == (FILES, 0, 0)


def test_a_killed_proxy_loses_and_doubles_nothing(own_database, start_proxy, files):
    """Ten batches of 200 files; in the middle of each, one of two proxies is killed and comes back."""
    proxies = [start_proxy(ingest_lease=2, ingest_wait=0, ingest_workers=2) for _ in range(2)]
    chunks = set()
    for round in range(10):
        victim, other = proxies[round % 2], proxies[(round + 1) % 2]
        # The victim attached the files in some rounds, the other in the others.
        asked = proxies[round // 2 % 2]
        store = asked.client().vector_stores.create(name=f"round {round}").id
        batch = asked.client().vector_stores.file_batches.create(
            store, file_ids=files, chunking_strategy=SMALL_CHUNKS
        )
        assert batch.file_counts.total == FILES
        look = """SELECT count(*) FROM vectorstore.store_files f JOIN vectorstore.stores s USING (store_id)
                  WHERE s.id = %s AND f.status = %s"""
        wait_for(lambda: own_database.one(look, store, "completed") >= 10 + 12 * round)
        victim.kill()
        assert own_database.one(look, store, "in_progress") > 0, "it was not in the middle"
        if round % 3:
            victim.start()
        with other.client() as client:
            done = poll(client, batch, store)
            counts = done.file_counts
            assert (counts.completed, counts.failed, counts.total, done.status) == (FILES, 0, FILES, "completed")
            assert done.id == batch.id
            found = chunks_by_file(own_database, store)
            assert len(found) == FILES and min(found.values()) > 5
            chunks.add(sum(found.values()))
            check_counters(own_database, store)
            hits = client.vector_stores.search(store, query="topic17", max_num_results=50).data
            assert hits and hits[0].filename == "17.txt"
            client.vector_stores.delete(store)
        if victim.process.poll() is not None:
            victim.start()
    assert len(chunks) == 1, "every round the same number of chunks"


def test_a_stopped_proxy_gives_its_files_back_at_once(own_database, start_proxy, files):
    """The lease is ten minutes: nobody may have to wait for its end."""
    first = start_proxy(ingest_lease=600, ingest_wait=0, ingest_workers=4)
    store = first.client().vector_stores.create(name="stopped").id
    leased = "SELECT count(*) FROM vectorstore.ingest_jobs WHERE lease IS NOT NULL"
    # Nobody can read a file meanwhile, so the jobs at hand cannot end by themselves.
    with own_database.connect() as blocker:
        blocker.execute("LOCK TABLE vectorstore.file_parts")
        batch = first.client().vector_stores.file_batches.create(store, file_ids=files, chunking_strategy=SMALL_CHUNKS)
        wait_for(lambda: own_database.one(leased) == 4)
        assert first.stop() == 0
        assert own_database.one(leased) == 0
        assert own_database.one("SELECT sum(attempts) FROM vectorstore.ingest_jobs") == 0, "it was no attempt"
    with start_proxy(ingest_lease=600, ingest_workers=1).client() as client:
        done = poll(client, batch, store)
        assert (done.file_counts.completed, done.status) == (FILES, "completed")
        chunks_by_file(own_database, store)
        client.vector_stores.delete(store)


def test_a_frozen_proxy_is_overtaken_and_cannot_write_any_more(own_database, start_proxy, files):
    frozen = start_proxy(ingest_lease=2, ingest_wait=0, ingest_workers=4)
    store = frozen.client().vector_stores.create(name="frozen").id
    batch = frozen.client().vector_stores.file_batches.create(store, file_ids=files, chunking_strategy=SMALL_CHUNKS)
    wait_for(lambda: own_database.one("SELECT count(*) FROM vectorstore.embeddings") > 0)
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        with start_proxy(ingest_workers=2).client() as client:
            done = poll(client, batch, store)
            assert done.file_counts.completed == FILES
            frozen.process.send_signal(signal.SIGCONT)
            time.sleep(1)
            chunks_by_file(own_database, store)
            check_counters(own_database, store)
            client.vector_stores.delete(store)
    finally:
        frozen.process.send_signal(signal.SIGCONT)


@pytest.fixture
def failing(own_database):
    """Makes the database fail when chunks of a file named bad.txt are written, so many times."""

    def fail(times):
        own_database.connection.execute(
            f"""CREATE SEQUENCE public.failures;
                CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                    IF NEW.filename = 'bad.txt' AND nextval('public.failures') <= {times} THEN
                        RAISE EXCEPTION 'secret of the database';
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER fail BEFORE INSERT ON vectorstore.embeddings
                    FOR EACH ROW EXECUTE FUNCTION public.fail();"""
        )

    yield fail
    own_database.connection.execute("DROP FUNCTION public.fail() CASCADE; DROP SEQUENCE public.failures")


@pytest.mark.parametrize(("failures", "status"), [(2, "completed"), (100, "failed")])
def test_a_fault_of_the_server_is_tried_three_times(own_database, start_proxy, failing, failures, status):
    failing(failures)
    with start_proxy(ingest_wait=0).client() as client:
        store = client.vector_stores.create(name="failing").id
        file = client.vector_stores.files.upload(vector_store_id=store, file=("bad.txt", b"some words"))
        assert file.status == "in_progress" and client.vector_stores.retrieve(store).status == "in_progress"
        done = client.vector_stores.files.poll(file.id, vector_store_id=store, poll_interval_ms=100)
        assert done.status == status
        assert own_database.one("SELECT last_value FROM public.failures") == 3
        if status == "failed":
            assert done.last_error.code == "server_error" and "secret" not in done.last_error.message
        assert client.vector_stores.retrieve(store).status == "completed"
        client.vector_stores.delete(store)


def test_without_workers_a_batch_waits_for_another_proxy(own_database, start_proxy, files):
    idle = start_proxy(ingest_workers=0, ingest_wait=0)
    with idle.client() as client:
        store = client.vector_stores.create(name="idle").id
        batches = client.vector_stores.file_batches
        given_up, kept = (batches.create(store, file_ids=files[n : n + 20]) for n in (0, 20))
        for batch in (given_up, kept):
            assert batch.status == "in_progress"
            assert (batch.file_counts.in_progress, batch.file_counts.total) == (20, 20)
        time.sleep(1)
        assert batches.retrieve(kept.id, vector_store_id=store) == kept
        listed = batches.list_files(kept.id, vector_store_id=store, filter="in_progress", limit=7)
        waiting = [file.id for file in listed]
        assert sorted(waiting) == sorted(files[20:40])
        assert client.vector_stores.retrieve(store).file_counts.in_progress == 40

        cancelled = batches.cancel(given_up.id, vector_store_id=store)
        assert cancelled.status == "cancelled"
        assert (cancelled.file_counts.cancelled, cancelled.file_counts.in_progress) == (20, 0)
        assert batches.poll(given_up.id, vector_store_id=store) == cancelled
        assert client.vector_stores.files.poll(files[0], vector_store_id=store).status == "cancelled"

        start_proxy(ingest_workers=1)
        done = poll(client, kept, store)
        assert (done.status, done.file_counts.completed) == ("completed", 20)
        counts = client.vector_stores.retrieve(store).file_counts
        assert (counts.cancelled, counts.completed, counts.total) == (20, 20, 40)
        client.vector_stores.delete(store)


def test_expired_things_are_swept_by_the_proxy(own_database, start_proxy, files):
    with start_proxy(sweep_interval=1).client() as client:
        store = client.vector_stores.create(
            name="short", file_ids=files[:3], expires_after={"anchor": "last_active_at", "days": 1}
        )
        assert store.file_counts.completed == 3 and store.usage_bytes > 0
        file = client.files.create(
            file=("dated.txt", b"gone soon"),
            purpose="assistants",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        upload = client.uploads.create(
            filename="late.txt",
            purpose="batch",
            bytes=4,
            mime_type="text/plain",
            extra_headers={"Idempotency-Key": "old"},
        )
        client.uploads.parts.create(upload.id, data=b"1234")
        own_database.connection.execute("UPDATE vectorstore.uploads SET expires_at = now()")
        own_database.connection.execute(
            "UPDATE vectorstore.idempotency_keys SET created_at = now() - interval '25 hours'"
        )
        own_database.connection.execute("UPDATE vectorstore.stores SET last_active_at = now() - interval '1 day'")
        own_database.connection.execute("UPDATE vectorstore.files SET expires_at = now() WHERE id = %s", [file.id])
        wait_for(lambda: client.vector_stores.retrieve(store.id).usage_bytes == 0, 20)
        wait_for(lambda: own_database.one("SELECT count(*) FROM vectorstore.files WHERE id = %s", file.id) == 0, 20)
        wait_for(lambda: own_database.one("SELECT count(*) FROM vectorstore.files WHERE upload_id IS NOT NULL") == 0, 20)
        wait_for(lambda: own_database.one("SELECT count(*) FROM vectorstore.idempotency_keys") == 0, 20)
        after = client.vector_stores.retrieve(store.id)
        assert (after.status, after.file_counts.total) == ("expired", 0)
        assert client.files.retrieve(files[0]).id == files[0], "the files themselves stay"
        client.vector_stores.delete(store.id)
