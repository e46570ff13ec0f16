//! The candidates of a search: chunks that a leg of a query named, with what is known of each.

use crate::table::Tid;
use std::collections::HashMap;
use vectorstore_core::segment::columns::Value;

/// What is known of a candidate under one query.
#[derive(Clone, Default)]
pub struct Known {
    /// Cosine similarity, where the query has a vector and the row was read.
    pub cosine: Option<f64>,
    /// BM25, where known; 0 when no term occurs.
    pub bm25: Option<f32>,
    /// Place in the list of the vector leg, from 1 on.
    pub vector_rank: Option<u32>,
    /// Place in the list of the keyword leg, from 1 on.
    pub keyword_rank: Option<u32>,
}

/// A candidate.
pub struct Member {
    pub chunk_id: i64,
    pub tid: Tid,
    /// What is known under each query.
    pub under: Vec<Known>,
    /// Segment and slot, unless the row is in the tail.
    pub slot: Option<(u32, u32)>,
    pub group: Option<Value>,
    /// Whether the row was read.
    pub read: bool,
    /// Whether the snapshot does not see the row after all.
    pub gone: bool,
}

/// All candidates, each once.
pub struct Pool {
    pub members: Vec<Member>,
    places: HashMap<i64, usize>,
    queries: usize,
}

impl Pool {
    /// An empty pool for that many queries.
    pub fn new(queries: usize) -> Self {
        Self { members: Vec::new(), places: HashMap::new(), queries }
    }

    /// The place of a chunk, which is added if it is new.
    pub fn place(&mut self, chunk_id: i64, tid: Tid) -> usize {
        let queries = self.queries;
        *self.places.entry(chunk_id).or_insert_with(|| {
            self.members.push(Member {
                chunk_id,
                tid,
                under: vec![Known::default(); queries],
                slot: None,
                group: None,
                read: false,
                gone: false,
            });
            self.members.len() - 1
        })
    }

    /// The place of a chunk that is here.
    pub fn find(&self, chunk_id: i64) -> Option<usize> {
        self.places.get(&chunk_id).copied()
    }

    /// Members whose rows have not been read, in the order in which they lie in the table.
    pub fn unread(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.members.len()).filter(|&at| !self.members[at].read).collect();
        places.sort_unstable_by_key(|&at| {
            let tid = self.members[at].tid;
            (tid.block, tid.line)
        });
        places
    }
}
