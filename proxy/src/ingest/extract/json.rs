//! JSON: as it stands, except for one that was written without line breaks.

use serde::de::IgnoredAny;

use super::MAX_TEXT_BYTES;
use crate::ingest::text::Problem;

/// A longer line was written by a program, for programs.
const MAX_LINE_BYTES: usize = 1000;

/// The text of a JSON file. One with very long lines is indented, because chunks are cut at lines: cut anywhere, a piece
/// of an object says nothing. Numbers, strings and the order of keys stay byte for byte. What is not JSON (but JSON
/// lines, say, or JSON with comments) stays as it is.
pub fn text_of(text: String) -> Result<String, Problem> {
    let minified = text.lines().any(|line| line.len() > MAX_LINE_BYTES);
    // Also bounds the depth of nesting, and with it how much indentation adds.
    if minified && serde_json::from_str::<IgnoredAny>(&text).is_ok() { indent(&text) } else { Ok(text) }
}

/// Indents valid JSON.
fn indent(json: &str) -> Result<String, Problem> {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut last = ' ';
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            out.push(c);
            last = c;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        depth -= usize::from(closes);
        let opened = matches!(last, '{' | '[');
        if (closes && !opened) || (!closes && opened) || last == ',' {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
        out.push(c);
        match c {
            ':' => out.push(' '),
            '"' => in_string = true,
            '{' | '[' => depth += 1,
            _ => {}
        }
        // A bracket inside of a string is none: the quote that ends it is what counts.
        last = c;
        if out.len() > MAX_TEXT_BYTES {
            return Err(Problem::too_long());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn short_lines_and_what_is_not_json_stay() {
        let long = "x".repeat(2 * MAX_LINE_BYTES);
        for text in ["{\"a\": 1.50,\n\"b\": []}", &format!("{{\"a\": \"{long}\""), &format!("// {long}\n1")] {
            assert_eq!(text_of(text.to_owned()).unwrap(), text);
        }
    }

    #[test]
    fn minified_json_gets_lines() {
        let json = r#"{"a":[1.50,{"b":"x,{\"y\":[\\"}],"c":{},"d":[],"e":[[]]}"#;
        let lines = "{\n  \"a\": [\n    1.50,\n    {\n      \"b\": \"x,{\\\"y\\\":[\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": [\n    []\n  ]\n}";
        assert_eq!(indent(json).unwrap(), lines);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<Option<bool>>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn indenting_changes_no_value(json in any_json()) {
            let text = indent(&json.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json.clone());
            prop_assert_eq!(text, serde_json::to_string_pretty(&json).unwrap());
        }
    }
}
