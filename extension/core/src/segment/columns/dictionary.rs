//! Blocks of sorted byte strings: dictionaries of values and the directory of keys.
//!
//! A block: number of entries before it (u32), entries (u16), bytes of the common prefix (u16), the end of each
//! entry (u16) counted without the prefix, the prefix, the entries without it. Blocks are searched where they lie,
//! so a backend caches nothing of a dictionary, however large.

use std::cmp::Ordering;

use super::record::Run;
use super::value::{Value, WHOLE};
use crate::segment::{Damaged, PAGE_BYTES, Pages};

const HEADER: usize = 8;

/// The block of `count` entries of `bytes` bytes altogether, with a common prefix of `prefix` bytes.
fn block_bytes(count: usize, bytes: usize, prefix: usize) -> usize {
    HEADER + 2 * count + prefix + (bytes - prefix * count)
}

/// Bytes of one block of all the entries, at most.
pub(super) fn most_bytes(entries: usize, bytes: usize) -> usize {
    HEADER + 2 * entries + bytes
}

/// Cuts ascending entries into blocks of at most a page, and hands out each. `common`: whether the common prefix
/// of a block's first and last entry is that of all of them, as it is when the entries are in the order of their
/// bytes; otherwise none is taken out.
pub(super) fn write<'a>(entries: impl Iterator<Item = &'a [u8]>, common: bool, mut put: impl FnMut(&[u8])) {
    let mut block: Vec<&[u8]> = Vec::new();
    let (mut before, mut bytes, mut prefix) = (0_u32, 0, 0);
    for entry in entries {
        let shared = match block.first() {
            Some(first) if common => prefix.min(first.iter().zip(entry).take_while(|(a, b)| a == b).count()),
            None if common => entry.len(),
            _ => 0,
        };
        if !block.is_empty() && block_bytes(block.len() + 1, bytes + entry.len(), shared) > PAGE_BYTES {
            put(&pack(&block, before, prefix));
            before += block.len() as u32;
            block.clear();
            (bytes, prefix) = (0, if common { entry.len() } else { 0 });
        } else {
            prefix = shared;
        }
        bytes += entry.len();
        block.push(entry);
    }
    if !block.is_empty() {
        put(&pack(&block, before, prefix));
    }
}

fn pack(block: &[&[u8]], before: u32, prefix: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(PAGE_BYTES);
    out.extend_from_slice(&before.to_le_bytes());
    out.extend_from_slice(&(block.len() as u16).to_le_bytes());
    out.extend_from_slice(&(prefix as u16).to_le_bytes());
    let mut end = 0;
    for entry in block {
        end += entry.len() - prefix;
        out.extend_from_slice(&(end as u16).to_le_bytes());
    }
    out.extend_from_slice(&block[0][..prefix]);
    block.iter().for_each(|entry| out.extend_from_slice(&entry[prefix..]));
    out
}

/// A block in a page.
pub(super) struct Block<'a> {
    /// Number of entries before this block.
    pub(super) before: u32,
    /// Number of entries; at least one.
    pub(super) count: u32,
    prefix: &'a [u8],
    ends: &'a [[u8; 2]],
    entries: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Damaged> {
        const SHORT: Damaged = Damaged("short block of values");
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(SHORT)?;
        let [b0, b1, b2, b3, c0, c1, p0, p1] = *header;
        let (count, prefix) = (u16::from_le_bytes([c0, c1]), u16::from_le_bytes([p0, p1]));
        let (ends, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(SHORT)?;
        let (prefix, entries) = rest.split_at_checked(usize::from(prefix)).ok_or(SHORT)?;
        if count == 0 {
            return Err(Damaged("empty block of values"));
        }
        let before = u32::from_le_bytes([b0, b1, b2, b3]);
        Ok(Self { before, count: count.into(), prefix, ends: ends.as_chunks().0, entries })
    }

    /// The entry at `index` of this block, in two parts.
    pub(super) fn entry(&self, index: u32) -> Result<(&'a [u8], &'a [u8]), Damaged> {
        let index = index as usize;
        let end = |index: usize| self.ends.get(index).map(|end| usize::from(u16::from_le_bytes(*end)));
        let start = index.checked_sub(1).map_or(Some(0), end);
        let entry = start.zip(end(index)).and_then(|(start, end)| self.entries.get(start..end));
        Ok((self.prefix, entry.ok_or(Damaged("place of a value"))?))
    }

    /// Number of this block's entries that come before all for which `test` is false.
    pub(super) fn partition(&self, test: impl Fn(&[u8], &[u8]) -> bool) -> Result<u32, Damaged> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (prefix, suffix) = self.entry(middle)?;
            if test(prefix, suffix) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}

/// The order of an entry in two parts, of which the first [`WHOLE`] bytes count, and a value.
fn compare(prefix: &[u8], suffix: &[u8], value: &[u8], clip: bool) -> Ordering {
    let most = if clip { WHOLE } else { usize::MAX };
    let prefix = &prefix[..prefix.len().min(most)];
    let suffix = &suffix[..suffix.len().min(most - prefix.len())];
    let (head, tail) = value.split_at(prefix.len().min(value.len()));
    prefix.cmp(head).then_with(|| suffix.cmp(tail))
}

/// A dictionary: ascending, distinct values.
#[derive(Clone, Copy)]
pub(super) struct Dictionary<'a, P> {
    pub(super) run: Run,
    pub(super) distinct: u32,
    pub(super) pages: &'a P,
}

impl<P: Pages> Dictionary<'_, P> {
    /// The last block whose first value passes `test`, which must be true for the first values only. Values come
    /// in two parts.
    fn last_block(&self, test: impl Fn(&[u8], &[u8]) -> bool) -> Result<Option<u32>, Damaged> {
        let (mut low, mut high) = (0, self.run.pages);
        while low < high {
            let middle = low + (high - low) / 2;
            let first_passes = self.run.with(self.pages, middle, |bytes| {
                let (prefix, suffix) = Block::read(bytes)?.entry(0)?;
                Ok(test(prefix, suffix))
            })?;
            if first_passes { low = middle + 1 } else { high = middle }
        }
        Ok(low.checked_sub(1))
    }

    /// Number of values that pass `test`, as for [`Dictionary::last_block`].
    fn partition(&self, test: impl Fn(&[u8], &[u8]) -> bool) -> Result<u32, Damaged> {
        let Some(last) = self.last_block(&test)? else { return Ok(0) };
        let index = self.run.with(self.pages, last, |bytes| {
            let block = Block::read(bytes)?;
            Ok(block.before.saturating_add(block.partition(test)?))
        })?;
        self.check(index)
    }

    fn check(&self, index: u32) -> Result<u32, Damaged> {
        if index <= self.distinct { Ok(index) } else { Err(Damaged("more values than there are")) }
    }

    /// The index of `value`.
    pub(super) fn find(&self, value: &[u8]) -> Result<Option<u32>, Damaged> {
        let up_to = |prefix: &[u8], suffix: &[u8]| compare(prefix, suffix, value, false).is_le();
        let Some(last) = self.last_block(up_to)? else { return Ok(None) };
        let index = self.run.with(self.pages, last, |bytes| {
            let block = Block::read(bytes)?;
            let Some(place) = block.partition(up_to)?.checked_sub(1) else { return Ok(None) };
            let (prefix, suffix) = block.entry(place)?;
            let found = compare(prefix, suffix, value, false).is_eq();
            Ok(found.then(|| block.before.saturating_add(place)))
        })?;
        // The code, which is one more, must exist too.
        index.map(|index| self.check(index.saturating_add(1)).map(|_| index)).transpose()
    }

    /// Number of values below `value`.
    pub(super) fn below(&self, value: &[u8]) -> Result<u32, Damaged> {
        self.partition(|prefix, suffix| compare(prefix, suffix, value, false).is_lt())
    }

    /// Number of values up to `value`.
    pub(super) fn up_to(&self, value: &[u8]) -> Result<u32, Damaged> {
        self.partition(|prefix, suffix| compare(prefix, suffix, value, false).is_le())
    }

    /// Number of values up to `value` and all those that begin with it; `value` has [`WHOLE`] bytes.
    pub(super) fn up_to_all_of(&self, value: &[u8]) -> Result<u32, Damaged> {
        self.partition(|prefix, suffix| compare(prefix, suffix, value, true).is_le())
    }

    /// The values at ascending indexes.
    pub(super) fn values(&self, indexes: &[u32]) -> Result<Vec<Value>, Damaged> {
        let mut values = Vec::new();
        while let Some(&index) = indexes.get(values.len()) {
            let (mut low, mut high) = (0, self.run.pages);
            while low < high {
                let middle = low + (high - low) / 2;
                let before = self.run.with(self.pages, middle, |bytes| Ok(Block::read(bytes)?.before))?;
                if before <= index { low = middle + 1 } else { high = middle }
            }
            let page = low.checked_sub(1).ok_or(Damaged("code without a value"))?;
            let rest = &indexes[values.len()..];
            self.run.with(self.pages, page, |bytes| {
                let block = Block::read(bytes)?;
                let inside = rest
                    .iter()
                    .map_while(|index| index.checked_sub(block.before).filter(|index| *index < block.count));
                let before = values.len();
                for index in inside {
                    let (prefix, suffix) = block.entry(index)?;
                    values.push(Value::from_stored(prefix, suffix));
                }
                if values.len() > before { Ok(()) } else { Err(Damaged("code without a value")) }
            })?;
        }
        Ok(values)
    }

    /// Checks the number of values against the last block: only then may memory be taken for each of them.
    pub(super) fn check_distinct(&self) -> Result<(), Damaged> {
        let found = match self.run.pages.checked_sub(1) {
            None => 0,
            Some(last) => self.run.with(self.pages, last, |bytes| {
                let block = Block::read(bytes)?;
                Ok(u64::from(block.before) + u64::from(block.count))
            })?,
        };
        let most = u64::from(self.run.pages) * (PAGE_BYTES / 2) as u64;
        if found == u64::from(self.distinct) && found <= most {
            Ok(())
        } else {
            Err(Damaged("number of values"))
        }
    }
}
