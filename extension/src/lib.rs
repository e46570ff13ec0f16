//! PostgreSQL extension `vectorstore`: the engine of search, and the leaves under the SQL functions of `sql/`.
//!
//! Who writes rows is SQL. Who computes from its arguments is here, and who searches: `search` and `pack` read chunks
//! and segments through `rows` and `segments`, which read them through `table`; what they compute is in the crate
//! `vectorstore-core`. The SQL declarations of these functions are written by hand, most of them in
//! `sql/schema/rust.sql`, and checked against this library by the regression test `catalog`.

// The type that pgrx asks a fallible function to return; errors are rare and end the statement.
#![allow(clippy::result_large_err)]

mod catalog;
mod cursor;
mod datum;
mod error;
mod fetch;
mod filter;
mod gucs;
mod id;
mod jsonb;
mod known;
mod language;
mod lexemes;
mod limits;
mod model;
mod output;
mod pack;
mod preload;
mod principal;
mod quota;
mod recall;
mod rows;
mod search;
mod segments;
mod stats;
mod table;
mod tsvector;
mod version;
mod worker;

pgrx::pg_module_magic!(name, version);

/// Called by Postgres when it loads the library.
#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    // Errors that pass through Rust would carry a backtrace to the client in their DETAIL wherever the server was
    // started with RUST_BACKTRACE.
    // SAFETY: a server process has one thread, and reads the environment in no other while it loads a library.
    unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    gucs::init();
    // SAFETY: only reads the state of the process.
    if unsafe { pgrx::pg_sys::process_shared_preload_libraries_in_progress } {
        stats::preload();
    }
}
