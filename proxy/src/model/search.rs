//! Search.

use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

use super::{AttributeValue, SearchFilter, TextContent};

/// One text or several.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum SearchQuery {
    /// One text.
    One(String),
    /// Several: the best score over all of them counts.
    Many(Vec<String>),
}

/// Which signals are used.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SearchMode {
    /// Meaning only.
    VectorOnly,
    /// Words only.
    KeywordOnly,
    /// Both.
    Hybrid,
}

/// Weights of the two signals.
#[derive(ToSchema)]
pub struct HybridSearch {
    /// Weight of the vector score.
    #[schema(minimum = 0)]
    pub embedding_weight: f64,
    /// Weight of the keyword score.
    #[schema(minimum = 0)]
    pub text_weight: f64,
}

/// Ranking.
#[derive(ToSchema)]
pub struct RankingOptions {
    /// `none`, `auto`, `default-2024-11-15` and older names: all rank the same way.
    #[schema(
        pattern = "^(none|auto|default-2024-11-15|default-2024-08-21|default_2024_08_21)$",
        example = "auto"
    )]
    pub ranker: Option<String>,
    /// Least score of a result.
    #[schema(minimum = 0, maximum = 1)]
    pub score_threshold: Option<f64>,
    /// Extension, as in OpenAI's file search tool.
    pub hybrid_search: Option<HybridSearch>,
}

/// A search.
#[derive(ToSchema)]
pub struct SearchRequest {
    /// What to look for.
    pub query: SearchQuery,
    /// Number of results.
    #[schema(minimum = 1, maximum = 50, default = 10)]
    pub max_num_results: Option<i32>,
    /// Which attributes results must have.
    pub filters: Option<SearchFilter>,
    /// Ranking.
    pub ranking_options: Option<RankingOptions>,
    /// Accepted; queries are searched as they are.
    pub rewrite_query: Option<bool>,
    /// Extension: which signals are used.
    #[schema(default = "hybrid")]
    pub search_mode: Option<SearchMode>,
    /// Extension: weight of the vector score.
    #[schema(minimum = 0, default = 0.7)]
    pub vector_weight: Option<f64>,
    /// Extension: weight of the keyword score.
    #[schema(minimum = 0, default = 0.3)]
    pub keyword_weight: Option<f64>,
    /// Extension: a vector to search with, for stores without an embedding model.
    #[schema(max_items = 16000)]
    pub embedding: Option<Vec<f32>>,
    /// Extension: same as `max_num_results`, as litellm-pgvector names it.
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<i32>,
    /// Extension: false leaves the attributes of the results empty.
    #[schema(default = true)]
    pub return_metadata: Option<bool>,
}

/// A result.
#[derive(ToSchema)]
pub struct SearchResult {
    /// Id of the file.
    pub file_id: String,
    /// Its name.
    pub filename: String,
    /// Higher is better.
    #[schema(minimum = 0, maximum = 1)]
    pub score: f64,
    /// The file's attributes.
    #[schema(required = true)]
    pub attributes: Option<HashMap<String, AttributeValue>>,
    /// The text found.
    pub content: Vec<TextContent>,
}

/// The results of a search, best first.
#[derive(ToSchema)]
pub struct SearchResultPage {
    /// `vector_store.search_results.page`
    #[schema(
        pattern = "^vector_store\\.search_results\\.page$",
        example = "vector_store.search_results.page"
    )]
    pub object: String,
    /// The queries.
    pub search_query: Vec<String>,
    /// The results.
    pub data: Vec<SearchResult>,
    /// Always false.
    pub has_more: bool,
    /// Always null.
    #[schema(required = true)]
    pub next_page: Option<String>,
}
