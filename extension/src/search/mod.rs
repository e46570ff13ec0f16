//! Search in one store: the function under `vs_search` and its relatives.

mod answer;
mod face;
mod facets;
mod hnsw;
mod keyword;
mod phrase;
mod pool;
mod request;
mod rows;
mod run;
mod vector;
mod view;

use crate::catalog::{self, StoreRow};
use crate::datum::{RawDatum, vectors};
use crate::error::Error;
use crate::rows::{Chunk, Chunks};
use crate::segments::PageTable;
use crate::stats::{self, Counter};
use crate::table::Tid;
use answer::{Ranked, explain, rank};
use pgrx::datum::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{AnyArray, JsonB};
use request::{MAX_QUERIES, Options, Query, Request, invalid};
use run::Run;

type Rows = TableIterator<
    'static,
    (
        name!(chunk_id, i64),
        name!(score, f64),
        name!(vector_score, Option<f64>),
        name!(keyword_score, Option<f64>),
        name!(explanation, Option<JsonB>),
        name!(id, Option<RawDatum>),
        name!(file_id, Option<RawDatum>),
        name!(filename, Option<RawDatum>),
        name!(content, Option<RawDatum>),
        name!(metadata, Option<RawDatum>),
    ),
>;
type Row = (
    i64,
    f64,
    Option<f64>,
    Option<f64>,
    Option<JsonB>,
    Option<RawDatum>,
    Option<RawDatum>,
    Option<RawDatum>,
    Option<RawDatum>,
    Option<RawDatum>,
);

/// Searches one store by texts and embeddings (the first text goes with the first embedding; either may be NULL);
/// best first, equal scores by chunk.
#[pg_extern(sql = false, stable)]
fn search(
    store_id: Option<i64>,
    queries: Option<Array<&str>>,
    embeddings: Option<AnyArray>,
    options: Option<JsonB>,
) -> Result<Rows, ErrorReport> {
    let options: Options = match options {
        Some(JsonB(value)) => {
            serde_json::from_value(value).map_err(|error| invalid(error.to_string(), "options"))?
        }
        None => Options::default(),
    };
    let texts: Vec<Option<&str>> = queries.iter().flat_map(|texts| texts.iter()).collect();
    let embeddings = embeddings.map(vectors).unwrap_or_default();
    let row = catalog::store(store_id.unwrap_or_default())?.ok_or(Error::NoStore)?;
    Ok(TableIterator::new(find(&row, &texts, embeddings, options)?))
}

/// The hits of a search in a store that exists.
fn find(
    row: &StoreRow,
    texts: &[Option<&str>],
    mut embeddings: Vec<Option<Vec<f32>>>,
    options: Options,
) -> Result<Vec<Row>, Error> {
    let request = Request::new(options)?;
    let count = texts.len().max(embeddings.len()).max(1);
    if count > MAX_QUERIES {
        return Err(invalid(format!("A search takes at most {MAX_QUERIES} queries."), "query"));
    }
    if request.negatives >= count {
        return Err(invalid("At least one query must be positive.", "query"));
    }
    embeddings.resize_with(count, || None);
    let queries = embeddings
        .into_iter()
        .enumerate()
        .map(|(at, embedding)| Query::new(row, &request, texts.get(at).copied().flatten(), embedding))
        .collect::<Result<Vec<_>, _>>()?;
    let chunks = Chunks::open().ok_or(Error::NotInstalled)?;
    let pages = PageTable::open().ok_or(Error::NotInstalled)?;
    let reader = pages.reader();
    let mut run = Run::new(row, &request, queries, &chunks, &reader)?;
    run.gather()?;
    let ranked = rank(&run)?;
    Ok(answer_rows(&mut run, ranked))
}

fn answer_rows(run: &mut Run, ranked: Vec<Ranked>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(ranked.len());
    stats::add(Counter::Rows, ranked.len().min(run.request.k) as i64);
    let shown: Vec<Tid> =
        ranked.iter().take(run.request.k).map(|hit| run.pool.members[hit.place].tid).collect();
    let buffers = run.finder.prefetch(&shown, pg_sys::BLCKSZ as usize);
    for (at, hit) in ranked.into_iter().enumerate() {
        let (chunk_id, tid) = (run.pool.members[hit.place].chunk_id, run.pool.members[hit.place].tid);
        let mut row: Row =
            (chunk_id, hit.score, hit.vector_score, hit.keyword_score, None, None, None, None, None, None);
        if at >= run.request.k {
            rows.push(row);
            continue;
        }
        let (store, explained) = (run.store, run.request.explain);
        let terms = &run.queries[hit.query].terms;
        let read = |chunk: &Chunk| {
            row.5 = chunk.id().copied().map(RawDatum);
            row.6 = chunk.file_id().copied().map(RawDatum);
            row.7 = chunk.filename().copied().map(RawDatum);
            row.8 = chunk.content().copied().map(RawDatum);
            row.9 = Some(RawDatum(chunk.metadata().copied()));
            if !explained {
                return Vec::new();
            }
            let lexemes = chunk.lexemes();
            let matched = terms.matched(lexemes.lexemes()).into_iter();
            matched.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        // The terms and the reader of rows are different parts of the run.
        let Some(matched) = run.finder.find(store, chunk_id, tid, buffers[at], read) else { continue };
        if explained {
            row.4 = Some(JsonB(explain(run, &hit, &matched)));
        }
        rows.push(row);
    }
    rows
}
