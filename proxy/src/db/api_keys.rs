//! Functions on API keys.

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::files::Body;
use super::{Db, Raw, call};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::Page;

/// An answer that is still to be completed.
type Object = Json<Map<String, Value>>;

impl Db {
    /// Lists API keys; without a tenant those of the caller's own.
    pub async fn list_api_keys(&self, key: &ApiKey, tenant: Option<&str>, page: &Page) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_list_api_keys($1, $2, $3, $4, $5, $6)",
            key.credential(),
            tenant,
            page.limit,
            &page.order,
            page.after.as_deref(),
            page.before.as_deref(),
        )?;
        Ok(body.into())
    }

    /// Creates an API key with this hash.
    pub async fn create_api_key(
        &self,
        key: &ApiKey,
        tenant: Option<&str>,
        hash: &[u8],
        settings: &Value,
    ) -> Result<Map<String, Value>> {
        let body: Object = call!(
            self,
            "SELECT vectorstore.api_create_api_key($1, $2, $3, $4)",
            key.credential(),
            tenant,
            hash,
            Json(settings),
        )?;
        Ok(body.0)
    }

    /// One API key.
    pub async fn get_api_key(&self, key: &ApiKey, tenant: Option<&str>, id: &str) -> Result<Raw> {
        let body: Body =
            call!(self, "SELECT vectorstore.api_get_api_key($1, $2, $3)", key.credential(), tenant, id)?;
        Ok(body.into())
    }

    /// Changes the settings that are present.
    pub async fn update_api_key(
        &self,
        key: &ApiKey,
        tenant: Option<&str>,
        id: &str,
        changes: &Value,
    ) -> Result<Raw> {
        let body: Body = call!(
            self,
            "SELECT vectorstore.api_update_api_key($1, $2, $3, $4)",
            key.credential(),
            tenant,
            id,
            Json(changes),
        )?;
        Ok(body.into())
    }

    /// Revokes an API key.
    pub async fn delete_api_key(&self, key: &ApiKey, tenant: Option<&str>, id: &str) -> Result<Raw> {
        let body: Body =
            call!(self, "SELECT vectorstore.api_delete_api_key($1, $2, $3)", key.credential(), tenant, id)?;
        Ok(body.into())
    }

    /// Gives an API key a successor with this hash.
    pub async fn rotate_api_key(
        &self,
        key: &ApiKey,
        tenant: Option<&str>,
        id: &str,
        hash: &[u8],
        overlap_seconds: i32,
    ) -> Result<Map<String, Value>> {
        let body: Object = call!(
            self,
            "SELECT vectorstore.api_rotate_api_key($1, $2, $3, $4, $5)",
            key.credential(),
            tenant,
            id,
            hash,
            overlap_seconds,
        )?;
        Ok(body.0)
    }
}
