//! What embeds the texts of a store, when it is not the database.

use std::sync::Arc;

use pgvector::Vector;
use serde_json::Value;

use super::Provider;
use crate::auth::ApiKey;
use crate::error::{Error, Result};
use crate::extract::StoreId;
use crate::state::AppState;
use crate::tokens;

/// Name of the embedding model of a store.
pub async fn model_of(state: &AppState, store: &StoreId, key: &ApiKey) -> Result<Arc<str>> {
    if let Some(name) = state.store_model(store) {
        // What comes next may cost money, and fail as only a store of one's own may: it is done for nobody else.
        if state.providers().get(&name).is_some_and(|provider| !provider.is_local()) {
            state.db().get_store(store, key).await?;
        }
        return Ok(name);
    }
    let body = state.db().look_at_store(store, key).await?;
    let body: Value =
        serde_json::from_str(body.0.get()).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(state.remember_store_model(store, body["embedding_model"].as_str().unwrap_or_default()))
}

/// Charges a key for texts that will be embedded here.
pub async fn charge(state: &AppState, key: &ApiKey, texts: &[String]) -> Result<()> {
    let counted = texts.to_vec();
    let tokens = state.compute(move || counted.iter().map(|text| tokens::count(text)).sum()).await?;
    state.db().charge_tokens(key, tokens).await
}

/// Gives a vector to each text that has none, where only the proxy knows the model; with the local one the database
/// does that, and for other models it says what is missing.
pub async fn fill_in(
    state: &AppState,
    store: &StoreId,
    key: &ApiKey,
    texts: &[&str],
    vectors: &mut [Option<Vector>],
) -> Result<()> {
    if !state.providers().any_named() || vectors.iter().all(Option::is_some) {
        return Ok(());
    }
    let name = model_of(state, store, key).await?;
    let remote = |provider: &&Arc<Provider>| !provider.is_local();
    let Some(provider) = state.providers().get(&name).filter(remote) else { return Ok(()) };
    let places: Vec<usize> = (0..texts.len()).filter(|at| vectors[*at].is_none()).collect();
    let missing: Vec<String> = places.iter().map(|at| texts[*at].to_owned()).collect();
    charge(state, key, &missing).await?;
    for (at, vector) in places.into_iter().zip(provider.embed(state, missing).await?) {
        vectors[at] = Some(vector);
    }
    Ok(())
}
