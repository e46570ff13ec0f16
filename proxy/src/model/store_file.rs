//! Files of a vector store.

use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// Value of an attribute.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum AttributeValue {
    /// At most 512 characters.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Flag(bool),
}

/// Numbers of a static strategy.
#[derive(ToSchema)]
pub struct StaticChunking {
    /// Tokens of a chunk.
    #[schema(minimum = 100, maximum = 4096)]
    pub max_chunk_size_tokens: i32,
    /// Tokens that a chunk shares with the one before; at most half of a chunk.
    #[schema(minimum = 0, maximum = 2048)]
    pub chunk_overlap_tokens: i32,
}

/// How a file is cut: `auto` is 800 tokens with an overlap of 400.
#[derive(ToSchema)]
pub struct ChunkingStrategy {
    /// `auto` or `static`
    #[schema(rename = "type", pattern = "^(auto|static)$", example = "auto")]
    pub kind: String,
    /// Required for `static`.
    #[schema(rename = "static")]
    pub numbers: Option<StaticChunking>,
}

/// How a file was cut.
#[derive(ToSchema)]
pub struct StoredChunking {
    /// `static`, or `other` for a file that does not exist.
    #[schema(rename = "type", pattern = "^(static|other)$", example = "static")]
    pub kind: String,
    /// The numbers of `static`.
    #[schema(rename = "static", nullable = false)]
    pub numbers: Option<StaticChunking>,
}

/// Attaches a file.
#[derive(ToSchema)]
pub struct StoreFileCreate {
    /// Id of an uploaded file.
    #[schema(min_length = 1, max_length = 256)]
    pub file_id: String,
    /// At most 16 pairs; keys of at most 64 characters.
    pub attributes: Option<HashMap<String, AttributeValue>>,
    /// How it is cut.
    pub chunking_strategy: Option<ChunkingStrategy>,
}

/// Replaces the attributes of a file.
#[derive(ToSchema)]
pub struct StoreFileUpdate {
    /// The new attributes; null: none.
    #[schema(required = true)]
    pub attributes: Option<HashMap<String, AttributeValue>>,
}

/// Status of a file in a vector store.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum StoreFileStatus {
    /// Being read.
    InProgress,
    /// Searchable.
    Completed,
    /// Not readable: see `last_error`.
    Failed,
    /// Given up.
    Cancelled,
}

/// Why a file failed.
#[derive(ToSchema)]
pub struct LastError {
    /// `server_error`, `unsupported_file` or `invalid_file`
    #[schema(pattern = "^(server_error|unsupported_file|invalid_file)$", example = "unsupported_file")]
    pub code: String,
    /// For people.
    pub message: String,
}

/// A file of a vector store.
#[derive(ToSchema)]
pub struct StoreFile {
    /// Id of the file.
    pub id: String,
    /// `vector_store.file`
    #[schema(pattern = "^vector_store\\.file$", example = "vector_store.file")]
    pub object: String,
    /// Bytes in use.
    pub usage_bytes: i64,
    /// Unix seconds.
    pub created_at: i64,
    /// Id of the vector store.
    pub vector_store_id: String,
    /// Its status.
    pub status: StoreFileStatus,
    /// Why it failed.
    #[schema(required = true)]
    pub last_error: Option<LastError>,
    /// How it was cut.
    #[schema(nullable = false)]
    pub chunking_strategy: Option<StoredChunking>,
    /// Its attributes.
    pub attributes: Option<HashMap<String, AttributeValue>>,
}

/// A page of files of a vector store.
#[derive(ToSchema)]
pub struct StoreFileList {
    /// `list`
    #[schema(pattern = "^list$", example = "list")]
    pub object: String,
    /// The page.
    pub data: Vec<StoreFile>,
    /// Id of the first file.
    #[schema(required = true)]
    pub first_id: Option<String>,
    /// Id of the last file.
    #[schema(required = true)]
    pub last_id: Option<String>,
    /// Whether more files follow.
    pub has_more: bool,
}

/// A piece of text.
#[derive(ToSchema)]
pub struct TextContent {
    /// `text`
    #[schema(rename = "type", pattern = "^text$", example = "text")]
    pub kind: String,
    /// The text.
    pub text: String,
}

/// The parsed text of a file.
#[derive(ToSchema)]
pub struct StoreFileContent {
    /// `vector_store.file_content.page`
    #[schema(pattern = "^vector_store\\.file_content\\.page$", example = "vector_store.file_content.page")]
    pub object: String,
    /// The text.
    pub data: Vec<TextContent>,
    /// Always false.
    pub has_more: bool,
    /// Always null.
    #[schema(required = true)]
    pub next_page: Option<String>,
}
