//! Vectors that were computed before, kept in the database for all proxies and tenants.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pgvector::Vector;
use sha2::{Digest, Sha256};

use super::{EmbedError, Provider};
use crate::error::Result;
use crate::state::AppState;

/// Texts of one statement.
const BLOCK: usize = 500;
/// Entries whose hits wait to be written; more are not counted.
const MAX_HITS: usize = 100_000;
/// How often hits are written.
const FLUSH: Duration = Duration::from_secs(5);
/// How many flushes lie between two sweeps.
const SWEEP_EVERY: u32 = 12;

/// A text as the cache knows it.
pub type Hash = [u8; 32];

/// What the cache knows a vector by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Name of the model.
    pub model: String,
    /// Its revision.
    pub revision: String,
    /// Dimensions of the vector.
    pub dimensions: i32,
    /// SHA-256 of the text.
    pub hash: Hash,
}

/// Hits that are not yet in the database: a search reads the cache, and must not write.
#[derive(Default)]
pub struct Cache {
    hits: Mutex<HashMap<Entry, i64>>,
}

impl Cache {
    fn count(&self, provider: &Provider, hash: Hash) {
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry {
            model: provider.name.clone(),
            revision: provider.revision.clone(),
            dimensions: provider.dimensions as i32,
            hash,
        };
        if hits.len() < MAX_HITS || hits.contains_key(&entry) {
            *hits.entry(entry).or_default() += 1;
        }
    }

    /// Writes what has been counted.
    pub async fn flush(&self, state: &AppState) -> Result<()> {
        let hits = std::mem::take(&mut *self.hits.lock().unwrap_or_else(PoisonError::into_inner));
        let mut hits: Vec<_> = hits.into_iter().collect();
        // In one order, so that two proxies cannot wait for each other.
        hits.sort_unstable();
        for block in hits.chunks(BLOCK) {
            state.db().count_cache_hits(block).await?;
        }
        Ok(())
    }
}

/// Writes hits and keeps the cache within its bounds, for ever.
pub async fn keep(state: AppState) {
    if !state.providers().any_named() {
        return;
    }
    let config = state.config();
    let (bytes, age) = (i64::from(config.cache_mib) * 1024 * 1024, i64::from(config.cache_days) * 86_400);
    for round in 1_u32.. {
        tokio::time::sleep(FLUSH).await;
        let mut done = state.cache().flush(&state).await;
        if round.is_multiple_of(SWEEP_EVERY) && done.is_ok() {
            done = state.db().sweep_cache(bytes, age).await.map(drop);
        }
        if let Err(error) = done {
            tracing::warn!(%error, "the embedding cache could not be kept");
        }
    }
}

/// The vectors of texts: those that are known, and the others by `compute`, once for equal texts.
pub async fn embed<F>(
    state: &AppState,
    provider: &Provider,
    texts: Vec<String>,
    compute: impl FnOnce(Vec<String>) -> F,
) -> Result<Vec<Vector>, EmbedError>
where
    F: Future<Output = Result<Vec<Vector>, EmbedError>>,
{
    let hashes: Vec<Hash> = texts.iter().map(|text| Sha256::digest(text.as_bytes()).into()).collect();
    let mut wanted: Vec<Hash> = hashes.clone();
    wanted.sort_unstable();
    wanted.dedup();
    let mut known = find(state, provider, &wanted).await;
    hashes
        .iter()
        .filter(|hash| known.contains_key(*hash))
        .for_each(|hash| state.cache().count(provider, *hash));
    state.metrics().looked_up(known.len(), wanted.len() - known.len());
    let mut missing: HashMap<Hash, String> = HashMap::new();
    for (hash, text) in hashes.iter().zip(texts).filter(|(hash, _)| !known.contains_key(*hash)) {
        missing.entry(*hash).or_insert(text);
    }
    if !missing.is_empty() {
        let (new, texts): (Vec<Hash>, Vec<String>) = missing.into_iter().unzip();
        let vectors = compute(texts).await?;
        store(state, provider, &new, &vectors).await;
        known.extend(new.into_iter().zip(vectors));
    }
    let vectors: Option<Vec<Vector>> = hashes.iter().map(|hash| known.get(hash).cloned()).collect();
    vectors.ok_or_else(|| EmbedError::Unusable("an embedding is missing".to_owned()))
}

/// A cache that cannot be read is an empty one.
async fn find(state: &AppState, provider: &Provider, hashes: &[Hash]) -> HashMap<Hash, Vector> {
    let mut known = HashMap::new();
    for block in hashes.chunks(BLOCK) {
        match state.db().cached_embeddings(provider, block).await {
            Ok(found) => {
                known.extend(block.iter().zip(found).filter_map(|(hash, vector)| Some((*hash, vector?))));
            }
            Err(error) => {
                tracing::warn!(%error, "the embedding cache could not be read");
                break;
            }
        }
    }
    known
}

/// One that cannot be written (the server may be a replica) only costs time.
async fn store(state: &AppState, provider: &Provider, hashes: &[Hash], vectors: &[Vector]) {
    for (hashes, vectors) in hashes.chunks(BLOCK).zip(vectors.chunks(BLOCK)) {
        if let Err(error) = state.db().cache_embeddings(provider, hashes, vectors).await {
            tracing::warn!(%error, "the embedding cache could not be written");
            break;
        }
    }
}
