"""make bench-ingest: rows 6, 7 and 11, and files over HTTP."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from . import handsql, http_ingest, litellm, ours, server
from .data import Data
from .options import Run, parser
from .report import Row

STORE = "ingest"
# COPY and INSERT with a live graph are slow: a part of the rows tells their speed.
LIVE_ROWS = 5_000
RATE = 1_000
ARRIVE = 100

# Tables and indexes of stores that only search needs: the rows themselves, their keys and their tsvector stay out.
STRUCTURES = """
    SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'vectorstore' AND c.relname IN ('segment_pages', 'segments', 'changes', 'search_indexes')
    UNION ALL
    SELECT c.relname, pg_relation_size(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE i.indrelid = 'vectorstore.embeddings'::regclass AND a.amname <> 'btree'"""


def speeds(run: Run, data: Data) -> None:
    """Row 6: rows a second, by COPY into a bare table, into ours, and with live indexes."""
    seconds: dict[str, float] = {}
    connection = run.connection
    handsql.create(connection, "bare")
    server.script(
        connection,
        "ALTER TABLE bare.texts DROP COLUMN tsv; ALTER TABLE bare.texts DROP CONSTRAINT texts_pkey; ALTER TABLE bare.texts ADD COLUMN embedding vector(384)",
    )
    server.script(connection, "ALTER TABLE bare.texts ALTER COLUMN embedding SET STORAGE PLAIN")
    handsql.create(connection, "words")
    server.script(connection, "ALTER TABLE words.texts ADD COLUMN embedding vector(384)")
    blocks = []
    for begin in range(0, len(data), 10_000):
        texts, vectors = handsql.columns(data, begin, begin + 10_000)
        blocks.append(handsql.copy_rows([*texts, vectors[2]]))
    for table, name in (("bare", "COPY, bare table"), ("words", "COPY, table with key and stored tsvector")):
        began = time.perf_counter()
        for block in blocks:
            handsql.copy(connection, f"{table}.texts (id, bucket, content, embedding)", block)
        seconds[name] = time.perf_counter() - began
    del blocks
    ours.create(connection, STORE)
    seconds["ours"] = ours.load(connection, STORE, data)
    seconds["ours, packed"] = seconds["ours"] + ours.settle(connection, STORE)
    rates = {name: len(data) / taken for name, taken in seconds.items()}
    rates["INSERT, live HNSW and GIN"] = live(run, data)
    run.report.results["rows per second"] = rates
    for name, must, moonshot in (
        ("COPY, bare table", 0.5, 0.8),
        ("COPY, table with key and stored tsvector", None, None),
        ("INSERT, live HNSW and GIN", 10, 20),
    ):
        run.report.add(
            Row(
                "6" if must else "",
                f"bulk ingest ÷ {name}",
                rates["ours"],
                "rows/s",
                peer=rates[name],
                must=must,
                moonshot=moonshot,
                at_least=True,
                margin=run.margin,
            )
        )
    run.report.add(
        Row(
            "",
            "bulk ingest until all is packed ÷ COPY, bare table",
            rates["ours, packed"],
            "rows/s",
            peer=rates["COPY, bare table"],
            at_least=True,
        )
    )


def live(run: Run, data: Data) -> float:
    """Rows a second of array inserts into tables that hold the rows and have their indexes."""
    held = data.first(max(len(data) - LIVE_ROWS, len(data) // 2))
    run.report.results["SQL by hand"] = handsql.load(run.connection, "live", held)
    oid = server.vector_oid(run.connection)
    began = time.perf_counter()
    done = 0
    for begin in range(len(held), len(data), 500):
        rows = slice(begin, begin + 500)
        ids, buckets = data.ids[rows], data.buckets[rows].tolist()
        with run.connection.transaction():
            run.connection.execute(
                "INSERT INTO live.texts (id, bucket, content) SELECT * FROM unnest(%s::text[], %s::int[], %s::text[])",
                (ids, buckets, data.texts[rows]),
            )
            run.connection.execute(
                "INSERT INTO live.vectors SELECT * FROM unnest(%s::text[], %s::int[], %s)",
                (ids, buckets, server.vector_array(data.vectors[rows], oid)),
            )
        done += len(ids)
    return done / (time.perf_counter() - began)


def sizes(run: Run) -> None:
    """Row 11: bytes of what search needs beside the rows."""
    mine = dict(run.connection.execute(STRUCTURES).fetchall())  # type: ignore[arg-type]
    peers = {
        name: server.value(run.connection, "SELECT pg_relation_size(%s::regclass)", f"live.{name}")
        for name in ("vectors_hnsw", "texts_tsv")
    }
    run.report.results["bytes"] = {"ours": mine, "pgvector and GIN": peers}
    mib = 2**20
    run.report.add(
        Row(
            "11",
            "search structures on disk ÷ HNSW (halfvec) + GIN of the same rows",
            sum(mine.values()) / mib,
            "MiB",
            peer=sum(peers.values()) / mib,
            must=0.3,
            moonshot=0.2,
            margin=min(run.margin, 2),
        )
    )


class Stream(threading.Thread):
    """Inserts rows at a steady rate until it is told to stop."""

    def __init__(self, data: Data) -> None:
        super().__init__(daemon=True)
        self.data, self.done, self.halt = data, 0, threading.Event()
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            connection = server.connect()
            oid = server.vector_oid(connection)
            rng = np.random.default_rng(7)
            began = time.perf_counter()
            while not self.halt.is_set():
                rows = rng.integers(0, len(self.data), ARRIVE)
                ids = [f"new{self.done + number}" for number in range(ARRIVE)]
                texts = [self.data.texts[row] for row in rows]
                batch = ours.encoded(ids, texts, self.data.vectors[rows], self.data.buckets[rows], oid)
                ours.upsert(connection, STORE, batch)
                self.done += ARRIVE
                self.halt.wait(max(0.0, began + self.done / RATE - time.perf_counter()))
            self.rate = self.done / (time.perf_counter() - began)
        except Exception as problem:  # noqa: BLE001 - told by the main thread
            self.problem = problem


class Merges(threading.Thread):
    """Calls vs_merge every second where no background worker does it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.halt = threading.Event()

    def run(self) -> None:
        connection = server.connect()
        while not self.halt.wait(1) and ours.merge(connection, STORE):
            pass


def merged(run: Run) -> int:
    """Merges of all stores so far."""
    if server.value(run.connection, "SELECT to_regclass('vectorstore.search_indexes')") is None:
        return 0
    return server.value(run.connection, "SELECT coalesce(sum(merges), 0)::bigint FROM vectorstore.search_indexes")


def under_load(run: Run, data: Data, seconds: float) -> None:
    """Row 7: latency of search while rows arrive, beside the same without."""
    mine = ours.Ours(STORE, data)
    answer = mine.search("hybrid")
    rng = np.random.default_rng(run.options.seed)

    def watch() -> np.ndarray:
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 100:
            times.append(answer(int(rng.integers(len(data.queries))))[0])
            # A client that waits for the answer does something else in between; so does the processor.
            time.sleep(0.002)
        return np.array(times)

    watch()
    idle = [watch()]
    before = merged(run)
    stream = Stream(data)
    helper = Merges()
    stream.start()
    preloaded = "vectorstore" in server.value(run.connection, "SHOW shared_preload_libraries")
    if not preloaded:
        helper.start()
    busy = watch()
    stream.halt.set()
    helper.halt.set()
    stream.join()
    if helper.is_alive():
        helper.join()
    if stream.problem:
        raise stream.problem
    merges = merged(run) - before
    ours.settle(run.connection, STORE)
    idle.append(watch())
    quiet = np.concatenate(idle)
    details = {"arrived": stream.done, "rows per second": stream.rate, "merges": merges, "searches": len(busy)}
    run.report.results["under load"] = {**details, "idle": spread(quiet), "busy": spread(busy)}
    text = f"p99 of search while {stream.rate:,.0f} rows/s arrive ({merges} merges) ÷ idle"
    run.report.add(
        Row(
            "7",
            text,
            float(np.percentile(busy, 99)),
            peer=float(np.percentile(quiet, 99)),
            must=2,
            moonshot=1.3,
            margin=run.margin,
        )
    )
    run.report.add(Row("", "p50 of the same", float(np.median(busy)), peer=float(np.median(quiet))))


def spread(times: np.ndarray) -> dict[str, float]:
    """For the results file."""
    return {"p50": float(np.median(times)), "p99": float(np.percentile(times, 99)), "max": float(times.max())}


def in_sql(run: Run) -> None:
    """Rows by SQL."""
    data = run.data()
    speeds(run, data)
    sizes(run)
    under_load(run, data, run.options.seconds or (8 if run.options.quick else 60))
    run.report.results["indexes"] = ours.statistics(run.connection)


def over_http(run: Run) -> None:
    """Files through the proxy, and rows beside litellm-pgvector."""
    # Only words matter here: the proxy makes the vectors of files.
    data = run.data(20_000, embedded=False)
    http_ingest.measure(run, data)
    litellm.measure(run, data.texts[: run.options.rows or (500 if run.options.quick else 5000)])


def main() -> int:
    """Everything in order."""
    options = parser("bench-ingest")
    options.add_argument("--seconds", type=float, help="how long rows arrive (60, quick 8)")
    options.add_argument("--only", choices=("sql", "http"), help="one of the two parts; http takes a few minutes")
    options.add_argument("--files", type=int, help="small files that are uploaded (2000, quick 200)")
    options.add_argument("--rows", type=int, help="rows for embeddings/batch (5000, quick 500)")
    options.add_argument("--batch", type=int, default=100, help="rows of a request to embeddings/batch")
    run = Run("bench-ingest", options.parse_args())
    # First, while the database is small for both.
    if run.options.only != "sql":
        over_http(run)
    if run.options.only != "http":
        in_sql(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
