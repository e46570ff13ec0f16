//! BM25 with k1 = 1.2, b = 0.75 and Lucene's inverse document frequency, which is never negative:
//! `ln(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * dl / avgdl))`.
//! (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009; Lucene's `BM25Similarity`, which
//! leaves out the constant factor k1 + 1.) A term that the query repeats counts as often as it stands there.

mod query;

pub use query::QueryTerms;

/// Term frequency saturation.
pub const K1: f64 = 1.2;
/// Share of the length normalisation.
pub const B: f64 = 0.75;

/// Inverse document frequency of a term found in `df` of `n` documents.
pub fn idf(n: f64, df: f64) -> f64 {
    (1.0 + ((n - df).max(0.0) + 0.5) / (df + 0.5)).ln()
}

/// Greatest term frequency and document length that a score knows; what is above counts as this.
pub const MAX_COUNT: u32 = u16::MAX as u32;

/// The length normalisation of a collection, in the form that [`impact`] uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norms {
    /// k1 * (1 - b).
    pub(crate) base: f32,
    /// k1 * b / average length.
    pub(crate) slope: f32,
}

impl Norms {
    /// For documents of `average_length` tokens on average; 0 (an empty collection) or less counts every
    /// document as average.
    pub fn new(average_length: f64) -> Self {
        if average_length > 0.0 {
            Self { base: (K1 * (1.0 - B)) as f32, slope: (K1 * B / average_length) as f32 }
        } else {
            Self { base: K1 as f32, slope: 0.0 }
        }
    }
}

/// Weight of a term that the query has `query_tf` times.
pub fn weight(idf: f64, query_tf: u32) -> f32 {
    (idf * f64::from(query_tf)) as f32
}

/// A term's share of the score of a document that has it `tf` times and has `dl` tokens. A document's score is
/// 0 plus the shares of its terms, in the order of the query. All parts of the engine compute just this, in `f32`
/// and in this order, so that a document scores the same wherever it is kept.
pub fn impact(weight: f32, tf: u32, dl: u32, norms: &Norms) -> f32 {
    share(weight, tf.min(MAX_COUNT) as f32, dl.min(MAX_COUNT) as f32, norms)
}

/// [`impact`] of numbers that are not above [`MAX_COUNT`].
#[inline(always)]
pub(crate) fn share(weight: f32, tf: f32, dl: f32, norms: &Norms) -> f32 {
    weight * tf / (tf + (norms.base + norms.slope * dl))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsvector::{TsVector, build};

    /// Two documents of 3 and 6 tokens, 3.25 on average of four.
    const DOCS: [&[(&str, u16)]; 2] = [&[("cat", 2), ("sat", 1)], &[("cat", 1), ("dog", 1), ("hat", 4)]];

    #[test]
    fn equals_the_formula_written_out() {
        let query = build(&[("cat", 1), ("dog", 2), ("zebra", 1)]);
        let terms = QueryTerms::from_vectors(&[TsVector::new(&query)]);
        let idf = idf(4.0, 2.0);
        assert!((idf - (1.0f64 + 2.5 / 2.5).ln()).abs() < 1e-12);
        let weights: Vec<f32> = terms.iter().map(|(_, tf)| weight(idf, tf)).collect();
        let norms = Norms::new(3.25);
        let part = |tf: f64, len: f64| tf / (tf + 1.2 * (0.25 + 0.75 * len / 3.25));
        let expected = [idf * part(2.0, 3.0), idf * part(1.0, 6.0) * 3.0];
        for (doc, expected) in DOCS.iter().zip(expected) {
            let doc = build(doc);
            let mut counts = [0; 3];
            terms.counts(TsVector::new(&doc), &mut counts);
            let score = terms.score(&weights, &counts, TsVector::new(&doc).total(), &norms);
            assert!((f64::from(score) - expected).abs() < 1e-6);
        }
        assert_eq!(terms.matched(TsVector::new(&build(DOCS[0]))), [b"cat"]);
    }

    #[test]
    fn the_idf_of_a_term_in_every_document_is_not_negative() {
        assert!(idf(10.0, 10.0) > 0.0 && idf(10.0, 12.0) > 0.0);
        assert!(idf(10.0, 1.0) > idf(10.0, 2.0));
    }
}
