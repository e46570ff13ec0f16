//! The recall watch: now and then a vector query that was answered is asked again, of all rows, by a background
//! worker, and what the answer had missed is noted for `vs_stat_indexes`.
//!
//! A search only hands the question over and never waits: it writes nothing, and no error of this gets to its user.
//! The question travels in a segment of dynamic shared memory, pinned until the worker has read it.

use crate::{gucs, worker};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder};
use pgrx::prelude::*;
use pgrx::{PgTryBuilder, direct_function_call, pg_sys};
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// Name of the worker in `pg_stat_activity`.
const NAME: &str = "vectorstore recall";
/// A session starts workers no more often than this.
const PAUSE: Duration = Duration::from_secs(1);
/// Recall is measured over at most so many of the nearest rows.
pub const MAX_K: usize = 100;
/// Key of the advisory lock of a running worker ("vsrecall"), as in `vectorstore._watch_recall`.
const RUNNING: i64 = i64::from_be_bytes(*b"vsrecall");

/// A query that was answered.
struct Sample {
    database: u32,
    store: i64,
    k: i32,
    /// What was found, nearest first.
    found: Vec<i64>,
    vector: Vec<f32>,
}

impl Sample {
    /// Database, store, k and number of chunks, the chunks, the vector; eight bytes each but the vector's four.
    fn encode(&self) -> Vec<u8> {
        let head = [i64::from(self.database), self.store, i64::from(self.k), self.found.len() as i64];
        let numbers = head.iter().chain(&self.found).flat_map(|number| number.to_le_bytes());
        numbers.chain(self.vector.iter().flat_map(|number| number.to_le_bytes())).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<32>()?;
        let mut head = head.as_chunks::<8>().0.iter().map(|number| i64::from_le_bytes(*number));
        let (database, store, k, count) = (head.next()?, head.next()?, head.next()?, head.next()?);
        let (found, vector) = rest.split_at_checked(usize::try_from(count).ok()?.checked_mul(8)?)?;
        Some(Self {
            database: database.try_into().ok()?,
            store,
            k: k.try_into().ok()?,
            found: found.as_chunks::<8>().0.iter().map(|number| i64::from_le_bytes(*number)).collect(),
            vector: vector.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect(),
        })
    }
}

thread_local! {
    /// When this session started a worker last.
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether the query at hand shall be looked at again. Mostly this is one random number.
pub fn wanted() -> bool {
    let rate = gucs::recall_sample_rate();
    // SAFETY: the generator is this process's own, and seeded when the process starts.
    if rate <= 0.0 || unsafe { pg_sys::pg_prng_double(&raw mut pg_sys::pg_global_prng_state) } >= rate {
        return false;
    }
    if STARTED.get().is_some_and(|at| at.elapsed() < PAUSE) {
        return false;
    }
    // SAFETY: these only read the state of the process. A standby cannot note anything; without a postmaster there
    // are no workers; and a parallel operation must not begin the subtransaction of `hand_over`.
    let able =
        unsafe { pg_sys::IsUnderPostmaster && !pg_sys::RecoveryInProgress() && !pg_sys::IsInParallelMode() };
    able && !running()
}

/// Whether another sample is being looked at in this database: two of them would only slow each other down.
fn running() -> bool {
    // SAFETY: both functions take a bigint and are not called through SQL by name alone.
    unsafe {
        if direct_function_call(pg_sys::pg_try_advisory_lock_int8, &[RUNNING.into_datum()]) != Some(true) {
            return true;
        }
        let _: Option<bool> = direct_function_call(pg_sys::pg_advisory_unlock_int8, &[RUNNING.into_datum()]);
    }
    false
}

/// Hands a query over to a worker. Without a free place for one, or without shared memory, nothing happens.
pub fn hand_over(store: i64, k: usize, vector: &[f32], found: Vec<i64>) {
    STARTED.set(Some(Instant::now()));
    // SAFETY: set for every session that runs SQL.
    let database = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let sample = Sample { database, store, k: k as i32, found, vector: vector.to_vec() }.encode();
    // SAFETY: the pattern of every language that catches errors: a subtransaction around what may fail, and the memory
    // context and the resource owner as they were behind it.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(null_mut());
        pg_sys::MemoryContextSwitchTo(context);
        let started = PgTryBuilder::new(AssertUnwindSafe(|| {
            start(&sample);
            true
        }))
        .catch_others(|_| false)
        .execute();
        pg_sys::MemoryContextSwitchTo(context);
        if started {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
}

fn start(sample: &[u8]) {
    // SAFETY: the segment is at least as long as the sample, and nobody else knows it yet. It is pinned before a
    // worker can unpin it, and from there on nothing raises an error: if no worker will come, the pin is taken back.
    unsafe {
        let segment = pg_sys::dsm_create(sample.len(), pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as i32);
        if segment.is_null() {
            return;
        }
        let memory = pg_sys::dsm_segment_address(segment).cast::<u8>();
        std::ptr::copy_nonoverlapping(sample.as_ptr(), memory, sample.len());
        let handle = pg_sys::dsm_segment_handle(segment);
        let builder = BackgroundWorkerBuilder::new(NAME)
            .set_library("vectorstore")
            .set_function("vectorstore_recall_main")
            .set_argument(Some(pg_sys::Datum::from(handle)))
            .set_extra(&sample.len().to_string())
            .enable_spi_access();
        let mut description = pg_sys::BackgroundWorker::from(&builder);
        pg_sys::dsm_pin_segment(segment);
        if !pg_sys::RegisterDynamicBackgroundWorker(&mut description, null_mut()) {
            pg_sys::dsm_unpin_segment(handle);
        }
        pg_sys::dsm_detach(segment);
    }
}

/// Takes a sample out of shared memory, and the memory with it.
fn receive(handle: pg_sys::dsm_handle, length: usize) -> Option<Sample> {
    // SAFETY: the segment was pinned for this worker, which unpins it once. What is read lies within the mapping.
    unsafe {
        let segment = pg_sys::dsm_attach(handle);
        if segment.is_null() {
            return None;
        }
        pg_sys::dsm_unpin_segment(handle);
        let memory = pg_sys::dsm_segment_address(segment).cast::<u8>();
        let length = length.min(pg_sys::dsm_segment_map_length(segment));
        let sample = Sample::decode(std::slice::from_raw_parts(memory, length));
        pg_sys::dsm_detach(segment);
        sample
    }
}

/// Entry point of the worker process: the argument is the handle of the memory, `bgw_extra` the bytes in use.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn vectorstore_recall_main(handle: pg_sys::Datum) {
    let length = BackgroundWorker::get_extra().parse().unwrap_or(0);
    let Some(sample) = receive(handle.value() as pg_sys::dsm_handle, length) else { return };
    worker::connect(sample.database.into());
    let Sample { store, k, found, vector, .. } = sample;
    worker::transaction("recall watch", (), || {
        worker::report(c"comparing a vector search with an exact one");
        let known = "SELECT pg_catalog.to_regprocedure('vectorstore._watch_recall(bigint,real[],integer,bigint[])') IS NOT NULL";
        let watch = "SELECT vectorstore._watch_recall($1, $2, $3, $4)";
        let arguments = [store.into(), vector.into(), k.into(), found.into()];
        worker::as_owner(known, || Spi::run_with_args(watch, &arguments)).map(|_| ())
    });
}
