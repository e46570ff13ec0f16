//! What the SQL of quotas cannot ask.

use crate::error::Error;
use crate::table::Table;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Whether a tenant has quotas by now, though the snapshot of the transaction may be older.
#[pg_extern(sql = false)]
fn is_limited(tenant: i64) -> Result<bool, pg_sys::panic::ErrorReport> {
    // SAFETY: a function is called in a transaction, where the latest snapshot can be taken; it is popped below, and an
    // error pops it with the transaction.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let found = {
        let quotas = Table::open(c"tenant_quotas", c"tenant_quotas_pkey").ok_or(Error::NotInstalled)?;
        quotas.scan_prefix(&[tenant]).next_row().is_some()
    };
    // SAFETY: pushed above; nothing refers to it any more.
    unsafe { pg_sys::PopActiveSnapshot() };
    Ok(found)
}
