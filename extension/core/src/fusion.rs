//! Turns the raw scores of the two legs into one score in 0..=1.
//!
//! The scales are absolute: they need no statistics of the result list, so a score means the same on every
//! page and in every store.

/// BM25 score at which the keyword scale reaches one half. Anything between 5 and 20 ranks almost alike on
/// judged collections; 10 is the middle.
pub const KEYWORD_HALF: f64 = 10.0;

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

    proptest! {
        #[test]
        fn stays_in_range_and_grows(cos in -1.0..1.0f64, bm25 in 0.0..1e6f64, v in 0.0..9.0f64, k in 0.001..9.0f64) {
            let score = weighted(vector_score(cos), keyword_score(bm25), v, k).unwrap();
            prop_assert!((0.0..=1.0).contains(&score));
            prop_assert!(weighted(vector_score(cos), keyword_score(bm25 + 1.0), v, k).unwrap() >= score);
        }
    }
}
