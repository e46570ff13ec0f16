//! `Idempotency-Key`: the same POST under the same key runs once, and its answer is given again for 24 hours.
//!
//! One layer around all routes. The key is claimed in the database before the request runs, under a lease that this
//! process renews; a twin meanwhile gets 409 and comes back. What a request changes is committed together with its
//! answer ([`crate::db`] calls [`Claim::settle`] in the same transaction), so that a process may die at any moment: either nothing
//! has happened and the next try runs, or everything has and the next try gets the answer. A request that waits for its
//! files to be read keeps the answer of before, `in_progress`, until it has a better one. Only successes are kept; a
//! request that was refused changed nothing and may be sent again, corrected.
//!
//! JSON bodies are part of the request's digest before it runs. Multipart bodies are digested while they stream to
//! the handler, field by field, and are read once more only when the answer exists already.
//!
//! Routes that answer with an API key refuse the header: that answer must not be stored, and without it a second try would
//! make a second key.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::auth;
use crate::auth::ApiKey;
use crate::config::{BODY_TIMEOUT, MAX_JSON_BYTES};
use crate::error::{Error, Result};
use crate::extract::{check_length, read_body};
use crate::state::AppState;
use crate::upload;

const NAME: &str = "idempotency-key";
const MAX_NAME: usize = 255;
/// How long a request is believed to run without a sign of life from its process.
pub const LEASE: Duration = Duration::from_secs(30);
/// How soon a twin may ask again.
const COME_BACK: Duration = Duration::from_millis(500);
/// Longer answers are not kept, unless they are those of an effect, which the database keeps by itself.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// Routes whose POST answers with an API key.
const SECRETS: [&str; 2] = ["/api_keys", "/api_keys/{key_id}/rotate"];

tokio::task_local! {
    static CURRENT: Arc<Claim>;
}

/// A request that runs under a key.
pub struct Claim {
    /// The API key, which keys are relative to.
    pub key: ApiKey,
    /// The `Idempotency-Key`.
    pub name: String,
    /// What tells this run from others.
    pub lease: [u8; 16],
    /// Method and path.
    target: Sha256,
    digest: Mutex<Option<[u8; 32]>>,
}

/// What the database knows of a key.
pub struct Known {
    /// `new`, `done`, `busy` or `other`
    pub state: String,
    /// Digest of the request that is done.
    pub digest: Option<Vec<u8>>,
    /// Its status.
    pub status: Option<i32>,
    /// The content type of its answer.
    pub content_type: Option<String>,
    /// Its answer.
    pub body: Option<Vec<u8>>,
}

impl Claim {
    fn new(key: ApiKey, name: String, request: &Request) -> Result<Arc<Self>> {
        let mut lease = [0; 16];
        getrandom::fill(&mut lease).map_err(|error| Error::Internal(error.to_string()))?;
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let target = Sha256::new().chain_update(request.method().as_str()).chain_update(b"\0");
        let target = target.chain_update(path).chain_update(b"\0");
        Ok(Arc::new(Self { key, name, lease, target, digest: Mutex::default() }))
    }

    /// Digest of the request, as far as it is known.
    pub fn digest(&self) -> Option<[u8; 32]> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest_with(&self, content: &[u8]) -> [u8; 32] {
        self.target.clone().chain_update(content).finalize().into()
    }

    fn set_content(&self, content: &[u8]) {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.digest_with(content));
    }

    /// Keeps the answer to the request in the transaction of its effect, or undoes that when somebody else has taken over.
    pub async fn settle(&self, connection: &mut PgConnection, answer: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "SELECT vectorstore.api_settle_request($1, $2, $3, $4, 200, 'application/json', $5, false)",
        )
        .bind(self.key.credential())
        .bind(&self.name)
        .bind(&self.lease[..])
        .bind(self.digest().map(Vec::from))
        .bind(answer.as_bytes())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The claim under which the current task works.
pub fn current() -> Option<Arc<Claim>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Completes the digest of a request whose content has come piece by piece.
pub fn note_content(content: [u8; 32]) {
    if let Some(claim) = current() {
        claim.set_content(&content);
    }
}

/// The layer.
pub async fn layer(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(value) = request.headers().get(NAME) else { return next.run(request).await };
    // Without a key of ours the handler refuses the request.
    let key = auth::read(request.headers(), request.extensions());
    let Some(key) = key.ok().filter(|_| request.method() == Method::POST) else {
        return next.run(request).await;
    };
    if answers_with_a_secret(request.extensions()) {
        return refuse_to_keep().into_response();
    }
    let answer = match read_name(value).and_then(|name| Claim::new(key, name, &request)) {
        Ok(claim) => answer(&state, claim, request, next).await,
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

/// Whether the answer of the route holds an API key, which is stored nowhere.
fn answers_with_a_secret(extensions: &Extensions) -> bool {
    let route = extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    SECRETS.contains(&route.strip_prefix("/v1").unwrap_or(route))
}

fn refuse_to_keep() -> Error {
    Error::invalid(
        "unsupported_parameter",
        "Idempotency-Key",
        "An Idempotency-Key cannot be used here: the answer holds an API key, which is shown once and never stored.",
    )
}

fn read_name(value: &HeaderValue) -> Result<String> {
    let name = value.to_str().unwrap_or_default().trim();
    if name.is_empty() || name.len() > MAX_NAME {
        let message =
            format!("Invalid 'Idempotency-Key': expected 1 to {MAX_NAME} visible ASCII characters.");
        return Err(Error::invalid("invalid_value", "Idempotency-Key", message));
    }
    Ok(name.to_owned())
}

async fn answer(state: &AppState, claim: Arc<Claim>, request: Request, next: Next) -> Result<Response> {
    let (parts, mut body) = request.into_parts();
    let streamed = is_multipart(&parts.headers);
    if !streamed {
        check_length(&parts.headers, MAX_JSON_BYTES as u64)?;
        let bytes = read_body(body, MAX_JSON_BYTES, BODY_TIMEOUT).await?;
        claim.set_content(&bytes);
        body = Body::from(bytes);
    }
    let known = state.db().claim_request(&claim).await?;
    match known.state.as_str() {
        "new" => Ok(run(state, claim, Request::from_parts(parts, body), next).await),
        "done" => {
            let digest = match claim.digest() {
                Some(digest) => digest,
                None => {
                    let max = state.config().max_file_bytes;
                    claim.digest_with(&upload::digest(&parts.headers, body, max).await?)
                }
            };
            if known.digest.as_deref() == Some(&digest) { Ok(replay(known)) } else { Err(reused()) }
        }
        "other" => Err(reused()),
        _ => Err(Error::try_again(
            "idempotency_key_in_use",
            "Idempotency-Key",
            "A request with this Idempotency-Key is still running.",
            COME_BACK,
        )),
    }
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start().to_ascii_lowercase().starts_with("multipart/")
}

/// Runs the request while the lease is kept alive, and keeps its answer if it succeeds.
async fn run(state: &AppState, claim: Arc<Claim>, request: Request, next: Next) -> Response {
    let running = CURRENT.scope(Arc::clone(&claim), next.run(request));
    // Side by side: the request may hold the very row that is to be renewed.
    let response = tokio::select! {
        response = running => response,
        never = renew(state, &claim) => match never {},
    };
    let keep = response.status().is_success()
        && claim.digest().is_some()
        && response.body().size_hint().upper().is_some_and(|length| length <= MAX_ANSWER);
    if !keep {
        if let Err(error) = state.db().release_request(&claim).await {
            tracing::warn!(%error, "an idempotency key was not released");
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            return Error::Internal(format!("an answer could not be read: {error}")).into_response();
        }
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // An effect has its answer in the database by now: the client gets its own whatever happens here.
    if let Err(error) = state.db().finish_request(&claim, parts.status.as_u16(), content_type, &bytes).await {
        tracing::warn!(%error, "the answer under an idempotency key was not kept");
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Keeps the lease as long as it is polled.
async fn renew(state: &AppState, claim: &Claim) -> Infallible {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        if let Err(error) = state.db().renew_request(claim).await {
            tracing::warn!(%error, "the lease of an idempotency key was not renewed");
        }
    }
}

fn replay(known: Known) -> Response {
    let status = known.status.and_then(|status| StatusCode::from_u16(status as u16).ok());
    let mut response = (status.unwrap_or_default(), known.body.unwrap_or_default()).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Some(value) = known.content_type.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}

fn reused() -> Error {
    Error::unprocessable(
        "idempotency_key_reused",
        "Idempotency-Key",
        "This Idempotency-Key has been used for another request.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(method: Method, path: &str) -> Arc<Claim> {
        let value = HeaderValue::from_str(&format!("Bearer {}", auth::new_key().unwrap().text)).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let key = auth::read(&headers, &Extensions::new()).unwrap();
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Claim::new(key, "k".into(), &request).unwrap()
    }

    #[test]
    fn the_digest_is_of_method_path_and_body() {
        let first = claim(Method::POST, "/v1/a?x=1");
        assert_eq!(first.digest(), None);
        first.set_content(b"{}");
        let digest = first.digest().unwrap();
        assert_eq!(digest, claim(Method::POST, "/v1/a?x=1").digest_with(b"{}"));
        for (method, path, body) in [
            (Method::PUT, "/v1/a?x=1", "{}"),
            (Method::POST, "/v1/b?x=1", "{}"),
            (Method::POST, "/v1/a?x=2", "{}"),
            (Method::POST, "/v1/a?x=1", "{ }"),
        ] {
            assert_ne!(digest, claim(method, path).digest_with(body.as_bytes()), "{path} {body}");
        }
        assert_ne!(first.lease, claim(Method::POST, "/v1/a?x=1").lease);
    }

    #[test]
    fn a_name_is_short_and_visible() {
        assert_eq!(read_name(&HeaderValue::from_static(" a b ")).unwrap(), "a b");
        for bad in [String::new(), " ".into(), "k".repeat(256)] {
            assert!(read_name(&HeaderValue::from_str(&bad).unwrap()).is_err(), "{bad}");
        }
        assert!(read_name(&HeaderValue::from_bytes(b"\xff").unwrap()).is_err());
    }

    #[tokio::test]
    async fn content_outside_of_a_claim_is_nobodys() {
        note_content([0; 32]);
        assert!(current().is_none());
        let claim = claim(Method::POST, "/v1/files");
        CURRENT.scope(Arc::clone(&claim), async { note_content([7; 32]) }).await;
        assert_eq!(claim.digest(), Some(claim.digest_with(&[7; 32])));
    }
}
