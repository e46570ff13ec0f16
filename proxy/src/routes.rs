//! The handlers: read the request, make one call, wrap the answer.

pub mod api_keys;
pub mod embeddings;
pub mod file_batches;
pub mod files;
pub mod health;
pub mod litellm;
pub mod quotas;
pub mod search;
pub mod stats;
pub mod store_embeddings;
pub mod store_files;
pub mod stores;
pub mod tenants;
pub mod uploads;
