//! Scanning the codes of a segment.

use super::kernel::{Affine, FACTOR_BYTES, GROUP};
use super::{Candidate, Candidates, CodeQuery, Vectors};
use crate::segment::{Damaged, Mask, PAGE_BYTES, Pages};

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
        let code_bytes = self.shape.code_rows() * GROUP;
        let (sums, factors) = ([0; GROUP], [0; FACTOR_BYTES]);
        let mut scanner = Scanner { query, code_bytes, segment, into, sums, factors };
        let mut stats = ScanStats::default();
        let mut seen = 0;
        let mut words = Vec::new();
        for (_, base, list) in nearest {
            if stats.lists >= probes && seen >= want {
                break;
            }
            stats.lists += 1;
            self.words(list, mask, &mut words);
            seen += words.iter().map(|word: &u32| word.count_ones() as usize).sum::<usize>();
            stats.codes += words.iter().filter(|word| **word != 0).count() as u64 * GROUP as u64;
            self.scan_list(pages, list, base, &words, &mut scanner)?;
        }
        Ok(stats)
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

    /// Scans one list, page by page. A group that goes on in the next page is visited in both.
    fn scan_list(
        &self,
        pages: &impl Pages,
        list: u32,
        base: f32,
        words: &[u32],
        scanner: &mut Scanner<'_>,
    ) -> Result<(), Damaged> {
        const PAGE: u64 = PAGE_BYTES as u64;
        let size = self.shape.group_bytes() as u64;
        let first = u64::from(self.layout.first_slot(list)) / GROUP as u64;
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

impl Scanner<'_> {
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
            self.into.offer(Candidate { estimate, segment: self.segment, slot });
        }
    }
}
