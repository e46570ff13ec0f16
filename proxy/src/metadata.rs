//! Limits of `metadata` (vector stores) and `attributes` (files of a store), which OpenAI shares.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::fields::{Fields, string_length, wrong_type};

const MAX_PAIRS: usize = 16;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 512;

/// What the values of the object may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Strings only: `metadata` of a vector store.
    Strings,
    /// Strings, numbers and booleans: `attributes` of a file.
    Scalars,
}

/// The field's object, checked; `None` when absent.
pub fn read<'a>(fields: &Fields<'a>, name: &'static str, values: Values) -> Result<Option<&'a Value>> {
    let Some(value) = fields.value(name) else { return Ok(None) };
    let path = fields.path(name);
    let Value::Object(map) = value else { return Err(wrong_type(&path, "an object", value)) };
    check(&path, map, values)?;
    Ok(Some(value))
}

fn check(path: &str, map: &Map<String, Value>, values: Values) -> Result<()> {
    if map.len() > MAX_PAIRS {
        let message = format!(
            "Invalid '{path}': too many properties. Expected an object with at most {MAX_PAIRS} properties, but got an object with {} properties instead.",
            map.len()
        );
        return Err(Error::invalid("object_above_max_properties", path, message));
    }
    for (key, value) in map {
        let length = key.chars().count();
        if length > MAX_KEY {
            let message = format!(
                "Invalid property name in '{path}': string too long. Expected a string with maximum length {MAX_KEY}, but got a string with length {length} instead."
            );
            return Err(Error::invalid("string_above_max_length", path, message));
        }
        let inner = format!("{path}.{key}");
        match (value, values) {
            (Value::String(text), _) => string_length(&inner, text, MAX_VALUE)?,
            (Value::Number(_) | Value::Bool(_), Values::Scalars) => {}
            (_, Values::Scalars) => {
                return Err(wrong_type(&inner, "one of a string, a number, or a boolean", value));
            }
            (_, Values::Strings) => return Err(wrong_type(&inner, "a string", value)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(value: Value, values: Values) -> Option<String> {
        let body = json!({"metadata": value});
        match read(&Fields::root(body.as_object().unwrap()), "metadata", values) {
            Ok(_) => None,
            Err(error) => Some(error.body("r")["error"]["code"].as_str().unwrap().to_owned()),
        }
    }

    #[test]
    fn limits_hold_at_the_edge() {
        let pairs = |n: usize| Value::Object((0..n).map(|i| (i.to_string(), json!("v"))).collect());
        assert_eq!(code(pairs(16), Values::Strings), None);
        assert_eq!(code(pairs(17), Values::Strings).as_deref(), Some("object_above_max_properties"));
        assert_eq!(code(json!({"é".repeat(64): "v"}), Values::Strings), None);
        assert_eq!(
            code(json!({"k".repeat(65): "v"}), Values::Strings).as_deref(),
            Some("string_above_max_length")
        );
        assert_eq!(code(json!({"k": "é".repeat(512)}), Values::Strings), None);
        assert_eq!(
            code(json!({"k": "v".repeat(513)}), Values::Strings).as_deref(),
            Some("string_above_max_length")
        );
    }

    #[test]
    fn only_attributes_take_numbers_and_booleans() {
        for value in [json!({"k": 1}), json!({"k": 1.5}), json!({"k": true})] {
            assert_eq!(code(value.clone(), Values::Scalars), None);
            assert_eq!(code(value, Values::Strings).as_deref(), Some("invalid_type"));
        }
        for value in [json!({"k": null}), json!({"k": []}), json!({"k": {}}), json!([]), json!("text")] {
            assert_eq!(code(value, Values::Scalars).as_deref(), Some("invalid_type"));
        }
    }

    #[test]
    fn null_is_absent() {
        assert_eq!(code(Value::Null, Values::Strings), None);
    }
}
