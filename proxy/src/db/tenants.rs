//! Functions on tenants and quotas.

use serde_json::Value;
use sqlx::types::Json;

use super::files::Body;
use super::{Db, Raw, call, effect};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::Page;

impl Db {
    /// Lists tenants.
    pub async fn list_tenants(&self, key: &ApiKey, page: &Page) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_list_tenants($1, $2, $3, $4, $5)",
            key.credential(),
            page.limit,
            &page.order,
            page.after.as_deref(),
            page.before.as_deref(),
        )?;
        Ok(body.into())
    }

    /// Creates a tenant.
    pub async fn create_tenant(&self, key: &ApiKey, id: &str, name: Option<&str>) -> Result<Raw> {
        let body: Body =
            effect!(self, "SELECT vectorstore.api_create_tenant($1, $2, $3)", key.credential(), id, name)?;
        Ok(body.into())
    }

    /// One tenant.
    pub async fn get_tenant(&self, key: &ApiKey, id: &str) -> Result<Raw> {
        let body: Body = call!(self, "SELECT vectorstore.api_get_tenant($1, $2)", key.credential(), id)?;
        Ok(body.into())
    }

    /// Changes the fields that are present.
    pub async fn update_tenant(&self, key: &ApiKey, id: &str, changes: &Value) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_update_tenant($1, $2, $3)",
            key.credential(),
            id,
            Json(changes),
        )?;
        Ok(body.into())
    }

    /// Deletes a tenant; in the mode `restrict` only an empty one.
    pub async fn delete_tenant(&self, key: &ApiKey, id: &str, mode: &str) -> Result<Raw> {
        let body: Body =
            call!(self, "SELECT vectorstore.api_delete_tenant($1, $2, $3)", key.credential(), id, mode)?;
        Ok(body.into())
    }

    /// The quotas of a tenant; without one those of the caller's own.
    pub async fn get_quotas(&self, key: &ApiKey, tenant: Option<&str>) -> Result<Raw> {
        let body: Body = call!(self, "SELECT vectorstore.api_get_quotas($1, $2)", key.credential(), tenant)?;
        Ok(body.into())
    }

    /// Sets the quotas of a tenant, or of one of its stores.
    pub async fn set_quotas(
        &self,
        key: &ApiKey,
        tenant: Option<&str>,
        store: Option<&str>,
        limits: &Value,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_set_quota($1, $2, $3, $4)",
            key.credential(),
            tenant,
            store,
            Json(limits),
        )?;
        Ok(body.into())
    }
}
