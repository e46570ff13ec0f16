//! Tenants and their quotas.

use utoipa::{IntoParams, ToSchema};

/// A new tenant.
#[derive(ToSchema)]
pub struct TenantCreate {
    /// Its id, which never changes.
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$", example = "acme")]
    pub id: String,
    /// Its name.
    #[schema(max_length = 256)]
    pub name: Option<String>,
}

/// Changes of a tenant; absent fields stay as they are.
#[derive(ToSchema)]
pub struct TenantUpdate {
    /// Its name.
    #[schema(max_length = 256)]
    pub name: Option<String>,
}

/// How a tenant is deleted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TenantDeleteQuery {
    /// `restrict` deletes only a tenant without stores and files, `cascade` everything that it has.
    #[param(pattern = "^(cascade|restrict)$", default = "restrict")]
    pub mode: Option<String>,
}

/// A tenant.
#[derive(ToSchema)]
pub struct Tenant {
    /// As it was given when it was created.
    pub id: String,
    /// `tenant`
    #[schema(pattern = "^tenant$", example = "tenant")]
    pub object: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Its name; its id when it was given none.
    pub name: String,
    /// How many vector stores it has.
    pub vector_stores: i64,
    /// Bytes in use by them.
    pub usage_bytes: i64,
    /// How many API keys it has, revoked and expired ones included.
    pub api_keys: i64,
}

/// A page of tenants.
#[derive(ToSchema)]
pub struct TenantList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The page.
    pub data: Vec<Tenant>,
    /// Id of the first object.
    #[schema(required = true)]
    pub first_id: Option<String>,
    /// Id of the last object.
    #[schema(required = true)]
    pub last_id: Option<String>,
    /// Whether more objects follow.
    pub has_more: bool,
}

/// The quotas of a tenant, or of one store: those that are absent or null end.
#[derive(ToSchema)]
pub struct QuotaSet {
    /// The vector store; the whole tenant when it is absent.
    pub vector_store_id: Option<String>,
    /// Most vector stores; of a tenant only.
    #[schema(minimum = 0)]
    pub max_stores: Option<i64>,
    /// Most chunks.
    #[schema(minimum = 0)]
    pub max_chunks: Option<i64>,
    /// Most bytes, counted as `usage_bytes` is.
    #[schema(minimum = 0)]
    pub max_bytes: Option<i64>,
}

/// What a quota limits.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum QuotaResource {
    /// Vector stores.
    Stores,
    /// Chunks.
    Chunks,
    /// Bytes.
    Bytes,
}

/// A quota.
#[derive(ToSchema)]
pub struct Quota {
    /// `quota`
    #[schema(pattern = "^quota$", example = "quota")]
    pub object: String,
    /// The vector store; null for the whole tenant.
    #[schema(required = true)]
    pub vector_store_id: Option<String>,
    /// What is limited.
    pub resource: QuotaResource,
    /// How much there is.
    pub used: i64,
    /// How much there may be.
    pub quota: i64,
    /// Since when writes are refused, in Unix seconds; null while there is room.
    #[schema(required = true)]
    pub exceeded_at: Option<i64>,
}

/// The quotas of a tenant and of its vector stores.
#[derive(ToSchema)]
pub struct QuotaList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// All of them.
    pub data: Vec<Quota>,
}
