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
    /// Several.
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
    /// None: the chunks that pass the filter, in the order in which they were written.
    List,
}

/// How the two signals become one score.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Fusion {
    /// Weighted mean on absolute scales.
    Weighted,
    /// Weighted mean after each signal was stretched from its least to its greatest score.
    Minmax,
    /// Weighted mean after each signal was scaled by its mean and three standard deviations.
    Dbsf,
    /// Weighted mean of the standard scores, through the logistic function.
    Zscore,
    /// Reciprocal rank fusion.
    Rrf,
}

/// How the scores under several queries become one.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Combination {
    /// The greatest.
    Max,
    /// The mean.
    Sum,
    /// Reciprocal rank fusion.
    Rrf,
}

/// Weights of the two signals.
#[derive(ToSchema)]
pub struct HybridSearch {
    /// Weight of the vector score.
    #[schema(minimum = 0, maximum = 1000000)]
    pub embedding_weight: f64,
    /// Weight of the keyword score.
    #[schema(minimum = 0, maximum = 1000000)]
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
    /// What to look for. Needed unless there are vectors or the mode is `list`.
    pub query: Option<SearchQuery>,
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
    #[schema(minimum = 0, maximum = 1000000, default = 0.7)]
    pub vector_weight: Option<f64>,
    /// Extension: weight of the keyword score.
    #[schema(minimum = 0, maximum = 1000000, default = 0.3)]
    pub keyword_weight: Option<f64>,
    /// Extension: a vector to search with, for stores without an embedding model; it goes with each of the queries.
    #[schema(max_items = 16000)]
    pub embedding: Option<Vec<f32>>,
    /// Extension: vectors to search with, one for each query, or without any query.
    #[schema(min_items = 1, max_items = 32)]
    pub embeddings: Option<Vec<Vec<f32>>>,
    /// Extension: how the two signals become one score.
    #[schema(default = "weighted")]
    pub fusion: Option<Fusion>,
    /// Extension: constant of reciprocal rank fusion, of signals and of queries.
    #[schema(minimum = 0, default = 60)]
    pub rrf_k: Option<f64>,
    /// Extension: how the scores under several queries become one.
    #[schema(default = "max")]
    pub combine: Option<Combination>,
    /// Extension: what is not wanted. Its scores, times `negative_weight`, are subtracted.
    pub negative_query: Option<SearchQuery>,
    /// Extension: vectors of what is not wanted, one for each negative query, or without any.
    #[schema(min_items = 1, max_items = 32)]
    pub negative_embeddings: Option<Vec<Vec<f32>>>,
    /// Extension: share of its score that a negative query takes away.
    #[schema(minimum = 0, maximum = 1000000, default = 1)]
    pub negative_weight: Option<f64>,
    /// Extension: least vector score of a result.
    #[schema(minimum = 0, maximum = 1)]
    pub vector_threshold: Option<f64>,
    /// Extension: least keyword score of a result.
    #[schema(minimum = 0, maximum = 1)]
    pub keyword_threshold: Option<f64>,
    /// Extension: earliest time at which a result was written, in Unix seconds.
    #[schema(minimum = 0, maximum = 253402300799_i64)]
    pub created_after: Option<i64>,
    /// Extension: time before which a result was written, in Unix seconds.
    #[schema(minimum = 0, maximum = 253402300799_i64)]
    pub created_before: Option<i64>,
    /// Extension: an attribute of whose values each has at most `group_size` results.
    #[schema(min_length = 1, max_length = 512)]
    pub group_by: Option<String>,
    /// Extension: results of one group.
    #[schema(minimum = 1, maximum = 1000, default = 1)]
    pub group_size: Option<i32>,
    /// Extension: attributes whose values are counted.
    #[schema(min_items = 1, max_items = 32)]
    pub facets: Option<Vec<String>>,
    /// Extension: true lets the results of the first page say why they stand where they do.
    #[schema(default = false)]
    pub explain: Option<bool>,
    /// Extension: `next_page` of the answer before to the same request.
    #[schema(min_length = 1, max_length = 32768)]
    pub page: Option<String>,
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
    /// The file's attributes; of a passage that was put in without a file its metadata, which may be any object.
    #[schema(required = true)]
    pub attributes: Option<HashMap<String, serde_json::Value>>,
    /// The text found.
    pub content: Vec<TextContent>,
    /// Extension: why it stands where it does, when asked for.
    pub explain: Option<Explanation>,
}

/// Why a result stands where it does.
#[derive(ToSchema)]
pub struct Explanation {
    /// The signals that were used.
    pub mode: SearchMode,
    /// What the search did.
    pub search: SearchWork,
    /// The vector's part.
    pub vector: Option<VectorPart>,
    /// The words' part.
    pub keyword: Option<KeywordPart>,
    /// Number of the query that fits best, from 1 on, when there are several.
    #[schema(minimum = 1)]
    pub query: Option<i32>,
}

/// What a search did.
#[derive(ToSchema)]
pub struct SearchWork {
    /// Segments that were searched.
    pub segments: i64,
    /// New chunks that are in no segment yet.
    pub tail_rows: i64,
    /// Lists of similar vectors that were scanned.
    pub lists: i64,
    /// Vector codes that were compared.
    pub codes: i64,
    /// Chunks that were read.
    pub rows_read: i64,
}

/// The vector's part in a score.
#[derive(ToSchema)]
pub struct VectorPart {
    /// Cosine similarity.
    #[schema(required = true)]
    pub cosine: Option<f64>,
    /// The same on the scale from 0 to 1.
    #[schema(required = true, minimum = 0, maximum = 1)]
    pub score: Option<f64>,
    /// Place in the ranking of this signal alone; null: not among its candidates.
    #[schema(required = true)]
    pub rank: Option<i64>,
    /// In hybrid mode: share of this signal.
    pub weight: Option<f64>,
    /// In hybrid mode: what the weight was applied to.
    pub normalised: Option<f64>,
}

/// The words' part in a score.
#[derive(ToSchema)]
pub struct KeywordPart {
    /// BM25.
    #[schema(required = true)]
    pub bm25: Option<f64>,
    /// The same on the scale from 0 to 1.
    #[schema(required = true, minimum = 0, maximum = 1)]
    pub score: Option<f64>,
    /// Place in the ranking of this signal alone; null: not among its candidates.
    #[schema(required = true)]
    pub rank: Option<i64>,
    /// The words that occur, stemmed.
    pub terms: Vec<String>,
    /// In hybrid mode: share of this signal.
    pub weight: Option<f64>,
    /// In hybrid mode: what the weight was applied to.
    pub normalised: Option<f64>,
}

/// How often the values of an attribute occur.
#[derive(ToSchema)]
pub struct Facet {
    /// True: counted over all chunks that pass the filter. False: over the best 1,000 of the first query.
    pub exact: bool,
    /// The ten most frequent values, the most frequent first.
    pub values: Vec<FacetValue>,
}

/// How often a value occurs.
#[derive(ToSchema)]
pub struct FacetValue {
    /// The value.
    pub value: AttributeValue,
    /// Number of chunks that have it.
    #[schema(minimum = 1)]
    pub count: i64,
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
    /// Whether there is a further page.
    pub has_more: bool,
    /// Extension: give it as `page`, with the same request, for the next page; null on the last one.
    #[schema(required = true)]
    pub next_page: Option<String>,
    /// Extension: counts by attribute, when asked for.
    pub facets: Option<HashMap<String, Facet>>,
}
