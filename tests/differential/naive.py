"""Search by the book, over all rows of a store: BM25, cosine, filters, fusion. Nothing is skipped, nothing is clever.

Written from docs/search.md and docs/filters.md, not from the extension's code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world import Store, Vector

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]

K1, B = 1.2, 0.75
# The BM25 score that becomes one half.
HALF = 10.0


def depth(k: int) -> int:
    """Fewest candidates that each leg of a hybrid search names for k results."""
    return max(60, min(4 * k, 2 * k + 100))


@dataclass(frozen=True, eq=False)
class Search:
    """Arguments of one call of vs_search. `lexemes` are those of the query text (Postgres' answer)."""

    mode: str = "hybrid"
    text: str | None = None
    vector: Vector | None = None
    lexemes: Mapping[str, int] = field(default_factory=dict)
    k: int = 10
    vector_weight: float = 0.7
    keyword_weight: float = 0.3
    filter: dict[str, Any] | None = None
    threshold: float = 0.0
    explain: bool = False

    @property
    def effective_mode(self) -> str:
        """With one side missing the other answers alone."""
        if self.mode != "hybrid":
            return self.mode
        if self.text is None:
            return "vector_only"
        return "keyword_only" if self.vector is None else "hybrid"

    def shown(self) -> str:
        """For messages; long vectors are left out, because the seed brings them back."""
        shown = {name: value for name, value in self.__dict__.items() if name != "lexemes"}
        if self.vector is not None:
            shown["vector"] = self.vector.tolist() if len(self.vector) <= 8 else "..."
        return str(shown)


@dataclass(frozen=True, eq=False)
class Expected:
    """One number for each row of the store, in the store's order.

    `possible`: may be returned. `due`: must be, unless k better rows are.
    """

    score: Scores
    possible: Flags
    due: Flags
    cosine: Scores | None
    bm25: Scores | None
    vector_score: Scores | None
    keyword_score: Scores | None


def bm25(store: Store, lexemes: Mapping[str, int]) -> Scores:
    """Lucene's idf; statistics of the whole store; a lexeme that the query repeats counts as often."""
    scores = np.zeros(len(store.rows))
    if not store.rows or not store.lengths.sum():
        return scores
    damped = K1 * (1 - B + B * store.lengths / store.lengths.mean())
    for lexeme, repeated in lexemes.items():
        tf = np.array([row.lexemes.get(lexeme, 0) for row in store.rows.values()], dtype=np.float64)
        df = np.count_nonzero(tf)
        idf = math.log(1 + (len(tf) - df + 0.5) / (df + 0.5))
        scores += repeated * idf * tf / (tf + damped)
    return scores


def cosine(store: Store, vector: Vector) -> Scores:
    query = vector.astype(np.float64)
    return store.units @ (query / np.linalg.norm(query))


def top(scores: Scores, among: Flags, count: int, slack: float) -> Flags:
    """Rows that are surely among the `count` best: those that lose by less than `slack` are in doubt."""
    chosen = scores[among]
    if len(chosen) <= count:
        return among.copy()
    bar = np.sort(chosen)[::-1][count]
    best: Flags = among & (scores > bar + slack)
    return best


def expect(store: Store, search: Search, slack: float) -> Expected:
    """`slack`: scores that are closer than this may change places."""
    mode = search.effective_mode
    count = len(store.rows)
    allowed = np.ones(count, dtype=bool)
    if search.filter:
        allowed = np.array([passes(search.filter, row.seen_by_filter()) for row in store.rows.values()], dtype=bool)
    cosines = words = vector_score = keyword_score = None
    if mode != "keyword_only":
        assert search.vector is not None
        cosines = cosine(store, search.vector)
        vector_score = np.clip((1 + cosines) / 2, 0, 1)
    if mode != "vector_only":
        words = bm25(store, search.lexemes)
        keyword_score = words / (words + HALF)

    if words is None:
        assert vector_score is not None
        score, possible = vector_score, allowed
        due = allowed
    elif vector_score is None:
        assert keyword_score is not None
        score, possible = keyword_score, allowed & (words > 0)
        due = possible
    else:
        assert keyword_score is not None
        weights = search.vector_weight + search.keyword_weight
        score = (search.vector_weight * vector_score + search.keyword_weight * keyword_score) / weights
        matched = allowed & (words > 0)
        if search.vector_weight == 0:
            possible = due = matched
        else:
            possible = allowed
            # Every row is a candidate, or one leg decides alone; else only what the legs surely name is due.
            if np.count_nonzero(allowed) <= depth(search.k) or search.keyword_weight == 0:
                due = allowed
            else:
                due = top(vector_score, allowed, search.k, slack) | top(words, matched, search.k, slack)
    sure = score >= search.threshold + slack if search.threshold > 0 else np.ones(count, dtype=bool)
    maybe = score >= search.threshold - slack
    return Expected(score, possible & maybe, due & sure, cosines, words, vector_score, keyword_score)


# ---- Filters -------------------------------------------------------------------------------------------


def passes(filter: dict[str, Any], seen: dict[str, Any]) -> bool:
    """Whether an object with these keys passes a filter, in the long form or the short one."""
    kind = filter.get("type")
    if "filters" in filter:
        results = [passes(part, seen) for part in filter["filters"]]
        return all(results) if kind == "and" else any(results)
    if kind is None:
        return all(same(seen.get(key), value) for key, value in filter.items())
    found, wanted = seen.get(filter["key"] if "key" in filter else filter["property"]), filter["value"]
    if kind in ("eq", "ne"):
        return same(found, wanted) is (kind == "eq")
    if kind in ("in", "nin"):
        return any(same(found, value) for value in wanted) is (kind == "in")
    order = compare(found, wanted)
    if order is None:
        return False
    return {"gt": order > 0, "gte": order >= 0, "lt": order < 0, "lte": order <= 0}[kind]


def same(found: object, wanted: object) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return isinstance(found, bool) and isinstance(wanted, bool) and found == wanted
    return compare(found, wanted) == 0


def compare(found: object, wanted: object) -> int | None:
    """Numbers by value, strings by code point; None for anything else and for different types."""
    for number in (found, wanted):
        if isinstance(number, bool):
            return None
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        left, right = Decimal(repr(found)), Decimal(repr(wanted))
        return (left > right) - (left < right)
    if isinstance(found, str) and isinstance(wanted, str):
        return (found > wanted) - (found < wanted)
    return None
