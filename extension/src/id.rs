//! Public ids.

use pgrx::pg_sys;
use pgrx::prelude::*;
use vectorstore_core::id;

/// `N` bytes from Postgres' strong random source.
pub fn strong_random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    // SAFETY: the pointer and the length describe `bytes`.
    let filled = unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), N) };
    assert!(filled, "no strong random numbers on this machine");
    bytes
}

/// A fresh id of the row `number`.
#[pg_extern(sql = false, volatile, parallel_safe, strict)]
fn new_id(prefix: &str, number: i64) -> String {
    id::encode(prefix, number, &strong_random())
}

/// The row number inside an id; NULL when the id has another form.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn id_number(prefix: &str, id: &str) -> Option<i64> {
    id::decode(prefix, id)
}

/// A fresh id without a row number.
#[pg_extern(sql = false, volatile, parallel_safe, strict)]
fn random_id(prefix: &str) -> String {
    format!("{prefix}{}", id::base32(&strong_random::<15>()))
}
