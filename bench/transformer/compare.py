"""Our transformer and its Python original on SciFact: how relevant, how alike, how fast."""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import subprocess
import sys
import time

import numpy as np

from peers import judged

# Beside the checkout, not part of it.
DATA = pathlib.Path(__file__).resolve().parents[2] / "../shared/data"
MOST_DIFFERENCE = 0.005


def ours(program: str, folder: str, texts: list[str]) -> np.ndarray:
    """Vectors by the example program."""
    done = subprocess.run([program, folder], input=json.dumps(texts).encode(), capture_output=True, check=True)
    return np.array(json.loads(done.stdout), np.float32)


def original(folder: str, texts: list[str]) -> np.ndarray:
    """Vectors by sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    return model.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)


def relevance(collection: judged.Collection, docs: list[str], queries: list[str], vectors: np.ndarray) -> float:
    """Mean nDCG@10 of exact vector search; the queries' vectors come last."""
    scores = vectors[len(docs) :] @ vectors[: len(docs)].T
    found = [[docs[at] for at in np.argsort(-row, kind="stable")[:10]] for row in scores]
    return float(np.mean([judged.ndcg(best, collection.grades[query]) for query, best in zip(queries, found)]))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--docs", type=int, default=10**9, help="only so many documents, judged ones first")
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    arguments = parser.parse_args()
    collections = [found for found in judged.load(arguments.data) if found.name == "scifact"]
    if not collections:
        sys.exit(f"{arguments.data} has no scifact.json.xz")
    [collection] = collections
    # Those that a query is judged by come first: without them a part of the collection would tell nothing.
    judged_docs = {doc for grades in collection.grades.values() for doc in grades}
    order = sorted(collection.docs, key=int)
    random.Random(1).shuffle(order)
    docs = sorted(order, key=lambda doc: doc not in judged_docs)[: arguments.docs]
    queries = sorted(query for query in collection.queries if collection.grades.get(query))
    texts = [collection.docs[doc] for doc in docs] + [collection.queries[query] for query in queries]
    results = {}
    for name, make in (
        ("ours", lambda: ours(arguments.program, arguments.folder, texts)),
        ("original", lambda: original(arguments.folder, texts)),
    ):
        began = time.monotonic()
        vectors = make()
        seconds = time.monotonic() - began
        results[name] = vectors, relevance(collection, docs, queries, vectors)
        print(f"{name:8} nDCG@10 {results[name][1]:.4f}   {len(texts) / seconds:6.1f} texts/s with loading", flush=True)
    (mine, my_relevance), (theirs, their_relevance) = results["ours"], results["original"]
    print(f"least cosine between the two: {float((mine * theirs).sum(1).min()):.6f}")
    difference = abs(my_relevance - their_relevance)
    print(f"difference {difference:.4f}, allowed {MOST_DIFFERENCE}")
    return 0 if difference <= MOST_DIFFERENCE else 1


if __name__ == "__main__":
    sys.exit(main())
