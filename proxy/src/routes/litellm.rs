//! `/vector_stores/{id}/embeddings`: texts with their vectors, as litellm-pgvector takes them.

use axum::extract::State;
use pgvector::Vector;
use serde_json::Value;
use sqlx::types::Json as SqlJson;

use super::search::read_vector;
use crate::auth::ApiKey;
use crate::db::Raw;
use crate::embed;
use crate::error::Result;
use crate::extract::{JsonBody, StoreId};
use crate::fields::{Fields, missing, wrong_type};
use crate::model::{EmbeddingBatchCreate, EmbeddingCreate, StoredEmbedding, StoredEmbeddingBatch};
use crate::openapi::Failures;
use crate::state::AppState;

/// Longest text, in characters.
pub const MAX_CONTENT: usize = 262_144;
const MAX_ITEMS: usize = 10_000;

/// Any object.
pub fn read_metadata<'a>(fields: &Fields<'a>) -> Result<Option<&'a Value>> {
    match fields.value("metadata") {
        Some(other) if !other.is_object() => Err(wrong_type(&fields.path("metadata"), "an object", other)),
        metadata => Ok(metadata),
    }
}

/// The rows to insert, column by column.
#[derive(Default)]
struct Rows<'a> {
    contents: Vec<&'a str>,
    embeddings: Vec<Option<Vector>>,
    metadata: Vec<SqlJson<Value>>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, fields: &Fields<'a>) -> Result<()> {
        let content = fields.required("content", fields.string("content", MAX_CONTENT)?)?;
        let metadata = read_metadata(fields)?.cloned().unwrap_or_else(|| Value::Object(Default::default()));
        self.embeddings.push(read_vector(fields, "embedding")?);
        self.contents.push(content);
        self.metadata.push(SqlJson(metadata));
        Ok(())
    }

    async fn insert(&mut self, state: &AppState, key: &ApiKey, store: &StoreId, single: bool) -> Result<Raw> {
        embed::fill_in(state, store, key, &self.contents, &mut self.embeddings).await?;
        state
            .db()
            .insert_embeddings(store, key, &self.contents, &self.embeddings, &self.metadata, single)
            .await
    }
}

/// Put a text into a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/embeddings", tag = "litellm", request_body = EmbeddingCreate,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The text", body = StoredEmbedding), Failures)
)]
pub async fn create_vector_store_embedding(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Raw> {
    let mut rows = Rows::default();
    body.read(|fields| rows.push(fields))?;
    rows.insert(&state, &key, &store, true).await
}

/// Put texts into a vector store, all or none
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/embeddings/batch", tag = "litellm", request_body = EmbeddingBatchCreate,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The texts", body = StoredEmbeddingBatch), Failures)
)]
pub async fn create_vector_store_embedding_batch(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Raw> {
    let mut rows = Rows::default();
    body.read(|fields| {
        let items = fields.array("embeddings", 1, MAX_ITEMS)?.ok_or_else(|| missing("embeddings"))?;
        items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| rows.push(&Fields::of(item, format!("embeddings[{at}]"))?))
    })?;
    rows.insert(&state, &key, &store, false).await
}
