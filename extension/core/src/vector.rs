//! Arithmetic on embeddings.

/// Dot product of two vectors of equal length, in single precision; of unequal ones, over the shorter.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has the instructions.
        return unsafe { dot_avx2(a, b) };
    }
    dot_portable(a, b)
}

/// Sums in 16 lanes, so that the compiler can use whatever vector registers there are.
fn dot_portable(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let (blocks_a, blocks_b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (x, y) in blocks_a.0.iter().zip(blocks_b.0) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = blocks_a.1.iter().zip(blocks_b.1).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    // The same loop, compiled for wider registers.
    dot_portable_inlined(a, b)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn dot_portable_inlined(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let len = a.len().min(b.len());
    let (blocks_a, blocks_b) = (a[..len].as_chunks::<LANES>(), b[..len].as_chunks::<LANES>());
    let mut sums = [0.0f32; LANES];
    for (x, y) in blocks_a.0.iter().zip(blocks_b.0) {
        for lane in 0..LANES {
            sums[lane] = x[lane].mul_add(y[lane], sums[lane]);
        }
    }
    let rest: f32 = blocks_a.1.iter().zip(blocks_b.1).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_sum_in_double_precision(pairs in proptest::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 0..900)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let exact: f64 = pairs.iter().map(|&(x, y)| f64::from(x) * f64::from(y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
            prop_assert!((f64::from(dot_portable(&a, &b)) - exact).abs() < 1e-4);
        }
    }
}
