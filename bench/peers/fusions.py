"""Fusion methods over exact scores, computed here: what each could give, apart from any engine's candidates."""

from __future__ import annotations

import numpy as np
import psycopg

from .data import Data

DEPTH = 100
RRF = 60
# Half of the keyword scale: a BM25 of this much counts 0.5.
HALF = 10.0


def bm25_scores(data: Data) -> np.ndarray:
    """BM25 of every document for every query, by bm25s (k1 1.2, b 0.75, stemmed)."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    scorer = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    scorer.index(bm25s.tokenize(data.texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    scores = np.zeros((len(data.queries), len(data)), np.float32)
    for number, text in enumerate(data.queries):
        words = bm25s.tokenize([text], stopwords="en", stemmer=stemmer, show_progress=False, return_ids=False)[0]
        if words:
            scores[number] = scorer.get_scores(words)
    return scores


def static_cosines(connection: psycopg.Connection, data: Data, store: str) -> np.ndarray:
    """Cosines under the extension's own model, whose embeddings the store holds."""
    rows = connection.execute(
        "SELECT e.id, e.embedding::real[] FROM vectorstore.embeddings e JOIN vectorstore.stores s USING (store_id) WHERE s.name = %s",
        (store,),
    )
    found = {id_: values for id_, values in rows}
    nothing = np.zeros(len(next(iter(found.values()))))
    docs = np.array([found.get(id_, nothing) for id_ in data.ids], np.float32)
    asked = np.array(
        [connection.execute("SELECT vs_embed(%s)::real[]", (text,)).fetchone()[0] for text in data.queries], np.float32
    )  # type: ignore[index]
    return asked @ docs.T


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """Row numbers of the greatest, best first, equal ones by number."""
    return np.argsort(-scores, kind="stable")[:count]


def rrf(cosines: np.ndarray, bm25: np.ndarray) -> np.ndarray:
    """Sum of 1 / (60 + rank) over the lists that name the row."""
    fused = np.zeros(len(cosines))
    for scores in (cosines, bm25):
        rows = best(scores, DEPTH)
        rows = rows[scores[rows] > 0]
        fused[rows] += 1 / (RRF + 1 + np.arange(len(rows)))
    return fused


def minmax(cosines: np.ndarray, bm25: np.ndarray) -> np.ndarray:
    """Half and half, each list stretched to 0..1."""
    fused = np.zeros(len(cosines))
    for scores in (cosines, bm25):
        rows = best(scores, DEPTH)
        low, high = scores[rows].min(), scores[rows].max()
        if high > low:
            fused[rows] += 0.5 * (scores[rows] - low) / (high - low)
    return fused


def absolute(share: float):
    """Weighted mean on scales that do not depend on the lists."""

    def fuse(cosines: np.ndarray, bm25: np.ndarray) -> np.ndarray:
        fused = share * (1 + cosines) / 2 + (1 - share) * bm25 / (bm25 + HALF)
        candidates = np.union1d(best(cosines, DEPTH), best(bm25, DEPTH))
        kept = np.zeros(len(cosines))
        kept[candidates] = fused[candidates]
        return kept

    return fuse


FUSIONS = {"RRF": rrf, "min-max .5": minmax, "absolute .5": absolute(0.5), "absolute .7": absolute(0.7)}


def answers(connection: psycopg.Connection, data: Data, store: str) -> dict[str, list[list[str]]]:
    """Ten best rows of every query for both models and every method."""
    words = bm25_scores(data)
    found = {}
    for model, cosines in (
        ("static", static_cosines(connection, data, store)),
        ("MiniLM", data.query_vectors @ data.vectors.T),
    ):
        for name, fuse in FUSIONS.items():
            found[f"{model}, {name}"] = [
                [f"d{row}" for row in best(fuse(cosines[number], words[number]), 10)]
                for number in range(len(data.queries))
            ]
    return found
