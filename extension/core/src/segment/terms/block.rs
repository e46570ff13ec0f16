//! Blocks of postings, and the pages that hold them.
//!
//! A block holds up to 128 postings of one term. Its header tells the slots it spans and what bounds the score
//! of its postings, so a reader skips a block without reading on. Three columns follow, each packed with as many
//! bits a number as the largest one needs (frame of reference; Lemire and Boytsov, "Decoding billions of integers
//! per second through vectorization", 2015): the distance to the slot before, the term frequency less 1, and the
//! document's length less the least one of the block.
//!
//! ```text
//! page:  u16 end of the blocks; blocks; PAD bytes, so that a vector loaded at any number stays on the page
//! block: u8 postings - 1; u16 bits of a distance, of a frequency, of a length (5 bits each); u32 first slot;
//!        u32 last slot; u16 greatest frequency; u16 least length; distances; frequencies; lengths
//! ```
//!
//! The blocks of a term follow each other, over pages if need be, ascending by slot; no block crosses a page.

use crate::segment::{Damaged, PAGE_BYTES, PageSink, Pages, Section};

/// Most postings of a block.
pub(super) const BLOCK: usize = 128;
/// Most bits of a packed number: what a 32-bit load at any bit of a byte is sure to hold.
pub(super) const MAX_BITS: u32 = 24;
/// Bytes that follow the last block of a page.
pub(super) const PAD: usize = 32;
const HEADER_BYTES: usize = 15;
const PAGE_HEADER_BYTES: usize = 2;

/// One occurrence of a term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Posting {
    pub slot: u32,
    /// How often the term stands in the document, at least 1.
    pub tf: u16,
    /// Number of tokens of the document.
    pub dl: u16,
}

/// What a block says about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// 1 to 128.
    pub count: usize,
    /// Bits of a distance, a frequency and a length, each at most [`MAX_BITS`].
    pub bits: [u32; 3],
    pub first: u32,
    pub last: u32,
    pub max_tf: u16,
    pub min_dl: u16,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Damaged> {
        let [count, b0, b1, f0, f1, f2, f3, l0, l1, l2, l3, t0, t1, d0, d1] = *bytes;
        let bits = u32::from(u16::from_le_bytes([b0, b1]));
        let header = Self {
            count: usize::from(count) + 1,
            bits: [bits & 31, bits >> 5 & 31, bits >> 10 & 31],
            first: u32::from_le_bytes([f0, f1, f2, f3]),
            last: u32::from_le_bytes([l0, l1, l2, l3]),
            max_tf: u16::from_le_bytes([t0, t1]),
            min_dl: u16::from_le_bytes([d0, d1]),
        };
        let ordered = header.first <= header.last;
        if header.count > BLOCK || header.bits.iter().any(|&bits| bits > MAX_BITS) || !ordered {
            return Err(Damaged("header of a block of postings"));
        }
        Ok(header)
    }

    /// Bytes of the three columns.
    pub(super) fn columns(&self) -> [usize; 3] {
        self.bits.map(|bits| (self.count * bits as usize).div_ceil(8))
    }
}

fn bits_of(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}

/// Appends the low `bits` bits of every value, lowest first.
fn pack(values: impl Iterator<Item = u32>, bits: u32, out: &mut Vec<u8>) {
    let (mut held, mut pending) = (0u64, 0);
    for value in values {
        held |= u64::from(value) << pending;
        pending += bits;
        while pending >= 8 {
            out.push(held as u8);
            held >>= 8;
            pending -= 8;
        }
    }
    if pending > 0 {
        out.push(held as u8);
    }
}

/// Appends one block; `postings` has 1 to 128 of them, ascending, at distances below 2^24.
fn encode(postings: &[Posting], out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (postings.first(), postings.last()) else { return };
    let max_tf = postings.iter().map(|posting| posting.tf).max().unwrap_or(1);
    let min_dl = postings.iter().map(|posting| posting.dl).min().unwrap_or(0);
    let max_dl = postings.iter().map(|posting| posting.dl).max().unwrap_or(0);
    let distances = || {
        let before = std::iter::once(first).chain(postings);
        postings.iter().zip(before).map(|(posting, before)| posting.slot - before.slot)
    };
    let frequencies = || postings.iter().map(|posting| u32::from(posting.tf.saturating_sub(1)));
    let lengths = || postings.iter().map(|posting| u32::from(posting.dl - min_dl));
    let bits = [
        bits_of(distances().max().unwrap_or(0)),
        bits_of(u32::from(max_tf.saturating_sub(1))),
        bits_of(u32::from(max_dl - min_dl)),
    ];
    out.push((postings.len() - 1) as u8);
    out.extend(((bits[0] | bits[1] << 5 | bits[2] << 10) as u16).to_le_bytes());
    out.extend(first.slot.to_le_bytes());
    out.extend(last.slot.to_le_bytes());
    out.extend(max_tf.to_le_bytes());
    out.extend(min_dl.to_le_bytes());
    pack(distances(), bits[0], out);
    pack(frequencies(), bits[1], out);
    pack(lengths(), bits[2], out);
}

/// Fills pages with blocks.
pub(super) struct BlockWriter<'s, S> {
    sink: &'s mut S,
    section: Section,
    page: Vec<u8>,
    block: Vec<u8>,
}

impl<'s, S: PageSink> BlockWriter<'s, S> {
    pub(super) fn new(sink: &'s mut S) -> Self {
        Self { sink, section: Section::default(), page: vec![0; PAGE_HEADER_BYTES], block: Vec::new() }
    }

    /// Writes the postings of one term, ascending by slot, and returns where its first block begins: the number
    /// of the page within the section, and the offset on it.
    pub(super) fn put(&mut self, mut postings: &[Posting]) -> (u32, u16) {
        let mut place = None;
        while !postings.is_empty() {
            let near = postings.windows(2).take(BLOCK - 1);
            let count = 1 + near.take_while(|pair| bits_of(pair[1].slot - pair[0].slot) <= MAX_BITS).count();
            let (block, rest) = postings.split_at(count);
            postings = rest;
            self.block.clear();
            encode(block, &mut self.block);
            if self.page.len() + self.block.len() + PAD > PAGE_BYTES {
                self.flush();
            }
            place.get_or_insert((self.section.pages, self.page.len() as u16));
            self.page.extend_from_slice(&self.block);
        }
        place.unwrap_or_default()
    }

    /// Writes the last page and returns the section.
    pub(super) fn finish(mut self) -> Section {
        self.flush();
        self.section
    }

    fn flush(&mut self) {
        if self.page.len() > PAGE_HEADER_BYTES {
            let end = (self.page.len() as u16).to_le_bytes();
            self.page[..PAGE_HEADER_BYTES].copy_from_slice(&end);
            self.page.resize(self.page.len() + PAD, 0);
            let number = self.sink.push(&self.page);
            if self.section.pages == 0 {
                self.section.first = number;
            }
            self.section.pages += 1;
            self.page.truncate(PAGE_HEADER_BYTES);
        }
    }
}

/// What a visitor of blocks wants next.
pub(super) enum Step {
    /// The following block.
    Next,
    /// Nothing for now; the walk goes on from this same block.
    Stay,
}

/// Bytes that are loaded before a walk: about a block, after which the processor sees where it goes.
const AHEAD: usize = 512;

/// Walks the blocks of one term.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    section: Section,
    page: u32,
    offset: usize,
    left: u32,
    floor: u32,
}

impl Blocks {
    /// The blocks of `df` postings that begin at `offset` of page `page` of the section.
    pub(super) fn new(section: Section, page: u32, offset: u16, df: u32) -> Self {
        Self { section, page, offset: usize::from(offset), left: df, floor: 0 }
    }

    /// Begins to load the first bytes.
    pub(super) fn prefetch(&self, pages: &impl Pages) {
        self.section.prefetch(pages, self.page, self.offset..self.offset + AHEAD);
    }

    /// Whether every block was visited.
    pub(super) fn done(&self) -> bool {
        self.left == 0
    }

    /// Calls `visit` with the header of each further block and the bytes of the page from its columns on (at
    /// least [`PAD`] more than the columns), until it wants to stay or all are visited. Slots of the headers
    /// ascend and are below `slots`.
    ///
    /// # Errors
    /// [`Damaged`] for a page that is missing or does not hold together, and what `visit` returns.
    pub(super) fn walk(
        &mut self,
        pages: &impl Pages,
        slots: u32,
        mut visit: impl FnMut(&Header, &[u8]) -> Result<Step, Damaged>,
    ) -> Result<(), Damaged> {
        while self.left > 0 {
            let on = pages
                .with(self.section.page(self.page)?, |bytes| self.walk_page(bytes, slots, &mut visit))?;
            if !on {
                return Ok(());
            }
            self.page = self.page.checked_add(1).ok_or(Damaged("page number"))?;
            self.offset = PAGE_HEADER_BYTES;
        }
        Ok(())
    }

    /// Whether the walk goes on with the next page.
    fn walk_page(
        &mut self,
        bytes: &[u8],
        slots: u32,
        visit: &mut impl FnMut(&Header, &[u8]) -> Result<Step, Damaged>,
    ) -> Result<bool, Damaged> {
        let end = bytes.first_chunk().map_or(0, |end| usize::from(u16::from_le_bytes(*end)));
        if end + PAD > bytes.len() || self.offset < PAGE_HEADER_BYTES || self.offset >= end {
            return Err(Damaged("page of postings"));
        }
        while self.left > 0 && self.offset < end {
            let rest = &bytes[self.offset..];
            let (header, data) = rest.split_first_chunk().ok_or(Damaged("block is cut off"))?;
            let header = Header::parse(header)?;
            let next = self.offset + HEADER_BYTES + header.columns().iter().sum::<usize>();
            let count = header.count as u32;
            if next > end || count > self.left || header.first < self.floor || header.last >= slots {
                return Err(Damaged("block of postings"));
            }
            if let Step::Stay = visit(&header, data)? {
                return Ok(false);
            }
            self.left -= count;
            self.offset = next;
            self.floor = header.last;
        }
        Ok(self.left > 0)
    }
}
