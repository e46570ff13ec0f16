//! Makes one ranking of several: the two legs of a query ([`fuse`]), then several queries ([`combine`]), then
//! the rows that may be shown ([`Thresholds`], [`group_limit`]).
//!
//! All scores that leave this module are in 0..=1 and never NaN, and equal scores are in the order of their
//! chunk ids. `tests/python/reference_fusion.py` is a second implementation of the definitions written here.
//!
//! The scales of [`vector_score`] and [`keyword_score`] are absolute: they need no statistics of the result
//! list, so a score means the same on every page and in every store.

mod contest;
mod groups;
mod legs;
mod queries;
mod scale;

#[cfg(test)]
mod golden;

pub use contest::Contest;
pub use groups::group_limit;
pub use legs::{Candidate, Found, Hit, Leg, Thresholds, Weights, fuse};
pub use queries::{Combined, How, QueryScores, combine};

use std::cmp::Ordering;

/// BM25 score at which the keyword scale reaches one half. Anything between 5 and 20 ranks almost alike on
/// judged collections; 10 is the middle.
pub const KEYWORD_HALF: f64 = 10.0;

/// Usual constant k of reciprocal rank fusion (Cormack, Clarke and Büttcher, "Reciprocal rank fusion
/// outperforms Condorcet and individual rank learning methods", SIGIR 2009).
pub const RRF_K: f64 = 60.0;

/// Vector scale: cosine similarity (-1..=1) to 0..=1. Rounding may leave a cosine a little outside.
pub fn vector_score(cosine: f64) -> f64 {
    ((1.0 + cosine) / 2.0).clamp(0.0, 1.0)
}

/// Keyword scale: BM25 (0 and up) to 0..<1.
pub fn keyword_score(bm25: f64) -> f64 {
    if bm25 <= 0.0 { 0.0 } else { bm25 / (bm25 + KEYWORD_HALF) }
}

/// Weighted mean of both scales. Weights are relative: (7, 3) is (0.7, 0.3), so the result stays in 0..=1.
/// `None` when the weights are not finite, negative, or both zero.
pub fn weighted(vector: f64, keyword: f64, vector_weight: f64, keyword_weight: f64) -> Option<f64> {
    let sum = vector_weight + keyword_weight;
    let legal = vector_weight >= 0.0 && keyword_weight >= 0.0 && sum > 0.0 && sum.is_finite();
    legal.then(|| (vector * vector_weight + keyword * keyword_weight) / sum)
}

/// How the scores of a leg are normalised to 0..=1; the fused score is always the weighted mean of the legs'
/// normalised scores, see [`fuse`].
///
/// All but `Weighted` and `Rrf` use the statistics of the leg's own ranked list: the usable scores of the
/// candidates that have a rank in it. A candidate outside the list goes through the same formula and is
/// clamped to 0..=1. A list whose scores are all equal, one of a single element too, has no spread: a score
/// above its value becomes 1, one below it 0, and the value itself becomes what the method says. With an empty
/// list every score becomes 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// [`vector_score`] and [`keyword_score`]: absolute, without statistics.
    Weighted,
    /// `(x - min) / (max - min)`; 1 for every element of a list without spread, as in OpenSearch and Weaviate.
    MinMax,
    /// Distribution-based score fusion: `(x - (m - 3s)) / 6s`, where m is the mean and s the sample standard
    /// deviation (divisor n - 1); 0.5 for every element of a list without spread. As in Qdrant, but clamped.
    Dbsf,
    /// The standard score `z = (x - m) / s`, with m and s of `Dbsf`, through the logistic function
    /// `1 / (1 + exp(-z))` (MongoDB's `sigmoid`), which unlike the bare z adds up to a bounded score; 0.5 for
    /// every element of a list without spread.
    ZScore,
    /// Reciprocal rank fusion: `(k + 1) / (k + rank)`, so that rank 1 becomes 1 and an element without rank 0.
    /// Divided by `k + 1`, the weighted sum is the `sum w / (k + rank)` of the paper.
    Rrf {
        /// Finite and at least 0. The greater, the less the first ranks stand out.
        k: f64,
    },
}

impl Method {
    /// The method of this name (`weighted`, `minmax`, `dbsf`, `zscore` or `rrf`); `k` is only used by `rrf`, and
    /// [`RRF_K`] when missing. Refused: any other name, and a k that is negative or not finite.
    pub fn parse(name: &str, k: Option<f64>) -> Result<Self, Refused> {
        match name {
            "weighted" => Ok(Self::Weighted),
            "minmax" => Ok(Self::MinMax),
            "dbsf" => Ok(Self::Dbsf),
            "zscore" => Ok(Self::ZScore),
            "rrf" => Ok(Self::Rrf { k: rank_constant(k.unwrap_or(RRF_K))? }),
            _ => Err(Refused::Name),
        }
    }
}

/// Why a fusion was not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No method has this name.
    #[error("unknown name of a fusion method")]
    Name,
    /// Weights that are negative or not finite, or none that is positive.
    #[error("weights must be finite and not negative, and one of them positive")]
    Weights,
    /// The k of reciprocal rank fusion is negative or not finite.
    #[error("the constant k of reciprocal rank fusion must be finite and not negative")]
    RankConstant,
}

fn rank_constant(k: f64) -> Result<f64, Refused> {
    if k.is_finite() && k >= 0.0 { Ok(k) } else { Err(Refused::RankConstant) }
}

/// Share of rank `rank` (1-based) in reciprocal rank fusion.
fn reciprocal(k: f64, rank: f64) -> f64 {
    (k + 1.0) / (k + rank)
}

/// The order of all rankings: score descending, then chunk id ascending.
fn by_score(a: (f64, i64), b: (f64, i64)) -> Ordering {
    // Adding 0 makes a 0 of -0, which would rank behind it.
    (b.0 + 0.0).total_cmp(&(a.0 + 0.0)).then(a.1.cmp(&b.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scales_are_absolute() {
        assert_eq!(vector_score(1.0), 1.0);
        assert_eq!(vector_score(-1.0), 0.0);
        assert_eq!(vector_score(1.0 + 1e-7), 1.0);
        assert_eq!(keyword_score(0.0), 0.0);
        assert_eq!(keyword_score(10.0), 0.5);
    }

    #[test]
    fn weights_are_relative() {
        let score = weighted(0.8, 0.5, 0.7, 0.3).unwrap();
        assert!((score - 0.71).abs() < 1e-12);
        assert!((weighted(0.8, 0.5, 7.0, 3.0).unwrap() - score).abs() < 1e-12);
        assert_eq!(weighted(0.8, 0.5, 1.0, 0.0), Some(0.8));
        for (v, k) in [(0.0, 0.0), (-1.0, 2.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)] {
            assert_eq!(weighted(0.8, 0.5, v, k), None);
        }
    }

    #[test]
    fn methods_have_names() {
        assert_eq!(Method::parse("weighted", None), Ok(Method::Weighted));
        assert_eq!(Method::parse("minmax", None), Ok(Method::MinMax));
        assert_eq!(Method::parse("dbsf", None), Ok(Method::Dbsf));
        assert_eq!(Method::parse("zscore", None), Ok(Method::ZScore));
        assert_eq!(Method::parse("rrf", None), Ok(Method::Rrf { k: RRF_K }));
        assert_eq!(Method::parse("rrf", Some(0.0)), Ok(Method::Rrf { k: 0.0 }));
        assert_eq!(Method::parse("rrf", Some(-1.0)), Err(Refused::RankConstant));
        assert_eq!(Method::parse("rrf", Some(f64::NAN)), Err(Refused::RankConstant));
        assert_eq!(Method::parse("RRF", None), Err(Refused::Name));
    }

    proptest! {
        #[test]
        fn stays_in_range_and_grows(cos in -1.0..1.0f64, bm25 in 0.0..1e6f64, v in 0.0..9.0f64, k in 0.001..9.0f64) {
            let score = weighted(vector_score(cos), keyword_score(bm25), v, k).unwrap();
            prop_assert!((0.0..=1.0).contains(&score));
            prop_assert!(weighted(vector_score(cos), keyword_score(bm25 + 1.0), v, k).unwrap() >= score);
        }
    }
}
