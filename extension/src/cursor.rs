//! Page tokens of frozen result lists.

use crate::error::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use vectorstore_core::cursor::{self, Cursor, CursorError, FINGERPRINT_BYTES, Place};

/// Token that leads to a list of chunks.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn list_token(
    secret: &[u8],
    fingerprint: &[u8],
    issued_at: i64,
    chunk_ids: Vec<i64>,
    scores: Vec<f64>,
) -> Result<String, ErrorReport> {
    let entries = chunk_ids.into_iter().zip(scores.into_iter().map(|score| score as f32)).collect();
    token(secret, fingerprint, issued_at, Place::List { entries, offset: 0 })
}

/// Token that leads to the chunks behind one.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn keyset_token(secret: &[u8], fingerprint: &[u8], issued_at: i64, last: i64) -> Result<String, ErrorReport> {
    token(secret, fingerprint, issued_at, Place::After { chunk_id: last })
}

fn token(secret: &[u8], fingerprint: &[u8], issued_at: i64, place: Place) -> Result<String, ErrorReport> {
    let cursor = Cursor { issued_at: issued_at.max(0) as u64, place };
    let token = cursor::encode(&cursor, secret, &fingerprint_of(fingerprint)?);
    token.ok_or_else(|| invalid("The list is too long for a page token.").into())
}

type Rest = TableIterator<
    'static,
    (name!(chunk_ids, Option<Vec<i64>>), name!(scores, Option<Vec<f64>>), name!(last, Option<i64>)),
>;

/// What a token leads to: the chunks of a list that are left with their scores, or NULL and the chunk to go on from.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn read_token(token: &str, secret: &[u8], fingerprint: &[u8]) -> Result<Rest, ErrorReport> {
    let cursor = cursor::decode(token, secret, &fingerprint_of(fingerprint)?).map_err(|error| {
        invalid(match error {
            CursorError::OtherRequest => {
                "The page token belongs to another request. Send the same search again."
            }
            CursorError::Malformed | CursorError::Forged => "The page token is not valid.",
        })
    })?;
    let row = match cursor.place {
        Place::List { entries, offset } => {
            let rest = entries.get(offset as usize..).unwrap_or_default();
            let (ids, scores) = rest.iter().map(|&(id, score)| (id, f64::from(score))).unzip();
            (Some(ids), Some(scores), None)
        }
        Place::After { chunk_id } => (None, None, Some(chunk_id)),
    };
    Ok(TableIterator::once(row))
}

fn fingerprint_of(bytes: &[u8]) -> Result<[u8; FINGERPRINT_BYTES], Error> {
    bytes.try_into().map_err(|_| invalid("The fingerprint must be a SHA-256."))
}

fn invalid(message: &str) -> Error {
    Error::Invalid { message: message.to_owned(), code: "invalid_value", param: "page" }
}
