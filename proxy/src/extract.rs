//! Extractors whose rejections have the API's error shape.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use vectorstore_core::id;

use crate::config::{BODY_TIMEOUT, MAX_JSON_BYTES};
use crate::error::{Error, Result};
use crate::fields::{self, Fields};
use crate::state::AppState;

/// The JSON object in the request's body. An absent body is an empty object: what is required is checked field by field.
pub struct JsonBody {
    map: Map<String, Value>,
    strict: bool,
}

impl JsonBody {
    /// Reads the body's fields with `read`; in strict mode, fields that `read` did not ask for are errors.
    pub fn read<'a, T>(&'a self, read: impl FnOnce(&Fields<'a>) -> Result<T>) -> Result<T> {
        let fields = Fields::root(&self.map);
        let value = read(&fields)?;
        fields.finish(self.strict)?;
        Ok(value)
    }
}

impl FromRequest<AppState> for JsonBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let (parts, body) = request.into_parts();
        check_length(&parts.headers, MAX_JSON_BYTES as u64)?;
        let bytes = read_body(body, MAX_JSON_BYTES, BODY_TIMEOUT).await?;
        if !bytes.is_empty() {
            check_content_type(&parts.headers)?;
        }
        Ok(Self { map: parse_object(&bytes)?, strict: state.config().strict })
    }
}

/// Refuses a body whose announced length is over the limit before a byte of it is read.
pub fn check_length(headers: &HeaderMap, limit: u64) -> Result<()> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) { Err(Error::too_large(limit)) } else { Ok(()) }
}

/// The whole body, unless it is longer than `limit` or slower than `timeout`.
pub async fn read_body(body: Body, limit: usize, timeout: Duration) -> Result<bytes::Bytes> {
    let slow = |_| Error::plain(StatusCode::REQUEST_TIMEOUT, "The request's body did not arrive in time.");
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await.map_err(slow)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::too_large(limit as u64)),
        Err(_) => Err(Error::bad_body("The request's body could not be read.")),
    }
}

/// A missing content type is taken for JSON; form data, which some tools send by default, is refused with a hint.
fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence =
        value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(Error::bad_body("Unsupported content type: expected 'application/json'."))
}

fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Error::bad_body(format!("We could not parse the JSON body of your request: {error}."))
    })?;
    if let Some(path) = fields::find_nul(&value) {
        let message = format!("Invalid '{path}': strings may not contain the character U+0000.");
        return Err(Error::invalid("invalid_value", path, message));
    }
    match value {
        Value::Object(map) => Ok(map),
        other => Err(Error::bad_body(format!(
            "Invalid body: expected a JSON object, but got {} instead.",
            fields::type_name(&other)
        ))),
    }
}

/// A vector store named in the path: the id as given and the number inside it (0 when it is none of ours).
pub struct StoreId {
    /// Number that the id encodes.
    pub number: i64,
    /// The id.
    pub text: String,
}

impl<S: Send + Sync> FromRequestParts<S> for StoreId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let text = path_id(parts, state, "vector_store_id", "vs").await?;
        Ok(Self::new(text))
    }
}

impl StoreId {
    /// The store with this public id.
    pub fn new(text: String) -> Self {
        Self { number: id::decode("vs_", &text).unwrap_or(0), text }
    }
}

/// A file named in the path.
pub struct FileId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for FileId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "file_id", "file").await.map(Self)
    }
}

/// A batch of files named in the path.
pub struct BatchId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for BatchId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "batch_id", "vsfb").await.map(Self)
    }
}

/// An upload in parts named in the path.
pub struct UploadId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for UploadId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "upload_id", "upload").await.map(Self)
    }
}

/// A chunk of text named in the path.
pub struct EmbeddingId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for EmbeddingId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "embedding_id", "emb").await.map(Self)
    }
}

/// A model named in the path.
pub struct ModelName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for ModelName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "model", "local").await.map(Self)
    }
}

/// An API key named in the path, by its id.
pub struct KeyId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for KeyId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "key_id", "key").await.map(Self)
    }
}

/// A tenant named in the path.
pub struct TenantId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for TenantId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        path_id(parts, state, "tenant_id", "").await.map(Self)
    }
}

/// The versions that `If-Match` allows: `None` for any. Weak tags match nothing, as RFC 9110 wants it.
pub struct IfMatch(pub Option<Vec<i32>>);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut tags = Vec::new();
        let mut present = false;
        for value in parts.headers.get_all(header::IF_MATCH) {
            present = true;
            for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
                if tag == "*" {
                    return Ok(Self(None));
                }
                tags.extend(tag.trim_matches('"').parse::<i32>());
            }
        }
        Ok(Self(present.then_some(tags)))
    }
}

/// No id is longer; what is longer, or cannot be text for Postgres, needs no database to be refused.
pub const MAX_ID_CHARS: usize = 256;

async fn path_id<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str, prefix: &str) -> Result<String> {
    let bad = || {
        let message = match prefix {
            "" => format!("Invalid '{name}'."),
            _ => format!("Invalid '{name}'. Expected an ID that begins with '{prefix}'."),
        };
        Error::invalid("invalid_value", name, message)
    };
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| bad())?;
    let id =
        params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).ok_or_else(bad)?;
    if id.len() > MAX_ID_CHARS || id.chars().any(char::is_control) { Err(bad()) } else { Ok(id) }
}

/// The query string of a request: scalars only; the last of equal names counts.
pub struct QueryString(Map<String, Value>);

impl<S: Sync> FromRequestParts<S> for QueryString {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let pairs = url_pairs(parts.uri.query().unwrap_or_default());
        for (name, value) in &pairs {
            if name.contains('\0') || value.as_str().is_some_and(|text| text.contains('\0')) {
                return Err(Error::invalid(
                    "invalid_value",
                    name.replace('\0', ""),
                    "Invalid query string: it contains the character U+0000.",
                ));
            }
        }
        Ok(Self(pairs))
    }
}

fn url_pairs(query: &str) -> Map<String, Value> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    });
    // Numbers are turned into JSON numbers here, so that the readers of JSON fields serve query strings too.
    pairs
        .map(|(name, value)| {
            let value = match value.parse::<i64>() {
                Ok(number) if name == "limit" => Value::from(number),
                _ => Value::String(value),
            };
            (name, value)
        })
        .collect()
}

/// Paging parameters of a list.
pub struct Page {
    /// Number of objects.
    pub limit: i32,
    /// `asc` or `desc`
    pub order: String,
    /// Objects behind this one.
    pub after: Option<String>,
    /// Objects in front of this one.
    pub before: Option<String>,
    /// `filter` (files of a store) or `purpose` (files).
    pub filter: Option<String>,
}

impl QueryString {
    /// One of the given words.
    pub fn choice(&self, name: &'static str, allowed: &[&str]) -> Result<Option<&str>> {
        Fields::root(&self.0).choice(name, allowed)
    }

    /// The tenant that an operator asks for; none is the caller's own.
    pub fn tenant(&self) -> Result<Option<&str>> {
        Fields::root(&self.0).string("tenant", MAX_ID_CHARS)
    }

    /// Reads the paging parameters; `filter` names one more parameter and the words it may have (none: any word).
    pub fn page(&self, default: i32, max: i32, filter: Option<(&'static str, &[&str])>) -> Result<Page> {
        let fields = Fields::root(&self.0);
        let id = |name| -> Result<_> {
            Ok(fields.string(name, MAX_ID_CHARS)?.filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let filter = match filter {
            None => None,
            Some((name, [])) => id(name)?,
            Some((name, words)) => fields.choice(name, words)?.map(str::to_owned),
        };
        Ok(Page {
            limit: fields.integer("limit", 1, max.into())?.map_or(default, |limit| limit as i32),
            order: fields.choice("order", &["asc", "desc"])?.unwrap_or("desc").to_owned(),
            after: id("after")?,
            before: id("before")?,
            filter,
        })
    }
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
