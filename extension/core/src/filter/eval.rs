//! Evaluation in Rust: the plain reading of the grammar, which the jsonpath is tested against.

use std::cmp::Ordering;

use super::{Attributes, Found, Node, Op, Scalar};

pub(super) fn passes(node: &Node, row: &impl Attributes) -> bool {
    match node {
        Node::Compare { key, op, value } => {
            let found = row.get(key);
            let order = || order(found.as_ref(), value);
            match op {
                Op::Eq => equals(found.as_ref(), value),
                Op::Ne => !equals(found.as_ref(), value),
                Op::Gt => order().is_some_and(Ordering::is_gt),
                Op::Gte => order().is_some_and(Ordering::is_ge),
                Op::Lt => order().is_some_and(Ordering::is_lt),
                Op::Lte => order().is_some_and(Ordering::is_le),
            }
        }
        Node::Member { key, negated, values } => {
            let found = row.get(key);
            values.iter().any(|value| equals(found.as_ref(), value)) != *negated
        }
        Node::All(nodes) => nodes.iter().all(|node| passes(node, row)),
        Node::Any(nodes) => nodes.iter().any(|node| passes(node, row)),
    }
}

fn equals(found: Option<&Found<'_>>, wanted: &Scalar) -> bool {
    match (found, wanted) {
        (Some(Found::Bool(found)), Scalar::Bool(wanted)) => found == wanted,
        _ => order(found, wanted) == Some(Ordering::Equal),
    }
}

/// None for everything that has no order: other types, mixed types, a missing key.
fn order(found: Option<&Found<'_>>, wanted: &Scalar) -> Option<Ordering> {
    match (found?, wanted) {
        (Found::Number(found), Scalar::Number(wanted)) => Some(found.cmp(&wanted.decimal)),
        // Rust orders strings by their UTF-8 bytes, which is the order of code points.
        (Found::String(found), Scalar::String(wanted)) => Some(found.as_ref().cmp(wanted)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::Filter;
    use serde_json::{Value, json};

    fn matches(filter: Value, metadata: Value) -> bool {
        Filter::parse(&filter).unwrap().matches(&metadata)
    }

    fn compare(op: &str, found: Value, wanted: Value) -> bool {
        matches(json!({"type": op, "key": "k", "value": wanted}), json!({"k": found}))
    }

    /// Which of eq, ne, gt, gte, lt, lte hold.
    fn row(found: Value, wanted: Value) -> String {
        let all = ["eq", "ne", "gt", "gte", "lt", "lte"];
        let held = all.into_iter().filter(|op| compare(op, found.clone(), wanted.clone()));
        held.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_operator_on_every_pair_of_types() {
        const SAME: &str = "eq gte lte";
        const LESS: &str = "ne lt lte";
        const MORE: &str = "ne gt gte";
        const APART: &str = "ne";
        for (found, wanted, expected) in [
            (json!(1), json!(1), SAME),
            (json!(1), json!(1.0), SAME),
            (json!(0), json!(-0.0), SAME),
            (json!(1), json!(2), LESS),
            (json!(2.5), json!(2), MORE),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), MORE),
            (json!(u64::MAX), json!(i64::MAX), MORE),
            (json!("a"), json!("a"), SAME),
            (json!("B"), json!("a"), LESS),
            (json!("é"), json!("z"), MORE),
            (json!("\u{ffff}"), json!("\u{10000}"), LESS),
            (json!(""), json!("\u{1}"), LESS),
            (json!(true), json!(false), APART),
            (json!(false), json!(true), APART),
            (json!(true), json!(true), "eq"),
            (json!("1"), json!(1), APART),
            (json!(1), json!("1"), APART),
            (json!(true), json!(1), APART),
            (json!("true"), json!(true), APART),
            (Value::Null, json!(0), APART),
            (Value::Null, json!(""), APART),
            (json!([1]), json!(1), APART),
            (json!(["a", "b"]), json!("a"), APART),
            (json!({"k": 1}), json!(1), APART),
        ] {
            assert_eq!(row(found.clone(), wanted.clone()), expected, "{found} against {wanted}");
        }
    }

    #[test]
    fn a_missing_key_equals_nothing() {
        for metadata in [json!({}), json!({"other": 1}), json!([]), json!("k"), Value::Null] {
            for (op, value, expected) in [
                ("eq", json!(1), false),
                ("ne", json!(1), true),
                ("gt", json!(-1), false),
                ("gte", json!(""), false),
                ("lt", json!(1), false),
                ("lte", json!("z"), false),
                ("in", json!([1, "a"]), false),
                ("nin", json!([1, "a"]), true),
            ] {
                let filter = json!({"type": op, "key": "k", "value": value});
                assert_eq!(matches(filter, metadata.clone()), expected, "{op} on {metadata}");
            }
        }
    }

    #[test]
    fn membership() {
        assert!(compare("in", json!(2), json!(["2", 1, 2.0])));
        assert!(!compare("in", json!("2"), json!([2])));
        assert!(compare("in", json!(true), json!([true])));
        assert!(!compare("in", json!(1), json!([true])));
        assert!(!compare("in", json!([1]), json!([1])));
        assert!(compare("nin", json!([1]), json!([1])));
        assert!(!compare("in", json!(1), json!([])));
        assert!(compare("nin", json!(1), json!([])));
    }

    #[test]
    fn compounds() {
        let (yes, no) = (json!({"k": 1}), json!({"k": 2}));
        for (kind, filters, expected) in [
            ("and", json!([]), true),
            ("or", json!([]), false),
            ("and", json!([yes, yes]), true),
            ("and", json!([yes, no]), false),
            ("or", json!([no, yes]), true),
            ("or", json!([no, no]), false),
        ] {
            assert_eq!(matches(json!({"type": kind, "filters": filters}), json!({"k": 1})), expected);
        }
        assert!(matches(json!({}), json!({"k": 1})));
        assert!(!matches(json!({"k": 1, "j": 1}), json!({"k": 1})));
    }
}
