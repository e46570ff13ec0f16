//! `/vector_stores/{id}/search`

mod embedded;
mod request;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::auth::ApiKey;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, StoreId};
use crate::model::{SearchRequest, SearchResultPage};
use crate::openapi::Failures;
use crate::state::AppState;

pub use request::read_vector;

/// Says that the query's vector could not be computed, and words alone decided.
const DEGRADED: &str = "x-vectorstore-degraded";

/// Search a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/search", tag = "vector stores", request_body = SearchRequest,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses(
        (
            status = 200, description = "The results, best first", body = SearchResultPage,
            headers(("x-vectorstore-degraded" = String, description = "`keyword-only` when the query could not be embedded"))
        ),
        Failures
    )
)]
pub async fn search_vector_store(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Response> {
    let (search, vectors, with_attributes) = body.read(|fields| {
        let with_attributes = fields.boolean("return_metadata")?.unwrap_or(true);
        Ok((request::read(fields)?, request::vector_field(fields), with_attributes))
    })?;
    let (page, degraded) = embedded::search(&state, &store, &key, search).await;
    let page = page.map_err(|error| error.rename_param("embedding", vectors))?;
    let mut response = if with_attributes { page.into_response() } else { without_attributes(page.0.get())? };
    if degraded {
        response.headers_mut().insert(DEGRADED, HeaderValue::from_static("keyword-only"));
    }
    Ok(response)
}

/// What `return_metadata: false` asks for. Clients expect an object all the same.
fn without_attributes(page: &str) -> Result<Response> {
    let mut page: Value = serde_json::from_str(page).map_err(|error| Error::Internal(error.to_string()))?;
    for item in page["data"].as_array_mut().into_iter().flatten() {
        item["attributes"] = json!({});
    }
    Ok(axum::Json(page).into_response())
}
