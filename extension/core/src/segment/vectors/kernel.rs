//! The inner loops: sums of table entries over codes, and the estimates that follow from them.
//!
//! 32 codes are interleaved byte by byte, so that one AVX2 shuffle looks up four bits of all of them at once
//! ("fast scan": André, Kermarrec and Le Scouarnec, "Cache locality is not enough", VLDB 2015; the even/odd sums as
//! in faiss). Both implementations give the same integers and the same floats.

use crate::vector::products;
use half::f16;

/// Slots of a group, codes of one interleaved row.
pub(super) const GROUP: usize = 32;

/// Bytes of a group's factors: one half-precision number a slot.
pub(super) const FACTOR_BYTES: usize = 2 * GROUP;

/// Which implementation runs; chosen once a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Plain Rust.
    Portable,
    /// AVX2, FMA and F16C. Only [`Kernel::detect`] may make one outside of tests.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// What turns a sum of table entries into an estimate: `base + factor * (scale * sum + bias)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    /// Value of one unit of a sum.
    pub(super) scale: f32,
    /// Value of a sum of zero.
    pub(super) bias: f32,
    /// Product of the query and the list's centroid.
    pub(super) base: f32,
}

impl Kernel {
    /// The fastest that this machine can run.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            return Self::Avx2;
        }
        Self::Portable
    }

    /// Adds, for each of 32 codes, the table entries of all of its nibbles. `codes` holds rows of 32 bytes, `tables` 32
    /// bytes for each row: 16 entries for the low nibbles, 16 for the high ones, none above 127. The sum over all
    /// rows of a code must stay below 65,536. The shorter of the two decides.
    #[inline]
    pub(super) fn accumulate(self, tables: &[u8], codes: &[u8], sums: &mut [u16; GROUP]) {
        let (tables, codes) = (tables.as_chunks().0, codes.as_chunks().0);
        match self {
            Self::Portable => portable::accumulate(tables, codes, sums),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Avx2` exists only where its features were detected.
            Self::Avx2 => unsafe { avx2::accumulate(tables, codes, sums) },
        }
    }

    /// Writes the estimates of a group and returns a bit for each that reaches `threshold`.
    #[inline]
    pub(super) fn estimate(
        self,
        sums: &[u16; GROUP],
        factors: &[u8; FACTOR_BYTES],
        affine: Affine,
        threshold: f32,
        estimates: &mut [f32; GROUP],
    ) -> u32 {
        match self {
            Self::Portable => portable::estimate(sums, factors, affine, threshold, estimates),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Avx2` exists only where its features were detected.
            Self::Avx2 => unsafe { avx2::estimate(sums, factors, affine, threshold, estimates) },
        }
    }

    /// Scalar product; both of the same length. The same to the last bit on every machine.
    #[inline]
    pub(super) fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Portable => products(a, b),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Avx2` exists only where its features were detected.
            Self::Avx2 => unsafe { avx2::dot(a, b) },
        }
    }
}

mod portable {
    use super::{Affine, FACTOR_BYTES, GROUP, f16};

    pub(super) fn accumulate(tables: &[[u8; 32]], codes: &[[u8; 32]], sums: &mut [u16; GROUP]) {
        for (table, row) in tables.iter().zip(codes) {
            let (low, high) = table.split_at(16);
            for (sum, code) in sums.iter_mut().zip(row) {
                let entry = low[usize::from(code & 15)] + high[usize::from(code >> 4)];
                *sum = sum.wrapping_add(u16::from(entry));
            }
        }
    }

    pub(super) fn estimate(
        sums: &[u16; GROUP],
        factors: &[u8; FACTOR_BYTES],
        affine: Affine,
        threshold: f32,
        estimates: &mut [f32; GROUP],
    ) -> u32 {
        let mut reached = 0;
        for (slot, factor) in factors.as_chunks::<2>().0.iter().enumerate() {
            let product = f32::from(sums[slot]) * affine.scale + affine.bias;
            estimates[slot] = product * f16::from_le_bytes(*factor).to_f32() + affine.base;
            reached |= u32::from(estimates[slot] >= threshold) << slot;
        }
        reached
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Affine, FACTOR_BYTES, GROUP, products};

    #[target_feature(enable = "avx2")]
    pub(super) fn accumulate(tables: &[[u8; 32]], codes: &[[u8; 32]], sums: &mut [u16; GROUP]) {
        let nibble = _mm256_set1_epi8(15);
        // `words` adds the pairs of bytes as 16-bit words, `odd` their upper bytes; the lower bytes follow from both,
        // because a word that overflows only loses what `odd` knows.
        let mut words = _mm256_setzero_si256();
        let mut odd = _mm256_setzero_si256();
        for (table, row) in tables.iter().zip(codes) {
            // SAFETY: a row is 32 bytes, a table twice 16.
            let (row, low, high) = unsafe {
                (
                    _mm256_loadu_si256(row.as_ptr().cast()),
                    _mm_loadu_si128(table.as_ptr().cast()),
                    _mm_loadu_si128(table.as_ptr().add(16).cast()),
                )
            };
            let low = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(low), _mm256_and_si256(row, nibble));
            let high = _mm256_shuffle_epi8(
                _mm256_broadcastsi128_si256(high),
                _mm256_and_si256(_mm256_srli_epi16::<4>(row), nibble),
            );
            let entries = _mm256_add_epi8(low, high);
            words = _mm256_add_epi16(words, entries);
            odd = _mm256_add_epi16(odd, _mm256_srli_epi16::<8>(entries));
        }
        let even = _mm256_sub_epi16(words, _mm256_slli_epi16::<8>(odd));
        let (first, second) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
        let low = _mm256_permute2x128_si256::<0x20>(first, second);
        let high = _mm256_permute2x128_si256::<0x31>(first, second);
        let sums = sums.as_mut_ptr().cast::<__m256i>();
        // SAFETY: `sums` is 64 bytes, which is two unaligned vectors.
        unsafe {
            _mm256_storeu_si256(sums, _mm256_add_epi16(_mm256_loadu_si256(sums), low));
            let sums = sums.add(1);
            _mm256_storeu_si256(sums, _mm256_add_epi16(_mm256_loadu_si256(sums), high));
        }
    }

    #[target_feature(enable = "avx2,f16c")]
    pub(super) fn estimate(
        sums: &[u16; GROUP],
        factors: &[u8; FACTOR_BYTES],
        affine: Affine,
        threshold: f32,
        estimates: &mut [f32; GROUP],
    ) -> u32 {
        let (scale, bias) = (_mm256_set1_ps(affine.scale), _mm256_set1_ps(affine.bias));
        let (base, threshold) = (_mm256_set1_ps(affine.base), _mm256_set1_ps(threshold));
        let mut reached = 0;
        let eights = sums.as_chunks::<8>().0.iter().zip(factors.as_chunks::<16>().0);
        for (index, ((sums, factors), out)) in eights.zip(estimates.as_chunks_mut::<8>().0).enumerate() {
            // SAFETY: eight sums and eight factors are 16 bytes each.
            let (sums, factors) =
                unsafe { (_mm_loadu_si128(sums.as_ptr().cast()), _mm_loadu_si128(factors.as_ptr().cast())) };
            let sums = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(sums));
            // Multiplied and added in two steps, as the portable loop does.
            let product = _mm256_add_ps(_mm256_mul_ps(sums, scale), bias);
            let estimate = _mm256_add_ps(_mm256_mul_ps(product, _mm256_cvtph_ps(factors)), base);
            let over = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(estimate, threshold));
            reached |= (over as u32) << (8 * index);
            // SAFETY: `out` is eight floats.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), estimate) };
        }
        reached
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
        products(a, b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_kernels_agree(
            tables in prop::collection::vec(0u8..128, 0..258 * 32),
            codes in prop::collection::vec(any::<u8>(), 258 * 32),
            start in prop::collection::vec(0u16..100, GROUP),
            factors in prop::collection::vec(any::<u8>(), FACTOR_BYTES),
            (scale, bias, base, threshold) in (-1f32..1.0, -9f32..9.0, -1f32..1.0, -99f32..99.0),
        ) {
            let start: [u16; GROUP] = start.try_into().unwrap();
            let factors: [u8; FACTOR_BYTES] = factors.try_into().unwrap();
            let affine = Affine { scale, bias, base };
            let run = |kernel: Kernel| {
                let (mut sums, mut estimates) = (start, [0.0; GROUP]);
                kernel.accumulate(&tables, &codes, &mut sums);
                let reached = kernel.estimate(&sums, &factors, affine, threshold, &mut estimates);
                // Two NaNs are the same whatever their bits.
                (sums, reached, estimates.map(|value| if value.is_nan() { 1 } else { value.to_bits() }))
            };
            prop_assert_eq!(run(Kernel::Portable), run(Kernel::detect()));
            let mut sums = start.map(u32::from);
            for (table, row) in tables.as_chunks::<32>().0.iter().zip(codes.as_chunks::<32>().0) {
                for (sum, code) in sums.iter_mut().zip(row) {
                    *sum += u32::from(table[usize::from(code & 15)]) + u32::from(table[16 + usize::from(code >> 4)]);
                }
            }
            prop_assert!(sums.iter().all(|&sum| sum < 65_536 + 100));
            prop_assert_eq!(run(Kernel::Portable).0, sums.map(|sum| sum as u16));
        }

        #[test]
        fn products_agree(values in prop::collection::vec((-1f32..1.0, -1f32..1.0), 0..200)) {
            let (a, b): (Vec<f32>, Vec<f32>) = values.into_iter().unzip();
            let exact: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let dot = Kernel::detect().dot(&a, &b);
            prop_assert_eq!(dot.to_bits(), Kernel::Portable.dot(&a, &b).to_bits());
            prop_assert!((f64::from(dot) - exact).abs() < 1e-4);
        }
    }
}
