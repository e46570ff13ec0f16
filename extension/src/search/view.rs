//! The segments of a store as one search sees them: which of their slots may be returned.

use crate::catalog::SegmentRow;
use crate::error::Error;
use crate::rows::{Chunk, Chunks};
use crate::search::phrase::Phrase;
use crate::search::request::{Query, Request};
use crate::search::rows::{allowed, passes};
use crate::segments::{Opened, PageReader, SegmentPages};
use std::ops::Bound;
use std::rc::Rc;
use vectorstore_core::segment::{Mask, Segment};

/// One segment.
pub struct View<'r, 't> {
    reader: &'r PageReader<'t>,
    opened: Rc<Opened>,
    store: i64,
    segment: i64,
    /// Slots whose rows were not deleted; `None` when none was.
    pub live: Option<Mask>,
    /// Slots that may be returned; `None` for all rows.
    base: Option<Mask>,
}

impl<'r, 't> View<'r, 't> {
    /// Opens a segment; `removed` are chunks that were removed and not marked yet, ascending.
    pub fn open(
        reader: &'r PageReader<'t>,
        store: i64,
        row: SegmentRow,
        removed: &[i64],
        request: &Request,
        chunks: &Chunks,
    ) -> Result<Self, Error> {
        let opened = reader.open(store, row.segment_id, &row.header)?;
        let mut view = Self { reader, opened, store, segment: row.segment_id, live: None, base: None };
        view.live = view.live_slots(row.deleted, removed)?;
        view.base = view.passing(request, chunks)?;
        Ok(view)
    }

    /// Its parts.
    pub fn segment(&self) -> &Segment {
        &self.opened.segment
    }

    /// Its pages.
    pub fn pages(&self) -> SegmentPages<'_, 't> {
        self.reader.pages(&self.opened, self.store, self.segment)
    }

    fn live_slots(&self, deleted: Option<Mask>, removed: &[i64]) -> Result<Option<Mask>, Error> {
        let mut gone = deleted;
        let docs = &self.segment().docs;
        docs.slots_of(&self.pages(), removed, |_, slot| {
            gone.get_or_insert_with(|| Mask::none(docs.slots())).insert(slot);
        })?;
        Ok(gone.map(|gone| {
            let mut live = self.segment().vectors.present();
            live.and_not(&gone);
            live
        }))
    }

    fn passing(&self, request: &Request, chunks: &Chunks) -> Result<Option<Mask>, Error> {
        if request.filter.is_none() && request.created.is_none() {
            return Ok(self.live.clone());
        }
        let mut mask = self.live.clone().unwrap_or_else(|| self.segment().vectors.present());
        let (columns, pages) = (&self.segment().columns, self.pages());
        if let Some((from, to)) = request.created {
            let from = from.map_or(Bound::Unbounded, Bound::Included);
            let to = to.map_or(Bound::Unbounded, Bound::Excluded);
            mask.and(&columns.mask_created(&pages, (from, to))?);
        }
        if let Some(filter) = &request.filter {
            if filter.keys().contains(&"file_id") && !self.has_file_ids()? {
                let check = std::mem::replace(&mut mask, Mask::none(self.segment().docs.slots()));
                self.check_rows(chunks, &check, |chunk| passes(request, chunk), &mut mask)?;
                return Ok(Some(mask));
            }
            let found = columns.mask(&pages, filter)?;
            let live = mask.clone();
            mask.and(&found.certain);
            // Where the columns do not know, the rows do.
            if let Some(mut check) = found.check {
                check.and(&live);
                self.check_rows(chunks, &check, |chunk| passes(request, chunk), &mut mask)?;
            }
        }
        Ok(Some(mask))
    }

    /// Whether the ids of files are a column: without any the rows' own ids stand for them, and are none.
    pub fn has_file_ids(&self) -> Result<bool, Error> {
        Ok(self.segment().columns.has(&self.pages(), "file_id")?)
    }

    /// Adds those slots of `check` to `mask` whose rows hold what `test` asks for.
    fn check_rows(
        &self,
        chunks: &Chunks,
        check: &Mask,
        test: impl Fn(&Chunk) -> bool,
        mask: &mut Mask,
    ) -> Result<(), Error> {
        self.read_rows(chunks, check, |slot, chunk| {
            if test(chunk) {
                mask.insert(slot);
            }
        })
    }

    /// Visits the rows of slots, in the order of the chunks.
    pub fn read_rows(
        &self,
        chunks: &Chunks,
        slots: &Mask,
        mut visit: impl FnMut(u32, &Chunk),
    ) -> Result<(), Error> {
        let mut rows = Vec::new();
        for slot in slots.iter() {
            if let Some(doc) = self.segment().docs.get(&self.pages(), slot)? {
                rows.push((doc.chunk_id, slot));
            }
        }
        rows.sort_unstable();
        let ids: Vec<i64> = rows.iter().map(|&(id, _)| id).collect();
        chunks.some(self.store, &ids, |chunk| {
            if let Ok(at) = ids.binary_search(&chunk.chunk_id()) {
                visit(rows[at].1, chunk);
            }
        });
        Ok(())
    }

    /// Slots that pass the filter; `None` for all rows.
    pub fn base(&self) -> Option<&Mask> {
        self.base.as_ref()
    }

    /// Slots that may be returned for a query; `None` for all rows.
    pub fn allowed(&self, query: &Query, chunks: &Chunks) -> Result<Option<Mask>, Error> {
        if !query.is_restricted() {
            return Ok(self.base.clone());
        }
        let mut mask = self.base.clone().unwrap_or_else(|| self.segment().vectors.present());
        // Postings say where the words are; only whether they follow each other must be read off the rows.
        let mut doubtful = Mask::none(self.segment().docs.slots());
        let mut sure = true;
        for phrase in &query.phrases {
            mask.and(&self.holding(phrase)?);
            sure &= phrase.is_word();
        }
        if !sure {
            doubtful = mask.clone();
        }
        for phrase in &query.excluded {
            let mut found = self.holding(phrase)?;
            found.and(&mask);
            if phrase.is_word() {
                mask.and_not(&found);
            } else {
                doubtful.or(&found);
            }
        }
        doubtful.and(&mask);
        mask.and_not(&doubtful);
        self.check_rows(chunks, &doubtful, |chunk| allowed(query, chunk.lexemes().lexemes()), &mut mask)?;
        Ok(Some(mask))
    }

    /// Slots that hold every word of a reading of a phrase, wherever.
    fn holding(&self, phrase: &Phrase) -> Result<Mask, Error> {
        let (terms, pages) = (&self.segment().terms, self.pages());
        let slots = self.segment().docs.slots();
        let mut found = Mask::none(slots);
        for reading in phrase.readings() {
            let mut all = Mask::all(slots);
            for words in reading.places() {
                let mut any = Mask::none(slots);
                for word in words {
                    if let Some(info) = terms.find(&pages, word)? {
                        terms.slots_of(&pages, info, &mut any)?;
                    }
                }
                all.and(&any);
            }
            found.or(&all);
        }
        Ok(found)
    }

    /// Number of rows of the segment.
    pub fn rows(&self) -> usize {
        self.segment().docs.rows() as usize
    }
}
