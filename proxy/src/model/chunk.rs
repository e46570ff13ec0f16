//! Texts of a vector store one by one.

use std::collections::HashMap;

use utoipa::{IntoParams, ToSchema};

use super::Order;

/// A text of a vector store.
#[derive(ToSchema)]
pub struct ChunkObject {
    /// Its id.
    pub id: String,
    /// `embedding`
    #[schema(pattern = "^embedding$", example = "embedding")]
    pub object: String,
    /// Id of the vector store.
    pub vector_store_id: String,
    /// The text.
    pub content: String,
    /// Its metadata.
    pub metadata: HashMap<String, serde_json::Value>,
    /// Id of the file that it is a part of.
    #[schema(required = true)]
    pub file_id: Option<String>,
    /// Name of the file.
    #[schema(required = true)]
    pub filename: Option<String>,
    /// Counts its changes; the ETag.
    pub version: i32,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
    /// Its vector; in lists only on demand.
    #[schema(nullable = false)]
    pub embedding: Option<Vec<f32>>,
}

/// A page of texts.
#[derive(ToSchema)]
pub struct ChunkList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The page.
    pub data: Vec<ChunkObject>,
    /// Id of the first text.
    #[schema(required = true)]
    pub first_id: Option<String>,
    /// Id of the last text.
    #[schema(required = true)]
    pub last_id: Option<String>,
    /// Whether more texts follow.
    pub has_more: bool,
}

/// Paging of lists of texts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChunkListQuery {
    /// Number of texts.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i32>,
    /// Order in which they were written.
    #[param(inline)]
    pub order: Option<Order>,
    /// Texts behind the one with this id.
    pub after: Option<String>,
    /// Texts in front of the one with this id.
    pub before: Option<String>,
    /// `embedding`: with their vectors.
    #[param(pattern = "^embedding$")]
    pub include: Option<String>,
}

/// What a text shall be.
#[derive(ToSchema)]
pub struct ChunkReplace {
    /// The text.
    #[schema(max_length = 262144)]
    pub content: String,
    /// Its vector; made by the store's model when absent.
    #[schema(max_items = 16000)]
    pub embedding: Option<Vec<f32>>,
    /// Any object; empty when absent.
    pub metadata: Option<HashMap<String, serde_json::Value>>,
}

/// What shall change of a text; the rest stays.
#[derive(ToSchema)]
pub struct ChunkUpdate {
    /// The text.
    #[schema(max_length = 262144)]
    pub content: Option<String>,
    /// Its vector; made by the store's model for a new text without one.
    #[schema(max_items = 16000)]
    pub embedding: Option<Vec<f32>>,
    /// Any object, which takes the place of the old one.
    pub metadata: Option<HashMap<String, serde_json::Value>>,
}

/// Which texts shall go: `ids` or `filter`.
#[derive(ToSchema)]
pub struct ChunkBatchDelete {
    /// Their ids.
    #[schema(min_items = 1, max_items = 10000)]
    pub ids: Option<Vec<String>>,
    /// A filter over their metadata, as in a search.
    pub filter: Option<serde_json::Value>,
    /// Only count them.
    pub dry_run: Option<bool>,
    /// How many there must be: with another number nothing is deleted.
    #[schema(minimum = 0)]
    pub expected_count: Option<i64>,
}

/// How many texts are gone, or would be.
#[derive(ToSchema)]
pub struct ChunkBatchDeleted {
    /// `embedding.batch.deleted`
    #[schema(pattern = "^embedding\\.batch\\.deleted$", example = "embedding.batch.deleted")]
    pub object: String,
    /// How many.
    pub deleted: i64,
    /// Whether they were only counted.
    pub dry_run: bool,
}
