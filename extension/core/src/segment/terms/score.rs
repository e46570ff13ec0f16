//! Scores a segment for a query.
//!
//! Term at a time over windows of slots: the shares of each term, in the query's order, are added to an
//! accumulator per slot, then the window's best are taken and its accumulators cleared. Every slot's sum has the
//! same order of additions whatever the path, so equal documents tie exactly, here and in
//! [`QueryTerms::score`](crate::bm25::QueryTerms::score).

use super::block::{Blocks, Header, Step};
use super::dictionary::{SHORT, short_postings};
use super::kernel::{Decoded, Kernel};
use super::top::{Hit, Top};
use super::{TermInfo, Terms};
use crate::bm25::{Norms, impact};
use crate::segment::{Damaged, Mask, Pages};
use std::cell::Cell;

/// Slots of a window; its accumulators fit the second-level cache.
const WINDOW: usize = 65_536;
/// With fewer postings than a sixteenth of the slots, the touched slots are noted, which is cheaper than going
/// over all accumulators.
const SPARSE: u64 = 16;
/// How far a block's mask is looked at to see whether the block is needed, in words of 32 slots.
const LOOK_AHEAD: usize = 64;
/// The bound of a block is computed in the same rounded arithmetic as the scores; this is more than rounding
/// can make of it.
const SLACK: f32 = 1.000_001;

thread_local! {
    /// The accumulators of a window, all 0 between calls. They stay, because clearing them would take as long as a search
    /// of few postings.
    static SUMS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// One term's postings that are still to come.
struct List {
    weight: f32,
    source: Source,
}

enum Source {
    /// Slots with their shares, and how many were used.
    Short(Vec<(u32, f32)>, usize),
    /// Blocks, and a slot that is not greater than the next one.
    Long(Blocks, u32),
}

impl List {
    /// No slot before this one is left; `None` at the end.
    fn next(&self) -> Option<u32> {
        match &self.source {
            Source::Short(postings, used) => postings.get(*used).map(|&(slot, _)| slot),
            Source::Long(blocks, next) => (!blocks.done()).then_some(*next),
        }
    }
}

impl Terms {
    /// Scores the segment's slots: the sum of the shares ([`impact`]) of the terms that a slot holds, added in
    /// the order of `terms`. The best slots of the mask (without one, of all) are offered to `top` as hits of
    /// `segment`. `out` becomes the scores of `wanted`, which must ascend, whatever the mask: 0 for a slot
    /// without any of the terms.
    ///
    /// `slots` is the number of slots of the segment; weights are not negative; a term the segment does not
    /// have is `None`. Memory: 256 kB that stay for the next call in the thread, and 8 bytes a posting of terms of
    /// few documents.
    ///
    /// # Errors
    /// [`Damaged`] for a missing or damaged page; `top` may have got some hits then.
    #[allow(clippy::too_many_arguments)]
    pub fn score(
        &self,
        pages: &impl Pages,
        terms: &[Option<(TermInfo, f32)>],
        norms: &Norms,
        slots: u32,
        mask: Option<&Mask>,
        wanted: &[u32],
        out: &mut Vec<f32>,
        segment: u32,
        top: &mut Top,
    ) -> Result<(), Damaged> {
        out.clear();
        out.resize(wanted.len(), 0.0);
        if top.k() == 0 && wanted.is_empty() {
            return Ok(());
        }
        for (term, _) in terms.iter().flatten().filter(|(term, _)| term.df > SHORT) {
            self.blocks(*term).prefetch(pages);
        }
        let mut lists = Vec::with_capacity(terms.len());
        let mut postings = 0;
        for &(term, weight) in terms.iter().flatten() {
            postings += u64::from(term.df);
            let source = if term.df <= SHORT {
                let postings = short_postings(self.meta.dictionary, pages, term, slots)?;
                let share = |tf: u16, dl: u16| impact(weight, tf.into(), dl.into(), norms);
                Source::Short(postings.iter().map(|p| (p.slot, share(p.tf, p.dl))).collect(), 0)
            } else {
                Source::Long(self.blocks(term), 0)
            };
            lists.push(List { weight, source });
        }
        let needed = needed(mask, wanted, top.k(), slots);
        let needed = needed.as_ref();
        let sparse = postings < u64::from(slots) / SPARSE;
        let decoded = Decoded::new();
        let kernel = self.kernel;
        let mut pass = Pass {
            pages,
            kernel,
            norms,
            slots,
            mask,
            needed,
            wanted,
            out,
            segment,
            sparse,
            touched: Vec::new(),
            decoded,
        };
        match lists.as_mut_slice() {
            [] => Ok(()),
            [list] => pass.one_list(list, top),
            lists => pass.windows(lists, top),
        }
    }
}

/// The slots whose scores somebody asks for; `None` for all.
fn needed(mask: Option<&Mask>, wanted: &[u32], k: usize, slots: u32) -> Option<Mask> {
    let mut needed = if k == 0 { Mask::none(slots) } else { mask?.clone() };
    wanted.iter().for_each(|&slot| needed.insert(slot));
    Some(needed)
}

/// Whether the set has a slot of `first..=last`; may err towards true when that is long.
fn any_within(mask: &Mask, first: u32, last: u32) -> bool {
    let (from, to) = ((first / 32) as usize, (last / 32) as usize);
    let words = mask.words();
    to - from >= LOOK_AHEAD
        || words.get(from..words.len().min(to + 1)).is_some_and(|words| words.iter().any(|&word| word != 0))
}

/// Whether a score is at least `cut`; without a way out of the loop, so that it is done several at a time.
fn reaches(scores: &[f32], cut: f32) -> bool {
    scores.iter().fold(false, |any, &score| any | (score >= cut))
}

/// What the steps of one call share.
struct Pass<'a, P> {
    pages: &'a P,
    kernel: Kernel,
    norms: &'a Norms,
    slots: u32,
    mask: Option<&'a Mask>,
    needed: Option<&'a Mask>,
    wanted: &'a [u32],
    out: &'a mut [f32],
    segment: u32,
    sparse: bool,
    touched: Vec<u32>,
    decoded: Decoded,
}

impl<P: Pages> Pass<'_, P> {
    /// One term needs no sums: each block's shares are the scores, and a block whose bound is too low is passed
    /// over.
    fn one_list(&mut self, list: &mut List, top: &mut Top) -> Result<(), Damaged> {
        let weight = list.weight;
        let blocks = match &mut list.source {
            Source::Long(blocks, _) => blocks,
            Source::Short(postings, _) => {
                for &mut (slot, score) in postings {
                    self.take_one(slot, score, top);
                    self.answer(slot, slot, |_| score);
                }
                return Ok(());
            }
        };
        let mut blocks = blocks.clone();
        let pages = self.pages;
        blocks.walk(pages, self.slots, |header, data| {
            let bound = impact(weight, header.max_tf.into(), header.min_dl.into(), self.norms) * SLACK;
            let enters = bound >= top.cut(self.segment, header.first)
                && self.mask.is_none_or(|mask| any_within(mask, header.first, header.last));
            let from = self.wanted.partition_point(|&slot| slot < header.first);
            let asked = self.wanted.get(from).is_some_and(|&slot| slot <= header.last);
            if enters || asked {
                self.kernel.decode(header, data, weight, self.norms, &mut self.decoded)?;
            }
            if enters {
                self.take_block(header, top);
            }
            if asked {
                let slots = self.decoded.slots;
                let impacts = self.decoded.impacts;
                self.answer(header.first, header.last, |slot| {
                    slots[..header.count].binary_search(&slot).map_or(0.0, |at| impacts[at])
                });
            }
            Ok(Step::Next)
        })
    }

    fn take_one(&self, slot: u32, score: f32, top: &mut Top) {
        if self.mask.is_none_or(|mask| mask.contains(slot)) {
            top.offer(Hit { score, segment: self.segment, slot });
        }
    }

    fn take_block(&self, header: &Header, top: &mut Top) {
        let mut cut = top.cut(self.segment, header.first);
        if !reaches(&self.decoded.impacts[..header.count], cut) {
            return;
        }
        let postings = self.decoded.slots.iter().zip(&self.decoded.impacts);
        for (&slot, &score) in postings.take(header.count) {
            if score >= cut {
                self.take_one(slot, score, top);
                cut = top.cut(self.segment, header.first);
            }
        }
    }

    /// Fills in the scores of the wanted slots of `first..=last`.
    fn answer(&mut self, first: u32, last: u32, score: impl Fn(u32) -> f32) {
        let from = self.wanted.partition_point(|&slot| slot < first);
        for (&slot, out) in self.wanted.iter().zip(self.out.iter_mut()).skip(from) {
            if slot > last {
                break;
            }
            *out = score(slot);
        }
    }

    /// Several terms: window by window, without those in which no list has a slot or no slot is needed.
    fn windows(&mut self, lists: &mut [List], top: &mut Top) -> Result<(), Damaged> {
        // Taken out for the time: after an error the accumulators are not clean and must not come back.
        let mut scratch = SUMS.take();
        scratch.resize(WINDOW, 0.0);
        let Some(sums) = scratch.first_chunk_mut::<WINDOW>() else { return Ok(()) };
        while let Some(next) = lists.iter().filter_map(List::next).min().filter(|&next| next < self.slots) {
            let base = next - next % WINDOW as u32;
            let end = base.saturating_add(WINDOW as u32);
            let words = base as usize / 32..(base as usize + WINDOW) / 32;
            let skipped = self.needed.is_some_and(|mask| {
                let words =
                    mask.words().get(words.start..words.end.min(mask.words().len())).unwrap_or_default();
                words.iter().all(|&word| word == 0)
            });
            for list in &mut *lists {
                self.add(list, base, end, skipped, sums)?;
            }
            if !skipped {
                self.answer(base, end - 1, |slot| sums[slot as usize % WINDOW]);
                if self.sparse {
                    self.take_touched(base, sums, top);
                } else {
                    self.take_window(base, sums, top);
                }
            }
        }
        SUMS.set(scratch);
        Ok(())
    }

    /// Adds the shares of one term in `base..end`, or passes them over.
    fn add(
        &mut self,
        list: &mut List,
        base: u32,
        end: u32,
        skipped: bool,
        sums: &mut [f32; WINDOW],
    ) -> Result<(), Damaged> {
        let (blocks, next) = match &mut list.source {
            Source::Long(blocks, next) => (blocks, next),
            Source::Short(postings, used) => {
                for &(slot, share) in postings[*used..].iter().take_while(|(slot, _)| *slot < end) {
                    *used += 1;
                    if !skipped {
                        sums[slot as usize % WINDOW] += share;
                        self.touched.push(slot);
                    }
                }
                return Ok(());
            }
        };
        if *next >= end {
            return Ok(());
        }
        if skipped {
            *next = end;
            return Ok(());
        }
        blocks.walk(self.pages, self.slots, |header, data| {
            if header.first >= end {
                *next = header.first;
                return Ok(Step::Stay);
            }
            let goes_on = header.last >= end;
            let (first, last) = (header.first.max(base), header.last.min(end - 1));
            if header.last < base || self.needed.is_some_and(|mask| !any_within(mask, first, last)) {
                *next = end;
            } else {
                self.kernel.decode(header, data, list.weight, self.norms, &mut self.decoded)?;
                let slots = &self.decoded.slots[..header.count];
                let from = if header.first < base { slots.partition_point(|&slot| slot < base) } else { 0 };
                let to = if goes_on { slots.partition_point(|&slot| slot < end) } else { slots.len() };
                *next = slots.get(to).copied().unwrap_or(end);
                let slots = &slots[from..to];
                for (&slot, &share) in slots.iter().zip(&self.decoded.impacts[from..to]) {
                    sums[slot as usize % WINDOW] += share;
                }
                if self.sparse {
                    self.touched.extend_from_slice(slots);
                }
            }
            Ok(if goes_on { Step::Stay } else { Step::Next })
        })
    }

    /// Takes the best of the slots that were touched, and clears their sums.
    fn take_touched(&mut self, base: u32, sums: &mut [f32; WINDOW], top: &mut Top) {
        let mut cut = top.cut(self.segment, base);
        for slot in self.touched.drain(..) {
            let score = std::mem::take(&mut sums[slot as usize % WINDOW]);
            if score >= cut && self.mask.is_none_or(|mask| mask.contains(slot)) {
                top.offer(Hit { score, segment: self.segment, slot });
                cut = top.cut(self.segment, base);
            }
        }
    }

    /// Takes the best of the window, and clears it.
    fn take_window(&mut self, base: u32, sums: &mut [f32; WINDOW], top: &mut Top) {
        self.touched.clear();
        let used = ((self.slots - base) as usize).next_multiple_of(32).min(WINDOW);
        let mut cut = top.cut(self.segment, base);
        for (group, sums) in sums[..used].as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let group = base / 32 + group as u32;
            let mut word =
                self.mask.map_or(u32::MAX, |mask| mask.words().get(group as usize).copied().unwrap_or(0));
            if word != 0 && reaches(sums, cut) {
                while word != 0 {
                    let bit = word.trailing_zeros();
                    word &= word - 1;
                    let (slot, score) = (group * 32 + bit, sums[bit as usize % 32]);
                    if score >= cut {
                        top.offer(Hit { score, segment: self.segment, slot });
                        cut = top.cut(self.segment, slot);
                    }
                }
            }
            *sums = [0.0; 32];
        }
    }
}
