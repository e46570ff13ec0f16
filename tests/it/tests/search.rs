//! Everything that a search over HTTP can do beyond OpenAI's own fields.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vectorstore_it::store::{Store, assert_same, attributes, ids, passages, score_of, scores};

#[tokio::test]
async fn facets_count_every_value() {
    let store = Store::of_animals().await;
    let value = |value: Value, count: i64| json!({"value": value, "count": count});
    let page = store.search(json!({"search_mode": "list", "facets": ["kind", "legs", "wild", "none"]})).await;
    let expected = json!({
        "kind": {"exact": true, "values": [value(json!("bird"), 2), value(json!("mammal"), 2), value(json!("insect"), 1)]},
        "legs": {"exact": true, "values": [value(json!(2), 2), value(json!(4), 2), value(json!(6), 1)]},
        "wild": {"exact": true, "values": [value(json!(false), 2), value(json!(true), 2)]},
        "none": {"exact": true, "values": []},
    });
    assert_eq!(page["facets"], expected);
    store.merge().await;
    let body =
        json!({"search_mode": "list", "facets": ["kind", "kind"], "filters": {"wild": true}, "limit": 1});
    let page = store.search(body).await;
    let expected = json!({"exact": true, "values": [value(json!("bird"), 1), value(json!("mammal"), 1)]});
    assert_eq!(page["facets"], json!({"kind": expected}), "whatever the page is");
    assert_eq!(page["has_more"], true);

    // With a query: over what it finds, not over its groups, and it is said.
    let body = json!({
        "query": "barn", "search_mode": "keyword_only", "facets": ["kind"], "group_by": "kind", "explain": true,
        "negative_query": "milk",
    });
    let page = store.search(body).await;
    let expected = json!({"exact": false, "values": [value(json!("mammal"), 2), value(json!("bird"), 1)]});
    assert_eq!(page["facets"], json!({"kind": expected}));
    assert!(store.search(json!({"query": "barn"})).await.get("facets").is_none());
    store.fixture.close().await;
}

#[tokio::test]
async fn groups_have_few_results_each() {
    let store = Store::of_animals().await;
    let full = store.search(json!({"query": "barn at night"})).await;
    for size in [1, 2] {
        let page =
            store.search(json!({"query": "barn at night", "group_by": "kind", "group_size": size})).await;
        let mut counts = BTreeMap::<String, usize>::new();
        let mut expected = Vec::new();
        for (id, kind) in ids(&full).into_iter().zip(attributes(&full, "kind")) {
            let count = counts.entry(kind.to_string()).or_default();
            *count += 1;
            if *count <= size {
                expected.push(id);
            }
        }
        assert_eq!(ids(&page), expected, "the best of each group, in their order");
    }
    store.fixture.close().await;
}

#[tokio::test]
async fn the_time_of_creation_is_a_range_without_its_end() {
    let store = Store::new().await;
    for (n, id) in store.insert(passages(0..3)).await.iter().enumerate() {
        let set = format!(
            "UPDATE vectorstore.embeddings SET created_at = to_timestamp({}) WHERE id = '{id}'",
            1000 + n
        );
        store.fixture.sql(&set).await;
    }
    let found = async |mode: &str, after: Value, before: Value| {
        let body = json!({
            "query": "harbour", "search_mode": mode, "created_after": after, "created_before": before,
            "facets": ["n"],
        });
        let page = store.search(body).await;
        let mut numbers: Vec<i64> = attributes(&page, "n").iter().map(|n| n.as_i64().unwrap()).collect();
        numbers.sort_unstable();
        let counted = page["facets"]["n"]["values"].as_array().unwrap().len();
        assert_eq!(counted, numbers.len(), "{mode} {after} {before}");
        numbers
    };
    for merged in [false, true] {
        if merged {
            store.merge().await;
        }
        for mode in ["hybrid", "vector_only", "keyword_only", "list"] {
            assert_eq!(found(mode, Value::Null, Value::Null).await, [0, 1, 2]);
            assert_eq!(found(mode, json!(1001), Value::Null).await, [1, 2]);
            assert_eq!(found(mode, Value::Null, json!(1001)).await, [0]);
            assert_eq!(found(mode, json!(1001), json!(1002)).await, [1]);
            assert_eq!(found(mode, json!(1002), json!(1001)).await, [0; 0]);
        }
    }
    store.fixture.close().await;
}

#[tokio::test]
async fn negative_queries_take_their_score_away() {
    let store = Store::of_animals().await;
    let wanted = store.search(json!({"query": "barn"})).await;
    let unwanted = store.search(json!({"query": "milk"})).await;
    for weight in [0.5, 1.0] {
        let body = json!({"query": "barn", "negative_query": "milk", "negative_weight": weight});
        let page = store.search(body.clone()).await;
        assert_eq!(page["search_query"], json!(["barn"]));
        for (id, score) in scores(&page) {
            let expected = (score_of(&wanted, &id) - weight * score_of(&unwanted, &id)).max(0.0);
            assert!((score - expected).abs() < 1e-9, "{id}: {score} {expected}");
        }
        let mut several = body;
        several["negative_query"] = json!(["milk"]);
        assert_eq!(store.search(several).await, page);
    }
    let vector = store.fixture.post("/v1/embeddings", json!({"input": "milk", "model": "local"})).await.ok();
    let vector = &vector["data"][0]["embedding"];
    let by_text = json!({"query": "barn", "search_mode": "vector_only", "negative_query": "milk"});
    let by_vector = json!({"query": "barn", "search_mode": "vector_only", "negative_embeddings": [vector]});
    assert_same(&store.search(by_vector).await, &store.search(by_text).await);
    store.fixture.close().await;
}

#[tokio::test]
async fn several_queries_are_combined() {
    let store = Store::of_animals().await;
    let queries = ["eggs in the barn", "hunts at night"];
    let mut singles = Vec::new();
    for query in queries {
        singles.push(store.search(json!({ "query": query })).await);
    }
    for (combine, both) in [("max", f64::max as fn(f64, f64) -> f64), ("sum", |a, b| (a + b) / 2.0)] {
        let page = store.search(json!({"query": queries, "combine": combine})).await;
        assert_eq!((&page["search_query"], ids(&page).len()), (&json!(queries), 5));
        for (id, score) in scores(&page) {
            let expected = both(score_of(&singles[0], &id), score_of(&singles[1], &id));
            assert!((score - expected).abs() < 1e-9, "{combine} {id}: {score} {expected}");
        }
    }
    let page = store.search(json!({"query": queries, "combine": "rrf", "rrf_k": 0})).await;
    for (id, score) in scores(&page) {
        let rank = |page| ids(page).iter().position(|other| *other == id).unwrap() as f64 + 1.0;
        let expected = (1.0 / rank(&singles[0]) + 1.0 / rank(&singles[1])) / 2.0;
        assert!((score - expected).abs() < 1e-9, "{id}: {score} {expected}");
    }

    let body = store.fixture.post("/v1/embeddings", json!({"input": queries, "model": "local"})).await.ok();
    let vectors: Vec<&Value> =
        body["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect();
    let texts = store.search(json!({"query": queries, "search_mode": "vector_only"})).await;
    let alone = store.search(json!({"embeddings": vectors})).await;
    assert_eq!(alone["search_query"], json!([]));
    assert_same(&alone, &texts);
    let paired = store.search(json!({"query": queries, "embeddings": vectors})).await;
    assert_same(&paired, &store.search(json!({ "query": queries })).await);
    let first =
        store.search(json!({"query": queries, "search_mode": "vector_only", "embedding": vectors[0]})).await;
    assert_same(&first, &store.search(json!({"embedding": vectors[0]})).await);

    assert_eq!(store.refused(json!({"embeddings": [[1, 2]]})).await, "embeddings");
    let body =
        json!({"query": vec!["x"; 32], "negative_query": vec!["y"; 32], "search_mode": "keyword_only"});
    assert_eq!(store.search(body).await["data"], json!([]));
    store.fixture.close().await;
}

#[tokio::test]
async fn fusions_and_thresholds_are_those_of_sql() {
    let store = Store::of_animals().await;
    let query = "cows give milk in the barn";
    let explained = |fusion: &str| json!({"query": query, "fusion": fusion, "explain": true});
    for fusion in ["weighted", "minmax", "dbsf", "zscore", "rrf"] {
        let page = store.search(explained(fusion)).await;
        for hit in page["data"].as_array().unwrap() {
            let explain = &hit["explain"];
            assert_eq!(explain["mode"], "hybrid");
            let part = |leg: &str| {
                let number = |key: &str| explain[leg][key].as_f64().unwrap_or(0.0);
                number("normalised") * number("weight")
            };
            let score = hit["score"].as_f64().unwrap();
            assert!((part("vector") + part("keyword") - score).abs() < 1e-9, "{fusion}: {hit}");
        }
        assert!(page["data"][0]["content"][0]["text"].as_str().unwrap().starts_with("cows"), "{fusion}");
    }
    assert!(store.search(json!({ "query": query })).await["data"][0].get("explain").is_none());
    assert_eq!(store.search(explained("rrf")).await["data"][0]["score"], 1.0, "first in both legs");

    let full = store.search(explained("weighted")).await;
    for leg in ["vector", "keyword"] {
        let score = |hit: &Value| hit["explain"][leg]["score"].as_f64().unwrap();
        let hits = full["data"].as_array().unwrap();
        let least = score(&hits[1]);
        let expected: Vec<&Value> =
            hits.iter().filter(|hit| score(hit) >= least).map(|hit| &hit["file_id"]).collect();
        let page = store.search(json!({"query": query, format!("{leg}_threshold"): least})).await;
        assert_eq!(json!(ids(&page)), json!(expected), "{leg}");
    }
    store.fixture.close().await;
}

#[tokio::test]
async fn a_listing_needs_no_query() {
    let store = Store::new().await;
    let written = store.insert(passages(0..12)).await;
    let page = store.search(json!({"search_mode": "list", "max_num_results": 50})).await;
    assert_eq!((ids(&page), &page["next_page"]), (written.clone(), &Value::Null), "in the order written");
    let page = store.search(json!({"search_mode": "list", "filters": {"even": true}, "query": ""})).await;
    let even: Vec<String> = written.into_iter().step_by(2).collect();
    assert_eq!((ids(&page), &page["search_query"]), (even, &json!([])));
    assert_eq!(store.refused(json!({"search_mode": "list", "group_by": "even"})).await, "group_by");
    assert_eq!(store.refused(json!({})).await, "query");
    store.fixture.close().await;
}
