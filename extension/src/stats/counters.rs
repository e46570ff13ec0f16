//! What is counted of an operation.

/// Buckets of the histogram of times; the last one has no upper bound.
pub const BUCKETS: usize = 40;
/// Counters before the histogram.
const PLAIN: usize = 10;
/// Counters of an entry.
pub const COUNTERS: usize = PLAIN + BUCKETS;

/// Upper bounds of the buckets in microseconds: two to a doubling, from 64 µs to 33 s.
const BOUNDS: [u64; BUCKETS - 1] = {
    let mut bounds = [0; BUCKETS - 1];
    let mut at = 0;
    while at < bounds.len() {
        // 181/128 is the root of two.
        bounds[at] = (if at % 2 == 0 { 64 } else { 64 * 181 / 128 }) << (at / 2);
        at += 1;
    }
    bounds
};

/// Plain counters, by their place.
#[derive(Clone, Copy)]
pub enum Counter {
    /// Calls that ended, well or not.
    Calls,
    /// Calls that ended in an error.
    Errors,
    /// Calls that a rate limit refused; they are errors too.
    Limited,
    /// Calls that a rate limit would have refused, were it not tried out only.
    WouldLimit,
    /// Results of searches.
    Rows,
    /// Tokens that were embedded.
    Tokens,
    /// Microseconds of all calls.
    Microseconds,
    /// Texts that came.
    Created,
    /// Texts that went.
    Deleted,
    /// By how much the bytes in use grew. Wraps when they shrink.
    Bytes,
}

/// What to add to an entry.
#[derive(Clone, Copy)]
pub struct Delta(pub [u64; COUNTERS]);

impl Default for Delta {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Delta {
    /// One counter.
    pub fn get(&self, counter: Counter) -> i64 {
        self.0[counter as usize] as i64
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, by: i64) {
        let counter = &mut self.0[counter as usize];
        *counter = counter.wrapping_add(by as u64);
    }

    /// Number of calls.
    pub fn calls(&self) -> u64 {
        self.0[Counter::Calls as usize]
    }

    /// Counts calls that took so long each.
    pub fn time(&mut self, calls: i64, microseconds: u64) {
        self.add(Counter::Microseconds, calls * microseconds as i64);
        self.0[PLAIN + BOUNDS.partition_point(|bound| *bound < microseconds)] += calls as u64;
    }

    /// The histogram, without the empty buckets at its end.
    pub fn histogram(&self) -> Vec<i64> {
        let buckets = &self.0[PLAIN..];
        let used = buckets.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1);
        buckets[..used].iter().map(|count| *count as i64).collect()
    }
}

/// Upper bound of a bucket in seconds; `None` of the last one.
pub fn bound(bucket: usize) -> Option<f64> {
    BOUNDS.get(bucket).map(|bound| *bound as f64 / 1e6)
}

/// The value in seconds below which this share of the calls lies; `None` without calls.
pub fn quantile(histogram: &[i64], share: f64) -> Option<f64> {
    let total: i64 = histogram.iter().sum();
    let wanted = share * total as f64;
    let mut below = 0;
    for (at, count) in histogram.iter().enumerate().filter(|(_, count)| **count > 0) {
        if (below + count) as f64 >= wanted {
            let low = at.checked_sub(1).and_then(bound).unwrap_or(0.0);
            // Nothing is known of what lies beyond the last bound.
            let high = bound(at).unwrap_or(low);
            return Some(low + (high - low) * (wanted - below as f64) / *count as f64);
        }
        below += count;
    }
    None
}
