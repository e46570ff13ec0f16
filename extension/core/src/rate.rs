//! Rate limits as GCRA, the leaky bucket that is one number: the time at which the bucket will be empty again. Whoever
//! charges it moves that time by the cost; a charge that would move it too far ahead is refused.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NANOSECONDS: u64 = 1_000_000_000;

/// What may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So much
    pub amount: u64,
    /// in so many seconds,
    pub seconds: u64,
    /// and so much at once.
    pub burst: u64,
}

/// A bucket after a charge, or after one that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// What may still flow at once.
    pub remaining: u64,
    /// Nanoseconds until all of it may.
    pub reset: u64,
}

/// A charge that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The bucket as it is.
    pub level: Level,
    /// Nanoseconds until the same charge would pass, if nobody else comes; `None` when it never can.
    pub wait: Option<u64>,
}

impl Limit {
    fn time_of(&self, amount: u64) -> u64 {
        let time =
            u128::from(self.seconds * NANOSECONDS) * u128::from(amount) / u128::from(self.amount.max(1));
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    fn level(&self, empty_at: u64, now: u64) -> Level {
        let reset = empty_at.saturating_sub(now);
        let free = self.time_of(self.burst).saturating_sub(reset);
        let remaining =
            u128::from(free) * u128::from(self.amount) / u128::from((self.seconds * NANOSECONDS).max(1));
        Level { remaining: remaining as u64, reset }
    }

    /// Charges a bucket at a time in nanoseconds. Any number of processes may do it at once.
    pub fn charge(&self, bucket: &AtomicU64, now: u64, cost: u64) -> Result<Level, Refusal> {
        let (cost, room) = (self.time_of(cost), self.time_of(self.burst));
        let mut empty_at = bucket.load(Relaxed);
        loop {
            let charged = empty_at.max(now).saturating_add(cost);
            if charged > now.saturating_add(room) {
                let wait = (cost <= room).then(|| charged - now - room);
                return Err(Refusal { level: self.level(empty_at, now), wait });
            }
            match bucket.compare_exchange_weak(empty_at, charged, Relaxed, Relaxed) {
                Ok(_) => return Ok(self.level(charged, now)),
                Err(other) => empty_at = other,
            }
        }
    }

    /// Takes a charge back.
    pub fn give_back(&self, bucket: &AtomicU64, cost: u64) {
        bucket.fetch_sub(self.time_of(cost), Relaxed);
    }
}

/// What operations cost that do not cost one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Costs(Vec<(String, u64)>);

impl Costs {
    /// Most that an operation may cost.
    pub const MAX: u64 = 1_000_000;

    /// Reads `search_vector_store=2, list_files=0`; the error is for people.
    ///
    /// # Errors
    /// What is not of that form, and an operation that has two costs.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut costs: Vec<(String, u64)> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let wrong = || {
                format!("Expected operation=cost, with a cost from 0 to {}, and not \"{item}\".", Self::MAX)
            };
            let (name, cost) = item.split_once('=').ok_or_else(wrong)?;
            let name = name.trim_end();
            let named =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let cost = cost.trim_start().parse().ok().filter(|cost| named && *cost <= Self::MAX);
            if costs.iter().any(|(known, _)| known == name) {
                return Err(format!("The operation {name} has two costs."));
            }
            costs.push((name.to_owned(), cost.ok_or_else(wrong)?));
        }
        Ok(Self(costs))
    }

    /// The cost of an operation in requests.
    #[must_use]
    pub fn of(&self, operation: &str) -> u64 {
        self.0.iter().find(|(name, _)| name == operation).map_or(1, |(_, cost)| *cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_or_refused() {
        let costs = Costs::parse(" search_vector_store = 2,list_files=0, ").unwrap();
        assert_eq!(
            ["search_vector_store", "list_files", "create_file"].map(|name| costs.of(name)),
            [2, 0, 1]
        );
        assert_eq!(Costs::parse(""), Ok(Costs::default()));
        for bad in ["a", "a=", "=1", "a=-1", "a=1.5", "a=1000001", "a=1,a=1", "a b=1", "A=1", "a=1;b=2"] {
            assert!(Costs::parse(bad).is_err(), "{bad}");
        }
    }

    const NOW: u64 = 1_000 * NANOSECONDS;
    const LIMIT: Limit = Limit { amount: 100, seconds: 1, burst: 20 };

    #[test]
    fn a_burst_and_then_the_rate() {
        let bucket = AtomicU64::new(0);
        // 400 a second for 30 s.
        let admitted =
            (0..12_000).filter(|at| LIMIT.charge(&bucket, NOW + at * 2_500_000, 1).is_ok()).count();
        assert_eq!(admitted, 3_019);
    }

    #[test]
    fn who_waits_as_told_passes() {
        let bucket = AtomicU64::new(0);
        for left in (0..20).rev() {
            assert_eq!(LIMIT.charge(&bucket, NOW, 1).unwrap().remaining, left);
        }
        let refusal = LIMIT.charge(&bucket, NOW, 1).unwrap_err();
        assert_eq!((refusal.level.remaining, refusal.level.reset), (0, 200_000_000));
        let wait = refusal.wait.unwrap();
        assert_eq!(wait, 10_000_000);
        assert!(LIMIT.charge(&bucket, NOW + wait - 1, 1).is_err());
        assert!(LIMIT.charge(&bucket, NOW + wait, 1).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_bucket_never_passes() {
        let bucket = AtomicU64::new(0);
        assert_eq!(LIMIT.charge(&bucket, NOW, 21).unwrap_err().wait, None);
        assert_eq!(LIMIT.charge(&bucket, NOW, 20).unwrap().remaining, 0);
        LIMIT.give_back(&bucket, 20);
        assert_eq!(LIMIT.charge(&bucket, NOW, 20).unwrap().remaining, 0);
    }

    #[test]
    fn odd_rates_do_not_drift() {
        let limit = Limit { amount: 7, seconds: 60, burst: 7 };
        let bucket = AtomicU64::new(0);
        let admitted =
            (0..3_600).filter(|at| limit.charge(&bucket, NOW + at * NANOSECONDS, 1).is_ok()).count();
        assert!((7 * 60 + 6..=7 * 61).contains(&admitted), "{admitted}");
    }
}
