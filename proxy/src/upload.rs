//! Reads the multipart body of an upload piece by piece: parts in any order, never the whole file in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use multer::{Field, Multipart};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::config::{BODY_TIMEOUT, FILE_PART_BYTES, SMALL_FILE_BYTES};
use crate::db::NewFile;
use crate::error::{Error, Result};
use crate::extract::check_length;
use crate::fields::{Fields, missing, string_length};
use crate::idempotency;

/// What OpenAI takes for `purpose`.
pub const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// Parts of one upload, and bytes of what is no file: more is not an upload but an attack.
const MAX_PARTS: usize = 16;
const MAX_FIELD_BYTES: usize = 1024;
const MAX_HEADER_BYTES: u64 = 64 * 1024;

/// The budget of bytes while a part's content is read, which is limited elsewhere.
const UNLIMITED: u64 = u64::MAX;

/// The bytes of an uploaded file.
pub enum Content {
    /// In memory.
    Small(Vec<u8>),
    /// In a nameless file on disk, so that a slow client holds neither memory nor a database connection.
    Spooled(File),
}

/// An upload that has arrived completely and passed its checks.
pub struct Upload {
    /// Name and purpose.
    pub file: NewFile,
    /// The bytes.
    pub content: Content,
}

#[derive(Default)]
struct Received {
    filename: String,
    content: Option<Content>,
    fields: Map<String, Value>,
}

impl Upload {
    /// Reads an upload of at most `max_bytes`. `authorise` is awaited before anything is written to disk.
    pub async fn read(
        headers: &HeaderMap,
        body: Body,
        max_bytes: u64,
        authorise: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<Self> {
        receive(headers, body, "file", max_bytes, authorise).await?.finish()
    }
}

/// Reads a part of an upload in parts, whose bytes are in the field `data`.
pub async fn read_data(
    headers: &HeaderMap,
    body: Body,
    max_bytes: u64,
    authorise: impl AsyncFnOnce() -> Result<()>,
) -> Result<Content> {
    receive(headers, body, "data", max_bytes, authorise).await?.content.ok_or_else(|| missing("data"))
}

/// Digest of a multipart body: of its fields, because clients choose another boundary each time they send it.
pub async fn digest(headers: &HeaderMap, body: Body, max_bytes: u64) -> Result<[u8; 32]> {
    let (mut parts, budget) = open(headers, body, max_bytes)?;
    let mut sum = Summary::default();
    for _ in 0..MAX_PARTS {
        let Some(mut field) = next_field(&mut parts, &budget).await? else { break };
        sum.begin(&field);
        let mut total = 0;
        while let Some(chunk) = in_time(field.chunk()).await? {
            total += chunk.len() as u64;
            if total > max_bytes {
                return Err(Error::too_large(max_bytes));
            }
            sum.add(&chunk);
        }
    }
    Ok(sum.finish())
}

/// SHA-256 over names and contents of fields, in their order.
#[derive(Default)]
struct Summary {
    hash: Sha256,
    length: u64,
}

impl Summary {
    fn begin(&mut self, field: &Field<'_>) {
        self.end();
        for name in [field.name(), field.file_name()] {
            let name = name.unwrap_or_default();
            self.hash.update((name.len() as u64).to_le_bytes());
            self.hash.update(name);
        }
    }

    fn add(&mut self, content: &[u8]) {
        self.hash.update(content);
        self.length += content.len() as u64;
    }

    /// The length behind the content tells where it ends.
    fn end(&mut self) {
        self.hash.update(std::mem::take(&mut self.length).to_le_bytes());
    }

    fn finish(mut self) -> [u8; 32] {
        self.end();
        self.hash.finalize().into()
    }
}

/// The parser of a multipart body, and the bytes that it may still take before a part's headers end.
fn open(headers: &HeaderMap, body: Body, max_bytes: u64) -> Result<(Multipart<'static>, Arc<AtomicU64>)> {
    // The whole body may be a little larger than the file in it; the limit to be told is the file's.
    check_length(headers, max_bytes.saturating_add(MAX_HEADER_BYTES))
        .map_err(|_| Error::too_large(max_bytes))?;
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| {
        Error::bad_body("Unsupported content type: expected 'multipart/form-data' with a boundary.")
    })?;
    let budget = Arc::new(AtomicU64::new(MAX_HEADER_BYTES));
    Ok((Multipart::new(Paced::new(body, Arc::clone(&budget)), boundary), budget))
}

async fn next_field(parts: &mut Multipart<'static>, budget: &AtomicU64) -> Result<Option<Field<'static>>> {
    // The parser buffers a part's headers whole, however long they are: only so much may come until they end.
    budget.store(MAX_HEADER_BYTES, Ordering::Relaxed);
    let field = in_time(parts.next_field()).await?;
    budget.store(UNLIMITED, Ordering::Relaxed);
    Ok(field)
}

/// Reads a body in which the field `file` is the file, and all others are short texts.
async fn receive(
    headers: &HeaderMap,
    body: Body,
    file: &str,
    max_bytes: u64,
    authorise: impl AsyncFnOnce() -> Result<()>,
) -> Result<Received> {
    let (mut parts, budget) = open(headers, body, max_bytes)?;
    let mut received = Received::default();
    let mut sum = Summary::default();
    let mut authorise = Some(authorise);
    for _ in 0..MAX_PARTS {
        let Some(field) = next_field(&mut parts, &budget).await? else {
            idempotency::note_content(sum.finish());
            return Ok(received);
        };
        sum.begin(&field);
        match field.name().unwrap_or_default() {
            name if name == file && received.content.is_some() => {
                return Err(Error::bad_body(format!("There is more than one part named '{file}'.")));
            }
            name if name == file => {
                received.filename = clean_filename(field.file_name().unwrap_or_default());
                received.content = Some(read_file(field, max_bytes, &mut authorise, &mut sum).await?);
            }
            name => {
                let name = name.to_owned();
                let value = read_text(field, &name, &mut sum).await?;
                received.fields.insert(name, Value::String(value));
                // A wrong purpose is told before the file is read, when it comes first.
                received.check_fields()?;
            }
        }
    }
    Err(Error::bad_body(format!("The upload has more than {MAX_PARTS} parts.")))
}

impl Received {
    fn check_fields(&self) -> Result<Option<i32>> {
        let fields = Fields::root(&self.fields);
        fields.choice("purpose", &PURPOSES)?;
        let (anchor, seconds) = ("expires_after[anchor]", "expires_after[seconds]");
        fields.choice(anchor, &["created_at"])?;
        let Some(text) = fields.string(seconds, MAX_FIELD_BYTES)? else { return Ok(None) };
        let number = text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from);
        crate::fields::integer(seconds, &number, 3_600, 2_592_000).map(|seconds| Some(seconds as i32))
    }

    fn finish(self) -> Result<Upload> {
        let expires_seconds = self.check_fields()?;
        let fields = Fields::root(&self.fields);
        let purpose = fields.required("purpose", fields.string("purpose", MAX_FIELD_BYTES)?)?.to_owned();
        let content = self.content.ok_or_else(|| missing("file"))?;
        match (fields.has("expires_after[anchor]"), expires_seconds.is_some()) {
            (false, true) => return Err(missing("expires_after.anchor")),
            (true, false) => return Err(missing("expires_after.seconds")),
            _ => {}
        }
        string_length("filename", &self.filename, 255)?;
        Ok(Upload { file: NewFile { filename: self.filename, purpose, expires_seconds }, content })
    }
}

/// The body for the multipart parser, which would read all that there is before it looks at any of it: so a pause follows
/// each piece. It ends in an error once `budget` bytes have come.
struct Paced {
    body: BodyDataStream,
    pause: bool,
    budget: Arc<AtomicU64>,
}

impl Paced {
    fn new(body: Body, budget: Arc<AtomicU64>) -> Self {
        Self { body: body.into_data_stream(), pause: false, budget }
    }

    fn spend(&self, length: u64) -> std::io::Result<()> {
        match self.budget.load(Ordering::Relaxed) {
            UNLIMITED => Ok(()),
            // The last piece may be larger than the rest and hold the beginning of the part's content, too.
            0 => Err(std::io::Error::other("the headers of a part are too long")),
            left => {
                self.budget.store(left.saturating_sub(length), Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl Stream for Paced {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(piece) = std::task::ready!(self.body.poll_next_unpin(context)) else {
            return Poll::Ready(None);
        };
        self.pause = true;
        let piece = piece.map_err(std::io::Error::other);
        Poll::Ready(Some(piece.and_then(|piece| self.spend(piece.len() as u64).map(|()| piece))))
    }
}

async fn in_time<T>(next: impl Future<Output = multer::Result<T>>) -> Result<T> {
    let slow = |_| Error::plain(StatusCode::REQUEST_TIMEOUT, "The request's body did not arrive in time.");
    tokio::time::timeout(BODY_TIMEOUT, next)
        .await
        .map_err(slow)?
        .map_err(|error| Error::bad_body(format!("The multipart body could not be read: {error}.")))
}

async fn read_text(mut field: Field<'_>, name: &str, sum: &mut Summary) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(field.chunk()).await? {
        sum.add(&chunk);
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_FIELD_BYTES {
            let name: String = name.chars().take(64).collect();
            return Err(Error::bad_body(format!(
                "The part '{name}' is longer than {MAX_FIELD_BYTES} bytes."
            )));
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| Error::bad_body("A part of the upload is not text in UTF-8."))
}

async fn read_file<A: AsyncFnOnce() -> Result<()>>(
    mut field: Field<'_>,
    max_bytes: u64,
    authorise: &mut Option<A>,
    sum: &mut Summary,
) -> Result<Content> {
    let spool_error = |error: std::io::Error| Error::Internal(format!("spool: {error}"));
    let (mut buffer, mut spool, mut total) = (Vec::new(), None::<File>, 0_u64);
    while let Some(chunk) = in_time(field.chunk()).await? {
        total += chunk.len() as u64;
        if total > max_bytes {
            return Err(Error::too_large(max_bytes));
        }
        sum.add(&chunk);
        buffer.extend_from_slice(&chunk);
        match &mut spool {
            None if buffer.len() > SMALL_FILE_BYTES => {
                if let Some(authorise) = authorise.take() {
                    authorise().await?;
                }
                let mut file = File::from_std(tempfile::tempfile().map_err(spool_error)?);
                file.write_all(&buffer).await.map_err(spool_error)?;
                buffer = Vec::with_capacity(2 * FILE_PART_BYTES);
                spool = Some(file);
            }
            Some(file) if buffer.len() >= FILE_PART_BYTES => {
                file.write_all(&buffer).await.map_err(spool_error)?;
                buffer.clear();
            }
            _ => {}
        }
    }
    let Some(mut file) = spool else { return Ok(Content::Small(buffer)) };
    file.write_all(&buffer).await.map_err(spool_error)?;
    file.flush().await.map_err(spool_error)?;
    file.rewind().await.map_err(spool_error)?;
    Ok(Content::Spooled(file))
}

/// The last component of a path, without control characters: a name, whatever the client sent.
pub fn clean_filename(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    match clean.trim() {
        "" | "." | ".." => "upload".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
