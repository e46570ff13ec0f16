"""Row 3: the vector leg alone, latency against recall."""

from __future__ import annotations

import math

import numpy as np

from . import embedded, handsql, ours, plot
from .data import Data, recall
from .options import Run
from .report import Row
from .timing import Search, Times, alternate

EF = (20, 40, 60, 80, 100, 140, 200, 300, 400)
QUICK_EF = (40, 100, 200)
# Recall@10, p50 in ms.
Curve = list[tuple[float, float]]


def mean_recall(found: list[list[str]], truth: list[set[str]]) -> float:
    """Mean recall over the queries."""
    return float(np.mean([recall(ids, expected) for ids, expected in zip(found, truth)]))


def at_recall(curve: Curve, wanted: float) -> float | None:
    """p50 at a recall: straight line between its neighbours in log(p50) over log(1 - recall)."""
    least: dict[float, float] = {}
    for found, time in curve:
        miss = max(1 - found, 1e-4)
        least[miss] = min(time, least.get(miss, time))
    points = sorted(least.items())
    x = math.log(max(1 - wanted, 1e-4))
    if not points or x < math.log(points[0][0]) - 1e-9:
        return None
    return math.exp(float(np.interp(x, [math.log(miss) for miss, _ in points], [math.log(time) for _, time in points])))


def contestants(
    run: Run, data: Data, store: str, schema: str, peers: list[embedded.Embedded]
) -> dict[tuple[str, str], Search]:
    """Every system at every setting."""
    efs = QUICK_EF if run.options.quick else EF
    systems: dict[tuple[str, str], Search] = {("vectorstore", "default"): ours.Ours(store, data).search("vector")}
    for sweep in getattr(run.options, "sweep", []):
        setting, _, values = sweep.partition("=")
        for value in values.split(","):
            systems["vectorstore", f"{setting} {value}"] = ours.Ours(store, data, settings={setting: value}).search(
                "vector"
            )
    for ef in efs:
        systems["pgvector HNSW", f"ef {ef}"] = handsql.HandSQL(schema, data, "vector", ef).search()
    for peer in peers:
        if isinstance(peer, embedded.Qdrant):
            for ef in efs:
                systems[peer.name, f"ef {ef}"] = _qdrant(peer, ef)
        else:
            systems[peer.name, "default"] = peer.search("vector")
    if run.options.size <= 200_000:
        for kind, settings in {"flat": (0,), "HNSW": efs, "binary": (100, 200, 400)}.items():
            peer = run.peer(f"faiss {kind}", lambda kind=kind: embedded.Faiss(data, kind))
            for setting in settings if peer else ():
                systems[f"faiss {kind}", str(setting)] = _faiss(peer, setting)
    return systems


def _qdrant(peer: embedded.Qdrant, ef: int) -> Search:
    search = peer.search("vector")

    def answer(query: int) -> tuple[float, list[str]]:
        peer.ef = ef
        return search(query)

    return answer


def _faiss(peer: embedded.Faiss, setting: int) -> Search:
    search = peer.search("vector")

    def answer(query: int) -> tuple[float, list[str]]:
        peer.setting = setting
        return search(query)

    return answer


def measure(
    run: Run, data: Data, store: str, schema: str, peers: list[embedded.Embedded]
) -> tuple[float, list[tuple[int, float]]]:
    """Adds the rows; our recall, and Qdrant's at each ef."""
    truth = data.nearest()
    systems = contestants(run, data, store, schema, peers)
    # Four times as many systems as elsewhere: fewer queries, the same rounds.
    queries = min(len(data.queries), 400)
    run.say("vectors")
    times = dict(
        zip(systems, alternate(list(systems.values()), queries, run.options.rounds, run.options.seed, warm=20))
    )
    curves: dict[str, Curve] = {}
    recalls: dict[tuple[str, str], float] = {}
    details = []
    for (name, setting), time in times.items():
        found = recalls[name, setting] = mean_recall(time.found, truth[:queries])
        curves.setdefault(name, []).append((found, time.p50))
        details.append({"system": name, "setting": setting, "recall": found, **time.summary()})
    run.report.results["vectors"] = details
    size = plot.label(len(data))
    run.report.plots[f"latency-recall-{size}"] = plot.lines(
        f"Vector search, {len(data):,} x {data.vectors.shape[1]}, k = 10",
        "recall@10",
        "p50, ms (server or in-process time)",
        curves,
    )
    _rows(run, times, curves, recalls)
    mine = recalls["vectorstore", "default"]
    qdrant = [(int(entry["setting"][3:]), entry["recall"]) for entry in details if entry["system"] == "Qdrant Edge"]
    return mine, qdrant


def _rows(
    run: Run, times: dict[tuple[str, str], Times], curves: dict[str, Curve], recalls: dict[tuple[str, str], float]
) -> None:
    size = plot.label(run.options.size)
    found = recalls["vectorstore", "default"]
    mine = times["vectorstore", "default"]
    must, moonshot = (0.7, 0.4) if run.options.size >= 1_000_000 else (0.5, 0.25)
    run.report.add(Row("3", f"recall@10 of the vector leg, {size}", found, "", must=0.95, at_least=True))
    same = at_recall(curves["pgvector HNSW"], found)
    enough = [(time, name[1]) for name, time in times.items() if name[0] == "pgvector HNSW" and recalls[name] >= 0.95]
    if same is not None:
        run.report.add(
            Row(
                "3",
                f"vector p50, {size} ÷ pgvector HNSW halfvec at our recall",
                mine.p50,
                peer=same,
                must=must,
                moonshot=moonshot,
                margin=run.margin,
            )
        )
    if enough:
        time, name = min(enough, key=lambda pair: pair[0].p50)
        row = Row(
            "",
            f"vector p50, {size} ÷ pgvector HNSW halfvec, {name}: its first recall ≥ 0.95",
            mine.p50,
            peer=time.p50,
            spread=mine.spread(time),
        )
        if same is None:
            # It never gets as far as we do: its best that is good enough stands for it.
            row.row, row.must, row.moonshot, row.margin = "3", must, moonshot, run.margin
        run.report.add(row)
    for name, curve in curves.items():
        time = at_recall(curve, found)
        if name not in ("vectorstore", "pgvector HNSW") and time is not None:
            run.report.add(Row("", f"vector p50, {size} beside {name} at our recall", mine.p50, peer=time))
