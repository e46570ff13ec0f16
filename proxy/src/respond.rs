//! The outermost layer: request id, headers that every response has, the error object, and one log line a request.

use std::any::Any;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::account::{Account, Subjects};
use crate::auth;
use crate::client;
use crate::error::{Error, Failure};
use crate::state::AppState;

/// Headers beyond this size are refused here, with an error object; the HTTP library's own limit is far higher and its answer has no body.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Answers a request through `next`.
pub async fn respond(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = request_id();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    note_client(&mut request, &state);
    let key_id = auth::key_id(request.headers()).map(str::to_owned);
    let account = Arc::new(Account::default());
    let subjects = Subjects::of(route.as_deref(), &request);
    let counted = state.metrics().begin(&method, route.as_deref());
    let span = tracing::info_span!("request", request_id = id);
    let mut response = if header_bytes(request.headers()) > MAX_HEADER_BYTES {
        Error::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's headers are too large.")
            .into_response()
    } else {
        account.run(next.run(request).instrument(span)).await
    };
    let failure = response.extensions_mut().remove::<Failure>();
    if let Some(Failure(error)) = &failure {
        let rendered = error.render(&id);
        state.metrics().refused(error.status(), error.code());
        let plain = std::mem::replace(&mut response, rendered);
        // The router's Allow header of a 405.
        if let Some(allow) = plain.headers().get("allow") {
            response.headers_mut().insert("allow", allow.clone());
        }
    }
    let took = counted.answered(response.status());
    state.notes().note(&account, subjects, response.status().as_u16() >= 400, took);
    let millis = took.as_millis() as u64;
    let headers = response.headers_mut();
    if let Some(rate) = account.rate() {
        rate.write(headers);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    headers.insert("openai-processing-ms", HeaderValue::from(millis));
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if state.is_stopping() {
        // The client's next request shall find another process.
        headers.insert("connection", HeaderValue::from_static("close"));
    }

    let status = response.status().as_u16();
    let route = route.as_deref().unwrap_or("unmatched");
    tracing::info!(request_id = id, %method, route, status, ms = millis, key_id, "request");
    if let Some(Failure(error)) = failure.filter(|_| status >= 500) {
        // When the database is away, so it is for everybody.
        let kept_back = match &*error {
            Error::Unavailable(_) => state.complaints().complain(),
            _ => Some(0),
        };
        if let Some(kept_back) = kept_back {
            tracing::error!(request_id = id, %method, route, status, %error, kept_back, "a request failed");
        }
    }
    response
}

fn note_client(request: &mut Request, state: &AppState) {
    let mut extensions = std::mem::take(request.extensions_mut());
    client::note(&mut extensions, request.headers(), &state.config().trusted_proxies);
    *request.extensions_mut() = extensions;
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn request_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness the id is useless, but the request is not.
    let _ = getrandom::fill(&mut bytes);
    format!("req_{}", data_encoding::HEXLOWER.encode(&bytes))
}

/// What a panic in a handler becomes.
pub fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    Error::Internal(format!("panic: {text}")).into_response()
}

/// No such route.
pub async fn not_found(request: Request) -> Error {
    Error::plain(StatusCode::NOT_FOUND, invalid_url(&request))
}

/// The route has no such method.
pub async fn method_not_allowed(request: Request) -> Error {
    Error::plain(StatusCode::METHOD_NOT_ALLOWED, invalid_url(&request))
}

fn invalid_url(request: &Request) -> String {
    let path: String = request.uri().path().chars().take(256).collect();
    format!("Invalid URL ({} {path})", request.method())
}
