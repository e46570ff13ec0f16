//! Whether the library was loaded at the start of the server.

use pgrx::prelude::*;
use std::ffi::CStr;

/// The setting `shared_preload_libraries`, which only superusers may read by SQL.
#[pg_extern(sql = false, stable, parallel_safe)]
fn preload_libraries() -> String {
    // SAFETY: a global of Postgres that is set before any session begins and never changes afterwards.
    let libraries = unsafe { pg_sys::shared_preload_libraries_string };
    if libraries.is_null() {
        return String::new();
    }
    // SAFETY: not null, and then a string of C that lives as long as the process.
    unsafe { CStr::from_ptr(libraries) }.to_string_lossy().into_owned()
}
