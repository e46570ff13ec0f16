"""The cases with which the Rust tests compare fusion are those that the reference gives. Needs no database."""

import json
import math

import pytest
import reference_fusion as reference


def test_the_committed_cases_are_what_the_reference_prints(repository):
    committed = (repository / "tests" / "golden" / "fusion.json").read_text(encoding="utf-8")
    assert committed == reference.golden(), (
        "remedy: python3 tests/python/reference_fusion.py > tests/golden/fusion.json"
    )


def test_the_cases_cover_what_they_are_for():
    cases = json.loads(reference.golden())
    fused, combined = cases["fuse"], cases["combine"]
    legs = [[c[at : at + 2] for c in case["candidates"]] for case in fused for at in (1, 3)]
    listed = [[score for score, rank in leg if rank] for leg in legs]
    assert {case["method"] for case in fused} == {"weighted", "minmax", "dbsf", "zscore", "rrf"}
    assert {case["how"] for case in combined} == {"max", "sum", "rrf"}
    assert any(0 in case["weights"] and len(case["hits"]) < len(case["candidates"]) for case in fused)
    assert any(score is not None and rank is None for leg in legs for score, rank in leg)
    assert any(len(scores) == 1 for scores in listed)
    assert any(len(scores) > 1 and len(set(scores)) == 1 for scores in listed)
    assert any(0 < len(case["admitted"]) < len(case["hits"]) for case in fused)
    assert any(a[1] == b[1] > 0 for case in fused + combined for a, b in zip(case["hits"], case["hits"][1:]))
    assert any(case["negatives"] and 0 in [score for _, score in case["hits"]] for case in combined)


def test_the_reference_itself_by_hand():
    rows = [(1, 0.9, 1, None, None), (2, 0.5, 2, 4.0, 1), (3, 0.1, 3, None, None)]
    logistic = 1 / (1 + math.exp(-1))
    expected = {
        "weighted": [0.95, 0.75, 0.55],
        "minmax": [1, 0.5, 0],
        "dbsf": [4 / 6, 0.5, 2 / 6],
        "zscore": [logistic, 0.5, 1 - logistic],
        "rrf": [1, 61 / 62, 61 / 63],
    }
    for method, scores in expected.items():
        hits = reference.fuse(method, 60, (1.0, 0.0), rows)
        assert [float(hit[1]) for hit in hits] == pytest.approx(scores)
    queries = [(1.0, [(1, 0.5), (2, 1.0)]), (3.0, [(1, 0.5)])]
    assert reference.combine("sum", None, queries, [(0.5, [(1, 0.5)])]) == [(1, 0.25), (2, 0.25)]
