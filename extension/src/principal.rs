//! Who calls: the tenant, the rights, and what they are narrowed to.
//!
//! It is kept in the memory of the session, never in a setting, because any role may set those; and it is forgotten when
//! the transaction ends. Every entry of the API sets it anew: `api_*` from an API key, `vs_*` from the database role.

use crate::error::Error;
use crate::known::Known;
use crate::rows::Plain;
use crate::table::Table;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, pg_guard};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use subtle::ConstantTimeEq;

/// What somebody may do; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look things up.
    Read,
    /// Change stores and files.
    Write,
    /// Manage the tenant: its keys, limits and statistics.
    Admin,
    /// Manage all tenants.
    Operator,
}

impl Access {
    const NAMES: [(&str, Self); 4] =
        [("read", Self::Read), ("write", Self::Write), ("admin", Self::Admin), ("operator", Self::Operator)];

    fn of(name: &str) -> Result<Self, Error> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, access)| *access).ok_or_else(|| Error::Invalid {
            message: format!("Unknown access '{name}'. Expected read, write, admin or operator."),
            code: "invalid_value",
            param: "access",
        })
    }
}

/// Somebody who calls.
pub struct Principal {
    /// Number of the tenant.
    pub tenant: i64,
    /// Number of the API key; 0 for a SQL user.
    pub key: i64,
    access: Access,
    stores: Option<Vec<i64>>,
    filter: Option<serde_json::Value>,
}

thread_local! {
    static CURRENT: RefCell<Option<Principal>> = const { RefCell::new(None) };
    static STORE: Cell<i64> = const { Cell::new(0) };
    /// Whether this session is told of the ends of transactions.
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    /// The tenant that a database role has chosen for the session.
    static CHOSEN: Cell<Option<(pg_sys::Oid, i64)>> = const { Cell::new(None) };
}

/// Tenant and API key of whoever called last in this transaction; zeros for nobody.
pub fn who() -> (i64, i64) {
    CURRENT.with_borrow(|principal| {
        principal.as_ref().map_or((0, 0), |principal| (principal.tenant, principal.key))
    })
}

/// Number of the store that the call is about, as soon as that is known; 0 before.
pub fn store() -> i64 {
    STORE.get()
}

/// Says which store the call is about.
pub fn note_store(store: i64) {
    STORE.set(store);
}

fn enter(principal: Principal) {
    if !LISTENING.replace(true) {
        // SAFETY: the callback lives as long as the process.
        unsafe { pg_sys::RegisterXactCallback(Some(transaction_ended), std::ptr::null_mut()) };
    }
    STORE.set(0);
    CURRENT.set(Some(principal));
}

#[pg_guard]
unsafe extern "C-unwind" fn transaction_ended(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if [XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE].contains(&event) {
        forget();
    }
}

/// Forgets who called.
pub fn forget() {
    CURRENT.set(None);
    STORE.set(0);
}

/// Makes the owner of an API key the caller, if the key is the one that was asked for. The index has found it already;
/// this compares in constant time.
#[pg_extern(sql = false)]
fn enter_key(
    known: &[u8],
    given: &[u8],
    tenant: i64,
    key: i64,
    role: &str,
    stores: Option<Vec<i64>>,
    filter: Option<JsonB>,
) -> Result<bool, ErrorReport> {
    if !bool::from(known.ct_eq(given)) {
        return Ok(false);
    }
    let filter = filter.map(|filter| filter.0);
    enter(Principal { tenant, key, access: Access::of(role)?, stores, filter });
    Ok(true)
}

/// Tenant of the SQL user, who becomes the caller; NULL before `vs_install()`.
#[pg_extern(sql = false, stable)]
fn current_tenant() -> Result<Option<i64>, ErrorReport> {
    Ok(enter_user()?)
}

/// Makes the SQL user the caller and returns the tenant; `None` when there are no tables yet.
///
/// The user is the role that is set outside of all SECURITY DEFINER functions.
pub fn enter_user() -> Result<Option<i64>, Error> {
    // SAFETY: only reads a variable of the session.
    let user = unsafe { pg_sys::GetOuterUserId() };
    if Known::of(c"tenants", c"tenants_id_key").is_none() {
        return Ok(None);
    }
    let granted = grants(user)?;
    let chosen = CHOSEN.get().filter(|(chooser, _)| *chooser == user).map(|(_, tenant)| tenant);
    let found = match (chosen, &granted[..]) {
        (Some(chosen), granted) if granted.iter().any(|(tenant, _)| *tenant == chosen) => {
            granted.iter().find(|(tenant, _)| *tenant == chosen).copied()
        }
        (Some(chosen), _) if manages_all(user) => Some((chosen, Access::Operator)),
        (_, []) if manages_all(user) => default_tenant()?.map(|tenant| (tenant, Access::Operator)),
        (_, [one]) => Some(*one),
        (_, []) => None,
        _ => return Err(Error::SeveralTenants),
    };
    let (tenant, access) = found.ok_or(Error::NoTenant)?;
    enter(Principal { tenant, key: 0, access, stores: None, filter: None });
    Ok(Some(tenant))
}

/// The tenant that is there from the start.
fn default_tenant() -> Result<Option<i64>, Error> {
    const ID: &str = "default";
    let tenants = Table::open(c"tenants", c"tenants_id_key").ok_or(Error::NotInstalled)?;
    let (id, tenant) = (tenants.column(c"id"), tenants.column(c"tenant_id"));
    Ok(tenants.only(
        0,
        |slot| Plain::new(slot.get(id)).text() == Some(ID),
        |tenants| tenants.scan_text(&[], ID),
        |slot| slot.bigint(tenant),
    ))
}

/// Whether a role manages every tenant: superusers and members of `vectorstore_admin`.
fn manages_all(user: pg_sys::Oid) -> bool {
    // SAFETY: these look the roles up in the catalogue; the name is NUL-terminated, a missing role gives InvalidOid.
    unsafe {
        pg_sys::superuser_arg(user) || {
            let admin = pg_sys::get_role_oid(c"vectorstore_admin".as_ptr(), true);
            admin != pg_sys::InvalidOid && pg_sys::has_privs_of_role(user, admin)
        }
    }
}

/// Tenants granted to a role: its own, or if it has none those of the roles that it is a member of.
fn grants(user: pg_sys::Oid) -> Result<Vec<(i64, Access)>, Error> {
    // Without it the tables are those of an older version.
    let roles = Table::open(c"tenant_roles", c"tenant_roles_role").ok_or(Error::NotInstalled)?;
    // Nobody was granted anything.
    if roles.is_empty() {
        return Ok(Vec::new());
    }
    let columns = (roles.column(c"role"), roles.column(c"tenant_id"), roles.column(c"access"));
    // SAFETY: returns a copy of the role's name, or null when the role is gone.
    let name = unsafe { pg_sys::GetUserNameFromId(user, true) };
    if name.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: a NUL-terminated string that lives as long as the memory context of the call.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default();
    let text = |slot: &crate::table::Slot, column| Plain::new(slot.get(column)).text().map(str::to_owned);
    let mut found = Vec::new();
    let mut scan = roles.scan_text(&[], name);
    while let Some(slot) = scan.next_row() {
        found.push((slot.bigint(columns.1), Access::of(&text(slot, columns.2).unwrap_or_default())?));
    }
    // Those who manage all tenants have the rights of every role.
    if !found.is_empty() || manages_all(user) {
        return Ok(found);
    }
    let mut scan = roles.scan_prefix(&[]);
    while let Some(slot) = scan.next_row() {
        let group = text(slot, columns.0).and_then(|group| CString::new(group).ok());
        // SAFETY: a NUL-terminated name; a missing role gives InvalidOid.
        let member = group.is_some_and(|group| unsafe {
            let group = pg_sys::get_role_oid(group.as_ptr(), true);
            group != pg_sys::InvalidOid && pg_sys::has_privs_of_role(user, group)
        });
        if member {
            let (tenant, access) =
                (slot.bigint(columns.1), Access::of(&text(slot, columns.2).unwrap_or_default())?);
            // Of several roles with one tenant, the strongest counts.
            match found.iter_mut().find(|(known, _)| *known == tenant) {
                Some((_, known)) => *known = access.max(*known),
                None => found.push((tenant, access)),
            }
        }
    }
    Ok(found)
}

/// Remembers for the session which tenant the SQL user wants; a tenant that is not the user's is refused by the next call.
#[pg_extern(sql = false)]
fn choose_tenant(tenant: Option<i64>) {
    // SAFETY: only reads a variable of the session.
    let user = unsafe { pg_sys::GetOuterUserId() };
    CHOSEN.set(tenant.map(|tenant| (user, tenant)));
}

/// Raises 42501 when the caller may not do that much.
#[pg_extern(sql = false)]
fn require_access(access: &str) -> Result<(), ErrorReport> {
    let needed = Access::of(access)?;
    let has = CURRENT.with_borrow(|principal| principal.as_ref().map(|principal| principal.access));
    if has.is_some_and(|has| has >= needed) { Ok(()) } else { Err(Error::Forbidden.into()) }
}

/// Whether the caller may do that much.
#[pg_extern(sql = false)]
fn has_access(access: &str) -> Result<bool, ErrorReport> {
    let needed = Access::of(access)?;
    Ok(CURRENT
        .with_borrow(|principal| principal.as_ref().is_some_and(|principal| principal.access >= needed)))
}

/// Whether the caller may see a store of the tenant; if so, the call is about it.
#[pg_extern(sql = false)]
fn enter_store(store: i64) -> bool {
    let inside = CURRENT.with_borrow(|principal| {
        principal
            .as_ref()
            .is_some_and(|principal| principal.stores.as_ref().is_none_or(|stores| stores.contains(&store)))
    });
    if inside {
        note_store(store);
    }
    inside
}

/// Numbers of the stores that the caller is narrowed to; NULL for all.
#[pg_extern(sql = false)]
fn scope() -> Option<Vec<i64>> {
    CURRENT.with_borrow(|principal| principal.as_ref().and_then(|principal| principal.stores.clone()))
}

/// The filter that every chunk must pass which the caller sees; NULL for none.
#[pg_extern(sql = false)]
fn mandatory_filter() -> Option<JsonB> {
    CURRENT
        .with_borrow(|principal| principal.as_ref().and_then(|principal| principal.filter.clone()).map(JsonB))
}

/// Number of the caller's API key; 0 for a SQL user.
#[pg_extern(sql = false)]
fn caller_key() -> i64 {
    CURRENT.with_borrow(|principal| principal.as_ref().map_or(0, |principal| principal.key))
}

/// Name of the database role in effect outside of SECURITY DEFINER functions.
#[pg_extern(sql = false, stable)]
fn outer_role() -> String {
    // SAFETY: the session has a user; the name is a NUL-terminated copy. A role that is gone gives null.
    unsafe {
        let name = pg_sys::GetUserNameFromId(pg_sys::GetOuterUserId(), true);
        if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}
