//! A whole segment: written from rows, read for search.

use super::columns::{Columns, ColumnsBuilder, ColumnsMeta};
use super::docs::{Doc, Docs, DocsMeta, DocsWriter};
use super::page::{Damaged, PageSink, Pages};
use super::terms::{Terms, TermsBuilder, TermsMeta};
use super::vectors::{Layout, Plan, VectorWriter, Vectors, VectorsMeta};
use super::wire;
use crate::filter::Found;
use crate::tsvector::TsVector;

/// First bytes of a header: name and version of the format.
const MAGIC: &[u8; 4] = b"vsg1";

/// Writes a segment row by row.
pub struct SegmentWriter {
    lists: Vec<u32>,
    next_slots: Vec<u32>,
    rows: usize,
    docs: DocsWriter,
    vectors: VectorWriter,
    terms: TermsBuilder,
    columns: ColumnsBuilder,
    slots: u32,
}

impl SegmentWriter {
    /// A writer for rows of which the first goes to list `lists[0]` of the plan, the second to `lists[1]`, and so on.
    pub fn new(plan: Plan, lists: Vec<u32>) -> Self {
        let mut counts = vec![0; plan.lists() as usize];
        lists.iter().for_each(|&list| counts[list as usize] += 1);
        let layout = Layout::new(&counts);
        let slots = layout.slots();
        Self {
            next_slots: (0..plan.lists()).map(|list| layout.first_slot(list)).collect(),
            rows: 0,
            docs: DocsWriter::new(slots),
            vectors: VectorWriter::new(plan, layout),
            terms: TermsBuilder::new(),
            columns: ColumnsBuilder::new(),
            lists,
            slots,
        }
    }

    /// Adds the next row and returns its slot.
    ///
    /// # Panics
    /// When there are more rows than lists were given for.
    pub fn add(&mut self, doc: Doc, vector: &[f32], lexemes: TsVector) -> u32 {
        let list = self.lists[self.rows];
        self.rows += 1;
        let slot = self.next_slots[list as usize];
        self.next_slots[list as usize] += 1;
        self.docs.put(slot, doc);
        self.vectors.put(slot, list, vector);
        self.terms.add(slot, lexemes);
        slot
    }

    /// Adds an attribute of the row in this slot.
    pub fn attribute(&mut self, slot: u32, key: &str, value: Found<'_>) {
        self.columns.add(slot, key, &value);
    }

    /// Adds the time at which the row in this slot was created, in microseconds.
    pub fn created_at(&mut self, slot: u32, microseconds: i64) {
        self.columns.add_created(slot, microseconds);
    }

    /// Writes the pages; returns the header, which is kept beside them. `uid` is random: it tells segments apart.
    pub fn finish(self, uid: [u8; 8], sink: &mut impl PageSink) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(uid);
        self.docs.finish(sink).encode(&mut header);
        self.vectors.finish(sink).encode(&mut header);
        self.terms.finish(sink).encode(&mut header);
        self.columns.finish(sink, self.slots).encode(&mut header);
        header
    }
}

/// A segment, ready to be searched.
pub struct Segment {
    /// Rows and slots.
    pub docs: Docs,
    /// Vector codes.
    pub vectors: Vectors,
    /// Postings.
    pub terms: Terms,
    /// Metadata.
    pub columns: Columns,
}

impl Segment {
    /// Reads the header and what each part caches.
    ///
    /// # Errors
    /// [`Damaged`] when the header or a page is not what was written.
    pub fn load(header: &[u8], pages: &impl Pages) -> Result<Self, Damaged> {
        let mut from = header.strip_prefix(MAGIC).and_then(|rest| rest.get(8..)).ok_or(Damaged("header"))?;
        let (docs, vectors) = (DocsMeta::decode(&mut from)?, VectorsMeta::decode(&mut from)?);
        let (terms, columns) = (TermsMeta::decode(&mut from)?, ColumnsMeta::decode(&mut from)?);
        let segment = Self {
            docs: Docs::load(docs, pages)?,
            vectors: Vectors::load(&vectors, pages)?,
            terms: Terms::load(terms, pages)?,
            columns: Columns::load(columns, pages)?,
        };
        let slots = segment.docs.slots();
        if segment.vectors.slots() != slots || segment.columns.slots() != slots {
            return Err(Damaged("parts of different sizes"));
        }
        Ok(segment)
    }

    /// Bytes of memory that this holds.
    pub fn cached_bytes(&self) -> usize {
        self.docs.cached_bytes()
            + self.vectors.cached_bytes()
            + self.terms.cached_bytes()
            + self.columns.cached_bytes()
    }
}

/// Number of lists that the vectors of the segment with this header are divided into.
///
/// # Errors
/// [`Damaged`] when it is no header.
pub fn lists(header: &[u8]) -> Result<u32, Damaged> {
    let mut from = header.strip_prefix(MAGIC).and_then(|rest| rest.get(8..)).ok_or(Damaged("header"))?;
    DocsMeta::decode(&mut from)?;
    Ok(VectorsMeta::decode(&mut from)?.lists)
}

/// Number of slots of the segment with this header.
///
/// # Errors
/// [`Damaged`] when it is no header.
pub fn slots(header: &[u8]) -> Result<u32, Damaged> {
    let mut from = header.strip_prefix(MAGIC).and_then(|rest| rest.get(8..)).ok_or(Damaged("header"))?;
    wire::u32(&mut from)
}
