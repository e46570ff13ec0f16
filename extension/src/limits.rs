//! Rate limits of API keys: buckets in shared memory, by the database's clock, so that they hold for any number of
//! proxies. What may flow is a row of `rate_limits`: the key's own, else its tenant's, else that of all.

use crate::error::Error;
use crate::gucs;
use crate::stats::{self, BucketKey, Counter, Shared};
use crate::table::{Slot, Table};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, PgSqlErrorCode};
use serde_json::{Value, json};
use std::cell::RefCell;
use vectorstore_core::rate::{Level, Limit, Refusal};

/// What a key may do.
struct Limits {
    /// Requests, by the second and by the minute.
    requests: [Option<Limit>; 2],
    tokens: Option<Limit>,
    dry_run: bool,
}

/// A charge that passed.
struct Charge {
    bucket: BucketKey,
    limit: Limit,
    cost: u64,
}

thread_local! {
    /// Where the buckets of the call in progress stand.
    static STATE: RefCell<Option<Value>> = const { RefCell::new(None) };
}

/// Forgets the buckets of the call before.
pub fn forget() {
    STATE.set(None);
}

/// Where the buckets of the call in progress stand, for the DETAIL of its error; `None` when nothing limits it.
pub fn state() -> Option<Value> {
    STATE.with_borrow(Clone::clone)
}

fn limits_of(tenant: i64, key: i64) -> Option<Limits> {
    let table = Table::open(c"rate_limits", c"rate_limits_pkey")?;
    for owner in [[tenant, key], [tenant, 0], [0, 0]] {
        let mut scan = table.scan_prefix(&owner);
        if let Some(slot) = scan.next_row() {
            return Some(read(&table, slot));
        }
    }
    None
}

fn read(table: &Table, slot: &Slot) -> Limits {
    let number = |name| slot.get(table.column(name)).map(|datum| datum.value() as u64);
    let limit = |name, seconds, burst: Option<u64>| {
        number(name).map(|amount| Limit { amount, seconds, burst: burst.unwrap_or(amount) })
    };
    Limits {
        requests: [
            limit(c"requests_per_second", 1, number(c"requests_burst")),
            limit(c"requests_per_minute", 60, None),
        ],
        tokens: limit(c"tokens_per_minute", 60, None),
        dry_run: slot.get(table.column(c"dry_run")).is_some_and(|datum| datum.value() != 0),
    }
}

/// Charges the key for its call. Raises 54000 when that is too much.
pub fn charge_call() -> Result<(), ErrorReport> {
    charge_caller(stats::take_charge().map_or(0, gucs::cost_of), 0)
}

/// Charges the key for the tokens that it has embedded. Raises 54000 when that is too much.
#[pg_extern(sql = false, volatile, strict)]
fn charge_tokens(tokens: i64) -> Result<(), ErrorReport> {
    charge_caller(0, tokens.max(0) as u64)
}

/// Charges the key for a request that is answered without being run. Raises 54000 when that is too much.
#[pg_extern(sql = false, volatile)]
fn charge_repetition() -> Result<(), ErrorReport> {
    charge_caller(1, 0)
}

/// SQL users are not limited.
fn charge_caller(requests: u64, tokens: u64) -> Result<(), ErrorReport> {
    let caller = stats::caller();
    let Some(shared) = stats::shared().filter(|_| requests + tokens > 0 && caller.key != 0) else {
        return Ok(());
    };
    match limits_of(caller.tenant, caller.key) {
        Some(limits) => charge(shared, caller.tenant, caller.key, &limits, requests, tokens),
        None => {
            stats::add(Counter::Tokens, tokens as i64);
            Ok(())
        }
    }
}

/// Charges the key of the call in progress.
#[pg_extern(sql = false, volatile)]
fn rate_charge() -> Result<(), ErrorReport> {
    charge_call()
}

fn charge(
    shared: Shared,
    tenant: i64,
    api_key: i64,
    limits: &Limits,
    requests: u64,
    tokens: u64,
) -> Result<(), ErrorReport> {
    // SAFETY: set for every session that runs SQL; the clock is only read.
    let (database, now) =
        unsafe { (u64::from(pg_sys::MyDatabaseId.to_u32()), pg_sys::GetCurrentTimestamp() as u64 * 1000) };
    let [second, minute] = limits.requests;
    let mut passed: Vec<Charge> = Vec::new();
    let mut state = STATE.take().unwrap_or_else(|| json!({}));
    for (scope, limit, cost) in [(0, second, requests), (1, minute, requests), (2, limits.tokens, tokens)] {
        let Some(limit) = limit.filter(|_| cost > 0) else { continue };
        let kind = if scope == 2 { "tokens" } else { "requests" };
        let bucket = [database, tenant as u64, api_key as u64, scope];
        match shared.bucket(&bucket, now, |state| limit.charge(state, now, cost)) {
            None => {}
            Some(Ok(level)) => {
                show(&mut state, kind, &limit, level);
                passed.push(Charge { bucket, limit, cost });
            }
            Some(Err(refusal)) => {
                for charge in &passed {
                    shared.bucket(&charge.bucket, now, |state| charge.limit.give_back(state, charge.cost));
                }
                if limits.dry_run {
                    stats::add(Counter::WouldLimit, 1);
                    log!(
                        "rate limit of vectorstore in dry run: tenant {tenant}, API key {api_key} is over {} {kind} in {} s",
                        limit.amount,
                        limit.seconds
                    );
                    return Ok(());
                }
                stats::add(Counter::Limited, 1);
                if gucs::track() {
                    stats::count_ever(shared, if scope == 2 { "limit.tokens" } else { "limit.requests" }, 1);
                }
                show(&mut state, kind, &limit, refusal.level);
                return Err(refused(kind, &limit, cost, refusal, &state));
            }
        }
    }
    stats::add(Counter::Tokens, tokens as i64);
    if !limits.dry_run && state.as_object().is_some_and(|state| !state.is_empty()) {
        STATE.set(Some(state));
    }
    Ok(())
}

fn milliseconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000)
}

/// Of two limits of requests, the one that leaves less is shown.
fn show(state: &mut Value, kind: &str, limit: &Limit, level: Level) {
    let shown = &mut state[kind];
    if shown["remaining"].as_u64().is_none_or(|remaining| level.remaining < remaining) {
        *shown = json!({"limit": limit.amount, "remaining": level.remaining, "reset_ms": milliseconds(level.reset)});
    }
}

fn refused(kind: &str, limit: &Limit, cost: u64, refusal: Refusal, state: &Value) -> ErrorReport {
    let period = if limit.seconds == 1 { "second" } else { "minute" };
    let wait = refusal.wait.map(milliseconds);
    let message = match wait {
        Some(wait) => {
            format!("Rate limit reached: {} {kind} per {period}. Please try again in {wait}ms.", limit.amount)
        }
        None => format!(
            "The request is too large: it takes {cost} {kind}, and the limit is {} per {period}.",
            limit.amount
        ),
    };
    let detail = json!({
        "code": "rate_limit_exceeded", "param": null, "type": kind, "retry_after_ms": wait, "rate": state,
    });
    ErrorReport::new(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message, "vectorstore")
        .set_detail(detail.to_string())
}

/// Where the buckets of the call before stand; NULL when nothing limits it.
#[pg_extern(sql = false, volatile)]
fn rate_state() -> Option<JsonB> {
    STATE.take().map(JsonB)
}

/// The same, left where it is.
#[pg_extern(sql = false, stable, parallel_safe)]
fn rate_shown() -> Option<JsonB> {
    state().map(JsonB)
}

/// Raises 55000 when nobody would be limited.
#[pg_extern(sql = false, volatile)]
fn require_preload() -> Result<(), ErrorReport> {
    stats::shared().map(|_| ()).ok_or(Error::NotPreloaded)?;
    Ok(())
}
