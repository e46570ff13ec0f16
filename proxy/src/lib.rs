//! OpenAI-compatible HTTP API on top of the SQL functions of vectorstore.
//!
//! [`router::build_router`] makes the whole service from an [`state::AppState`]; the binary adds a listener and signals.

pub mod account;
pub mod attach;
pub mod auth;
pub mod client;
pub mod config;
pub mod db;
pub mod deadline;
pub mod debounce;
pub mod doctor;
pub mod embed;
pub mod error;
pub mod extract;
pub mod fields;
pub mod health;
pub mod idempotency;
pub mod ingest;
pub mod load;
pub mod metadata;
pub mod metrics;
pub mod model;
pub mod openapi;
pub mod respond;
pub mod router;
pub mod routes;
pub mod serve;
pub mod state;
pub mod tokens;
pub mod upload;
pub mod worker;

pub use config::Config;
pub use router::build_router;
pub use state::AppState;
