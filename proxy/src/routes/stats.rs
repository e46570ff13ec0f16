//! `/stats`, `/vector_stores/{id}/stats` and `/admin/rate_limits`

use axum::extract::State;

use crate::auth::ApiKey;
use crate::db::{RateLimit, Raw};
use crate::error::Result;
use crate::extract::{JsonBody, MAX_ID_CHARS, QueryString, StoreId};
use crate::fields::Fields;
use crate::model::{RateLimitChange, RateLimitEntry, RateLimitList, StatsQuery, UsageStats};
use crate::openapi::Failures;
use crate::state::AppState;

const RANGES: &[&str] = &["daily", "weekly", "monthly", "all"];
const BUCKETS: &[&str] = &["minute", "hour", "day", "month"];

/// Usage of a vector store
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}/stats", tag = "usage",
    params(("vector_store_id" = String, Path, description = "Id of the vector store"), StatsQuery),
    responses((status = 200, description = "Sums, and a row for each part of the range", body = UsageStats), Failures)
)]
pub async fn retrieve_vector_store_stats(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    query: QueryString,
) -> Result<Raw> {
    let (range, bucket) = (query.choice("range", RANGES)?, query.choice("bucket", BUCKETS)?);
    state.db().store_stats(&store, &key, range, bucket).await
}

/// Usage of all vector stores
#[utoipa::path(
    get, path = "/stats", tag = "usage", params(StatsQuery),
    responses((status = 200, description = "Sums, and a row for each part of the range", body = UsageStats), Failures)
)]
pub async fn retrieve_stats(State(state): State<AppState>, key: ApiKey, query: QueryString) -> Result<Raw> {
    let (range, bucket) = (query.choice("range", RANGES)?, query.choice("bucket", BUCKETS)?);
    state.db().stats(&key, range, bucket).await
}

/// List rate limits
#[utoipa::path(
    get, path = "/admin/rate_limits", tag = "usage",
    responses((status = 200, description = "Those of all, of the tenant, and of its keys", body = RateLimitList), Failures)
)]
pub async fn list_rate_limits(State(state): State<AppState>, key: ApiKey) -> Result<Raw> {
    state.db().list_rate_limits(&key).await
}

/// Set rate limits
#[utoipa::path(
    put, path = "/admin/rate_limits", tag = "usage", request_body = RateLimitChange,
    responses((status = 200, description = "The limits as they are now", body = RateLimitEntry), Failures)
)]
pub async fn set_rate_limit(State(state): State<AppState>, key: ApiKey, body: JsonBody) -> Result<Raw> {
    state.db().set_rate_limit(&key, &body.read(read)?).await
}

fn read<'a>(fields: &Fields<'a>) -> Result<RateLimit<'a>> {
    Ok(RateLimit {
        scope: fields.choice("scope", &["key", "tenant", "default"])?,
        api_key_id: fields.string("api_key_id", MAX_ID_CHARS)?,
        requests_per_second: fields.integer("requests_per_second", 1, 1_000_000)?,
        requests_burst: fields.integer("requests_burst", 1, 1_000_000)?,
        requests_per_minute: fields.integer("requests_per_minute", 1, 60_000_000)?,
        tokens_per_minute: fields.integer("tokens_per_minute", 1, 1_000_000_000_000)?,
        dry_run: fields.boolean("dry_run")?,
        inherit: fields.boolean("inherit")?,
    })
}
