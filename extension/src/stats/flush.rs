//! The launcher, which looks every few seconds for databases of which something waits to be flushed, and starts a worker in
//! each: a background worker can be connected to one database only.

use super::shared::shared;
use crate::{gucs, worker};
use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime,
    DynamicBackgroundWorker, SignalWakeFlags,
};
use pgrx::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A database to which so many workers in a row could not connect was dropped.
const TRIES: u8 = 3;

/// Has the server start the launcher, which a standby has to do without.
pub fn register() {
    BackgroundWorkerBuilder::new("vectorstore statistics")
        .set_library("vectorstore")
        .set_function("vectorstore_statistics_main")
        .enable_shmem_access(None)
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(Duration::from_secs(10)))
        .load();
}

/// Entry point of the launcher.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn vectorstore_statistics_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let mut failures = HashMap::new();
    while BackgroundWorker::wait_latch(Some(gucs::stat_flush_interval())) {
        if BackgroundWorker::sighup_received() {
            // SAFETY: as every process does it when it is told to.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
        if !flush_all(&mut failures) {
            return;
        }
    }
}

/// False when the server ends: who has been told is not told again.
fn flush_all(failures: &mut HashMap<u32, u8>) -> bool {
    let Some(shared) = shared() else { return true };
    let waiting = shared.waiting();
    if waiting.is_empty() {
        // SAFETY: only reads the clock.
        shared.flushed_at().store(unsafe { pg_sys::GetCurrentTimestamp() }, Relaxed);
    }
    let mut gone = Vec::new();
    for database in waiting {
        shared.connected().store(0, Relaxed);
        let Some(worker) = start(database) else { continue };
        if !wait(&worker) {
            return false;
        }
        if shared.connected().load(Relaxed) == u64::from(database) {
            failures.remove(&database);
            continue;
        }
        let tries = failures.entry(database).or_insert(0);
        *tries += 1;
        if *tries >= TRIES {
            failures.remove(&database);
            gone.push(database);
        }
    }
    shared.tidy(&gone);
    true
}

/// Waits until a worker has ended; false when the server ends. A process without a database is not told when one does: it has to ask.
fn wait(worker: &DynamicBackgroundWorker) -> bool {
    const PAUSE: Duration = Duration::from_millis(20);
    while matches!(worker.pid(), Ok(_) | Err(BackgroundWorkerStatus::NotYetStarted)) {
        if !BackgroundWorker::wait_latch(Some(PAUSE)) {
            return false;
        }
    }
    true
}

/// Without a free place for a worker, the next round tries again.
fn start(database: u32) -> Option<DynamicBackgroundWorker> {
    // SAFETY: set for every process.
    let pid = unsafe { pg_sys::MyProcPid };
    BackgroundWorkerBuilder::new("vectorstore statistics flush")
        .set_library("vectorstore")
        .set_function("vectorstore_flush_main")
        .set_argument(pg_sys::Oid::from(database).into_datum())
        .set_notify_pid(pid)
        .enable_spi_access()
        .load_dynamic()
        .ok()
}

/// Entry point of the worker process: the argument is the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn vectorstore_flush_main(database: pg_sys::Datum) {
    // SAFETY: an Oid was given as the argument.
    let database = unsafe { pg_sys::Oid::from_datum(database, false) }.unwrap_or(pg_sys::InvalidOid);
    worker::connect(database);
    let Some(shared) = shared() else { return };
    shared.connected().store(u64::from(database.to_u32()), Relaxed);
    let there = worker::transaction("flush of statistics", true, || {
        worker::report(c"flushing statistics");
        let known = "SELECT pg_catalog.to_regprocedure('vectorstore._stat_flush()') IS NOT NULL";
        let flushed = worker::as_owner(known, || Spi::get_one::<i64>("SELECT vectorstore._stat_flush()"))?;
        Ok(flushed.is_some())
    });
    if !there {
        // The extension was dropped.
        shared.tidy(&[database.to_u32()]);
    }
}
