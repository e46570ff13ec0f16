//! `/api_keys`: the keys of a tenant, for its administrators.

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value};

use crate::auth::{self, ApiKey, NewKey};
use crate::db::Raw;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, KeyId, MAX_ID_CHARS, QueryString};
use crate::fields::Fields;
use crate::model::{
    ApiKeyCreate, ApiKeyCreated, ApiKeyList, ApiKeyListQuery, ApiKeyObject, ApiKeyRotate, ApiKeyUpdate,
    Deleted, TenantQuery,
};
use crate::openapi::Failures;
use crate::state::AppState;

const ROLES: [&str; 4] = ["read", "write", "admin", "operator"];
const MAX_NAME: usize = 256;
const MAX_STORES: usize = 1000;
const MAX_NETWORKS: usize = 100;
const MAX_NETWORK_CHARS: usize = 64;
/// The last second of the year 9999.
const MAX_TIME: i64 = 253_402_300_799;
/// How long both keys work after a rotation, unless the request says something else.
const OVERLAP_SECONDS: i32 = 86_400;
const MAX_OVERLAP_SECONDS: i64 = 2_592_000;

/// An answer that holds a key: nobody on the way may keep it.
type Secret = ([(HeaderName, &'static str); 1], axum::Json<Map<String, Value>>);

/// List API keys
#[utoipa::path(
    get, path = "/api_keys", tag = "api keys", params(ApiKeyListQuery),
    responses((status = 200, description = "A page of API keys", body = ApiKeyList), Failures)
)]
pub async fn list_api_keys(State(state): State<AppState>, key: ApiKey, query: QueryString) -> Result<Raw> {
    state.db().list_api_keys(&key, query.tenant()?, &query.page(20, 100, None)?).await
}

/// Create an API key; the answer is the only one that shows it
#[utoipa::path(
    post, path = "/api_keys", tag = "api keys", params(TenantQuery), request_body = ApiKeyCreate,
    responses((status = 200, description = "The API key", body = ApiKeyCreated), Failures)
)]
pub async fn create_api_key(
    State(state): State<AppState>,
    key: ApiKey,
    query: QueryString,
    body: JsonBody,
) -> Result<impl IntoResponse> {
    let settings = body.read(read_settings)?;
    let new = make_key()?;
    let created = state.db().create_api_key(&key, query.tenant()?, &new.hash, &settings).await?;
    Ok(show(created, new))
}

/// Retrieve an API key, without the key itself
#[utoipa::path(
    get, path = "/api_keys/{key_id}", tag = "api keys",
    params(("key_id" = String, Path, description = "Id of the API key"), TenantQuery),
    responses((status = 200, description = "The API key", body = ApiKeyObject), Failures)
)]
pub async fn retrieve_api_key(
    State(state): State<AppState>,
    key: ApiKey,
    id: KeyId,
    query: QueryString,
) -> Result<Raw> {
    state.db().get_api_key(&key, query.tenant()?, &id.0).await
}

/// Change what an API key may do
#[utoipa::path(
    put, path = "/api_keys/{key_id}", tag = "api keys", request_body = ApiKeyUpdate,
    params(("key_id" = String, Path, description = "Id of the API key"), TenantQuery),
    responses((status = 200, description = "The API key", body = ApiKeyObject), Failures)
)]
pub async fn update_api_key(
    State(state): State<AppState>,
    key: ApiKey,
    id: KeyId,
    query: QueryString,
    body: JsonBody,
) -> Result<Raw> {
    let changes = body.read(read_settings)?;
    state.db().update_api_key(&key, query.tenant()?, &id.0, &changes).await
}

/// Revoke an API key
#[utoipa::path(
    delete, path = "/api_keys/{key_id}", tag = "api keys",
    params(("key_id" = String, Path, description = "Id of the API key"), TenantQuery),
    responses((status = 200, description = "It works no longer", body = Deleted), Failures)
)]
pub async fn delete_api_key(
    State(state): State<AppState>,
    key: ApiKey,
    id: KeyId,
    query: QueryString,
) -> Result<Raw> {
    state.db().delete_api_key(&key, query.tenant()?, &id.0).await
}

/// Replace an API key by a new one with the same rights; for a while both work
#[utoipa::path(
    post, path = "/api_keys/{key_id}/rotate", tag = "api keys", request_body = ApiKeyRotate,
    params(("key_id" = String, Path, description = "Id of the API key"), TenantQuery),
    responses((status = 200, description = "The new API key", body = ApiKeyCreated), Failures)
)]
pub async fn rotate_api_key(
    State(state): State<AppState>,
    key: ApiKey,
    id: KeyId,
    query: QueryString,
    body: JsonBody,
) -> Result<impl IntoResponse> {
    let overlap = body.read(|fields| fields.integer("overlap_seconds", 0, MAX_OVERLAP_SECONDS))?;
    let overlap = overlap.map_or(OVERLAP_SECONDS, |seconds| seconds as i32);
    let new = make_key()?;
    let created = state.db().rotate_api_key(&key, query.tenant()?, &id.0, &new.hash, overlap).await?;
    Ok(show(created, new))
}

fn make_key() -> Result<NewKey> {
    auth::new_key().map_err(|error| Error::Internal(error.to_string()))
}

fn show(mut created: Map<String, Value>, new: NewKey) -> Secret {
    created.insert("key".to_owned(), Value::String(new.text));
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(created))
}

/// The settings of a key that are present. Null means absent, but where it takes a restriction away.
fn read_settings(fields: &Fields<'_>) -> Result<Value> {
    let mut settings = Map::new();
    let mut set = |name: &str, present: bool, value: Option<Value>| {
        if present {
            settings.insert(name.to_owned(), value.unwrap_or(Value::Null));
        }
    };
    let name = fields.string("name", MAX_NAME)?;
    set("name", name.is_some(), name.map(Value::from));
    let role = fields.choice("role", &ROLES)?;
    set("role", role.is_some(), role.map(Value::from));
    let stores = fields.strings("vector_store_ids", 1, MAX_STORES, MAX_ID_CHARS)?;
    set("vector_store_ids", fields.has("vector_store_ids"), stores.map(Value::from));
    let networks = fields.strings("allowed_ips", 1, MAX_NETWORKS, MAX_NETWORK_CHARS)?;
    set("allowed_ips", fields.has("allowed_ips"), networks.map(Value::from));
    fields.object("filter")?;
    set("filter", fields.has("filter"), fields.value("filter").cloned());
    let expires = fields.integer("expires_at", 0, MAX_TIME)?;
    set("expires_at", fields.has("expires_at"), expires.map(Value::from));
    Ok(Value::Object(settings))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(body: Value) -> Result<Value> {
        read_settings(&Fields::root(body.as_object().unwrap()))
    }

    #[test]
    fn only_present_settings_are_passed_on() {
        assert_eq!(settings(json!({})).unwrap(), json!({}));
        assert_eq!(settings(json!({"name": null, "role": null})).unwrap(), json!({}));
        let all = json!({
            "name": "", "role": "read", "vector_store_ids": ["vs_1"], "allowed_ips": ["10.0.0.0/8"],
            "filter": {"type": "eq", "key": "a", "value": 1}, "expires_at": 4_000_000_000_i64,
        });
        assert_eq!(settings(all.clone()).unwrap(), all);
    }

    #[test]
    fn null_takes_a_restriction_away() {
        let none = json!({"vector_store_ids": null, "allowed_ips": null, "filter": null, "expires_at": null});
        assert_eq!(settings(none.clone()).unwrap(), none);
    }

    #[test]
    fn settings_of_a_wrong_type_are_refused() {
        for bad in [
            json!({"name": 1}),
            json!({"role": "owner"}),
            json!({"vector_store_ids": "vs_1"}),
            json!({"vector_store_ids": []}),
            json!({"allowed_ips": []}),
            json!({"allowed_ips": [1]}),
            json!({"filter": []}),
            json!({"expires_at": "tomorrow"}),
            json!({"expires_at": -1}),
            json!({"expires_at": 1.5}),
        ] {
            assert!(settings(bad.clone()).is_err(), "{bad}");
        }
    }
}
