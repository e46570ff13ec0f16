//! Dropped databases: what was counted of them leaves the shared memory, which has room for so many operations only.

use super::shared::shared;
use pgrx::pg_sys;

static mut BEFORE: pg_sys::object_access_hook_type = None;

/// Installs the hook.
pub fn install() {
    // SAFETY: called while the server loads libraries, in its one thread.
    unsafe {
        BEFORE = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(on_access);
    }
}

unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: i32,
    details: *mut std::ffi::c_void,
) {
    // SAFETY: the hook before this one takes the arguments as they are.
    unsafe {
        if let Some(before) = BEFORE {
            before(access, class, object, part, details);
        }
    }
    // By now nobody is connected to it, and nothing but a crash keeps it.
    if access == pg_sys::ObjectAccessType::OAT_DROP
        && class == pg_sys::DatabaseRelationId
        && let Some(shared) = shared()
    {
        shared.tidy(&[object.to_u32()]);
    }
}
