//! `/vector_stores`

use axum::extract::State;
use serde_json::{Map, Value};

use crate::attach;
use crate::auth::ApiKey;
use crate::db::{NewStore, Raw};
use crate::embed::LOCAL;
use crate::error::Result;
use crate::extract::{JsonBody, QueryString, StoreId};
use crate::fields::Fields;
use crate::metadata::{self, Values};
use crate::model::{
    DeleteQuery, Deleted, ListQuery, VectorStore, VectorStoreCreate, VectorStoreList, VectorStoreUpdate,
};
use crate::openapi::Failures;
use crate::state::AppState;

const MAX_NAME: usize = 256;
const MAX_DESCRIPTION: usize = 1024;
const MAX_FILES: usize = 500;

/// Create a vector store
#[utoipa::path(
    post, path = "/vector_stores", tag = "vector stores", request_body = VectorStoreCreate,
    responses((status = 200, description = "The vector store", body = VectorStore), Failures)
)]
pub async fn create_vector_store(State(state): State<AppState>, key: ApiKey, body: JsonBody) -> Result<Raw> {
    let models = state.models();
    let new = body.read(|fields| {
        let (embedding_model, dimensions) = read_model(&state, fields)?;
        Ok(NewStore {
            name: fields.string("name", MAX_NAME)?,
            description: fields.string("description", MAX_DESCRIPTION)?,
            metadata: metadata::read(fields, "metadata", Values::Strings)?,
            expires_days: expires_after(fields)?,
            embedding_model,
            dimensions,
            files: attach::read_ids(fields, 0, MAX_FILES)?.unwrap_or_default(),
            models: &models,
        })
    })?;
    attach::new_store(&state, &key, &new).await
}

/// The model of a new store and its dimensions.
fn read_model<'a>(state: &AppState, fields: &Fields<'a>) -> Result<(Option<&'a str>, Option<i32>)> {
    let name = fields.string("embedding_model", MAX_NAME)?;
    let dimensions = fields.integer("dimensions", 1, 16_000)?;
    match name.and_then(|name| state.providers().get(name)) {
        // Stores know the server's own model by one name only.
        Some(provider) => {
            provider.check_dimensions(dimensions)?;
            let name = if provider.is_local() { Some(LOCAL) } else { name };
            Ok((name, Some(provider.dimensions as i32)))
        }
        // None, or one that the database will refuse.
        None => Ok((name, dimensions.map(|dimensions| dimensions as i32))),
    }
}

/// `expires_after`: both of its fields are required.
fn expires_after(fields: &Fields<'_>) -> Result<Option<i32>> {
    let Some(policy) = fields.object("expires_after")? else { return Ok(None) };
    policy.required("anchor", policy.choice("anchor", &["last_active_at"])?)?;
    let days = policy.required("days", policy.integer("days", 1, 365)?)?;
    Ok(Some(days as i32))
}

/// List vector stores
#[utoipa::path(
    get, path = "/vector_stores", tag = "vector stores", params(ListQuery),
    responses((status = 200, description = "A page of vector stores", body = VectorStoreList), Failures)
)]
pub async fn list_vector_stores(
    State(state): State<AppState>,
    key: ApiKey,
    query: QueryString,
) -> Result<Raw> {
    state.db().list_stores(&key, &query.page(20, 100, None)?).await
}

/// Retrieve a vector store
#[utoipa::path(
    get, path = "/vector_stores/{vector_store_id}", tag = "vector stores",
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The vector store", body = VectorStore), Failures)
)]
pub async fn retrieve_vector_store(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
) -> Result<Raw> {
    state.db().get_store(&store, &key).await
}

/// Modify a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}", tag = "vector stores", request_body = VectorStoreUpdate,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The vector store", body = VectorStore), Failures)
)]
pub async fn modify_vector_store(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Raw> {
    let changes = body.read(read_changes)?;
    state.db().update_store(&store, &key, &changes).await
}

/// The fields to change. Null means absent, but for `expires_after`, where it ends the policy.
fn read_changes(fields: &Fields<'_>) -> Result<Value> {
    let mut changes = Map::new();
    let mut set =
        |name: &str, value: Option<Value>| value.map(|value| changes.insert(name.to_owned(), value));
    set("name", fields.string("name", MAX_NAME)?.map(Value::from));
    set("description", fields.string("description", MAX_DESCRIPTION)?.map(Value::from));
    set("metadata", metadata::read(fields, "metadata", Values::Strings)?.cloned());
    let expires = expires_after(fields)?;
    set("expires_after_days", fields.has("expires_after").then(|| Value::from(expires)));
    Ok(Value::Object(changes))
}

/// Delete a vector store
#[utoipa::path(
    delete, path = "/vector_stores/{vector_store_id}", tag = "vector stores",
    params(("vector_store_id" = String, Path, description = "Id of the vector store"), DeleteQuery),
    responses((status = 200, description = "It is gone", body = Deleted), Failures)
)]
pub async fn delete_vector_store(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    query: QueryString,
) -> Result<Raw> {
    let mode = query.choice("mode", &["cascade", "restrict", "soft"])?.unwrap_or("cascade");
    state.db().delete_store_in_mode(&store, &key, mode).await
}

/// Bring back a vector store that was deleted with `mode=soft`
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/restore", tag = "vector stores",
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The vector store", body = VectorStore), Failures)
)]
pub async fn restore_vector_store(State(state): State<AppState>, key: ApiKey, store: StoreId) -> Result<Raw> {
    state.db().restore_store(&store, &key).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(body: Value) -> Result<Value> {
        read_changes(&Fields::root(body.as_object().unwrap()))
    }

    #[test]
    fn only_present_fields_are_changed() {
        assert_eq!(changes(json!({})).unwrap(), json!({}));
        assert_eq!(changes(json!({"name": null, "metadata": null})).unwrap(), json!({}));
        assert_eq!(
            changes(json!({"name": "", "metadata": {}})).unwrap(),
            json!({"name": "", "metadata": {}})
        );
    }

    #[test]
    fn null_ends_the_expiry() {
        assert_eq!(changes(json!({"expires_after": null})).unwrap(), json!({"expires_after_days": null}));
        let policy = json!({"expires_after": {"anchor": "last_active_at", "days": 7}});
        assert_eq!(changes(policy).unwrap(), json!({"expires_after_days": 7}));
    }

    #[test]
    fn an_expiry_needs_anchor_and_days() {
        for bad in [
            json!({"days": 1}),
            json!({"anchor": "last_active_at"}),
            json!({"anchor": "created_at", "days": 1}),
            json!({"anchor": "last_active_at", "days": 0}),
            json!({"anchor": "last_active_at", "days": 366}),
            json!(7),
        ] {
            assert!(changes(json!({"expires_after": bad})).is_err(), "{bad}");
        }
    }
}
