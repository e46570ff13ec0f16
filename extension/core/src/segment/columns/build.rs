//! Collecting the columns of a segment.

use std::collections::HashMap;

use super::interner::Interner;
use super::record::Record;
use super::value::{encode, encode_time, shorten};
use super::write::Writer;
use super::{ColumnsMeta, MAX_KEY_BYTES};
use crate::filter::Found;
use crate::segment::PageSink;

/// Most keys that get a column.
const MAX_KEYS: usize = 65_536;

/// Bytes that the dictionaries of a segment may take while it is built, unless the caller says otherwise.
const BUDGET: usize = 256 << 20;

/// What a key costs beside its values, in bytes.
const KEY_COST: usize = 256;

/// Collects the values of a segment's rows. Takes 4 bytes a slot for a key that many rows have, 8 bytes a row for
/// others, and the dictionaries of distinct values, which stay within a budget (256 MB): when they exceed it, the
/// largest one is given up and its key is left to the rows themselves, as [`Masked`](super::Masked) tells. So are
/// keys of more than 1,024 bytes, and those that come after the first 65,536.
pub struct ColumnsBuilder {
    columns: HashMap<Box<str>, Column>,
    created: Column,
    /// Whether all rows have all their values in `columns`.
    complete: bool,
    budget: usize,
    used: usize,
    /// The value at hand; kept for its memory.
    value: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Column {
    pub(super) values: Interner,
    pub(super) cells: Cells,
    pub(super) dropped: bool,
}

impl Default for ColumnsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ColumnsBuilder {
    /// A builder without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::with_budget(BUDGET)
    }

    /// A builder whose dictionaries may take `budget` bytes; at most 2 GB are used.
    #[must_use]
    pub fn with_budget(budget: usize) -> Self {
        Self {
            columns: HashMap::new(),
            created: Column::default(),
            complete: true,
            budget: budget.min(i32::MAX as usize),
            used: 0,
            value: Vec::new(),
        }
    }

    /// Gives a slot the value of a key. The first value counts when there are several, so a caller adds what
    /// should lie below the attributes after them. Slots come in any order; every slot is below the number of slots
    /// that [`ColumnsBuilder::finish`] is given.
    pub fn add(&mut self, slot: u32, key: &str, value: &Found<'_>) {
        if key.len() > MAX_KEY_BYTES {
            return;
        }
        if !self.columns.contains_key(key) {
            if self.columns.len() >= MAX_KEYS {
                self.complete = false;
                return;
            }
            self.columns.insert(key.into(), Column::default());
            self.used += key.len() + KEY_COST;
        }
        let Some(column) = self.columns.get_mut(key).filter(|column| !column.dropped) else { return };
        self.value.clear();
        encode(value, &mut self.value);
        shorten(&mut self.value);
        self.used += column.add(slot, &self.value);
        if self.used > self.budget {
            self.drop_largest();
        }
    }

    /// Gives a slot its time of creation, in microseconds since any epoch.
    pub fn add_created(&mut self, slot: u32, micros: i64) {
        self.value.clear();
        encode_time(micros, &mut self.value);
        self.created.add(slot, &self.value);
    }

    fn drop_largest(&mut self) {
        let Some(column) = self.columns.values_mut().max_by_key(|column| column.values.cost()) else {
            return;
        };
        self.used -= column.values.cost().min(self.used);
        *column = Column { dropped: true, ..Column::default() };
    }

    /// Writes the columns of a segment of `slots` slots. Slots past the end are left out.
    pub fn finish(self, sink: &mut impl PageSink, slots: u32) -> ColumnsMeta {
        let mut writer = Writer::new(sink, slots);
        let created = writer.column(self.created);
        let mut columns: Vec<_> = self.columns.into_iter().collect();
        columns.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let records: Vec<(Box<str>, usize)> =
            columns.into_iter().map(|(key, column)| (key, writer.column(column))).collect();
        writer.flush();
        let record = |place: usize| writer.records.get(place).copied().unwrap_or(Record::EMPTY);
        let created = record(created);
        let entries: Vec<Vec<u8>> = records
            .iter()
            .map(|(key, place)| {
                let mut entry = Vec::from(key.as_bytes());
                record(*place).encode(&mut entry);
                entry
            })
            .collect();
        let directory = writer.directory(&entries);
        ColumnsMeta { slots, complete: self.complete, directory, created }
    }
}

impl Column {
    /// Returns the bytes that the dictionary grew by.
    fn add(&mut self, slot: u32, value: &[u8]) -> usize {
        let before = self.values.cost();
        let index = self.values.intern(value);
        self.cells.set(slot, index + 1);
        self.values.cost() - before
    }
}

/// Codes by slot, as they come.
pub(super) enum Cells {
    /// Pairs, and the highest slot of them.
    Pairs(Vec<(u32, u32)>, u32),
    /// A code for every slot; 0 where there is none.
    Slots(Vec<u32>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Pairs(Vec::new(), 0)
    }
}

impl Cells {
    fn set(&mut self, slot: u32, code: u32) {
        match self {
            Self::Pairs(pairs, highest) => {
                pairs.push((slot, code));
                *highest = slot.max(*highest);
                // From here on a code for every slot takes no more.
                if pairs.len() as u64 * 2 > u64::from(*highest) && pairs.len() >= 32 {
                    let mut codes = vec![0; *highest as usize + 1];
                    for (slot, code) in pairs.iter().rev() {
                        codes[*slot as usize] = *code;
                    }
                    *self = Self::Slots(codes);
                }
            }
            Self::Slots(codes) => {
                let slot = slot as usize;
                if slot >= codes.len() {
                    codes.resize(slot + 1, 0);
                }
                if codes[slot] == 0 {
                    codes[slot] = code;
                }
            }
        }
    }

    /// The pairs of slot and code, ascending, of the slots below `slots`.
    pub(super) fn into_pairs(self, slots: u32) -> Vec<(u32, u32)> {
        let mut pairs = match self {
            Self::Pairs(pairs, _) => pairs,
            Self::Slots(codes) => (0..).zip(codes).filter(|(_, code)| *code != 0).collect(),
        };
        // Stable, so that the first code of a slot stays first.
        pairs.sort_by_key(|(slot, _)| *slot);
        pairs.dedup_by_key(|(slot, _)| *slot);
        pairs.truncate(pairs.partition_point(|(slot, _)| *slot < slots));
        pairs
    }
}
