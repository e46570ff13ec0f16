//! Scanning the codes of a segment.

use super::kernel::{Affine, FACTOR_BYTES, GROUP};
use super::{Candidate, Candidates, CodeQuery, Vectors};
use crate::segment::{Damaged, Mask, PAGE_BYTES, Pages};
use half::f16;

/// Standard deviation of an estimate's error, as a multiple of the row's factor. A code that keeps the signs of a residual
/// of length r in D dimensions has a factor of r / (D * 0.8)^½ and errs by 0.75 * r / D^½ (RaBitQ, theorem 3.2).
const SPREAD: f32 = 0.6;
/// What the rounding of the query's tables adds to that.
const ROUNDING: f32 = 0.001;

/// What a scan did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Lists that were visited.
    pub lists: u32,
    /// Codes that were estimated: those of all groups in which the mask left a row.
    pub codes: u64,
}

/// Lists to visit when the caller does not say, without a mask: 47 of 316 (100,000 rows), 83 of 1,000 (a million).
///
/// The share of lists that hold the nearest rows falls as lists get more and smaller, but slower than their number
/// rises; the root follows the measured recalls (see the example `vectors`).
pub fn default_probes(lists: u32) -> u32 {
    ((2.6 * f64::from(lists).sqrt()) as u32 + 1).min(lists)
}

impl Vectors {
    /// Scans the lists nearest to the query, at least `probes` of them (0: [`default_probes`], more with a mask that
    /// leaves few rows), and further ones until `want` rows of the mask were seen or no list is left. What may be among
    /// the best goes to `into` under the number `segment`. Slots that the mask does not have, or that hold no
    /// row, are left out.
    ///
    /// # Errors
    /// [`Damaged`] when a page is missing or short, or the query has other dimensions than the vectors.
    #[allow(clippy::too_many_arguments)]
    pub fn scan(
        &self,
        pages: &impl Pages,
        query: &CodeQuery,
        probes: u32,
        want: usize,
        mask: Option<&Mask>,
        segment: u32,
        into: &mut Candidates,
    ) -> Result<ScanStats, Damaged> {
        if query.dims() != self.dims {
            return Err(Damaged("dimensions of a segment"));
        }
        let lists = self.layout.lists();
        let probes = if probes == 0 { self.probes(mask) } else { probes };
        // By the angle to the centroid: a wide list has a short centroid, and its product alone would put it too late.
        let mut nearest: Vec<(f32, f32, u32)> =
            (self.centroids.chunks_exact(self.dims).zip(&self.inverses).zip(0..lists))
                .map(|((centroid, inverse), list)| {
                    let base = query.kernel.dot(&query.unit, centroid);
                    (base * inverse, base, list)
                })
                .collect();
        nearest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        let mut scanner = Scanner::new(query, self.shape.code_rows() * GROUP, segment, into);
        let mut stats = ScanStats::default();
        let mut seen = 0;
        let mut words = Vec::new();
        for (at, &(_, base, list)) in nearest.iter().enumerate() {
            if stats.lists >= probes && seen >= want {
                break;
            }
            if let Some(&(_, _, next)) = nearest.get(at + 1) {
                let groups = self.layout.count(next).div_ceil(GROUP as u32);
                self.prefetch(pages, self.layout.first_slot(next) / GROUP as u32, groups);
            }
            stats.lists += 1;
            self.words(list, mask, &mut words);
            seen += words.iter().map(|word: &u32| word.count_ones() as usize).sum::<usize>();
            stats.codes += words.iter().filter(|word| **word != 0).count() as u64 * GROUP as u64;
            let first = u64::from(self.layout.first_slot(list)) / GROUP as u64;
            self.scan_groups(pages, first, base, &words, &mut scanner)?;
        }
        Ok(stats)
    }

    /// Estimates single slots, which ascend: one candidate each, in their order. Those past the end are left out.
    ///
    /// # Errors
    /// [`Damaged`] when a page is missing or short, or the query has other dimensions than the vectors.
    pub fn estimate(
        &self,
        pages: &impl Pages,
        query: &CodeQuery,
        segment: u32,
        slots: &[u32],
    ) -> Result<Vec<Candidate>, Damaged> {
        if query.dims() != self.dims {
            return Err(Damaged("dimensions of a segment"));
        }
        let mut found = Candidates::new(slots.len());
        let mut scanner = Scanner::new(query, self.shape.code_rows() * GROUP, segment, &mut found);
        let mut list = 0;
        let mut chunks = slots.chunk_by(|a, b| *a as usize / GROUP == *b as usize / GROUP).peekable();
        while let Some(slots) = chunks.next() {
            let Some(&first) = slots.first().filter(|&&slot| slot < self.slots()) else { break };
            while list + 1 < self.layout.lists() && self.layout.first_slot(list + 1) <= first {
                list += 1;
            }
            let centroid = &self.centroids[list as usize * self.dims..][..self.dims];
            let base = query.kernel.dot(&query.unit, centroid);
            if let Some(next) = chunks.peek().and_then(|slots| slots.first()) {
                self.prefetch(pages, next / GROUP as u32, 1);
            }
            let wanted = slots.iter().fold(0, |word, slot| word | 1 << (*slot as usize % GROUP));
            self.scan_groups(pages, u64::from(first) / GROUP as u64, base, &[wanted], &mut scanner)?;
        }
        let mut found = found.into_sorted();
        found.sort_unstable_by_key(|candidate| candidate.slot);
        Ok(found)
    }

    /// Lists to visit under a mask: the fewer rows it leaves, the wider its best rows are spread.
    fn probes(&self, mask: Option<&Mask>) -> u32 {
        let lists = self.layout.lists();
        let probes = default_probes(lists);
        let Some(mask) = mask.filter(|_| probes < lists) else { return probes };
        let share = mask.count() as f64 / f64::from(self.slots().max(1));
        (f64::from(probes) / share.sqrt()).min(f64::from(lists)) as u32
    }

    /// The wanted slots of a list, a word a group.
    fn words(&self, list: u32, mask: Option<&Mask>, words: &mut Vec<u32>) {
        let first = self.layout.first_slot(list) as usize / GROUP;
        let groups = self.layout.count(list).div_ceil(GROUP as u32);
        words.clear();
        words.extend((0..groups).map(|index| {
            let wanted =
                mask.map_or(u32::MAX, |mask| mask.words().get(first + index as usize).copied().unwrap_or(0));
            wanted & self.held(list, index)
        }));
    }

    /// Begins to load the codes of some groups.
    fn prefetch(&self, pages: &impl Pages, first: u32, groups: u32) {
        const PAGE: u64 = PAGE_BYTES as u64;
        let size = self.shape.group_bytes() as u64;
        let (first, end) = (u64::from(first) * size, u64::from(first.saturating_add(groups)) * size);
        for page in first / PAGE..end.min(self.code_bytes).div_ceil(PAGE) {
            let (start, stop) = (page * PAGE, page * PAGE + PAGE);
            let bytes = (first.max(start) - start) as usize..(end.min(stop) - start) as usize;
            self.codes.prefetch(pages, page as u32, bytes);
        }
    }

    /// Scans groups of one list, page by page. A group that goes on in the next page is visited in both.
    fn scan_groups(
        &self,
        pages: &impl Pages,
        first: u64,
        base: f32,
        words: &[u32],
        scanner: &mut Scanner<'_>,
    ) -> Result<(), Damaged> {
        const PAGE: u64 = PAGE_BYTES as u64;
        let size = self.shape.group_bytes() as u64;
        let end = first + words.len() as u64;
        for page in first * size / PAGE..(end * size).div_ceil(PAGE) {
            let (start, stop) = (page * PAGE, (page * PAGE + PAGE).min(self.code_bytes));
            let (from, until) = (first.max(start / size), end.min(stop.div_ceil(size)));
            let wanted = &words[(from - first) as usize..(until - first) as usize];
            if wanted.iter().all(|word| *word == 0) {
                continue;
            }
            let number = u32::try_from(page).map_err(|_| Damaged("page of codes"))?;
            pages.with(self.codes.page(number)?, |bytes| {
                if bytes.len() as u64 != stop - start {
                    return Err(Damaged("length of a page of codes"));
                }
                for (group, &word) in (from..until).zip(wanted).filter(|(_, word)| **word != 0) {
                    let (head, tail) = (group * size, (group + 1) * size);
                    let piece = &bytes[(head.max(start) - start) as usize..(tail.min(stop) - start) as usize];
                    scanner.read(group as u32, word, base, start.saturating_sub(head) as usize, piece);
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// What a scan carries from page to page.
struct Scanner<'a> {
    query: &'a CodeQuery,
    code_bytes: usize,
    segment: u32,
    into: &'a mut Candidates,
    sums: [u16; GROUP],
    factors: [u8; FACTOR_BYTES],
}

impl<'a> Scanner<'a> {
    fn new(query: &'a CodeQuery, code_bytes: usize, segment: u32, into: &'a mut Candidates) -> Self {
        let (sums, factors) = ([0; GROUP], [0; FACTOR_BYTES]);
        Self { query, code_bytes, segment, into, sums, factors }
    }

    /// Takes the bytes of a group that begin at `offset` in it; offers the group's wanted slots with the last ones.
    #[inline]
    fn read(&mut self, group: u32, wanted: u32, base: f32, offset: usize, piece: &[u8]) {
        if offset == 0 {
            self.sums = [0; GROUP];
        }
        let (codes, factors) = piece.split_at(self.code_bytes.saturating_sub(offset).min(piece.len()));
        if !codes.is_empty() {
            self.query.kernel.accumulate(&self.query.tables[offset..], codes, &mut self.sums);
        }
        if factors.is_empty() {
            return;
        }
        let place = (offset + codes.len()).saturating_sub(self.code_bytes);
        self.factors[place..place + factors.len()].copy_from_slice(factors);
        if place + factors.len() < FACTOR_BYTES {
            return;
        }
        let affine = Affine { base, ..self.query.affine };
        let mut estimates = [0.0; GROUP];
        let threshold = self.into.threshold();
        let mut reached =
            self.query.kernel.estimate(&self.sums, &self.factors, affine, threshold, &mut estimates) & wanted;
        while reached != 0 {
            let lane = reached.trailing_zeros();
            reached &= reached - 1;
            let (estimate, slot) = (estimates[lane as usize], group * GROUP as u32 + lane);
            let factor = f16::from_le_bytes(self.factors.as_chunks().0[lane as usize]).to_f32();
            let spread = SPREAD * factor + ROUNDING;
            self.into.offer(Candidate { estimate, spread, segment: self.segment, slot });
        }
    }
}
