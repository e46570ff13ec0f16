//! The two evaluators of a filter agree: Postgres on `Filter::to_jsonpath`, Rust in `Filter::matches`.
//!
//! Needs `VS_TEST_DATABASE_URL`, which may name any PostgreSQL database: nothing is created in it.

use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;
use vectorstore_core::filter::Filter;

const PAIRS: &str = "SELECT (m::jsonb @@ p::jsonpath) FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t(m, p, n) \
     ORDER BY n";

struct Database {
    runtime: Runtime,
    connection: PgConnection,
}

impl Database {
    fn connect() -> Self {
        let url = std::env::var("VS_TEST_DATABASE_URL")
            .expect("VS_TEST_DATABASE_URL must be set to the URL of a PostgreSQL database for this test");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime
            .block_on(PgConnection::connect(&url))
            .expect("VS_TEST_DATABASE_URL must name a PostgreSQL server that can be reached");
        Self { runtime, connection }
    }

    /// What Postgres makes of each pair of metadata (JSON text) and jsonpath.
    fn verdicts(&mut self, metadata: &[String], paths: &[String]) -> Vec<Option<bool>> {
        let query = sqlx::query_scalar(PAIRS).bind(metadata).bind(paths);
        self.runtime.block_on(query.fetch_all(&mut self.connection)).expect("every jsonpath is valid")
    }

    /// The first pair on which the evaluators differ, in words.
    fn disagreement(&mut self, pairs: &[(String, Value)]) -> Option<String> {
        let filters: Vec<Filter> =
            pairs.iter().map(|(_, filter)| Filter::parse(filter).expect("a valid filter")).collect();
        let texts: Vec<String> = pairs.iter().map(|(text, _)| text.clone()).collect();
        let paths: Vec<String> = filters.iter().map(Filter::to_jsonpath).collect();
        let verdicts = self.verdicts(&texts, &paths);
        assert_eq!(verdicts.len(), pairs.len());
        filters.iter().zip(&texts).zip(&verdicts).zip(&paths).find_map(|(((filter, text), sql), path)| {
            let rust = filter.matches(&serde_json::from_str(text).unwrap());
            (*sql != Some(rust)).then(|| {
                format!(
                    "metadata {text}, path {path}: Postgres says {sql:?} (None is NULL), Rust says {rust}"
                )
            })
        })
    }
}

/// Keys and strings that have broken quoting, collation or encoding somewhere before.
fn nasty() -> impl Strategy<Value = String> {
    let known = select(vec![
        "",
        "a",
        "aa",
        "B",
        "é",
        "e\u{301}",
        "1",
        "true",
        "null",
        "type",
        "topic",
        "filename",
        "$",
        "@",
        "$.a",
        "$a",
        "*",
        "**",
        "a.b",
        "a b",
        "/* a */",
        "strict",
        "\"",
        "\\",
        "\\\"",
        "\\u0041",
        "\\u{1F600}",
        "\\x41",
        "'",
        "'; DROP TABLE t; --",
        "\") || (1 == 1",
        "\")) || exists($ ? (1 == 1",
        "\n",
        "\r\n\t\u{8}\u{b}\u{c}",
        "\u{1}\u{2}\u{1f}\u{7f}",
        "\u{80}\u{9f}\u{85}",
        "\u{2028}\u{feff}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "😀",
        "شكرا",
    ]);
    prop_oneof![6 => known.prop_map(str::to_owned), 1 => "[^\0]{0,12}", 1 => "[ab\"\\\\\n]{0,6}"]
}

/// Few enough that a filter often hits a key of the metadata.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["a", "b", "k\"\\\n$", "é😀"]).prop_map(str::to_owned),
        1 => nasty(),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    let known = select(vec![
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(0.1),
        json!(1.5),
        json!(-150),
        json!(-1.5e2),
        json!(9_007_199_254_740_992_i64),
        json!(9_007_199_254_740_993_i64),
        json!(9_007_199_254_740_992.0),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(9_223_372_036_854_775_808_u64),
        json!(9_223_372_036_854_775_808.0),
        json!(18_446_744_073_709_551_616.0),
        json!(1e19),
        json!(1e22),
        json!(f64::MAX),
        json!(f64::MIN),
        json!(f64::MIN_POSITIVE),
        json!(5e-324),
    ]);
    prop_oneof![
        6 => known,
        3 => (-3..4_i64).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL).prop_map(Value::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![4 => number(), 4 => nasty().prop_map(Value::from), 1 => any::<bool>().prop_map(Value::from)]
}

fn metadata() -> impl Strategy<Value = String> {
    let item = prop_oneof![6 => scalar(), 1 => Just(Value::Null)].prop_recursive(3, 12, 3, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array), object(inner, 0..3),]
    });
    prop_oneof![20 => object(item.clone(), 0..6), 1 => item].prop_map(|value| value.to_string())
}

fn object(item: impl Strategy<Value = Value>, size: std::ops::Range<usize>) -> impl Strategy<Value = Value> {
    prop::collection::vec((key(), item), size).prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

fn filter() -> impl Strategy<Value = Value> {
    let compare = (select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]), key(), scalar())
        .prop_map(|(op, key, value)| json!({"type": op, "key": key, "value": value}));
    let member = (select(vec!["in", "nin"]), key(), prop::collection::vec(scalar(), 0..24))
        .prop_map(|(op, key, values)| json!({"type": op, "key": key, "value": values}));
    prop_oneof![3 => compare, 2 => member].prop_recursive(4, 16, 4, |inner| {
        (select(vec!["and", "or"]), prop::collection::vec(inner, 0..4))
            .prop_map(|(op, filters)| json!({"type": op, "filters": filters}))
    })
}

#[test]
fn random_pairs() {
    const BATCHES: u32 = 24;
    const SIZE: usize = 500;
    let database = std::cell::RefCell::new(Database::connect());
    let matched = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: BATCHES,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(pairs in prop::collection::vec((metadata(), filter()), SIZE / 2..SIZE * 3 / 2))| {
        let disagreement = database.borrow_mut().disagreement(&pairs);
        prop_assert!(disagreement.is_none(), "{}", disagreement.unwrap());
        let hits = pairs.iter().filter(|(text, filter)| {
            Filter::parse(filter).unwrap().matches(&serde_json::from_str(text).unwrap())
        });
        matched.set(matched.get() + hits.count());
    });
    // The test would mean little if nearly everything were false, or true.
    let share = matched.get() as f64 / (f64::from(BATCHES) * SIZE as f64);
    assert!((0.2..0.8).contains(&share), "{share} of the pairs matched");
}

#[test]
fn every_value_against_every_value() {
    let spelled = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "1.0",
        "1e0",
        "10e-1",
        "0.1",
        "1E-1",
        "-150",
        "-1.5E+2",
        "9007199254740992",
        "9007199254740993",
        "9007199254740992.0",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "1e19",
        "1e308",
        "-1e308",
        "5e-324",
        "\"\"",
        "\"1\"",
        "\"true\"",
        "\"a\"",
        "\"B\"",
        "\"\\u00e9\"",
        "\"\\ud7ff\"",
        "\"\\ue000\"",
        "\"\\uffff\"",
        "\"\\ud800\\udc00\"",
        "\"\\udbff\\udfff\"",
        "[]",
        "[1]",
        "[\"a\"]",
        "[[1]]",
        "{}",
        "{\"k\":1}",
    ];
    let mut pairs = Vec::new();
    for found in spelled {
        for wanted in spelled {
            let value: Value = serde_json::from_str(wanted).unwrap();
            for op in ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"] {
                let value = if op.ends_with("in") { json!([value]) } else { value.clone() };
                let filter = json!({"type": op, "key": "k", "value": value});
                if Filter::parse(&filter).is_ok() {
                    pairs.push((format!("{{\"k\": {found}}}"), filter.clone()));
                    pairs.push((format!("{{\"j\": {found}}}"), filter.clone()));
                    pairs.push((found.to_owned(), filter));
                }
            }
        }
    }
    assert!(pairs.len() > 20_000, "{} pairs", pairs.len());
    assert_eq!(Database::connect().disagreement(&pairs), None);
}

#[test]
fn the_largest_filters_are_accepted_and_fast() {
    let mut database = Database::connect();
    let chain = (1..32).fold(
        json!({"a": 7}),
        |inner, i| json!({"type": if i % 2 == 0 { "and" } else { "or" }, "filters": [inner]}),
    );
    let members = |op: &str, value: &dyn Fn(usize) -> Value| json!({"type": op, "key": "a", "value": (0..1_000).map(value).collect::<Vec<_>>()});
    let wide = json!({"type": "or", "filters": vec![json!({"type": "ne", "key": "a", "value": 7}); 511]});
    let mixed = |i: usize| if i.is_multiple_of(2) { json!(i) } else { json!(format!("v{i}")) };
    let filters = [
        chain,
        wide,
        members("in", &|i| json!(i * 3)),
        members("nin", &|i| json!(i * 3)),
        members("in", &|i| json!(format!("v{i}"))),
        members("in", &mixed),
        members("nin", &mixed),
        json!({"type": "and", "filters": vec![members("nin", &|i| json!("😀".repeat(20) + &i.to_string())); 10]}),
    ];
    let metadata =
        ["7", "21", "2997", "3000", "-1", "\"v7\"", "\"v999\"", "\"w\"", "true", "null", "[21]", "{}"];
    let pairs: Vec<(String, Value)> = filters
        .iter()
        .flat_map(|filter| metadata.map(|value| (format!("{{\"a\": {value}}}"), filter.clone())))
        .collect();
    assert_eq!(database.disagreement(&pairs), None);

    // A list of 1,000 values is searched, not walked: walking takes a hundred times as long as 4 values do.
    let rows = "SELECT count(*) FROM generate_series(1, 10000) AS i \
                WHERE jsonb_build_object('a', 'v' || i) @@ $1::text::jsonpath";
    let mut seconds = |count: usize| {
        let values: Vec<_> = (0..count).map(|i| format!("v{i}x")).collect();
        let path = Filter::parse(&json!({"type": "in", "key": "a", "value": values})).unwrap().to_jsonpath();
        let start = Instant::now();
        let query = sqlx::query_scalar::<_, i64>(rows).bind(path);
        let found = database.runtime.block_on(query.fetch_one(&mut database.connection)).unwrap();
        assert_eq!(found, 0);
        start.elapsed().as_secs_f64()
    };
    let (few, many) = (seconds(4), seconds(1_000));
    assert!(many < few * 20.0 + 0.1, "{many} s for 1,000 values, {few} s for 4");
}
