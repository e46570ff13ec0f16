//! `vs_search` itself: its typed arguments become the options of a search. In Rust, because a function in PL/pgSQL around
//! the engine took a fifth of the time of a search.

use super::find;
use super::request::Options;
use crate::catalog::{self, StoreRow};
use crate::datum::{VectorArg, vectors};
use crate::error::Error;
use crate::output::{Output, Written};
use crate::principal;
use crate::rows::Plain;
use pgrx::datum::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{AnyArray, JsonB};

/// A number that every range refuses, in place of what is missing or not finite.
fn finite(number: Option<f64>) -> Option<f64> {
    Some(number.filter(|number| number.is_finite()).unwrap_or(-1.0))
}

/// Searches a store by its id or name; the arguments are those of the SQL declaration, in which times are
/// `timestamptz`: microseconds since 2000-01-01 UTC.
#[pg_extern(sql = false, stable)]
#[allow(clippy::too_many_arguments)]
fn vs_search(
    store: Option<&str>,
    query: Option<&str>,
    embedding: Option<VectorArg>,
    k: Option<i32>,
    mode: Option<&str>,
    vector_weight: Option<f64>,
    keyword_weight: Option<f64>,
    filter: Option<JsonB>,
    score_threshold: Option<f64>,
    explain: Option<bool>,
    fusion: Option<&str>,
    rrf_k: Option<f64>,
    queries: Option<Array<&str>>,
    embeddings: Option<AnyArray>,
    combine: Option<&str>,
    negative_queries: Option<Array<&str>>,
    negative_embeddings: Option<AnyArray>,
    negative_weight: Option<f64>,
    vector_threshold: Option<f64>,
    keyword_threshold: Option<f64>,
    created_from: Option<i64>,
    created_to: Option<i64>,
    group_by: Option<&str>,
    group_size: Option<i32>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Written, ErrorReport> {
    let row = resolve(store)?;
    if row.expired {
        require_active(row.store_id)?;
    }
    let (mut texts, mut vectors_given) = (Vec::new(), Vec::new());
    if query.is_some() || embedding.is_some() {
        texts.push(query);
        vectors_given.push(embedding.map(|embedding| embedding.get().to_vec()));
    }
    append(queries.iter().flat_map(|more| more.iter()), embeddings, &mut texts, &mut vectors_given);
    let positive = texts.len();
    let negative = negative_queries.iter().flat_map(|more| more.iter());
    append(negative, negative_embeddings, &mut texts, &mut vectors_given);
    let options = Options {
        k: Some(i64::from(k.unwrap_or(0))),
        mode: Some(mode.unwrap_or_default().to_owned()),
        vector_weight: finite(vector_weight),
        keyword_weight: finite(keyword_weight),
        fusion: fusion.unwrap_or_default().to_owned(),
        rrf_k: finite(rrf_k),
        combine: combine.unwrap_or_default().to_owned(),
        negatives: texts.len() - positive,
        negative_weight: finite(negative_weight),
        filter: filter.map(|filter| filter.0),
        score_threshold: finite(score_threshold),
        vector_threshold: finite(vector_threshold),
        keyword_threshold: finite(keyword_threshold),
        created_from,
        created_to,
        group_by: group_by.map(str::to_owned),
        group_size: i64::from(group_size.unwrap_or(0)),
        explain: explain.unwrap_or(false),
        list: 0,
    };
    // SAFETY: this is the call in progress.
    let mut output = unsafe { Output::begin(call) };
    find(&row, &texts, vectors_given, options, |mut row| {
        let [id, file_id, filename, content, metadata] = row.shown.map(|value| value.and_then(Plain::datum));
        let [score, vector_score, keyword_score, explanation] = row.scores();
        output.put([
            id,
            file_id,
            filename,
            score,
            vector_score,
            keyword_score,
            content,
            metadata,
            explanation,
        ]);
    })?;
    Ok(output.done())
}

/// Adds queries; texts and embeddings go together by place, and the longer list counts.
fn append<'a>(
    more: impl Iterator<Item = Option<&'a str>>,
    embeddings: Option<AnyArray>,
    texts: &mut Vec<Option<&'a str>>,
    vectors_given: &mut Vec<Option<Vec<f32>>>,
) {
    texts.extend(more);
    vectors_given.extend(embeddings.map(vectors).unwrap_or_default());
    let count = texts.len().max(vectors_given.len());
    texts.resize(count, None);
    vectors_given.resize_with(count, || None);
}

/// The store with this id or name.
fn resolve(store: Option<&str>) -> Result<StoreRow, Error> {
    if let Some(Ok(Some(row))) = store.map(catalog::find_store) {
        principal::note_store(row.store_id);
        return Ok(row);
    }
    // Not found, or not alone with its name: the SQL function says which.
    let number = Spi::get_one_with_args("SELECT vectorstore._store($1)", &[store.into()])?;
    catalog::store(number.ok_or(Error::NoStore)?)?.ok_or(Error::NoStore)
}

/// Raises the error of an expired store.
fn require_active(store: i64) -> Result<(), Error> {
    Ok(Spi::run_with_args("SELECT vectorstore._require_active($1)", &[store.into()])?)
}
