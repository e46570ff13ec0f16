//! BM25 with k1 = 1.2, b = 0.75 and Lucene's inverse document frequency, which is never negative:
//! `ln(1 + (N - df + 0.5) / (df + 0.5)) * tf / (tf + k1 * (1 - b + b * dl / avgdl))`.
//! (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009; Lucene's `BM25Similarity`, which
//! leaves out the constant factor k1 + 1.) A term that the query repeats counts as often as it stands there.

use crate::tsvector::TsVector;

/// Term frequency saturation.
pub const K1: f64 = 1.2;
/// Share of the length normalisation.
pub const B: f64 = 0.75;

/// Inverse document frequency of a term found in `df` of `n` documents.
pub fn idf(n: f64, df: f64) -> f64 {
    (1.0 + ((n - df).max(0.0) + 0.5) / (df + 0.5)).ln()
}

/// Part of the score that depends on the document: `tf` occurrences in `len` tokens, `avg_len` on average.
fn saturation(tf: f64, len: f64, avg_len: f64) -> f64 {
    let relative = if avg_len > 0.0 { len / avg_len } else { 1.0 };
    tf / (tf + K1 * (1.0 - B + B * relative))
}

/// Score of one document for the query's lexemes, whose inverse document frequencies are `idfs` (in the
/// query's order; a missing one counts 0).
pub fn score(doc: TsVector, query: TsVector, idfs: &[f64], avg_len: f64) -> f64 {
    let len = f64::from(doc.total());
    let mut next = 0;
    let mut sum = 0.0;
    for ((word, weight), idf) in query.iter().zip(idfs) {
        let (tf, at) = doc.count_from(next, word);
        next = at;
        if tf > 0 {
            sum += f64::from(weight) * idf * saturation(f64::from(tf), len, avg_len);
        }
    }
    sum
}

/// Lexemes of the query that occur in the document.
pub fn matched<'q>(doc: TsVector, query: TsVector<'q>) -> Vec<&'q [u8]> {
    query.iter().map(|(word, _)| word).filter(|word| doc.count_from(0, word).0 > 0).collect()
}

/// Best documents of one pass over all documents that hold a term of the query. The document frequencies
/// are counted in the same pass, so every document of the collection with such a term must be added, those
/// that may not be returned too (`eligible` false): statistics belong to the whole collection.
pub struct Collector {
    words: Vec<(Vec<u8>, f64)>,
    found: Vec<u32>,
    docs: Vec<Doc>,
    hits: Vec<(u16, u16)>,
}

struct Doc {
    id: i64,
    len: u32,
    hits_end: usize,
}

/// What a [`Collector`] found.
pub struct Top {
    /// Ids of the best documents, best first; equal scores by id.
    pub ids: Vec<i64>,
    /// Their scores.
    pub scores: Vec<f64>,
    /// Inverse document frequency of each lexeme of the query, in the query's order.
    pub idfs: Vec<f64>,
}

impl Collector {
    /// A collector for the lexemes of `query`; those past the first 65,535 are ignored.
    pub fn new(query: TsVector) -> Self {
        let limit = usize::from(u16::MAX);
        let words: Vec<_> = query.iter().take(limit).map(|(w, n)| (w.to_vec(), f64::from(n))).collect();
        Self { found: vec![0; words.len()], words, docs: Vec::new(), hits: Vec::new() }
    }

    /// Counts a document's terms and remembers it if it may be returned.
    pub fn add(&mut self, id: i64, doc: TsVector, eligible: bool) {
        let start = self.hits.len();
        let mut next = 0;
        for (index, (word, _)) in self.words.iter().enumerate() {
            let (tf, at) = doc.count_from(next, word);
            next = at;
            if tf > 0 {
                self.found[index] += 1;
                if eligible {
                    self.hits.push((index as u16, tf.min(u32::from(u16::MAX)) as u16));
                }
            }
        }
        if self.hits.len() > start {
            self.docs.push(Doc { id, len: doc.total(), hits_end: self.hits.len() });
        }
    }

    /// The `k` best documents of a collection of `n` documents with `avg_len` tokens on average.
    pub fn top(&self, n: f64, avg_len: f64, k: usize) -> Top {
        let idfs: Vec<f64> = self.found.iter().map(|df| idf(n, f64::from(*df))).collect();
        let mut start = 0;
        let mut scored: Vec<(f64, i64)> = Vec::with_capacity(self.docs.len());
        for doc in &self.docs {
            let hits = &self.hits[start..doc.hits_end];
            start = doc.hits_end;
            let sum = hits.iter().fold(0.0, |sum, &(word, tf)| {
                let word = usize::from(word);
                sum + self.words[word].1 * idfs[word] * saturation(f64::from(tf), f64::from(doc.len), avg_len)
            });
            scored.push((sum, doc.id));
        }
        let order = |a: &(f64, i64), b: &(f64, i64)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if k < scored.len() {
            scored.select_nth_unstable_by(k, order);
            scored.truncate(k);
        }
        scored.sort_unstable_by(order);
        Top {
            ids: scored.iter().map(|&(_, id)| id).collect(),
            scores: scored.iter().map(|&(score, _)| score).collect(),
            idfs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsvector::build;

    fn collection() -> Vec<Vec<u8>> {
        vec![
            build(&[("cat", 2), ("sat", 1)]),
            build(&[("cat", 1), ("dog", 1), ("hat", 4)]),
            build(&[("dog", 3)]),
            build(&[("mouse", 1)]),
        ]
    }

    fn collect(query: &[u8], eligible: impl Fn(i64) -> bool) -> Collector {
        let mut collector = Collector::new(TsVector::new(query));
        for (id, doc) in collection().iter().enumerate() {
            collector.add(id as i64, TsVector::new(doc), eligible(id as i64));
        }
        collector
    }

    #[test]
    fn equals_the_formula_written_out() {
        let query = build(&[("cat", 1), ("dog", 2)]);
        let top = collect(&query, |_| true).top(4.0, 13.0 / 4.0, 10);
        let part = |tf: f64, len: f64| tf / (tf + 1.2 * (0.25 + 0.75 * len / 3.25));
        let idf = (1.0f64 + 2.5 / 2.5).ln();
        let expected =
            [(1, idf * part(1.0, 6.0) * 3.0), (0, idf * part(2.0, 3.0)), (2, 2.0 * idf * part(3.0, 3.0))];
        for (id, score) in expected {
            let at = top.ids.iter().position(|&found| found == id).unwrap();
            assert!((top.scores[at] - score).abs() < 1e-12);
        }
        assert_eq!(top.ids.len(), 3);
        assert!(top.scores.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn collector_and_score_agree() {
        let query = build(&[("cat", 1), ("dog", 1), ("hat", 1), ("zebra", 1)]);
        let top = collect(&query, |_| true).top(4.0, 3.25, 10);
        for (id, expected) in top.ids.iter().zip(&top.scores) {
            let doc = &collection()[*id as usize];
            let found = score(TsVector::new(doc), TsVector::new(&query), &top.idfs, 3.25);
            assert!((found - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_filter_does_not_change_scores() {
        let query = build(&[("cat", 1), ("dog", 1)]);
        let all = collect(&query, |_| true).top(4.0, 3.25, 10);
        let some = collect(&query, |id| id == 1).top(4.0, 3.25, 10);
        assert_eq!(some.ids, [1]);
        let at = all.ids.iter().position(|&id| id == 1).unwrap();
        assert_eq!(some.scores[0], all.scores[at]);
    }

    #[test]
    fn equal_scores_come_by_id_and_k_cuts() {
        let query = build(&[("x", 1)]);
        let mut collector = Collector::new(TsVector::new(&query));
        for id in [5, 3, 9, 1] {
            collector.add(id, TsVector::new(&build(&[("x", 1)])), true);
        }
        assert_eq!(collector.top(4.0, 1.0, 3).ids, [1, 3, 5]);
        assert!(collector.top(4.0, 1.0, 0).ids.is_empty());
    }

    #[test]
    fn names_the_matched_words() {
        let query = build(&[("cat", 1), ("zebra", 1)]);
        assert_eq!(matched(TsVector::new(&collection()[0]), TsVector::new(&query)), [b"cat"]);
    }
}
