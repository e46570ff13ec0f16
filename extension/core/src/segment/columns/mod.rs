//! Columns: the attributes of a segment's rows by slot, for filters and facets.
//!
//! A key that some row has a string, a number or a boolean for is a column: a dictionary of its distinct values, in
//! their order, and for each slot the place of its value in there. A comparison is a binary search in the dictionary,
//! which gives a range of codes, and one pass over the codes; nothing is decoded. When fewer than one row in 16 has
//! the key, the codes are a list of (slot, code). Small columns share pages, so a thousand keys of one row each take
//! few of them. The keys with their columns are a directory of pages that is searched as the dictionaries are.
//!
//! The dictionary keeps 512 bytes of a string and a hash of the rest. That decides every comparison with a string
//! of at most 512 bytes; for what it leaves open, [`Masked::check`] names the rows.

mod build;
mod codes;
mod dictionary;
mod facet;
mod interner;
mod mask;
mod record;
mod value;
mod write;

pub use build::ColumnsBuilder;
pub use facet::Facet;
pub use mask::Masked;
pub use value::Value;

use codes::Codes;
use dictionary::{Block, Dictionary};
use record::{Kind, RECORD, Record, take, take_u32};

use super::{Damaged, Pages, Section};

/// Longest key that has a column, in bytes: 256 characters, which is what a filter may ask for.
const MAX_KEY_BYTES: usize = 1_024;

/// Most slots of a segment: what a damaged header may make a mask allocate, 32 MB.
const MAX_SLOTS: u32 = 1 << 28;

/// What the header of a segment says of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnsMeta {
    slots: u32,
    complete: bool,
    directory: Section,
    created: Record,
}

impl ColumnsMeta {
    /// Appends the 51 bytes that [`ColumnsMeta::decode`] reads.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.slots, self.directory.first, self.directory.pages] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(self.complete.into());
        self.created.encode(out);
    }

    /// Reads what [`ColumnsMeta::encode`] wrote, and moves `bytes` behind it.
    ///
    /// # Errors
    /// [`Damaged`] bytes.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let [slots, first, pages] = [take_u32(bytes)?, take_u32(bytes)?, take_u32(bytes)?];
        if slots > MAX_SLOTS {
            return Err(Damaged("number of slots"));
        }
        let [complete] = take(bytes)?;
        let created = Record::decode(bytes, slots)?;
        Ok(Self { slots, complete: complete == 1, directory: Section { first, pages }, created })
    }
}

/// The columns of a segment.
pub struct Columns {
    meta: ColumnsMeta,
    /// The first key of each page of the directory.
    first_keys: Vec<Box<[u8]>>,
}

/// A column and its pages.
struct Column<'a, P> {
    record: Record,
    slots: u32,
    pages: &'a P,
}

/// What is known of a key.
enum Lookup<'a, P> {
    Found(Column<'a, P>),
    /// No row has it.
    Missing,
    /// Rows may have it, but it has no column.
    Unknown,
}

impl Columns {
    /// Reads the first key of each page of the directory, of which there is one for some 150 keys: all that a
    /// backend keeps, see [`Columns::cached_bytes`].
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn load(meta: ColumnsMeta, pages: &impl Pages) -> Result<Self, Damaged> {
        let mut first_keys = Vec::new();
        for index in 0..meta.directory.pages {
            first_keys.push(pages.with(meta.directory.page(index)?, |bytes| {
                Ok(split(Block::read(bytes)?.entry(0)?.1)?.0.into())
            })?);
        }
        Ok(Self { meta, first_keys })
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.meta.slots
    }

    /// Memory of this value, in bytes.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        let keys: usize = self.first_keys.iter().map(|key| size_of_val(key) + key.len()).sum();
        size_of::<Self>() + keys
    }

    /// Whether some row has a value of this key, or may have one.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn has(&self, pages: &impl Pages, key: &str) -> Result<bool, Damaged> {
        Ok(!matches!(self.column(pages, key)?, Lookup::Missing))
    }

    /// The keys that have a column, with the number of rows that have a value, in the order of their bytes; at most
    /// `limit`. A key that the builder gave up has 0 rows.
    ///
    /// # Errors
    /// [`Damaged`] pages.
    pub fn keys(&self, pages: &impl Pages, limit: usize) -> Result<Vec<(String, u32)>, Damaged> {
        let mut keys = Vec::new();
        for index in 0..self.meta.directory.pages {
            pages.with(self.meta.directory.page(index)?, |bytes| {
                let block = Block::read(bytes)?;
                for entry in 0..block.count {
                    if keys.len() == limit {
                        break;
                    }
                    let (key, mut record) = split(block.entry(entry)?.1)?;
                    let key = std::str::from_utf8(key).map_err(|_| Damaged("key of a column"))?;
                    keys.push((key.to_owned(), Record::decode(&mut record, self.meta.slots)?.rows));
                }
                Ok(())
            })?;
        }
        Ok(keys)
    }

    fn column<'a, P: Pages>(&self, pages: &'a P, key: &str) -> Result<Lookup<'a, P>, Damaged> {
        if key.len() > MAX_KEY_BYTES {
            return Ok(Lookup::Unknown);
        }
        let key = key.as_bytes();
        let page = self.first_keys.partition_point(|first| first.as_ref() <= key);
        let record = match page.checked_sub(1) {
            None => None,
            Some(page) => pages.with(self.meta.directory.page(page as u32)?, |bytes| {
                let block = Block::read(bytes)?;
                let below = block.partition(|_, entry| split(entry).is_ok_and(|(found, _)| found < key))?;
                if below == block.count {
                    return Ok(None);
                }
                let (found, mut record) = split(block.entry(below)?.1)?;
                if found == key { Record::decode(&mut record, self.meta.slots).map(Some) } else { Ok(None) }
            })?,
        };
        Ok(match record {
            Some(Record { kind: Kind::Dropped, .. }) => Lookup::Unknown,
            Some(record) => Lookup::Found(Column { record, slots: self.meta.slots, pages }),
            None if self.meta.complete => Lookup::Missing,
            None => Lookup::Unknown,
        })
    }

    fn created<'a, P: Pages>(&self, pages: &'a P) -> Column<'a, P> {
        Column { record: self.meta.created, slots: self.meta.slots, pages }
    }
}

impl<'a, P: Pages> Column<'a, P> {
    fn dictionary(&self) -> Dictionary<'a, P> {
        let Record { dictionary: run, distinct, .. } = self.record;
        Dictionary { run, distinct, pages: self.pages }
    }

    fn codes(&self) -> Codes<'_, P> {
        Codes { record: &self.record, slots: self.slots, pages: self.pages }
    }
}

/// Key and record of an entry of the directory.
fn split(entry: &[u8]) -> Result<(&[u8], &[u8]), Damaged> {
    let key = entry.len().checked_sub(RECORD).ok_or(Damaged("short record of columns"))?;
    Ok(entry.split_at(key))
}

#[cfg(test)]
mod tests;
