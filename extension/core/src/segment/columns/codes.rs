//! Codes of a column by slot.
//!
//! A page of a dense column: the codes of groups of 32 slots. A block of a sparse column: its length (u32), the
//! slots (u32), the codes.

use super::record::{Kind, Record};
use crate::segment::{Damaged, Mask, PAGE_BYTES, Pages};

/// Up to this many ranges of codes are tested one by one, more of them through a bit set over the codes.
const FEW_RANGES: usize = 4;

/// Groups of 32 codes in a page.
pub(super) fn groups_per_page(width: u8) -> u32 {
    PAGE_BYTES as u32 / (32 * u32::from(width))
}

/// Pairs of slot and code in a page.
pub(super) fn pairs_per_page(width: u8) -> u32 {
    (PAGE_BYTES as u32 - 4) / (4 + u32::from(width))
}

/// Appends a code.
pub(super) fn push(code: u32, width: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&code.to_le_bytes()[..usize::from(width).min(4)]);
}

/// An unsigned integer of 1, 2 or 4 bytes.
trait Code: Copy {
    const WIDTH: usize;
    fn from_u32(code: u32) -> Self;
    fn to_u32(self) -> u32;
    /// Reads a code; 0 from another number of bytes.
    fn read(bytes: &[u8]) -> Self;
    fn within(self, low: Self, span: Self) -> bool;
}

macro_rules! code {
    ($type:ty, $width:literal) => {
        impl Code for $type {
            const WIDTH: usize = $width;

            #[inline]
            fn from_u32(code: u32) -> Self {
                code as Self
            }

            #[inline]
            fn to_u32(self) -> u32 {
                self.into()
            }

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                bytes.try_into().map_or(0, Self::from_le_bytes)
            }

            #[inline]
            fn within(self, low: Self, span: Self) -> bool {
                self.wrapping_sub(low) <= span
            }
        }
    };
}
code!(u8, 1);
code!(u16, 2);
code!(u32, 4);

/// Calls a function that is generic over the type of the codes.
macro_rules! by_width {
    ($width:expr, $call:ident ( $($argument:expr),* )) => {
        match $width {
            1 => $call::<u8>($($argument),*),
            2 => $call::<u16>($($argument),*),
            _ => $call::<u32>($($argument),*),
        }
    };
}

/// Codes that are compared at a time.
const STRETCH: usize = 512;

/// Adds the slots whose code passes `test`. The comparisons of a stretch are a loop of their own, without anything
/// else in it: that is what lets a compiler do 16 and more of them at once (measured: 4 times as fast as one loop).
#[inline]
fn mark<C: Code>(bytes: &[u8], words: &mut [u32], test: impl Fn(C) -> bool) {
    let mut flags = [0_u8; STRETCH];
    for (codes, words) in bytes.chunks(STRETCH * C::WIDTH).zip(words.chunks_mut(STRETCH / 32)) {
        let flags = &mut flags[..codes.len() / C::WIDTH];
        for (flag, code) in flags.iter_mut().zip(codes.chunks_exact(C::WIDTH)) {
            *flag = u8::from(test(C::read(code)));
        }
        for (flags, word) in flags.as_chunks().0.iter().zip(words) {
            *word |= pack(flags);
        }
    }
}

/// The lowest bits of 32 bytes. The product moves bit 0 of byte `i` to bit `56 + i`, and no two of its terms meet.
#[inline]
fn pack(flags: &[u8; 32]) -> u32 {
    flags.as_chunks::<8>().0.iter().rev().fold(0, |word, flags| {
        let bits = u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word << 8 | bits as u32
    })
}

/// Adds the slots whose code lies in `low..=low + span`.
fn mark_range<C: Code>(bytes: &[u8], words: &mut [u32], low: u32, span: u32) {
    let (low, span) = (C::from_u32(low), C::from_u32(span));
    mark(bytes, words, |code: C| code.within(low, span));
}

/// Adds the slots whose code is in a bit set.
fn mark_set<C: Code>(bytes: &[u8], words: &mut [u32], set: &Mask) {
    mark(bytes, words, |code: C| set.contains(code.to_u32()));
}

/// Calls `visit` with the codes of the wanted slots, of all without a choice.
fn each_code<C: Code>(bytes: &[u8], wanted: Option<&[u32]>, mut visit: impl FnMut(u32)) {
    let Some(words) = wanted else {
        return bytes.chunks_exact(C::WIDTH).for_each(|code| visit(C::read(code).to_u32()));
    };
    for (codes, word) in bytes.chunks_exact(32 * C::WIDTH).zip(words) {
        let mut rest = *word;
        while rest != 0 {
            let start = rest.trailing_zeros() as usize * C::WIDTH;
            visit(C::read(&codes[start..start + C::WIDTH]).to_u32());
            rest &= rest - 1;
        }
    }
}

fn code_at<C: Code>(bytes: &[u8], index: usize) -> Option<u32> {
    let start = index.checked_mul(C::WIDTH)?;
    Some(C::read(bytes.get(start..start.checked_add(C::WIDTH)?)?).to_u32())
}

/// The codes of a column.
pub(super) struct Codes<'a, P> {
    pub(super) record: &'a Record,
    pub(super) slots: u32,
    pub(super) pages: &'a P,
}

impl<P: Pages> Codes<'_, P> {
    /// The slots whose codes lie in one of the ascending ranges (`(first, last)`, both included, of codes).
    pub(super) fn mask(&self, ranges: &[(u32, u32)]) -> Result<Mask, Damaged> {
        let mut mask = Mask::none(self.slots);
        if ranges.is_empty() {
            return Ok(mask);
        }
        let set = (ranges.len() > FEW_RANGES).then(|| {
            let mut set = Mask::none(ranges.last().map_or(0, |(_, last)| last.saturating_add(1)));
            ranges.iter().for_each(|(first, last)| (*first..=*last).for_each(|code| set.insert(code)));
            set
        });
        let width = self.record.width;
        match self.record.kind {
            Kind::Dropped => {}
            Kind::Sparse => self.each_block(|block| {
                for (slot, code) in block.pairs() {
                    let within = |(first, last): &(u32, u32)| (*first..=*last).contains(&code);
                    if set.as_ref().map_or_else(|| ranges.iter().any(within), |set| set.contains(code)) {
                        mask.insert(slot);
                    }
                }
                Ok(())
            })?,
            Kind::Dense => self.each_page(|bytes, first| {
                let words = mask.words_mut().get_mut(first..).unwrap_or_default();
                match &set {
                    Some(set) => by_width!(width, mark_set(bytes, words, set)),
                    None => ranges
                        .iter()
                        .for_each(|(low, high)| by_width!(width, mark_range(bytes, words, *low, high - low))),
                }
                Ok(())
            })?,
        }
        Ok(mask)
    }

    /// Calls `visit` with the code of every slot of the mask, in the order of the slots; 0 for some of those that
    /// have none.
    pub(super) fn each(&self, mask: Option<&Mask>, mut visit: impl FnMut(u32)) -> Result<(), Damaged> {
        match self.record.kind {
            Kind::Dropped => Ok(()),
            Kind::Dense => self.each_page(|bytes, first| {
                let wanted = mask.map(|mask| mask.words().get(first..).unwrap_or_default());
                by_width!(self.record.width, each_code(bytes, wanted, &mut visit));
                Ok(())
            }),
            Kind::Sparse => self.each_block(|block| {
                block
                    .pairs()
                    .filter(|(slot, _)| mask.is_none_or(|mask| mask.contains(*slot)))
                    .for_each(|(_, code)| visit(code));
                Ok(())
            }),
        }
    }

    /// The codes at the given slots, in their order; 0 where there is none.
    pub(super) fn at(&self, slots: &[u32]) -> Result<Vec<u32>, Damaged> {
        let mut codes = vec![0; slots.len()];
        let mut order: Vec<usize> = (0..slots.len()).filter(|i| slots[*i] < self.slots).collect();
        order.sort_unstable_by_key(|i| slots[*i]);
        match self.record.kind {
            Kind::Dropped => {}
            Kind::Dense => {
                let per_page = 32 * groups_per_page(self.record.width);
                for run in order.chunk_by(|a, b| slots[*a] / per_page == slots[*b] / per_page) {
                    self.record.codes.with(self.pages, slots[run[0]] / per_page, |bytes| {
                        for i in run {
                            let index = (slots[*i] % per_page) as usize;
                            codes[*i] = by_width!(self.record.width, code_at(bytes, index))
                                .ok_or(Damaged("short page of codes"))?;
                        }
                        Ok(())
                    })?;
                }
            }
            Kind::Sparse if order.is_empty() => {}
            Kind::Sparse => self.each_block(|block| {
                let begin = block.slots.first().map_or(0, |slot| u32::from_le_bytes(*slot));
                let end = block.slots.last().map_or(0, |slot| u32::from_le_bytes(*slot));
                let first = order.partition_point(|i| slots[*i] < begin);
                for i in order.iter().skip(first).take_while(|i| slots[**i] <= end) {
                    if let Ok(place) =
                        block.slots.binary_search_by_key(&slots[*i], |slot| u32::from_le_bytes(*slot))
                    {
                        codes[*i] = block.code(place);
                    }
                }
                Ok(())
            })?,
        }
        Ok(codes)
    }

    /// Calls `read` with the codes of each page of a dense column and the number of their first group.
    fn each_page(&self, mut read: impl FnMut(&[u8], usize) -> Result<(), Damaged>) -> Result<(), Damaged> {
        let (groups, per_page) = (self.slots.div_ceil(32), groups_per_page(self.record.width));
        if self.record.codes.pages != groups.div_ceil(per_page) {
            return Err(Damaged("pages of codes"));
        }
        for page in 0..self.record.codes.pages {
            let first = page * per_page;
            let length = per_page.min(groups - first) as usize * 32 * usize::from(self.record.width);
            self.record.codes.with(self.pages, page, |bytes| {
                read(bytes.get(..length).ok_or(Damaged("short page of codes"))?, first as usize)
            })?;
        }
        Ok(())
    }

    fn each_block(&self, mut read: impl FnMut(Block<'_>) -> Result<(), Damaged>) -> Result<(), Damaged> {
        for page in 0..self.record.codes.pages {
            self.record.codes.with(self.pages, page, |bytes| read(Block::read(bytes, self.record.width)?))?;
        }
        Ok(())
    }
}

/// Ascending pairs of slot and code.
struct Block<'a> {
    slots: &'a [[u8; 4]],
    codes: &'a [u8],
    width: u8,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8], width: u8) -> Result<Self, Damaged> {
        const SHORT: Damaged = Damaged("short block of codes");
        let (count, rest) = bytes.split_first_chunk().ok_or(SHORT)?;
        let count = u32::from_le_bytes(*count) as usize;
        if count > PAGE_BYTES {
            return Err(SHORT);
        }
        let (slots, rest) = rest.split_at_checked(4 * count).ok_or(SHORT)?;
        let codes = rest.get(..usize::from(width) * count).ok_or(SHORT)?;
        Ok(Self { slots: slots.as_chunks().0, codes, width })
    }

    /// The code at `index`; 0 past the end.
    fn code(&self, index: usize) -> u32 {
        by_width!(self.width, code_at(self.codes, index)).unwrap_or(0)
    }

    fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        self.slots.iter().enumerate().map(|(i, slot)| (u32::from_le_bytes(*slot), self.code(i)))
    }
}
