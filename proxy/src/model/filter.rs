//! Filters of a search.

use serde::Serialize;
use utoipa::ToSchema;

use super::AttributeValue;

/// Which attributes a result must have. Extension: a plain map of keys to values means that all of them are equal.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum SearchFilter {
    /// Compares one attribute.
    Comparison(ComparisonFilter),
    /// Combines filters.
    Compound(CompoundFilter),
}

/// Operator of a comparison.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ComparisonOperator {
    /// Equal.
    Eq,
    /// Not equal, or missing.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// One of an array of values.
    In,
    /// None of an array of values, or missing.
    Nin,
}

/// Value of a comparison.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ComparisonValue {
    /// One value.
    One(AttributeValue),
    /// For `in` and `nin`.
    Many(Vec<AttributeValue>),
}

/// Compares one attribute with a value of the same type.
#[derive(Serialize, ToSchema)]
pub struct ComparisonFilter {
    /// The operator.
    #[schema(rename = "type")]
    pub kind: ComparisonOperator,
    /// Name of the attribute; `filename` and `file_id` always exist.
    pub key: String,
    /// What to compare it with.
    pub value: ComparisonValue,
}

/// How filters are combined.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum CompoundOperator {
    /// All must hold.
    And,
    /// One must hold.
    Or,
}

/// Combines filters.
#[derive(Serialize, ToSchema)]
pub struct CompoundFilter {
    /// The operator.
    #[schema(rename = "type")]
    pub kind: CompoundOperator,
    /// At most 32 levels.
    #[schema(no_recursion)]
    pub filters: Vec<SearchFilter>,
}
