//! The best estimates of a scan.

use std::cmp::Ordering;

/// A row that a scan found, with the estimate of its cosine similarity to the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Estimated cosine similarity; may lie somewhat outside of -1 to 1.
    pub estimate: f32,
    /// Standard deviation of the estimate's error.
    pub spread: f32,
    /// Number of the segment, as given to the scan.
    pub segment: u32,
    /// Slot of the row in its segment.
    pub slot: u32,
}

impl Candidate {
    /// Best first; ties by segment, then slot.
    fn order(&self, other: &Self) -> Ordering {
        other
            .estimate
            .total_cmp(&self.estimate)
            .then(self.segment.cmp(&other.segment))
            .then(self.slot.cmp(&other.slot))
    }
}

/// Keeps the best `limit` candidates of any number of scans.
///
/// A buffer of twice the limit is cut to the best half whenever it is full, which is cheaper than a heap, and leaves
/// a threshold that lets a scan drop nearly all rows by one comparison.
#[derive(Debug, Clone)]
pub struct Candidates {
    limit: usize,
    kept: Vec<Candidate>,
    threshold: f32,
}

impl Candidates {
    /// Keeps at most `limit`.
    pub fn new(limit: usize) -> Self {
        let threshold = if limit == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { limit, kept: Vec::with_capacity(limit.saturating_mul(2).min(4096)), threshold }
    }

    /// What an estimate must at least reach to be worth an offer.
    #[inline]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Takes a candidate, unless it cannot be among the best. Estimates that are not a number are dropped.
    #[inline]
    pub fn offer(&mut self, candidate: Candidate) {
        if self.limit > 0 && candidate.estimate >= self.threshold {
            self.kept.push(candidate);
            if self.kept.len() >= self.limit.saturating_mul(2) {
                self.shrink();
            }
        }
    }

    /// The best candidates, best first, ties by segment and slot; at most the limit.
    pub fn into_sorted(mut self) -> Vec<Candidate> {
        self.shrink();
        self.kept.sort_unstable_by(Candidate::order);
        self.kept
    }

    fn shrink(&mut self) {
        if self.limit > 0 && self.kept.len() >= self.limit {
            let (_, last, _) = self.kept.select_nth_unstable_by(self.limit - 1, Candidate::order);
            self.threshold = last.estimate;
            self.kept.truncate(self.limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_what_sorting_would(
            limit in 0usize..20,
            rows in prop::collection::vec((0u8..20, 0u32..3, 0u32..50), 0..200),
        ) {
            let mut candidates = Candidates::new(limit);
            let mut all = Vec::new();
            for (estimate, segment, slot) in rows {
                let candidate = Candidate { estimate: f32::from(estimate) / 10.0, spread: 0.0, segment, slot };
                candidates.offer(candidate);
                candidates.offer(Candidate { estimate: f32::NAN, ..candidate });
                all.push(candidate);
            }
            all.sort_by(Candidate::order);
            all.truncate(limit);
            prop_assert_eq!(candidates.into_sorted(), all);
        }
    }
}
