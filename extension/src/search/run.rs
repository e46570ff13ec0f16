//! One search: candidates of both legs of every query out of the segments and the tail, their exact scores, and one
//! ranking.
//!
//! Both legs yield candidates with the filter inside them; then both scores of every candidate are known exactly and
//! fused. Vector codes only choose which rows are read; no approximate score leaves this module.

use crate::catalog::{self, StoreRow};
use crate::error::Error;
use crate::rows::{Chunks, Finder};
use crate::search::pool::Pool;
use crate::search::request::{Query, Request};
use crate::search::rows::{self, Counts, TailRow};
use crate::search::view::View;
use crate::segments::PageReader;
use crate::table::Tid;
use vectorstore_core::bm25::{Norms, idf, weight};
use vectorstore_core::segment::Mask;
use vectorstore_core::segment::terms::TermInfo;

/// Bytes of a row that stand before its embedding, about.
const BEFORE_EMBEDDING: usize = 256;

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
    pub views: Vec<View<'a, 't>>,
    tail: Vec<TailRow>,
    /// By segment, then by query: where each term's postings are.
    pub postings: Vec<Vec<Vec<Option<TermInfo>>>>,
    pub norms: Norms,
}

impl<'a, 't> Run<'a, 't> {
    /// Reads the tail, opens the segments and weighs the terms.
    pub fn new(
        row: &'a StoreRow,
        request: &'a Request,
        queries: Vec<Query>,
        chunks: &'a Chunks,
        reader: &'a PageReader<'t>,
    ) -> Result<Self, Error> {
        let store = row.store_id;
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
            for (word, _) in self.queries.iter().flat_map(|query| query.terms.iter()) {
                terms.prefetch(&pages, word);
            }
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
            let mut near = None;
            if self.queries[at].has_vector_leg(self.request.weights) {
                near = self.vector_leg(at, &allowed)?;
            }
            if self.queries[at].has_keyword_leg(self.request.weights) {
                self.keyword_leg(at, &allowed, near)?;
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

    /// Whether a query may return only some of the rows.
    pub fn is_filtered(&self, at: usize) -> bool {
        self.request.filter.is_some() || self.request.created.is_some() || self.queries[at].is_restricted()
    }

    /// Rows of the tail that may be returned for a query.
    pub fn returnable(&self, at: usize) -> impl Iterator<Item = (usize, &TailRow)> {
        self.tail.iter().enumerate().filter(move |(_, row)| row.passes && row.allowed[at])
    }

    /// The place of a hit in the pool.
    pub fn place(&mut self, source: Source) -> usize {
        match source {
            Source::Member(place) => place,
            Source::Tail(row) => self.tail_member(row),
        }
    }

    /// The number of the chunk that a hit is.
    pub fn chunk_of(&self, source: &Source) -> i64 {
        match source {
            Source::Member(place) => self.pool.members[*place].chunk_id,
            Source::Tail(row) => self.tail[*row].chunk_id,
        }
    }

    /// Begins to load what tells the candidate in a slot of a segment.
    pub fn prefetch(&self, segment: u32, slot: u32) {
        let view = &self.views[segment as usize];
        view.segment().docs.prefetch(&view.pages(), slot);
    }

    /// The candidate in a slot of a segment.
    pub fn member(&mut self, segment: u32, slot: u32) -> Result<Option<usize>, Error> {
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
    pub fn read_members(&mut self) {
        // A query's own leg scores the candidates from the postings.
        let unscored =
            |query: &Query| !query.terms.is_empty() && !query.has_keyword_leg(self.request.weights);
        let score = self.queries.len() > 1 || self.queries.iter().any(unscored);
        let unread = self.pool.unread();
        // Up to the end of the embedding.
        let bytes = BEFORE_EMBEDDING + 4 * self.row.dimensions;
        let tids: Vec<Tid> = unread.iter().map(|&place| self.pool.members[place].tid).collect();
        let buffers = self.finder.prefetch(&tids, bytes);
        for (place, buffer) in unread.into_iter().zip(buffers) {
            pgrx::check_for_interrupts!();
            let (queries, norms, request) = (&self.queries, &self.norms, self.request);
            let member = &mut self.pool.members[place];
            let found = self.finder.find(self.store, member.chunk_id, member.tid, buffer, |chunk| {
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
pub enum Source {
    Member(usize),
    Tail(usize),
}

/// The best of a list, by score and then by chunk.
pub fn first(mut list: Vec<(f64, i64, Source)>, depth: usize) -> impl Iterator<Item = Source> {
    let order = |a: &(f64, i64, Source), b: &(f64, i64, Source)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if depth < list.len() {
        list.select_nth_unstable_by(depth, order);
        list.truncate(depth);
    }
    list.sort_unstable_by(order);
    list.into_iter().map(|(_, _, source)| source)
}
