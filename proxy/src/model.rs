//! The shapes of requests and responses, for the OpenAPI document. Bodies are read by [`crate::fields`] and written by the
//! database, so nothing here is executed.

pub mod api_key;
pub mod chunk;
pub mod embedding;
pub mod file;
pub mod file_batch;
pub mod filter;
pub mod page;
pub mod search;
pub mod stats;
pub mod store;
pub mod store_file;
pub mod tenant;
pub mod upload;

pub use api_key::*;
pub use chunk::*;
pub use embedding::*;
pub use file::*;
pub use file_batch::*;
pub use filter::*;
pub use page::*;
pub use search::*;
pub use stats::*;
pub use store::*;
pub use store_file::*;
pub use tenant::*;
pub use upload::*;
