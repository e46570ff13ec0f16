//! The vector leg of a store that asked for HNSW: candidates come from pgvector's index over the store's side table
//! instead of from vector codes.
//!
//! The index names chunks of the whole store. Those that a segment holds are kept if the filter lets them through; the
//! rows of the tail are scored anyway. A search whose filter leaves so few rows that the index would have to be walked
//! far, or that gets too few from it, is answered by codes, which all segments keep: so it is never short.

use crate::error::Error;
use crate::search::view::View;
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use pgrx::{PgRelation, pg_sys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;
use vectorstore_core::segment::Mask;

/// Chunks that the index is asked for at most.
const MOST: usize = 8_000;
/// When fewer than one row in so many matches, codes under a mask are faster than walking past the others (measured: at
/// one in ten three times as fast).
const SPARSE: usize = 4;
/// Range of pgvector's `hnsw.ef_search`.
const EF_SEARCH: std::ops::RangeInclusive<usize> = 40..=1_000;
/// Statements that a session keeps planned.
const STATEMENTS: usize = 256;

/// What the index named.
pub struct Found {
    /// Segments and slots, nearest first.
    pub slots: Vec<(u32, u32)>,
    /// Chunks that were looked at for them.
    pub looked_at: usize,
}

/// The side table of a store, locked against being dropped.
pub struct Index {
    store: i64,
    table: PgRelation,
}

impl Index {
    /// Opens the side table; `None` for a store without HNSW, at the price of a look into the cache of the catalogue.
    pub fn open(store: i64) -> Option<Self> {
        let name = CString::new(format!("hnsw_{store}")).ok()?;
        // SAFETY: the names are NUL-terminated. The table may go between its look-up and its lock, which then gives
        // NULL; otherwise the lock is held to the end of the transaction, and the relation closed when dropped.
        unsafe {
            let schema = pg_sys::get_namespace_oid(c"vectorstore".as_ptr(), true);
            let oid = pg_sys::get_relname_relid(name.as_ptr(), schema);
            if oid == pg_sys::InvalidOid {
                return None;
            }
            let table = pg_sys::try_table_open(oid, pg_sys::AccessShareLock as i32);
            (!table.is_null()).then(|| Self { store, table: PgRelation::from_pg_owned(table) })
        }
    }

    /// At least `want` of the rows nearest to the vector, or all that match if they are fewer; `None` when the index
    /// is the wrong place to ask. `allowed` are the slots that may be returned, by segment, `matching` of them: all
    /// that there are, unless the query is `filtered`.
    pub fn nearest(
        &self,
        vector: &[f32],
        views: &[View],
        allowed: &[Option<Mask>],
        want: usize,
        matching: usize,
        filtered: bool,
    ) -> Result<Option<Found>, Error> {
        let rows: usize = views.iter().map(View::rows).sum();
        // One in so many rows matches: as many more must be looked at, and some for chance and for the tail.
        let limit = (want * rows / matching.max(1)) * 5 / 4 + 40;
        if limit > MOST || matching * SPARSE < rows {
            return Ok(None);
        }
        let ids = self.chunks(vector, limit)?;
        let mut order: HashMap<i64, usize> = ids.iter().zip(0..).map(|(&id, at)| (id, at)).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        let mut slots = Vec::with_capacity(ids.len());
        for ((index, view), mask) in (0..).zip(views).zip(allowed) {
            view.segment().docs.slots_of(&view.pages(), &sorted, |id, slot| {
                if let Some(at) = order.remove(&id)
                    && mask.as_ref().is_none_or(|mask| mask.contains(slot))
                {
                    slots.push((at, (index, slot)));
                }
            })?;
        }
        // What is left is in the tail. Without a filter it took the places of rows that are farther away.
        let found = slots.len() + if filtered { 0 } else { order.len() };
        if found < want.min(matching) {
            return Ok(None);
        }
        slots.sort_unstable();
        slots.truncate(want);
        let slots = slots.into_iter().map(|(_, slot)| slot).collect();
        Ok(Some(Found { slots, looked_at: ids.len() }))
    }

    /// Numbers of the chunks nearest to the vector, nearest first.
    fn chunks(&self, vector: &[f32], limit: usize) -> Result<Vec<i64>, Error> {
        let settings = Settings::begin();
        let ef_search = limit.clamp(*EF_SEARCH.start(), *EF_SEARCH.end());
        settings.set(c"hnsw.ef_search", &ef_search.to_string());
        // Goes on when what was found first is not enough; the order does not matter, all are ranked exactly.
        settings.set(c"hnsw.iterative_scan", "relaxed_order");
        // The statement is there for the index: whatever the planner thinks of small tables.
        settings.set(c"enable_sort", "off");
        Spi::connect(|client| {
            let statement = self.statement(client)?;
            let arguments = [vector.to_vec().into(), (limit as i64).into()];
            let rows = client.select(&*statement, None, &arguments)?;
            let mut ids = Vec::with_capacity(rows.len());
            for row in rows {
                ids.extend(row.get::<i64>(1)?);
            }
            Ok(ids)
        })
    }

    /// The statement that asks the index, planned once a session; a table that was made anew has one of its own.
    fn statement(&self, client: &spi::SpiClient) -> Result<Rc<OwnedPreparedStatement>, Error> {
        thread_local! {
            static KNOWN: RefCell<HashMap<pg_sys::Oid, Rc<OwnedPreparedStatement>>> = RefCell::default();
        }
        let key = self.table.oid();
        if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
            return Ok(known);
        }
        let text: String = client
            .select("SELECT vectorstore._hnsw_query($1)", Some(1), &[self.store.into()])?
            .first()
            .get(1)?
            .ok_or(Error::NotInstalled)?;
        let fresh = Rc::new(client.prepare(text.as_str(), &pgrx::oids_of![Vec<f32>, i64])?.keep());
        KNOWN.with_borrow_mut(|known| {
            if known.len() >= STATEMENTS {
                known.clear();
            }
            known.insert(key, Rc::clone(&fresh));
        });
        Ok(fresh)
    }
}

/// Settings that hold until this is dropped; after an error Postgres itself takes them back.
struct Settings(i32);

impl Settings {
    fn begin() -> Self {
        // SAFETY: every function call runs in a transaction.
        Self(unsafe { pg_sys::NewGUCNestLevel() })
    }

    /// A setting that this version of pgvector does not know, or does not let through, is left as it is.
    fn set(&self, name: &CStr, value: &str) {
        let Ok(value) = CString::new(value) else { return };
        // SAFETY: both texts are NUL-terminated and copied.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                pg_sys::DEBUG1 as i32,
                false,
            );
        }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the level was begun by `begin` and no other is open above it.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) }
        }
    }
}
