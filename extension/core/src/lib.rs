//! Algorithms shared by the extension and the proxy: neither Postgres, nor a network, nor SQL, so that both
//! sides compute the same and every one of them is tested by plain `cargo test`.

pub mod bm25;
#[cfg(feature = "chunk")]
pub mod chunk;
pub mod cursor;
pub mod filter;
pub mod fusion;
pub mod id;
pub mod language;
pub mod lexemes;
pub mod model;
pub mod operation;
pub mod query;
pub mod rate;
pub mod segment;
pub mod tsvector;
pub mod vector;
