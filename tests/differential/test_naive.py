"""The naive side against numbers worked out by hand: a wrong oracle would hide what it shares with the server."""

import math
from typing import Any

import numpy as np
import pytest

from check import TIE, Mismatch, check_hits
from naive import Search, bm25, expect, passes
from world import Metadata, Row, Store


def row(id: str, lexemes: dict[str, int], vector: list[int], metadata: Metadata | None = None) -> Row:
    return Row(id, " ".join(lexemes) or "-", np.array(vector), metadata or {}, lexemes)


STORE = Store("s", "vs_1", 1, 2, "english", 10).with_rows(
    [
        row("a", {"cat": 2, "sat": 1}, [1, 0]),
        row("b", {"cat": 1, "dog": 1, "hat": 4}, [0, 2], {"n": 1}),
        row("c", {"dog": 3}, [-3, 0], {"n": "1"}),
        row("d", {}, [1, 1], {"n": 1.0, "filename": None}),
    ]
)


def test_bm25_by_hand() -> None:
    # Four documents, 12 tokens; cat and dog stand in two each: idf ln(1 + 2.5 / 2.5).
    idf = math.log(2)

    def part(tf: float, length: float) -> float:
        return tf / (tf + 1.2 * (0.25 + 0.75 * length / 3))

    wanted = [idf * part(2, 3), 3 * idf * part(1, 6), 2 * idf * part(3, 3), 0]
    assert bm25(STORE, {"cat": 1, "dog": 2, "absent": 1}) == pytest.approx(wanted, abs=1e-12)


def test_modes_by_hand() -> None:
    vector = np.array([5, 0])
    only = expect(STORE, Search(mode="vector_only", vector=vector), TIE)
    assert only.score == pytest.approx([1, 0.5, 0, (1 + math.sqrt(0.5)) / 2])
    words = expect(STORE, Search(mode="keyword_only", text="hat", lexemes={"hat": 1}), TIE)
    assert words.due.tolist() == [False, True, False, False]
    both = expect(STORE, Search(text="hat", lexemes={"hat": 1}, vector=vector, vector_weight=7, keyword_weight=3), TIE)
    raw = math.log(1 + 3.5 / 1.5) * 4 / (4 + 1.2 * (0.25 + 0.75 * 2))
    assert both.score[1] == pytest.approx(0.7 * 0.5 + 0.3 * raw / (raw + 10))
    assert Search(text="hat").effective_mode == "keyword_only"
    assert Search(vector=vector).effective_mode == "vector_only"


@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ({"type": "eq", "key": "n", "value": 1}, "bd"),
        ({"n": 1.0}, "bd"),
        ({"type": "ne", "key": "n", "value": 1}, "ac"),
        ({"type": "gte", "key": "n", "value": "1"}, "c"),
        ({"type": "lt", "property": "n", "value": 2}, "bd"),
        ({"type": "in", "key": "n", "value": []}, ""),
        ({"type": "nin", "key": "n", "value": [1, True]}, "ac"),
        ({"type": "in", "key": "n", "value": [True]}, ""),
        ({"type": "eq", "key": "filename", "value": "document.txt"}, "abc"),
        ({"type": "in", "key": "file_id", "value": ["a", "x"]}, "a"),
        ({"type": "and", "filters": []}, "abcd"),
        ({"type": "or", "filters": []}, ""),
        ({"type": "or", "filters": [{"n": "1"}, {"type": "gt", "key": "file_id", "value": "c"}]}, "cd"),
    ],
)
def test_filters_by_hand(filter: dict[str, Any], ids: str) -> None:
    assert "".join(id for id, row in STORE.rows.items() if passes(filter, row.seen_by_filter())) == ids


def hit(id: str, score: float) -> dict[str, Any]:
    found = STORE.rows[id]
    parts = {"content": found.content, "metadata": found.metadata, "file_id": None, "filename": None}
    return {"id": id, "score": score, "vector_score": score, "keyword_score": None, "explanation": None} | parts


def test_what_counts_as_a_difference() -> None:
    search = Search(mode="vector_only", vector=np.array([1, 0]), k=3)
    near = (1 + math.sqrt(0.5)) / 2
    right = [hit("a", 1.0), hit("d", near), hit("b", 0.5)]
    check_hits(STORE, search, right)
    check_hits(STORE, search, [hit("a", 1.0), hit("d", near + 4e-6), hit("b", 0.5)])
    for wrong in (
        right[:2],
        [right[0], right[1], hit("c", 0.0)],
        [right[0], right[0], right[1]],
        [right[1], right[0], right[2]],
        [hit("a", 1.0), hit("d", near - 2e-5), hit("b", 0.5)],
        [right[0], right[1], right[2] | {"content": "another"}],
        [right[0], right[1], right[2] | {"metadata": {"n": 1.0}}],
    ):
        with pytest.raises(Mismatch):
            check_hits(STORE, search, wrong)
