//! `/vector_stores/{id}/files`

use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::attach;
use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::Result;
use crate::extract::{FileId, JsonBody, QueryString, StoreId};
use crate::fields::missing;
use crate::metadata::{self, Values};
use crate::model::{
    Deleted, StoreFile, StoreFileContent, StoreFileCreate, StoreFileList, StoreFileListQuery, StoreFileUpdate,
};
use crate::openapi::Failures;
use crate::state::AppState;

/// What `filter` of a list may be.
pub(super) const STATUSES: [&str; 4] = ["in_progress", "completed", "failed", "cancelled"];

/// How long the official clients shall wait before they ask for a file's status again.
pub(super) const POLL_AFTER_MS: u32 = 500;

/// Attach a file to a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/files", tag = "vector store files", request_body = StoreFileCreate,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The file", body = StoreFile), Failures)
)]
pub async fn create_vector_store_file(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Raw> {
    let file = body.read(attach::read_file)?;
    attach::file(&state, &key, &store, &file).await
}

/// List the files of a vector store
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/files", tag = "vector store files",
    params(("vector_store_id" = String, Path, description = "Id of the vector store"), StoreFileListQuery),
    responses((status = 200, description = "A page of files", body = StoreFileList), Failures)
)]
pub async fn list_vector_store_files(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    query: QueryString,
) -> Result<Raw> {
    let page = query.page(20, 100, Some(("filter", &STATUSES)))?;
    state.db().list_store_files(&store, &key, &page).await
}

/// Retrieve a file of a vector store
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/files/{file_id}", tag = "vector store files",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("file_id" = String, Path, description = "Id of the file"),
    ),
    responses((status = 200, description = "The file", body = StoreFile), Failures)
)]
pub async fn retrieve_vector_store_file(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    file: FileId,
) -> Result<impl IntoResponse> {
    let file = state.db().get_store_file(&store, &key, &file.0).await?;
    Ok(([("openai-poll-after-ms", POLL_AFTER_MS.to_string())], file))
}

/// Replace the attributes of a file of a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/files/{file_id}", tag = "vector store files", request_body = StoreFileUpdate,
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("file_id" = String, Path, description = "Id of the file"),
    ),
    responses((status = 200, description = "The file", body = StoreFile), Failures)
)]
pub async fn modify_vector_store_file(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    file: FileId,
    body: JsonBody,
) -> Result<Raw> {
    let attributes: Value = body.read(|fields| {
        // Required, but it may be null: that removes all attributes.
        let present = fields.has("attributes");
        let attributes = metadata::read(fields, "attributes", Values::Scalars)?.cloned();
        if present { Ok(attributes.unwrap_or_else(|| json!({}))) } else { Err(missing("attributes")) }
    })?;
    state.db().update_store_file(&store, &key, &file.0, &attributes).await
}

/// Take a file out of a vector store
#[utoipa::path(
    delete, path = "/vector_stores/{vector_store_id}/files/{file_id}", tag = "vector store files",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("file_id" = String, Path, description = "Id of the file"),
    ),
    responses((status = 200, description = "It is out", body = Deleted), Failures)
)]
pub async fn delete_vector_store_file(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    file: FileId,
) -> Result<Raw> {
    state.db().delete_store_file(&store, &key, &file.0).await
}

/// Read the parsed text of a file of a vector store
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/files/{file_id}/content", tag = "vector store files",
    params(
        ("vector_store_id" = String, Path, description = "Id of the vector store"),
        ("file_id" = String, Path, description = "Id of the file"),
    ),
    responses((status = 200, description = "The text", body = StoreFileContent), Failures)
)]
pub async fn retrieve_vector_store_file_content(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    file: FileId,
) -> Result<Raw> {
    state.db().store_file_content(&store, &key, &file.0).await
}
