//! Mercy for providers in trouble, and for those who wait for them: a circuit breaker and a budget of retries.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Share of a retry that each first try pays for.
const PER_TRY: f64 = 0.2;
/// Retries that can be saved up.
const MOST_RETRIES: f64 = 10.0;

/// Stops all calls for a while after some failures in a row; then lets one through, which decides what follows.
pub struct Breaker {
    limit: u32,
    pause: Duration,
    state: Mutex<State>,
}

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Lets them through.
    Closed = 0,
    /// Lets one through, which decides what follows.
    Probing = 1,
    /// Stops them.
    Open = 2,
}

enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing { until: Instant },
}

impl Breaker {
    /// Opens after `limit` failures in a row, for `pause`.
    pub fn new(limit: u32, pause: Duration) -> Self {
        Self { limit, pause, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// What a call would meet now.
    pub fn condition(&self) -> Condition {
        match *lock(&self.state) {
            State::Closed { .. } => Condition::Closed,
            State::Open { until } | State::Probing { until } if Instant::now() >= until => Condition::Probing,
            State::Probing { .. } => Condition::Probing,
            State::Open { .. } => Condition::Open,
        }
    }

    /// Whether a call may be made now; if not, how long to wait.
    pub fn check(&self) -> Result<(), Duration> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        match *state {
            State::Closed { .. } => Ok(()),
            // A probe that never reports back (its client went away) does not keep the door shut.
            State::Open { until } | State::Probing { until } if now >= until => {
                *state = State::Probing { until: now + self.pause };
                Ok(())
            }
            State::Open { until } | State::Probing { until } => Err(until - now),
        }
    }

    /// A call has succeeded.
    pub fn succeeded(&self) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Closed { failures: 0 }) {
            if !matches!(*state, State::Closed { .. }) {
                tracing::info!("an embedding provider answers again");
            }
            *state = State::Closed { failures: 0 };
        }
    }

    /// A call has failed by the provider's fault.
    pub fn failed(&self) {
        let mut state = lock(&self.state);
        let failures = match *state {
            State::Closed { failures } => failures + 1,
            State::Probing { .. } => self.limit,
            // One of those that were under way.
            State::Open { .. } => return,
        };
        *state = if failures < self.limit {
            State::Closed { failures }
        } else {
            tracing::warn!(pause = ?self.pause, "an embedding provider is left alone after failures");
            State::Open { until: Instant::now() + self.pause }
        };
    }
}

/// Bounds retries to a share of all calls: when everything fails, retrying everything makes it worse.
pub struct Budget(Mutex<f64>);

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(MOST_RETRIES))
    }
}

impl Budget {
    /// A first try is made.
    pub fn earn(&self) {
        let mut saved = lock(&self.0);
        *saved = (*saved + PER_TRY).min(MOST_RETRIES);
    }

    /// Whether a retry can be afforded; then it is paid for.
    pub fn spend(&self) -> bool {
        let mut saved = lock(&self.0);
        let enough = *saved >= 1.0;
        if enough {
            *saved -= 1.0;
        }
        enough
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_breaker_opens_probes_and_closes() {
        let breaker = Breaker::new(2, PAUSE);
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        assert_eq!(breaker.check(), Ok(()), "not two in a row");
        breaker.failed();
        assert_eq!((breaker.check(), breaker.condition()), (Err(PAUSE), Condition::Open));
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.condition(), Condition::Probing);
        assert_eq!(breaker.check(), Ok(()), "one may try");
        assert_eq!(breaker.check(), Err(PAUSE), "and only one");
        breaker.failed();
        assert_eq!(breaker.check(), Err(PAUSE), "a failed probe opens it at once");
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.check(), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.check(), breaker.check()), (Ok(()), Ok(())));
        assert_eq!(breaker.condition(), Condition::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_never_heard_of_again_makes_room_for_another() {
        let breaker = Breaker::new(1, PAUSE);
        breaker.failed();
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.check(), Ok(()));
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.check(), Ok(()));
    }

    #[test]
    fn retries_are_a_share_of_calls() {
        let budget = Budget::default();
        assert_eq!((0..20).filter(|_| budget.spend()).count(), 10);
        for _ in 0..100 {
            budget.earn();
            budget.spend();
        }
        let spent = (0..100).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert!((15..=25).contains(&spent.count()));
    }
}
