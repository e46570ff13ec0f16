//! Embeddings and models.

use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// What to embed.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum EmbeddingInput {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// One text as tokens of `cl100k_base`.
    Tokens(Vec<u32>),
    /// Several texts as tokens.
    TokenLists(Vec<Vec<u32>>),
}

/// Asks for embeddings.
#[derive(ToSchema)]
pub struct EmbeddingRequest {
    /// The texts.
    pub input: EmbeddingInput,
    /// One of the names that `GET /models` lists.
    #[schema(example = "local")]
    pub model: String,
    /// `float` or `base64`: little-endian 32-bit floats.
    #[schema(pattern = "^(float|base64)$", default = "float")]
    pub encoding_format: Option<String>,
    /// Only the model's own number is possible.
    #[schema(minimum = 1)]
    pub dimensions: Option<i32>,
    /// Accepted and ignored.
    pub user: Option<String>,
}

/// A vector as numbers or in base64.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum EmbeddingVector {
    /// Numbers.
    Floats(Vec<f32>),
    /// Base64 of little-endian 32-bit floats.
    Base64(String),
}

/// The vector of one text.
#[derive(ToSchema)]
pub struct Embedding {
    /// `embedding`
    #[schema(pattern = "^embedding$", example = "embedding")]
    pub object: String,
    /// Place of the text in the input.
    pub index: i32,
    /// The vector.
    pub embedding: EmbeddingVector,
}

/// Tokens of a request.
#[derive(ToSchema)]
pub struct Usage {
    /// Tokens of the input.
    pub prompt_tokens: i64,
    /// The same.
    pub total_tokens: i64,
}

/// Embeddings in the order of the input.
#[derive(ToSchema)]
pub struct EmbeddingResponse {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The vectors.
    pub data: Vec<Embedding>,
    /// Name of the model.
    pub model: String,
    /// Tokens.
    pub usage: Usage,
}

/// A text to put into a vector store, as litellm-pgvector takes it.
#[derive(ToSchema)]
pub struct EmbeddingCreate {
    /// The text.
    #[schema(max_length = 262144)]
    pub content: String,
    /// Its vector; made by the store's model when absent.
    #[schema(min_items = 1, max_items = 16000)]
    pub embedding: Option<Vec<f32>>,
    /// Any object.
    pub metadata: Option<HashMap<String, serde_json::Value>>,
}

/// Texts to put into a vector store.
#[derive(ToSchema)]
pub struct EmbeddingBatchCreate {
    /// The texts.
    #[schema(min_items = 1, max_items = 10000)]
    pub embeddings: Vec<EmbeddingCreate>,
}

/// A text in a vector store.
#[derive(ToSchema)]
pub struct StoredEmbedding {
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
    pub metadata: Option<HashMap<String, serde_json::Value>>,
    /// Unix seconds.
    pub created_at: i64,
}

/// Texts put into a vector store.
#[derive(ToSchema)]
pub struct StoredEmbeddingBatch {
    /// `embedding.batch`
    #[schema(pattern = "^embedding\\.batch$", example = "embedding.batch")]
    pub object: String,
    /// The texts.
    pub data: Vec<StoredEmbedding>,
    /// Unix seconds.
    pub created: i64,
}

/// A model.
#[derive(ToSchema)]
pub struct ModelObject {
    /// Its name.
    pub id: String,
    /// `model`
    #[schema(pattern = "^model$", example = "model")]
    pub object: String,
    /// Unix seconds.
    pub created: i64,
    /// `vectorstore`
    pub owned_by: String,
}

/// The models.
#[derive(ToSchema)]
pub struct ModelList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The models.
    pub data: Vec<ModelObject>,
}
