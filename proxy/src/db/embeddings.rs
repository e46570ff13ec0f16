//! Functions on the chunks of a vector store.

use pgvector::Vector;
use serde_json::Value;
use sqlx::types::Json;

use super::files::Body;
use super::{Db, Raw, call, effect, read};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::{IfMatch, Page, StoreId};

/// What shall become of a chunk.
pub struct EmbeddingChange<'a> {
    /// Its text.
    pub content: Option<&'a str>,
    /// Its vector.
    pub embedding: Option<Vector>,
    /// Its metadata.
    pub metadata: Option<&'a Value>,
    /// Whether what is absent becomes empty, instead of staying what it is.
    pub replace: bool,
}

/// Which chunks shall go.
pub struct EmbeddingDeletion<'a> {
    /// Those with these ids,
    pub ids: Option<Vec<&'a str>>,
    /// or those that pass this filter.
    pub filter: Option<&'a Value>,
    /// Whether they are only counted.
    pub dry_run: bool,
    /// How many there must be.
    pub expected: Option<i64>,
}

impl Db {
    /// Inserts texts; those without a vector are embedded by the database.
    pub async fn insert_embeddings(
        &self,
        store: &StoreId,
        key: &ApiKey,
        contents: &[&str],
        embeddings: &[Option<Vector>],
        metadata: &[Json<Value>],
        single: bool,
    ) -> Result<Raw> {
        let body: Body = effect!(
            self,
            "SELECT vectorstore.api_insert_embeddings($1, $2, $3, $4, $5, $6, $7)",
            store.number,
            &store.text,
            key.credential(),
            contents,
            embeddings,
            metadata,
            single,
        )?;
        Ok(body.into())
    }

    /// Lists chunks.
    pub async fn list_embeddings(
        &self,
        store: &StoreId,
        key: &ApiKey,
        page: &Page,
        vectors: bool,
    ) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_list_embeddings($1, $2, $3, $4, $5, $6, $7, $8)",
            store.number,
            &store.text,
            key.credential(),
            page.limit,
            &page.order,
            page.after.as_deref(),
            page.before.as_deref(),
            vectors,
        )?;
        Ok(body.into())
    }

    /// One chunk with its vector.
    pub async fn get_embedding(&self, store: &StoreId, key: &ApiKey, id: &str) -> Result<Raw> {
        let body: Body = read!(
            self,
            "SELECT vectorstore.api_get_embedding($1, $2, $3, $4)",
            store.number,
            &store.text,
            key.credential(),
            id,
        )?;
        Ok(body.into())
    }

    /// Changes a chunk.
    pub async fn update_embedding(
        &self,
        store: &StoreId,
        key: &ApiKey,
        id: &str,
        change: &EmbeddingChange<'_>,
        versions: &IfMatch,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_update_embedding($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            store.number,
            &store.text,
            key.credential(),
            id,
            change.content,
            change.embedding.as_ref(),
            change.metadata.map(Json),
            change.replace,
            versions.0.as_ref(),
        )?;
        Ok(body.into())
    }

    /// Deletes a chunk.
    pub async fn delete_embedding(
        &self,
        store: &StoreId,
        key: &ApiKey,
        id: &str,
        versions: &IfMatch,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_delete_embedding($1, $2, $3, $4, $5)",
            store.number,
            &store.text,
            key.credential(),
            id,
            versions.0.as_ref(),
        )?;
        Ok(body.into())
    }

    /// Deletes chunks, all or none.
    pub async fn delete_embeddings(
        &self,
        store: &StoreId,
        key: &ApiKey,
        deletion: &EmbeddingDeletion<'_>,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_delete_embeddings($1, $2, $3, $4, $5, $6, $7)",
            store.number,
            &store.text,
            key.credential(),
            deletion.ids.as_ref(),
            deletion.filter.map(Json),
            deletion.dry_run,
            deletion.expected,
        )?;
        Ok(body.into())
    }
}
