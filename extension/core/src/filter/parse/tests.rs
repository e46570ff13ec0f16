use proptest::prelude::*;
use serde_json::{Value, json};

use crate::filter::{Filter, FilterError, Limits};

fn refused(filter: &Value) -> FilterError {
    Filter::parse(filter).expect_err("the filter should have been refused")
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"k": 1}), |inner, _| json!({"type": "and", "filters": [inner]}))
}

#[test]
fn every_error_names_its_place() {
    let long = "x".repeat(257);
    for (filter, code, param) in [
        (Value::Null, "invalid_type", "filters"),
        (json!([]), "invalid_type", "filters"),
        (json!("topic"), "invalid_type", "filters"),
        (json!({"type": "like", "key": "k", "value": 1}), "invalid_value", "filters.type"),
        (json!({"type": "EQ", "key": "k", "value": 1}), "invalid_value", "filters.type"),
        (json!({"type": "not", "filters": []}), "invalid_value", "filters.type"),
        (json!({"type": 1, "key": "k", "value": 1}), "invalid_type", "filters.type"),
        (json!({"key": "k", "value": 1}), "missing_required_parameter", "filters.type"),
        (json!({"filters": [{"k": 1}]}), "missing_required_parameter", "filters.type"),
        (json!({"type": "eq"}), "missing_required_parameter", "filters.key"),
        (json!({"type": "eq", "value": 1}), "missing_required_parameter", "filters.key"),
        (json!({"type": "eq", "key": "k"}), "missing_required_parameter", "filters.value"),
        (json!({"type": "in", "key": "k"}), "missing_required_parameter", "filters.value"),
        (json!({"type": "and"}), "missing_required_parameter", "filters.filters"),
        (json!({"type": "or", "filters": {}}), "invalid_type", "filters.filters"),
        (json!({"type": "or", "filters": [1]}), "invalid_type", "filters.filters[0]"),
        (json!({"type": "or", "filters": [{}]}), "missing_required_parameter", "filters.filters[0].type"),
        (json!({"type": "eq", "key": 1, "value": 1}), "invalid_type", "filters.key"),
        (json!({"type": "eq", "property": null, "value": 1}), "invalid_type", "filters.property"),
        (json!({"type": "eq", "key": "k", "property": "k", "value": 1}), "invalid_value", "filters.property"),
        (json!({"type": "eq", "key": "k", "value": null}), "invalid_type", "filters.value"),
        (json!({"type": "eq", "key": "k", "value": [1]}), "invalid_type", "filters.value"),
        (json!({"type": "eq", "key": "k", "value": {}}), "invalid_type", "filters.value"),
        (json!({"type": "in", "key": "k", "value": "x"}), "invalid_type", "filters.value"),
        (json!({"type": "nin", "key": "k", "value": [1, null]}), "invalid_type", "filters.value[1]"),
        (json!({"type": "in", "key": "k", "value": [[1]]}), "invalid_type", "filters.value[0]"),
        (json!({"type": "eq", "key": "k", "value": 1, "x": 1}), "unknown_parameter", "filters.x"),
        (
            json!({"type": "eq", "key": "k", "value": 1, "filters": []}),
            "unknown_parameter",
            "filters.filters",
        ),
        (json!({"type": "and", "filters": [], "key": "k"}), "unknown_parameter", "filters.key"),
        (json!({"type": "eq", "key": long, "value": 1}), "string_above_max_length", "filters.key"),
        (json!({"type": "eq", "key": "a\0", "value": 1}), "invalid_value", "filters.key"),
        (json!({"type": "eq", "key": "a", "value": "\0"}), "invalid_value", "filters.value"),
        (json!({"topic": null}), "invalid_type", "filters.topic"),
        (json!({"topic": ["ai"]}), "invalid_type", "filters.topic"),
        (json!({"to\0pic": 1}), "invalid_value", "filters.to\u{fffd}pic"),
        (json!({long.as_str(): 1}), "string_above_max_length", &format!("filters.{}", "x".repeat(64))),
        (
            json!({"type": "and", "filters": [{"k": 1}, {"type": "or", "filters": [
                {"type": "gt", "key": "k", "value": [1]}]}]}),
            "invalid_type",
            "filters.filters[1].filters[0].value",
        ),
    ] {
        let error = refused(&filter);
        assert_eq!((error.code, error.param.as_str()), (code, param), "{filter}: {}", error.message);
    }
}

#[test]
fn messages_use_the_words_of_the_api() {
    for (filter, message) in [
        (
            json!({"type": "in", "key": "k", "value": "x"}),
            "Invalid type for 'filters.value': expected an array of strings, numbers or booleans, but got a \
             string instead.",
        ),
        (json!({"type": "eq", "value": 1}), "Missing required parameter: 'filters.key'."),
        (
            json!({"type": "like", "key": "k", "value": 1}),
            "Invalid value: 'like'. Supported values are: 'eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', \
             'and', and 'or'.",
        ),
        (
            json!({"type": "in", "key": "k", "value": vec![1; 1001]}),
            "Invalid 'filters.value': array too long. Expected an array with maximum length 1000, but got an \
             array with length 1001 instead.",
        ),
    ] {
        assert_eq!(refused(&filter).to_string(), message);
    }
}

#[test]
fn flat_maps_may_hold_the_words_of_the_grammar() {
    for filter in [
        json!({"type": "report"}),
        json!({"type": "report", "value": 3}),
        json!({"key": "k"}),
        json!({"value": 1}),
        json!({"filters": "fine"}),
    ] {
        assert!(Filter::parse(&filter).unwrap().matches(&filter), "{filter}");
    }
}

#[test]
fn limits_are_exact() {
    let compare = |value: Value| json!({"type": "eq", "key": "k", "value": value});
    let member = |count: usize| json!({"type": "in", "key": "k", "value": vec![1; count]});
    let both = |part: Value, count: usize| json!({"type": "or", "filters": vec![part; count]});
    for (fits, breaks, code) in [
        (nested(32), nested(33), "invalid_value"),
        (both(json!({"k": 1}), 511), both(json!({"k": 1}), 512), "invalid_value"),
        (member(1000), member(1001), "array_above_max_length"),
        (both(member(1000), 10), both(member(1000), 11), "array_above_max_length"),
        (json!({"é".repeat(256): 1}), json!({"é".repeat(257): 1}), "string_above_max_length"),
        (compare("é".repeat(4096).into()), compare("é".repeat(4097).into()), "string_above_max_length"),
    ] {
        Filter::parse(&fits).unwrap();
        assert_eq!(refused(&breaks).code, code);
    }
    let flat = |pairs: usize| Value::Object((0..pairs).map(|i| (format!("k{i}"), json!(i))).collect());
    Filter::parse(&flat(511)).unwrap();
    assert_eq!(refused(&flat(512)).code, "invalid_value");
    let tight = Limits { depth: 1, ..Limits::default() };
    Filter::parse_with(&flat(1), &tight).unwrap();
    assert!(Filter::parse_with(&flat(2), &tight).is_err());
}

#[test]
fn infinite_numbers_do_not_get_in() {
    let text = r#"{"type": "eq", "key": "k", "value": 1e400}"#;
    let parsed: Result<Value, _> = serde_json::from_str(text);
    assert!(parsed.map_or(true, |filter| Filter::parse(&filter).is_err()));
}

/// JSON that is often nearly a filter.
fn almost() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type", "key", "property", "value", "filters", "eq", "ne", "gt", "lte", "in", "nin", "and", "or",
        "topic", "filename", "",
    ]);
    let leaf = prop_oneof![
        4 => word.clone().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let key = prop_oneof![4 => word.clone().prop_map(str::to_owned), 1 => any::<String>()];
        let compare = (prop::sample::select(vec!["eq", "ne", "gt", "lte", "in", "nin"]), key.clone())
            .prop_flat_map({
                let inner = inner.clone();
                move |(op, key)| {
                    inner
                        .clone()
                        .prop_map(move |value| json!({"type": op, "key": key.clone(), "value": value}))
                }
            });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key, inner.clone()), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            compare,
            (prop::sample::select(vec!["and", "or"]), prop::collection::vec(inner, 0..4))
                .prop_map(|(op, filters)| json!({"type": op, "filters": filters})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_json_is_read_or_refused(filter in almost(), metadata in almost()) {
        match Filter::parse(&filter) {
            Ok(parsed) => {
                let verdict = parsed.matches(&metadata);
                let canonical = parsed.to_json();
                let again = Filter::parse(&canonical).unwrap();
                prop_assert_eq!(again.to_jsonpath(), parsed.to_jsonpath());
                prop_assert_eq!(again.matches(&metadata), verdict);
                prop_assert_eq!(again, parsed);
            }
            Err(error) => {
                prop_assert!(error.param.starts_with("filters"));
                prop_assert!(!error.message.contains('\0') && error.message.len() < 4_000);
            }
        }
    }
}
