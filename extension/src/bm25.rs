//! BM25 for SQL: an aggregate that scores one store in one pass, and the score of a single document.
//!
//! The aggregate's state is Rust memory, freed by a callback of the aggregate's memory context, also when the
//! query fails.

use crate::tsvector::TsVectorArg;
use pgrx::datum::Internal;
use pgrx::prelude::*;
use pgrx::{PgMemoryContexts, pg_sys};
use vectorstore_core::bm25::{self, Collector};

struct State {
    collector: Collector,
    documents: f64,
    average_length: f64,
    depth: usize,
}

/// Transition of `vectorstore._bm25_top`.
#[allow(clippy::too_many_arguments)]
#[pg_extern(sql = false, immutable, parallel_restricted)]
fn bm25_step(
    state: Internal,
    chunk_id: Option<i64>,
    doc: Option<TsVectorArg>,
    eligible: Option<bool>,
    query: Option<TsVectorArg>,
    documents: Option<i64>,
    average_length: Option<f64>,
    depth: Option<i32>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Internal {
    let state = match state.unwrap() {
        Some(datum) => datum,
        None => {
            let Some(query) = query else { return Internal::default() };
            let fresh = State {
                collector: Collector::new(query.get()),
                documents: documents.unwrap_or(0) as f64,
                average_length: average_length.unwrap_or(0.0),
                depth: usize::try_from(depth.unwrap_or(0)).unwrap_or(0),
            };
            pg_sys::Datum::from(aggregate_context(fcinfo).leak_and_drop_on_delete(fresh))
        }
    };
    if let (Some(chunk_id), Some(doc)) = (chunk_id, doc) {
        // SAFETY: a state that is not NULL was made above; `internal` keeps SQL from passing anything else.
        let state = unsafe { &mut *state.cast_mut_ptr::<State>() };
        state.collector.add(chunk_id, doc.get(), eligible.unwrap_or(false));
    }
    Internal::from(Some(state))
}

/// Final function of `vectorstore._bm25_top`.
#[pg_extern(sql = false, immutable, parallel_restricted)]
fn bm25_final(state: Internal) -> Option<pgrx::composite_type!('static, "vectorstore.bm25_hits")> {
    // SAFETY: as in the transition function.
    let state = unsafe { state.get::<State>() }?;
    let top = state.collector.top(state.documents, state.average_length, state.depth);
    let mut hits = PgHeapTuple::new_composite_type("vectorstore.bm25_hits").ok()?;
    hits.set_by_name("chunk_ids", top.ids).ok()?;
    hits.set_by_name("scores", top.scores).ok()?;
    hits.set_by_name("idfs", top.idfs).ok()?;
    Some(hits)
}

/// The memory context that lives as long as the aggregate.
fn aggregate_context(fcinfo: pg_sys::FunctionCallInfo) -> PgMemoryContexts {
    let mut context: pg_sys::MemoryContext = std::ptr::null_mut();
    // SAFETY: `fcinfo` is the call in progress and `context` is a valid place for the answer.
    let called_as = unsafe { pg_sys::AggCheckCallContext(fcinfo, &mut context) };
    assert!(called_as != 0, "bm25_step called outside an aggregate");
    PgMemoryContexts::For(context)
}

/// BM25 of one document, given the inverse document frequencies of the query's lexemes.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn bm25_score(doc: TsVectorArg, query: TsVectorArg, idfs: Vec<f64>, average_length: f64) -> f64 {
    bm25::score(doc.get(), query.get(), &idfs, average_length)
}

/// Lexemes of the query that occur in the document.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn matched_terms(doc: TsVectorArg, query: TsVectorArg) -> Vec<String> {
    bm25::matched(doc.get(), query.get())
        .into_iter()
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect()
}
