//! The best hits of a query over all segments.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A slot and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Above 0.
    pub score: f32,
    /// Number that the caller gave to the segment.
    pub segment: u32,
    /// Slot within the segment.
    pub slot: u32,
}

/// A hit whose order is "worse is greater", so that a heap has the worst on top.
#[derive(Debug, Clone, Copy)]
struct Worst(Hit);

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |hit: &Hit| (hit.segment, hit.slot);
        other.0.score.total_cmp(&self.0.score).then_with(|| place(&self.0).cmp(&place(&other.0)))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Worst {}

/// Keeps the `k` best hits: greatest score first, equal scores by segment, then by slot.
#[derive(Debug, Clone)]
pub struct Top {
    k: usize,
    heap: BinaryHeap<Worst>,
}

impl Top {
    /// Keeps nothing yet, and `k` hits at most.
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(1024) + 1) }
    }

    /// Most hits that are kept.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Takes the hit in if it is among the best and its score is above 0.
    pub fn offer(&mut self, hit: Hit) {
        if hit.score >= self.cut(hit.segment, hit.slot) {
            if self.heap.len() >= self.k {
                self.heap.pop();
            }
            self.heap.push(Worst(hit));
        }
    }

    /// The least score with which a slot at or behind `slot` of the segment can be among the best; not a number,
    /// which no score reaches, when nothing is kept.
    pub(super) fn cut(&self, segment: u32, slot: u32) -> f32 {
        if self.heap.len() < self.k {
            return f32::from_bits(1);
        }
        match self.heap.peek() {
            Some(Worst(worst)) if (worst.segment, worst.slot) > (segment, slot) => worst.score,
            Some(Worst(worst)) => worst.score.next_up(),
            None => f32::NAN,
        }
    }

    /// The hits, best first.
    pub fn into_sorted(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|Worst(hit)| hit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_best_and_breaks_ties_by_place() {
        let hits =
            [(1.0, 1, 5), (2.0, 0, 9), (1.0, 0, 7), (0.0, 0, 0), (1.0, 1, 4), (f32::NAN, 0, 1), (3.0, 2, 2)];
        for k in 0..8 {
            let mut top = Top::new(k);
            hits.iter().for_each(|&(score, segment, slot)| top.offer(Hit { score, segment, slot }));
            let found: Vec<_> = top.into_sorted().iter().map(|hit| (hit.segment, hit.slot)).collect();
            assert_eq!(found, [(2, 2), (0, 9), (0, 7), (1, 4), (1, 5)][..k.min(5)]);
        }
    }
}
