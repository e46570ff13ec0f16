//! The keyword leg: BM25 over the postings of the segments and the rows of the tail.

use crate::error::Error;
use crate::search::pool::Member;
use crate::search::request::Mode;
use crate::search::run::{Run, Source, first};
use std::collections::HashMap;
use vectorstore_core::fusion::{Method, Weights, keyword_score, vector_score, weighted};
use vectorstore_core::segment::Mask;
use vectorstore_core::segment::terms::Top;

/// What keeps a chunk that only the keyword leg names from being read in vain.
struct Bar {
    weights: Weights,
    /// Vector score that such a chunk has at most: the vector leg found as many nearer ones as the answer is long.
    vector: f64,
    /// Least score of an answer made of the chunks that the vector leg named.
    least: f64,
}

impl Bar {
    /// Whether a chunk with this BM25 can come into the answer.
    fn can_pass(&self, bm25: f64) -> bool {
        let best = weighted(self.vector, keyword_score(bm25), self.weights.vector, self.weights.keyword);
        best.is_none_or(|best| best >= self.least)
    }
}

impl Run<'_, '_> {
    /// The best rows by BM25; candidates that other legs named are scored on the way.
    pub fn keyword_leg(&mut self, at: usize, allowed: &[Option<Mask>]) -> Result<(), Error> {
        let depth = self.request.depth();
        let mut best = Top::new(depth);
        let named = self.named_slots();
        for (index, (view, mask)) in self.views.iter().zip(allowed).enumerate() {
            pgrx::check_for_interrupts!();
            let postings = &self.postings[index][at];
            let terms: Vec<_> = postings
                .iter()
                .zip(&self.queries[at].weights)
                .map(|(info, &weight)| info.map(|info| (info, weight)))
                .collect();
            let (wanted, places): (Vec<u32>, Vec<usize>) =
                named.get(&(index as u32)).into_iter().flatten().copied().unzip();
            let mut scores = Vec::with_capacity(wanted.len());
            let slots = view.segment().docs.slots();
            let index = index as u32;
            view.segment().terms.score(
                &view.pages(),
                &terms,
                &self.norms,
                slots,
                mask.as_ref(),
                &wanted,
                &mut scores,
                index,
                &mut best,
            )?;
            for (place, score) in places.into_iter().zip(scores) {
                self.pool.members[place].under[at].bm25 = Some(score);
            }
        }
        let bar = self.bar(at);
        let mut list = Vec::with_capacity(depth);
        for hit in best.into_sorted() {
            let score = f64::from(hit.score);
            let is_named = || {
                let slots = named.get(&hit.segment);
                slots.is_some_and(|slots| slots.binary_search_by_key(&hit.slot, |&(slot, _)| slot).is_ok())
            };
            if bar.as_ref().is_some_and(|bar| !bar.can_pass(score)) && !is_named() {
                list.push((score, i64::MAX, Source::LeftOut));
                continue;
            }
            if let Some(place) = self.member(hit.segment, hit.slot)? {
                let member = &mut self.pool.members[place];
                member.under[at].bm25 = Some(hit.score);
                list.push((score, member.chunk_id, Source::Member(place)));
            }
        }
        let tail = self.returnable(at).filter_map(|(row, tail)| {
            let score = tail.counts.score(&self.queries, at, &self.norms);
            (score > 0.0).then_some((f64::from(score), tail.chunk_id, Source::Tail(row)))
        });
        list.extend(tail);
        for (rank, source) in (1..).zip(first(list, depth)) {
            if let Some(place) = self.place(source) {
                self.pool.members[place].under[at].keyword_rank = Some(rank);
            }
        }
        Ok(())
    }

    /// What a chunk that the vector leg did not name has to pass; `None` when that cannot be told, or when the scores of
    /// one chunk depend on which others there are.
    fn bar(&self, at: usize) -> Option<Bar> {
        let request = self.request;
        let alone = self.queries.len() == 1 && request.group_by.is_none();
        let thresholds = request.vector_threshold > 0.0 || request.keyword_threshold > 0.0;
        if self.queries[at].mode != Mode::Hybrid || request.method != Method::Weighted || !alone || thresholds
        {
            return None;
        }
        let known = |member: &&Member| !member.gone && member.under[at].vector_rank.is_some();
        let named = self.pool.members.iter().filter(known).map(|member| &member.under[at]);
        let farthest = named.clone().find(|under| under.vector_rank == Some(request.list as u32))?.cosine?;
        let mut scores: Vec<f64> = named
            .filter_map(|under| {
                let bm25 = under.bm25.map_or(0.0, f64::from);
                let (vector, keyword) = (vector_score(under.cosine?), keyword_score(bm25));
                weighted(vector, keyword, request.weights.vector, request.weights.keyword)
            })
            .collect();
        if scores.len() < request.list {
            return None;
        }
        let (_, last, _) = scores.select_nth_unstable_by(request.list - 1, |a, b| b.total_cmp(a));
        Some(Bar { weights: request.weights, vector: vector_score(farthest), least: *last })
    }

    /// Candidates so far by segment: slot and place, ascending.
    fn named_slots(&self) -> HashMap<u32, Vec<(u32, usize)>> {
        let mut named: HashMap<u32, Vec<(u32, usize)>> = HashMap::new();
        for (place, member) in self.pool.members.iter().enumerate() {
            if let Some((segment, slot)) = member.slot {
                named.entry(segment).or_default().push((slot, place));
            }
        }
        named.values_mut().for_each(|slots| slots.sort_unstable());
        named
    }
}
