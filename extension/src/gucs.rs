//! All settings of the extension, with their ranges and getters.

use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::PathBuf;
use std::time::Duration;
use vectorstore_core::rate::Costs;

static MODEL_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TAIL_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(1000);
static BACKGROUND_MERGE: GucSetting<bool> = GucSetting::<bool>::new(true);
static ENFORCE_QUOTAS: GucSetting<bool> = GucSetting::<bool>::new(true);
static SEGMENT_CACHE: GucSetting<i32> = GucSetting::<i32>::new(32 * 1024);
static PROBES: GucSetting<i32> = GucSetting::<i32>::new(0);
static RERANK: GucSetting<i32> = GucSetting::<i32>::new(0);
static RECALL_SAMPLE_RATE: GucSetting<f64> = GucSetting::<f64>::new(0.01);
static STAT_ENTRIES: GucSetting<i32> = GucSetting::<i32>::new(5000);
static TRACK: GucSetting<bool> = GucSetting::<bool>::new(true);
static STAT_FLUSH_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10);
static OPERATION_COSTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static TENANT_CHOICE: GucSetting<i32> = GucSetting::<i32>::new(0);
static USAGE_LOG_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30);
static USAGE_MINUTE_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(2);
static USAGE_HOUR_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(90);
static USAGE_DAY_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(0);

const TENANT_CHOICE_NAME: &CStr = c"vectorstore.tenant_choice";

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
    GucRegistry::define_int_guc(
        TENANT_CHOICE_NAME,
        c"Which of the tenants that the session has chosen holds; 0 for none.",
        c"Set by vs_set_tenant(), and reset as every setting is: by DISCARD ALL, RESET ALL and a rollback.",
        &TENANT_CHOICE,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::NO_SHOW_ALL | GucFlags::DISALLOW_IN_FILE,
    );
    // SAFETY: the hook is guarded.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"vectorstore.operation_costs",
            c"Operations that cost more or fewer requests of a rate limit than one, such as search_vector_store=2, list_files=0.",
            c"Names of operations are those of the OpenAPI document and of vs_stat_requests.",
            &OPERATION_COSTS,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_costs),
            None,
            None,
        );
    }
    init_statistics();
    // SAFETY: the argument is a NUL-terminated constant; Postgres copies it. Settings of the prefix that were
    // given before the library was loaded and are not defined above are dropped with a warning.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"vectorstore".as_ptr()) };
}

/// Settings of the statistics.
fn init_statistics() {
    // SAFETY: only reads the state of the process. Later than this, Postgres refuses such a setting.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        GucRegistry::define_int_guc(
            c"vectorstore.stat_entries",
            c"Combinations of store, API key and operation that are counted between two flushes.",
            c"Shared memory of about 550 bytes each, and of as many buckets of rate limits. Calls beyond it are not counted.",
            &STAT_ENTRIES,
            100,
            1_000_000,
            GucContext::Postmaster,
            GucFlags::default(),
        );
    }
    GucRegistry::define_bool_guc(
        c"vectorstore.track",
        c"Whether calls are counted.",
        c"Needs vectorstore in shared_preload_libraries.",
        &TRACK,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"vectorstore.stat_flush_interval",
        c"Time between two flushes of statistics to tables.",
        c"A crash of the server loses what was counted since the last one.",
        &STAT_FLUSH_INTERVAL,
        1,
        3600,
        GucContext::Sighup,
        GucFlags::UNIT_S,
    );
    for (name, description, setting) in [
        (
            c"vectorstore.usage_log_retention",
            c"Days for which usage_logs are kept; 0 for ever.",
            &USAGE_LOG_RETENTION,
        ),
        (
            c"vectorstore.usage_minute_retention",
            c"Days for which usage is kept by the minute; 0 for ever.",
            &USAGE_MINUTE_RETENTION,
        ),
        (
            c"vectorstore.usage_hour_retention",
            c"Days for which usage is kept by the hour; 0 for ever.",
            &USAGE_HOUR_RETENTION,
        ),
        (
            c"vectorstore.usage_day_retention",
            c"Days for which usage is kept by the day; 0 for ever.",
            &USAGE_DAY_RETENTION,
        ),
    ] {
        let long = c"What is older is deleted by a flush.";
        GucRegistry::define_int_guc(
            name,
            description,
            long,
            setting,
            0,
            36_500,
            GucContext::Sighup,
            GucFlags::default(),
        );
    }
}

/// Entries of the table of statistics.
pub fn stat_entries() -> usize {
    STAT_ENTRIES.get() as usize
}

/// Refuses costs that cannot be read.
#[pg_guard]
unsafe extern "C-unwind" fn check_costs(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: Postgres gives a pointer to a NUL-terminated string, or to null.
    let text = unsafe { (!(*value).is_null()).then(|| CStr::from_ptr(*value).to_string_lossy()) };
    let Err(error) = Costs::parse(&text.unwrap_or_default()) else { return true };
    let error = CString::new(error).unwrap_or_default();
    // SAFETY: the text is copied to where Postgres keeps those of errors.
    unsafe {
        pg_sys::GUC_check_errdetail_string =
            pg_sys::MemoryContextStrdup(pg_sys::ErrorContext, error.as_ptr());
    }
    false
}

/// What an operation costs in requests.
pub fn cost_of(operation: &str) -> u64 {
    thread_local! {
        static READ: RefCell<(CString, Costs)> = RefCell::default();
    }
    let Some(text) = OPERATION_COSTS.get().filter(|text| !text.is_empty()) else { return 1 };
    READ.with_borrow_mut(|(read, costs)| {
        if *read != text {
            *costs = Costs::parse(&text.to_string_lossy()).unwrap_or_default();
            *read = text;
        }
        costs.of(operation)
    })
}

/// Which of its choices of a tenant the session has made last; 0 for none.
pub fn tenant_choice() -> usize {
    TENANT_CHOICE.get() as usize
}

/// Sets it as `SET` does.
pub fn set_tenant_choice(choice: usize) {
    let value = CString::new(choice.to_string()).unwrap_or_default();
    // SAFETY: two NUL-terminated strings, which Postgres copies; an error unwinds through pgrx.
    unsafe {
        pg_sys::SetConfigOption(
            TENANT_CHOICE_NAME.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
        );
    }
}

/// Whether calls are counted.
pub fn track() -> bool {
    TRACK.get()
}

/// Time between two flushes.
pub fn stat_flush_interval() -> Duration {
    Duration::from_secs(STAT_FLUSH_INTERVAL.get() as u64)
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
