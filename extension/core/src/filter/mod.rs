//! The filters of the search API: comparisons (`{"type":"eq","key":"topic","value":"ai"}`), compounds
//! (`{"type":"and","filters":[..]}`) and flat maps (`{"topic":"ai"}`), over one metadata object.
//!
//! A filter is evaluated in three places that must agree: in Postgres, as the jsonpath of [`Filter::to_jsonpath`],
//! in Rust, by [`Filter::passes`], and on the columns of a segment
//! ([`Columns::mask`](crate::segment::columns::Columns::mask)). What all of them do:
//!
//! * Types are strict: `"1"`, `1` and `true` are three different values. Numbers are the decimals they are
//!   written as, so `1`, `1.0` and `10e-1` are equal, and 2^53 and 2^53 + 1 are not.
//! * `gt`, `gte`, `lt`, `lte` order numbers by value and strings by code point, whatever the collation of the
//!   database; nothing else is ordered, so they never match a boolean, nor a number against a string.
//! * A key that is missing, or whose value is null, an array or an object, equals nothing: `eq`, `in` and the
//!   orderings are false, `ne` and `nin` true. Nothing is looked up inside arrays.
//! * An empty `and` is true, an empty `or` false; `in []` is false, `nin []` true.

mod attributes;
mod eval;
mod jsonpath;
mod number;
mod parse;

pub use attributes::{Attributes, Found};
pub use number::Decimal;
pub(crate) use number::Parts;

use number::Literal;
use serde_json::{Value, json};

/// Keys that are not stored as attributes: the caller adds them when a filter asks for them.
const VIRTUAL_KEYS: [&str; 2] = ["filename", "file_id"];

/// A filter that has passed every check of [`Filter::parse`].
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    root: Node,
}

/// How large a filter may be. The defaults are what the API promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of nesting; a lone comparison is one level.
    pub depth: usize,
    /// Comparisons and compounds together.
    pub nodes: usize,
    /// Values of one `in` or `nin`.
    pub values: usize,
    /// Values of all `in` and `nin` together: they alone decide how long the jsonpath gets.
    pub total_values: usize,
    /// Characters of a key.
    pub key_chars: usize,
    /// Characters of a string value.
    pub string_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            nodes: 512,
            values: 1_000,
            total_values: 10_000,
            key_chars: 256,
            string_chars: 4_096,
        }
    }
}

/// Why a filter was refused, in the terms of the API's error object. All three are safe to show to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// One sentence in English.
    pub message: String,
    /// The offending place, such as `filters.filters[1].value`.
    pub param: String,
    /// Error code of the API, such as `invalid_type`.
    pub code: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Compare { key: String, op: Op, value: Scalar },
    Member { key: String, negated: bool, values: Vec<Scalar> },
    All(Vec<Node>),
    Any(Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    String(String),
    Number(Literal),
    Bool(bool),
}

impl Filter {
    /// Reads a filter under the default [`Limits`]. `null` is refused: an absent filter is the caller's business.
    ///
    /// # Errors
    /// Anything outside the grammar or over a limit. Nothing is ever skipped: a part of a filter that was
    /// ignored would hand out rows the filter was there to hide.
    pub fn parse(filter: &Value) -> Result<Self, FilterError> {
        Self::parse_with(filter, &Limits::default())
    }

    /// Reads a filter under limits of the caller's choice.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse_with(filter: &Value, limits: &Limits) -> Result<Self, FilterError> {
        parse::parse(filter, limits).map(|root| Self { root })
    }

    /// Both filters. Each may be as big as the limits allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { root: Node::All(vec![self.root, other.root]) }
    }

    /// The filter as jsonpath text, meant to be bound as one parameter: `metadata @@ $1::jsonpath`.
    ///
    /// For metadata that is not NULL the result is true or false, never NULL, and equals [`Filter::matches`].
    /// Everything that came from the user is inside a quoted literal or is a number. Equality can use a GIN
    /// index on the metadata.
    #[must_use]
    pub fn to_jsonpath(&self) -> String {
        jsonpath::render(&self.root)
    }

    /// Whether metadata passes the filter. Metadata other than an object has no keys.
    #[must_use]
    pub fn matches(&self, metadata: &Value) -> bool {
        self.passes(metadata)
    }

    /// Whether a row with these attributes passes the filter: [`Filter::matches`] for attributes in another form
    /// than that of `serde_json`.
    #[must_use]
    pub fn passes(&self, row: &impl Attributes) -> bool {
        eval::passes(&self.root, row)
    }

    /// The keys that the filter asks for, each once, in the order of their bytes.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        self.root.collect_keys(&mut keys);
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Whether `filename` or `file_id` occurs as a key, so that the caller has to add
    /// them to the metadata, below attributes of the same name.
    #[must_use]
    pub fn uses_virtual(&self) -> bool {
        self.keys().iter().any(|key| VIRTUAL_KEYS.contains(key))
    }

    /// The filter in its canonical spelling: no flat maps, `key` instead of `property`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.root.to_json()
    }
}

impl Node {
    fn collect_keys<'a>(&'a self, keys: &mut Vec<&'a str>) {
        match self {
            Self::Compare { key, .. } | Self::Member { key, .. } => keys.push(key),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.collect_keys(keys)),
        }
    }

    fn to_json(&self) -> Value {
        let list = |nodes: &[Self]| nodes.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::Compare { key, op, value } => {
                json!({"type": op.name(), "key": key, "value": value.to_json()})
            }
            Self::Member { key, negated, values } => {
                let values: Vec<_> = values.iter().map(Scalar::to_json).collect();
                json!({"type": if *negated { "nin" } else { "in" }, "key": key, "value": values})
            }
            Self::All(nodes) => json!({"type": "and", "filters": list(nodes)}),
            Self::Any(nodes) => json!({"type": "or", "filters": list(nodes)}),
        }
    }
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
        }
    }
}

impl Scalar {
    fn to_json(&self) -> Value {
        match self {
            Self::String(text) => Value::String(text.clone()),
            Self::Number(literal) => Value::Number(literal.number.clone()),
            Self::Bool(flag) => Value::Bool(*flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(filter: Value) -> Filter {
        Filter::parse(&filter).unwrap()
    }

    #[test]
    fn virtual_keys_are_found_at_any_depth() {
        assert!(!parse(json!({"topic": "filename"})).uses_virtual());
        assert!(parse(json!({"file_id": "file-1"})).uses_virtual());
        assert!(!parse(json!({})).uses_virtual());
        let deep = json!({"type": "or", "filters": [
            {"topic": "ai"},
            {"type": "and", "filters": [{"type": "nin", "property": "filename", "value": []}]},
        ]});
        assert!(parse(deep.clone()).uses_virtual());
        assert_eq!(parse(deep).keys(), ["filename", "topic"]);
    }

    #[test]
    fn two_filters_at_the_limits_go_together() {
        let nest = |leaf: Value| {
            (1..Limits::default().depth).fold(leaf, |inner, _| json!({"type": "or", "filters": [inner]}))
        };
        let both = parse(nest(json!({"a": 1}))).and(parse(nest(json!({"b": 1}))));
        assert!(both.matches(&json!({"a": 1, "b": 1})));
        assert!(!both.matches(&json!({"a": 1})) && !both.matches(&json!({"b": 1})));
        assert_eq!(both.keys(), ["a", "b"]);
    }

    #[test]
    fn canonical_spelling() {
        let filter = parse(json!({"a": 1, "b": true}));
        let canonical = json!({"type": "and", "filters": [
            {"type": "eq", "key": "a", "value": 1},
            {"type": "eq", "key": "b", "value": true},
        ]});
        assert_eq!(filter.to_json(), canonical);
        assert_eq!(parse(canonical), filter);
        let member = json!({"type": "nin", "property": "k", "value": ["x", 1.5]});
        assert_eq!(parse(member).to_json(), json!({"type": "nin", "key": "k", "value": ["x", 1.5]}));
    }
}
