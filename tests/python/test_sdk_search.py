"""Search through the official SDK: filters, thresholds, several queries, and updates that count at once."""

import asyncio

import openai
import pytest

ANIMALS = {
    "owl": ("Owls hunt mice at night.", {"kind": "bird", "legs": 2, "weight": 1.5, "wild": True}),
    "hen": ("Hens lay eggs in the barn.", {"kind": "bird", "legs": 2, "weight": 2.5, "wild": False, "farm": "north"}),
    "fox": ("Foxes steal hens from the barn at night.", {"kind": "mammal", "legs": 4, "weight": 6.0, "wild": True}),
    "cow": (
        "Cows give milk in the barn.",
        {"kind": "mammal", "legs": 4, "weight": 600, "wild": False, "farm": "south"},
    ),
    "ant": ("Ants build hills in the forest.", {"kind": "insect", "legs": 6, "weight": 0.001, "wild": True}),
}


@pytest.fixture(scope="module")
def animals(client):
    """Id of a store with one file for each animal."""
    store = client.vector_stores.create(name="animals").id
    files = [
        client.vector_stores.files.upload_and_poll(
            vector_store_id=store, file=(f"{name}.txt", text.encode()), attributes=attributes
        )
        for name, (text, attributes) in ANIMALS.items()
    ]
    assert {file.status for file in files} == {"completed"}
    yield store
    client.vector_stores.delete(store)
    for file in files:
        client.files.delete(file.id)


def names(page):
    return [hit.filename.removesuffix(".txt") for hit in page.data]


def comparison(type, key, value):
    return {"type": type, "key": key, "value": value}


def test_a_result_has_the_shape_of_the_api(client, http, animals):
    page = client.vector_stores.search(animals, query="which bird hunts mice?", max_num_results=3, rewrite_query=True)
    assert page.object == "vector_store.search_results.page"
    assert [hit.filename for hit in page.data][0] == "owl.txt"
    best = page.data[0]
    assert best.content[0].text == ANIMALS["owl"][0] and best.attributes == ANIMALS["owl"][1]
    scores = [hit.score for hit in page.data]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    raw = http.ok("POST", f"/vector_stores/{animals}/search", {"query": "eggs"})
    assert set(raw) == {"object", "search_query", "data", "has_more", "next_page"}
    assert raw["search_query"] == ["eggs"] and raw["has_more"] is False and raw["next_page"] is None
    assert all(set(item) == {"file_id", "filename", "score", "attributes", "content"} for item in raw["data"])
    hen = next(item for item in raw["data"] if item["filename"] == "hen.txt")
    assert hen["attributes"]["legs"] == 2 and isinstance(hen["attributes"]["legs"], int), "integers stay integers"


FILTERS = [
    (comparison("eq", "kind", "bird"), "owl hen"),
    (comparison("eq", "legs", 4), "fox cow"),
    (comparison("eq", "legs", 4.0), "fox cow"),
    (comparison("eq", "wild", False), "hen cow"),
    (comparison("eq", "legs", "4"), ""),
    (comparison("eq", "wild", 1), ""),
    (comparison("eq", "absent", "x"), ""),
    (comparison("ne", "kind", "bird"), "fox cow ant"),
    (comparison("ne", "farm", "north"), "owl fox cow ant"),
    (comparison("gt", "weight", 2.5), "fox cow"),
    (comparison("gte", "weight", 2.5), "hen fox cow"),
    (comparison("lt", "weight", 1.5), "ant"),
    (comparison("lte", "weight", 1.5), "owl ant"),
    (comparison("gt", "kind", "bird"), "fox cow ant"),
    (comparison("lte", "farm", "north"), "hen"),
    (comparison("gt", "legs", "3"), ""),
    (comparison("in", "kind", ["bird", "insect"]), "owl hen ant"),
    (comparison("in", "legs", [6, "2"]), "ant"),
    (comparison("in", "kind", []), ""),
    (comparison("nin", "kind", ["bird", "insect"]), "fox cow"),
    (comparison("nin", "farm", ["north"]), "owl fox cow ant"),
    (comparison("eq", "filename", "cow.txt"), "cow"),
    ({"type": "eq", "property": "filename", "value": "cow.txt"}, "cow"),
    ({"type": "and", "filters": [comparison("eq", "wild", True), comparison("lt", "legs", 6)]}, "owl fox"),
    ({"type": "or", "filters": [comparison("eq", "farm", "south"), comparison("eq", "legs", 6)]}, "cow ant"),
    ({"type": "and", "filters": []}, "owl hen fox cow ant"),
    ({"type": "or", "filters": []}, ""),
    (
        {
            "type": "or",
            "filters": [
                {"type": "and", "filters": [comparison("eq", "kind", "bird"), comparison("nin", "farm", ["north"])]},
                {"type": "and", "filters": [comparison("gte", "legs", 4), comparison("lte", "weight", 6)]},
            ],
        },
        "owl fox ant",
    ),
    ({"kind": "bird", "wild": True}, "owl"),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=lambda value: str(value)[:60])
def test_a_filter_lets_through_exactly_what_it_says(client, animals, filters, expected):
    page = client.vector_stores.search(animals, query="animals in the barn at night", filters=filters)
    assert sorted(names(page)) == sorted(expected.split())


def test_filters_by_file_id(client, animals):
    everything = client.vector_stores.search(animals, query="animals").data
    wanted = everything[-1]
    page = client.vector_stores.search(animals, query="animals", filters=comparison("eq", "file_id", wanted.file_id))
    assert [hit.file_id for hit in page.data] == [wanted.file_id]


def test_a_filter_comes_before_the_cut(client, animals):
    query = ANIMALS["ant"][0]
    assert names(client.vector_stores.search(animals, query=query, max_num_results=1)) == ["ant"]
    page = client.vector_stores.search(
        animals, query=query, max_num_results=1, filters=comparison("eq", "kind", "bird")
    )
    assert len(page.data) == 1 and names(page)[0] in ("owl", "hen")


def test_a_threshold_just_above_the_second_score_leaves_one_hit(client, animals):
    query = "which bird hunts mice?"
    full = client.vector_stores.search(animals, query=query).data

    def with_threshold(threshold):
        return client.vector_stores.search(animals, query=query, ranking_options={"score_threshold": threshold}).data

    assert full[0].score > full[1].score + 0.0001
    assert with_threshold(full[1].score + 0.0001) == full[:1]
    assert with_threshold(full[1].score) == full[:2], "a score equal to the threshold stays"
    assert with_threshold(0) == full
    assert with_threshold(1) == []


@pytest.mark.parametrize("ranker", ["none", "auto", "default-2024-11-15", "default_2024_08_21"])
def test_all_rankers_are_taken(client, animals, ranker):
    page = client.vector_stores.search(animals, query="milk", ranking_options={"ranker": ranker})
    assert names(page)[0] == "cow"


def test_several_queries_give_one_list_with_the_best_score_of_each_result(client, http, animals):
    queries = ["which bird hunts mice?", "who gives milk?"]
    single = {}
    for query in queries:
        for hit in client.vector_stores.search(animals, query=query).data:
            single[hit.file_id] = max(hit.score, single.get(hit.file_id, 0))
    page = client.vector_stores.search(animals, query=queries)
    assert sorted(names(page)[:2]) == ["cow", "owl"] and len(page.data) == len(ANIMALS)
    assert [hit.score for hit in page.data] == sorted(single.values(), reverse=True)
    assert {hit.file_id: hit.score for hit in page.data} == single
    assert http.ok("POST", f"/vector_stores/{animals}/search", {"query": queries})["search_query"] == queries


def test_modes_and_weights_are_extensions(client, animals):
    def search(**extra):
        return client.vector_stores.search(animals, query="barn", extra_body=extra)

    assert set(names(search(search_mode="keyword_only"))) == {"hen", "fox", "cow"}
    assert len(search(search_mode="vector_only").data) == len(ANIMALS)
    vector, weighted = search(search_mode="vector_only").data, search(vector_weight=1, keyword_weight=0).data
    assert [hit.file_id for hit in vector] == [hit.file_id for hit in weighted]
    options = {"hybrid_search": {"embedding_weight": 1, "text_weight": 0}}
    assert search(ranking_options=options).data == weighted
    with pytest.raises(openai.BadRequestError):
        search(search_mode="fuzzy")


@pytest.mark.parametrize("mode", ["hybrid", "vector_only", "keyword_only", "list"])
def test_pages_give_the_same_as_one_long_page(client, animals, mode):
    """The SDK passes on what it does not know: next_page of an answer, page of a request."""

    def search(size, **extra):
        return client.vector_stores.search(
            animals, query="the barn at night", max_num_results=size, extra_body={"search_mode": mode, **extra}
        )

    whole = search(50)
    assert whole.has_more is False and whole.next_page is None
    page = search(2)
    hits = list(page.data)
    while page.has_more:
        page = search(2, page=page.next_page)
        assert page.data
        hits += page.data
    assert page.next_page is None
    assert [hit.file_id for hit in hits] == [hit.file_id for hit in whole.data]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in whole.data], abs=1e-6)
    assert list(search(2)) == search(2).data, "the SDK itself asks for no further page"


def test_a_page_of_another_search_is_refused(client, animals):
    first = client.vector_stores.search(animals, query="barn", max_num_results=1)
    with pytest.raises(openai.BadRequestError) as caught:
        client.vector_stores.search(animals, query="milk", max_num_results=1, extra_body={"page": first.next_page})
    assert caught.value.param == "page" and caught.value.code == "invalid_value"


def test_a_listing_counts_facets_exactly(client, animals):
    extra = {"search_mode": "list", "facets": ["kind", "legs"]}
    page = client.vector_stores.search(animals, query="", filters=comparison("gte", "legs", 4), extra_body=extra)
    assert names(page) == ["fox", "cow", "ant"], "in the order written"
    assert page.facets == {
        "kind": {"exact": True, "values": [{"value": "mammal", "count": 2}, {"value": "insect", "count": 1}]},
        "legs": {"exact": True, "values": [{"value": 4, "count": 2}, {"value": 6, "count": 1}]},
    }


def test_groups_negative_queries_and_explanations_are_extensions(client, animals):
    def search(**extra):
        return client.vector_stores.search(animals, query="in the barn", extra_body=extra)

    kinds = [hit.attributes["kind"] for hit in search(group_by="kind").data]
    assert sorted(kinds) == ["bird", "insect", "mammal"]
    first = names(search())[0]
    assert names(search(negative_query=ANIMALS[first][0]))[0] != first
    best = search(explain=True).data[0].explain
    assert best["mode"] == "hybrid" and "barn" in best["keyword"]["terms"]
    assert search(created_before=0).data == [] and len(search(created_after=0).data) == len(ANIMALS)
    assert search(fusion="rrf").data != search(fusion="minmax").data
    assert set(names(search(keyword_threshold=0.01))) == {"hen", "fox", "cow"}


def test_several_vectors_are_searched_without_any_text(client, plain_client, animals):
    queries = ["which bird hunts mice?", "who gives milk?"]
    items = plain_client.embeddings.create(input=queries, model="local").data
    body = {"query": None, "embeddings": [item.embedding for item in items]}
    page = client.vector_stores.search(animals, query="", extra_body=body)
    by_text = client.vector_stores.search(animals, query=queries, extra_body={"search_mode": "vector_only"})
    assert names(page) == names(by_text) and sorted(names(page)[:2]) == ["cow", "owl"]
    assert page.search_query == []


def test_unknown_fields_are_ignored(client, animals):
    page = client.vector_stores.search(
        animals, query="milk", extra_body={"provider_id": "x", "whatever": [1, {"a": None}]}
    )
    assert names(page)[0] == "cow"


def test_changed_attributes_count_in_the_next_search(client, store):
    upload = client.vector_stores.files.upload_and_poll
    file = upload(
        vector_store_id=store.id, file=("a.txt", b"The tide comes in."), attributes={"state": "draft", "n": 1}
    )

    def found(value):
        page = client.vector_stores.search(store.id, query="tide", filters=comparison("eq", "state", value))
        return [hit.attributes for hit in page.data]

    assert found("draft") == [{"state": "draft", "n": 1}]
    updated = client.vector_stores.files.update(file.id, vector_store_id=store.id, attributes={"state": "final"})
    assert updated.attributes == {"state": "final"}, "replaced as a whole"
    assert found("draft") == [] and found("final") == [{"state": "final"}]
    cleared = client.vector_stores.files.update(file.id, vector_store_id=store.id, attributes=None)
    assert cleared.attributes == {} and found("final") == []
    assert client.vector_stores.files.retrieve(file.id, vector_store_id=store.id).attributes == {}


def test_search_ends_with_the_store(client, make_store):
    store = make_store().id
    assert client.vector_stores.search(store, query="anything").data == [], "an empty store has no results"
    client.vector_stores.delete(store)
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.search(store, query="anything")


def test_an_expired_store_can_be_read_and_deleted_but_not_searched(client, make_store, database):
    store = make_store(expires_after={"anchor": "last_active_at", "days": 1}).id
    database.execute(
        "UPDATE vectorstore.stores SET last_active_at = last_active_at - interval '25 hours' WHERE id = %s", [store]
    )
    assert client.vector_stores.retrieve(store).status == "expired"
    with pytest.raises(openai.BadRequestError) as caught:
        client.vector_stores.search(store, query="anything")
    assert caught.value.body["message"].startswith(f"Vector store '{store}' has expired") and caught.value.code is None
    assert client.vector_stores.delete(store).deleted


def test_the_asynchronous_client_finds_the_same(client, async_client, animals):
    queries = [text for text, _ in ANIMALS.values()] * 4

    async def run():
        async with async_client() as other:
            pages = await asyncio.gather(*(other.vector_stores.search(animals, query=query) for query in queries))
            return [page.data for page in pages]

    assert asyncio.run(run()) == [client.vector_stores.search(animals, query=query).data for query in queries]
