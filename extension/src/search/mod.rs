//! Search in one store: the function under `vs_search` and its relatives.

mod answer;
mod contest;
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
use crate::datum::vectors;
use crate::error::Error;
use crate::output::{Output, Written};
use crate::rows::{Chunks, Plain};
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

/// A chunk of the answer; its values are on the page of its row, or copies that live as long.
struct Row<'a> {
    chunk_id: i64,
    score: f64,
    vector_score: Option<f64>,
    keyword_score: Option<f64>,
    explanation: Option<JsonB>,
    /// `id`, `file_id`, `filename`, `content`, `metadata`; of a hit behind the first k nothing.
    shown: [Option<&'a Plain>; 5],
}

impl Row<'_> {
    /// Scores and explanation, as values of columns.
    fn scores(&mut self) -> [Option<pg_sys::Datum>; 4] {
        let number = |score: Option<f64>| score.into_datum();
        let explanation = self.explanation.take().into_datum();
        [number(Some(self.score)), number(self.vector_score), number(self.keyword_score), explanation]
    }
}

/// Searches one store by texts and embeddings (the first text goes with the first embedding; either may be NULL);
/// best first, equal scores by chunk.
#[pg_extern(sql = false, stable)]
fn search(
    store_id: Option<i64>,
    queries: Option<Array<&str>>,
    embeddings: Option<AnyArray>,
    options: Option<JsonB>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Written, ErrorReport> {
    let options: Options = match options {
        Some(JsonB(value)) => {
            serde_json::from_value(value).map_err(|error| invalid(error.to_string(), "options"))?
        }
        None => Options::default(),
    };
    let texts: Vec<Option<&str>> = queries.iter().flat_map(|texts| texts.iter()).collect();
    let embeddings = embeddings.map(vectors).unwrap_or_default();
    let row = catalog::store(store_id.unwrap_or_default())?.ok_or(Error::NoStore)?;
    // SAFETY: this is the call in progress.
    let mut output = unsafe { Output::begin(call) };
    find(&row, &texts, embeddings, options, |mut row| {
        let [id, file_id, filename, content, metadata] = row.shown.map(|value| value.and_then(Plain::datum));
        let [score, vector_score, keyword_score, explanation] = row.scores();
        output.put([
            row.chunk_id.into_datum(),
            score,
            vector_score,
            keyword_score,
            explanation,
            id,
            file_id,
            filename,
            content,
            metadata,
        ]);
    })?;
    Ok(output.done())
}

/// Calls `show` with the hits of a search in a store that exists.
fn find(
    row: &StoreRow,
    texts: &[Option<&str>],
    mut embeddings: Vec<Option<Vec<f32>>>,
    options: Options,
    show: impl FnMut(Row),
) -> Result<(), Error> {
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
    answer(&mut run, ranked, show);
    Ok(())
}

fn answer(run: &mut Run, ranked: Vec<Ranked>, mut show: impl FnMut(Row)) {
    stats::add(Counter::Rows, ranked.len().min(run.request.k) as i64);
    let shown: Vec<Tid> =
        ranked.iter().take(run.request.k).map(|hit| run.pool.members[hit.place].tid).collect();
    let buffers = run.finder.prefetch(&shown, pg_sys::BLCKSZ as usize);
    for (at, hit) in ranked.into_iter().enumerate() {
        let (chunk_id, tid) = (run.pool.members[hit.place].chunk_id, run.pool.members[hit.place].tid);
        let (score, vector_score, keyword_score) = (hit.score, hit.vector_score, hit.keyword_score);
        let row = Row { chunk_id, score, vector_score, keyword_score, explanation: None, shown: [None; 5] };
        if at >= run.request.k {
            show(row);
            continue;
        }
        let (queries, plan, explained) = (&run.queries, &run.plan, run.request.explain);
        run.finder.find(run.store, chunk_id, tid, buffers[at], |chunk| {
            let metadata = chunk.metadata_value();
            let (id, file, name, text) = (chunk.id(), chunk.file_id(), chunk.filename(), chunk.content());
            let shown = [Some(&id), Some(&file), Some(&name), Some(&text), Some(&metadata)];
            let explanation = explained.then(|| {
                let lexemes = chunk.lexemes();
                let matched = queries[hit.query].terms.matched(lexemes.lexemes()).into_iter();
                let matched: Vec<String> =
                    matched.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                JsonB(explain(queries, plan, &hit, &matched))
            });
            show(Row { shown, explanation, ..row });
        });
    }
}
