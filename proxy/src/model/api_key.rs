//! API keys.

use utoipa::{IntoParams, ToSchema};

use super::{Order, SearchFilter};

/// Whose objects a request is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// Id of the tenant, for operators; the caller's own when it is absent.
    pub tenant: Option<String>,
}

/// Paging of lists of API keys.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApiKeyListQuery {
    /// Id of the tenant, for operators; the caller's own when it is absent.
    pub tenant: Option<String>,
    /// Number of objects.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i32>,
    /// Order by time of creation.
    #[param(inline)]
    pub order: Option<Order>,
    /// Objects behind the one with this id.
    pub after: Option<String>,
    /// Objects in front of the one with this id.
    pub before: Option<String>,
}

/// What an API key may do; each role includes those before it.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ApiKeyRole {
    /// Read and search.
    Read,
    /// Change stores and files.
    Write,
    /// Manage the keys, limits and quotas of its tenant.
    Admin,
    /// Manage all tenants.
    Operator,
}

/// Whether an API key works.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ApiKeyStatus {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A new API key. All fields may be absent or null.
#[derive(ToSchema)]
pub struct ApiKeyCreate {
    /// Who uses it.
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// What it may do: `read` when it is absent.
    pub role: Option<ApiKeyRole>,
    /// The vector stores that it is narrowed to.
    #[schema(min_items = 1, max_items = 1000)]
    pub vector_store_ids: Option<Vec<String>>,
    /// The networks that it may be used from, such as `192.0.2.0/24`.
    #[schema(min_items = 1, max_items = 100)]
    pub allowed_ips: Option<Vec<String>>,
    /// What everything that it finds must have; only with the role `read`.
    pub filter: Option<SearchFilter>,
    /// When it ends, in Unix seconds.
    #[schema(minimum = 0, maximum = 253402300799_i64)]
    pub expires_at: Option<i64>,
}

/// Changes of an API key; absent fields stay as they are, and null takes a restriction away.
#[derive(ToSchema)]
pub struct ApiKeyUpdate {
    /// Who uses it.
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// What it may do.
    pub role: Option<ApiKeyRole>,
    /// The vector stores that it is narrowed to.
    #[schema(min_items = 1, max_items = 1000)]
    pub vector_store_ids: Option<Vec<String>>,
    /// The networks that it may be used from, such as `192.0.2.0/24`.
    #[schema(min_items = 1, max_items = 100)]
    pub allowed_ips: Option<Vec<String>>,
    /// What everything that it finds must have; only with the role `read`.
    pub filter: Option<SearchFilter>,
    /// When it ends, in Unix seconds.
    #[schema(minimum = 0, maximum = 253402300799_i64)]
    pub expires_at: Option<i64>,
}

/// How an API key is replaced.
#[derive(ToSchema)]
pub struct ApiKeyRotate {
    /// How long the old key works beside the new one.
    #[schema(minimum = 0, maximum = 2592000, default = 86400)]
    pub overlap_seconds: Option<i32>,
}

/// An API key, without the key itself.
#[derive(ToSchema)]
pub struct ApiKeyObject {
    /// Begins with `key_`.
    pub id: String,
    /// `api_key`
    #[schema(pattern = "^api_key$", example = "api_key")]
    pub object: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Who uses it.
    pub name: String,
    /// Id of its tenant.
    pub tenant: String,
    /// What it may do.
    pub role: ApiKeyRole,
    /// The vector stores that it is narrowed to.
    #[schema(required = true)]
    pub vector_store_ids: Option<Vec<String>>,
    /// The networks that it may be used from.
    #[schema(required = true)]
    pub allowed_ips: Option<Vec<String>>,
    /// What everything that it finds must have.
    #[schema(required = true)]
    pub filter: Option<SearchFilter>,
    /// Unix seconds.
    #[schema(required = true)]
    pub expires_at: Option<i64>,
    /// Unix seconds.
    #[schema(required = true)]
    pub revoked_at: Option<i64>,
    /// Unix seconds; up to some seconds late.
    #[schema(required = true)]
    pub last_used_at: Option<i64>,
    /// Whether it works.
    pub status: ApiKeyStatus,
}

/// A new API key.
#[derive(ToSchema)]
pub struct ApiKeyCreated {
    /// What is known of it from now on.
    #[serde(flatten)]
    pub known: ApiKeyObject,
    /// The key, which is shown only now.
    #[schema(pattern = "^vs_live_[a-z2-7]{16}_[a-z2-7]{52}$")]
    pub key: String,
}

/// A page of API keys.
#[derive(ToSchema)]
pub struct ApiKeyList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The page.
    pub data: Vec<ApiKeyObject>,
    /// Id of the first object.
    #[schema(required = true)]
    pub first_id: Option<String>,
    /// Id of the last object.
    #[schema(required = true)]
    pub last_id: Option<String>,
    /// Whether more objects follow.
    pub has_more: bool,
}
