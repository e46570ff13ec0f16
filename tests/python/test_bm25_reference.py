"""The keyword score is BM25 as the books have it, with the statistics of the store."""

import numpy as np
import pytest

TOLERANCE = 1e-4


def keyword_search(collection, query, k=50):
    """Pairs of id and raw BM25."""
    rows = collection.search(query, mode="keyword_only", k=k, explain=True)
    for row in rows:
        raw = row["explanation"]["keyword"]["bm25"]
        assert row["keyword_score"] == pytest.approx(raw / (raw + 10), abs=1e-9)
        assert row["score"] == row["keyword_score"] and row["vector_score"] is None
    return [(row["id"], float(row["explanation"]["keyword"]["bm25"])) for row in rows]


def check_query(collection, query):
    expected = collection.bm25(query)
    np.testing.assert_allclose(collection.bm25_of_the_witness(query), expected, atol=1e-6)
    collection.check(keyword_search(collection, query), expected, 50, TOLERANCE, allowed=expected > 0)
    return np.count_nonzero(expected)


def test_every_query_has_the_scores_and_the_order_of_the_reference(collection):
    assert len(collection.ids) >= 60 and len(collection.queries) >= 30
    matched = [check_query(collection, query) for query in collection.queries]
    assert sum(1 for n in matched if n >= 10) >= 30, "too few queries with enough hits to mean anything"


def test_a_repeated_query_term_counts_as_often_as_it_occurs(collection):
    query = max(collection.queries, key=lambda query: len(collection.query_tokens(query)))
    words = sorted(set(collection.query_tokens(query)) & set(collection.postings))[:2]
    once, thrice = f"{words[0]} {words[1]}", f"{words[0]} {words[1]} {words[1]} {words[1]}"
    assert not np.allclose(collection.bm25(once), collection.bm25(thrice))
    check_query(collection, once)
    check_query(collection, thrice)


def test_unknown_words_change_nothing_and_find_nothing(collection):
    query = collection.queries[0]
    assert keyword_search(collection, f"{query} qzxqzx") == keyword_search(collection, query)
    assert keyword_search(collection, "qzxqzx vvkvvk") == []


def test_a_query_of_stop_words_finds_nothing(collection):
    assert keyword_search(collection, "the of and") == []


def test_statistics_follow_updates_and_deletions(collection):
    """In a transaction that is taken back: the other tests search the collection as it was loaded."""
    ids, queries = collection.ids, collection.queries[:10]
    changed, deleted = ids[: len(ids) // 10], ids[-(len(ids) // 5) :]
    try:
        with collection.database.transaction(force_rollback=True):
            collection.database.execute("SELECT vs_delete(%s, %s::text[])", [collection.store, deleted])
            collection.add(changed, [f"{query} {query}" for query in (queries * len(changed))[: len(changed)]])
            collection.read(ids[: -len(deleted)])
            for query in queries:
                assert check_query(collection, query) > 0
    finally:
        collection.read(ids)
    check_query(collection, queries[0])
