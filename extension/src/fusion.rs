//! Score scales and fusion, row by row.

use crate::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use vectorstore_core::fusion;

/// Cosine similarity on the scale 0..=1.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn vector_score(cosine: f64) -> f64 {
    fusion::vector_score(cosine)
}

/// BM25 on the scale 0..<1.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn keyword_score(bm25: f64) -> f64 {
    fusion::keyword_score(bm25)
}

/// Weighted mean of a vector score and a keyword score.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn fused_score(
    vector: f64,
    keyword: f64,
    vector_weight: f64,
    keyword_weight: f64,
) -> Result<f64, ErrorReport> {
    fusion::weighted(vector, keyword, vector_weight, keyword_weight).ok_or_else(|| Error::Weights.into())
}
