//! Reads the fields of a JSON object one by one, with OpenAI's error messages.
//!
//! `serde`'s own messages name neither the field's path nor the code that clients switch on, and cannot treat an
//! explicit null as an absent field. Paths are written as OpenAI writes them: `ranking_options.score_threshold`, `file_ids[3]`.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A JSON object whose fields are read one by one.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// Reads the fields of the request's body.
    pub fn root(map: &'a Map<String, Value>) -> Self {
        Self::nested(map, String::new())
    }

    fn nested(map: &'a Map<String, Value>, path: String) -> Self {
        Self { map, path, known: RefCell::default() }
    }

    /// Reads the fields of a value that must be an object.
    pub fn of(value: &'a Value, path: String) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self::nested(map, path)),
            other => Err(wrong_type(&path, "an object", other)),
        }
    }

    /// Path of a field of this object.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The field's value; an explicit null counts as absent.
    pub fn value(&self, name: &'static str) -> Option<&'a Value> {
        self.known.borrow_mut().push(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there, be it null.
    pub fn has(&self, name: &'static str) -> bool {
        self.known.borrow_mut().push(name);
        self.map.contains_key(name)
    }

    /// A value that must be there.
    pub fn required<T>(&self, name: &'static str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| missing(&self.path(name)))
    }

    /// A string of at most `max` characters.
    pub fn string(&self, name: &'static str, max: usize) -> Result<Option<&'a str>> {
        self.value(name).map(|value| string(&self.path(name), value, max)).transpose()
    }

    /// A boolean.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>> {
        self.value(name)
            .map(|value| value.as_bool().ok_or_else(|| wrong_type(&self.path(name), "a boolean", value)))
            .transpose()
    }

    /// An integer within bounds.
    pub fn integer(&self, name: &'static str, min: i64, max: i64) -> Result<Option<i64>> {
        self.value(name).map(|value| integer(&self.path(name), value, min, max)).transpose()
    }

    /// A number within bounds.
    pub fn number(&self, name: &'static str, min: f64, max: f64) -> Result<Option<f64>> {
        self.value(name).map(|value| number(&self.path(name), value, min, max)).transpose()
    }

    /// One of the given words.
    pub fn choice(&self, name: &'static str, allowed: &[&str]) -> Result<Option<&'a str>> {
        self.value(name)
            .map(|value| {
                let path = self.path(name);
                let word = string(&path, value, usize::MAX)?;
                choice(&path, word, allowed).map(|()| word)
            })
            .transpose()
    }

    /// An object.
    pub fn object(&self, name: &'static str) -> Result<Option<Fields<'a>>> {
        self.value(name).map(|value| Fields::of(value, self.path(name))).transpose()
    }

    /// An array with a bounded number of elements.
    pub fn array(&self, name: &'static str, min: usize, max: usize) -> Result<Option<&'a [Value]>> {
        self.value(name)
            .map(|value| {
                let path = self.path(name);
                let Value::Array(items) = value else { return Err(wrong_type(&path, "an array", value)) };
                array_length(&path, items.len(), min, max)?;
                Ok(items.as_slice())
            })
            .transpose()
    }

    /// An array of strings.
    pub fn strings(
        &self,
        name: &'static str,
        min: usize,
        max: usize,
        each: usize,
    ) -> Result<Option<Vec<&'a str>>> {
        let Some(items) = self.array(name, min, max)? else { return Ok(None) };
        let path = self.path(name);
        items
            .iter()
            .enumerate()
            .map(|(at, item)| string(&format!("{path}[{at}]"), item, each))
            .collect::<Result<_>>()
            .map(Some)
    }

    /// In strict mode, a field that nobody has asked for is an error.
    pub fn finish(&self, strict: bool) -> Result<()> {
        let known = self.known.borrow();
        match self.map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) if strict => {
                let path = self.path(key);
                Err(Error::invalid(
                    "unknown_parameter",
                    path.clone(),
                    format!("Unknown parameter: '{path}'."),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A parameter that must be given is absent.
pub fn missing(path: &str) -> Error {
    Error::invalid("missing_required_parameter", path, format!("Missing required parameter: '{path}'."))
}

/// `Invalid type for 'x': expected a string, but got an integer instead.`
pub fn wrong_type(path: &str, expected: &str, got: &Value) -> Error {
    let got = type_name(got);
    let message = format!("Invalid type for '{path}': expected {expected}, but got {got} instead.");
    Error::invalid("invalid_type", path, message)
}

/// A string of at most `max` characters.
pub fn string<'a>(path: &str, value: &'a Value, max: usize) -> Result<&'a str> {
    let text = value.as_str().ok_or_else(|| wrong_type(path, "a string", value))?;
    string_length(path, text, max)?;
    Ok(text)
}

/// Checks the number of characters.
pub fn string_length(path: &str, text: &str, max: usize) -> Result<()> {
    // A string never has more characters than bytes: the count is only needed for long ones.
    if text.len() <= max {
        return Ok(());
    }
    let length = text.chars().count();
    if length <= max {
        return Ok(());
    }
    let message = format!(
        "Invalid '{path}': string too long. Expected a string with maximum length {max}, but got a string with length {length} instead."
    );
    Err(Error::invalid("string_above_max_length", path, message))
}

/// Refuses the empty string.
pub fn not_empty(path: &str, text: &str) -> Result<()> {
    if !text.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead."
    );
    Err(Error::invalid("empty_string", path, message))
}

/// Checks the number of elements.
pub fn array_length(path: &str, length: usize, min: usize, max: usize) -> Result<()> {
    let got = |word: &str, bound: &str, limit: usize| {
        format!(
            "Invalid '{path}': {word}. Expected an array with {bound} length {limit}, but got an array with length {length} instead."
        )
    };
    if length > max {
        return Err(Error::invalid("array_above_max_length", path, got("array too long", "maximum", max)));
    }
    if length >= min {
        return Ok(());
    }
    if length == 0 {
        let message = format!(
            "Invalid '{path}': empty array. Expected an array with minimum length {min}, but got an empty array instead."
        );
        return Err(Error::invalid("empty_array", path, message));
    }
    Err(Error::invalid("array_below_min_length", path, got("array too short", "minimum", min)))
}

/// An integer within bounds; `1.0` is one, as JSON Schema has it.
pub fn integer(path: &str, value: &Value, min: i64, max: i64) -> Result<i64> {
    let Value::Number(number) = value else { return Err(wrong_type(path, "an integer", value)) };
    // Beyond this, not every integer is a float, so that a float need not be what was meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = match number.as_f64() {
        Some(float) if number.is_f64() => {
            if float.fract() != 0.0 || float.abs() > EXACT {
                return Err(wrong_type(path, "an integer", value));
            }
            Some(float as i64)
        }
        _ => number.as_i64(),
    };
    match whole {
        Some(got) if got < min => Err(below(path, "integer", min, got)),
        Some(got) if got <= max => Ok(got),
        _ => Err(above(path, "integer", max, number)),
    }
}

/// A number within bounds.
pub fn number(path: &str, value: &Value, min: f64, max: f64) -> Result<f64> {
    let got = value.as_f64().ok_or_else(|| wrong_type(path, "a number", value))?;
    if got < min {
        return Err(below(path, "decimal", min, got));
    }
    if got > max {
        return Err(above(path, "decimal", max, got));
    }
    Ok(got)
}

/// Checks that the word is one of those allowed.
pub fn choice(path: &str, word: &str, allowed: &[&str]) -> Result<()> {
    if allowed.contains(&word) {
        return Ok(());
    }
    let quoted: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
    let list = match quoted.as_slice() {
        [only] => only.clone(),
        [first, second] => format!("{first} and {second}"),
        [head @ .., last] => format!("{}, and {last}", head.join(", ")),
        [] => String::new(),
    };
    let word: String = word.chars().take(64).collect();
    Err(Error::invalid(
        "invalid_value",
        path,
        format!("Invalid value: '{word}'. Supported values are: {list}."),
    ))
}

fn below(path: &str, kind: &str, min: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
    let message = format!(
        "Invalid '{path}': {kind} below minimum value. Expected a value >= {min}, but got {got} instead."
    );
    let code = if kind == "integer" { "integer_below_min_value" } else { "decimal_below_min_value" };
    Error::invalid(code, path, message)
}

fn above(path: &str, kind: &str, max: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
    let message = format!(
        "Invalid '{path}': {kind} above maximum value. Expected a value <= {max}, but got {got} instead."
    );
    let code = if kind == "integer" { "integer_above_max_value" } else { "decimal_above_max_value" };
    Error::invalid(code, path, message)
}

/// How OpenAI names the type of a JSON value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Path of the first string, key or value, that holds the character NUL: Postgres cannot store it.
pub fn find_nul(value: &Value) -> Option<String> {
    /// The path from here on; it is put together on the way back, because most bodies have none to tell.
    fn below(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => text.contains('\0').then(String::new),
            Value::Array(items) => {
                items.iter().enumerate().find_map(|(at, item)| Some(format!("[{at}]{}", below(item)?)))
            }
            Value::Object(map) if map.keys().any(|key| key.contains('\0')) => Some(String::new()),
            Value::Object(map) => map.iter().find_map(|(key, item)| Some(format!(".{key}{}", below(item)?))),
            _ => None,
        }
    }
    below(value).map(|path| path.trim_start_matches('.').to_owned())
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
