//! Both legs of a hybrid query together: only rows that can come into the answer are read.
//!
//! A row is read for its exact cosine, and that takes longer than all else. Here its BM25 is known before, and about its
//! cosine the code says enough to leave most rows out.

use crate::error::Error;
use crate::search::keyword::Scored;
use crate::search::request::Mode;
use crate::search::run::{Run, Source, first};
use crate::search::vector::Near;
use vectorstore_core::fusion::{Contest, Method, keyword_score, vector_score, weighted};
use vectorstore_core::segment::vectors::{Candidate, CodeQuery};

/// How far above its estimate a cosine is taken to be at most, in standard deviations: of 4,000 rows one is farther. The
/// codes leave out far nearer ones before.
const DEVIATIONS: f32 = 3.5;
/// Rows that are read at once: their memory is loaded together.
const TOGETHER: usize = 16;

/// A row that competes: segment, slot, BM25.
type Row = (u32, u32, f32);

impl Run<'_, '_> {
    /// Whether an answer is nothing but the best of the weighted scores, each of which depends on its row alone. An
    /// explanation tells the ranks of a row in both legs, for which all their rows must be read.
    pub fn is_contest(&self, at: usize) -> bool {
        let (request, query) = (self.request, &self.queries[at]);
        let alone = self.queries.len() == 1 && request.group_by.is_none() && !request.explain;
        let thresholds = request.vector_threshold > 0.0 || request.keyword_threshold > 0.0;
        let both = query.has_vector_leg(request.weights) && query.has_keyword_leg(request.weights);
        alone && both && query.mode == Mode::Hybrid && request.method == Method::Weighted && !thresholds
    }

    /// Reads the best rows of both legs, into the pool.
    pub fn contest(&mut self, at: usize, scored: Scored, near: Option<Near>) -> Result<(), Error> {
        let Some(vector) = &self.queries[at].vector else { return Ok(()) };
        let (code, candidates) = match near {
            Some(near) => (near.code, near.candidates),
            None => (CodeQuery::new(vector), Vec::new()),
        };
        let mut contest = Contest::new(self.request.list, self.request.weights);
        for member in self.pool.members.iter().filter(|member| !member.gone) {
            let under = &member.under[at];
            contest.know(under.cosine.unwrap_or_default(), under.bm25.map_or(0.0, f64::from));
        }
        let mut enter = |candidate: &Candidate, bm25: f32| {
            let row = (candidate.segment, candidate.slot, bm25);
            let margin = f64::from(DEVIATIONS * candidate.spread);
            contest.enter(row, f64::from(candidate.estimate), margin, f64::from(bm25));
        };
        candidates.iter().zip(&scored.near).for_each(|(candidate, &bm25)| enter(candidate, bm25));
        // What only the keyword leg named, by segment and slot.
        let mut others: Vec<Row> = (scored.hits.iter())
            .filter(|hit| !scored.is_named(hit.segment, hit.slot))
            .map(|hit| (hit.segment, hit.slot, hit.score))
            .collect();
        others.sort_unstable_by_key(|&(segment, slot, _)| (segment, slot));
        for rows in others.chunk_by(|a, b| a.0 == b.0) {
            let (segment, view) = (rows[0].0, &self.views[rows[0].0 as usize]);
            let slots: Vec<u32> = rows.iter().map(|&(_, slot, _)| slot).collect();
            let estimates = view.segment().vectors.estimate(&view.pages(), &code, segment, &slots)?;
            for &(_, slot, bm25) in rows {
                let unknown = Candidate { estimate: 0.0, spread: f32::INFINITY, segment, slot };
                let at = estimates.binary_search_by_key(&slot, |candidate| candidate.slot);
                enter(at.map_or(&unknown, |at| &estimates[at]), bm25);
            }
        }
        self.enter_tail(at, &mut contest);
        self.read_contest(at, &mut contest)
    }

    /// The tail was read already: its best rows are candidates.
    fn enter_tail(&mut self, at: usize, contest: &mut Contest<Row>) {
        let weights = self.request.weights;
        let rows = self.returnable(at).filter_map(|(row, tail)| {
            let bm25 = f64::from(tail.counts.score(&self.queries, at, &self.norms));
            let cosine = tail.cosines[at]?;
            let score = weighted(vector_score(cosine), keyword_score(bm25), weights.vector, weights.keyword)?;
            contest.know(cosine, bm25);
            Some((score, tail.chunk_id, Source::Tail(row)))
        });
        let rows = rows.collect();
        for source in first(rows, self.request.list) {
            self.place(source);
        }
    }

    fn read_contest(&mut self, at: usize, contest: &mut Contest<Row>) -> Result<(), Error> {
        let mut count = self.request.list + TOGETHER / 2;
        loop {
            let mut rows = contest.next(count);
            if rows.is_empty() {
                return Ok(());
            }
            // Neighbours stand on one page of the directory.
            rows.sort_unstable_by_key(|&(segment, slot, _)| (segment, slot));
            rows.iter().for_each(|&(segment, slot, _)| self.prefetch(segment, slot));
            let mut places = Vec::with_capacity(rows.len());
            for (segment, slot, bm25) in rows {
                if let Some(place) = self.member(segment, slot)? {
                    self.pool.members[place].under[at].bm25 = Some(bm25);
                    places.push(place);
                }
            }
            self.read_members();
            for member in places.into_iter().map(|place| &self.pool.members[place]) {
                let under = &member.under[at];
                if let (Some(cosine), Some(bm25), false) = (under.cosine, under.bm25, member.gone) {
                    contest.know(cosine, f64::from(bm25));
                }
            }
            count = TOGETHER;
        }
    }
}
