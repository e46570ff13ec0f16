//! Batches of files of a vector store.

use std::collections::HashMap;
use utoipa::ToSchema;

use super::{AttributeValue, ChunkingStrategy, FileCounts, StoreFileCreate};

/// Attaches files: either `file_ids`, which share attributes and chunking strategy, or `files`, which have their own.
#[derive(ToSchema)]
pub struct FileBatchCreate {
    /// Ids of uploaded files.
    #[schema(min_items = 1, max_items = 2000)]
    pub file_ids: Option<Vec<String>>,
    /// Uploaded files with their settings.
    #[schema(min_items = 1, max_items = 2000)]
    pub files: Option<Vec<StoreFileCreate>>,
    /// At most 16 pairs; keys of at most 64 characters. For `file_ids`.
    pub attributes: Option<HashMap<String, AttributeValue>>,
    /// How the files are cut. For `file_ids`.
    pub chunking_strategy: Option<ChunkingStrategy>,
}

/// Status of a batch.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum FileBatchStatus {
    /// Some files are not ready.
    InProgress,
    /// All files are ready, or failed.
    Completed,
    /// It was cancelled before that.
    Cancelled,
    /// Never used: files fail, batches do not.
    Failed,
}

/// A batch of files.
#[derive(ToSchema)]
pub struct FileBatch {
    /// Begins with `vsfb_`.
    pub id: String,
    /// `vector_store.files_batch`
    #[schema(pattern = "^vector_store\\.files_batch$", example = "vector_store.files_batch")]
    pub object: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Id of the vector store.
    pub vector_store_id: String,
    /// Its status.
    pub status: FileBatchStatus,
    /// Its files by status. A file that a later request attached again is counted there.
    pub file_counts: FileCounts,
}
