//! What a session remembers of the tables of the schema: their numbers, those of their columns, and where some rows were.
//!
//! Looking them up by name takes longer than reading what a search needs from them. Postgres tells every session when a
//! table or its schema has changed; then all is forgotten.

use crate::table::Tid;
use pgrx::{pg_guard, pg_sys};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CStr;
use std::rc::Rc;

/// Rows of a table whose places are remembered at most.
const SPOTS: usize = 1024;

/// A table and one of its indexes.
pub struct Known {
    names: (&'static CStr, &'static CStr),
    /// The table.
    pub heap: pg_sys::Oid,
    /// The index.
    pub key: pg_sys::Oid,
    columns: RefCell<Vec<(&'static CStr, usize)>>,
    spots: RefCell<HashMap<i64, Spot>>,
}

/// Where a row was: a hint.
#[derive(Clone, Copy)]
pub struct Spot {
    /// The place that the index names.
    pub tid: Tid,
    /// The buffer that had its page, or 0.
    pub recent: pg_sys::Buffer,
}

thread_local! {
    static KNOWN: RefCell<Vec<Rc<Known>>> = const { RefCell::new(Vec::new()) };
    /// How often something was forgotten.
    static FORGOTTEN: Cell<u64> = const { Cell::new(0) };
    static LISTENING: Cell<bool> = const { Cell::new(false) };
}

impl Known {
    /// The table and the index with these names; `None` when one does not exist.
    pub fn of(table: &'static CStr, key: &'static CStr) -> Option<Rc<Self>> {
        let found =
            KNOWN.with_borrow(|known| known.iter().find(|known| known.names == (table, key)).map(Rc::clone));
        found.or_else(|| Self::look_up(table, key))
    }

    fn look_up(table: &'static CStr, key: &'static CStr) -> Option<Rc<Self>> {
        listen();
        let before = FORGOTTEN.get();
        let names = (table, key);
        // SAFETY: catalogue look-ups in a transaction; the names are NUL-terminated.
        let (heap, key) = unsafe {
            let schema = pg_sys::get_namespace_oid(c"vectorstore".as_ptr(), true);
            if schema == pg_sys::InvalidOid {
                return None;
            }
            let of = |name: &CStr| pg_sys::get_relname_relid(name.as_ptr(), schema);
            (of(table), of(key))
        };
        if heap == pg_sys::InvalidOid || key == pg_sys::InvalidOid {
            return None;
        }
        let known =
            Rc::new(Self { names, heap, key, columns: RefCell::default(), spots: RefCell::default() });
        // What changed during the look-up may have been looked up before.
        if FORGOTTEN.get() == before {
            KNOWN.with_borrow_mut(|all| all.push(Rc::clone(&known)));
        }
        Some(known)
    }

    /// Number of a column; panics when there is none, which only a damaged catalogue can cause.
    pub fn column(&self, name: &'static CStr) -> usize {
        let found = self.columns.borrow().iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        found.unwrap_or_else(|| {
            // SAFETY: the name is NUL-terminated.
            let number = unsafe { pg_sys::get_attnum(self.heap, name.as_ptr()) };
            assert!(number > 0, "a column is missing: {name:?}");
            self.columns.borrow_mut().push((name, number as usize));
            number as usize
        })
    }

    /// Where the row with this number was.
    pub fn spot(&self, row: i64) -> Option<Spot> {
        self.spots.borrow().get(&row).copied()
    }

    /// Remembers where the row with this number is.
    pub fn note_spot(&self, row: i64, spot: Spot) {
        let mut spots = self.spots.borrow_mut();
        if spots.len() >= SPOTS {
            spots.clear();
        }
        spots.insert(row, spot);
    }
}

/// Asks Postgres to be told of changes, once a session.
fn listen() {
    if LISTENING.replace(true) {
        return;
    }
    // SAFETY: the callbacks live as long as the process.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::null());
        let schemas = pg_sys::SysCacheIdentifier::NAMESPACEOID as i32;
        pg_sys::CacheRegisterSyscacheCallback(schemas, Some(schema_changed), pg_sys::Datum::null());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    forget(|known| relation == pg_sys::InvalidOid || known.heap == relation || known.key == relation);
}

#[pg_guard]
unsafe extern "C-unwind" fn schema_changed(_arg: pg_sys::Datum, _cache: i32, _hash: u32) {
    forget(|_| true);
}

fn forget(changed: impl Fn(&Known) -> bool) {
    FORGOTTEN.set(FORGOTTEN.get() + 1);
    KNOWN.with_borrow_mut(|known| known.retain(|known| !changed(known)));
}
