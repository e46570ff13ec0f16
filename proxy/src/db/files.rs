//! Functions on files.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Db, Raw, call, effect, read, settle, transact};
use crate::account;
use crate::auth::ApiKey;
use crate::config::FILE_PART_BYTES;
use crate::deadline::bound;
use crate::error::Result;
use crate::extract::Page;

pub(super) type Body = Json<Box<RawValue>>;

/// A file to be stored, without its bytes.
pub struct NewFile {
    /// Name without folders.
    pub filename: String,
    /// One of OpenAI's purposes.
    pub purpose: String,
    /// Seconds until it expires.
    pub expires_seconds: Option<i32>,
}

/// What is needed to read a file.
#[derive(Debug, Deserialize)]
pub struct FileParts {
    /// Its id.
    pub id: String,
    /// Its name.
    pub filename: String,
    /// Its size.
    pub bytes: u64,
    /// Number of its parts.
    pub parts: i32,
}

/// Stores bytes piece by piece with a statement that takes the key, the id, the piece's number and the piece.
pub(super) async fn append(
    connection: &mut PgConnection,
    sql: &'static str,
    key: &ApiKey,
    id: &str,
    mut data: impl AsyncRead + Unpin,
) -> Result<(), sqlx::Error> {
    let mut buffer = Vec::with_capacity(FILE_PART_BYTES);
    for piece in 0_i32.. {
        buffer.clear();
        let read = (&mut data)
            .take(FILE_PART_BYTES as u64)
            .read_to_end(&mut buffer)
            .await
            // Not an error of the connection, as `Io` would be.
            .map_err(|error| sqlx::Error::AnyDriverError(format!("spool: {error}").into()))?;
        if read == 0 {
            break;
        }
        sqlx::query(sql)
            .bind(key.credential())
            .bind(id)
            .bind(piece)
            .bind(&buffer)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

impl Db {
    /// Stores a small file.
    pub async fn create_file(&self, key: &ApiKey, new: &NewFile, data: &[u8]) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_create_file($1, $2, $3, $4, $5)",
            key.credential(),
            &new.filename,
            &new.purpose,
            data,
            new.expires_seconds,
        )?;
        Ok(body.into())
    }

    /// Stores a big file part by part, in one transaction: nobody sees half a file, and nothing is left of a failed one.
    pub async fn create_big_file(
        &self,
        key: &ApiKey,
        new: &NewFile,
        data: impl AsyncRead + Unpin,
    ) -> Result<Raw> {
        let done = transact!(self, |transaction| {
            let sql = concat!(
                "SELECT vectorstore.api_begin_file($1, $2, $3, $4)",
                ", vectorstore.api_rate_state()"
            );
            let begun = sqlx::query_as(sql)
                .bind(key.credential())
                .bind(&new.filename)
                .bind(&new.purpose)
                .bind(new.expires_seconds)
                .fetch_one(&mut *transaction)
                .await;
            let file: String = account::note("", begun)?;
            let sql = "SELECT vectorstore.api_append_file($1, $2, $3, $4)";
            append(&mut transaction, sql, key, &file, data).await?;
            let sql = "SELECT vectorstore.api_finish_file($1, $2)";
            let finished =
                sqlx::query_scalar(sql).bind(key.credential()).bind(&file).fetch_one(&mut *transaction).await;
            let body: Body = account::note(sql, finished.map(|body| (body, None)))?;
            settle(&mut transaction, &body.0).await?;
            body
        });
        Ok(bound(done).await??.into())
    }

    /// Lists files.
    pub async fn list_files(&self, key: &ApiKey, page: &Page) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_list_files($1, $2, $3, $4, $5)",
            key.credential(),
            page.filter.as_deref(),
            page.limit,
            &page.order,
            page.after.as_deref(),
        )?;
        Ok(body.into())
    }

    /// One file.
    pub async fn get_file(&self, key: &ApiKey, file: &str) -> Result<Raw> {
        let body: Body = read!(self, "SELECT vectorstore.api_get_file($1, $2)", key.credential(), file)?;
        Ok(body.into())
    }

    /// Deletes a file, also from all stores.
    pub async fn delete_file(&self, key: &ApiKey, file: &str) -> Result<Raw> {
        let body: Body = call!(self, "SELECT vectorstore.api_delete_file($1, $2)", key.credential(), file)?;
        Ok(body.into())
    }

    /// How a file can be read.
    pub async fn read_file(&self, key: &ApiKey, file: &str) -> Result<FileParts> {
        let Json(parts) = read!(self, "SELECT vectorstore.api_read_file($1, $2)", key.credential(), file)?;
        Ok(parts)
    }

    /// One part of a file.
    pub async fn read_file_part(&self, key: &ApiKey, file: &str, part: i32) -> Result<Vec<u8>> {
        read!(self, "SELECT vectorstore.api_read_file_part($1, $2, $3)", key.credential(), file, part)
    }
}
