"""Row 5: BM25 at several sizes, beside GIN + ts_rank, tantivy and bm25s."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

from . import embedded, handsql, ours, plot, server
from .data import Data
from .options import Run
from .report import Row
from .timing import Search, Times, alternate

# The vectors do not matter here; short ones load quickly.
DIMENSIONS = 16
TERMS = 40


def one_term(run: Run, data: Data) -> tuple[list[str], list[str]]:
    """Common words (in many rows, no stop words) and rare ones (in about ten rows)."""
    counts: Counter[str] = Counter()
    for text in data.texts[:100_000]:
        counts.update({word for word in text.lower().split() if word.isalpha() and len(word) > 3})
    frequent = [word for word, _ in counts.most_common(400)]
    kept = server.value(
        run.connection,
        "SELECT array_agg(w ORDER BY n) FROM unnest(%s::text[]) WITH ORDINALITY u(w, n) WHERE to_tsvector('english', w) <> ''",
        frequent,
    )
    rare = sorted((word for word, count in counts.items() if 8 <= count <= 12), key=lambda word: hash_of(word))
    return kept[:TERMS], rare[:TERMS]


def hash_of(word: str) -> int:
    """An order without meaning that is the same in every run."""
    return sum(ord(letter) * 31**place for place, letter in enumerate(word)) % 1_000_003


def systems_at(run: Run, data: Data, size: int) -> dict[str, Search]:
    """Loads the first rows into every system; the Postgres ones stay for the whole run."""
    part = dataclasses.replace(data.first(size), vectors=data.vectors[:size, :DIMENSIONS])
    name = f"words{size}"
    run.say(f"loading {size:,} rows for BM25")
    ours.create(run.connection, name, DIMENSIONS)
    ours.load(run.connection, name, part, 10_000)
    ours.settle(run.connection, name)
    handsql.load(run.connection, name, part, graph=False)
    handsql.define(run.connection, name, DIMENSIONS)
    systems = {
        "vectorstore": ours.Ours(name, part).search("keyword"),
        "GIN + ts_rank (OR)": handsql.HandSQL(name, part, "keyword_or").search(),
        "GIN + ts_rank (AND)": handsql.HandSQL(name, part, "keyword_and").search(),
    }
    for peer in (embedded.Tantivy, embedded.BM25S):
        loaded = run.peer(f"{peer.name}, {size:,} rows", lambda peer=peer: peer(part))
        if loaded:
            systems[peer.name] = loaded.search("keyword")
    qdrant = run.peer(f"Qdrant Edge, {size:,} rows", lambda: embedded.Qdrant(part, run.folder / name))
    if qdrant:
        systems[qdrant.name] = qdrant.search("keyword")
    return systems


def measure(run: Run) -> None:
    """Adds the rows."""
    size = run.options.size
    given = run.options.sizes
    sizes = sorted(int(part) for part in given.split(",")) if given else [size // 4, size, 4 * size]
    data = run.data(max(sizes), embedded=False)
    common, rare = one_term(run, data)
    # Ranking by ts_rank takes long where there are many rows.
    asked = min(len(data.queries), 400)
    data = dataclasses.replace(data, queries=data.queries[:asked])
    with_terms = dataclasses.replace(
        data,
        queries=data.queries + common + rare,
        query_vectors=data.query_vectors[[0] * (asked + len(common) + len(rare))],
    )
    at: dict[int, dict[str, Times]] = {}
    terms: dict[str, tuple[Times, Times]] = {}
    for count in sizes:
        systems = systems_at(run, with_terms, count)
        run.say(f"keywords, {count:,} rows")
        at[count] = dict(zip(systems, alternate(list(systems.values()), asked, run.options.rounds, run.options.seed)))
        if count == size or (size not in sizes and count == sizes[-1]):
            for name, search in systems.items():
                pair = [
                    alternate([shifted(search, begin)], length, run.options.rounds)[0]
                    for begin, length in ((asked, len(common)), (asked + len(common), len(rare)))
                ]
                terms[name] = (pair[0], pair[1])
    run.report.results["keywords"] = {
        str(count): {name: time.summary() for name, time in times.items()} for count, times in at.items()
    }
    run.report.results["one term"] = {
        name: {"common": pair[0].summary(), "rare": pair[1].summary()} for name, pair in terms.items()
    }
    rows(run, at, terms)


def shifted(search: Search, begin: int) -> Search:
    """The same search over later queries."""
    return lambda query: search(begin + query)


def rows(run: Run, at: dict[int, dict[str, Times]], terms: dict[str, tuple[Times, Times]]) -> None:
    """The judged figures and the plot."""
    sizes = sorted(at)
    for count in sizes:
        mine, peer = at[count]["vectorstore"], at[count]["GIN + ts_rank (OR)"]
        run.report.add(
            Row(
                "5",
                f"BM25 p50, {plot.label(count)} rows ÷ GIN + ts_rank (OR)",
                mine.p50,
                peer=peer.p50,
                must=0.02,
                margin=run.margin * (1 if count >= 100_000 or not run.options.quick else 4),
                spread=mine.spread(peer),
            )
        )
    if len(sizes) > 1:
        for name in at[sizes[0]]:
            if name in at[sizes[-1]]:
                exponent = math.log(at[sizes[-1]][name].p50 / at[sizes[0]][name].p50) / math.log(sizes[-1] / sizes[0])
                ours_ = name == "vectorstore"
                run.report.add(
                    Row(
                        "5" if ours_ else "",
                        f"growth exponent of BM25 p50 ({name})",
                        exponent,
                        "",
                        must=0.9 if ours_ else None,
                        margin=min(run.margin, 1.5),
                    )
                )
    if terms:
        for name, (common, rare) in terms.items():
            ours_ = name == "vectorstore"
            run.report.add(
                Row(
                    "5" if ours_ else "",
                    f"one common term ÷ one rare term ({name})",
                    common.p50,
                    peer=rare.p50,
                    must=6 if ours_ else None,
                    margin=min(run.margin, 2),
                )
            )
    for count in sizes:
        for name, time in at[count].items():
            if name not in ("vectorstore", "GIN + ts_rank (OR)"):
                goal = 0.5 if name == "tantivy" and count == run.options.size else None
                run.report.add(
                    Row(
                        "5" if goal else "",
                        f"BM25 p50, {plot.label(count)} rows ÷ {name}",
                        at[count]["vectorstore"].p50,
                        peer=time.p50,
                        moonshot=goal,
                        spread=at[count]["vectorstore"].spread(time),
                    )
                )
    series = {
        name: [(float(count), at[count][name].p50) for count in sizes if name in at[count]] for name in at[sizes[0]]
    }
    run.report.plots["latency-size"] = plot.lines(
        "BM25, k = 10, questions and titles", "rows", "p50, ms (server or in-process time)", series, True
    )
