//! `/vector_stores/{id}/file_batches`

use axum::extract::State;
use axum::response::IntoResponse;

use super::store_files::{POLL_AFTER_MS, STATUSES};
use crate::attach;
use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::Result;
use crate::extract::{BatchId, JsonBody, QueryString, StoreId};
use crate::model::{FileBatch, FileBatchCreate, StoreFileList, StoreFileListQuery};
use crate::openapi::Failures;
use crate::state::AppState;

fn with_pause(batch: Raw) -> impl IntoResponse {
    ([("openai-poll-after-ms", POLL_AFTER_MS.to_string())], batch)
}

/// Attach many files to a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/file_batches", tag = "vector store file batches", request_body = FileBatchCreate,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The batch", body = FileBatch), Failures)
)]
pub async fn create_vector_store_file_batch(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<impl IntoResponse> {
    let files = body.read(attach::read_batch)?;
    attach::batch(&state, &key, &store, &files).await.map(with_pause)
}

/// Retrieve a batch of files
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/file_batches/{batch_id}", tag = "vector store file batches",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("batch_id" = String, Path, description = "Id of the batch"),
    ),
    responses((status = 200, description = "The batch", body = FileBatch), Failures)
)]
pub async fn retrieve_vector_store_file_batch(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    batch: BatchId,
) -> Result<impl IntoResponse> {
    state.db().get_batch(&store, &key, &batch.0).await.map(with_pause)
}

/// Cancel a batch of files
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", tag = "vector store file batches",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("batch_id" = String, Path, description = "Id of the batch"),
    ),
    responses((status = 200, description = "The batch; what was in progress is cancelled", body = FileBatch), Failures)
)]
pub async fn cancel_vector_store_file_batch(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    batch: BatchId,
) -> Result<Raw> {
    state.db().cancel_batch(&store, &key, &batch.0).await
}

/// List the files of a batch
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", tag = "vector store file batches",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("batch_id" = String, Path, description = "Id of the batch"),
        StoreFileListQuery,
    ),
    responses((status = 200, description = "A page of files", body = StoreFileList), Failures)
)]
pub async fn list_vector_store_file_batch_files(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    batch: BatchId,
    query: QueryString,
) -> Result<Raw> {
    let page = query.page(20, 100, Some(("filter", &STATUSES)))?;
    state.db().list_batch_files(&store, &key, &batch.0, &page).await
}
