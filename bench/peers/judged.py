"""The judged collections (beside the checkout, not part of it) and the measure of relevance."""

from __future__ import annotations

import json
import lzma
import math
import pathlib
import re
from dataclasses import dataclass

# The smallest first.
NAMES = ("cranfield", "scifact", "npl")


@dataclass(frozen=True)
class Collection:
    """Documents, queries, and for each query the documents that answer it with their grades."""

    name: str
    docs: dict[str, str]
    queries: dict[str, str]
    grades: dict[str, dict[str, int]]


def load(folder: pathlib.Path) -> list[Collection]:
    """The collections that are there."""
    found = []
    for name in NAMES:
        path = folder / f"{name}.json.xz"
        if path.exists():
            with lzma.open(path, "rt", encoding="utf-8") as file:
                raw = json.load(file)
            # "-dash" and "-5" in these questions are punctuation; in our search a hyphen there excludes the word.
            queries = {key: re.sub(r"(?<!\S)-+(?=\w)", "", text) for key, text in raw["queries"].items()}
            found.append(Collection(name, raw["docs"], queries, raw["qrels"]))
    return found


def ndcg(found: list[str], grades: dict[str, int], k: int = 10) -> float:
    """nDCG@k with linear gains, as trec_eval computes it."""
    gain = sum(grades.get(doc, 0) / math.log2(place + 2) for place, doc in enumerate(found[:k]))
    best = sum(grade / math.log2(place + 2) for place, grade in enumerate(sorted(grades.values(), reverse=True)[:k]))
    return gain / best if best else 0.0
