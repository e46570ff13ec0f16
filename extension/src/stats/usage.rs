//! What a transaction did to the texts of stores: noted by triggers, counted when the transaction commits, and forgotten
//! when it, or the part of it that did it, is rolled back.

use super::counters::{Counter, Delta};
use super::hook;
use super::shared::{Key, Table, key, shared};
use crate::gucs;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;

/// Something that waits for the end of a transaction.
struct Noted {
    /// Nesting of the transaction that it belongs to.
    level: i32,
    key: Key,
    delta: Delta,
    /// Whether it was taken out of shared memory, to which it returns unless the transaction commits; the others come
    /// there if it does.
    taken: bool,
}

thread_local! {
    static NOTED: RefCell<Vec<Noted>> = const { RefCell::new(Vec::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Whether the transaction flushes.
    static FLUSHES: Cell<bool> = const { Cell::new(false) };
}

fn register() {
    if !REGISTERED.replace(true) {
        // SAFETY: registered once for the life of the process; both functions have the signatures asked for.
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_end), null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_end_of_part), null_mut());
        }
    }
}

/// Notes that the transaction flushes.
pub fn note_flush() {
    register();
    FLUSHES.set(true);
}

/// Notes something for the end of the transaction.
pub fn note(key: Key, delta: Delta, taken: bool) {
    register();
    // SAFETY: only reads the state of the transaction.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    NOTED.with_borrow_mut(|noted| {
        let same = |old: &&mut Noted| !taken && !old.taken && old.level == level && old.key == key;
        match noted.last_mut().filter(same) {
            Some(old) => {
                old.delta.0.iter_mut().zip(delta.0).for_each(|(sum, by)| *sum = sum.wrapping_add(by))
            }
            None => noted.push(Noted { level, key, delta, taken }),
        }
    });
}

fn count(noted: &Noted) {
    if let Some(shared) = shared() {
        shared.add(Table::Recent, &noted.key, &noted.delta);
        if !noted.taken {
            shared.add(Table::Ever, &hook::without_owner(&noted.key), &noted.delta);
        }
    }
}

// Nothing here raises an error: after a commit that would take the server down.
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _: *mut core::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    let committed = match event {
        // Of a prepared transaction nobody knows how it will end; counting it is the better guess.
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => true,
        XACT_EVENT_ABORT => false,
        _ => return,
    };
    NOTED.take().iter().filter(|noted| noted.taken != committed).for_each(count);
    if let Some(shared) = shared().filter(|_| FLUSHES.replace(false) && committed) {
        // SAFETY: only reads the clock.
        shared.flushed_at().store(unsafe { pg_sys::GetCurrentTimestamp() }, Relaxed);
    }
    hook::end_transaction();
}

unsafe extern "C-unwind" fn at_end_of_part(
    event: pg_sys::SubXactEvent::Type,
    _: pg_sys::SubTransactionId,
    _: pg_sys::SubTransactionId,
    _: *mut core::ffi::c_void,
) {
    use pg_sys::SubXactEvent::{SUBXACT_EVENT_ABORT_SUB, SUBXACT_EVENT_COMMIT_SUB};
    // SAFETY: only reads the state of the transaction, which is still the one that ends.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    NOTED.with_borrow_mut(|noted| match event {
        SUBXACT_EVENT_COMMIT_SUB => {
            noted.iter_mut().filter(|noted| noted.level >= level).for_each(|noted| noted.level = level - 1);
        }
        SUBXACT_EVENT_ABORT_SUB => {
            noted.iter().filter(|noted| noted.level >= level && noted.taken).for_each(count);
            noted.retain(|noted| noted.level < level);
        }
        _ => {}
    });
}

/// Notes that a statement brought so many texts to a store, or took them from it, and by how much its bytes grew.
#[pg_extern(sql = false, volatile, strict)]
fn note_usage(tenant_id: i64, store_id: i64, texts: i64, bytes: i64) {
    if shared().is_none() || !gucs::track() {
        return;
    }
    let mut delta = Delta::default();
    delta.add(if texts > 0 { Counter::Created } else { Counter::Deleted }, texts.abs());
    delta.add(Counter::Bytes, bytes);
    let (api_key, operation) = hook::caller();
    // SAFETY: set for every session that runs SQL.
    let database = unsafe { pg_sys::MyDatabaseId };
    note(key(database, tenant_id, store_id, api_key, &operation), delta, false);
}
