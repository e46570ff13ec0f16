"""make bench-scale: row 10, row 3 at a million rows, and the drop of a big store."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from . import embedded, handsql, ours, server, vectors
from .data import Data
from .options import Run, parser
from .report import Row
from .timing import Search, alternate

ALONE = "alone"
BIG = "big"
# Small stores that take turns, so that nothing of the store is warm.
ROTATE = 200


def alone(run: Run) -> None:
    """A database with nothing but one small store."""
    run.connection.execute(f"DROP DATABASE IF EXISTS {ALONE}")  # type: ignore[arg-type]
    run.connection.execute(f"CREATE DATABASE {ALONE}")  # type: ignore[arg-type]
    with server.connect(ALONE) as connection:
        connection.execute("CREATE EXTENSION vectorstore CASCADE")
        connection.execute("SELECT vs_install()")


def load_small(run: Run, database: str, data: Data, stores: range, rows: int) -> float:
    """Stores of a few rows each; seconds."""
    with server.connect(database) as connection:
        oid = server.vector_oid(connection)
        began = time.perf_counter()
        for number in stores:
            begin = number * rows % (len(data) - rows + 1)
            part = slice(begin, begin + rows)
            ours.create(connection, f"small{number}")
            batch = ours.encoded(data.ids[part], data.texts[part], data.vectors[part], data.buckets[part], oid)
            ours.upsert(connection, f"small{number}", batch)
        seconds = time.perf_counter() - began
        connection.execute("VACUUM (ANALYZE) vectorstore.embeddings")
    return seconds


def rotating(run: Run, data: Data, stores: int) -> Search:
    """Each query asks a store of its own."""
    mine = ours.Ours("small0", data)
    names = [f"small{number}" for number in np.random.default_rng(5).integers(0, stores, ROTATE)]
    search = mine.search("hybrid")

    def answer(query: int) -> tuple[float, list[str]]:
        mine.store = names[query % ROTATE]
        return search(query)

    return answer


def small_stores(run: Run, data: Data, stores: int, rows: int) -> None:
    """Row 10: the same small store alone and beside all the others."""
    beside, by_itself = ours.Ours("small0", data), ours.Ours("small0", data, database=ALONE)
    for mode in ("hybrid", "vector", "keyword"):
        times = alternate(
            [beside.search(mode), by_itself.search(mode)],
            min(len(data.queries), 400),
            run.options.rounds,
            run.options.seed,
        )
        row = Row(
            "",
            f"{mode} p50 in a store of {rows} rows beside {stores:,} others and one of {len(data):,} ÷ alone",
            times[0].p50,
            peer=times[1].p50,
            spread=times[0].spread(times[1]),
        )
        if mode == "hybrid":
            row.row, row.must, row.moonshot, row.margin = "10", 1.3, 1.1, min(run.margin, 2)
        run.report.add(row)
    times = alternate(
        [rotating(run, data, stores), by_itself.search("hybrid")],
        min(len(data.queries), 400),
        run.options.rounds,
        run.options.seed,
    )
    run.report.add(
        Row(
            "",
            f"the same, hybrid, over {ROTATE} stores in turn ÷ alone",
            times[0].p50,
            peer=times[1].p50,
            spread=times[0].spread(times[1]),
        )
    )


def drop(run: Run, data: Data) -> None:
    """Deletes the big store while another session searches a small one."""
    seconds: dict[str, float] = {}
    waits: list[tuple[float, float]] = []
    halt = threading.Event()

    def search() -> None:
        answer = ours.Ours("small0", data).search("hybrid")
        number = 0
        while not halt.is_set():
            began = time.perf_counter()
            answer(number % len(data.queries))
            waits.append((began, (time.perf_counter() - began) * 1e3))
            number += 1

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    time.sleep(3)
    spans = {}
    for name in ("small1", BIG):
        began = time.perf_counter()
        run.connection.execute("SELECT vs_delete_store(%s)", (name,))
        spans[name] = (began, time.perf_counter())
        seconds[name] = (spans[name][1] - began) * 1e3
    # What a background process does for the drop must not be felt either.
    time.sleep(5)
    halt.set()
    thread.join()
    quiet = [wait for began, wait in waits if began < spans["small1"][0]]
    during = [wait for began, wait in waits if began >= spans[BIG][0]]
    run.report.results["drop"] = {
        "ms": seconds,
        "searches": len(waits),
        "longest before": max(quiet),
        "longest from the drop on": max(during),
    }
    run.report.add(
        Row("10", f"deleting the store of {len(data):,} rows ÷ one of 100", seconds[BIG], peer=seconds["small1"])
    )
    run.report.add(Row("10", "longest search in another store during the drop ÷ before", max(during), peer=max(quiet)))


def main() -> int:
    """Everything in order."""
    options = parser("bench-scale", 1_000_000)
    options.add_argument("--stores", type=int, help="small stores (10000, quick 200)")
    options.add_argument("--rows", type=int, default=100, help="rows of a small store")
    options.add_argument(
        "--no-peers", action="store_true", help="leave out row 3 at this size (graphs take minutes to build)"
    )
    run = Run("bench-scale", options.parse_args())
    stores = run.options.stores or (200 if run.options.quick else 10_000)
    data = run.data()
    alone(run)
    load_small(run, ALONE, data, range(1), run.options.rows)
    run.say(f"loading {stores:,} small stores")
    database = server.value(run.connection, "SELECT current_database()")
    seconds = {"small stores": load_small(run, database, data, range(stores), run.options.rows)}
    run.say("loading the big store")
    ours.create(run.connection, BIG)
    seconds["big store"] = ours.load(run.connection, BIG, data)
    seconds["pack"] = ours.settle(run.connection, BIG)
    run.report.results["load"] = seconds
    small_stores(run, data, stores, run.options.rows)
    if not run.options.no_peers:
        run.say("loading SQL by hand")
        seconds["SQL by hand"] = handsql.load(run.connection, "hand", data)
        handsql.define(run.connection, "hand")
        qdrant = run.peer("Qdrant Edge", lambda: embedded.Qdrant(data, run.folder / "qdrant"))
        vectors.measure(run, data, BIG, "hand", [qdrant] if qdrant else [])
    run.report.results["indexes"] = [entry for entry in ours.statistics(run.connection) if "small" not in str(entry)]
    drop(run, data)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
