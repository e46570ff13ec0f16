//! The background worker that merges stores and sweeps dropped ones.
//!
//! It is started by the backend whose transaction left something to do, needs no preloading, and ends when nothing
//! is left. It starts when that transaction has committed, and not before: a worker that waited for the end of a long
//! transaction would hold one of `max_worker_processes` all that time. What there is to do is decided by
//! `vectorstore._maintain`, one transaction a round.

use crate::gucs;
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::{
    IntoDatum, PgMemoryContexts, PgTryBuilder, PgXactCallbackEvent, Spi, pg_sys, register_xact_callback,
};
use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::ptr::null_mut;

/// Name of the worker in `pg_stat_activity`.
const NAME: &str = "vectorstore merge";

unsafe extern "C-unwind" {
    // Postgres's own signal handlers. The bindings of pgrx wrap them in functions that cannot be installed as such.
    fn die(signal: c_int);
    fn SignalHandlerForConfigReload(signal: c_int);
}

thread_local! {
    /// The store that the transaction in progress wants merged first; 0 when it only wants a sweep.
    static WANTED: Cell<Option<i64>> = const { Cell::new(None) };
    /// The worker that this backend started last.
    static LAST: Cell<*mut pg_sys::BackgroundWorkerHandle> = const { Cell::new(null_mut()) };
}

/// Asks for a worker when the transaction commits. A transaction starts at most one, which finds the other stores
/// by itself; and while the last one that this backend started still runs, only a sweep starts another.
#[pg_extern(sql = false, volatile, strict)]
fn want_merge(store_id: i64) {
    if !gucs::background_merge() || (store_id != 0 && last_is_alive()) {
        return;
    }
    match WANTED.replace(Some(store_id)) {
        None => {
            register_xact_callback(PgXactCallbackEvent::Commit, || {
                if let Some(store_id) = WANTED.take() {
                    start(store_id);
                }
            });
            register_xact_callback(PgXactCallbackEvent::Abort, || WANTED.set(None));
            register_xact_callback(PgXactCallbackEvent::Prepare, || WANTED.set(None));
        }
        // The first store that asked comes first; a sweep comes after it anyway.
        Some(first) if first != 0 => WANTED.set(Some(first)),
        Some(_) => {}
    }
}

fn last_is_alive() -> bool {
    let handle = LAST.get();
    if handle.is_null() {
        return false;
    }
    let mut pid = 0;
    // SAFETY: the handle was made by `start` and is freed only where it is replaced.
    let status = unsafe { pg_sys::GetBackgroundWorkerPid(handle, &mut pid) };
    matches!(status, pg_sys::BgwHandleStatus::BGWH_STARTED | pg_sys::BgwHandleStatus::BGWH_NOT_YET_STARTED)
}

/// Registers a worker with the postmaster; without a free slot nothing happens, and a later statement asks again.
/// Runs after the commit, where an error would take the server down: nothing here fails.
fn start(store_id: i64) {
    // SAFETY: set for every session that runs SQL.
    let database = unsafe { pg_sys::MyDatabaseId };
    let builder = BackgroundWorkerBuilder::new(NAME)
        .set_library("vectorstore")
        .set_function("vectorstore_worker_main")
        .set_argument(database.into_datum())
        .set_extra(&store_id.to_string())
        .enable_spi_access();
    let mut worker = pg_sys::BackgroundWorker::from(&builder);
    let mut handle = null_mut();
    // SAFETY: both arguments are valid for the call. The handle is allocated in the current memory context, which
    // must be one that lasts as long as the session.
    let started = unsafe {
        PgMemoryContexts::TopMemoryContext
            .switch_to(|_| pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle))
    };
    if started {
        let old = LAST.replace(handle);
        if !old.is_null() {
            // SAFETY: allocated by an earlier registration, and no longer referred to.
            unsafe { pg_sys::pfree(old.cast()) };
        }
    }
}

/// Entry point of the worker process: the argument is the database, `bgw_extra` the store to begin with.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn vectorstore_worker_main(database: pg_sys::Datum) {
    let store_id: i64 = BackgroundWorker::get_extra().parse().unwrap_or(0);
    // SAFETY: an Oid was given as the argument.
    connect(unsafe { pg_sys::Oid::from_datum(database, false) }.unwrap_or(pg_sys::InvalidOid));
    yield_to_sessions();
    while round(store_id) {}
}

/// A merge can wait, a search should not: where processors are few the worker leaves them to sessions.
fn yield_to_sessions() {
    const NICER: c_int = 10;
    unsafe extern "C" {
        fn nice(increment: c_int) -> c_int;
    }
    // SAFETY: a function of the C library that changes nothing but the priority of this process; being refused is no
    // harm.
    unsafe { nice(NICER) };
}

/// Makes a fresh worker process a session of a database; to be called once in it.
pub fn connect(database: pg_sys::Oid) {
    // SAFETY: called once, before anything that needs a session, as the documentation of background workers asks. `die` and
    // the other handler are those of an ordinary session: they end the process, or reread the settings, at the next
    // point where that is safe, in the middle of a merge too.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        use pg_sys::pqsignal;
        #[cfg(feature = "pg18")]
        use pg_sys::pqsignal_be as pqsignal;
        pqsignal(pg_sys::SIGTERM as i32, Some(die));
        pqsignal(pg_sys::SIGHUP as i32, Some(SignalHandlerForConfigReload));
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
    }
    // As autovacuum does: what a database sets for its sessions must neither stop a merge nor keep it from seeing
    // what is committed, and no standby has to confirm one.
    for (name, value) in [
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
        (c"statement_timeout", c"0"),
        (c"lock_timeout", c"0"),
        (c"synchronous_commit", c"local"),
        // The watch does not watch itself.
        (c"vectorstore.recall_sample_rate", c"0"),
    ] {
        // SAFETY: both texts are NUL-terminated and copied.
        unsafe {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
}

/// One transaction of `vectorstore._maintain`; false when nothing is left, or after an error, which is logged.
fn round(store_id: i64) -> bool {
    transaction("merge", false, || {
        report(c"merging segments and sweeping dropped stores");
        maintain(store_id)
    })
}

/// Runs a transaction; an error is logged, and `failed` returned.
pub fn transaction<T: Copy + UnwindSafe + RefUnwindSafe>(
    what: &str,
    failed: T,
    work: impl FnOnce() -> Result<T, spi::Error>,
) -> T {
    PgTryBuilder::new(AssertUnwindSafe(|| {
        BackgroundWorker::transaction(AssertUnwindSafe(|| work().unwrap_or(failed)))
    }))
    .catch_others(|error| {
        // SAFETY: the transaction that failed is the current one.
        unsafe { pg_sys::AbortCurrentTransaction() };
        let (CaughtError::PostgresError(e)
        | CaughtError::ErrorReport(e)
        | CaughtError::RustPanic { ereport: e, .. }) = &error;
        log!("background {what} of vectorstore ended early: {}", e.message());
        failed
    })
    .execute()
}

fn maintain(store_id: i64) -> Result<bool, spi::Error> {
    let known = "SELECT pg_catalog.to_regprocedure('vectorstore._maintain(bigint)') IS NOT NULL";
    let more = as_owner(known, || {
        Spi::get_one_with_args::<bool>("SELECT vectorstore._maintain($1)", &[store_id.into()])
    })?;
    Ok(more.flatten().unwrap_or(false))
}

/// Works as the role that owns the data: the worker is connected as a superuser, and what the owner may define must
/// not run as one. Without the role, or when `known` says that the function is not there (the extension was
/// dropped), there is nothing to do.
pub fn as_owner<T>(
    known: &str,
    work: impl FnOnce() -> Result<T, spi::Error>,
) -> Result<Option<T>, spi::Error> {
    if Spi::get_one::<bool>(known)? != Some(true) {
        return Ok(None);
    }
    // SAFETY: the role's name is NUL-terminated; the former user is set again below, or by the abort of the
    // transaction.
    unsafe {
        let owner = pg_sys::get_role_oid(c"vectorstore_owner".as_ptr(), true);
        if owner == pg_sys::InvalidOid {
            return Ok(None);
        }
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
        pg_sys::SetUserIdAndSecContext(owner, context | restricted as i32);
        let done = work();
        pg_sys::SetUserIdAndSecContext(user, context);
        done.map(Some)
    }
}

/// Says in `pg_stat_activity` what the worker is at.
pub fn report(activity: &CStr) {
    // SAFETY: the text is NUL-terminated and copied.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, activity.as_ptr()) };
}
