//! Reading a filter: the grammar, the limits, and errors in the words of the API.

use serde_json::{Map, Value};

use super::{FilterError, Limits, Node, Op, Scalar};

const OPERATORS: &str = "'eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', 'and', and 'or'";

/// What `type` names.
enum Kind {
    Compare(Op),
    Member { negated: bool },
    Compound(fn(Vec<Node>) -> Node),
}

struct Parser<'a> {
    limits: &'a Limits,
    nodes: usize,
    values: usize,
}

pub(super) fn parse(filter: &Value, limits: &Limits) -> Result<Node, FilterError> {
    Parser { limits, nodes: 0, values: 0 }.node(filter, "filters", 1)
}

impl Parser<'_> {
    fn node(&mut self, value: &Value, at: &str, depth: usize) -> Result<Node, FilterError> {
        let Value::Object(map) = value else { return Err(wrong_type(at, "an object", value)) };
        self.count(at, depth)?;
        if is_structured(map) { self.structured(map, at, depth) } else { self.flat(map, at, depth) }
    }

    /// Called once a node, before anything recurses.
    fn count(&mut self, at: &str, depth: usize) -> Result<(), FilterError> {
        let Limits { depth: max_depth, nodes: max_nodes, .. } = *self.limits;
        if depth > max_depth {
            let message = format!("Invalid 'filters': nested deeper than {max_depth} levels.");
            return Err(error("invalid_value", at, message));
        }
        self.nodes += 1;
        if self.nodes > max_nodes {
            let message =
                format!("Invalid 'filters': more than {max_nodes} comparisons and compounds altogether.");
            return Err(error("invalid_value", at, message));
        }
        Ok(())
    }

    fn structured(&mut self, map: &Map<String, Value>, at: &str, depth: usize) -> Result<Node, FilterError> {
        let kind_at = format!("{at}.type");
        let kind = match map.get("type") {
            None => return Err(missing(&kind_at)),
            Some(Value::String(name)) => Kind::named(name).ok_or_else(|| {
                let message = format!("Invalid value: '{}'. Supported values are: {OPERATORS}.", clip(name));
                error("invalid_value", &kind_at, message)
            })?,
            Some(other) => return Err(wrong_type(&kind_at, "a string", other)),
        };
        match kind {
            Kind::Compound(build) => {
                only(map, at, &["type", "filters"])?;
                let list_at = format!("{at}.filters");
                let list = array(map.get("filters"), &list_at, "an array of objects")?;
                let nodes = list
                    .iter()
                    .enumerate()
                    .map(|(i, node)| self.node(node, &format!("{list_at}[{i}]"), depth + 1));
                Ok(build(nodes.collect::<Result<_, _>>()?))
            }
            Kind::Compare(op) => {
                only(map, at, &["type", "key", "property", "value"])?;
                let key = self.key(map, at)?;
                let value_at = format!("{at}.value");
                let value = map.get("value").ok_or_else(|| missing(&value_at))?;
                Ok(Node::Compare { key, op, value: self.scalar(value, &value_at)? })
            }
            Kind::Member { negated } => {
                only(map, at, &["type", "key", "property", "value"])?;
                let key = self.key(map, at)?;
                let value_at = format!("{at}.value");
                let list = array(map.get("value"), &value_at, "an array of strings, numbers or booleans")?;
                Ok(Node::Member { key, negated, values: self.members(list, &value_at)? })
            }
        }
    }

    /// `{"topic": "ai", "year": 2024}`: an `and` of equalities, or one equality.
    fn flat(&mut self, map: &Map<String, Value>, at: &str, depth: usize) -> Result<Node, FilterError> {
        let single = map.len() == 1;
        let mut nodes = Vec::with_capacity(map.len());
        for (key, value) in map {
            let value_at = format!("{at}.{}", clip(key));
            if !single {
                self.count(&value_at, depth + 1)?;
            }
            let key = self.text(key, &value_at, self.limits.key_chars)?;
            nodes.push(Node::Compare { key, op: Op::Eq, value: self.scalar(value, &value_at)? });
        }
        // At the top `{}` is how some clients say "no filter"; inside a compound it is a slip that would
        // silently match everything.
        if nodes.is_empty() && depth > 1 {
            return Err(missing(&format!("{at}.type")));
        }
        Ok(if single { nodes.swap_remove(0) } else { Node::All(nodes) })
    }

    /// The guide of the API spells `key` as `property` in one place.
    fn key(&self, map: &Map<String, Value>, at: &str) -> Result<String, FilterError> {
        let (name, value) = match (map.get("key"), map.get("property")) {
            (Some(value), None) => ("key", value),
            (None, Some(value)) => ("property", value),
            (None, None) => return Err(missing(&format!("{at}.key"))),
            (Some(_), Some(_)) => {
                let at = format!("{at}.property");
                let message = format!("Invalid '{at}': it is another name of 'key'; give only one of them.");
                return Err(error("invalid_value", &at, message));
            }
        };
        let at = format!("{at}.{name}");
        match value {
            Value::String(key) => self.text(key, &at, self.limits.key_chars),
            other => Err(wrong_type(&at, "a string", other)),
        }
    }

    fn members(&mut self, list: &[Value], at: &str) -> Result<Vec<Scalar>, FilterError> {
        let Limits { values: most, total_values, .. } = *self.limits;
        let length = list.len();
        if length > most {
            let message = format!(
                "Invalid '{at}': array too long. Expected an array with maximum length {most}, but got an array \
                 with length {length} instead."
            );
            return Err(error("array_above_max_length", at, message));
        }
        self.values += length;
        if self.values > total_values {
            let message = format!(
                "Invalid 'filters': more than {total_values} values in all of its 'in' and 'nin' together."
            );
            return Err(error("array_above_max_length", at, message));
        }
        list.iter().enumerate().map(|(i, value)| self.scalar(value, &format!("{at}[{i}]"))).collect()
    }

    fn scalar(&self, value: &Value, at: &str) -> Result<Scalar, FilterError> {
        match value {
            Value::Bool(flag) => Ok(Scalar::Bool(*flag)),
            Value::String(text) => self.text(text, at, self.limits.string_chars).map(Scalar::String),
            // serde_json may be built with arbitrary precision by some other crate: then 1e400 gets this far.
            Value::Number(number) if !number.as_f64().is_some_and(f64::is_finite) => {
                Err(error("invalid_value", at, format!("Invalid '{at}': the number is out of range.")))
            }
            Value::Number(number) => Ok(Scalar::Number(number.into())),
            other => Err(wrong_type(at, "a string, a number or a boolean", other)),
        }
    }

    fn text(&self, text: &str, at: &str, most: usize) -> Result<String, FilterError> {
        let length = text.chars().count();
        if length > most {
            let message = format!(
                "Invalid '{at}': string too long. Expected a string with maximum length {most}, but got a string \
                 with length {length} instead."
            );
            return Err(error("string_above_max_length", at, message));
        }
        // Neither text nor jsonb of Postgres can hold it, so it could never match.
        if text.contains('\0') {
            let message = format!("Invalid '{at}': the character U+0000 is not allowed.");
            return Err(error("invalid_value", at, message));
        }
        Ok(text.to_owned())
    }
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Compare(Op::Eq),
            "ne" => Self::Compare(Op::Ne),
            "gt" => Self::Compare(Op::Gt),
            "gte" => Self::Compare(Op::Gte),
            "lt" => Self::Compare(Op::Lt),
            "lte" => Self::Compare(Op::Lte),
            "in" => Self::Member { negated: false },
            "nin" => Self::Member { negated: true },
            "and" => Self::Compound(Node::All),
            "or" => Self::Compound(Node::Any),
            _ => return None,
        })
    }
}

/// Tells `{"type": "eq", ..}` from a flat map. Metadata may well have a key `type`, so that word alone does not
/// decide; but what is nearly a comparison is reported as a broken one rather than read as three equalities.
fn is_structured(map: &Map<String, Value>) -> bool {
    let has = |name| map.contains_key(name);
    let has_key = has("key") || has("property");
    let names_operator =
        map.get("type").and_then(Value::as_str).is_some_and(|kind| Kind::named(kind).is_some());
    names_operator
        || (has("type") && (has_key || has("filters")))
        || (has_key && has("value"))
        || map.get("filters").is_some_and(Value::is_array)
}

fn only(map: &Map<String, Value>, at: &str, allowed: &[&str]) -> Result<(), FilterError> {
    match map.keys().find(|name| !allowed.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let at = format!("{at}.{}", clip(name));
            Err(error("unknown_parameter", &at, format!("Unknown parameter: '{at}'.")))
        }
    }
}

fn array<'a>(value: Option<&'a Value>, at: &str, expected: &str) -> Result<&'a [Value], FilterError> {
    match value {
        None => Err(missing(at)),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(wrong_type(at, expected, other)),
    }
}

fn missing(at: &str) -> FilterError {
    error("missing_required_parameter", at, format!("Missing required parameter: '{at}'."))
}

fn wrong_type(at: &str, expected: &str, got: &Value) -> FilterError {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{at}': expected {expected}, but got {got} instead.");
    error("invalid_type", at, message)
}

fn error(code: &'static str, at: &str, message: String) -> FilterError {
    FilterError { message, param: at.to_owned(), code }
}

/// The user's own words inside an error: short, and without control characters, which Postgres could not even
/// carry in a message.
fn clip(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
