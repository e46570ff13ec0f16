//! What SQL reads of the statistics.

use super::counters::{Counter, Delta, bound, quantile};
use super::shared::{Key, Shared, Table, operation, shared};
use super::usage;
use crate::error::Error;
use pgrx::datum::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

type Rows = TableIterator<
    'static,
    (
        name!(tenant_id, i64),
        name!(store_id, i64),
        name!(api_key, i64),
        name!(operation, String),
        name!(calls, i64),
        name!(errors, i64),
        name!(limited, i64),
        name!(would_limit, i64),
        name!(rows, i64),
        name!(tokens, i64),
        name!(microseconds, i64),
        name!(created, i64),
        name!(deleted, i64),
        name!(bytes, i64),
        name!(buckets, Vec<i64>),
    ),
>;

fn rows(read: Vec<(Key, Delta)>) -> Rows {
    use Counter::{Bytes, Calls, Created, Deleted, Errors, Limited, Microseconds, Rows, Tokens, WouldLimit};
    TableIterator::new(read.into_iter().map(|(key, delta)| {
        let owner = (key[1] as i64, key[2] as i64, key[3] as i64);
        let of = |counter| delta.get(counter);
        (
            owner.0,
            owner.1,
            owner.2,
            operation(&key),
            of(Calls),
            of(Errors),
            of(Limited),
            of(WouldLimit),
            of(Rows),
            of(Tokens),
            of(Microseconds),
            of(Created),
            of(Deleted),
            of(Bytes),
            delta.histogram(),
        )
    }))
}

fn database() -> pg_sys::Oid {
    // SAFETY: set for every session that runs SQL.
    unsafe { pg_sys::MyDatabaseId }
}

fn required() -> Result<Shared, ErrorReport> {
    Ok(shared().ok_or(Error::NotPreloaded)?)
}

/// Whether the library is preloaded.
#[pg_extern(sql = false, stable, parallel_safe)]
fn stat_preloaded() -> bool {
    shared().is_some()
}

/// What was counted of this database since the last flush. Nothing when the library is not preloaded.
#[pg_extern(sql = false, volatile)]
fn stat_pending() -> Rows {
    rows(shared().map_or_else(Vec::new, |shared| shared.read(Table::Recent, database(), false)))
}

/// The same, taken out of shared memory; it returns there unless the transaction commits.
#[pg_extern(sql = false, volatile)]
fn stat_take() -> Result<Rows, ErrorReport> {
    let taken = required()?.read(Table::Recent, database(), true);
    usage::note_flush();
    for (key, delta) in &taken {
        usage::note(*key, *delta, true);
    }
    Ok(rows(taken))
}

/// What was counted of this database since the server started.
#[pg_extern(sql = false, volatile)]
fn stat_ever() -> Rows {
    rows(shared().map_or_else(Vec::new, |shared| shared.read(Table::Ever, database(), false)))
}

/// Entries in use, how many there can be, calls that were not counted for want of one, seconds since the last flush, and
/// buckets of rate limits in use, of which there can be as many as entries.
#[pg_extern(sql = false, volatile)]
fn stat_memory() -> TableIterator<
    'static,
    (
        name!(entries, i64),
        name!(capacity, i64),
        name!(overflow, i64),
        name!(flush_age, f64),
        name!(buckets, i64),
    ),
> {
    TableIterator::new(shared().map(|shared| {
        let (entries, capacity, overflow) = shared.fill();
        // SAFETY: only reads the clock.
        let age = unsafe { pg_sys::GetCurrentTimestamp() } - shared.flushed_at().load(Relaxed);
        let buckets = shared.bucket_count() as i64;
        (entries as i64, capacity as i64, overflow as i64, age.max(0) as f64 / 1e6, buckets)
    }))
}

/// Two histograms together.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn add_buckets(one: Array<i64>, other: Array<i64>) -> Vec<i64> {
    let mut sum: Vec<i64> = one.iter().map(|count| count.unwrap_or(0)).collect();
    sum.resize(sum.len().max(other.len()), 0);
    for (count, by) in sum.iter_mut().zip(other.iter()) {
        *count += by.unwrap_or(0);
    }
    sum
}

/// Seconds below which this share of the calls took; NULL without calls.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn bucket_quantile(buckets: Array<i64>, share: f64) -> Option<f64> {
    let buckets: Vec<i64> = buckets.iter().map(|count| count.unwrap_or(0)).collect();
    quantile(&buckets, share)
}

/// Upper bound of a bucket in seconds, counted from 1; NULL for the last one.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn bucket_bound(bucket: i32) -> Option<f64> {
    bound(usize::try_from(bucket - 1).ok()?)
}

/// Counts requests that were answered without a function of their own.
#[pg_extern(sql = false, volatile, strict)]
#[allow(clippy::too_many_arguments)]
fn stat_note(
    tenant_id: i64,
    store_id: i64,
    api_key: i64,
    operation: &str,
    calls: i64,
    errors: i64,
    microseconds: i64,
) {
    let Some(shared) = shared().filter(|_| calls > 0 && crate::gucs::track()) else { return };
    let mut delta = Delta::default();
    delta.add(Counter::Calls, calls);
    delta.add(Counter::Errors, errors);
    delta.time(calls, (microseconds / calls).max(0) as u64);
    let who = super::Caller { tenant: tenant_id, store: store_id, key: api_key };
    super::hook::count(shared, who, operation, &delta);
}

/// Counts something that only a monitor reads.
#[pg_extern(sql = false, volatile, strict)]
fn stat_count(name: &str, by: i64) {
    if let Some(shared) = shared().filter(|_| by > 0 && crate::gucs::track()) {
        super::hook::count_ever(shared, name, by);
    }
}

/// The next call of this session is a part of a request that was counted already.
#[pg_extern(sql = false, volatile)]
fn stat_uncounted() -> bool {
    super::hook::next_is_part();
    true
}
