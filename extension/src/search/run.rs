//! One search: candidates of both legs of every query out of the segments and the tail, their exact scores, and one
//! ranking.
//!
//! Both legs yield candidates with the filter inside them; then both scores of every candidate are known exactly and
//! fused. Vector codes only choose which rows are read; no approximate score leaves this module.

use crate::catalog::{self, StoreRow};
use crate::error::Error;
use crate::gucs;
use crate::recall;
use crate::rows::{Chunks, Finder};
use crate::search::hnsw;
use crate::search::pool::Pool;
use crate::search::request::{Query, Request};
use crate::search::rows::{self, Counts, TailRow};
use crate::search::view::View;
use crate::segments::PageReader;
use crate::table::Tid;
use std::collections::HashMap;
use vectorstore_core::bm25::{Norms, idf, weight};
use vectorstore_core::segment::Mask;
use vectorstore_core::segment::terms::{TermInfo, Top};
use vectorstore_core::segment::vectors::{Candidates, CodeQuery};

/// Rows that a vector leg reads at least, to rank them exactly (measured: recall@10 .98 at 100,000 rows).
const RERANK: usize = 100;
/// The same for stores whose segments hold more rows than this.
const LARGE: usize = 300_000;
const RERANK_LARGE: usize = 200;
/// Up to this many times the rows that would be read anyway, all that match are read: exact, and hardly slower than
/// the many lists that a filter this selective would need.
const EXACT_FACTOR: usize = 3;

/// What was done, for `explain` and the statistics.
#[derive(Default)]
pub struct Plan {
    pub segments: usize,
    pub tail_rows: usize,
    /// Vector lists and codes that were scanned.
    pub lists: usize,
    pub codes: usize,
    /// Chunks that an HNSW index named.
    pub hnsw: usize,
    /// Rows that were read to score them exactly.
    pub rows_read: usize,
}

/// A search under way.
pub struct Run<'a, 't> {
    pub store: i64,
    pub row: &'a StoreRow,
    pub request: &'a Request,
    pub queries: Vec<Query>,
    pub chunks: &'a Chunks,
    pub pool: Pool,
    pub plan: Plan,
    pub finder: Finder<'a>,
    views: Vec<View<'a, 't>>,
    tail: Vec<TailRow>,
    /// By segment, then by query: where each term's postings are.
    postings: Vec<Vec<Vec<Option<TermInfo>>>>,
    norms: Norms,
}

impl<'a, 't> Run<'a, 't> {
    /// Reads the tail, opens the segments and weighs the terms.
    pub fn new(
        store: i64,
        row: &'a StoreRow,
        request: &'a Request,
        queries: Vec<Query>,
        chunks: &'a Chunks,
        reader: &'a PageReader<'t>,
    ) -> Result<Self, Error> {
        let segments = catalog::segments(store)?;
        let mut tail = Vec::new();
        let mut views = Vec::with_capacity(segments.len());
        if segments.is_empty() {
            chunks.all(store, |chunk| tail.push(TailRow::new(request, &queries, chunk)));
        } else {
            let changes = catalog::changes(store)?;
            for segment in segments {
                views.push(View::open(reader, store, segment, &changes.removed, request, chunks)?);
            }
            chunks.some(store, &changes.added, |chunk| tail.push(TailRow::new(request, &queries, chunk)));
        }
        let average = if row.chunks > 0 { row.tokens as f64 / row.chunks as f64 } else { 0.0 };
        let mut run = Self {
            store,
            row,
            request,
            chunks,
            pool: Pool::new(queries.len()),
            plan: Plan { segments: views.len(), tail_rows: tail.len(), ..Plan::default() },
            finder: chunks.finder(),
            queries,
            views,
            tail,
            postings: Vec::new(),
            norms: Norms::new(average),
        };
        run.weigh_terms()?;
        Ok(run)
    }

    /// Document frequencies are those of the whole store, whatever the filter lets through.
    fn weigh_terms(&mut self) -> Result<(), Error> {
        self.postings = Vec::with_capacity(self.views.len());
        for view in &self.views {
            let (terms, pages) = (&view.segment().terms, view.pages());
            let find = |query: &Query| {
                query.terms.iter().map(|(word, _)| terms.find(&pages, word)).collect::<Result<Vec<_>, _>>()
            };
            self.postings.push(self.queries.iter().map(find).collect::<Result<_, _>>()?);
        }
        for at in 0..self.queries.len() {
            let mut frequencies = vec![0u64; self.queries[at].terms.len()];
            for row in &self.tail {
                let counts = row.counts.of(&self.queries, at);
                frequencies.iter_mut().zip(counts).for_each(|(df, &count)| *df += u64::from(count > 0));
            }
            for (view, postings) in self.views.iter().zip(&self.postings) {
                for (df, info) in frequencies.iter_mut().zip(&postings[at]) {
                    let Some(info) = info else { continue };
                    *df += match &view.live {
                        Some(live) => u64::from(view.segment().terms.live_df(&view.pages(), *info, live)?),
                        None => u64::from(info.df),
                    };
                }
            }
            let documents = self.row.chunks.max(0) as f64;
            let query = &mut self.queries[at];
            let weights = frequencies.iter().zip(query.terms.iter());
            query.weights = weights.map(|(&df, (_, tf))| weight(idf(documents, df as f64), tf)).collect();
        }
        Ok(())
    }

    /// Runs the legs of every query but the negative ones, then scores every candidate under every query.
    pub fn gather(&mut self) -> Result<(), Error> {
        let positive = self.queries.len() - self.request.negatives.min(self.queries.len());
        for at in 0..positive {
            let allowed = self.allowed(at)?;
            if self.queries[at].has_vector_leg(self.request.weights) {
                self.vector_leg(at, &allowed)?;
            }
            if self.queries[at].has_keyword_leg(self.request.weights) {
                self.keyword_leg(at, &allowed)?;
            }
        }
        // What a lone keyword leg found is scored already; then only the rows of the answer are read.
        let lone = self.queries.len() == 1 && self.queries[0].vector.is_none();
        if !lone || self.request.group_by.is_some() {
            self.read_members();
        }
        Ok(())
    }

    fn allowed(&self, at: usize) -> Result<Vec<Option<Mask>>, Error> {
        self.views.iter().map(|view| view.allowed(&self.queries[at], self.chunks)).collect()
    }

    /// The nearest rows: codes choose which are read, the rows themselves decide.
    fn vector_leg(&mut self, at: usize, allowed: &[Option<Mask>]) -> Result<(), Error> {
        let Some(vector) = self.queries[at].vector.clone() else { return Ok(()) };
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
        let exact = matching <= rerank * EXACT_FACTOR;
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
            slots.extend(best.into_sorted().iter().map(|found| (found.segment, found.slot)));
        }
        // Neighbours stand on one page of the directory.
        slots.sort_unstable();
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
        if !exact && self.queries.len() == 1 && !self.is_filtered(at) && recall::wanted() {
            let k = self.request.k.min(recall::MAX_K);
            let chunks = list.iter().take(k).map(|source| self.chunk_of(source)).collect();
            recall::hand_over(self.store, k, &vector, chunks);
        }
        for (rank, source) in (1..).zip(list) {
            let place = self.place(source);
            self.pool.members[place].under[at].vector_rank = Some(rank);
        }
        Ok(())
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

    /// Whether a query may return only some of the rows.
    fn is_filtered(&self, at: usize) -> bool {
        self.request.filter.is_some() || self.request.created.is_some() || self.queries[at].is_restricted()
    }

    fn chunk_of(&self, source: &Source) -> i64 {
        match source {
            Source::Member(place) => self.pool.members[*place].chunk_id,
            Source::Tail(row) => self.tail[*row].chunk_id,
        }
    }

    /// The best rows by BM25; candidates that other legs named are scored on the way.
    fn keyword_leg(&mut self, at: usize, allowed: &[Option<Mask>]) -> Result<(), Error> {
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
        let mut list = Vec::with_capacity(depth);
        for hit in best.into_sorted() {
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

    /// Rows of the tail that may be returned for a query.
    fn returnable(&self, at: usize) -> impl Iterator<Item = (usize, &TailRow)> {
        self.tail.iter().enumerate().filter(move |(_, row)| row.passes && row.allowed[at])
    }

    fn place(&mut self, source: Source) -> usize {
        match source {
            Source::Member(place) => place,
            Source::Tail(row) => self.tail_member(row),
        }
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

    /// The candidate in a slot of a segment.
    fn member(&mut self, segment: u32, slot: u32) -> Result<Option<usize>, Error> {
        let view = &self.views[segment as usize];
        let doc = view.segment().docs.get(&view.pages(), slot)?;
        Ok(doc.map(|doc| {
            let place = self.pool.place(doc.chunk_id, Tid { block: doc.block, line: doc.line });
            self.pool.members[place].slot = Some((segment, slot));
            place
        }))
    }

    /// The candidate that is a row of the tail; everything about it is known already.
    fn tail_member(&mut self, row: usize) -> usize {
        let row = &self.tail[row];
        let place = self.pool.place(row.chunk_id, row.tid);
        let member = &mut self.pool.members[place];
        if !member.read {
            member.read = true;
            member.group.clone_from(&row.group);
            for (at, known) in member.under.iter_mut().enumerate() {
                known.cosine = row.cosines[at];
                known.bm25 = Some(row.counts.score(&self.queries, at, &self.norms));
            }
        }
        place
    }

    /// Reads the rows of the candidates that were not read yet: cosines, and BM25 where no leg has computed it.
    fn read_members(&mut self) {
        // A query's own leg scores the candidates from the postings.
        let unscored =
            |query: &Query| !query.terms.is_empty() && !query.has_keyword_leg(self.request.weights);
        let score = self.queries.len() > 1 || self.queries.iter().any(unscored);
        for place in self.pool.unread() {
            pgrx::check_for_interrupts!();
            let (queries, norms, request) = (&self.queries, &self.norms, self.request);
            let member = &mut self.pool.members[place];
            let found = self.finder.find(self.store, member.chunk_id, member.tid, |chunk| {
                let under = &mut member.under;
                rows::cosines(queries, chunk, |at, cosine| under[at].cosine = Some(cosine));
                member.group = request.group_by.as_deref().and_then(|key| rows::value(key, chunk));
                member.tid = chunk.tid();
                if score {
                    let counts = Counts::new(queries, chunk.lexemes().lexemes());
                    for (at, known) in member.under.iter_mut().enumerate() {
                        known.bm25 = Some(counts.score(queries, at, norms));
                    }
                }
            });
            member.read = true;
            member.gone = found.is_none();
            self.plan.rows_read += 1;
        }
    }
}

/// Where a leg found a row.
enum Source {
    Member(usize),
    Tail(usize),
}

/// The best of a list, by score and then by chunk.
fn first(mut list: Vec<(f64, i64, Source)>, depth: usize) -> impl Iterator<Item = Source> {
    let order = |a: &(f64, i64, Source), b: &(f64, i64, Source)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if depth < list.len() {
        list.select_nth_unstable_by(depth, order);
        list.truncate(depth);
    }
    list.sort_unstable_by(order);
    list.into_iter().map(|(_, _, source)| source)
}
