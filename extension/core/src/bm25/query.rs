//! The terms of a query, and their counts in single documents.

use super::{Norms, impact};
use crate::tsvector::TsVector;

/// A free place of the hash table, or the end of a chain.
const NONE: u32 = u32::MAX;
/// With more lexemes than so many times the query's terms, a document is searched instead of read through.
const LONG: usize = 16;

/// The distinct lexemes of a query, in byte order, and how often the query has each. Their order is the order in
/// which shares of scores are added.
#[derive(Debug, Clone, Default)]
pub struct QueryTerms {
    terms: Vec<(Vec<u8>, u32)>,
    /// Open hash table of indexes into `terms`, mostly free: most words of a document are not in the query, and
    /// one look tells it. Its length is a power of two.
    table: Vec<u32>,
}

impl QueryTerms {
    /// From lexemes in any order with their frequencies; those of equal lexemes are added up.
    pub fn new(terms: impl IntoIterator<Item = (Vec<u8>, u32)>) -> Self {
        let mut terms: Vec<_> = terms.into_iter().collect();
        terms.sort();
        terms.dedup_by(|next, kept| {
            let equal = next.0 == kept.0;
            if equal {
                kept.1 = kept.1.saturating_add(next.1);
            }
            equal
        });
        let mut table = vec![NONE; (terms.len() * 8).next_power_of_two().max(64)];
        for (index, (lexeme, _)) in terms.iter().enumerate() {
            let mut at = hash(lexeme) & (table.len() - 1);
            while table[at] != NONE {
                at = (at + 1) & (table.len() - 1);
            }
            table[at] = index as u32;
        }
        Self { terms, table }
    }

    /// From the lexemes of a query, or of several that are asked as one.
    pub fn from_vectors(vectors: &[TsVector]) -> Self {
        Self::new(vectors.iter().flat_map(|vector| vector.iter().map(|(lexeme, tf)| (lexeme.to_vec(), tf))))
    }

    /// Number of distinct lexemes.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether the query has no lexeme.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The lexemes in byte order with their frequencies in the query.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.terms.iter().map(|(lexeme, tf)| (lexeme.as_slice(), *tf))
    }

    /// Puts the frequency of every term in the document into `out`, in the order of [`iter`](Self::iter), and
    /// returns how many of the terms the document has. `out` has the length [`len`](Self::len).
    pub fn counts(&self, document: TsVector, out: &mut [u32]) -> usize {
        out.fill(0);
        if document.len() > self.terms.len().saturating_mul(LONG) {
            let mut next = 0;
            for ((lexeme, _), out) in self.terms.iter().zip(out.iter_mut()) {
                (*out, next) = document.count_from(next, lexeme);
            }
        } else {
            for (lexeme, tf) in document.iter() {
                if let Some(out) = self.index(lexeme).and_then(|index| out.get_mut(index)) {
                    *out = tf;
                }
            }
        }
        out.iter().filter(|&&tf| tf > 0).count()
    }

    /// Score of a document of `dl` tokens with these [`counts`](Self::counts); `weights` are those of the terms
    /// ([`weight`](super::weight)), in the same order.
    pub fn score(&self, weights: &[f32], counts: &[u32], dl: u32, norms: &Norms) -> f32 {
        let held = weights.iter().zip(counts).filter(|&(_, &tf)| tf > 0);
        held.fold(0.0, |sum, (&weight, &tf)| sum + impact(weight, tf, dl, norms))
    }

    /// The terms that occur in the document.
    pub fn matched<'q>(&'q self, document: TsVector) -> Vec<&'q [u8]> {
        self.iter().map(|(lexeme, _)| lexeme).filter(|lexeme| document.count_from(0, lexeme).0 > 0).collect()
    }

    fn index(&self, lexeme: &[u8]) -> Option<usize> {
        let mask = self.table.len().checked_sub(1)?;
        let mut at = hash(lexeme) & mask;
        loop {
            let index = *self.table.get(at)?;
            let (found, _) = self.terms.get(index as usize)?;
            if found == lexeme {
                return Some(index as usize);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Mixes the length and at most eight bytes at either end. Words of a query that collide cost time in its own
/// searches only, and at most as much as comparing every word with every word.
#[inline]
fn hash(lexeme: &[u8]) -> usize {
    let (first, last) = match (lexeme.first_chunk(), lexeme.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (lexeme.first_chunk(), lexeme.last_chunk()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => lexeme
                .first()
                .zip(lexeme.last())
                .map_or((0, 0), |(&first, &last)| (first.into(), last.into())),
        },
    };
    let mixed =
        (first ^ last.rotate_left(29) ^ (lexeme.len() as u64) << 59).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::super::{idf, weight};
    use super::*;
    use crate::tsvector::build;
    use proptest::prelude::*;

    #[test]
    fn equal_lexemes_add_up_in_byte_order() {
        let terms = QueryTerms::new([(b"b".to_vec(), 1), (b"a".to_vec(), 2), (b"b".to_vec(), 3)]);
        assert_eq!(terms.iter().collect::<Vec<_>>(), [(b"a".as_slice(), 2), (b"b".as_slice(), 4)]);
        assert_eq!(QueryTerms::default().counts(TsVector::new(&build(&[("a", 1)])), &mut []), 0);
    }

    #[test]
    fn f32_scores_follow_the_formula() {
        let document = build(&[("cat", 2), ("dog", 1), ("hat", 4)]);
        let document = TsVector::new(&document);
        let query = QueryTerms::new([(b"dog".to_vec(), 2), (b"cat".to_vec(), 1), (b"emu".to_vec(), 1)]);
        let idfs = [idf(10.0, 3.0), idf(10.0, 5.0), idf(10.0, 0.0)];
        let weights: Vec<_> = query.iter().zip(idfs).map(|((_, tf), idf)| weight(idf, tf)).collect();
        let mut counts = vec![9; 3];
        assert_eq!(query.counts(document, &mut counts), 2);
        assert_eq!(counts, [2, 1, 0]);
        let part = |tf: f64| tf / (tf + 1.2 * (0.25 + 0.75 * 7.0 / 3.5));
        let expected = idfs[0] * part(2.0) + 2.0 * idfs[1] * part(1.0);
        let found = query.score(&weights, &counts, 7, &Norms::new(3.5));
        assert!((f64::from(found) - expected).abs() < 1e-6);
        assert_eq!(query.matched(document), [b"cat", b"dog"]);
    }

    #[test]
    fn counts_and_lengths_saturate() {
        let norms = Norms::new(10.0);
        assert_eq!(impact(1.0, u32::MAX, u32::MAX, &norms), impact(1.0, 65_535, 65_535, &norms));
        assert_eq!(impact(1.0, 1, 500, &Norms::new(0.0)), impact(1.0, 1, 1, &Norms::new(-1.0)));
    }

    proptest! {
        #[test]
        fn counts_equal_a_search_for_each_term(
            words in proptest::collection::btree_map("[ab]{0,3}|[a-c]{6,10}", 0u16..4, 0..60),
            asked in proptest::collection::vec("[ab]{0,3}|[a-c]{6,10}", 0..12),
        ) {
            let words: Vec<_> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
            let bytes = build(&words);
            let document = TsVector::new(&bytes);
            let more = words.iter().take(5).map(|(word, _)| word.to_string());
            let query = QueryTerms::new(asked.into_iter().chain(more).map(|word| (word.into_bytes(), 1)));
            let mut counts = vec![7; query.len()];
            query.counts(document, &mut counts);
            let expected: Vec<_> = query.iter().map(|(word, _)| document.count_from(0, word).0).collect();
            prop_assert_eq!(counts, expected);
        }
    }
}
