"""Random texts, vectors, metadata, filters and searches, made so that ties, repetitions and empty results happen."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from naive import Search, expect
from world import Metadata, Store, Vector

# Frequent words first (Zipf). Inflections meet in one stem, stop words in none; some words are no plain ASCII.
WORDS = (
    "the search engine of searching index and indexes a store vector vectors to query queries is token rank ranked"
    " lake river café naïve stone stones 42 7 v2 running runner ran blue green amber wolf wolves night nightly"
    " harbour bridge copper tin zinc quartz über straße granite willow heron osprey juniper larch 1984 x86"
).split()
STOPPERS = ["the", "of", "and", "a", "is", "to", "!!", "—", "..."]
UNKNOWN = ["zyzzyva", "qwxyz", "unheardof"]
DIMENSIONS = [1, 2, 3, 4, 5, 8, 8, 64, 64, 384]
LANGUAGES = ["english", "english", "english", "simple", "german"]
KS = [1, 1, 2, 3, 5, 10, 10, 10, 20, 25, 50, 100, 400, 10_000]
SCALARS: dict[str, list[Any]] = {
    "topic": ["ai", "AI", "law", "äther", "z", "10", "9", ""],
    "year": [2019, 2020, 2020.0, 2021, 2020.5, -3, 0],
    "draft": [True, False],
    "mixed": ["1", 1, True, 1.0, "true", 0, False, "x"],
    "big": [9007199254740992, 9007199254740993, 9007199254740991],
    "filename": ["a.txt", "b.txt", "document.txt", 5],
    "file_id": ["file-own", "x"],
}
SHARE = {"topic": 0.8, "year": 0.7, "draft": 0.5, "mixed": 0.5, "big": 0.2, "filename": 0.15, "file_id": 0.05}
NOT_SCALAR: list[Any] = [None, [1, "ai"], {"topic": "ai"}, []]


class Generator:
    """All randomness of a run comes from here."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        weights = [1 / (rank + 1.5) for rank in range(len(WORDS))]
        self.weights = [sum(weights[: n + 1]) for n in range(len(weights))]

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def words(self, count: int) -> list[str]:
        return self.random.choices(WORDS, cum_weights=self.weights, k=count)

    def text(self, store: Store | None = None) -> str:
        if store is not None and store.rows and self.chance(0.15):
            return self.some_row_content(store)
        if self.chance(0.06):
            return " ".join(self.random.choices(STOPPERS, k=self.random.randint(1, 4)))
        return " ".join(self.words(self.random.choice([1, 2, 3, 5, 8, 8, 13, 21, 40])))

    def some_row_content(self, store: Store) -> str:
        return store.rows[self.random.choice(store.ids)].content

    def vector(self, store: Store) -> Vector:
        """Whole numbers: exact as text, as float4 and as float8. Any length, because only the direction counts."""
        dims = store.dimensions
        if store.rows and self.chance(0.12):
            old = store.rows[self.random.choice(store.ids)].vector
            return old * self.random.choice([1, 1, 2]) if np.abs(old).max() < 1_000_000 else old
        if dims <= 8 and self.chance(0.4):
            low, high = -2, 2
        else:
            low, high = -999, 999
        vector = np.array([self.random.randint(low, high) for _ in range(dims)], dtype=np.int64)
        if not vector.any():
            vector[self.random.randrange(dims)] = 1
        return vector

    def metadata(self) -> Metadata:
        found: Metadata = {}
        for key, values in SCALARS.items():
            if self.chance(SHARE[key]):
                found[key] = self.random.choice(values)
        if self.chance(0.08):
            found[self.random.choice(["topic", "year", "deep"])] = self.random.choice(NOT_SCALAR)
        if self.chance(0.01):
            found["rare"] = self.random.randint(1, 3)
        return found

    def attributes(self) -> Metadata:
        """Metadata of a file: no nulls, lists or objects there."""
        return {key: value for key, value in self.metadata().items() if isinstance(value, str | int | float)}

    def filter(self, store: Store, depth: int = 0) -> dict[str, Any]:
        roll = self.random.random()
        if roll < 0.12 and depth == 0:
            keys = self.random.sample(["topic", "year", "draft", "mixed", "rare"], self.random.randint(0, 2))
            return {key: self.operand(store, key) for key in keys}
        if roll < 0.40 and depth < 4:
            parts = [self.filter(store, depth + 1) for _ in range(self.random.choice([0, 1, 2, 2, 3]))]
            return {"type": self.random.choice(["and", "or"]), "filters": parts}
        key = self.random.choice([*SCALARS, "topic", "year", "topic", "year", "draft", "rare", "absent", "deep"])
        if store.files and self.chance(0.25):
            return self.file_filter(store)
        op = self.random.choice(["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"])
        value: Any
        if op in ("in", "nin"):
            value = [self.operand(store, key) for _ in range(self.random.choice([0, 1, 2, 3, 6]))]
        else:
            value = self.operand(store, key)
        return {"type": op, "key" if self.chance(0.8) else "property": key, "value": value}

    def file_filter(self, store: Store) -> dict[str, Any]:
        """About the file of some chunk: few rows have one, so that other filters hardly ever meet it."""
        file = self.random.choice(list(store.files))
        seen = {"file_id": file, "filename": store.files[file]}
        key = self.random.choice(list(seen))
        op = self.random.choice(["eq", "eq", "ne", "in", "lte"])
        return {"type": op, "key": key, "value": [seen[key]] if op == "in" else seen[key]}

    def operand(self, store: Store, key: str) -> Any:
        """Often what a row of the store has under the key, so that filters cut between rows."""
        if store.rows and self.chance(0.5):
            seen = store.rows[self.random.choice(store.ids)].seen_by_filter().get(key)
            if isinstance(seen, str | int | float):
                return seen
        if self.chance(0.06):
            key = self.random.choice(list(SCALARS))
        return self.random.choice(SCALARS.get(key, [1, 2, "ai", True]))

    def query_text(self, store: Store) -> str:
        roll = self.random.random()
        if roll < 0.06:
            return " ".join(self.random.choices(STOPPERS[:6], k=2))
        if roll < 0.10:
            return self.random.choice(UNKNOWN)
        if roll < 0.16 and store.rows:
            return self.some_row_content(store)
        words = self.words(self.random.choice([1, 1, 2, 3, 4, 6, 15]))
        if self.chance(0.2):
            words.append(words[0])
        if self.chance(0.1):
            words.append(self.random.choice(UNKNOWN))
        return " ".join(words)

    def search(self, store: Store, slack: float, lexemes_of: Any) -> Search:
        mode = self.random.choice(["hybrid", "hybrid", "vector_only", "keyword_only"])
        text = self.query_text(store) if mode == "keyword_only" or self.chance(0.93) else None
        wants_vector = mode == "vector_only" or text is None or (mode == "hybrid" and self.chance(0.9))
        vector = self.vector(store) if wants_vector else None
        weights = [(0.7, 0.3)] * 3 + [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (7.0, 3.0), (self.random.random(), 0.1)]
        vector_weight, keyword_weight = self.random.choice(weights)
        search = Search(
            mode=mode,
            text=text,
            vector=vector,
            lexemes=lexemes_of(store.language, text) if text is not None else {},
            k=self.random.choice(KS),
            vector_weight=vector_weight,
            keyword_weight=keyword_weight,
            filter=self.filter(store) if self.chance(0.45) else None,
            explain=self.chance(0.15),
        )
        if self.chance(0.2):
            search = self.with_threshold(store, search, slack)
        return search

    def with_threshold(self, store: Store, search: Search, slack: float) -> Search:
        """A threshold that cuts the list somewhere, at times exactly at a score."""
        expected = expect(store, search, slack)
        scores = expected.score[expected.possible]
        bar = float(self.random.choice(scores.tolist())) if len(scores) and self.chance(0.8) else self.random.random()
        return Search(**{**search.__dict__, "threshold": min(max(round(bar, 4), 0.0), 1.0)})
