//! The one error type of the proxy, its mapping from SQLSTATEs, and the error object that clients see.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::RateState;

/// Result of everything that a request may fail in.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The client is told all of it.
    #[error("{}", .0.message)]
    Client(Box<ClientError>),
    /// The database cannot be reached or has no room right now; the text is for the log.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A deadline passed; the text is for the log.
    #[error("timeout: {0}")]
    Timeout(String),
    /// A fault of ours; the text is for the log, the client gets an opaque message with the request's id.
    #[error("internal: {0}")]
    Internal(String),
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// HTTP status.
    pub status: StatusCode,
    /// `error.type`
    pub kind: &'static str,
    /// `error.code`
    pub code: Option<Cow<'static, str>>,
    /// `error.param`
    pub param: Option<String>,
    /// `error.message`
    pub message: String,
    /// When to try again, if that helps.
    pub retry_after: Option<Duration>,
    /// Trying again cannot help, whatever the status suggests to the official clients.
    pub permanent: bool,
    /// Where the key's rate limits stand.
    pub rate: Option<RateState>,
}

impl Error {
    fn client(status: StatusCode, message: impl Into<String>) -> ClientError {
        ClientError {
            status,
            kind: "invalid_request_error",
            code: None,
            param: None,
            message: message.into(),
            retry_after: None,
            permanent: false,
            rate: None,
        }
    }

    /// An error without `code` and `param`.
    pub fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Client(Box::new(Self::client(status, message)))
    }

    /// A bad value of one parameter: status 400.
    pub fn invalid(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::client(StatusCode::BAD_REQUEST, message);
        error.code = Some(Cow::Borrowed(code));
        error.param = Some(param.into());
        Self::Client(Box::new(error))
    }

    /// The database knows its arguments, the client the fields that they came from.
    pub fn rename_param(mut self, argument: &str, field: &str) -> Self {
        if let Self::Client(error) = &mut self
            && error.param.as_deref() == Some(argument)
        {
            error.param = Some(field.to_owned());
        }
        self
    }

    /// What a parameter names does not exist: status 404.
    pub fn not_found(code: &'static str, param: &str, message: impl Into<String>) -> Self {
        let mut error = Self::client(StatusCode::NOT_FOUND, message);
        error.code = Some(Cow::Borrowed(code));
        error.param = Some(param.to_owned());
        Self::Client(Box::new(error))
    }

    /// Somebody else is at it: status 409, and the client shall come back.
    pub fn try_again(code: &'static str, param: &str, message: &str, after: Duration) -> Self {
        let mut error = Self::client(StatusCode::CONFLICT, message);
        error.code = Some(Cow::Borrowed(code));
        error.param = Some(param.to_owned());
        error.retry_after = Some(after);
        Self::Client(Box::new(error))
    }

    /// A request that contradicts an earlier one: status 422.
    pub fn unprocessable(code: &'static str, param: &str, message: &str) -> Self {
        let mut error = Self::client(StatusCode::UNPROCESSABLE_ENTITY, message);
        error.code = Some(Cow::Borrowed(code));
        error.param = Some(param.to_owned());
        error.permanent = true;
        Self::Client(Box::new(error))
    }

    /// Whether the client is told that this parameter is wrong.
    pub fn is_about(&self, param: &str) -> bool {
        matches!(self, Self::Client(error) if error.param.as_deref() == Some(param))
    }

    /// The body as a whole is unusable: status 400 without `param`.
    pub fn bad_body(message: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, message)
    }

    /// More bytes than allowed.
    pub fn too_large(limit: u64) -> Self {
        let message = format!("The request is too large. The limit is {limit} bytes.");
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// The key is none of ours.
    pub fn invalid_api_key() -> Self {
        let mut error = Self::client(StatusCode::UNAUTHORIZED, "Incorrect API key provided.");
        error.code = Some(Cow::Borrowed("invalid_api_key"));
        Self::Client(Box::new(error))
    }

    /// There is no key at all.
    pub fn missing_api_key() -> Self {
        let message = "You didn't provide an API key. You need to provide your API key in an Authorization \
                       header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
        Self::plain(StatusCode::UNAUTHORIZED, message)
    }

    /// Translates an error that the database raised. Only an error with our JSON in DETAIL is one of ours and may be shown.
    pub fn from_sqlstate(sqlstate: &str, message: &str, detail: Option<&str>) -> Self {
        let log = || format!("SQLSTATE {sqlstate}: {}", shorten(message));
        let detail: Option<Value> = detail
            .and_then(|detail| serde_json::from_str(detail).ok())
            .filter(|detail: &Value| detail.get("code").is_some() && detail.get("param").is_some());
        match (sqlstate, detail) {
            ("57014", _) => Self::Timeout(log()),
            ("40001" | "40P01" | "53300", _) => Self::Unavailable(log()),
            (state, _) if state.starts_with("08") || state.starts_with("57P") => Self::Unavailable(log()),
            (_, None) => Self::Internal(log()),
            (state, Some(detail)) => match status_of(state) {
                Some(status) => Self::Client(Box::new(from_detail(status, message, &detail))),
                None => Self::Internal(log()),
            },
        }
    }

    /// Status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Client(error) => error.status,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `error.code`
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Client(error) => error.code.as_deref(),
            _ => None,
        }
    }

    /// The error object of the response.
    pub fn body(&self, request_id: &str) -> Value {
        let server = |message: String| json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}});
        match self {
            Self::Client(error) => json!({"error": {
                "message": error.message, "type": error.kind, "param": error.param, "code": error.code,
            }}),
            Self::Unavailable(_) => server(format!(
                "The server is temporarily unable to answer. Please try again. (request {request_id})"
            )),
            Self::Timeout(_) => server(format!("The request took too long. (request {request_id})")),
            Self::Internal(_) => server(format!(
                "The server had an error processing your request. Please quote request {request_id} when you report it."
            )),
        }
    }

    /// The complete response. Called by the outermost layer only, because only it knows the request's id.
    pub fn render(&self, request_id: &str) -> Response {
        let mut response = (self.status(), axum::Json(self.body(request_id))).into_response();
        let headers = response.headers_mut();
        let (retry_after, permanent) = match self {
            Self::Client(error) => (error.retry_after, error.permanent),
            Self::Unavailable(_) => (Some(Duration::from_secs(1)), false),
            Self::Timeout(_) | Self::Internal(_) => (None, false),
        };
        if let Some(after) = retry_after {
            // Whole seconds, at least one; the official clients give up when told to wait longer than 120 s.
            let seconds = after.as_millis().div_ceil(1000).clamp(1, 120);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
            let millis = after.as_millis().clamp(1, 120_000);
            headers.insert("retry-after-ms", HeaderValue::from(millis as u64));
            headers.insert("x-should-retry", HeaderValue::from_static("true"));
        }
        if permanent {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        if let Self::Client(error) = self
            && let Some(rate) = error.rate
        {
            rate.write(headers);
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The error behind a response, for the layer that renders it.
#[derive(Clone)]
pub struct Failure(pub Arc<Error>);

impl IntoResponse for Error {
    /// An empty response that carries the error: the body is written by the outermost layer.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let postgres = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>();
                let sqlstate = database.code().unwrap_or(Cow::Borrowed("XX000"));
                Self::from_sqlstate(&sqlstate, database.message(), postgres.and_then(|error| error.detail()))
            }
            sqlx::Error::PoolTimedOut => Self::Unavailable("no free database connection".into()),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable("the pool is closed".into())
            }
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Internal(shorten(&error.to_string()).into_owned()),
        }
    }
}

/// HTTP status of our own SQLSTATEs.
fn status_of(sqlstate: &str) -> Option<StatusCode> {
    Some(match sqlstate {
        "22023" => StatusCode::BAD_REQUEST,
        "28000" => StatusCode::UNAUTHORIZED,
        "42501" => StatusCode::FORBIDDEN,
        "P0002" => StatusCode::NOT_FOUND,
        "23505" | "2BP01" => StatusCode::CONFLICT,
        "44000" => StatusCode::PRECONDITION_FAILED,
        "53400" | "54000" => StatusCode::TOO_MANY_REQUESTS,
        "55000" => StatusCode::SERVICE_UNAVAILABLE,
        _ => return None,
    })
}

fn from_detail(status: StatusCode, message: &str, detail: &Value) -> ClientError {
    let text = |key: &str| detail.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut error = Error::client(status, message);
    error.code = text("code").map(Cow::Owned);
    error.param = text("param");
    error.rate = detail.get("rate").and_then(|rate| RateState::deserialize(rate).ok());
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let millis = detail.get("retry_after_ms").and_then(Value::as_u64);
            error.retry_after = millis.map(Duration::from_millis);
            // A quota does not refill by waiting; a rate limit says when to come back, unless no wait would do.
            let limited = match detail.get("type").and_then(Value::as_str) {
                Some("tokens") => Some("tokens"),
                Some(_) => Some("requests"),
                None => millis.map(|_| "requests"),
            };
            (error.kind, error.permanent) = (limited.unwrap_or("insufficient_quota"), millis.is_none());
            error.code.get_or_insert(Cow::Borrowed(match limited {
                None => "insufficient_quota",
                Some(_) => "rate_limit_exceeded",
            }));
        }
        StatusCode::CONFLICT => error.permanent = true,
        StatusCode::SERVICE_UNAVAILABLE => error.kind = "server_error",
        _ => {}
    }
    error
}

/// Database messages may echo whole values (a query, a document): only the start goes to the log.
fn shorten(message: &str) -> Cow<'_, str> {
    const LIMIT: usize = 300;
    match message.char_indices().nth(LIMIT) {
        Some((at, _)) => Cow::Owned(format!("{}…", &message[..at])),
        None => Cow::Borrowed(message),
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
