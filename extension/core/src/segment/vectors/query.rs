//! The query's side of the codes: lookup tables over the rotated query.

use super::Shape;
use super::kernel::{Affine, Kernel};
use super::rotation::Rotation;

/// A vector's direction: what to multiply it by for length one; 0 where it has no direction (all zero or not finite).
pub(super) fn unit_scale(vector: &[f32]) -> f32 {
    let (fours, rest) = vector.as_chunks::<4>();
    let mut sums = [0f64; 4];
    for four in fours {
        for lane in 0..4 {
            sums[lane] += f64::from(four[lane]) * f64::from(four[lane]);
        }
    }
    let rest: f64 = rest.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    let length = (sums.iter().sum::<f64>() + rest).sqrt();
    // Below this the factor itself would not be finite.
    if length.is_finite() && length > 1e-30 { (1.0 / length) as f32 } else { 0.0 }
}

/// A query, rotated and turned into lookup tables; serves every segment of vectors of the same dimensions.
///
/// The query keeps about 7 bits a coordinate where a row keeps one, the asymmetry of RaBitQ (Gao and Long, SIGMOD
/// 2024): for four bits of a code, one of 16 table entries of 7 bits gives the sum of the query's coordinates there.
#[derive(Debug, Clone)]
pub struct CodeQuery {
    /// The query at length one.
    pub(super) unit: Vec<f32>,
    /// 32 bytes for each byte of a code: the entries of its low nibble, then of its high one.
    pub(super) tables: Vec<u8>,
    /// Without a list's part.
    pub(super) affine: Affine,
    pub(super) kernel: Kernel,
}

impl CodeQuery {
    /// The tables of a vector of at least one dimension; it is brought to length one. A vector without a direction
    /// (all zero or not finite) estimates every row as 0.
    pub fn new(vector: &[f32]) -> Self {
        let shape = Shape::new(vector.len());
        let scale = unit_scale(vector);
        let unit: Vec<f32> =
            vector.iter().map(|value| if scale > 0.0 { value * scale } else { 0.0 }).collect();
        let mut rotated = unit.clone();
        rotated.resize(shape.width, 0.0);
        Rotation::new(shape.width).apply(&mut rotated);
        rotated.truncate(shape.bits);

        let nibbles = rotated.as_chunks::<4>().0;
        let widest = nibbles.iter().map(|four| four.iter().map(|x| x.abs()).sum()).fold(0f32, f32::max);
        let step = if widest > 0.0 { widest / 127.0 } else { 1.0 };
        let mut least_total = 0f32;
        let mut tables = vec![0u8; 4 * shape.bits];
        for (four, table) in nibbles.iter().zip(tables.as_chunks_mut::<16>().0) {
            let least: f32 = four.iter().map(|x| x.min(0.0)).sum();
            least_total += least;
            let mut sums = [0f32; 16];
            for code in 1..16usize {
                sums[code] = sums[code & (code - 1)] + four[code.trailing_zeros() as usize];
            }
            for (entry, sum) in table.iter_mut().zip(sums) {
                *entry = (((sum - least) / step).round() as u8).min(127);
            }
        }
        // Coordinates count +1 where the bit is set and -1 elsewhere: twice the sum over the set ones minus all.
        let bias = 2.0 * least_total - rotated.iter().sum::<f32>();
        let affine = Affine { scale: 2.0 * step, bias, base: 0.0 };
        Self { unit, tables, affine, kernel: Kernel::detect() }
    }

    /// Number of dimensions.
    pub fn dims(&self) -> usize {
        self.unit.len()
    }
}
