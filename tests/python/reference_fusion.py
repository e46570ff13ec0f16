"""Fusion by the book, in plain Python and exact fractions, written from the definitions of core::fusion's comments.

    python3 tests/python/reference_fusion.py > tests/golden/fusion.json

prints seeded random cases and what they must give; the Rust tests compare themselves with that file.
"""

import json
import math
import random
from fractions import Fraction

KEYWORD_HALF = 10


# Legs of one query. A candidate is (chunk id, cosine, vector rank, BM25, keyword rank), unknown ones None.


def vector_scale(cosine):
    return min(max((1 + Fraction(cosine)) / 2, Fraction(0)), Fraction(1))


def keyword_scale(bm25):
    return Fraction(bm25) / (Fraction(bm25) + KEYWORD_HALF) if bm25 > 0 else Fraction(0)


def clamp(value):
    return min(max(value, Fraction(0)), Fraction(1))


def compare_with(value, inside):
    """The scale of a list without spread."""
    return lambda x: inside if x == value else Fraction(int(x > value))


def statistic_scale(method, listed):
    """The function that normalises a raw score, from the raw scores of the leg's own list."""
    listed = [Fraction(x) for x in listed]
    if not listed:
        return lambda x: Fraction(0)
    if method == "minmax":
        low, high = min(listed), max(listed)
        if low == high:
            return compare_with(low, Fraction(1))
        return lambda x: clamp((x - low) / (high - low))
    if len(set(listed)) == 1:
        return compare_with(listed[0], Fraction(1, 2))
    mean = sum(listed) / len(listed)
    deviation = Fraction(math.sqrt(sum((x - mean) ** 2 for x in listed) / (len(listed) - 1)))
    if method == "dbsf":
        low, high = mean - 3 * deviation, mean + 3 * deviation
        return lambda x: clamp((x - low) / (high - low))
    return lambda x: Fraction(1 / (1 + math.exp(-(x - mean) / deviation)))


def normalise_leg(method, k, absolute, leg):
    """Normalised scores of one leg, which is a list of pairs (raw score, rank)."""
    if method == "rrf":
        return [(Fraction(k) + 1) / (Fraction(k) + rank) if rank else Fraction(0) for _, rank in leg]
    listed = [score for score, rank in leg if rank and score is not None]
    scale = absolute if method == "weighted" else statistic_scale(method, listed)
    return [Fraction(0) if score is None else scale(Fraction(score)) for score, _ in leg]


def fuse(method, k, weights, candidates):
    """(chunk id, fused, normalised vector, normalised keyword, candidate), best first."""
    vectors = [(c[1], c[2]) for c in candidates]
    # A BM25 of 0 means that no term matched.
    keywords = [(c[3] if c[3] is not None and c[3] > 0 else None, c[4]) for c in candidates]
    vector, keyword = Fraction(weights[0]), Fraction(weights[1])
    hits = []
    for candidate, v, w in zip(
        candidates,
        normalise_leg(method, k, vector_scale, vectors),
        normalise_leg(method, k, keyword_scale, keywords),
    ):
        finders = [weight for weight, rank in ((vector, candidate[2]), (keyword, candidate[4])) if rank]
        if finders and max(finders) == 0:
            continue
        hits.append((candidate[0], (v * vector + w * keyword) / (vector + keyword), v, w, candidate))
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))


def admitted(hits, thresholds):
    """Chunk ids of the hits that reach the least vector, keyword and fused score, where they are set."""
    ids = []
    for chunk_id, fused, _, _, candidate in hits:
        vector = vector_scale(candidate[1]) if candidate[1] is not None else 0
        keyword = keyword_scale(candidate[3]) if candidate[3] is not None else 0
        if all(least is None or score >= least for score, least in zip((vector, keyword, fused), thresholds)):
            ids.append(chunk_id)
    return ids


# Several queries. A query is (weight, list of (chunk id, score)).


def best_scores(query):
    scores = {}
    for chunk_id, score in query[1]:
        scores[chunk_id] = max(clamp(Fraction(score)), scores.get(chunk_id, Fraction(0)))
    return scores


def combine(how, k, positives, negatives):
    tables = [(Fraction(query[0]), best_scores(query)) for query in positives if query[0] > 0]
    if how == "rrf":
        ranked = [(weight, sorted(scores, key=lambda c: (-scores[c], c))) for weight, scores in tables]
        tables = [
            (weight, {c: (Fraction(k) + 1) / (Fraction(k) + rank) for rank, c in enumerate(order, start=1)})
            for weight, order in ranked
        ]
    greatest, total = max(weight for weight, _ in tables), sum(weight for weight, _ in tables)
    hits = []
    for chunk_id in set().union(*(scores for _, scores in tables)):
        values = [weight * scores.get(chunk_id, 0) for weight, scores in tables]
        score = max(values) / greatest if how == "max" else sum(values) / total
        for query in negatives:
            score -= Fraction(query[0]) * best_scores(query).get(chunk_id, 0)
        hits.append((chunk_id, max(score, Fraction(0))))
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))


def group_limit(ranked, k, group_size):
    taken, counts = [], {}
    for chunk_id, group in ranked:
        if len(taken) == k or group_size == 0:
            break
        if group is not None:
            if counts.get(group, 0) == group_size:
                continue
            counts[group] = counts.get(group, 0) + 1
        taken.append(chunk_id)
    return taken


# Cases.


class Dice:
    """Only random(), whose sequence Python promises to keep for a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def chance(self, probability):
        return self.random() < probability

    def choice(self, values):
        return values[self.below(len(values))]

    def ids(self, count):
        ids = []
        while len(ids) < count:
            chunk_id = self.below(1000) - 100
            if chunk_id not in ids:
                ids.append(chunk_id)
        return ids


def leg(dice, ids, draw, share, unknown):
    """What a leg knows: its list of the best of those it found, and scores of some that it did not."""
    scores = {i: draw() for i in ids if not dice.chance(unknown)}
    found = sorted((i for i in scores if dice.chance(share)), key=lambda i: (-scores[i], i))
    ranks = {chunk_id: rank for rank, chunk_id in enumerate(found, start=1)}
    return {i: (scores.get(i), ranks.get(i)) for i in ids}


def draws(dice, kind):
    """Two functions that give a cosine and a BM25 score; some kinds give many ties."""
    if kind == "equal":
        cosine, bm25 = round(dice.random(), 3), round(dice.random() * 20, 3)
        return lambda: cosine, lambda: bm25
    if kind == "ties":
        return lambda: dice.below(9) / 8, lambda: dice.below(6) * 2.5
    return lambda: round(dice.random() * 1.4 - 0.4, 6), lambda: round(dice.random() ** 2 * 40, 6)


WEIGHTS = [(0.7, 0.3), (1.0, 1.0), (7.0, 3.0), (1.0, 0.0), (0.0, 1.0), (0.25, 2.0), (0.0, 0.3)]


def fuse_case(dice, number):
    method = ("weighted", "minmax", "dbsf", "zscore", "rrf")[number % 5]
    ids = dice.ids(dice.choice([0, 1, 1, 2, 3, 5, 8, 12]) if number > 4 else 6)
    kind = dice.choice(["free", "free", "ties", "equal"])
    cosine, bm25 = draws(dice, kind)
    share = dice.choice([0.3, 0.7, 1.0])
    vectors = leg(dice, ids, cosine, share, dice.choice([0.0, 0.2]))
    keywords = leg(dice, ids, bm25, share, dice.choice([0.0, 0.4, 1.0]))
    candidates = [(i, *vectors[i], *keywords[i]) for i in ids]
    k = dice.choice([None, 0.0, 1.0, 2.5, 60.0]) if method == "rrf" else None
    weights = dice.choice(WEIGHTS)
    hits = fuse(method, 60 if k is None else k, weights, candidates)
    thresholds = [round(dice.random(), 3) if dice.chance(0.4) else None for _ in range(3)]
    return {
        "method": method,
        "k": k,
        "weights": weights,
        "candidates": candidates,
        "hits": [(i, *map(number_of, scores)) for i, *scores, _ in hits],
        "thresholds": thresholds,
        "admitted": admitted(hits, thresholds),
    }


def queries(dice, count, ids, weights, ties):
    def score():
        return dice.below(5) / 4 if ties else round(dice.random(), 6)

    return [(dice.choice(weights), [(i, score()) for i in ids if dice.chance(0.7)]) for _ in range(count)]


def combine_case(dice, number):
    how = ("max", "sum", "rrf")[number % 3]
    ties = dice.chance(0.4)
    ids = dice.ids(dice.choice([1, 3, 6, 10]))
    positives = queries(dice, 1 + dice.below(4), ids, [1.0, 1.0, 0.5, 2.0, 0.0], ties)
    positives[0] = (1.0, positives[0][1])
    negatives = queries(dice, dice.choice([0, 0, 1, 2]), ids, [0.25, 0.5, 1.0, 0.0], ties)
    k = dice.choice([None, 0.0, 10.0]) if how == "rrf" else None
    hits = combine(how, 60 if k is None else k, positives, negatives)
    return {
        "how": how,
        "k": k,
        "positives": positives,
        "negatives": negatives,
        "hits": [(i, number_of(score)) for i, score in hits],
    }


def group_case(dice):
    ranked = [(i, dice.choice([None, "a", "b", "c"])) for i in dice.ids(dice.below(13))]
    k, group_size = dice.below(8), dice.below(4)
    return {"ranked": ranked, "k": k, "group_size": group_size, "hits": group_limit(ranked, k, group_size)}


def number_of(fraction):
    """Rounded, so that the last bit of another machine's exp() changes nothing."""
    return round(float(fraction), 12)


def golden():
    """The text of tests/golden/fusion.json, one case a line."""
    dice = Dice(20240229)
    parts = {
        "fuse": [fuse_case(dice, number) for number in range(120)],
        "combine": [combine_case(dice, number) for number in range(60)],
        "groups": [group_case(dice) for _ in range(30)],
    }
    lines = (
        json.dumps(name) + ": [\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"
        for name, cases in parts.items()
    )
    return "{" + ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    print(golden(), end="")
