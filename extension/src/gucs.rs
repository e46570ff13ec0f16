//! All settings of the extension, with their ranges and getters.

use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};
use std::ffi::CString;
use std::path::PathBuf;

static MODEL_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TAIL_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(1000);
static BACKGROUND_MERGE: GucSetting<bool> = GucSetting::<bool>::new(true);
static ENFORCE_QUOTAS: GucSetting<bool> = GucSetting::<bool>::new(true);
static SEGMENT_CACHE: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024);
static PROBES: GucSetting<i32> = GucSetting::<i32>::new(0);
static RERANK: GucSetting<i32> = GucSetting::<i32>::new(0);
static RECALL_SAMPLE_RATE: GucSetting<f64> = GucSetting::<f64>::new(0.01);

/// Registers the settings and reserves their prefix, so that a misspelt one is refused.
pub fn init() {
    GucRegistry::define_string_guc(
        c"vectorstore.model_path",
        c"Folder that holds the weights and the tokenizer of the local embedding model.",
        c"Read when a session embeds its first text; the server's user must be able to read it.",
        &MODEL_PATH,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"vectorstore.segment_cache",
        c"Memory in which a session keeps the directories of search segments.",
        c"What does not fit is read again by the next search.",
        &SEGMENT_CACHE,
        1024,
        1024 * 1024,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"vectorstore.probes",
        c"Lists of vector codes that a search reads in each segment; 0 chooses by the segment's size.",
        c"More lists give a higher recall and take longer.",
        &PROBES,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"vectorstore.rerank",
        c"Rows that the vector leg of a search reads to rank them exactly; 0 chooses by the store's size.",
        c"More rows give a higher recall and take longer.",
        &RERANK,
        0,
        10_000_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"vectorstore.tail_limit",
        c"Changes of a store that may wait before they are merged into its segments.",
        c"Each chunk that came or went counts. Searches read what waits one by one.",
        &TAIL_LIMIT,
        1,
        100_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"vectorstore.background_merge",
        c"Whether stores are merged, and dropped ones swept, without being asked.",
        c"When off, only vs_merge() and vs_sweep() do it. A worker takes one of max_worker_processes while it runs.",
        &BACKGROUND_MERGE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"vectorstore.enforce_quotas",
        c"Whether what exceeds a quota is refused.",
        c"Switch it off to load a dump into tables that have their triggers; everything is counted all the same.",
        &ENFORCE_QUOTAS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_float_guc(
        c"vectorstore.recall_sample_rate",
        c"Share of vector searches that a background worker compares with an exact search.",
        c"What it finds is shown by vs_stat_indexes. At most one worker runs at a time; 0 switches it off.",
        &RECALL_SAMPLE_RATE,
        0.0,
        1.0,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: the argument is a NUL-terminated constant; Postgres copies it. Settings of the prefix that were
    // given before the library was loaded and are not defined above are dropped with a warning.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"vectorstore".as_ptr()) };
}

/// The folder of the local embedding model, if set.
pub fn model_path() -> Option<PathBuf> {
    let path = MODEL_PATH.get()?.into_string().ok()?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// Bytes in which a session keeps the directories of search segments.
pub fn segment_cache_bytes() -> usize {
    SEGMENT_CACHE.get() as usize * 1024
}

/// Lists of vector codes to read in each segment; 0 for a number by its size.
pub fn probes() -> u32 {
    PROBES.get() as u32
}

/// Rows to rank exactly; 0 for a number by the store's size.
pub fn rerank() -> usize {
    RERANK.get() as usize
}

/// Share of vector searches that are compared with an exact search.
pub fn recall_sample_rate() -> f64 {
    RECALL_SAMPLE_RATE.get()
}

/// Chunk ids of a store that may wait in its tail before a merge is due.
#[pg_extern(sql = false, stable, parallel_safe)]
fn tail_limit() -> i32 {
    TAIL_LIMIT.get()
}

/// Whether merges and sweeps happen without being asked for.
#[pg_extern(sql = false, stable, parallel_safe)]
pub fn background_merge() -> bool {
    BACKGROUND_MERGE.get()
}

/// Whether what exceeds a quota is refused.
#[pg_extern(sql = false, stable, parallel_safe)]
fn enforce_quotas() -> bool {
    ENFORCE_QUOTAS.get()
}
