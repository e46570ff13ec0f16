//! The keyword leg: BM25 over the postings of the segments and the rows of the tail.

use crate::error::Error;
use crate::search::run::{Run, Source, first};
use crate::search::vector::Near;
use vectorstore_core::segment::Mask;
use vectorstore_core::segment::terms::{Hit, Top};

/// A slot that another leg named.
#[derive(Clone, Copy)]
pub enum Named {
    /// Place in the pool.
    Member(usize),
    /// Place among the candidates that were not read yet.
    Near(usize),
}

/// What the postings say.
pub struct Scored {
    /// The best, best first.
    pub hits: Vec<Hit>,
    /// By segment: what other legs named, by slot.
    pub named: Vec<Vec<(u32, Named)>>,
    /// BM25 of the candidates that were not read yet.
    pub near: Vec<f32>,
}

impl Scored {
    /// Whether another leg named the slot.
    pub fn is_named(&self, segment: u32, slot: u32) -> bool {
        self.named[segment as usize].binary_search_by_key(&slot, |&(slot, _)| slot).is_ok()
    }
}

impl Run<'_, '_> {
    /// The best rows by BM25; candidates that other legs named are scored on the way. Those of the vector leg that were
    /// not read yet are read if they can come into the answer.
    pub fn keyword_leg(
        &mut self,
        at: usize,
        allowed: &[Option<Mask>],
        near: Option<Near>,
    ) -> Result<(), Error> {
        let depth = self.request.depth();
        let mut scored = self.score_postings(at, allowed, depth, near.as_ref())?;
        if self.is_contest(at) {
            return self.contest(at, scored, near);
        }
        if self.queries.len() == 1 && self.queries[at].vector.is_none() && self.request.group_by.is_none() {
            // Nothing but this ranks them, so those behind the answer are not looked at, except for equal ones.
            let last = scored.hits.get(self.request.list - 1).map(|hit| hit.score);
            scored.hits.retain(|hit| last.is_none_or(|last| hit.score >= last));
        }
        scored.hits.iter().for_each(|hit| self.prefetch(hit.segment, hit.slot));
        let mut list = Vec::with_capacity(depth);
        for hit in scored.hits {
            if let Some(place) = self.member(hit.segment, hit.slot)? {
                let member = &mut self.pool.members[place];
                member.under[at].bm25 = Some(hit.score);
                list.push((f64::from(hit.score), member.chunk_id, Source::Member(place)));
            }
        }
        let tail = self.returnable(at).filter_map(|(row, tail)| {
            let score = tail.counts.score(&self.queries, at, &self.norms);
            (score > 0.0).then_some((f64::from(score), tail.chunk_id, Source::Tail(row)))
        });
        list.extend(tail);
        for (rank, source) in (1..).zip(first(list, depth)) {
            let place = self.place(source);
            self.pool.members[place].under[at].keyword_rank = Some(rank);
        }
        Ok(())
    }

    fn score_postings(
        &mut self,
        at: usize,
        allowed: &[Option<Mask>],
        depth: usize,
        near: Option<&Near>,
    ) -> Result<Scored, Error> {
        let mut best = Top::new(depth);
        let named = self.named_slots(near);
        let mut near_scores = vec![0.0; near.map_or(0, |near| near.candidates.len())];
        let mut scores = Vec::new();
        for (index, (view, mask)) in (0..).zip(self.views.iter().zip(allowed)) {
            pgrx::check_for_interrupts!();
            let terms: Vec<_> = self.postings[index as usize][at]
                .iter()
                .zip(&self.queries[at].weights)
                .map(|(info, &weight)| info.map(|info| (info, weight)))
                .collect();
            let named = &named[index as usize];
            let wanted: Vec<u32> = named.iter().map(|&(slot, _)| slot).collect();
            view.segment().terms.score(
                &view.pages(),
                &terms,
                &self.norms,
                view.segment().docs.slots(),
                mask.as_ref(),
                &wanted,
                &mut scores,
                index,
                &mut best,
            )?;
            for (&(_, named), &score) in named.iter().zip(&scores) {
                match named {
                    Named::Member(place) => self.pool.members[place].under[at].bm25 = Some(score),
                    Named::Near(place) => near_scores[place] = score,
                }
            }
        }
        Ok(Scored { hits: best.into_sorted(), named, near: near_scores })
    }

    /// Candidates so far by segment, ascending by slot.
    fn named_slots(&self, near: Option<&Near>) -> Vec<Vec<(u32, Named)>> {
        let mut named: Vec<Vec<(u32, Named)>> = self.views.iter().map(|_| Vec::new()).collect();
        for (place, member) in self.pool.members.iter().enumerate() {
            if let Some((segment, slot)) = member.slot {
                named[segment as usize].push((slot, Named::Member(place)));
            }
        }
        for (place, candidate) in near.iter().flat_map(|near| &near.candidates).enumerate() {
            named[candidate.segment as usize].push((candidate.slot, Named::Near(place)));
        }
        named.iter_mut().for_each(|slots| slots.sort_unstable_by_key(|&(slot, _)| slot));
        named
    }
}
