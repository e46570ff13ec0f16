//! Functions on uploads in parts.

use serde::Deserialize;
use sqlx::types::Json;
use tokio::io::AsyncRead;

use super::files::{Body, append};
use super::{Db, NewFile, Raw, effect, read, settle, transact};
use crate::account;
use crate::auth::ApiKey;
use crate::deadline::bound;
use crate::error::Result;

/// A part that is about to be read.
#[derive(Debug, Deserialize)]
pub struct UploadPieces {
    /// Its id.
    pub id: String,
    /// Number of its pieces.
    pub pieces: i32,
}

impl Db {
    /// Begins an upload.
    pub async fn create_upload(
        &self,
        key: &ApiKey,
        new: &NewFile,
        mime_type: &str,
        bytes: i64,
    ) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_create_upload($1, $2, $3, $4, $5, $6)",
            key.credential(),
            &new.filename,
            &new.purpose,
            mime_type,
            bytes,
            new.expires_seconds,
        )?;
        Ok(body.into())
    }

    /// Adds a small part.
    pub async fn add_upload_part(&self, key: &ApiKey, upload: &str, data: &[u8]) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_create_upload_part($1, $2, $3)",
            key.credential(),
            upload,
            data,
        )?;
        Ok(body.into())
    }

    /// Adds a big part piece by piece, in one transaction.
    pub async fn add_big_upload_part(
        &self,
        key: &ApiKey,
        upload: &str,
        data: impl AsyncRead + Unpin,
    ) -> Result<Raw> {
        let done = transact!(self, |transaction| {
            let sql =
                concat!("SELECT vectorstore.api_begin_upload_part($1, $2)", ", vectorstore.api_rate_state()");
            let begun =
                sqlx::query_as(sql).bind(key.credential()).bind(upload).fetch_one(&mut *transaction).await;
            let part: String = account::note("", begun)?;
            let sql = "SELECT vectorstore.api_append_upload_part($1, $2, $3, $4)";
            append(&mut transaction, sql, key, &part, data).await?;
            let sql = "SELECT vectorstore.api_finish_upload_part($1, $2)";
            let finished =
                sqlx::query_scalar(sql).bind(key.credential()).bind(&part).fetch_one(&mut *transaction).await;
            let body: Body = account::note(sql, finished.map(|body| (body, None)))?;
            settle(&mut transaction, &body.0).await?;
            body
        });
        Ok(bound(done).await??.into())
    }

    /// The parts of an upload in the order in which they shall stand.
    pub async fn read_upload(
        &self,
        key: &ApiKey,
        upload: &str,
        part_ids: &[&str],
    ) -> Result<Vec<UploadPieces>> {
        let Json(parts) = read!(
            self,
            "SELECT vectorstore.api_read_upload($1, $2, $3)",
            key.credential(),
            upload,
            part_ids
        )?;
        Ok(parts)
    }

    /// One piece of a part.
    pub async fn read_upload_piece(&self, key: &ApiKey, part: &str, piece: i32) -> Result<Vec<u8>> {
        read!(self, "SELECT vectorstore.api_read_upload_piece($1, $2, $3)", key.credential(), part, piece)
    }

    /// Makes the file.
    pub async fn complete_upload(&self, key: &ApiKey, upload: &str, part_ids: &[&str]) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_complete_upload($1, $2, $3)",
            key.credential(),
            upload,
            part_ids,
        )?;
        Ok(body.into())
    }

    /// Gives an upload up.
    pub async fn cancel_upload(&self, key: &ApiKey, upload: &str) -> Result<Raw> {
        let body: Body =
            effect!(self, "SELECT vectorstore.api_cancel_upload($1, $2)", key.credential(), upload)?;
        Ok(body.into())
    }
}
