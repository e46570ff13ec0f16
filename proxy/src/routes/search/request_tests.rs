use serde_json::json;

use super::*;

fn with<T>(body: Value, check: impl FnOnce(Result<Search<'_>>) -> T) -> T {
    check(read(&Fields::root(body.as_object().unwrap()), 10))
}

/// The search of a body: texts, vectors, options.
fn parts(body: Value) -> (Value, Value, Value) {
    with(body, |search| {
        let search = search.unwrap();
        let vectors: Vec<_> = search.vectors.iter().map(|v| v.as_ref().map(Vector::as_slice)).collect();
        (json!(search.texts), json!(vectors), json!(search.options))
    })
}

fn options(body: Value) -> Value {
    parts(body).2
}

fn param(body: Value) -> String {
    with(body, |search| {
        let body = search.err().expect("the search must be refused").body("r");
        body["error"]["param"].as_str().unwrap_or("null").to_owned()
    })
}

#[test]
fn the_defaults_are_openais() {
    let body = json!({"query": "x", "filters": null, "ranking_options": null, "rewrite_query": null});
    assert_eq!(parts(body.clone()), (json!(["x"]), json!([]), json!({"k": 10, "mode": "hybrid"})));
    with(body, |search| assert!(search.is_ok_and(|search| search.page.is_none() && search.facets.is_none())));
}

#[test]
fn options_are_read_under_the_names_of_the_database() {
    let filter = json!({"type": "eq", "key": "a", "value": 1});
    let got = options(json!({
        "query": ["x", "y"], "limit": 100, "filters": filter, "fusion": "rrf", "rrf_k": 10, "combine": "sum",
        "vector_threshold": 0.25, "keyword_threshold": 0, "created_after": 946_684_801, "created_before": 0,
        "group_by": "a", "group_size": 2, "explain": true, "negative_weight": 0.5,
        "ranking_options": {"ranker": "auto", "score_threshold": 0.5, "hybrid_search": {"embedding_weight": 1, "text_weight": 0}},
    }));
    let expected = json!({
        "k": 100, "mode": "hybrid", "filter": filter, "fusion": "rrf", "rrf_k": 10.0, "combine": "sum",
        "vector_threshold": 0.25, "keyword_threshold": 0.0, "created_from": 1_000_000,
        "created_to": -946_684_800_000_000_i64, "group_by": "a", "group_size": 2, "explain": true,
        "negative_weight": 0.5, "score_threshold": 0.5, "vector_weight": 1.0, "keyword_weight": 0.0,
    });
    assert_eq!(got, expected);
    assert_eq!(options(json!({"query": "x", "limit": 100, "max_num_results": 3, "explain": false}))["k"], 3);
}

#[test]
fn weights_matter_to_hybrid_searches_only() {
    let body = |mode| json!({"query": "x", "search_mode": mode, "vector_weight": 0, "keyword_weight": 0});
    for mode in ["vector_only", "keyword_only"] {
        assert_eq!(options(body(mode)), json!({"k": 10, "mode": mode}));
    }
    assert_eq!(param(body("hybrid")), "vector_weight");
    assert_eq!(
        options(json!({"query": "x", "vector_weight": 0})),
        json!({"k": 10, "mode": "hybrid", "vector_weight": 0.0})
    );
}

#[test]
fn texts_and_vectors_go_together_by_place() {
    let pairs = |body| {
        let (texts, vectors, _) = parts(body);
        (texts, vectors)
    };
    let two = json!([[1.0, 0.5], [0.0, 1.0]]);
    assert_eq!(
        pairs(json!({"query": ["x", "y"], "embedding": [1, 0.5]})),
        (json!(["x", "y"]), json!([[1.0, 0.5], [1.0, 0.5]]))
    );
    assert_eq!(pairs(json!({"query": ["x", "y"], "embeddings": two})), (json!(["x", "y"]), two.clone()));
    assert_eq!(pairs(json!({"embeddings": two})), (json!([]), two.clone()));
    assert_eq!(pairs(json!({"query": null, "embedding": [1]})), (json!([]), json!([[1.0]])));
    assert_eq!(
        pairs(json!({"query": "x", "negative_embeddings": two})),
        (json!(["x", null, null]), json!([null, [1.0, 0.5], [0.0, 1.0]]))
    );
    assert_eq!(
        pairs(json!({"embedding": [1], "negative_query": "y"})),
        (json!([null, "y"]), json!([[1.0], null]))
    );
    assert_eq!(
        options(json!({"query": "x", "negative_query": ["y", "z"]})),
        json!({"k": 10, "mode": "hybrid", "negatives": 2})
    );
}

#[test]
fn a_listing_has_a_filter_and_times_and_nothing_else() {
    let body = json!({
        "query": "", "search_mode": "list", "max_num_results": 50, "created_before": 946_684_800,
        "fusion": "rrf", "vector_weight": 1, "explain": true, "filters": {"a": 1}, "facets": ["a"],
    });
    let expected = json!({"k": 50, "filter": {"a": 1}, "created_to": 0});
    assert_eq!(parts(body), (json!([]), json!([]), expected));
    for (name, value) in [
        ("embedding", json!([1])),
        ("embeddings", json!([[1]])),
        ("negative_query", json!("x")),
        ("negative_embeddings", json!([[1]])),
        ("group_by", json!("a")),
    ] {
        assert_eq!(param(json!({"search_mode": "list", name: value})), name);
    }
}

#[test]
fn pages_and_facets_are_read() {
    with(json!({"query": "x", "page": "abc", "facets": ["b", "a", "b"]}), |search| {
        let search = search.unwrap();
        assert_eq!((search.page, search.facets), (Some("abc"), Some(vec!["b", "a"])));
    });
}

#[test]
fn every_field_is_known_in_strict_mode() {
    let body = json!({
        "query": "x", "search_mode": "hybrid", "embedding": null, "embeddings": null, "fusion": "weighted", "rrf_k": 1,
        "combine": "max", "negative_query": null, "negative_embeddings": null, "negative_weight": 1,
        "vector_threshold": 0, "keyword_threshold": 0, "created_after": 0, "created_before": 0, "group_by": null,
        "group_size": 1, "facets": null, "explain": false, "page": null, "max_num_results": 1, "limit": 1,
        "vector_weight": 1, "keyword_weight": 1, "filters": null, "ranking_options": null, "rewrite_query": false,
    });
    for mode in MODES {
        let mut body = body.clone();
        body["search_mode"] = json!(mode);
        let fields = Fields::root(body.as_object().unwrap());
        read(&fields, 10).unwrap();
        fields.finish(true).unwrap();
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, expected) in [
        (json!({}), "query"),
        (json!({"query": ""}), "query"),
        (json!({"query": 1}), "query"),
        (json!({"query": []}), "query"),
        (json!({"query": ["x", ""]}), "query[1]"),
        (json!({"query": " \n"}), "query"),
        (json!({"query": "x".repeat(8193)}), "query"),
        (json!({"query": "é".repeat(4097)}), "query"),
        (json!({"query": vec!["x"; 33]}), "query"),
        (json!({"search_mode": "keyword_only", "embedding": [1]}), "query"),
        (json!({"search_mode": "vector_only"}), "query"),
        (json!({"negative_query": "x"}), "query"),
        (json!({"query": "x", "max_num_results": 0}), "max_num_results"),
        (json!({"query": "x", "max_num_results": 51}), "max_num_results"),
        (json!({"search_mode": "list", "max_num_results": 51}), "max_num_results"),
        (json!({"query": "x", "limit": 101}), "limit"),
        (json!({"query": "x", "search_mode": "fuzzy"}), "search_mode"),
        (
            json!({"query": "x", "ranking_options": {"score_threshold": 1.1}}),
            "ranking_options.score_threshold",
        ),
        (json!({"query": "x", "ranking_options": {"ranker": "best"}}), "ranking_options.ranker"),
        (
            json!({"query": "x", "ranking_options": {"hybrid_search": {"text_weight": 1}}}),
            "ranking_options.hybrid_search.embedding_weight",
        ),
        (json!({"query": "x", "vector_weight": 0, "keyword_weight": 0}), "vector_weight"),
        (json!({"query": "x", "vector_weight": -1}), "vector_weight"),
        (json!({"query": "x", "embedding": []}), "embedding"),
        (json!({"query": "x", "embedding": [1, "2"]}), "embedding[1]"),
        (json!({"query": "x", "embedding": [1e39]}), "embedding[0]"),
        (json!({"query": "x", "embeddings": []}), "embeddings"),
        (json!({"query": "x", "embeddings": [1]}), "embeddings[0]"),
        (json!({"query": "x", "embeddings": [[1, null]]}), "embeddings[0][1]"),
        (json!({"query": "x", "embeddings": [[1], [2]]}), "embeddings"),
        (json!({"query": "x", "embedding": [1], "embeddings": [[1]]}), "embeddings"),
        (json!({"embeddings": vec![[1]; 33]}), "embeddings"),
        (json!({"embeddings": [[1, 0], [1]]}), "embeddings[1]"),
        (json!({"embeddings": [[1, 0], [0, 0]]}), "embeddings[1]"),
        (json!({"embedding": [0, 0]}), "embedding"),
        (json!({"embedding": [1, 0], "negative_embeddings": [[0, 1], [1]]}), "negative_embeddings[1]"),
        (json!({"query": "x", "negative_embeddings": [[0, 1], [1]]}), "negative_embeddings[1]"),
        (json!({"query": "x", "fusion": "best"}), "fusion"),
        (json!({"query": "x", "fusion": 1}), "fusion"),
        (json!({"query": "x", "rrf_k": -1}), "rrf_k"),
        (json!({"query": "x", "combine": "min"}), "combine"),
        (json!({"query": "x", "negative_query": ""}), "negative_query"),
        (json!({"query": "x", "negative_query": ["a", 1]}), "negative_query[1]"),
        (
            json!({"query": "x", "negative_query": ["a", "b"], "negative_embeddings": [[1]]}),
            "negative_embeddings",
        ),
        (
            json!({"query": "x", "search_mode": "keyword_only", "negative_embeddings": [[1]]}),
            "negative_query",
        ),
        (json!({"query": "x", "negative_embeddings": [[]]}), "negative_embeddings[0]"),
        (json!({"query": "x", "negative_weight": 1e7}), "negative_weight"),
        (json!({"query": "x", "vector_threshold": 2}), "vector_threshold"),
        (json!({"query": "x", "keyword_threshold": -0.1}), "keyword_threshold"),
        (json!({"query": "x", "created_after": 1.5}), "created_after"),
        (json!({"query": "x", "created_before": i64::MAX}), "created_before"),
        (json!({"query": "x", "group_by": ""}), "group_by"),
        (json!({"query": "x", "group_by": 1}), "group_by"),
        (json!({"query": "x", "group_size": 0}), "group_size"),
        (json!({"query": "x", "group_size": 1001}), "group_size"),
        (json!({"query": "x", "facets": "a"}), "facets"),
        (json!({"query": "x", "facets": []}), "facets"),
        (json!({"query": "x", "facets": ["a", ""]}), "facets[1]"),
        (json!({"query": "x", "facets": vec!["a"; 33]}), "facets"),
        (json!({"query": "x", "explain": "yes"}), "explain"),
        (json!({"query": "x", "page": ""}), "page"),
        (json!({"query": "x", "page": 2}), "page"),
        (json!({"query": "x", "page": "x".repeat(32_769)}), "page"),
        (json!({"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}}), "filters.type"),
    ] {
        assert_eq!(param(body.clone()), expected, "{body}");
    }
}
