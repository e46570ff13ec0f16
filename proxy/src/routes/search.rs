//! `/vector_stores/{id}/search`

mod embedded;
mod request;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, StoreId};
use crate::model::{SearchRequest, SearchResultPage};
use crate::openapi::Failures;
use crate::state::AppState;

pub use request::read_vector;

/// Results of a search that does not say how many, and of one of litellm-pgvector's.
const RESULTS: i64 = 10;
const LITELLM_RESULTS: i64 = 20;

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
    let compat = state.config().litellm_compat;
    let (search, vectors, with_attributes) = body.read(|fields| {
        let with_attributes = fields.boolean("return_metadata")?.unwrap_or(true);
        let default = if compat { LITELLM_RESULTS } else { RESULTS };
        Ok((request::read(fields, default)?, request::vector_field(fields), with_attributes))
    })?;
    let (page, degraded) = embedded::search(&state, &store, &key, search).await;
    let page = page.map_err(|error| error.rename_param("embedding", vectors))?;
    let mut response = match with_attributes && !compat {
        true => page.into_response(),
        false => rewritten(&page, with_attributes, compat)?,
    };
    if degraded {
        response.headers_mut().insert(DEGRADED, HeaderValue::from_static("keyword-only"));
    }
    Ok(response)
}

fn rewritten(page: &Raw, with_attributes: bool, compat: bool) -> Result<Response> {
    let mut page = serde_json::from_str(page.0.get()).map_err(|error| Error::Internal(error.to_string()))?;
    if !with_attributes {
        leave_out_attributes(&mut page);
    }
    if compat {
        unwrap_query(&mut page);
    }
    Ok(axum::Json(page).into_response())
}

/// What `return_metadata: false` asks for. Clients expect an object all the same.
fn leave_out_attributes(page: &mut Value) {
    for item in page["data"].as_array_mut().into_iter().flatten() {
        item["attributes"] = json!({});
    }
}

/// litellm-pgvector knows one query only, as a string.
fn unwrap_query(page: &mut Value) {
    if let Some([query]) = page["search_query"].as_array().map(Vec::as_slice) {
        page["search_query"] = query.clone();
    }
}
