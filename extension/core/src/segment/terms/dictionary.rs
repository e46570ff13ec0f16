//! The dictionary: every lexeme, how many documents have it, and where its postings are.
//!
//! Lexemes stand in byte order, in groups of 16. The first of a group is whole, the others leave out what they
//! share with the one before; the page ends with the places of its groups, so a look-up is a binary search over
//! pages, one over groups, and a walk over one group. A term of few documents has its postings here, which costs
//! neither a block nor a second page.
//!
//! ```text
//! page:  groups; u16 offset of each group; u16 number of groups
//! entry: bytes shared; bytes that follow; the bytes that follow; documents; postings or place
//!        (numbers as in `varint`; postings: distance to the slot before, frequency, length of each;
//!        place: page within the section of blocks, offset)
//! ```

use super::block::Posting;
use super::{TermInfo, varint};
use crate::segment::{Damaged, PAGE_BYTES, PageSink, Pages, Section};

/// Most documents of a term whose postings stand in the dictionary.
pub(super) const SHORT: u32 = 8;
/// Entries of a group.
const GROUP: usize = 16;
/// Longest lexeme of a `tsvector`.
pub(super) const MAX_LEXEME: usize = 2047;

/// Where the postings of a new entry are.
pub(super) enum Entry<'a> {
    /// At most [`SHORT`], ascending by slot.
    Postings(&'a [Posting]),
    /// So many documents, from this offset of this page of blocks on.
    Blocks(u32, (u32, u16)),
}

/// Collects the pages of the dictionary.
#[derive(Default)]
pub(super) struct DictionaryWriter {
    pages: Vec<Vec<u8>>,
    page: Vec<u8>,
    groups: Vec<u16>,
    in_group: usize,
    previous: Vec<u8>,
    entry: Vec<u8>,
}

impl DictionaryWriter {
    /// Adds a lexeme, greater than all before.
    pub(super) fn add(&mut self, lexeme: &[u8], entry: Entry) {
        self.encode(lexeme, &entry);
        if self.page.len() + self.entry.len() + 2 * (self.groups.len() + 2) > PAGE_BYTES {
            self.close_page();
            self.encode(lexeme, &entry);
        }
        if self.in_group == 0 {
            self.groups.push(self.page.len() as u16);
        }
        self.page.extend_from_slice(&self.entry);
        self.in_group = (self.in_group + 1) % GROUP;
        self.previous.clear();
        self.previous.extend_from_slice(lexeme);
    }

    fn encode(&mut self, lexeme: &[u8], entry: &Entry) {
        let both = self.previous.iter().zip(lexeme);
        let shared = if self.in_group == 0 { 0 } else { both.take_while(|(a, b)| a == b).count() };
        let out = &mut self.entry;
        out.clear();
        varint::write(shared as u32, out);
        varint::write((lexeme.len() - shared) as u32, out);
        out.extend_from_slice(&lexeme[shared..]);
        match *entry {
            Entry::Postings(postings) => {
                varint::write(postings.len() as u32, out);
                let mut before = 0;
                for posting in postings {
                    varint::write(posting.slot - before, out);
                    varint::write(posting.tf.into(), out);
                    varint::write(posting.dl.into(), out);
                    before = posting.slot;
                }
            }
            Entry::Blocks(df, (page, offset)) => {
                varint::write(df, out);
                varint::write(page, out);
                varint::write(offset.into(), out);
            }
        }
    }

    fn close_page(&mut self) {
        if !self.groups.is_empty() {
            self.page.extend(self.groups.iter().flat_map(|offset| offset.to_le_bytes()));
            self.page.extend((self.groups.len() as u16).to_le_bytes());
            self.pages.push(std::mem::take(&mut self.page));
            self.groups.clear();
            self.in_group = 0;
        }
    }

    /// Writes the pages.
    pub(super) fn finish(mut self, sink: &mut impl PageSink) -> Section {
        self.close_page();
        let mut section = Section::default();
        for page in &self.pages {
            let number = sink.push(page);
            if section.pages == 0 {
                section.first = number;
            }
            section.pages += 1;
        }
        section
    }
}

/// The first lexeme of every page, which is what a reader keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Heads {
    /// Reads all pages of the dictionary once.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page.
    pub(super) fn load(section: Section, pages: &impl Pages) -> Result<Self, Damaged> {
        let mut heads = Self::default();
        for index in 0..section.pages {
            pages.with(section.page(index)?, |bytes| {
                heads.bytes.extend_from_slice(Page::new(bytes)?.head(0)?);
                heads.ends.push(heads.bytes.len());
                Ok(())
            })?;
        }
        Ok(heads)
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// The page that has the lexeme if any has.
    pub(super) fn page_of(&self, lexeme: &[u8]) -> Result<Option<u32>, Damaged> {
        let head = |index: usize| {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[start..self.ends[index]]
        };
        let after = partition_point(self.ends.len(), |index| Ok(head(index) <= lexeme))?;
        Ok(after.checked_sub(1).map(|page| page as u32))
    }

    /// Looks a lexeme up.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page.
    pub(super) fn find(
        &self,
        section: Section,
        pages: &impl Pages,
        lexeme: &[u8],
    ) -> Result<Option<TermInfo>, Damaged> {
        let Some(index) = self.page_of(lexeme)? else { return Ok(None) };
        pages.with(section.page(index)?, |bytes| Page::new(bytes)?.find(lexeme, index))
    }
}

/// The first index for which `below` is false, when it is true up to some index.
fn partition_point(len: usize, below: impl Fn(usize) -> Result<bool, Damaged>) -> Result<usize, Damaged> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// One page of the dictionary.
struct Page<'a> {
    entries: &'a [u8],
    groups: &'a [[u8; 2]],
}

impl<'a> Page<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let split = || {
            let (rest, count) = bytes.split_last_chunk::<2>()?;
            let size = usize::from(u16::from_le_bytes(*count)) * 2;
            let (entries, groups) = rest.split_at_checked(rest.len().checked_sub(size)?)?;
            Some(Self { entries, groups: groups.as_chunks().0 })
        };
        split().filter(|page| !page.groups.is_empty()).ok_or(Damaged("page of the dictionary"))
    }

    /// The bytes of a group, and of none behind the last.
    fn group(&self, group: usize) -> Result<&'a [u8], Damaged> {
        let place =
            |index: usize| self.groups.get(index).map(|place| usize::from(u16::from_le_bytes(*place)));
        let start = place(group).unwrap_or(self.entries.len());
        let end = place(group + 1).unwrap_or(self.entries.len());
        self.entries.get(start..end).ok_or(Damaged("group of the dictionary"))
    }

    /// The first lexeme of a group.
    fn head(&self, group: usize) -> Result<&'a [u8], Damaged> {
        let mut rest = self.group(group)?;
        if varint::read(&mut rest)? != 0 {
            return Err(Damaged("head of a group of the dictionary"));
        }
        suffix(&mut rest)
    }

    fn find(&self, lexeme: &[u8], page: u32) -> Result<Option<TermInfo>, Damaged> {
        let after = partition_point(self.groups.len(), |group| Ok(self.head(group)? <= lexeme))?;
        let Some(group) = after.checked_sub(1) else { return Ok(None) };
        let mut rest = self.group(group)?;
        let mut current: Vec<u8> = Vec::with_capacity(64);
        while !rest.is_empty() {
            let shared = varint::read(&mut rest)? as usize;
            if shared > current.len() {
                return Err(Damaged("entry of the dictionary"));
            }
            current.truncate(shared);
            current.extend_from_slice(suffix(&mut rest)?);
            let df = varint::read(&mut rest)?;
            match current.as_slice().cmp(lexeme) {
                std::cmp::Ordering::Less => skip(&mut rest, df)?,
                std::cmp::Ordering::Greater => break,
                std::cmp::Ordering::Equal if df > SHORT => {
                    let (page, offset) = (varint::read(&mut rest)?, varint::read(&mut rest)?);
                    let offset = u16::try_from(offset).map_err(|_| Damaged("place of postings"))?;
                    return Ok(Some(TermInfo { df, page, offset }));
                }
                std::cmp::Ordering::Equal => {
                    let start = self.group(group)?.len() - rest.len();
                    let group = self.groups.get(group).map_or(0, |place| u16::from_le_bytes(*place));
                    let offset =
                        u16::try_from(usize::from(group) + start).map_err(|_| Damaged("long page"))?;
                    return Ok(Some(TermInfo { df, page, offset }));
                }
            }
        }
        Ok(None)
    }
}

/// Takes the bytes that follow a shared part.
fn suffix<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let len = varint::read(rest)? as usize;
    let (suffix, after) = rest.split_at_checked(len).ok_or(Damaged("lexeme is cut off"))?;
    *rest = after;
    Ok(suffix)
}

/// Passes over postings or the place of blocks.
fn skip(rest: &mut &[u8], df: u32) -> Result<(), Damaged> {
    let numbers = if df > SHORT { 2 } else { 3 * df };
    (0..numbers).try_for_each(|_| varint::read(rest).map(|_| ()))
}

/// The postings that stand in the dictionary, ascending, below `slots`.
///
/// # Errors
/// [`Damaged`] for a missing page, or postings that are cut off or out of order.
pub(super) fn short_postings(
    section: Section,
    pages: &impl Pages,
    term: TermInfo,
    slots: u32,
) -> Result<Vec<Posting>, Damaged> {
    pages.with(section.page(term.page)?, |bytes| {
        let mut rest = bytes.get(usize::from(term.offset)..).ok_or(Damaged("place of postings"))?;
        let mut slot = 0u32;
        let mut postings = Vec::with_capacity(SHORT as usize);
        for _ in 0..term.df.min(SHORT) {
            slot = slot.checked_add(varint::read(&mut rest)?).ok_or(Damaged("slot of a posting"))?;
            let mut number = || varint::read(&mut rest).map(|number| number.min(u16::MAX.into()) as u16);
            postings.push(Posting { slot, tf: number()?.max(1), dl: number()? });
        }
        if slot < slots || postings.is_empty() { Ok(postings) } else { Err(Damaged("slot of a posting")) }
    })
}
