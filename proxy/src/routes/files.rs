//! `/files`

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::Result;
use crate::extract::{FileId, QueryString};
use crate::model::{Deleted, File, FileList, FileListQuery, FileUpload};
use crate::openapi::Failures;
use crate::state::AppState;
use crate::upload::{Content, Upload};

/// Characters that RFC 8187 allows in a file name as they are, besides letters and digits.
const FILENAME: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Upload a file
#[utoipa::path(
    post, path = "/files", tag = "files", request_body(content = FileUpload, content_type = "multipart/form-data"),
    responses((status = 200, description = "The file", body = File), Failures)
)]
pub async fn create_file(State(state): State<AppState>, key: ApiKey, request: Request) -> Result<Raw> {
    let (parts, body) = request.into_parts();
    let authorise = async || state.db().check_key(&key).await;
    let upload = Upload::read(&parts.headers, body, state.config().max_file_bytes, authorise).await?;
    match upload.content {
        Content::Small(bytes) => state.db().create_file(&key, &upload.file, &bytes).await,
        Content::Spooled(file) => state.db().create_big_file(&key, &upload.file, file).await,
    }
}

/// List files
#[utoipa::path(
    get, path = "/files", tag = "files", params(FileListQuery),
    responses((status = 200, description = "A page of files", body = FileList), Failures)
)]
pub async fn list_files(State(state): State<AppState>, key: ApiKey, query: QueryString) -> Result<Raw> {
    state.db().list_files(&key, &query.page(10_000, 10_000, Some(("purpose", &[])))?).await
}

/// Retrieve a file
#[utoipa::path(
    get, path = "/files/{file_id}", tag = "files",
    params(("file_id" = String, Path, description = "Id of the file")),
    responses((status = 200, description = "The file", body = File), Failures)
)]
pub async fn retrieve_file(State(state): State<AppState>, key: ApiKey, file: FileId) -> Result<Raw> {
    state.db().get_file(&key, &file.0).await
}

/// Delete a file, also from all vector stores
#[utoipa::path(
    delete, path = "/files/{file_id}", tag = "files",
    params(("file_id" = String, Path, description = "Id of the file")),
    responses((status = 200, description = "It is gone", body = Deleted), Failures)
)]
pub async fn delete_file(State(state): State<AppState>, key: ApiKey, file: FileId) -> Result<Raw> {
    state.db().delete_file(&key, &file.0).await
}

/// Download a file
#[utoipa::path(
    get, path = "/files/{file_id}/content", tag = "files",
    params(("file_id" = String, Path, description = "Id of the file")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"), Failures)
)]
pub async fn download_file(State(state): State<AppState>, key: ApiKey, file: FileId) -> Result<Response> {
    let file = state.db().read_file(&key, &file.0).await?;
    let disposition =
        format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(&file.filename, &FILENAME));
    let length = file.bytes;
    let parts = stream::iter(0..file.parts).then(move |part| {
        let (state, id) = (state.clone(), file.id.clone());
        // An error here can only cut the download short: the status has been sent.
        async move { state.db().read_file_part(&key, &id, part).await }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}
