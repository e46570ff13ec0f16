//! `/admin/tenants`: the tenants of the installation, for operators.

use axum::extract::State;
use serde_json::{Map, Value};

use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::Result;
use crate::extract::{JsonBody, QueryString, TenantId};
use crate::fields::not_empty;
use crate::model::{Deleted, ListQuery, Tenant, TenantCreate, TenantDeleteQuery, TenantList, TenantUpdate};
use crate::openapi::Failures;
use crate::state::AppState;

/// Characters of a tenant's id, as far as they are counted here: the database says which ids there may be.
const MAX_ID: usize = 63;
const MAX_NAME: usize = 256;

/// List tenants
#[utoipa::path(
    get, path = "/admin/tenants", tag = "tenants", params(ListQuery),
    responses((status = 200, description = "A page of tenants", body = TenantList), Failures)
)]
pub async fn list_tenants(State(state): State<AppState>, key: ApiKey, query: QueryString) -> Result<Raw> {
    state.db().list_tenants(&key, &query.page(20, 100, None)?).await
}

/// Create a tenant
#[utoipa::path(
    post, path = "/admin/tenants", tag = "tenants", request_body = TenantCreate,
    responses((status = 200, description = "The tenant", body = Tenant), Failures)
)]
pub async fn create_tenant(State(state): State<AppState>, key: ApiKey, body: JsonBody) -> Result<Raw> {
    let (id, name) = body.read(|fields| {
        let id = fields.required("id", fields.string("id", MAX_ID)?)?;
        not_empty("id", id)?;
        Ok((id, fields.string("name", MAX_NAME)?))
    })?;
    state.db().create_tenant(&key, id, name).await
}

/// Retrieve a tenant
#[utoipa::path(
    get, path = "/admin/tenants/{tenant_id}", tag = "tenants",
    params(("tenant_id" = String, Path, description = "Id of the tenant")),
    responses((status = 200, description = "The tenant", body = Tenant), Failures)
)]
pub async fn retrieve_tenant(State(state): State<AppState>, key: ApiKey, tenant: TenantId) -> Result<Raw> {
    state.db().get_tenant(&key, &tenant.0).await
}

/// Change a tenant
#[utoipa::path(
    put, path = "/admin/tenants/{tenant_id}", tag = "tenants", request_body = TenantUpdate,
    params(("tenant_id" = String, Path, description = "Id of the tenant")),
    responses((status = 200, description = "The tenant", body = Tenant), Failures)
)]
pub async fn update_tenant(
    State(state): State<AppState>,
    key: ApiKey,
    tenant: TenantId,
    body: JsonBody,
) -> Result<Raw> {
    let changes = body.read(|fields| {
        let name = fields.string("name", MAX_NAME)?;
        Ok(name.map(|name| ("name".to_owned(), Value::from(name))).into_iter().collect::<Map<_, _>>())
    })?;
    state.db().update_tenant(&key, &tenant.0, &Value::Object(changes)).await
}

/// Delete a tenant with its keys
#[utoipa::path(
    delete, path = "/admin/tenants/{tenant_id}", tag = "tenants",
    params(("tenant_id" = String, Path, description = "Id of the tenant"), TenantDeleteQuery),
    responses((status = 200, description = "It is gone", body = Deleted), Failures)
)]
pub async fn delete_tenant(
    State(state): State<AppState>,
    key: ApiKey,
    tenant: TenantId,
    query: QueryString,
) -> Result<Raw> {
    let mode = query.choice("mode", &["cascade", "restrict"])?.unwrap_or("restrict");
    state.db().delete_tenant(&key, &tenant.0, mode).await
}
