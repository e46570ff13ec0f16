use serde_json::json;

use super::*;

fn message<T: std::fmt::Debug>(result: Result<T>) -> (String, String, String) {
    let body = result.unwrap_err().body("r");
    let text = |key: &str| body["error"][key].as_str().unwrap_or("null").to_owned();
    (text("code"), text("param"), text("message"))
}

fn with<T>(body: Value, read: impl Fn(&Fields<'_>) -> T) -> T {
    let map = body.as_object().unwrap().clone();
    read(&Fields::root(&map))
}

#[test]
fn a_missing_field_is_named() {
    let (code, param, text) =
        message(with(json!({"query": null}), |f| f.required("query", f.value("query").cloned())));
    assert_eq!((code.as_str(), param.as_str()), ("missing_required_parameter", "query"));
    assert_eq!(text, "Missing required parameter: 'query'.");
}

#[test]
fn types_are_named_as_openai_names_them() {
    for (value, got) in [
        (json!(1), "an integer"),
        (json!(1.5), "a decimal number"),
        (json!(true), "a boolean"),
        (json!([]), "an array"),
        (json!({}), "an object"),
    ] {
        let (code, param, text) =
            message(with(json!({"name": value}), |f| f.string("name", 9).map(|v| v.map(str::to_owned))));
        assert_eq!((code.as_str(), param.as_str()), ("invalid_type", "name"));
        assert_eq!(text, format!("Invalid type for 'name': expected a string, but got {got} instead."));
    }
}

#[test]
fn integers_are_checked_at_their_bounds() {
    let read = |value: Value| with(json!({ "n": value }), |f| f.integer("n", 1, 50));
    assert_eq!(read(json!(1)).unwrap(), Some(1));
    assert_eq!(read(json!(50)).unwrap(), Some(50));
    assert_eq!(read(Value::Null).unwrap(), None);
    assert_eq!(message(read(json!(0))).0, "integer_below_min_value");
    assert_eq!(
        message(read(json!(51))).2,
        "Invalid 'n': integer above maximum value. Expected a value <= 50, but got 51 instead."
    );
    assert_eq!(message(read(json!(u64::MAX))).0, "integer_above_max_value");
    assert_eq!(message(read(json!(i64::MIN))).0, "integer_below_min_value");
    assert_eq!(message(read(json!("1"))).0, "invalid_type");
}

#[test]
fn an_integer_may_be_written_as_a_decimal_number() {
    let read = |value: Value| with(json!({ "n": value }), |f| f.integer("n", -5, 1 << 60));
    assert_eq!(read(json!(1.0)).unwrap(), Some(1));
    assert_eq!(read(json!(-0.0)).unwrap(), Some(0));
    assert_eq!(read(json!(5e3)).unwrap(), Some(5000));
    assert_eq!(message(read(json!(-6.0))).0, "integer_below_min_value");
    for other in [json!(1.5), json!(1e-9), json!(1e300), json!(9_007_199_254_740_994.0)] {
        assert_eq!(message(read(other.clone())).0, "invalid_type", "{other}");
    }
}

#[test]
fn numbers_may_be_integers() {
    let read = |value: Value| with(json!({ "n": value }), |f| f.number("n", 0.0, 1.0));
    assert_eq!(read(json!(1)).unwrap(), Some(1.0));
    assert_eq!(read(json!(0.25)).unwrap(), Some(0.25));
    assert_eq!(message(read(json!(-0.5))).0, "decimal_below_min_value");
    assert_eq!(message(read(json!(1.01))).0, "decimal_above_max_value");
}

#[test]
fn strings_are_counted_in_characters() {
    let read = |text: String| with(json!({ "s": text }), |f| f.string("s", 3).map(|v| v.map(str::to_owned)));
    assert!(read("äöü".into()).is_ok());
    assert_eq!(
        message(read("abcd".into())).2,
        "Invalid 's': string too long. Expected a string with maximum length 3, but got a string with length 4 instead."
    );
}

#[test]
fn arrays_are_checked_element_by_element() {
    let read =
        |value: Value| with(json!({ "a": value }), |f| f.strings("a", 1, 2, 9).map(|v| v.map(|v| v.len())));
    assert_eq!(read(json!(["x", "y"])).unwrap(), Some(2));
    assert_eq!(message(read(json!([]))).0, "empty_array");
    assert_eq!(message(read(json!(["x", "y", "z"]))).0, "array_above_max_length");
    assert_eq!(message(read(json!(["x", 1]))).1, "a[1]");
    assert_eq!(
        message(read(json!("x"))).2,
        "Invalid type for 'a': expected an array, but got a string instead."
    );
}

#[test]
fn a_wrong_word_lists_the_right_ones() {
    let read =
        |allowed: &[&str]| with(json!({"w": "x"}), |f| f.choice("w", allowed).map(|v| v.map(str::to_owned)));
    assert_eq!(
        message(read(&["a", "b", "c"])).2,
        "Invalid value: 'x'. Supported values are: 'a', 'b', and 'c'."
    );
    assert_eq!(message(read(&["a", "b"])).2, "Invalid value: 'x'. Supported values are: 'a' and 'b'.");
    assert_eq!(read(&["x"]).unwrap().as_deref(), Some("x"));
}

#[test]
fn nested_paths_are_dotted() {
    let body = json!({"outer": {"inner": {"n": "x"}}});
    let result = with(body, |f| f.object("outer")?.unwrap().object("inner")?.unwrap().integer("n", 0, 1));
    assert_eq!(message(result).1, "outer.inner.n");
}

#[test]
fn unknown_fields_matter_only_in_strict_mode() {
    let body = json!({"name": "x", "nmae": "y"});
    let finish = |strict| {
        with(body.clone(), |f| {
            f.string("name", 9)?;
            f.finish(strict)
        })
    };
    assert!(finish(false).is_ok());
    assert_eq!(message(finish(true)).2, "Unknown parameter: 'nmae'.");
}

#[test]
fn nul_is_found_in_keys_and_values() {
    assert_eq!(find_nul(&json!({"a": {"b": ["x", "y\0"]}})).as_deref(), Some("a.b[1]"));
    assert_eq!(find_nul(&json!({"a": {"b\0": 1}})).as_deref(), Some("a"));
    assert_eq!(find_nul(&json!({"a": {"b": ["x", 1, null]}})), None);
}
