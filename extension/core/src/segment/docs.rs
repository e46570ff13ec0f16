//! The directory of a segment: which row each slot stands for, and back.

use super::page::{Damaged, PAGE_BYTES, PageSink, Pages, Section};
use super::wire;

/// Slots on one page.
const SLOTS_PER_PAGE: usize = 512;
/// chunk number, block, line.
const DOC_BYTES: usize = 14;
/// chunk number, slot.
const ID_BYTES: usize = 12;
const IDS_PER_PAGE: usize = PAGE_BYTES / ID_BYTES;

/// A row of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doc {
    /// Number of the chunk; 0 for an empty slot.
    pub chunk_id: i64,
    /// Block of the table where the row was when the segment was packed: a hint.
    pub block: u32,
    /// Line of the block.
    pub line: u16,
}

const EMPTY: Doc = Doc { chunk_id: 0, block: 0, line: 0 };

/// Collects the rows of a segment. Memory: 16 bytes a slot.
pub struct DocsWriter(Vec<Doc>);

impl DocsWriter {
    /// A directory of that many slots, all empty.
    pub fn new(slots: u32) -> Self {
        Self(vec![EMPTY; slots as usize])
    }

    /// Puts a row into a slot below the number of slots.
    pub fn put(&mut self, slot: u32, doc: Doc) {
        self.0[slot as usize] = doc;
    }

    /// Writes the pages.
    pub fn finish(self, sink: &mut impl PageSink) -> DocsMeta {
        let docs = wire::section(sink, self.0.chunks(SLOTS_PER_PAGE), |doc: &Doc, page| {
            page.extend(doc.chunk_id.to_le_bytes());
            page.extend(doc.block.to_le_bytes());
            page.extend(doc.line.to_le_bytes());
        });
        let mut ids: Vec<(i64, u32)> = (0u32..)
            .zip(&self.0)
            .filter(|(_, doc)| doc.chunk_id != EMPTY.chunk_id)
            .map(|(slot, doc)| (doc.chunk_id, slot))
            .collect();
        ids.sort_unstable();
        let rows = ids.len() as u32;
        let ids = wire::section(sink, ids.chunks(IDS_PER_PAGE), |(id, slot): &(i64, u32), page| {
            page.extend(id.to_le_bytes());
            page.extend(slot.to_le_bytes());
        });
        DocsMeta { slots: self.0.len() as u32, rows, docs, ids }
    }
}

/// Where the directory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocsMeta {
    /// Number of slots, the empty ones too.
    pub slots: u32,
    /// Number of rows.
    pub rows: u32,
    docs: Section,
    ids: Section,
}

impl DocsMeta {
    /// Appends the bytes of this to a header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in
            [self.slots, self.rows, self.docs.first, self.docs.pages, self.ids.first, self.ids.pages]
        {
            out.extend(number.to_le_bytes());
        }
    }

    /// Reads what [`DocsMeta::encode`] wrote.
    ///
    /// # Errors
    /// [`Damaged`] when the bytes end early.
    pub fn decode(from: &mut &[u8]) -> Result<Self, Damaged> {
        Ok(Self {
            slots: wire::u32(from)?,
            rows: wire::u32(from)?,
            docs: Section { first: wire::u32(from)?, pages: wire::u32(from)? },
            ids: Section { first: wire::u32(from)?, pages: wire::u32(from)? },
        })
    }
}

/// The directory, ready to be asked. Caches 8 bytes for every 674 rows.
#[derive(Debug)]
pub struct Docs {
    meta: DocsMeta,
    /// First chunk number of each page of ids.
    firsts: Vec<i64>,
}

impl Docs {
    /// Reads the first entry of each page of ids.
    ///
    /// # Errors
    /// [`Damaged`] when a page is missing or short.
    pub fn load(meta: DocsMeta, pages: &impl Pages) -> Result<Self, Damaged> {
        let firsts = (0..meta.ids.pages)
            .map(|page| pages.with(meta.ids.page(page)?, |mut bytes| wire::i64(&mut bytes)))
            .collect::<Result<_, _>>()?;
        Ok(Self { meta, firsts })
    }

    /// Bytes of memory that this holds.
    pub fn cached_bytes(&self) -> usize {
        self.firsts.len() * 8
    }

    /// Number of slots, the empty ones too.
    pub fn slots(&self) -> u32 {
        self.meta.slots
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.meta.rows
    }

    /// The row of a slot; `None` for an empty slot.
    ///
    /// # Errors
    /// [`Damaged`] for a slot past the end, or a page that is missing or short.
    pub fn get(&self, pages: &impl Pages, slot: u32) -> Result<Option<Doc>, Damaged> {
        let (page, at) = (slot / SLOTS_PER_PAGE as u32, slot as usize % SLOTS_PER_PAGE * DOC_BYTES);
        pages.with(self.meta.docs.page(page)?, |bytes| {
            let mut bytes = bytes.get(at..).ok_or(Damaged("short page of rows"))?;
            let doc = Doc {
                chunk_id: wire::i64(&mut bytes)?,
                block: wire::u32(&mut bytes)?,
                line: wire::u16(&mut bytes)?,
            };
            Ok((doc.chunk_id != EMPTY.chunk_id).then_some(doc))
        })
    }

    /// Begins to load what [`Docs::get`] is going to read.
    pub fn prefetch(&self, pages: &impl Pages, slot: u32) {
        let at = slot as usize % SLOTS_PER_PAGE * DOC_BYTES;
        self.meta.docs.prefetch(pages, slot / SLOTS_PER_PAGE as u32, at..at + DOC_BYTES);
    }

    /// Calls `visit` with the slot of every one of the chunks (ascending) that is in the segment.
    ///
    /// # Errors
    /// [`Damaged`] when a page is missing or short.
    pub fn slots_of(
        &self,
        pages: &impl Pages,
        ids: &[i64],
        mut visit: impl FnMut(i64, u32),
    ) -> Result<(), Damaged> {
        let mut rest = ids;
        while let Some(&id) = rest.first() {
            // The last page that begins at or below the id.
            let page = self.firsts.partition_point(|&first| first <= id);
            let until = self.firsts.get(page).copied();
            let here = until.map_or(rest.len(), |until| rest.partition_point(|&id| id < until));
            let (these, others) = rest.split_at(here.max(1));
            rest = others;
            let Some(page) = page.checked_sub(1) else { continue };
            pages.with(self.meta.ids.page(page as u32)?, |bytes| {
                let entries = bytes.as_chunks::<ID_BYTES>().0;
                let key =
                    |entry: &[u8; ID_BYTES]| i64::from_le_bytes(*entry.first_chunk().expect("12 bytes"));
                let mut from = 0;
                for &id in these {
                    from += entries[from..].partition_point(|entry| key(entry) < id);
                    match entries.get(from) {
                        Some(entry) if key(entry) == id => {
                            let slot = u32::from_le_bytes(*entry.last_chunk().expect("12 bytes"));
                            if slot >= self.meta.slots {
                                return Err(Damaged("slot past the end"));
                            }
                            visit(id, slot);
                        }
                        Some(_) => {}
                        None => break,
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// All chunk numbers with their slots, ascending.
    ///
    /// # Errors
    /// [`Damaged`] when a page is missing.
    pub fn ids(&self, pages: &impl Pages) -> Result<Vec<(i64, u32)>, Damaged> {
        let mut all = Vec::new();
        for page in 0..self.meta.ids.pages {
            pages.with(self.meta.ids.page(page)?, |bytes| {
                all.extend(bytes.as_chunks::<ID_BYTES>().0.iter().map(|entry| {
                    let mut entry = &entry[..];
                    (wire::i64(&mut entry).unwrap_or(0), wire::u32(&mut entry).unwrap_or(0))
                }));
                Ok(())
            })?;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryPages;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn build(rows: &BTreeMap<u32, i64>, slots: u32) -> (Docs, MemoryPages) {
        let mut pages = MemoryPages::default();
        let mut writer = DocsWriter::new(slots);
        for (&slot, &chunk_id) in rows {
            writer.put(slot, Doc { chunk_id, block: slot * 3, line: 7 });
        }
        let meta = writer.finish(&mut pages);
        let mut header = Vec::new();
        meta.encode(&mut header);
        assert_eq!(DocsMeta::decode(&mut &header[..]), Ok(meta));
        (Docs::load(meta, &pages).unwrap(), pages)
    }

    proptest! {
        #[test]
        fn leads_to_every_row_and_back(ids in proptest::collection::btree_set(1i64..5_000, 0..2_000), asked in proptest::collection::btree_set(-5i64..5_005, 0..300)) {
            // Slots in another order than the numbers, with a hole after every third.
            let rows: BTreeMap<u32, i64> =
                ids.iter().rev().enumerate().map(|(at, &id)| ((at + at / 3) as u32, id)).collect();
            let slots = rows.last_key_value().map_or(0, |(slot, _)| slot + 1);
            let (docs, pages) = build(&rows, slots);
            for slot in 0..slots {
                let found = docs.get(&pages, slot).unwrap().map(|doc| doc.chunk_id);
                prop_assert_eq!(found, rows.get(&slot).copied());
            }
            prop_assert!(docs.get(&pages, slots + 512).is_err());
            let asked: Vec<i64> = asked.into_iter().collect();
            let mut found = BTreeMap::new();
            docs.slots_of(&pages, &asked, |id, slot| { found.insert(slot, id); }).unwrap();
            let expected: BTreeMap<u32, i64> =
                rows.iter().filter(|(_, id)| asked.contains(id)).map(|(&slot, &id)| (slot, id)).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(docs.ids(&pages).unwrap().len(), rows.len());
        }

        #[test]
        fn damage_is_found_or_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400), slot in 0u32..2_000, id in any::<i64>()) {
            let meta = DocsMeta {
                slots: 1_500, rows: 1_500, docs: Section { first: 0, pages: 3 }, ids: Section { first: 0, pages: 2 },
            };
            let pages = MemoryPages(vec![bytes.clone(), bytes]);
            if let Ok(docs) = Docs::load(meta, &pages) {
                let _ = docs.get(&pages, slot);
                let _ = docs.slots_of(&pages, &[id], |_, slot| assert!(slot < 1_500));
            }
        }
    }
}
