//! What becomes of a request in the statistics and under the rate limits.
//!
//! The database counts the calls of its functions. A request that came to no function that counts (it was refused before, or
//! answered from an earlier answer, or embedded outside) is noted here and reported every second, so that the
//! statistics equal what clients count. The database also says, in the same statement, where the buckets of the key's rate
//! limits stand, and the outermost layer puts that into headers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use sqlx::types::Json;
use vectorstore_core::operation;

use crate::auth::{self, ApiKey};
use crate::error::Result;
use crate::state::AppState;

/// How often notes are reported.
const REPORT: Duration = Duration::from_secs(1);
/// Combinations of key, store and operation that wait for a report; beyond it only the operation is noted.
const MAX_NOTES: usize = 10_000;

tokio::task_local! {
    static CURRENT: Arc<Account>;
}

/// A request in progress.
#[derive(Default)]
pub struct Account {
    counted: AtomicBool,
    rate: Mutex<Option<RateState>>,
}

/// Where the buckets of a key stand.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct RateState {
    /// Of requests.
    pub requests: Option<Bucket>,
    /// Of tokens.
    pub tokens: Option<Bucket>,
}

/// A bucket.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Bucket {
    limit: u64,
    remaining: u64,
    reset_ms: u64,
}

impl RateState {
    /// Writes the headers that OpenAI's clients know.
    pub fn write(&self, headers: &mut HeaderMap) {
        for (kind, bucket) in [("requests", self.requests), ("tokens", self.tokens)] {
            let Some(bucket) = bucket else { continue };
            let values = [
                ("limit", bucket.limit.to_string()),
                ("remaining", bucket.remaining.to_string()),
                ("reset", go_duration(bucket.reset_ms)),
            ];
            for (what, value) in values {
                let name = format!("x-ratelimit-{what}-{kind}").parse::<axum::http::HeaderName>();
                if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                    headers.insert(name, value);
                }
            }
        }
    }
}

/// A duration as Go prints it: `12ms`, `1s`, `1.5s`, `6m0s`, `1h0m0s`.
fn go_duration(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        return if milliseconds == 0 { "0s".into() } else { format!("{milliseconds}ms") };
    }
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let mut text = String::new();
    if seconds >= 3600 {
        text += &format!("{}h", seconds / 3600);
    }
    if seconds >= 60 {
        text += &format!("{}m", seconds / 60 % 60);
    }
    text += &(seconds % 60).to_string();
    if rest > 0 {
        text += format!(".{rest:03}").trim_end_matches('0');
    }
    text + "s"
}

impl Account {
    /// Runs a request under an account.
    pub async fn run<T>(self: &Arc<Self>, request: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), request).await
    }

    /// What is known of the limits of its key.
    pub fn rate(&self) -> Option<RateState> {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the result of a statement: notes that the database counted it, and where the limits stand.
pub fn note<T>(
    sql: &str,
    result: Result<(T, Option<Json<RateState>>), sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let state = result.as_ref().ok().and_then(|(_, state)| state.as_ref().map(|state| state.0));
    let _ = CURRENT.try_with(|account| {
        if counts(sql) && result.as_ref().err().is_none_or(was_called) {
            account.counted.store(true, Relaxed);
        }
        if let Some(state) = state {
            let mut rate = account.rate.lock().unwrap_or_else(PoisonError::into_inner);
            let known = rate.unwrap_or_default();
            *rate = Some(RateState {
                requests: state.requests.or(known.requests),
                tokens: state.tokens.or(known.tokens),
            });
        }
    });
    result.map(|(value, _)| value)
}

/// Whether the function of a statement counts as a request.
fn counts(sql: &str) -> bool {
    let function = sql.strip_prefix("SELECT vectorstore.").and_then(|call| call.split('(').next());
    function.is_some_and(|function| operation::of_function(function).counts)
}

/// Whether the error came out of the function, which then was counted, and not out of the connection.
fn was_called(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| {
        !["08", "57P", "53", "40"].iter().any(|class| code.starts_with(class)) && code != "42883"
            || code == "53400"
    })
}

/// Operations by method and route, from the OpenAPI document.
static OPERATIONS: OnceLock<HashMap<(String, Method), String>> = OnceLock::new();

/// Learns the operations of the API.
pub fn learn(document: &utoipa::openapi::OpenApi) {
    let of_path = |(path, item): (&String, &utoipa::openapi::PathItem)| {
        let methods = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        let found = methods.into_iter().filter_map(|(method, operation)| {
            let name = operation.as_ref()?.operation_id.clone()?;
            Some(((path.clone(), method), operation::of_route(&name).to_owned()))
        });
        found.collect::<Vec<_>>()
    };
    let api = document.paths.paths.iter().filter(|(path, _)| path.starts_with("/v1/"));
    let _ = OPERATIONS.set(api.flat_map(of_path).collect());
}

/// The operation of a route, which may lack the prefix; `None` for what is no part of the API.
fn operation_of(method: &Method, route: &str) -> Option<&'static str> {
    let operations = OPERATIONS.get()?;
    let of = |path: String| operations.get(&(path, method.clone()));
    of(route.to_owned()).or_else(|| of(format!("/v1{route}"))).map(String::as_str)
}

/// The store in a path.
fn store_of(path: &str) -> Option<&str> {
    let mut parts = path.split('/').skip_while(|part| *part != "vector_stores");
    parts.nth(1).filter(|id| id.starts_with("vs_") && id.len() <= 64)
}

/// Key, store and operation.
pub type Subject = (Option<[u8; 32]>, Option<String>, &'static str);

/// How many requests there were, how many of them failed, and their microseconds.
#[derive(Clone, Copy, Default)]
pub struct Count {
    /// Requests.
    pub calls: i64,
    /// Those that failed.
    pub errors: i64,
    /// Their time.
    pub microseconds: i64,
}

/// Requests that wait for a report.
#[derive(Default)]
pub struct Notes(Mutex<HashMap<Subject, Count>>);

/// What a layer remembers of a request until it is answered.
pub struct Subjects {
    operation: Option<&'static str>,
    store: Option<String>,
    key: Option<ApiKey>,
}

impl Subjects {
    /// Reads it from the request.
    pub fn of(route: Option<&str>, request: &Request) -> Self {
        let method = request.method();
        Self {
            operation: route.and_then(|route| operation_of(method, route)),
            store: store_of(request.uri().path()).map(str::to_owned),
            key: auth::read(request.headers(), request.extensions()).ok(),
        }
    }
}

impl Notes {
    /// Notes a request unless the database has counted it.
    pub fn note(&self, account: &Account, subjects: Subjects, failed: bool, took: Duration) {
        let Some(operation) = subjects.operation.filter(|_| !account.counted.load(Relaxed)) else { return };
        let count = Count { calls: 1, errors: i64::from(failed), microseconds: took.as_micros() as i64 };
        let key = subjects.key.and_then(|key| key.credential().first_chunk::<32>().copied());
        self.add((key, subjects.store, operation), count);
    }

    fn add(&self, subject: Subject, count: Count) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = match notes.len() < MAX_NOTES || notes.contains_key(&subject) {
            true => subject,
            false => (None, None, subject.2),
        };
        let sum = notes.entry(subject).or_default();
        sum.calls += count.calls;
        sum.errors += count.errors;
        sum.microseconds += count.microseconds;
    }

    /// Reports what was noted; what cannot be reported waits.
    pub async fn report(&self, state: &AppState) -> Result<()> {
        let notes: Vec<(Subject, Count)> =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect();
        if notes.is_empty() {
            return Ok(());
        }
        let reported = state.db().note_requests(&notes).await;
        if reported.is_err() {
            notes.into_iter().for_each(|(subject, count)| self.add(subject, count));
        }
        reported.map(drop)
    }
}

/// Reports notes, for ever.
pub async fn keep(state: AppState) {
    loop {
        tokio::time::sleep(REPORT).await;
        if let Err(error) = state.notes().report(&state).await {
            tracing::debug!(%error, "the statistics could not be reported and will be later");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (milliseconds, text) in
            [(0, "0s"), (12, "12ms"), (1000, "1s"), (1500, "1.5s"), (360_000, "6m0s"), (3_600_000, "1h0m0s")]
        {
            assert_eq!(go_duration(milliseconds), text);
        }
    }

    #[test]
    fn every_operation_of_the_document_is_known() {
        learn(&crate::openapi::document());
        let known = |method, route| operation_of(&method, route);
        assert_eq!(
            known(Method::POST, "/v1/vector_stores/{vector_store_id}/search"),
            Some("search_vector_store")
        );
        assert_eq!(known(Method::GET, "/vector_stores"), Some("list_vector_stores"));
        assert_eq!(
            known(Method::POST, "/vector_stores/{vector_store_id}/embeddings/batch"),
            Some("create_vector_store_embedding")
        );
        assert_eq!(known(Method::GET, "/health"), None);
        assert_eq!(known(Method::PUT, "/v1/files"), None);
    }

    /// Otherwise a request that was refused here and one that the database answered would be counted apart.
    #[test]
    fn functions_are_counted_under_the_names_of_routes() {
        learn(&crate::openapi::document());
        let routes: Vec<&String> = OPERATIONS.get().unwrap().values().collect();
        let mut seen = 0;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db")).unwrap() {
            let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for call in source.split("SELECT vectorstore.").skip(1) {
                let function = call.split('(').next().unwrap();
                let operation = operation::of_function(function);
                if operation.counts {
                    assert!(routes.iter().any(|route| *route == operation.name), "{function}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn functions_that_are_requests_count() {
        assert!(counts("SELECT vectorstore.api_search($1, $2)"));
        assert!(!counts("SELECT vectorstore.api_check_key($1)"));
        assert_eq!(store_of("/v1/vector_stores/vs_abc/search"), Some("vs_abc"));
        assert_eq!(store_of("/vector_stores"), None);
    }

    #[tokio::test]
    async fn limits_become_headers() {
        let account = Arc::new(Account::default());
        let state =
            RateState { requests: Some(Bucket { limit: 100, remaining: 99, reset_ms: 10 }), tokens: None };
        account
            .run(async { note("SELECT vectorstore.api_search()", Ok(((), Some(Json(state))))) })
            .await
            .unwrap();
        assert!(account.counted.load(Relaxed));
        let mut headers = HeaderMap::new();
        account.rate().unwrap().write(&mut headers);
        assert_eq!(headers["x-ratelimit-limit-requests"], "100");
        assert_eq!(headers["x-ratelimit-remaining-requests"], "99");
        assert_eq!(headers["x-ratelimit-reset-requests"], "10ms");
        assert_eq!(headers.len(), 3);
    }
}
