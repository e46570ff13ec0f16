//! `/vector_stores/{id}/embeddings`: the chunks of a store one by one.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use vectorstore_core::filter::Filter;

use super::litellm::{MAX_CONTENT, read_metadata};
use super::search::read_vector;
use crate::auth::ApiKey;
use crate::db::{EmbeddingChange, EmbeddingDeletion, Raw};
use crate::embed;
use crate::error::{Error, Result};
use crate::extract::{EmbeddingId, IfMatch, JsonBody, MAX_ID_CHARS, QueryString, StoreId};
use crate::fields::Fields;
use crate::model::{
    ChunkBatchDelete, ChunkBatchDeleted, ChunkList, ChunkListQuery, ChunkObject, ChunkReplace, ChunkUpdate,
    Deleted,
};
use crate::openapi::Failures;
use crate::state::AppState;

const MAX_IDS: usize = 10_000;

/// List the texts of a vector store
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/embeddings", tag = "vector store embeddings",
    params(("vector_store_id" = String, Path, description = "Id of the vector store"), ChunkListQuery),
    responses((status = 200, description = "A page of texts, in the order in which they were written", body = ChunkList), Failures)
)]
pub async fn list_vector_store_embeddings(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    query: QueryString,
) -> Result<Raw> {
    let vectors = query.choice("include", &["embedding"])?.is_some();
    state.db().list_embeddings(&store, &key, &query.page(20, 100, None)?, vectors).await
}

/// Retrieve a text of a vector store with its vector
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/embeddings/{embedding_id}", tag = "vector store embeddings",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("embedding_id" = String, Path, description = "Id of the text"),
    ),
    responses((status = 200, description = "The text; its version is the ETag", body = ChunkObject), Failures)
)]
pub async fn retrieve_vector_store_embedding(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    id: EmbeddingId,
) -> Result<Response> {
    tagged(state.db().get_embedding(&store, &key, &id.0).await?)
}

/// Replace a text of a vector store
#[utoipa::path(
    put, path = "/vector_stores/{vector_store_id}/embeddings/{embedding_id}", tag = "vector store embeddings",
    request_body = ChunkReplace,
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("embedding_id" = String, Path, description = "Id of the text"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that may be replaced"),
    ),
    responses((status = 200, description = "The text; its version is the ETag", body = ChunkObject), Failures)
)]
pub async fn replace_vector_store_embedding(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    id: EmbeddingId,
    versions: IfMatch,
    body: JsonBody,
) -> Result<Response> {
    let change = body.read(|fields| {
        let change = read_change(fields, true)?;
        fields.required("content", change.content)?;
        Ok(change)
    })?;
    update(&state, &key, &store, &id, &versions, change).await
}

/// Change parts of a text of a vector store
#[utoipa::path(
    patch, path = "/vector_stores/{vector_store_id}/embeddings/{embedding_id}", tag = "vector store embeddings",
    request_body = ChunkUpdate,
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("embedding_id" = String, Path, description = "Id of the text"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that may be changed"),
    ),
    responses((status = 200, description = "The text; its version is the ETag", body = ChunkObject), Failures)
)]
pub async fn update_vector_store_embedding(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    id: EmbeddingId,
    versions: IfMatch,
    body: JsonBody,
) -> Result<Response> {
    let change = body.read(|fields| read_change(fields, false))?;
    update(&state, &key, &store, &id, &versions, change).await
}

async fn update(
    state: &AppState,
    key: &ApiKey,
    store: &StoreId,
    id: &EmbeddingId,
    versions: &IfMatch,
    mut change: EmbeddingChange<'_>,
) -> Result<Response> {
    if let Some(content) = change.content {
        let vector = std::slice::from_mut(&mut change.embedding);
        embed::fill_in(state, store, key, &[content], vector).await?;
    }
    tagged(state.db().update_embedding(store, key, &id.0, &change, versions).await?)
}

/// Delete a text of a vector store
#[utoipa::path(
    delete, path = "/vector_stores/{vector_store_id}/embeddings/{embedding_id}", tag = "vector store embeddings",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("embedding_id" = String, Path, description = "Id of the text"),
        ("If-Match" = Option<String>, Header, description = "ETag of the version that may be deleted"),
    ),
    responses((status = 200, description = "It is gone", body = Deleted), Failures)
)]
pub async fn delete_vector_store_embedding(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    id: EmbeddingId,
    versions: IfMatch,
) -> Result<Raw> {
    state.db().delete_embedding(&store, &key, &id.0, &versions).await
}

/// Delete texts of a vector store by ids or by a filter, all or none
#[utoipa::path(
    delete, path = "/vector_stores/{vector_store_id}/embeddings/batch", tag = "vector store embeddings",
    request_body = ChunkBatchDelete,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "How many are gone, or would be", body = ChunkBatchDeleted), Failures)
)]
pub async fn delete_vector_store_embedding_batch(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Raw> {
    let deletion = body.read(read_deletion)?;
    state.db().delete_embeddings(&store, &key, &deletion).await
}

fn read_change<'a>(fields: &Fields<'a>, replace: bool) -> Result<EmbeddingChange<'a>> {
    Ok(EmbeddingChange {
        content: fields.string("content", MAX_CONTENT)?,
        embedding: read_vector(fields, "embedding")?,
        metadata: read_metadata(fields)?,
        replace,
    })
}

fn read_deletion<'a>(fields: &Fields<'a>) -> Result<EmbeddingDeletion<'a>> {
    let filter = fields.value("filter").or(fields.value("filters"));
    if let Some(filter) = filter {
        Filter::parse(filter).map_err(|error| Error::invalid(error.code, error.param, error.message))?;
    }
    Ok(EmbeddingDeletion {
        ids: fields.strings("ids", 1, MAX_IDS, MAX_ID_CHARS)?,
        filter,
        dry_run: fields.boolean("dry_run")?.unwrap_or(false),
        expected: fields.integer("expected_count", 0, i64::MAX)?,
    })
}

#[derive(Deserialize)]
struct Versioned {
    version: i32,
}

/// The version of a text is its ETag.
fn tagged(body: Raw) -> Result<Response> {
    let Versioned { version } =
        serde_json::from_str(body.0.get()).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(([(header::ETAG, format!("\"{version}\""))], body).into_response())
}
