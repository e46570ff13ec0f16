"""Command line of the benchmarks, and what they all begin and end with."""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import TypeVar

from . import data as data_
from . import server
from .report import Report

T = TypeVar("T")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def parser(name: str, size: int = 100_000) -> argparse.ArgumentParser:
    """Options that every benchmark has; scripts/bench-peers gives the folders."""
    options = argparse.ArgumentParser(prog=f"make {name}", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--size", type=int, default=int(os.environ.get("SIZE") or size), help="rows")
    options.add_argument(
        "--quick",
        action="store_true",
        default=os.environ.get("QUICK", "") not in ("", "0"),
        help="few queries and rounds, wide bounds",
    )
    options.add_argument("--queries", type=int, help="number of queries (1000, quick 150)")
    options.add_argument("--rounds", type=int, help="rounds over all queries (3)")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--strict", action="store_true", help="fail when a row misses its bound")
    options.add_argument(
        "--judge", default="", metavar="ROW,...", help="fail when one of these rows misses its bound, or is not there"
    )
    options.add_argument("--publish", action="store_true", help="write to docs/benchmarks too")
    options.add_argument(
        "--cache", type=pathlib.Path, default=ROOT / ".vectorstore/bench-cache", help="embeddings are kept here"
    )
    options.add_argument(
        "--shared", type=pathlib.Path, default=ROOT / "../shared/data", help="judged collections, if any"
    )
    options.add_argument("--output", type=pathlib.Path, default=ROOT / "target/bench", help="results")
    return options


class Run:
    """A run: its options, report, and a folder for what the peers write."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.options = options
        options.queries = options.queries or (150 if options.quick else 1000)
        options.rounds = options.rounds or 3
        # A small run on a busy machine proves that nothing is broken, not how fast it is.
        self.margin = 4.0 if options.quick else 1.0
        chosen = {key: value for key, value in vars(options).items() if not isinstance(value, pathlib.Path)}
        self.report = Report(name, chosen)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="peers-", dir=os.environ.get("PEERS_DIR")))
        self.connection = server.connect()
        self.report.results["versions"] = server.versions(self.connection)
        self.skipped: dict[str, str] = {}
        self.report.results["skipped"] = self.skipped

    def say(self, text: str) -> None:
        """Progress, apart from the results."""
        print(f"    {text}", file=sys.stderr, flush=True)

    def data(self, size: int | None = None, embedded: bool = True) -> data_.Data:
        """Rows and queries of this run."""
        options = self.options
        self.say(f"making {size or options.size:,} rows")
        made = data_.build(
            size or options.size, options.queries, options.shared, options.cache, ROOT / "docs", options.seed, embedded
        )
        self.report.results["data" if embedded else "data of keywords"] = made.made_of
        return made

    def peer(self, name: str, make: Callable[[], T]) -> T | None:
        """A peer, or nothing and a note when it cannot be loaded here."""
        self.say(f"loading {name}")
        try:
            return make()
        except Exception as problem:  # noqa: BLE001 - whatever a peer raises, the others go on
            self.skipped[name] = f"{type(problem).__name__}: {problem}"
            self.say(f"{name} is left out: {self.skipped[name]}")
            return None

    def finish(self) -> int:
        """Writes the results; the exit code."""
        options = self.options
        shutil.rmtree(self.folder, ignore_errors=True)
        self.report.write(options.output)
        if options.publish:
            self.report.write(ROOT / "docs/benchmarks")
        missed = self.report.missed()
        if missed:
            self.say(f"missed: rows {', '.join(missed)}")
        self.say(f"also in {options.output}/{self.report.name}.json and .md")
        judged = set(filter(None, options.judge.split(",")))
        absent = judged - {row.row for row in self.report.rows}
        if absent:
            self.say(f"not measured: rows {', '.join(sorted(absent))}")
        return 1 if absent or judged.intersection(missed) or (missed and options.strict) else 0
