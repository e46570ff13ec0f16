//! `/vector_stores/{id}/embeddings`: texts with their vectors, as litellm-pgvector takes them.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use pgvector::Vector;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::types::Json as SqlJson;

use super::search::read_vector;
use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, StoreId};
use crate::fields::{Fields, missing, wrong_type};
use crate::model::{EmbeddingBatchCreate, EmbeddingCreate, StoredEmbedding, StoredEmbeddingBatch};
use crate::openapi::Failures;
use crate::state::AppState;

const MAX_CONTENT: usize = 262_144;
const MAX_ITEMS: usize = 10_000;

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
        let metadata = match fields.value("metadata") {
            None => Value::Object(Default::default()),
            Some(object @ Value::Object(_)) => object.clone(),
            Some(other) => return Err(wrong_type(&fields.path("metadata"), "an object", other)),
        };
        self.embeddings.push(read_vector(fields, "embedding")?);
        self.contents.push(content);
        self.metadata.push(SqlJson(metadata));
        Ok(())
    }

    /// Fills in the vectors of a model that only the proxy knows; those of the local one are the database's.
    async fn embed(&mut self, state: &AppState, key: &ApiKey, store: &StoreId) -> Result<()> {
        if !state.providers().any_named() || self.embeddings.iter().all(Option::is_some) {
            return Ok(());
        }
        let context = state.db().store_context(store, key).await?;
        let provider = state.providers().get(context["embedding_model"].as_str().unwrap_or_default());
        let Some(provider) = provider.filter(|provider| !provider.is_local()) else { return Ok(()) };
        let missing: Vec<usize> =
            (0..self.contents.len()).filter(|at| self.embeddings[*at].is_none()).collect();
        let texts = missing.iter().map(|at| self.contents[*at].to_owned()).collect();
        for (at, vector) in missing.into_iter().zip(provider.embed(state, texts).await?) {
            self.embeddings[at] = Some(vector);
        }
        Ok(())
    }

    async fn insert(
        &mut self,
        state: &AppState,
        key: &ApiKey,
        store: &StoreId,
    ) -> Result<Vec<Box<RawValue>>> {
        self.embed(state, key, store).await?;
        state.db().insert_embeddings(store, key, &self.contents, &self.embeddings, &self.metadata).await
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
    let inserted = rows.insert(&state, &key, &store).await?;
    inserted.into_iter().next().map(Raw).ok_or_else(|| Error::Internal("nothing was inserted".into()))
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
) -> Result<Json<Value>> {
    let mut rows = Rows::default();
    body.read(|fields| {
        let items = fields.array("embeddings", 1, MAX_ITEMS)?.ok_or_else(|| missing("embeddings"))?;
        items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| rows.push(&Fields::of(item, format!("embeddings[{at}]"))?))
    })?;
    let data = rows.insert(&state, &key, &store).await?;
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Ok(Json(serde_json::json!({"object": "embedding.batch", "data": data, "created": created})))
}
