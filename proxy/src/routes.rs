//! The handlers: read the request, make one call, wrap the answer.

pub mod embeddings;
pub mod file_batches;
pub mod files;
pub mod health;
pub mod litellm;
pub mod search;
pub mod stats;
pub mod store_embeddings;
pub mod store_files;
pub mod stores;
pub mod uploads;
