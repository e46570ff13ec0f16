//! `/vector_stores`

use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::auth::ApiKey;
use crate::db::{NewStore, Raw};
use crate::embed::LOCAL;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, MAX_ID_CHARS, QueryString, StoreId};
use crate::fields::Fields;
use crate::ingest::{self, Strategy};
use crate::metadata::{self, Values};
use crate::model::{Deleted, ListQuery, VectorStore, VectorStoreCreate, VectorStoreList, VectorStoreUpdate};
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
    let (new, files, strategy) = body.read(|fields| {
        let (model, dimensions, provided) = read_model(&state, fields)?;
        let new = NewStore {
            name: fields.string("name", MAX_NAME)?,
            description: fields.string("description", MAX_DESCRIPTION)?,
            metadata: metadata::read(fields, "metadata", Values::Strings)?,
            expires_days: expires_after(fields)?,
            embedding_model: model,
            dimensions,
            provided,
        };
        Ok((
            new,
            fields.strings("file_ids", 0, MAX_FILES, MAX_ID_CHARS)?.unwrap_or_default(),
            Strategy::read(fields)?,
        ))
    })?;
    let created = state.db().create_store(&key, &new).await?;
    if files.is_empty() { Ok(created) } else { attach_files(&state, &key, created, &files, strategy).await }
}

/// The model of a new store, its dimensions, and whether it is one that only the proxy knows.
fn read_model<'a>(state: &AppState, fields: &Fields<'a>) -> Result<(Option<&'a str>, Option<i32>, bool)> {
    let name = fields.string("embedding_model", MAX_NAME)?;
    let dimensions = fields.integer("dimensions", 1, 16_000)?.map(|dimensions| dimensions as i32);
    match name.and_then(|name| state.providers().get(name)) {
        // Stores know the server's own model by one name only.
        Some(provider) if provider.is_local() => Ok((Some(LOCAL), dimensions, false)),
        Some(provider) => {
            let own = provider.dimensions as i32;
            if dimensions.is_some_and(|dimensions| dimensions != own) {
                let message = format!(
                    "Invalid 'dimensions': the model has {own} dimensions, and no other number is possible."
                );
                return Err(Error::invalid("invalid_value", "dimensions", message));
            }
            Ok((name, Some(own), true))
        }
        // None, or one that the database will refuse.
        None => Ok((name, dimensions, false)),
    }
}

/// Attaches the first files of a new store; if that is impossible, the store is taken back, because the client will not learn its id.
async fn attach_files(
    state: &AppState,
    key: &ApiKey,
    created: Raw,
    files: &[&str],
    strategy: Strategy,
) -> Result<Raw> {
    let store: Value =
        serde_json::from_str(created.0.get()).map_err(|error| Error::Internal(error.to_string()))?;
    let store = StoreId::new(store["id"].as_str().unwrap_or_default().to_owned());
    for file in files {
        let attached = match ingest::attach(state, key, &store, file, &json!({}), strategy).await {
            // An unknown file, or an id that cannot be one, is listed as failed.
            Err(Error::Client(error)) if matches!(error.status.as_u16(), 400 | 404) => {
                state.db().attach_missing_file(&store, key, file).await
            }
            result => result,
        };
        if let Err(error) = attached {
            if let Err(error) = state.db().delete_store(&store, key).await {
                tracing::error!(store = store.text, %error, "a store without its files could not be taken back");
            }
            return Err(error);
        }
    }
    state.db().get_store(&store, key).await
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
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "It is gone", body = Deleted), Failures)
)]
pub async fn delete_vector_store(State(state): State<AppState>, key: ApiKey, store: StoreId) -> Result<Raw> {
    state.db().delete_store(&store, &key).await
}

#[cfg(test)]
mod tests {
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
