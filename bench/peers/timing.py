"""Alternating measurement: the systems take turns query by query, each in a random order of its own. Without that
the second one would find what the first one left in the processor's caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Milliseconds, and the ids that were found.
Answer = tuple[float, list[str]]
Search = Callable[[int], Answer]


@dataclass(frozen=True)
class Times:
    """What one system took for every query, in milliseconds (one row a round), and what it found at last."""

    rounds: np.ndarray
    found: list[list[str]]

    @property
    def p50(self) -> float:
        """Median of the rounds' medians."""
        return float(np.median(np.median(self.rounds, axis=1)))

    @property
    def p99(self) -> float:
        """Median of the rounds' 99th percentiles."""
        return float(np.median(np.percentile(self.rounds, 99, axis=1)))

    def spread(self, other: Times) -> tuple[float, float]:
        """Least and greatest ratio of the medians over the rounds."""
        ratios = np.median(self.rounds, axis=1) / np.median(other.rounds, axis=1)
        return float(ratios.min()), float(ratios.max())

    def summary(self) -> dict[str, float]:
        """For the results file."""
        medians = np.median(self.rounds, axis=1)
        return {"p50": self.p50, "p99": self.p99, "p50_min": float(medians.min()), "p50_max": float(medians.max())}


def alternate(
    systems: Sequence[Search], queries: int, rounds: int, seed: int = 1, warm: int | None = None
) -> list[Times]:
    """Lets every system answer every query once a round, after a warm-up over some of them."""
    rng = np.random.default_rng(seed)
    times = np.zeros((len(systems), rounds, queries))
    found: list[list[list[str]]] = [[[] for _ in range(queries)] for _ in systems]
    for search in systems:
        for query in range(min(queries, 50 if warm is None else warm)):
            search(query)
    for turn in range(rounds):
        orders = [rng.permutation(queries) for _ in systems]
        for step in range(queries):
            for system in rng.permutation(len(systems)):
                query = orders[system][step]
                times[system, turn, query], found[system][query] = systems[system](int(query))
    return [Times(rounds, ids) for rounds, ids in zip(times, found)]
