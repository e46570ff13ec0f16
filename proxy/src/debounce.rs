//! Says the same thing once in a while: a thousand requests without a connection are one complaint.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is said after a complaint.
const SILENCE: Duration = Duration::from_secs(5);

/// One kind of complaint.
#[derive(Default)]
pub struct Debounce(Mutex<State>);

#[derive(Default)]
struct State {
    said: Option<Instant>,
    kept_back: u64,
}

impl Debounce {
    /// Whether to complain now; then, how many complaints were kept back since the last one.
    pub fn complain(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.is_some_and(|said| said.elapsed() < SILENCE) {
            state.kept_back += 1;
            return None;
        }
        state.said = Some(Instant::now());
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn complaints_are_counted_while_nothing_is_said() {
        let complaints = Debounce::default();
        assert_eq!([(); 3].map(|()| complaints.complain()), [Some(0), None, None]);
        tokio::time::advance(SILENCE).await;
        assert_eq!([(); 2].map(|()| complaints.complain()), [Some(2), None]);
    }
}
