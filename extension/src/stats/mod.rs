//! Statistics: what was called, how often, how long it took, and what came of it. Counted in shared memory, where a rollback
//! does not undo it, and flushed to tables by a background worker. Only a preloaded library counts.

mod counters;
mod flush;
mod hook;
mod shared;
mod usage;
mod view;

pub use counters::Counter;
pub use hook::{add, charges};
pub use shared::{BucketKey, Shared, shared};

use crate::gucs;
use pgrx::prelude::*;
use std::cell::Cell;

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

thread_local! {
    static CALLER: Cell<Caller> = const { Cell::new(Caller { tenant: 0, store: 0, key: 0 }) };
}

/// Whose call is in progress.
pub fn caller() -> Caller {
    CALLER.get()
}

/// Says whose call is in progress, and which store it is about; 0 for none.
#[pg_extern(sql = false, volatile, strict)]
fn note_caller(tenant_id: i64, store_id: i64, api_key: i64) {
    CALLER.set(Caller { tenant: tenant_id, store: store_id, key: api_key });
}

/// Says which store the call in progress is about.
#[pg_extern(sql = false, volatile, strict)]
pub fn note_store(store_id: i64) {
    CALLER.set(Caller { store: store_id, ..CALLER.get() });
}

/// Says whose call is in progress, and which store it is about.
pub fn set_caller(tenant: i64, store: i64) {
    CALLER.set(Caller { tenant, store, key: 0 });
}

/// Forgets whose call the last one was.
fn forget_caller() {
    crate::limits::forget();
    CALLER.set(Caller::default());
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
    flush::register();
}
