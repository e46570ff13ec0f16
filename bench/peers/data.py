"""The rows and queries of a run: seeded, the same on every machine that has the same sources."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from . import judged, sources
from .embed import DIMENSIONS, directions, embed, normalized

# Length of the noise that is added to an embedding of length 1: a chunk is about as near to its document as that.
NOISE = 0.35
# Values of the metadata's number; a filter `bucket < n` lets n of 1,000 rows pass.
BUCKETS = 1000
# One query in 33 is a whole abstract: people paste them.
LONG_QUERIES = 0.03
SMALL = 10_000
SMALL_SAMPLE = 1_500
# Vectors of texts, and what made them.
Embed = Callable[[list[str], pathlib.Path], tuple[np.ndarray, str]]


@dataclass(frozen=True)
class Data:
    """Rows in random order, so that the first n are a sample of all."""

    texts: list[str]
    vectors: np.ndarray
    buckets: np.ndarray
    queries: list[str]
    query_vectors: np.ndarray
    made_of: dict[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    @functools.cached_property
    def ids(self) -> list[str]:
        """Row number in letters."""
        return [f"d{number}" for number in range(len(self.texts))]

    def first(self, count: int) -> Data:
        """The first rows, with all queries."""
        return replace(self, texts=self.texts[:count], vectors=self.vectors[:count], buckets=self.buckets[:count])

    def nearest(self, k: int = 10, below: int | None = None) -> list[set[str]]:
        """Ids of the exactly nearest rows of each query, by cosine, among those whose bucket is below a bound."""
        rows = np.arange(len(self)) if below is None else np.flatnonzero(self.buckets < below)
        vectors = self.vectors if below is None else self.vectors[rows]
        found = []
        for query in np.array_split(self.query_vectors, max(1, len(self.query_vectors) // 32)):
            cosines = query @ vectors.T
            best = np.argpartition(-cosines, min(k, len(rows)) - 1, axis=1)[:, :k]
            found += [{f"d{rows[place]}" for place in places} for places in best]
        return found


def recall(found: list[str], truth: set[str]) -> float:
    """Share of the true rows that were found."""
    return len(truth.intersection(found)) / len(truth) if truth else 1.0


def build(
    size: int,
    queries: int,
    shared: pathlib.Path,
    cache: pathlib.Path,
    docs: pathlib.Path,
    seed: int = 1,
    embedded: bool = True,
) -> Data:
    """Rows and queries from whatever sources there are; embeddings are kept in the cache folder. Where only words
    matter the vectors need not be embeddings."""
    rng = np.random.default_rng([seed, size])
    collections = judged.load(shared)
    # Questions about what no vector is near to would be harder than real ones.
    asking = collections[:1] if embedded and size <= SMALL else collections
    make = embed if embedded else directions
    documents = [text for collection in collections for text in collection.docs.values()]
    apt = sources.packages()
    if not documents:
        documents = apt or sources.words_of(docs)
        apt = []
    held_out = set(rng.permutation(len(documents))[: min(300, len(documents) // 10)].tolist())
    texts, vectors, model = _embedded(documents, asking, size, cache, np.random.default_rng(seed), make)

    chunks, parents = [], []
    for number, text in enumerate(texts):
        if number not in held_out:
            for chunk in sources.cut(text):
                chunks.append(chunk)
                parents.append(number)
    # Rows without a document that was embedded get the direction of a random one.
    rest = [chunk for number in range(len(texts), len(documents)) for chunk in sources.cut(documents[number])] + apt
    known = len(chunks)
    chunks += rest
    of_rest = rng.integers(0, known, len(rest))
    parents = np.concatenate([np.array(parents), np.array(parents)[of_rest]])
    if size > len(chunks):
        more, origin = sources.made_up(chunks, size - len(chunks), rng)
        chunks += more
        parents = np.concatenate([parents, parents[origin]])
    order = rng.permutation(len(chunks))[:size]
    asked, asked_vectors = _queries(asking, texts, sorted(held_out), queries, cache, rng, make)
    return Data(
        texts=[chunks[row] for row in order],
        vectors=_noisy(vectors, parents[order], rng),
        buckets=rng.integers(0, BUCKETS, size),
        queries=asked,
        query_vectors=asked_vectors,
        made_of={
            "rows": size,
            "judged documents": sum(len(collection.docs) for collection in collections),
            "packages": len(apt),
            "made up": max(0, size - known - len(rest)),
            "embeddings": f"{len(texts)} by {model}, noise {NOISE}",
            "queries": len(asked),
            "words of a query p50": float(np.median([len(text.split()) for text in asked])),
            "seed": seed,
        },
    )


def _embedded(
    documents: list[str],
    asking: list[judged.Collection],
    size: int,
    cache: pathlib.Path,
    rng: np.random.Generator,
    make: Embed,
) -> tuple[list[str], np.ndarray, str]:
    """Those that stand first have embeddings: all judged ones, in a small run those of the smallest collection."""
    if asking:
        # By collection, as the benchmark of relevance embeds them too.
        made = [make(list(part.docs.values()), cache) for part in asking]
        vectors = np.concatenate([vectors for vectors, _ in made])
        return documents[: len(vectors)], vectors, made[0][1]
    rng.shuffle(documents)
    texts = documents[: SMALL_SAMPLE if size <= SMALL else 9 * SMALL_SAMPLE]
    vectors, model = make(texts, cache)
    return texts, vectors, model


def _noisy(vectors: np.ndarray, parents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = np.empty((len(parents), DIMENSIONS), np.float32)
    for begin in range(0, len(parents), 65_536):
        part = parents[begin : begin + 65_536]
        noise = normalized(rng.standard_normal((len(part), DIMENSIONS), np.float32))
        rows[begin : begin + len(part)] = normalized(vectors[part] + NOISE * noise)
    return rows


def _queries(
    collections: list[judged.Collection],
    texts: list[str],
    held_out: list[int],
    count: int,
    cache: pathlib.Path,
    rng: np.random.Generator,
    make: Embed,
) -> tuple[list[str], np.ndarray]:
    """Judged queries, and titles and whole texts of documents that were held out."""
    held = [texts[number] for number in held_out if number < len(texts)] or texts[:50]
    long = [" ".join(text.split()[:250]) for text in held[: max(1, round(LONG_QUERIES * count))]]
    short = [text for collection in collections for text in collection.queries.values()]
    rng.shuffle(short)
    titles = [" ".join(next(iter(text.split(". "))).split()[:20]) for text in held]
    chosen = (short + titles)[: count - len(long)] + long
    vectors, _ = make(chosen, cache)
    return chosen, vectors
