//! Writing columns to pages.

use super::build::Column;
use super::codes::{groups_per_page, pairs_per_page, push};
use super::dictionary;
use super::record::{Kind, Record, Run};
use super::value::{NUMBERS, STRINGS};
use crate::segment::{PAGE_BYTES, PageSink, Section};

/// A column of at most this many bytes shares its page with others.
const SMALL: usize = PAGE_BYTES / 4;

/// Rows of a segment for one row with the key, below which a column has a code for every slot.
const SPARSE: u64 = 16;

pub(super) struct Writer<'a, S> {
    sink: &'a mut S,
    slots: u32,
    /// The records of the columns, final after [`Writer::flush`].
    pub(super) records: Vec<Record>,
    /// The page that small columns share, and the records that wait for its number.
    shared: Vec<u8>,
    waiting: Vec<usize>,
}

impl<'a, S: PageSink> Writer<'a, S> {
    pub(super) fn new(sink: &'a mut S, slots: u32) -> Self {
        Self { sink, slots, records: Vec::new(), shared: Vec::new(), waiting: Vec::new() }
    }

    /// Writes a column and returns the place of its record.
    pub(super) fn column(&mut self, column: Column) -> usize {
        let Column { values, cells, dropped } = column;
        let place = self.records.len();
        self.records.push(if dropped {
            Record { kind: Kind::Dropped, ..Record::EMPTY }
        } else {
            Record::EMPTY
        });
        let mut pairs = cells.into_pairs(self.slots);
        if pairs.is_empty() {
            return place;
        }
        // Only values that some row has kept.
        let mut used = vec![false; values.len() as usize];
        pairs.iter().for_each(|(_, code)| used[*code as usize - 1] = true);
        let mut sorted: Vec<u32> = (0..values.len()).filter(|index| used[*index as usize]).collect();
        sorted.sort_unstable_by(|left, right| values.get(*left).cmp(values.get(*right)));
        let mut codes = vec![0; values.len() as usize];
        for (code, index) in (1..).zip(&sorted) {
            codes[*index as usize] = code;
        }
        pairs.iter_mut().for_each(|(_, code)| *code = codes[*code as usize - 1]);
        let entries = || sorted.iter().map(|index| values.get(*index));

        let first_of = |tag: u8| sorted.partition_point(|index| *values.get(*index) < [tag][..]) as u32;
        let mut record = Record {
            kind: if pairs.len() as u64 * SPARSE < u64::from(self.slots) {
                Kind::Sparse
            } else {
                Kind::Dense
            },
            width: match sorted.len() {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                _ => 4,
            },
            distinct: sorted.len() as u32,
            numbers: first_of(NUMBERS),
            strings: first_of(STRINGS),
            rows: pairs.len() as u32,
            ..Record::EMPTY
        };
        let code_bytes = match record.kind {
            Kind::Dense => self.slots.next_multiple_of(32) as usize * usize::from(record.width),
            _ => 4 + pairs.len() * (4 + usize::from(record.width)),
        };
        let bytes = code_bytes + dictionary::most_bytes(sorted.len(), entries().map(<[u8]>::len).sum());
        let shares = bytes <= SMALL;
        if shares && self.shared.len() + bytes > PAGE_BYTES {
            self.flush();
        }
        if shares {
            self.waiting.push(place);
        }
        dictionary::write(entries(), true, |block| self.put(block, shares, &mut record.dictionary));
        self.codes(&pairs, shares, &mut record);
        self.records[place] = record;
        place
    }

    /// Writes the codes, in dense pages or sparse blocks.
    fn codes(&mut self, pairs: &[(u32, u32)], shares: bool, record: &mut Record) {
        let (width, mut run) = (record.width, Run::default());
        match record.kind {
            Kind::Dense => {
                let (end, per_page) = (self.slots.next_multiple_of(32), 32 * groups_per_page(width));
                let (mut first, mut pairs) = (0, pairs);
                while first < end {
                    let count = per_page.min(end - first);
                    let (here, rest) =
                        pairs.split_at(pairs.partition_point(|(slot, _)| slot - first < count));
                    let mut page = vec![0; count as usize * usize::from(width)];
                    let mut code_bytes = Vec::new();
                    for (slot, code) in here {
                        code_bytes.clear();
                        push(*code, width, &mut code_bytes);
                        let start = (slot - first) as usize * usize::from(width);
                        page[start..start + code_bytes.len()].copy_from_slice(&code_bytes);
                    }
                    self.put(&page, shares, &mut run);
                    (first, pairs) = (first + count, rest);
                }
            }
            Kind::Sparse | Kind::Dropped => {
                for pairs in pairs.chunks(pairs_per_page(width) as usize) {
                    let mut block = Vec::from((pairs.len() as u32).to_le_bytes());
                    pairs.iter().for_each(|(slot, _)| block.extend_from_slice(&slot.to_le_bytes()));
                    pairs.iter().for_each(|(_, code)| push(*code, width, &mut block));
                    self.put(&block, shares, &mut run);
                }
            }
        }
        record.codes = run;
    }

    /// Writes one block of a run, to a page of its own or the shared one.
    fn put(&mut self, block: &[u8], shares: bool, run: &mut Run) {
        if shares {
            *run = Run { page: 0, offset: self.shared.len() as u16, pages: 1 };
            self.shared.extend_from_slice(block);
        } else {
            let page = self.sink.push(block);
            if run.pages == 0 {
                run.page = page;
            }
            run.pages += 1;
        }
    }

    /// Writes the shared page.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let page = self.sink.push(&self.shared);
        self.shared.clear();
        for place in self.waiting.drain(..) {
            self.records[place].dictionary.page = page;
            self.records[place].codes.page = page;
        }
    }

    /// Writes the directory: entries of a key and its record, in the order of the keys.
    pub(super) fn directory(&mut self, entries: &[Vec<u8>]) -> Section {
        let mut section = Section::default();
        dictionary::write(entries.iter().map(Vec::as_slice), false, |block| {
            let page = self.sink.push(block);
            if section.pages == 0 {
                section.first = page;
            }
            section.pages += 1;
        });
        section
    }
}
