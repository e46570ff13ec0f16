//! `/admin/quotas`: how much a tenant and its stores may hold.

use axum::extract::State;
use serde_json::{Map, Value};

use crate::auth::ApiKey;
use crate::db::Raw;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, MAX_ID_CHARS, QueryString};
use crate::fields::Fields;
use crate::model::{QuotaList, QuotaSet, TenantQuery};
use crate::openapi::Failures;
use crate::state::AppState;

/// List the quotas of a tenant and of its stores
#[utoipa::path(
    get, path = "/admin/quotas", tag = "tenants", params(TenantQuery),
    responses((status = 200, description = "The quotas", body = QuotaList), Failures)
)]
pub async fn list_quotas(State(state): State<AppState>, key: ApiKey, query: QueryString) -> Result<Raw> {
    state.db().get_quotas(&key, query.tenant()?).await
}

/// Set the quotas of a tenant, or of one store
#[utoipa::path(
    put, path = "/admin/quotas", tag = "tenants", params(TenantQuery), request_body = QuotaSet,
    responses((status = 200, description = "The quotas", body = QuotaList), Failures)
)]
pub async fn set_quotas(
    State(state): State<AppState>,
    key: ApiKey,
    query: QueryString,
    body: JsonBody,
) -> Result<Raw> {
    let (store, limits) = body.read(read_limits)?;
    state.db().set_quotas(&key, query.tenant()?, store, &limits).await
}

/// The store, if it is one, and all limits: an absent one is none.
fn read_limits<'a>(fields: &Fields<'a>) -> Result<(Option<&'a str>, Value)> {
    let store = fields.string("vector_store_id", MAX_ID_CHARS)?;
    let mut limits = Map::new();
    for name in ["max_stores", "max_chunks", "max_bytes"] {
        let limit = fields.integer(name, 0, i64::MAX)?;
        match (name, store) {
            ("max_stores", Some(_)) if limit.is_some() => {
                let message = "Invalid 'max_stores': a vector store holds no vector stores.";
                return Err(Error::invalid("invalid_value", name, message));
            }
            ("max_stores", Some(_)) => {}
            _ => {
                limits.insert(name.to_owned(), Value::from(limit));
            }
        }
    }
    Ok((store, Value::Object(limits)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_absent_limit_is_none() {
        let read = |body: Value| {
            let body = body.as_object().unwrap().clone();
            read_limits(&Fields::root(&body)).map(|(store, limits)| (store.map(str::to_owned), limits))
        };
        let tenant = json!({"max_stores": null, "max_chunks": 7, "max_bytes": null});
        assert_eq!(read(json!({"max_chunks": 7})).unwrap(), (None, tenant));
        let store = json!({"max_chunks": null, "max_bytes": 0});
        let body = json!({"vector_store_id": "vs_1", "max_bytes": 0});
        assert_eq!(read(body).unwrap(), (Some("vs_1".to_owned()), store));
        for bad in [
            json!({"vector_store_id": "vs_1", "max_stores": 1}),
            json!({"max_bytes": -1}),
            json!({"max_bytes": "1"}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
