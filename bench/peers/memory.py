"""Row 12: memory of one backend over many searches."""

from __future__ import annotations

import pathlib

import numpy as np

from . import ours, server
from .data import Data
from .options import Run
from .report import Row

MODES = ("hybrid", "vector", "keyword")
# What is below this over the whole run is the allocator's noise.
NOISE_KB = 512


def private_kb(pid: int) -> int:
    """Memory that only this process has: unlike the whole, it does not grow by reading shared buffers."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


def measure(run: Run, data: Data, store: str) -> None:
    """Adds the row: growth over the run, seen from its tenth part on, when all caches are warm."""
    searches = run.options.searches or (2_000 if run.options.quick else 100_000)
    mine = ours.Ours(store, data)
    pid = server.value(mine.connection, "SELECT pg_backend_pid()")
    answers = [mine.search(mode) for mode in MODES] + [mine.search("vector", 50)]
    rng = np.random.default_rng(run.options.seed)
    seen = []
    run.say(f"{searches:,} searches in one session")
    for number in range(searches):
        answers[number % len(answers)](int(rng.integers(len(data.queries))))
        if number % max(1, searches // 200) == 0 and number >= searches // 10:
            seen.append((number, private_kb(pid)))
    slope = float(np.polyfit(*np.array(seen, float).T, 1)[0]) * searches
    contexts = server.value(mine.connection, "SELECT sum(total_bytes)::bigint / 1024 FROM pg_backend_memory_contexts")
    details = {"kb_first": seen[0][1], "kb_last": seen[-1][1], "contexts_kb": contexts, "searches": searches}
    run.report.results["memory"] = {**details, "slope_kb": slope}
    grown = slope if slope > NOISE_KB else 0.0
    run.report.add(
        Row(
            "12",
            f"growth of a backend over {searches:,} searches ({seen[0][1]:,} to {seen[-1][1]:,} kB; below {NOISE_KB} kB counts as none)",
            grown,
            "kB",
            must=0,
        )
    )
