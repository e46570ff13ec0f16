//! Functions on the embedding cache.

use pgvector::Vector;

use super::{Db, call, read};
use crate::embed::{Entry, Provider};
use crate::error::Result;

impl Db {
    /// The vectors that are known of texts with these hashes.
    pub async fn cached_embeddings(
        &self,
        provider: &Provider,
        hashes: &[[u8; 32]],
    ) -> Result<Vec<Option<Vector>>> {
        read!(
            self,
            "SELECT vectorstore.api_cached_embeddings($1, $2, $3, $4)",
            &provider.name,
            &provider.revision,
            provider.dimensions as i32,
            hashes,
        )
    }

    /// Keeps vectors.
    pub async fn cache_embeddings(
        &self,
        provider: &Provider,
        hashes: &[[u8; 32]],
        vectors: &[Vector],
    ) -> Result<i64> {
        call!(
            self,
            "SELECT vectorstore.api_cache_embeddings($1, $2, $3, $4, $5)",
            &provider.name,
            &provider.revision,
            provider.dimensions as i32,
            hashes,
            vectors,
        )
    }

    /// Adds to the counters of entries.
    pub async fn count_cache_hits(&self, hits: &[(Entry, i64)]) -> Result<i64> {
        let models: Vec<&str> = hits.iter().map(|(entry, _)| entry.model.as_str()).collect();
        let revisions: Vec<&str> = hits.iter().map(|(entry, _)| entry.revision.as_str()).collect();
        let dimensions: Vec<i32> = hits.iter().map(|(entry, _)| entry.dimensions).collect();
        let hashes: Vec<&[u8]> = hits.iter().map(|(entry, _)| entry.hash.as_slice()).collect();
        let counts: Vec<i64> = hits.iter().map(|(_, count)| *count).collect();
        call!(
            self,
            "SELECT vectorstore.api_count_cache_hits($1, $2, $3, $4, $5)",
            &models,
            &revisions,
            &dimensions,
            &hashes,
            &counts,
        )
    }

    /// Deletes entries that nobody has used for `seconds`, and the least used ones beyond `bytes`.
    pub async fn sweep_cache(&self, bytes: i64, seconds: i64) -> Result<i64> {
        call!(self, "SELECT vectorstore.api_sweep_cache($1, $2)", bytes, seconds)
    }
}
