//! Medians, percentiles and the seeded random order of the runs.

/// What is said about a series of measurements; all in the unit that came in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle value.
    pub median: f64,
    /// 99 of 100 values are not above this one.
    pub p99: f64,
    /// How far the middle half of the values lies apart, as a share of the median.
    pub spread: f64,
}

impl Summary {
    /// Sums up a series; `None` for an empty one.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5)?;
        let spread = (quantile(&sorted, 0.75)? - quantile(&sorted, 0.25)?) / median;
        Some(Self { median, p99: quantile(&sorted, 0.99)?, spread })
    }
}

/// Quantile of a sorted series, linear between the two nearest values.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * place.fract())
}

/// A small generator (SplitMix64): the same seed gives the same run on every machine and in every version.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for one purpose: different streams of a seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// The next 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bias is below 2^-40 for every bound that a benchmark has.
        (self.next() % bound as u64) as usize
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Brings a list into random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }

    /// The numbers below `count` in random order.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_an_odd_and_an_even_series() {
        let odd = Summary::of(&[3.0, 1.0, 2.0, 5.0, 4.0]).unwrap();
        assert_eq!((odd.median, odd.spread), (3.0, 2.0 / 3.0));
        assert_eq!(Summary::of(&[4.0, 1.0]).unwrap().median, 2.5);
    }

    #[test]
    fn p99_is_near_the_top() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(Summary::of(&values).unwrap().p99, 99.0);
    }

    #[test]
    fn one_value_has_no_spread_and_none_has_no_summary() {
        assert_eq!(Summary::of(&[7.0]), Some(Summary { median: 7.0, p99: 7.0, spread: 0.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn an_order_names_each_number_once_and_depends_on_seed_and_stream() {
        let order = Random::new(1, 0).order(100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, Random::new(1, 0).order(100));
        assert_ne!(order, Random::new(1, 1).order(100));
        assert_ne!(order, Random::new(2, 0).order(100));
    }

    #[test]
    fn units_fill_the_interval() {
        let mut random = Random::new(5, 0);
        let values: Vec<f64> = (0..1000).map(|_| random.unit()).collect();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        assert!((values.iter().sum::<f64>() / 1000.0 - 0.5).abs() < 0.05);
    }
}
