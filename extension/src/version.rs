//! The version of the library, to compare with the one in the catalogue.

use pgrx::prelude::*;

/// Version of the loaded library.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn library_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
