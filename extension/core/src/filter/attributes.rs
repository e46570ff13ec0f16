//! What a filter is evaluated on.

use std::borrow::Cow;

use serde_json::Value;

use super::Decimal;

/// A value that a filter can compare. Null, arrays and objects are none: to a filter they are as good as missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'a> {
    /// A string.
    String(Cow<'a, str>),
    /// A number.
    Number(Decimal),
    /// A boolean.
    Bool(bool),
}

impl<'a> Found<'a> {
    /// The value of a JSON value, if a filter can compare it.
    #[must_use]
    pub fn new(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::String(Cow::Borrowed(text))),
            Value::Number(number) => Some(Self::Number(number.into())),
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// The attributes of a row, in whatever form they are stored: what [`Filter::passes`](super::Filter::passes)
/// asks for the keys of the filter.
pub trait Attributes {
    /// The value of a key; None when the key is missing or its value is null, an array or an object.
    fn get(&self, key: &str) -> Option<Found<'_>>;
}

/// The members of an object; other values have none.
impl Attributes for Value {
    fn get(&self, key: &str) -> Option<Found<'_>> {
        Found::new(self.as_object()?.get(key)?)
    }
}
