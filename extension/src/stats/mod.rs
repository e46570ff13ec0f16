//! Statistics: what was called, how often, how long it took, and what came of it. Counted in shared memory, where a rollback
//! does not undo it, and flushed to tables by a background worker. Only a preloaded library counts.

mod counters;
mod dropped;
mod flush;
mod hook;
mod shared;
mod usage;
mod view;

pub use counters::Counter;
pub use hook::{add, count_ever, take_charge};
pub use shared::{BucketKey, Shared, shared};

use crate::{gucs, principal};
use pgrx::prelude::*;

/// Whose call it is; zero for what is not known.
#[derive(Clone, Copy, Default)]
pub struct Caller {
    /// The tenant.
    pub tenant: i64,
    /// The store.
    pub store: i64,
    /// The API key.
    pub key: i64,
}

/// Whose call is in progress.
pub fn caller() -> Caller {
    let (tenant, key) = principal::who();
    Caller { tenant, store: principal::store(), key }
}

/// Prepares everything; to be called while the server loads libraries.
pub fn preload() {
    static mut REQUEST_BEFORE: pg_sys::shmem_request_hook_type = None;
    static mut STARTUP_BEFORE: pg_sys::shmem_startup_hook_type = None;

    unsafe extern "C-unwind" fn request() {
        // SAFETY: the hook before this one expects nothing else.
        unsafe {
            if let Some(before) = REQUEST_BEFORE {
                before();
            }
        }
        shared::request(gucs::stat_entries());
    }
    unsafe extern "C-unwind" fn startup() {
        // SAFETY: as above.
        unsafe {
            if let Some(before) = STARTUP_BEFORE {
                before();
            }
        }
        shared::attach(gucs::stat_entries());
    }

    // SAFETY: the server has one thread.
    unsafe {
        REQUEST_BEFORE = pg_sys::shmem_request_hook;
        pg_sys::shmem_request_hook = Some(request);
        STARTUP_BEFORE = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(startup);
    }
    hook::install();
    dropped::install();
    flush::register();
}
