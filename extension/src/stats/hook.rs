//! Counting calls. Every `vs_*` and `api_*` function is SECURITY DEFINER, and around those Postgres calls `fmgr_hook`.
//!
//! Only the outermost function counts, so that a search is one call whatever it calls itself. Everything else costs an
//! addition and a comparison.

use super::counters::{Counter, Delta};
use super::shared::{Key, Shared, Table, key, shared};
use crate::{gucs, limits, principal};
use pgrx::pg_catalog::pg_proc::PgProc;
use pgrx::{PgSqlErrorCode, pg_sys};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CStr;
use std::time::Instant;
use vectorstore_core::operation::{Operation, of_function};

/// Number of the language C in the catalogue.
const C_LANGUAGE: u32 = 13;

/// A function of ours.
#[derive(Clone, Copy)]
struct Function {
    operation: Operation<'static>,
    /// Whether it returns one row a call: then only the first call is one.
    row_by_row: bool,
}

/// The call in progress.
#[derive(Clone, Copy)]
struct Call {
    function: Function,
    began: Instant,
    delta: Delta,
}

thread_local! {
    static FUNCTIONS: RefCell<HashMap<pg_sys::Oid, Option<Function>>> = RefCell::new(HashMap::new());
    /// Calls under way, counted from the first one of ours.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    /// The next call is a part of a request that was counted.
    static PART: Cell<bool> = const { Cell::new(false) };
}

static mut BEFORE: pg_sys::fmgr_hook_type = None;

/// Installs the hook.
pub fn install() {
    // SAFETY: called while the server loads libraries, in its one thread.
    unsafe {
        BEFORE = pg_sys::fmgr_hook;
        pg_sys::fmgr_hook = Some(around_call);
    }
}

unsafe extern "C-unwind" fn around_call(
    event: pg_sys::FmgrHookEventType::Type,
    flinfo: *mut pg_sys::FmgrInfo,
    private: *mut pg_sys::Datum,
) {
    // SAFETY: Postgres gives valid arguments, which the hook before this one takes as they are.
    unsafe {
        if let Some(before) = BEFORE {
            before(event, flinfo, private);
        }
        let depth = DEPTH.get();
        if event == pg_sys::FmgrHookEventType::FHET_START {
            if depth > 0 {
                DEPTH.set(depth + 1);
            } else if let Some(function) = identify((*flinfo).fn_oid) {
                DEPTH.set(1);
                begin(function, function.row_by_row && !(*flinfo).fn_extra.is_null());
            }
        } else if depth > 0 {
            DEPTH.set(depth - 1);
            if depth == 1 {
                end(event == pg_sys::FmgrHookEventType::FHET_ABORT);
            }
        }
    }
}

/// The function, if it is one of ours to count.
fn identify(oid: pg_sys::Oid) -> Option<Function> {
    if let Some(known) = FUNCTIONS.with_borrow(|functions| functions.get(&oid).copied()) {
        return known;
    }
    let found = look_up(oid);
    FUNCTIONS.with_borrow_mut(|functions| functions.insert(oid, found));
    found
}

fn look_up(oid: pg_sys::Oid) -> Option<Function> {
    // SAFETY: a catalogue look-up in a transaction; the name is copied.
    let name = unsafe {
        let name = pg_sys::get_func_name(oid);
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name).to_str().ok()?.to_owned()
    };
    if !name.starts_with("vs_") && !name.starts_with("api_") {
        return None;
    }
    // SAFETY: catalogue look-ups, as before.
    let ours = unsafe {
        let ours = pg_sys::get_extension_oid(c"vectorstore".as_ptr(), true);
        ours != pg_sys::InvalidOid && pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, oid) == ours
    };
    // Once a function and session: there are few, and they live as long as the process.
    let name = ours.then(|| Box::leak(name.into_boxed_str()))?;
    let row_by_row =
        PgProc::new(oid).is_some_and(|proc| proc.proretset() && proc.prolang().to_u32() == C_LANGUAGE);
    Some(Function { operation: of_function(name), row_by_row })
}

fn begin(function: Function, goes_on: bool) {
    let part = PART.replace(false);
    if !goes_on {
        limits::forget();
    }
    if goes_on || (!gucs::track() && !function.operation.charges) {
        CALL.set(None);
        return;
    }
    principal::forget();
    let mut function = function;
    if part {
        (function.operation.counts, function.operation.charges) = (false, false);
    }
    CALL.set(Some(Call { function, began: Instant::now(), delta: Delta::default() }));
}

fn end(failed: bool) {
    let (Some(mut call), Some(shared)) = (CALL.take(), shared()) else { return };
    if !gucs::track() {
        return;
    }
    // SAFETY: the error is on its way; only its code is read.
    let code = if failed { unsafe { pg_sys::geterrcode() } } else { 0 };
    // Who lost against another transaction is tried again, and that call is the one to count.
    let races =
        [PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE, PgSqlErrorCode::ERRCODE_T_R_DEADLOCK_DETECTED];
    let lost = races.iter().any(|race| *race as i32 == code);
    if call.function.operation.counts && !lost {
        call.delta.add(Counter::Calls, 1);
        call.delta.add(Counter::Errors, i64::from(failed));
        call.delta.time(1, call.began.elapsed().as_micros() as u64);
    } else if call.delta.0.iter().all(|value| *value == 0) {
        return;
    }
    // A key that is not valid is nobody's, even if it once was somebody's.
    let nobody = failed && code == PgSqlErrorCode::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION as i32;
    let who = if nobody { super::Caller::default() } else { super::caller() };
    count(shared, who, call.function.operation.name, &call.delta);
}

/// Counts in both tables.
pub fn count(shared: Shared, who: super::Caller, operation: &str, delta: &Delta) {
    // SAFETY: set for every session that runs SQL.
    let key = key(unsafe { pg_sys::MyDatabaseId }, who.tenant, who.store, who.key, operation);
    shared.add(Table::Recent, &key, delta);
    shared.add(Table::Ever, &without_owner(&key), delta);
}

/// Counts what only a monitor reads, in the numbers since the server started.
pub fn count_ever(shared: Shared, name: &str, by: i64) {
    let mut delta = Delta::default();
    delta.add(Counter::Calls, by);
    // SAFETY: set for every session that runs SQL.
    let key = key(unsafe { pg_sys::MyDatabaseId }, 0, 0, 0, name);
    shared.add(Table::Ever, &key, &delta);
}

/// The key without tenant, store and API key.
pub fn without_owner(key: &Key) -> Key {
    let mut key = *key;
    key[1..4].fill(0);
    key
}

/// Adds to a counter of the call in progress.
pub fn add(counter: Counter, by: i64) {
    CALL.with_borrow_mut(|call| {
        if let Some(call) = call {
            call.delta.add(counter, by);
        }
    });
}

/// The operation of the call in progress, if that is still to be charged to rate limits: once, however often it asks who
/// calls.
pub fn take_charge() -> Option<&'static str> {
    CALL.with_borrow_mut(|call| {
        let operation = &mut call.as_mut()?.function.operation;
        std::mem::take(&mut operation.charges).then_some(operation.name)
    })
}

/// API key and operation of the call in progress.
pub fn caller() -> (i64, String) {
    let name = CALL.with_borrow(|call| call.as_ref().map(|call| call.function.operation.name));
    (super::caller().key, name.unwrap_or("other").to_owned())
}

/// The next call is a part of a request that was counted already.
pub fn next_is_part() {
    PART.set(true);
}

/// Clears what belongs to a transaction that has ended.
pub fn end_transaction() {
    PART.set(false);
}
