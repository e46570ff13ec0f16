//! Usage and rate limits.

use utoipa::{IntoParams, ToSchema};

/// Which part of the past.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// The last 24 hours (the default), 7 days, 30 days, or everything.
    #[param(required = false, inline, example = "weekly")]
    pub range: Option<StatsRange>,
    /// Length of a row: `hour` or `minute` of a daily range, `day` or `hour` of a weekly or monthly one, `month` or `day` of all.
    #[param(required = false, inline, example = "day")]
    pub bucket: Option<StatsBucket>,
}

/// A part of the past.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum StatsRange {
    /// 24 hours.
    Daily,
    /// 7 days.
    Weekly,
    /// 30 days.
    Monthly,
    /// Everything.
    All,
}

/// Length of a row.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum StatsBucket {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
    /// A month of UTC.
    Month,
}

/// What requests added up to.
#[derive(ToSchema)]
pub struct UsageSums {
    /// Requests, whatever came of them.
    pub requests: i64,
    /// Those that are searches.
    pub searches: i64,
    /// Requests that failed.
    pub errors: i64,
    /// Share of requests that failed.
    pub error_rate: f64,
    /// Errors that are refusals of a rate limit.
    pub rate_limited: i64,
    /// Tokens that were embedded outside of the database.
    pub tokens: i64,
    /// Texts that came.
    pub embeddings_created: i64,
    /// Texts that went.
    pub embeddings_deleted: i64,
    /// By how much the bytes in use grew.
    pub bytes_change: i64,
    /// Mean time in the database.
    pub mean_response_ms: Option<f64>,
    /// Time below which half of the requests took.
    pub p50_response_ms: Option<f64>,
    /// Time below which 95 of 100 took.
    pub p95_response_ms: Option<f64>,
    /// Time below which 99 of 100 took.
    pub p99_response_ms: Option<f64>,
}

/// Usage of an operation.
#[derive(ToSchema)]
pub struct OperationUsage {
    /// Its name in this document.
    pub operation: String,
    /// Requests, whatever came of them.
    pub requests: i64,
    /// Requests that failed.
    pub errors: i64,
    /// Share of requests that failed.
    pub error_rate: f64,
    /// Errors that are refusals of a rate limit.
    pub rate_limited: i64,
    /// Tokens that were embedded outside of the database.
    pub tokens: i64,
    /// Texts that came.
    pub embeddings_created: i64,
    /// Texts that went.
    pub embeddings_deleted: i64,
    /// By how much the bytes in use grew.
    pub bytes_change: i64,
    /// Mean time in the database.
    pub mean_response_ms: Option<f64>,
    /// Time below which half of the requests took.
    pub p50_response_ms: Option<f64>,
    /// Time below which 95 of 100 took.
    pub p95_response_ms: Option<f64>,
    /// Time below which 99 of 100 took.
    pub p99_response_ms: Option<f64>,
}

/// Usage in a part of the range.
#[derive(ToSchema)]
pub struct UsageBucket {
    /// When the part begins, in Unix seconds.
    pub start_at: i64,
    /// What its requests added up to.
    #[serde(flatten)]
    pub usage: UsageSums,
}

/// Usage over a range.
#[derive(ToSchema)]
pub struct UsageStats {
    /// `stats`, or `vector_store.stats`
    #[schema(example = "stats")]
    pub object: String,
    /// The vector store, if it is about one.
    #[schema(required = false)]
    pub vector_store_id: Option<String>,
    /// The range.
    #[schema(example = "daily")]
    pub range: String,
    /// Length of the parts.
    #[schema(example = "hour")]
    pub bucket: String,
    /// When the range begins, in Unix seconds.
    pub start_at: i64,
    /// When it ends: now.
    pub end_at: i64,
    /// Bytes in use now.
    pub usage_bytes: i64,
    /// What all requests added up to.
    #[serde(flatten)]
    pub usage: UsageSums,
    /// By operation, the most frequent first.
    pub operations: Vec<OperationUsage>,
    /// By part of the range, the oldest first.
    pub data: Vec<UsageBucket>,
}

/// New rate limits. A limit that is absent or null limits nothing.
#[derive(ToSchema)]
pub struct RateLimitChange {
    /// `tenant` (the default without a key), `key` (with one), or `default` for the whole installation.
    #[schema(pattern = "^(key|tenant|default)$", example = "tenant")]
    pub scope: Option<String>,
    /// Id of the API key.
    pub api_key_id: Option<String>,
    /// Requests a second.
    #[schema(minimum = 1, maximum = 1000000)]
    pub requests_per_second: Option<i64>,
    /// Requests that may come at once; `requests_per_second` unless it is given.
    #[schema(minimum = 1, maximum = 1000000)]
    pub requests_burst: Option<i64>,
    /// Requests a minute.
    #[schema(minimum = 1, maximum = 60000000)]
    pub requests_per_minute: Option<i64>,
    /// Tokens a minute that are embedded outside of the database.
    #[schema(minimum = 1, maximum = 1000000000000_i64)]
    pub tokens_per_minute: Option<i64>,
    /// Only log and count what would be refused.
    pub dry_run: Option<bool>,
    /// Take these limits away, so that those of the next wider scope hold.
    pub inherit: Option<bool>,
}

/// Rate limits.
#[derive(ToSchema)]
pub struct RateLimitEntry {
    /// `rate_limit`, or `rate_limit.deleted`
    #[schema(example = "rate_limit")]
    pub object: String,
    /// `key`, `tenant` or `default`
    #[schema(example = "tenant")]
    pub scope: String,
    /// Id of the API key.
    pub api_key_id: Option<String>,
    /// Requests a second.
    #[schema(required = false)]
    pub requests_per_second: Option<i64>,
    /// Requests that may come at once.
    #[schema(required = false)]
    pub requests_burst: Option<i64>,
    /// Requests a minute.
    #[schema(required = false)]
    pub requests_per_minute: Option<i64>,
    /// Tokens a minute.
    #[schema(required = false)]
    pub tokens_per_minute: Option<i64>,
    /// Whether nobody is refused.
    #[schema(required = false)]
    pub dry_run: Option<bool>,
    /// Last change, in Unix seconds.
    #[schema(required = false)]
    pub updated_at: Option<i64>,
}

/// All rate limits that a key may see.
#[derive(ToSchema)]
pub struct RateLimitList {
    /// Always `list`.
    #[schema(example = "list")]
    pub object: String,
    /// The limits.
    pub data: Vec<RateLimitEntry>,
    /// Always null.
    pub first_id: Option<String>,
    /// Always null.
    pub last_id: Option<String>,
    /// Always false.
    pub has_more: bool,
}
