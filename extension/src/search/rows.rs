//! What a search reads off a row: whether it may be returned, and its exact scores.

use crate::jsonb::Jsonb;
use crate::rows::{Chunk, Plain};
use crate::search::request::{Query, Request};
use crate::table::Tid;
use std::borrow::Cow;
use vectorstore_core::bm25::Norms;
use vectorstore_core::filter::{Attributes, Found};
use vectorstore_core::segment::columns::Value;
use vectorstore_core::tsvector::TsVector;
use vectorstore_core::vector;

/// Longest document that BM25 tells from longer ones.
const MAX_LENGTH: u32 = 65_535;

/// The attributes of a row: its metadata, and below it the name and the id of its file.
struct RowAttributes<'a> {
    metadata: &'a Jsonb,
    chunk: &'a Chunk<'a, 'a>,
}

impl Attributes for RowAttributes<'_> {
    fn get(&self, key: &str) -> Option<Found<'_>> {
        if !matches!(key, "filename" | "file_id") || self.metadata.has(key) {
            return self.metadata.get(key);
        }
        let text = if key == "filename" {
            self.chunk.filename().text().unwrap_or("document.txt").to_owned()
        } else {
            // A chunk without a file stands for itself.
            let (file, own) = (self.chunk.file_id(), self.chunk.id());
            file.text().or(own.text()).unwrap_or_default().to_owned()
        };
        Some(Found::String(Cow::Owned(text)))
    }
}

/// Whether the row passes the filter and the range of creation times.
pub fn passes(request: &Request, chunk: &Chunk) -> bool {
    let in_time = request.created.is_none_or(|(from, to)| {
        let at = chunk.created_at();
        from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
    });
    in_time
        && request
            .filter
            .as_ref()
            .is_none_or(|filter| filter.passes(&RowAttributes { metadata: &chunk.metadata(), chunk }))
}

/// Whether the row holds the query's phrases and nothing that it excludes.
pub fn allowed(query: &Query, lexemes: TsVector) -> bool {
    query.phrases.iter().all(|phrase| phrase.occurs_in(lexemes))
        && !query.excluded.iter().any(|phrase| phrase.occurs_in(lexemes))
}

/// The value of an attribute of a row; `None` when it is missing or no scalar.
pub fn value(key: &str, chunk: &Chunk) -> Option<Value> {
    let metadata = chunk.metadata();
    RowAttributes { metadata: &metadata, chunk }.get(key).map(|found| Value::new(&found))
}

/// Calls `visit` with the cosine similarity of the row to each query that has a vector.
pub fn cosines(queries: &[Query], chunk: &Chunk, mut visit: impl FnMut(usize, f64)) {
    if queries.iter().all(|query| query.vector.is_none()) {
        return;
    }
    chunk.with_embedding(|embedding| {
        let length = vector::dot(embedding, embedding).sqrt();
        for (at, query) in queries.iter().enumerate() {
            if let Some(unit) = &query.vector {
                let cosine = if length > 0.0 { vector::dot(unit, embedding) / length } else { 0.0 };
                visit(at, f64::from(cosine));
            }
        }
    });
}

/// How often each term of each query occurs in a document, and its length; empty when none of them does.
pub struct Counts {
    counts: Vec<u32>,
    length: u32,
}

impl Counts {
    pub fn new(queries: &[Query], lexemes: TsVector) -> Self {
        let mut counts = vec![0; queries.iter().map(|query| query.terms.len()).sum()];
        let (mut rest, mut held) = (counts.as_mut_slice(), 0);
        for query in queries {
            let (these, others) = rest.split_at_mut(query.terms.len());
            held += query.terms.counts(lexemes, these);
            rest = others;
        }
        // Most documents hold none of the terms, and their length takes a walk over all lexemes to find.
        if held == 0 {
            return Self { counts: Vec::new(), length: 0 };
        }
        Self { counts, length: lexemes.total().min(MAX_LENGTH) }
    }

    /// The counts of one query's terms; none at all when no query's occur.
    pub fn of(&self, queries: &[Query], query: usize) -> &[u32] {
        if self.counts.is_empty() {
            return &[];
        }
        let before: usize = queries[..query].iter().map(|query| query.terms.len()).sum();
        &self.counts[before..before + queries[query].terms.len()]
    }

    /// BM25 of the document under one query: the same sum, in the same order, as over postings.
    pub fn score(&self, queries: &[Query], query: usize, norms: &Norms) -> f32 {
        queries[query].terms.score(&queries[query].weights, self.of(queries, query), self.length, norms)
    }
}

/// A row of the tail: not in any segment, so it was read whole.
pub struct TailRow {
    pub chunk_id: i64,
    pub tid: Tid,
    /// Whether it may be returned at all.
    pub passes: bool,
    /// Whether it may be returned for each query.
    pub allowed: Vec<bool>,
    pub cosines: Vec<Option<f64>>,
    pub counts: Counts,
    pub group: Option<Value>,
}

impl TailRow {
    pub fn new(request: &Request, queries: &[Query], chunk: &Chunk) -> Self {
        // They stand at the end of the row, in memory of its own.
        let asked = queries.iter().any(|query| !query.terms.is_empty() || query.is_restricted());
        let lexemes = if asked { chunk.lexemes() } else { Plain::new(None) };
        let lexemes = lexemes.lexemes();
        let mut by_query = vec![None; queries.len()];
        cosines(queries, chunk, |at, cosine| by_query[at] = Some(cosine));
        Self {
            chunk_id: chunk.chunk_id(),
            tid: chunk.tid(),
            passes: passes(request, chunk),
            allowed: queries.iter().map(|query| !query.is_restricted() || allowed(query, lexemes)).collect(),
            cosines: by_query,
            counts: Counts::new(queries, lexemes),
            group: request.group_by.as_deref().and_then(|key| value(key, chunk)),
        }
    }
}
