//! The vector leg: codes of the segments choose which rows are read, and those decide.

use crate::error::Error;
use crate::gucs;
use crate::recall;
use crate::search::hnsw;
use crate::search::run::{Run, Source, first};
use crate::search::view::View;
use vectorstore_core::segment::Mask;
use vectorstore_core::segment::vectors::{Candidate, Candidates, CodeQuery};

/// Rows that a vector leg reads at least, to rank them exactly (measured: recall@10 .98 at 100,000 rows).
const RERANK: usize = 100;
/// The same for stores whose segments hold more rows than this.
const LARGE: usize = 300_000;
const RERANK_LARGE: usize = 200;
/// Up to this many times the rows that would be read anyway, all that match are read: exact, and hardly slower than
/// the many lists that a filter this selective would need.
const EXACT_FACTOR: usize = 3;
/// A store of up to so many rows is searched exactly, packed or not, unless somebody chose how.
const EXACT_ROWS: usize = 2_000;

/// What the codes of the segments chose, before it is read.
pub struct Near {
    pub code: CodeQuery,
    pub candidates: Vec<Candidate>,
}

impl Run<'_, '_> {
    /// The nearest rows: codes choose which are read, the rows themselves decide. Where the keyword leg decides, too,
    /// only the choice is returned, and nothing read.
    pub fn vector_leg(&mut self, at: usize, allowed: &[Option<Mask>]) -> Result<Option<Near>, Error> {
        let Some(vector) = self.queries[at].vector.clone() else { return Ok(None) };
        let rows: usize = self.views.iter().map(View::rows).sum();
        let depth = self.request.depth();
        let rerank = match gucs::rerank() {
            0 if rows > LARGE => RERANK_LARGE.max(depth),
            0 => RERANK.max(depth),
            given => given.max(self.request.k),
        };
        let counts = self.views.iter().zip(allowed);
        let matching: usize = counts.map(|(view, mask)| mask.as_ref().map_or(view.rows(), Mask::count)).sum();
        // Among the few that pass, the best are less far from the others, and codes tell them apart less well.
        let rerank = if matching * 2 < rows { rerank * 2 } else { rerank };
        let mut slots: Vec<(u32, u32)> = Vec::new();
        let chosen = || gucs::rerank() > 0 || gucs::probes() > 0 || hnsw::Index::open(self.store).is_some();
        let exact = matching <= rerank * EXACT_FACTOR || rows <= EXACT_ROWS && !chosen();
        let watched = !exact && self.queries.len() == 1 && !self.is_filtered(at) && recall::wanted();
        if exact {
            for ((index, view), mask) in (0..).zip(&self.views).zip(allowed) {
                let all = mask.clone().unwrap_or_else(|| view.segment().vectors.present());
                slots.extend(all.iter().map(|slot| (index, slot)));
            }
        } else if let Some(found) = self.ask_hnsw(at, &vector, allowed, rerank, matching)? {
            self.plan.hnsw += found.looked_at;
            slots = found.slots;
        } else {
            let code = CodeQuery::new(&vector);
            let mut best = Candidates::new(rerank);
            for ((index, view), mask) in (0..).zip(&self.views).zip(allowed) {
                pgrx::check_for_interrupts!();
                let vectors = &view.segment().vectors;
                let (probes, mask) = (gucs::probes(), mask.as_ref());
                let seen = vectors.scan(&view.pages(), &code, probes, rerank, mask, index, &mut best)?;
                self.plan.lists += seen.lists as usize;
                self.plan.codes += seen.codes as usize;
            }
            let candidates = best.into_sorted();
            if self.is_contest(at) && !watched {
                return Ok(Some(Near { code, candidates }));
            }
            slots.extend(candidates.iter().map(|found| (found.segment, found.slot)));
        }
        // Neighbours stand on one page of the directory.
        slots.sort_unstable();
        slots.iter().for_each(|&(segment, slot)| self.prefetch(segment, slot));
        let mut members = Vec::with_capacity(slots.len());
        for (index, slot) in slots {
            members.extend(self.member(index, slot)?);
        }
        self.read_members();
        let packed = members.into_iter().filter_map(|place| {
            let member = &self.pool.members[place];
            member.under[at]
                .cosine
                .filter(|_| !member.gone)
                .map(|c| (c, member.chunk_id, Source::Member(place)))
        });
        let tail = self.returnable(at).filter_map(|(row, tail)| {
            tail.cosines[at].map(|cosine| (cosine, tail.chunk_id, Source::Tail(row)))
        });
        let list: Vec<Source> = first(packed.chain(tail).collect(), depth).collect();
        if watched {
            let k = self.request.k.min(recall::MAX_K);
            let chunks = list.iter().take(k).map(|source| self.chunk_of(source)).collect();
            recall::hand_over(self.store, k, &vector, chunks);
        }
        for (rank, source) in (1..).zip(list) {
            let place = self.place(source);
            self.pool.members[place].under[at].vector_rank = Some(rank);
        }
        Ok(None)
    }

    /// Candidates from the store's HNSW index, if it has one that is good for this query.
    fn ask_hnsw(
        &self,
        at: usize,
        vector: &[f32],
        allowed: &[Option<Mask>],
        want: usize,
        matching: usize,
    ) -> Result<Option<hnsw::Found>, Error> {
        match hnsw::Index::open(self.store) {
            Some(index) => index.nearest(vector, &self.views, allowed, want, matching, self.is_filtered(at)),
            None => Ok(None),
        }
    }
}
