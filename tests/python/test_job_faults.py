"""Faults while a file is read: its child process is killed, its provider is slower than the lease, its store expires."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import openai
import psycopg
import pytest

import provider as scripted
from test_jobs import wait_for

# Nearly all of it is markup: reading it takes a while, cutting and embedding the text does not.
PAGE = b"<p>Bees dance to tell where flowers are.</p>" + b"<span><b><i></i></b></span>" * 600_000


def children(parent):
    """Processes whose parent is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, its_parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(its_parent) == parent and state != "Z":
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize("kills", [1, 3])
def test_a_killed_extraction_is_tried_again(own_database, start_proxy, kills):
    """A child that was killed by somebody else, by the kernel for lack of memory, say, is no fault of the file."""
    proxy = start_proxy(ingest_wait=0)
    with proxy.client() as client:
        file = client.files.create(file=("bees.html", PAGE), purpose="assistants").id
        store = client.vector_stores.create(name="killed children").id
        attached = client.vector_stores.files.create(store, file_id=file)
        assert attached.status == "in_progress"
        killed = set()
        while len(killed) < kills:
            [child] = wait_for(lambda: [pid for pid in children(proxy.process.pid) if pid not in killed])
            # Of the same job, in its next attempt.
            attempts = own_database.one("SELECT attempts FROM vectorstore.ingest_jobs WHERE id = %s", file)
            assert attempts == len(killed) + 1
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        done = client.vector_stores.files.poll(file, vector_store_id=store, poll_interval_ms=50)
        if kills < 3:
            assert (done.status, done.last_error) == ("completed", None)
            [hit] = client.vector_stores.search(store, query="bees").data
            assert hit.file_id == file and "dance" in hit.content[0].text
        else:
            # Three attempts are all that there are.
            assert (done.status, done.last_error.code) == ("failed", "server_error")
        assert own_database.one("SELECT count(*) FROM vectorstore.ingest_jobs") == 0
        assert proxy.process.poll() is None
        client.vector_stores.delete(store)
        client.files.delete(file)


def test_a_job_longer_than_its_lease_keeps_it(own_database, start_proxy, tmp_path):
    """The provider takes three times as long as the lease lasts, and another proxy waits for work."""
    provider = scripted.Provider()
    (tmp_path / "providers.toml").write_text(
        f'[models.slow]\nkind = "openai"\nbase_url = "{provider.url}"\ndimensions = {scripted.DIMENSIONS}\n'
    )
    settings = {"ingest_lease": 2, "ingest_wait": 0, "ingest_workers": 1, "providers": tmp_path / "providers.toml"}
    try:
        first, _ = start_proxy(**settings), start_proxy(**settings)
        store = first.http.ok("POST", "/vector_stores", {"name": "slow", "embedding_model": "slow"})["id"]
        provider.script["slow"] = [6.0]
        with first.client() as client:
            began = time.monotonic()
            file = client.vector_stores.files.upload(vector_store_id=store, file=("a.txt", b"words that take long"))
            assert file.status == "in_progress"
            job = "SELECT lease, attempts, run_at FROM vectorstore.ingest_jobs WHERE id = %s"
            seen = set()
            while rows := own_database.all(job, file.id):
                [(lease, attempts, run_at)] = rows
                if lease is not None:
                    seen.add((lease, attempts, run_at))
                assert time.monotonic() - began < 30
                time.sleep(0.05)
            done = client.vector_stores.files.retrieve(file.id, vector_store_id=store)
            assert done.status == "completed" and time.monotonic() - began >= 6
        assert len({(lease, attempts) for lease, attempts, _ in seen}) == 1, "nobody took it over"
        # The lease was renewed before it ended, several times.
        assert len(seen) >= 6
        assert len(provider.sent("slow")) == 1, "the work was done once"
        first.http.ok("DELETE", f"/vector_stores/{store}")
    finally:
        provider.close()


# ---- Expiry beside writers ----


class Refused(Exception):
    """The server said no to a writer."""


class Writers:
    """Threads that write to a store, each in its own way, until they are told that it has expired."""

    def __init__(self, database, client, http, store, files):
        self.database, self.client, self.http, self.store, self.files = database, client, http, store, files
        self.problems, self.done = [], {}
        ways = [self.upsert, self.insert, self.attach, self.batch, self.rename, self.search]
        self.threads = [threading.Thread(target=self.write, args=[way]) for way in ways]
        for thread in self.threads:
            thread.start()

    def write(self, way):
        try:
            with self.database.connect(autocommit=True) as connection:
                while not self.refused(way, connection):
                    self.done[way.__name__] = self.done.get(way.__name__, 0) + 1
        except Exception as problem:  # noqa: BLE001 - told by the test
            self.problems.append((way.__name__, repr(problem)))

    def refused(self, way, connection):
        """Whether the one error came that may come, and complete."""
        try:
            way(connection, self.done.get(way.__name__, 0))
        except openai.BadRequestError as error:
            assert (error.type, error.code) == ("invalid_request_error", None)
            said = error.body["message"]
        except psycopg.errors.InvalidParameterValue as error:
            said = error.diag.message_primary
        except Refused as error:
            [said] = error.args
        else:
            return False
        assert said == f"Vector store '{self.store}' has expired."
        return True

    def upsert(self, connection, number):
        ids = [f"row {number} {n}" for n in range(5)]
        connection.execute("SELECT vs_upsert(%s, %s::text[], %s::text[])", [self.store, ids, ids])

    def insert(self, _, number):
        reply = self.http.post(f"/vector_stores/{self.store}/embeddings", {"content": f"Text {number}"})
        if reply.status != 200:
            raise Refused(reply.error(400)["message"])

    def attach(self, _, number):
        self.client.vector_stores.files.create(self.store, file_id=self.files[number % 10])

    def batch(self, _, number):
        first = 10 + number % 5
        self.client.vector_stores.file_batches.create(self.store, file_ids=self.files[first : first + 5])

    def rename(self, _, number):
        self.client.vector_stores.update(self.store, metadata={"n": str(number)})

    def search(self, _, number):
        self.client.vector_stores.search(self.store, query=f"Text {number}")


def test_a_store_may_expire_while_it_is_written_to(own_database, start_proxy):
    """Writers hear that it has expired, and nothing else; of what they wrote nothing is left, nor half of it."""
    proxy = start_proxy(sweep_interval=1, ingest_wait=1)
    with proxy.client() as client:
        files = [client.files.create(file=(f"{n}.txt", b"words " * 200), purpose="assistants").id for n in range(20)]
        swept = 0
        for round in range(6):
            store = client.vector_stores.create(
                name=f"dying {round}", expires_after={"anchor": "last_active_at", "days": 1}
            ).id
            writers = Writers(own_database, client, proxy.http, store, files)
            wait_for(lambda: len(writers.done) == 6 or writers.problems)
            # A writer that was under way keeps it alive once more.
            while own_database.one("SELECT expired_at IS NULL FROM vectorstore.stores WHERE id = %s", store):
                # A little more than a day ago: for a writer whose transaction has begun before this one, too.
                own_database.connection.execute(
                    "UPDATE vectorstore.stores SET last_active_at = now() - interval '25 hours' WHERE id = %s", [store]
                )
                # Two at once, beside the proxy's own sweeper.
                with own_database.connect(autocommit=True) as other:
                    sweeper = threading.Thread(target=other.execute, args=["SELECT vs_expire()"])
                    sweeper.start()
                    swept += own_database.one("SELECT vs_expire()")
                    sweeper.join()
            for thread in writers.threads:
                thread.join(60)
                assert not thread.is_alive()
            assert writers.problems == []
            wait_for(lambda: own_database.one("SELECT count(*) FROM vectorstore.ingest_jobs") == 0)
            swept += own_database.one("SELECT vs_expire()")
            [counters] = own_database.all(
                """SELECT c.chunks, c.usage_bytes, c.files_in_progress, c.files_completed, c.files_failed, c.files_cancelled,
                          (SELECT count(*) FROM vectorstore.embeddings e WHERE e.store_id = s.store_id),
                          (SELECT count(*) FROM vectorstore.store_files f WHERE f.store_id = s.store_id)
                   FROM vectorstore.stores s JOIN vectorstore.store_counters c USING (store_id) WHERE s.id = %s""",
                store,
            )
            assert counters == (0,) * 8
            now = client.vector_stores.retrieve(store)
            assert (now.status, now.usage_bytes, now.file_counts.total) == ("expired", 0, 0)
            client.vector_stores.delete(store)
        assert swept > 0
        assert {file.id for file in client.files.list()} >= set(files), "the files themselves stay"
        for file in files:
            client.files.delete(file)
