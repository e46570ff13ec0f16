//! Functions on batches of files.

use sqlx::types::Json;

use super::files::Body;
use super::{Attachment, Db, Raw, effect, part, read};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::{Page, StoreId};

impl Db {
    /// Attaches files.
    pub async fn create_batch(
        &self,
        store: &StoreId,
        key: &ApiKey,
        files: &[Attachment<'_>],
        models: &[&str],
    ) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_create_batch($1, $2, $3, $4, $5)",
            store.number,
            &store.text,
            key.credential(),
            Json(files),
            models,
        )?;
        Ok(body.into())
    }

    /// One batch.
    pub async fn get_batch(&self, store: &StoreId, key: &ApiKey, batch: &str) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_get_batch($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            batch,
        )?;
        Ok(body.into())
    }

    /// The same as a part of another request.
    pub async fn look_at_batch(&self, store: &StoreId, key: &ApiKey, batch: &str) -> Result<Raw> {
        let body: Body = part!(
            self,
            "SELECT vectorstore.api_get_batch($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            batch,
        )?;
        Ok(body.into())
    }

    /// Cancels what is in progress.
    pub async fn cancel_batch(&self, store: &StoreId, key: &ApiKey, batch: &str) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_cancel_batch($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            batch,
        )?;
        Ok(body.into())
    }

    /// Lists the files of a batch.
    pub async fn list_batch_files(
        &self,
        store: &StoreId,
        key: &ApiKey,
        batch: &str,
        page: &Page,
    ) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_list_batch_files($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            store.number,
            &store.text,
            key.credential(),
            batch,
            page.limit,
            &page.order,
            page.after.as_deref(),
            page.before.as_deref(),
            page.filter.as_deref(),
        )?;
        Ok(body.into())
    }
}
