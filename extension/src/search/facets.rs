//! Counts of metadata values over all rows that pass a filter.

use crate::catalog;
use crate::error::Error;
use crate::rows::{Chunk, Chunks};
use crate::search::request::{Options, Request, invalid};
use crate::search::rows::{passes, value};
use crate::search::view::View;
use crate::segments::PageTable;
use pgrx::JsonB;
use pgrx::datum::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::json;
use std::collections::HashMap;
use vectorstore_core::filter::Found;
use vectorstore_core::segment::Mask;
use vectorstore_core::segment::columns::Value;

type Rows = TableIterator<'static, (name!(key, String), name!(value, JsonB), name!(count, i64))>;
/// By key, in the order in which the keys were given.
type Counts = Vec<HashMap<Value, i64>>;

/// Counts the values of each key over the rows of a store that pass the options' filter and times; in no order.
#[pg_extern(sql = false, stable, strict)]
fn facets(store_id: i64, keys: Array<&str>, options: JsonB) -> Result<Rows, ErrorReport> {
    let options: Options =
        serde_json::from_value(options.0).map_err(|e| invalid(e.to_string(), "options"))?;
    let keys: Vec<&str> = keys.iter().flatten().collect();
    let counts = count(store_id, &keys, &Request::new(options)?)?;
    let rows = keys.iter().zip(counts).flat_map(|(key, counts)| {
        counts.into_iter().map(|(value, count)| ((*key).to_owned(), JsonB(json_of(&value)), count))
    });
    Ok(TableIterator::new(rows.collect::<Vec<_>>()))
}

fn count(store: i64, keys: &[&str], request: &Request) -> Result<Counts, Error> {
    let chunks = Chunks::open().ok_or(Error::NotInstalled)?;
    let pages = PageTable::open().ok_or(Error::NotInstalled)?;
    let reader = pages.reader();
    let mut counts: Counts = vec![HashMap::new(); keys.len()];
    let segments = catalog::segments(store)?;
    if segments.is_empty() {
        chunks.all(store, |chunk| add_row(&mut counts, keys, request, chunk));
        return Ok(counts);
    }
    let changes = catalog::changes(store)?;
    chunks.some(store, &changes.added, |chunk| add_row(&mut counts, keys, request, chunk));
    for segment in segments {
        let view = View::open(&reader, store, segment, &changes.removed, request, &chunks)?;
        for (at, key) in keys.iter().enumerate() {
            pgrx::check_for_interrupts!();
            let columns = &view.segment().columns;
            let counted = match *key {
                "file_id" if !view.has_file_ids()? => None,
                key => columns.facet(&view.pages(), key, view.base(), usize::MAX)?,
            };
            match counted {
                Some(facet) => {
                    for (value, count) in facet.values {
                        *counts[at].entry(value).or_default() += count as i64;
                    }
                }
                // No column: the rows themselves are counted.
                None => {
                    let all = view.base().cloned().unwrap_or_else(|| Mask::all(view.segment().docs.slots()));
                    view.read_rows(&chunks, &all, |_, chunk| {
                        if let Some(value) = value(key, chunk) {
                            *counts[at].entry(value).or_default() += 1;
                        }
                    })?;
                }
            }
        }
    }
    Ok(counts)
}

fn add_row(counts: &mut Counts, keys: &[&str], request: &Request, chunk: &Chunk) {
    if passes(request, chunk) {
        for (counts, key) in counts.iter_mut().zip(keys) {
            if let Some(value) = value(key, chunk) {
                *counts.entry(value).or_default() += 1;
            }
        }
    }
}

fn json_of(value: &Value) -> serde_json::Value {
    match value.found() {
        Found::String(text) => json!(text),
        // As it is written, with all its digits.
        Found::Number(number) => serde_json::from_str(&number.to_string()).unwrap_or_default(),
        Found::Bool(flag) => json!(flag),
    }
}
