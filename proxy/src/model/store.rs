//! Vector stores.

use std::collections::HashMap;
use utoipa::ToSchema;

use super::ChunkingStrategy;

/// When a vector store expires.
#[derive(ToSchema)]
pub struct ExpiresAfter {
    /// Always `last_active_at`.
    #[schema(pattern = "^last_active_at$", example = "last_active_at")]
    pub anchor: String,
    /// Days without use.
    #[schema(minimum = 1, maximum = 365)]
    pub days: i32,
}

/// A new vector store. All fields may be absent or null.
#[derive(ToSchema)]
pub struct VectorStoreCreate {
    /// Its name.
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// What it is for.
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// Files to attach.
    #[schema(max_items = 500)]
    pub file_ids: Option<Vec<String>>,
    /// When it expires.
    pub expires_after: Option<ExpiresAfter>,
    /// How the files are cut.
    pub chunking_strategy: Option<ChunkingStrategy>,
    /// At most 16 pairs; keys of at most 64 characters.
    pub metadata: Option<HashMap<String, String>>,
    /// Extension: `local` (the default), a model of a provider, or `none` for stores that are only given vectors.
    #[schema(example = "local")]
    pub embedding_model: Option<String>,
    /// Extension: dimensions of the vectors, for a store without an embedding model.
    #[schema(minimum = 1, maximum = 16000)]
    pub dimensions: Option<i32>,
}

/// Changes of a vector store; absent fields stay as they are.
#[derive(ToSchema)]
pub struct VectorStoreUpdate {
    /// Its name.
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// What it is for.
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// When it expires; null: never.
    pub expires_after: Option<ExpiresAfter>,
    /// Replaces all metadata.
    pub metadata: Option<HashMap<String, String>>,
}

/// Files of a vector store by status.
#[derive(ToSchema)]
pub struct FileCounts {
    /// Being read.
    pub in_progress: i64,
    /// Searchable.
    pub completed: i64,
    /// Not readable.
    pub failed: i64,
    /// Given up.
    pub cancelled: i64,
    /// All of them.
    pub total: i64,
}

/// Status of a vector store.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum VectorStoreStatus {
    /// It can be read and deleted.
    Expired,
    /// Some files are not ready.
    InProgress,
    /// All files are ready, or failed.
    Completed,
}

/// A vector store.
#[derive(ToSchema)]
pub struct VectorStore {
    /// Begins with `vs_`.
    pub id: String,
    /// `vector_store`
    #[schema(pattern = "^vector_store$", example = "vector_store")]
    pub object: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Empty when it has none.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Bytes in use.
    pub usage_bytes: i64,
    /// Files by status.
    pub file_counts: FileCounts,
    /// Its status.
    pub status: VectorStoreStatus,
    /// Absent when it never expires.
    #[schema(nullable = false)]
    pub expires_after: Option<ExpiresAfter>,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    /// Unix seconds.
    #[schema(required = true)]
    pub last_active_at: Option<i64>,
    /// Its metadata.
    #[schema(required = true)]
    pub metadata: Option<HashMap<String, String>>,
    /// Extension: `local` or `none`.
    pub embedding_model: String,
    /// Extension: dimensions of its vectors.
    pub dimensions: i32,
}

/// A page of vector stores.
#[derive(ToSchema)]
pub struct VectorStoreList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The page.
    pub data: Vec<VectorStore>,
    /// Id of the first object.
    #[schema(required = true)]
    pub first_id: Option<String>,
    /// Id of the last object.
    #[schema(required = true)]
    pub last_id: Option<String>,
    /// Whether more objects follow.
    pub has_more: bool,
}
