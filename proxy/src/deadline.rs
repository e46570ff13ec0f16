//! How long a request's statements may take: what the client is ready to wait, and never longer than the server's own limit.
//!
//! The deadline is kept with the task: when it passes, the statement is dropped, and so cancelled as if the client had
//! gone ([`crate::db::pool`]). Each statement is bounded by Postgres as well (`--statement-timeout`), which is told of a
//! deadline that comes before that, in case we cannot cancel.

use std::future::Future;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Result};
use crate::state::AppState;

/// What the official clients say of their own patience, in seconds: for Python and for JavaScript. Then our own name,
/// for everybody else.
const HEADERS: [&str; 3] = ["x-stainless-read-timeout", "x-stainless-timeout", "x-request-timeout"];

tokio::task_local! {
    static DEADLINE: Instant;
}

/// The layer.
pub async fn layer(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let most = Duration::from_secs(state.config().request_timeout.into());
    let patience = patience(request.headers()).map_or(most, |patience| patience.min(most));
    DEADLINE.scope(Instant::now() + patience, next.run(request)).await
}

/// The shortest time that a header names. Nonsense, zero among it, is no deadline: clients send it for "none".
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let read = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let seconds = HEADERS.iter().filter_map(|name| read(name)).filter(|seconds: &f64| *seconds > 0.0);
    seconds.filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok()).min()
}

/// What is left of the time of the current request; `None` outside of a request.
pub fn left() -> Option<Duration> {
    DEADLINE.try_with(|deadline| deadline.saturating_duration_since(Instant::now())).ok()
}

/// Does something as long as the deadline of the current request allows.
pub async fn bound<T>(work: impl Future<Output = T>) -> Result<T> {
    let Ok(deadline) = DEADLINE.try_with(|deadline| *deadline) else { return Ok(work.await) };
    timeout_at(deadline, work).await.map_err(|_| Error::Timeout("the request's deadline has passed".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_patience_counts() {
        let of = |pairs: &[(&'static str, &str)]| {
            patience(
                &pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            )
        };
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("x-stainless-read-timeout", "600"), ("x-request-timeout", " 1.5 ")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(of(&[("x-stainless-timeout", "7")]), Some(Duration::from_secs(7)));
        for nonsense in ["0", "-1", "NaN", "inf", "soon", "1e300"] {
            assert_eq!(of(&[("x-request-timeout", nonsense)]), None, "{nonsense}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_at_the_deadline_of_its_request_and_of_no_other() {
        let slow = || tokio::time::sleep(Duration::from_secs(5));
        assert!(bound(slow()).await.is_ok());
        let late = DEADLINE.scope(Instant::now() + Duration::from_secs(1), bound(slow())).await;
        assert_eq!(late.unwrap_err().status(), 504);
        let early = DEADLINE.scope(Instant::now() + Duration::from_secs(9), bound(slow())).await;
        assert!(early.is_ok());
    }
}
