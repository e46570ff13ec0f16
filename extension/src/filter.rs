//! The OpenAI filter grammar, compiled to one bound value.

use crate::error::Error;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use vectorstore_core::filter::Filter;

fn parse(filter: &JsonB) -> Result<Filter, Error> {
    Ok(Filter::parse(&filter.0)?)
}

/// The filter as text of a `jsonpath` predicate over a row's metadata.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn filter_path(filter: JsonB) -> Result<String, ErrorReport> {
    Ok(parse(&filter)?.to_jsonpath())
}

/// Whether the filter asks for `filename` or `file_id`, which are no part of the metadata.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn filter_is_virtual(filter: JsonB) -> Result<bool, ErrorReport> {
    Ok(parse(&filter)?.uses_virtual())
}
