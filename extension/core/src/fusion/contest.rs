//! Which candidates have to be read to know the best of a list, when their keyword scores are known and their vector
//! scores only about.

use super::{Weights, keyword_score, vector_score, weighted};

/// A candidate whose exact vector score is not known.
#[derive(Debug, Clone, Copy)]
struct Entry<T> {
    what: T,
    /// Fused score by the estimate of the cosine.
    expected: f64,
    /// Fused score that it has at most.
    most: f64,
}

/// Candidates of one query under [`Method::Weighted`](super::Method::Weighted), which compete for the first `k` places.
///
/// Those that cannot come among them, however well they do, are never asked for.
#[derive(Debug, Clone)]
pub struct Contest<T> {
    k: usize,
    weights: Weights,
    /// The best exact scores, at most `k`, best first.
    best: Vec<f64>,
    entries: Vec<Entry<T>>,
    sorted: bool,
}

impl<T: Copy> Contest<T> {
    /// A contest for `k` places.
    pub fn new(k: usize, weights: Weights) -> Self {
        Self { k, weights, best: Vec::new(), entries: Vec::new(), sorted: true }
    }

    fn fused(&self, cosine: f64, bm25: f64) -> f64 {
        let (vector, keyword) = (vector_score(cosine), keyword_score(bm25));
        // Without legal weights nothing is known, and the fusion says so.
        weighted(vector, keyword, self.weights.vector, self.weights.keyword).unwrap_or(f64::NAN)
    }

    /// A candidate whose scores are exact.
    pub fn know(&mut self, cosine: f64, bm25: f64) {
        let score = self.fused(cosine, bm25);
        let at = self.best.partition_point(|&better| better >= score);
        if at < self.k && !score.is_nan() {
            self.best.insert(at, score);
            self.best.truncate(self.k);
        }
    }

    /// A candidate whose cosine is about `cosine` and at most `margin` more, both of which may be infinite.
    pub fn enter(&mut self, what: T, cosine: f64, margin: f64, bm25: f64) {
        let (expected, most) = (self.fused(cosine, bm25), self.fused(cosine + margin, bm25));
        self.entries.push(Entry { what, expected, most });
        self.sorted = false;
    }

    /// Up to so many of the candidates that may still come among the first: to be read, and then told by
    /// [`Contest::know`]. Empty when there are none.
    pub fn next(&mut self, count: usize) -> Vec<T> {
        if !self.sorted {
            // The most promising stand last.
            self.entries.sort_by(|a, b| a.expected.total_cmp(&b.expected));
            self.sorted = true;
        }
        if let Some(&least) = self.best.get(self.k.wrapping_sub(1)) {
            // What is no number may be anything.
            self.entries.retain(|entry| entry.most >= least || entry.most.is_nan());
        }
        let rest = self.entries.len().saturating_sub(count);
        self.entries.drain(rest..).rev().map(|entry| entry.what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WEIGHTS: Weights = Weights { vector: 0.7, keyword: 0.3 };

    #[test]
    fn what_is_too_far_is_not_asked_for() {
        let mut contest = Contest::new(1, WEIGHTS);
        contest.enter('a', 0.9, 0.05, 0.0);
        contest.enter('b', 0.5, 0.05, 0.0);
        contest.enter('c', 0.5, 0.05, 40.0);
        contest.enter('d', 0.84, 0.05, 0.0);
        // The words of the third are worth more than what it lacks in nearness.
        assert_eq!(contest.next(1), ['c']);
        contest.know(0.5, 40.0);
        assert_eq!(contest.next(9), []);
    }

    #[test]
    fn without_k_known_all_are_asked_for() {
        let mut contest = Contest::new(3, WEIGHTS);
        contest.know(0.9, 0.0);
        contest.know(0.8, 0.0);
        contest.enter('a', -1.0, 0.0, 0.0);
        contest.enter('b', f64::NAN, 0.0, 0.0);
        assert_eq!(contest.next(5).len(), 2);
        contest.know(0.7, 0.0);
        contest.enter('c', 0.0, f64::INFINITY, 0.0);
        contest.enter('d', 0.0, 0.1, 0.0);
        contest.enter('e', 0.7, 0.0, 0.0);
        // Equal scores may come before by their chunks.
        assert_eq!(contest.next(5), ['e', 'c']);
    }

    #[test]
    fn no_places() {
        let mut contest = Contest::new(0, WEIGHTS);
        contest.know(1.0, 1.0);
        contest.enter('a', 0.5, 0.0, 0.0);
        assert_eq!(contest.next(5), ['a']);
    }

    proptest! {
        #[test]
        fn finds_what_reading_all_finds(
            rows in prop::collection::vec((-1.0..1.0f64, 0.0..0.3f64, -1.0..1.0f64, 0u8..12), 0..80),
            (known, k, count) in (0usize..10, 1usize..12, 1usize..9),
            (vector, keyword) in (0.0..1.0f64, 0.01..1.0f64),
        ) {
            let weights = Weights { vector, keyword };
            let mut contest = Contest::new(k, weights);
            // Few different scores, so that some are equal.
            let bm25 = |words: u8| f64::from(words.saturating_sub(6)) * 3.0;
            let score = |cosine: f64, words: u8| {
                weighted(vector_score(cosine), keyword_score(bm25(words)), vector, keyword).unwrap()
            };
            for (at, &(cosine, margin, error, words)) in rows.iter().enumerate() {
                if at < known {
                    contest.know(cosine, bm25(words));
                } else {
                    contest.enter(at, cosine + error * margin, margin, bm25(words));
                }
            }
            let mut read: Vec<usize> = (0..known.min(rows.len())).collect();
            loop {
                let next = contest.next(count);
                if next.is_empty() {
                    break;
                }
                prop_assert!(next.len() <= count);
                for at in next {
                    prop_assert!(!read.contains(&at));
                    contest.know(rows[at].0, bm25(rows[at].3));
                    read.push(at);
                }
            }
            let best = |mut scores: Vec<f64>| {
                scores.sort_by(|a, b| b.total_cmp(a));
                scores.get(k - 1).copied().unwrap_or(f64::NEG_INFINITY)
            };
            let all = rows.iter().map(|row| score(row.0, row.3)).collect();
            let least = best(all);
            // Everything that reaches the last place was read.
            for (at, row) in rows.iter().enumerate() {
                prop_assert!(read.contains(&at) || score(row.0, row.3) < least);
            }
        }
    }
}
