//! Searches in stores whose model only the proxy knows: the query is embedded here.

use std::sync::Arc;

use pgvector::Vector;
use vectorstore_core::query::Query as Syntax;

use crate::auth::ApiKey;
use crate::db::{Raw, Search};
use crate::embed::{self, LOCAL, Provider};
use crate::error::{Error, Result};
use crate::extract::StoreId;
use crate::state::AppState;

/// Searches; also says whether the query's vector had to be done without.
pub async fn search(
    state: &AppState,
    store: &StoreId,
    key: &ApiKey,
    mut search: Search<'_>,
) -> (Result<Raw>, bool) {
    let provider = match provider_of(state, store, key, &search).await {
        Ok(Some(provider)) => provider,
        Ok(None) => return (state.db().search(store, key, &search).await, false),
        Err(error) => return (Err(error), false),
    };
    let (places, texts) = texts_of(&search);
    if !texts.is_empty()
        && let Err(error) = embed::charge(state, key, &texts).await
    {
        return (Err(error), false);
    }
    let vectors = match vectors_of(state, &provider, &search, places, texts).await {
        Ok(vectors) => vectors,
        Err(error) if search.options.mode == Some("vector_only") => return (Err(error), false),
        Err(error) => {
            tracing::warn!(%error, model = provider.name, "a search goes by keywords only");
            return (state.db().search(store, key, &search).await, true);
        }
    };
    let words_only = std::mem::replace(&mut search.vectors, vectors);
    let found = state.db().search(store, key, &search).await;
    // The page before may have been made without vectors: then this one must be, too.
    if search.page.is_some() && found.as_ref().is_err_and(|error| error.is_about("page")) {
        search.vectors = words_only;
        return (state.db().search(store, key, &search).await, true);
    }
    (found, false)
}

/// What has to embed this search here, if anything.
async fn provider_of(
    state: &AppState,
    store: &StoreId,
    key: &ApiKey,
    search: &Search<'_>,
) -> Result<Option<Arc<Provider>>> {
    let has_vector = |at: usize| search.vectors.get(at).is_some_and(Option::is_some);
    let all_have = search.texts.iter().enumerate().all(|(at, text)| text.is_none() || has_vector(at));
    if all_have || search.options.mode == Some("keyword_only") || !state.providers().any_named() {
        return Ok(None);
    }
    let name = embed::model_of(state, store, key).await?;
    match state.providers().get(&name) {
        Some(provider) => Ok(Some(provider.clone()).filter(|provider| !provider.is_local())),
        // The database knows what to say.
        None if *name == *LOCAL || *name == *"none" => Ok(None),
        None if search.options.mode == Some("vector_only") => {
            Err(Error::Unavailable(format!("the embedding model '{name}' is not configured here")))
        }
        None => Ok(None),
    }
}

/// The texts that have no vector, and their places.
fn texts_of(search: &Search<'_>) -> (Vec<usize>, Vec<String>) {
    let (mut places, mut texts) = (Vec::new(), Vec::new());
    for (at, text) in search.texts.iter().enumerate() {
        let has_vector = search.vectors.get(at).is_some_and(Option::is_some);
        let Some(text) = text.filter(|_| !has_vector) else { continue };
        // Of a query of exclusions nothing is left to embed.
        let text = Syntax::parse(text).text;
        if !text.trim().is_empty() {
            places.push(at);
            texts.push(text.to_string());
        }
    }
    (places, texts)
}

/// The search's vectors, with one for each text that had none.
async fn vectors_of(
    state: &AppState,
    provider: &Provider,
    search: &Search<'_>,
    places: Vec<usize>,
    texts: Vec<String>,
) -> Result<Vec<Option<Vector>>> {
    let mut vectors = search.vectors.clone();
    if texts.is_empty() {
        return Ok(vectors);
    }
    vectors.resize(search.texts.len().max(vectors.len()), None);
    for (at, vector) in places.into_iter().zip(provider.embed_query(state, texts).await?) {
        vectors[at] = Some(vector);
    }
    Ok(vectors)
}
