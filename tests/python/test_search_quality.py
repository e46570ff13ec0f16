"""Vector and hybrid search equal an exact computation over all rows, with and without filters."""

import numpy as np
import pytest

TOLERANCE = 1e-6
QUERIES = 30


def queries_of(collection):
    """Spread over all queries of the collection."""
    step = max(1, len(collection.queries) // QUERIES)
    queries = collection.queries[::step][:QUERIES]
    assert len(queries) == QUERIES
    return queries


def scores(rows):
    return [(row["id"], row["score"]) for row in rows]


def test_hybrid_search_equals_the_exact_fusion(collection):
    for query in queries_of(collection):
        collection.check(scores(collection.search(query, k=10)), collection.hybrid(query), 10, TOLERANCE)


@pytest.mark.parametrize(("vector_weight", "keyword_weight"), [(0.5, 0.5), (0.2, 0.8), (3.0, 1.0), (1.0, 0.0)])
def test_weights_are_relative(collection, vector_weight, keyword_weight):
    for query in queries_of(collection)[::3]:
        found = collection.search(query, k=10, vector_weight=vector_weight, keyword_weight=keyword_weight)
        expected = collection.hybrid(query, vector_weight, keyword_weight)
        collection.check(scores(found), expected, 10, TOLERANCE)


def test_the_parts_of_a_hybrid_score_are_the_scores_of_its_legs(collection):
    query = collection.queries[0]
    cosine, bm25 = collection.cosine(query), collection.bm25(query)
    for row in collection.search(query, k=20, explain=True):
        place, explained = collection.place[row["id"]], row["explanation"]
        assert row["vector_score"] == pytest.approx((1 + cosine[place]) / 2, abs=TOLERANCE)
        assert row["keyword_score"] == pytest.approx(bm25[place] / (bm25[place] + 10), abs=TOLERANCE)
        assert explained["vector"]["cosine"] == pytest.approx(cosine[place], abs=TOLERANCE)
        assert explained["keyword"]["bm25"] == pytest.approx(bm25[place], abs=1e-4)
        assert set(explained["keyword"]["terms"]) == set(collection.query_tokens(query)) & set(collection.tokens[place])


def test_vector_search_equals_the_exact_cosine(collection):
    for query in queries_of(collection):
        found = collection.search(query, mode="vector_only", k=25)
        collection.check(scores(found), (1 + collection.cosine(query)) / 2, 25, TOLERANCE)


def test_a_search_by_vector_equals_the_search_by_its_text(collection):
    query = collection.queries[1]
    vector = collection.database.execute("SELECT vs_embed(%s)::text", [query]).fetchone()[0]
    by_vector = collection.database.execute(
        "SELECT id, score FROM vs_search(%s, embedding => %s::vector, k => 25)", [collection.store, vector]
    ).fetchall()
    assert by_vector == scores(collection.search(query, mode="vector_only", k=25))


FILTERS = {
    "eq string": ({"type": "eq", "key": "parity", "value": "odd"}, lambda m: m["parity"] == "odd"),
    "eq boolean": ({"type": "eq", "key": "checked", "value": True}, lambda m: m["checked"]),
    "ne with a missing key": ({"type": "ne", "key": "rare", "value": True}, lambda m: "rare" not in m),
    "range": (
        {
            "type": "and",
            "filters": [{"type": "gte", "key": "number", "value": 40}, {"type": "lt", "key": "number", "value": 70}],
        },
        lambda m: 40 <= m["number"] < 70,
    ),
    "in": ({"type": "in", "key": "fifth", "value": ["g1", "g4"]}, lambda m: m["fifth"] in ("g1", "g4")),
    "nin": ({"type": "nin", "key": "fifth", "value": ["g1", "g4"]}, lambda m: m["fifth"] not in ("g1", "g4")),
    "a handful": ({"type": "eq", "key": "rare", "value": True}, lambda m: "rare" in m),
    "nested": (
        {
            "type": "or",
            "filters": [
                {
                    "type": "and",
                    "filters": [
                        {"type": "eq", "key": "parity", "value": "even"},
                        {"type": "gt", "key": "number", "value": 50},
                    ],
                },
                {"type": "lte", "key": "number", "value": 3},
            ],
        },
        lambda m: (m["parity"] == "even" and m["number"] > 50) or m["number"] <= 3,
    ),
    "nothing": ({"type": "eq", "key": "parity", "value": "neither"}, lambda m: False),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("mode", ["hybrid", "vector_only", "keyword_only"])
def test_filters_come_before_the_best_are_chosen(collection, name, mode):
    """The statistics stay those of the whole store: a filter never changes the score of a row."""
    filter, passes = FILTERS[name]
    allowed = np.array([passes(metadata) for metadata in collection.metadata])
    for query in queries_of(collection)[::6]:
        bm25 = collection.bm25(query)
        if mode == "hybrid":
            expected = collection.hybrid(query)
        elif mode == "vector_only":
            expected = (1 + collection.cosine(query)) / 2
        else:
            expected = bm25 / (bm25 + 10)
        rows = allowed & (bm25 > 0) if mode == "keyword_only" else allowed
        found = collection.search(query, mode=mode, k=10, filter=filter)
        collection.check(scores(found), expected, 10, TOLERANCE, allowed=rows)


@pytest.mark.parametrize("mode", ["hybrid", "vector_only", "keyword_only"])
def test_a_threshold_keeps_exactly_the_scores_that_reach_it(collection, mode):
    query = collection.queries[2]
    full = scores(collection.search(query, mode=mode, k=20))
    threshold = full[9][1]
    kept = scores(collection.search(query, mode=mode, k=20, score_threshold=threshold))
    assert kept == [(id, score) for id, score in full if score >= threshold]
    assert 10 <= len(kept) < 20
