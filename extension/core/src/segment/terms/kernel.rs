//! Decodes a block and scores its postings: eight at a time with AVX2 where the processor has it, one at a time
//! elsewhere, with the same result to the last bit.

use super::block::{BLOCK, Header, PAD};
use crate::bm25::{Norms, share};
use crate::segment::Damaged;

/// A decoded block. Only the first [`Header::count`] numbers mean something.
pub(super) struct Decoded {
    /// Ascending, between the first and the last slot of the header.
    pub slots: [u32; BLOCK],
    /// The term's share of each slot's score.
    pub impacts: [f32; BLOCK],
}

impl Decoded {
    pub(super) fn new() -> Self {
        Self { slots: [0; BLOCK], impacts: [0.0; BLOCK] }
    }
}

/// The code that decodes on this processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel {
    avx2: bool,
}

impl Kernel {
    /// The fastest one.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        let avx2 = is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        Self { avx2 }
    }

    /// Decodes a block whose columns begin at `data`, and scores its postings for a term of this weight.
    ///
    /// # Errors
    /// [`Damaged`] when the bytes end too early or the slots do not end at the header's last one.
    #[inline]
    pub(super) fn decode(
        self,
        header: &Header,
        data: &[u8],
        weight: f32,
        norms: &Norms,
        out: &mut Decoded,
    ) -> Result<(), Damaged> {
        if data.len() < header.columns().iter().sum::<usize>() + PAD {
            return Err(Damaged("block is cut off"));
        }
        if self.avx2 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `avx2` is only set where the processor has AVX2; the length of `data` was checked above,
            // and `Header::parse` limits count and bits.
            unsafe {
                avx2::decode(header, data, weight, norms, out)
            };
        } else {
            portable(header, data, weight, norms, out);
        }
        // Distances are below 2^24, so their sum cannot wrap: when the last slot is right, all are in order.
        if out.slots.get(header.count - 1) == Some(&header.last) {
            Ok(())
        } else {
            Err(Damaged("slots of a block"))
        }
    }
}

fn unpack(data: &[u8], bits: u32, index: usize) -> u32 {
    let bit = index * bits as usize;
    let word =
        data.get(bit / 8..).and_then(|bytes| bytes.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word));
    word >> (bit % 8) & ((1 << bits) - 1)
}

fn portable(header: &Header, data: &[u8], weight: f32, norms: &Norms, out: &mut Decoded) {
    let [distances, frequencies, _] = header.columns();
    let rest = &data[distances..];
    let lengths = &rest[frequencies..];
    let mut slot = header.first;
    for index in 0..header.count {
        slot = slot.wrapping_add(unpack(data, header.bits[0], index));
        let tf = 1 + unpack(rest, header.bits[1], index);
        let dl = u32::from(header.min_dl) + unpack(lengths, header.bits[2], index);
        out.slots[index] = slot;
        out.impacts[index] = share(weight, tf as f32, dl as f32, norms);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Decoded, Header, Norms};
    use crate::segment::terms::block::{BLOCK, MAX_BITS, PAD};
    use std::arch::x86_64::*;

    /// How eight packed numbers of one width come apart. Numbers 0-3 are taken from 16 bytes at the first one's
    /// byte, numbers 4-7 from 16 bytes at the fifth one's: the bytes that hold a number are shuffled into its
    /// lane, shifted down and masked.
    #[repr(C, align(32))]
    struct Width {
        shuffle: [u8; 32],
        shift: [u32; 8],
    }

    static WIDTHS: [Width; MAX_BITS as usize + 1] = widths();

    const fn widths() -> [Width; MAX_BITS as usize + 1] {
        let mut widths = [const { Width { shuffle: [0; 32], shift: [0; 8] } }; MAX_BITS as usize + 1];
        let mut bits = 0;
        while bits < widths.len() {
            let mut lane = 0;
            while lane < 8 {
                let bit = if lane < 4 { lane * bits } else { lane * bits - 4 * bits / 8 * 8 };
                let mut byte = 0;
                while byte < 4 {
                    widths[bits].shuffle[lane * 4 + byte] = (bit / 8 + byte) as u8;
                    byte += 1;
                }
                widths[bits].shift[lane] = (bit % 8) as u32;
                lane += 1;
            }
            bits += 1;
        }
        widths
    }

    /// A column that is being unpacked.
    struct Column {
        shuffle: __m256i,
        shift: __m256i,
        mask: __m256i,
        bits: usize,
    }

    impl Column {
        #[inline]
        #[target_feature(enable = "avx2")]
        fn new(bits: u32) -> Self {
            let width = &WIDTHS[bits as usize];
            // SAFETY: both arrays have 32 bytes.
            let (shuffle, shift) = unsafe {
                (
                    _mm256_loadu_si256(width.shuffle.as_ptr().cast()),
                    _mm256_loadu_si256(width.shift.as_ptr().cast()),
                )
            };
            Self { shuffle, shift, mask: _mm256_set1_epi32((1 << bits) - 1), bits: bits as usize }
        }

        /// The eight numbers that begin at `at`.
        ///
        /// # Safety
        /// 16 bytes at `at` and 16 bytes at `at + bits / 2` must be readable.
        #[inline]
        #[target_feature(enable = "avx2")]
        unsafe fn eight(&self, at: *const u8) -> __m256i {
            // SAFETY: promised by the caller.
            let bytes = unsafe {
                let low = _mm_loadu_si128(at.cast());
                let high = _mm_loadu_si128(at.add(self.bits / 2).cast());
                _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
            };
            _mm256_and_si256(
                _mm256_srlv_epi32(_mm256_shuffle_epi8(bytes, self.shuffle), self.shift),
                self.mask,
            )
        }
    }

    /// Sums of the first 1, 2, ... 8 numbers.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn prefix_sums(numbers: __m256i) -> __m256i {
        let pairs = _mm256_add_epi32(numbers, _mm256_slli_si256::<4>(numbers));
        let halves = _mm256_add_epi32(pairs, _mm256_slli_si256::<8>(pairs));
        let low = _mm256_permute2x128_si256::<0x08>(halves, halves);
        _mm256_add_epi32(halves, _mm256_shuffle_epi32::<0xff>(low))
    }

    /// # Safety
    /// Needs AVX2, a header with at most [`BLOCK`] postings and [`MAX_BITS`] bits, and `data` of the columns and
    /// [`PAD`] more bytes.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn decode(header: &Header, data: &[u8], weight: f32, norms: &Norms, out: &mut Decoded) {
        // A column's last eight numbers begin before its end, and its loads reach 16 + bits / 2 bytes on.
        const { assert!(PAD >= 16 + MAX_BITS as usize / 2 && BLOCK.is_multiple_of(8)) };
        let [distances, frequencies, _] = header.columns();
        let columns = header.bits.map(|bits| Column::new(bits));
        let last_lane = _mm256_set1_epi32(7);
        let min_dl = _mm256_set1_epi32(i32::from(header.min_dl));
        let (weight, base, slope) =
            (_mm256_set1_ps(weight), _mm256_set1_ps(norms.base), _mm256_set1_ps(norms.slope));
        let mut carry = _mm256_set1_epi32(header.first as i32);
        for eight in 0..header.count.div_ceil(8) {
            // SAFETY: see the assertion above for the loads; `eight * 8` is below BLOCK, a multiple of 8.
            unsafe {
                let at = data.as_ptr();
                let distance = columns[0].eight(at.add(eight * columns[0].bits));
                let slots = _mm256_add_epi32(prefix_sums(distance), carry);
                carry = _mm256_permutevar8x32_epi32(slots, last_lane);
                let tf = columns[1].eight(at.add(distances + eight * columns[1].bits));
                let dl = columns[2].eight(at.add(distances + frequencies + eight * columns[2].bits));
                let tf = _mm256_cvtepi32_ps(_mm256_add_epi32(tf, _mm256_set1_epi32(1)));
                let dl = _mm256_cvtepi32_ps(_mm256_add_epi32(dl, min_dl));
                // The order of `bm25::share`.
                let norm = _mm256_add_ps(base, _mm256_mul_ps(slope, dl));
                let impacts = _mm256_div_ps(_mm256_mul_ps(weight, tf), _mm256_add_ps(tf, norm));
                _mm256_storeu_si256(out.slots.as_mut_ptr().add(eight * 8).cast(), slots);
                _mm256_storeu_ps(out.impacts.as_mut_ptr().add(eight * 8), impacts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{BlockWriter, Blocks, Posting, Step};
    use super::*;
    use crate::segment::MemoryPages;
    use proptest::prelude::*;

    fn decoded(postings: &[Posting], kernel: Kernel) -> (Vec<u32>, Vec<f32>) {
        let mut pages = MemoryPages::default();
        let mut writer = BlockWriter::new(&mut pages);
        let (page, offset) = writer.put(postings);
        let section = writer.finish();
        let (mut slots, mut impacts) = (Vec::new(), Vec::new());
        let mut out = Decoded::new();
        let norms = Norms::new(17.3);
        Blocks::new(section, page, offset, postings.len() as u32)
            .walk(&pages, u32::MAX, |header, data| {
                kernel.decode(header, data, 2.5, &norms, &mut out)?;
                slots.extend(&out.slots[..header.count]);
                impacts.extend(&out.impacts[..header.count]);
                Ok(Step::Next)
            })
            .unwrap();
        (slots, impacts)
    }

    proptest! {
        #[test]
        fn both_kernels_give_the_postings_back(
            gaps in proptest::collection::vec((1u32..=24, any::<u32>(), any::<u32>(), any::<u32>()), 1..400),
            tf_bits in 0u32..=16,
            dl_bits in 0u32..=16,
            widest in 1u32..=24,
        ) {
            let mut slot = 0u32;
            let postings: Vec<_> = gaps
                .iter()
                .map(|&(bits, gap, tf, dl)| {
                    slot += 1 + gap % (1 << bits.min(widest)) / 4;
                    let below = |value: u32, bits: u32| (value % (1 << bits)).min(65_535) as u16;
                    Posting { slot, tf: below(tf, tf_bits).max(1), dl: below(dl, dl_bits) }
                })
                .collect();
            let norms = Norms::new(17.3);
            let (slots, impacts) = decoded(&postings, Kernel { avx2: false });
            for (posting, (slot, impact)) in postings.iter().zip(slots.iter().zip(&impacts)) {
                prop_assert_eq!(posting.slot, *slot);
                let expected = crate::bm25::impact(2.5, posting.tf.into(), posting.dl.into(), &norms);
                prop_assert_eq!(expected.to_bits(), impact.to_bits());
            }
            prop_assert_eq!((slots, impacts), decoded(&postings, Kernel::detect()));
        }
    }

    #[test]
    fn far_slots_begin_a_new_block() {
        let postings: Vec<_> = [0, 1 << 24, (1 << 24) + 1, 1 << 31, u32::MAX - 1]
            .map(|slot| Posting { slot, tf: 1, dl: 9 })
            .to_vec();
        assert_eq!(
            decoded(&postings, Kernel::detect()).0,
            postings.iter().map(|p| p.slot).collect::<Vec<_>>()
        );
    }
}
