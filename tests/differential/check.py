"""Compares what the server says with what is expected. Every difference is a Mismatch."""

from __future__ import annotations

from typing import Any

import numpy as np

from naive import Expected, Search, expect
from server import Hit, Server
from world import Row, Store, World, canonical

# Scores may differ by this: the server computes in float4 at places.
TOLERANCE = 1e-5
# Rows with scores closer than this may change places.
TIE = 1e-6


class Mismatch(Exception):
    """The server and the expectation differ."""


def require(condition: object, message: str) -> None:
    if not condition:
        raise Mismatch(message)


def check_hits(store: Store, search: Search, hits: list[Hit]) -> None:
    """`hits` is a correct answer to the search over this state of the store."""
    expected = expect(store, search, TIE)
    require(len(hits) <= search.k, f"{len(hits)} hits for k = {search.k}")
    ids = [hit["id"] for hit in hits]
    require(len(set(ids)) == len(ids), f"the same id twice: {ids}")
    for rank, hit in enumerate(hits, 1):
        row = store.rows.get(hit["id"])
        require(row is not None, f"rank {rank}: {hit['id']} is not in the store")
        assert row is not None
        at = store.place[row.id]
        wrong = f"rank {rank}: {row.id} fails the filter, the words or the threshold: {row.metadata}, {row.content!r}"
        require(expected.possible[at], wrong)
        check_hit(rank, hit, row, at, expected)
        if search.explain:
            check_explanation(rank, hit["explanation"], row, at, expected, search)
        else:
            require(hit["explanation"] is None, f"rank {rank}: an explanation that nobody asked for")
    check_ranking(store, search, [store.place[id] for id in ids], [hit["score"] for hit in hits], expected)


def check_hit(rank: int, hit: Hit, row: Row, at: int, expected: Expected) -> None:
    for column, wanted in (("content", row.content), ("file_id", row.file_id), ("filename", row.filename)):
        require(hit[column] == wanted, f"rank {rank}: {column} of {row.id} is {hit[column]!r}, not {wanted!r}")
    stale = f"rank {rank}: metadata of {row.id} is {hit['metadata']}, not {row.metadata}"
    require(canonical(hit["metadata"]) == canonical(row.metadata), stale)
    columns = {"score": expected.score, "vector_score": expected.vector_score, "keyword_score": expected.keyword_score}
    for column, values in columns.items():
        if values is None:
            require(hit[column] is None, f"rank {rank}: {column} of {row.id} is {hit[column]}, not NULL")
        else:
            check_number(f"rank {rank}: {column} of {row.id}", hit[column], float(values[at]), TOLERANCE)


def check_number(what: str, found: Any, wanted: float, tolerance: float) -> None:
    near = isinstance(found, float | int) and abs(found - wanted) <= tolerance
    require(near, f"{what} is {found}, not {wanted:.9f}")


def check_explanation(
    rank: int, explanation: Any, row: Row, at: int, expected: Expected, search: Search
) -> None:
    """Only what docs/search.md promises of the raw scores; other keys may be there."""
    what = f"rank {rank}: explained %s of {row.id}"
    require(isinstance(explanation, dict), what % "score" + " is missing")
    vector, keyword = explanation.get("vector"), explanation.get("keyword")
    if expected.cosine is not None and vector:
        check_number(what % "cosine", vector["cosine"], float(expected.cosine[at]), 2 * TOLERANCE)
    if expected.bm25 is not None and keyword:
        # BM25 reaches some tens here, and is computed in float4 at places.
        check_number(what % "BM25", keyword["bm25"], float(expected.bm25[at]), 10 * TOLERANCE)
        terms = {word for word in search.lexemes if word in row.lexemes}
        require(set(keyword["terms"]) == terms, f"{what % 'terms'} are {keyword['terms']}, not {terms}")


def check_ranking(store: Store, search: Search, places: list[int], scores: list[float], expected: Expected) -> None:
    """In order, as many as are due, and no due row outside that beats one inside."""
    ordered = all(scores[n] >= scores[n + 1] for n in range(len(scores) - 1))
    require(ordered, f"the scores do not fall: {scores}")
    reached = not scores or scores[-1] >= search.threshold
    require(reached, f"a score below the threshold {search.threshold}: {scores[-1:]}")
    best = expected.score[places]
    for rank in range(len(places) - 1):
        pair = f"{best[rank]:.9f}, {best[rank + 1]:.9f}"
        require(best[rank] >= best[rank + 1] - TIE, f"ranks {rank + 1} and {rank + 2} are exchanged: {pair}")
    # Without a threshold there are never fewer hits than rows that fit, even where it is open which of them.
    due = int(np.count_nonzero(expected.due if search.threshold > 0 else expected.possible))
    require(len(places) >= min(search.k, due), f"{len(places)} hits, but {due} rows are due and k = {search.k}")
    outside = expected.due.copy()
    outside[places] = False
    if len(places) == search.k and outside.any():
        missing = int(np.argmax(np.where(outside, expected.score, -1)))
        require(
            expected.score[missing] <= best[-1] + TIE,
            f"{store.ids[missing]} with {expected.score[missing]:.9f} is missing; the last hit has {best[-1]:.9f}",
        )
    elif outside.any():
        require(False, f"{store.ids[int(np.argmax(outside))]} is missing among {len(places)} hits, k = {search.k}")


def check_rows(server: Server, store: Store) -> None:
    """The tables hold exactly the rows of this state."""
    found = sorted((id, content, canonical(metadata), *rest) for id, content, metadata, *rest in server.stored(store))
    wanted = sorted(row.stored() for row in store.rows.values())
    if found != wanted:
        had, has = {row[0]: row for row in wanted}, {row[0]: row for row in found}
        lost, strange = sorted(had.keys() - has.keys()), sorted(has.keys() - had.keys())
        changed = [id for id in had if id in has and had[id] != has[id]]
        groups = {"lost": lost, "strange": strange, "changed": changed}
        parts = [f"{len(ids)} rows {word}, such as {ids[:5]}" for word, ids in groups.items() if ids]
        raise Mismatch(f"{store.name}: {'; '.join(parts)}")


def check_counts(server: Server, world: World) -> None:
    """vs_stores lists exactly these stores, with exact counts."""
    found = server.counts()
    wanted = {name: (store.id, len(store.rows), len(store.files)) for name, store in world.items()}
    require(found == wanted, f"vs_stores: {sorted(found.items() ^ wanted.items())[:4]} differ")
