//! A fixed random rotation, so that the signs of a vector's coordinates carry equal information.
//!
//! Four rounds of sign flips and Walsh-Hadamard transforms, as in "fast Johnson-Lindenstrauss" and FWHT rotations
//! (Ailon and Chazelle 2009; Andoni et al., "Practical and Optimal LSH for Angular Distance", 2015). It costs
//! O(n log n) and needs no matrix.

/// Rounds of sign flips and transforms; three are commonly enough for one power of two, a fourth mixes the two halves.
const ROUNDS: usize = 4;

/// Seed of the sign flips. A segment's codes are only readable with the seed they were written with.
const SEED: u64 = 0x7665_6374_6f72_7331;

/// The next number of the SplitMix64 generator (Steele, Lea and Flood 2014).
pub(super) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// An orthonormal map of `width` coordinates, the same for every caller of the same width.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    width: usize,
    /// Sign bits to flip, `ROUNDS` times `width`.
    signs: Vec<u32>,
}

impl Rotation {
    /// The rotation of vectors of `width` coordinates.
    pub(super) fn new(width: usize) -> Self {
        let mut state = SEED ^ width as u64;
        let mut signs = Vec::with_capacity(ROUNDS * width);
        while signs.len() < ROUNDS * width {
            let bits = split_mix(&mut state);
            let some = (ROUNDS * width - signs.len()).min(64);
            signs.extend((0..some).map(|bit| ((bits >> bit & 1) as u32) << 31));
        }
        Self { width, signs }
    }

    /// Rotates in place; `vector` has `width` coordinates.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        let length = 1 << self.width.max(1).ilog2();
        for signs in self.signs.chunks_exact(self.width) {
            for (value, sign) in vector.iter_mut().zip(signs) {
                *value = f32::from_bits(value.to_bits() ^ sign);
            }
            transform(&mut vector[..length]);
            if length < self.width {
                transform(&mut vector[self.width - length..]);
            }
        }
    }
}

/// The orthonormal Walsh-Hadamard transform of a power of two of values.
fn transform(values: &mut [f32]) {
    let scale = 1.0 / (values.len() as f32).sqrt();
    let mut rest = values.len();
    let mut half = 1;
    // The two shortest strides in one step: their butterflies lie inside four neighbours, where a loop over halves is slow.
    if rest >= 4 {
        for four in values.as_chunks_mut::<4>().0 {
            let [a, b, c, d] = *four;
            let (ab, a_b, cd, c_d) = (a + b, a - b, c + d, c - d);
            *four = [ab + cd, a_b + c_d, ab - cd, a_b - c_d];
        }
        half = 4;
        rest /= 4;
    }
    while rest > 1 {
        for block in values.chunks_exact_mut(half * 2) {
            let (low, high) = block.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
        rest /= 2;
    }
    values.iter_mut().for_each(|value| *value *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_stay() {
        for width in [1, 2, 3, 8, 100, 384, 1000, 16_000] {
            let rotation = Rotation::new(width);
            let mut state = 7;
            let mut vector = |_| {
                (0..width).map(|_| (split_mix(&mut state) >> 40) as f32 / 1e7 - 0.8).collect::<Vec<f32>>()
            };
            let (a, b) = (vector(0), vector(1));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let (mut x, mut y) = (a.clone(), b.clone());
            rotation.apply(&mut x);
            rotation.apply(&mut y);
            let size = (dot(&a, &a) * dot(&b, &b)).sqrt();
            assert!((dot(&a, &b) - dot(&x, &y)).abs() < 1e-4 * size, "{width}");
            assert!((dot(&a, &a) - dot(&x, &x)).abs() < 1e-4 * dot(&a, &a), "{width}");
        }
    }

    #[test]
    fn one_coordinate_spreads_over_all() {
        for width in [8, 100, 384, 1536] {
            let rotation = Rotation::new(width);
            for hot in [0, width / 2, width - 1] {
                let mut vector = vec![0.0; width];
                vector[hot] = 1.0;
                rotation.apply(&mut vector);
                let greatest = vector.iter().fold(0f32, |most, value| most.max(value.abs()));
                assert!(greatest < 6.0 / (width as f32).sqrt(), "{width}: {greatest}");
            }
        }
    }
}
