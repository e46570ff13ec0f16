//! Postings of terms for BM25: which slots hold a lexeme, how often, in documents of which length.
//!
//! A dictionary leads from lexemes to lists of postings ([`dictionary`]); long lists are kept in blocks
//! ([`block`]), short ones in the dictionary itself. [`Terms::score`] adds up the shares of a query's terms, term
//! at a time and exhaustively. Leaving out terms by their bounds (MaxScore with the blocks' bounds, window by
//! window) was measured over 400,000 chunks and gave no gain for 2 to 5 terms and a worse p99: chunks of text are
//! short, so bounds are far above scores, and decoding is cheap. Only the search for a single term uses bounds.

mod block;
mod builder;
mod dictionary;
mod intern;
mod kernel;
mod score;
mod top;
mod varint;

#[cfg(test)]
mod tests;

pub use builder::TermsBuilder;
pub use top::{Hit, Top};

use crate::bm25::Norms;
use crate::segment::{Damaged, Mask, PAGE_BYTES, Pages, Section};
use block::{Blocks, Step};
use dictionary::{Heads, SHORT, short_postings};
use kernel::{Decoded, Kernel};

/// What a segment's header says about its terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TermsMeta {
    /// Number of distinct lexemes.
    terms: u32,
    blocks: Section,
    dictionary: Section,
}

impl TermsMeta {
    /// Number of distinct lexemes.
    pub fn terms(&self) -> u32 {
        self.terms
    }

    /// Number of pages.
    pub fn pages(&self) -> u32 {
        self.blocks.pages.saturating_add(self.dictionary.pages)
    }

    /// Appends 20 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (blocks, dictionary) = (self.blocks, self.dictionary);
        let numbers = [self.terms, blocks.first, blocks.pages, dictionary.first, dictionary.pages];
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    /// Takes 20 bytes off the front.
    ///
    /// # Errors
    /// [`Damaged`] when there are fewer.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let (numbers, rest) = bytes.split_first_chunk::<20>().ok_or(Damaged("header of terms"))?;
        *bytes = rest;
        let mut numbers = numbers.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number));
        let mut number = || numbers.next().unwrap_or(0);
        Ok(Self {
            terms: number(),
            blocks: Section { first: number(), pages: number() },
            dictionary: Section { first: number(), pages: number() },
        })
    }
}

/// A term of a segment, as [`Terms::find`] gave it; of use in that segment only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermInfo {
    /// Number of slots that hold it, deleted ones included.
    pub df: u32,
    /// Page of the dictionary if at most [`SHORT`] slots hold it, else page of blocks.
    page: u32,
    offset: u16,
}

/// The terms of one segment.
#[derive(Debug, Clone)]
pub struct Terms {
    meta: TermsMeta,
    heads: Heads,
    kernel: Kernel,
}

impl Terms {
    /// Reads the pages of the dictionary once and keeps the first lexeme of each: about 16 bytes for 8 kB of
    /// dictionary, 2 kB for 100,000 chunks of text.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page.
    pub fn load(meta: TermsMeta, pages: &impl Pages) -> Result<Self, Damaged> {
        Ok(Self { meta, heads: Heads::load(meta.dictionary, pages)?, kernel: Kernel::detect() })
    }

    /// Memory held, in bytes.
    pub fn cached_bytes(&self) -> usize {
        size_of::<Self>() + self.heads.bytes()
    }

    /// Looks a lexeme up; reads one page.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page.
    pub fn find(&self, pages: &impl Pages, lexeme: &[u8]) -> Result<Option<TermInfo>, Damaged> {
        self.heads.find(self.meta.dictionary, pages, lexeme)
    }

    /// Begins to load the page that [`Terms::find`] is going to read.
    pub fn prefetch(&self, pages: &impl Pages, lexeme: &[u8]) {
        if let Ok(Some(page)) = self.heads.page_of(lexeme) {
            self.meta.dictionary.prefetch(pages, page, 0..PAGE_BYTES);
        }
    }

    /// Number of slots of the mask that hold the term.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page.
    pub fn live_df(&self, pages: &impl Pages, term: TermInfo, mask: &Mask) -> Result<u32, Damaged> {
        let mut live = 0;
        self.for_slots(pages, term, |slots| {
            live += slots.iter().map(|&slot| u32::from(mask.contains(slot))).sum::<u32>();
        })?;
        Ok(live)
    }

    /// Adds every slot that holds the term to the mask; slots past the mask's end are left out.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page; the mask may have got some slots then.
    pub fn slots_of(&self, pages: &impl Pages, term: TermInfo, mask: &mut Mask) -> Result<(), Damaged> {
        self.for_slots(pages, term, |slots| slots.iter().for_each(|&slot| mask.insert(slot)))
    }

    fn for_slots(
        &self,
        pages: &impl Pages,
        term: TermInfo,
        mut visit: impl FnMut(&[u32]),
    ) -> Result<(), Damaged> {
        if term.df <= SHORT {
            let postings = short_postings(self.meta.dictionary, pages, term, u32::MAX)?;
            postings.iter().for_each(|posting| visit(&[posting.slot]));
            return Ok(());
        }
        let mut decoded = Decoded::new();
        let norms = Norms::new(0.0);
        self.blocks(term).walk(pages, u32::MAX, |header, data| {
            self.kernel.decode(header, data, 0.0, &norms, &mut decoded)?;
            visit(&decoded.slots[..header.count]);
            Ok(Step::Next)
        })
    }

    fn blocks(&self, term: TermInfo) -> Blocks {
        Blocks::new(self.meta.blocks, term.page, term.offset, term.df)
    }
}
