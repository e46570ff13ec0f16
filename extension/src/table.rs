//! Tables of the schema `vectorstore`, read through the table access layer: an executor for every row would cost
//! twenty times as much as reading it.
//!
//! Everything is read under the active snapshot, so that a search sees what its statement sees. What is opened here
//! is closed when it is dropped; after an error Postgres itself releases it with the transaction.

use crate::fetch::Fetch;
use crate::known::{Known, Spot};
use pgrx::{IntoDatum, pg_sys};
use std::cell::Cell;
use std::ffi::CStr;
use std::rc::Rc;

/// Where a row lies: block and line. A hint: rows move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tid {
    /// Block of the table.
    pub block: u32,
    /// Line of the block.
    pub line: u16,
}

impl From<pg_sys::ItemPointerData> for Tid {
    fn from(tid: pg_sys::ItemPointerData) -> Self {
        Self {
            block: u32::from(tid.ip_blkid.bi_hi) << 16 | u32::from(tid.ip_blkid.bi_lo),
            line: tid.ip_posid,
        }
    }
}

impl From<Tid> for pg_sys::ItemPointerData {
    fn from(tid: Tid) -> Self {
        let block = pg_sys::BlockIdData { bi_hi: (tid.block >> 16) as u16, bi_lo: tid.block as u16 };
        Self { ip_blkid: block, ip_posid: tid.line }
    }
}

/// A table and one of its indexes, mostly the primary key, open for reading until the end of the transaction.
pub struct Table {
    pub(crate) heap: pg_sys::Relation,
    /// Null until it is needed.
    index: Cell<pg_sys::Relation>,
    pub(crate) snapshot: pg_sys::Snapshot,
    known: Rc<Known>,
}

impl Table {
    /// Opens a table of the schema and an index of it, both by name; `None` when one does not exist.
    pub fn open(name: &'static CStr, key: &'static CStr) -> Option<Self> {
        let known = Known::of(name, key)?;
        // SAFETY: an Oid that the catalogue returned is locked before it is used, and the relation stays open until
        // `drop`. There is an active snapshot in every function call.
        unsafe {
            Some(Self {
                heap: pg_sys::table_open(known.heap, pg_sys::AccessShareLock as i32),
                index: Cell::new(std::ptr::null_mut()),
                snapshot: pg_sys::GetActiveSnapshot(),
                known,
            })
        }
    }

    /// The table's Oid.
    pub fn oid(&self) -> pg_sys::Oid {
        self.known.heap
    }

    /// Number of a column; panics when there is none, which only a damaged catalogue can cause.
    pub fn column(&self, name: &'static CStr) -> usize {
        self.known.column(name)
    }

    /// Whether the table has no page, and so no row.
    pub fn is_empty(&self) -> bool {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.heap, pg_sys::ForkNumber::MAIN_FORKNUM) == 0 }
    }

    /// The index.
    fn key(&self) -> pg_sys::Relation {
        if self.index.get().is_null() {
            // SAFETY: as for the table.
            self.index.set(unsafe { pg_sys::index_open(self.known.key, pg_sys::AccessShareLock as i32) });
        }
        self.index.get()
    }

    /// What `read` makes of the only row that `is_it` is true of: looked for where the row of this number was seen last,
    /// and if it is not there, by `scan`.
    pub fn only<'t, T>(
        &'t self,
        number: i64,
        is_it: impl Fn(&Slot) -> bool,
        scan: impl FnOnce(&'t Self) -> Scan<'t>,
        read: impl FnOnce(&Slot) -> T,
    ) -> Option<T> {
        if let Some(Spot { tid, mut recent }) = self.known.spot(number) {
            let before = recent;
            let mut fetch = Fetch::new(self);
            if let Some(slot) = fetch.row(tid, &mut recent).filter(|slot| is_it(slot)) {
                if recent != before {
                    self.known.note_spot(number, Spot { tid, recent });
                }
                return Some(read(slot));
            }
        }
        let mut scan = scan(self);
        while let Some((tid, slot)) = scan.next_place() {
            if is_it(slot) {
                self.known.note_spot(number, Spot { tid, recent: 0 });
                return Some(read(slot));
            }
        }
        None
    }

    /// A place to read one row of this table into.
    pub(crate) fn slot(&self) -> Slot {
        // SAFETY: the relation is open; the slot is dropped before or with the memory context it is made in.
        Slot(unsafe { pg_sys::table_slot_create(self.heap, std::ptr::null_mut()) })
    }

    /// Rows whose key begins with the given numbers and whose next column is from `from` to `to`, in the order of
    /// the key.
    pub fn scan(&self, prefix: &[i64], from: i64, to: i64) -> Scan<'_> {
        let mut scan = self.begin(prefix.len() + 2);
        scan.range(prefix, from, to);
        scan
    }

    /// Entries of a key of two numbers: those with this first number whose second is from `from` to `to`.
    pub fn entries(&self, first: i64, from: i64, to: i64) -> Entries<'_> {
        let mut scan = self.begin(3);
        // SAFETY: the scan is open; this has to be said before it starts.
        unsafe { (*scan.scan).xs_want_itup = true };
        scan.range(&[first], from, to);
        Entries(scan)
    }

    /// Rows whose key begins with the given numbers, in the order of the key.
    pub fn scan_prefix(&self, prefix: &[i64]) -> Scan<'_> {
        let mut scan = self.begin(prefix.len());
        scan.restart(&mut Scan::equal(prefix));
        scan
    }

    /// Rows whose key begins with the given numbers and then this text.
    pub fn scan_text(&self, prefix: &[i64], text: &str) -> Scan<'_> {
        let mut keys = Scan::equal(prefix);
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: the key is a valid place; the index has this column, which is text with a collation of its own.
        unsafe {
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                prefix.len() as i16 + 1,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::InvalidOid,
                *(*self.key()).rd_indcollation.add(prefix.len()),
                pg_sys::F_TEXTEQ.into(),
                text.into_datum().expect("a text is a datum"),
            );
        }
        keys.push(key);
        let mut scan = self.begin(keys.len());
        scan.restart(&mut keys);
        scan
    }

    fn begin(&self, keys: usize) -> Scan<'_> {
        let (slot, key) = (self.slot(), self.key());
        // SAFETY: both relations are open as long as the scan borrows this.
        let scan = unsafe {
            #[cfg(feature = "pg18")]
            let scan =
                pg_sys::index_beginscan(self.heap, key, self.snapshot, std::ptr::null_mut(), keys as i32, 0);
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(self.heap, key, self.snapshot, keys as i32, 0);
            scan
        };
        Scan { slot, scan, table: std::marker::PhantomData }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: they are open. The locks stay until the end of the transaction.
            unsafe {
                if !self.index.get().is_null() {
                    pg_sys::index_close(self.index.get(), pg_sys::NoLock as i32);
                }
                pg_sys::table_close(self.heap, pg_sys::NoLock as i32);
            }
        }
    }
}

/// One row, whose page stays pinned while it is here.
pub struct Slot(pub(crate) *mut pg_sys::TupleTableSlot);

impl Slot {
    /// A column, counted from 1; `None` for NULL.
    pub fn get(&self, column: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the slot holds a row of a table that has this column; columns up to it are found first, unless they
        // were already.
        unsafe {
            if column > usize::try_from((*self.0).tts_nvalid).unwrap_or(0) {
                pg_sys::slot_getsomeattrs_int(self.0, column as i32);
            }
            let slot = &*self.0;
            (!*slot.tts_isnull.add(column - 1)).then(|| *slot.tts_values.add(column - 1))
        }
    }

    /// A bigint column that is never NULL.
    pub fn bigint(&self, column: usize) -> i64 {
        self.get(column).map_or(0, |datum| datum.value() as i64)
    }

    /// Where the row lies.
    pub fn tid(&self) -> Tid {
        // SAFETY: the slot is valid.
        unsafe { (*self.0).tts_tid }.into()
    }

    /// Where a heap's row is described.
    pub(crate) fn tuple(&mut self) -> &mut pg_sys::HeapTupleData {
        // SAFETY: slots of a heap table are of this type.
        unsafe { &mut (*self.0.cast::<pg_sys::BufferHeapTupleTableSlot>()).base.tupdata }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: made by `table_slot_create` and dropped once; this unpins its page.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.0) }
        }
    }
}

/// A walk over a range of the primary key; can be set to other ranges.
pub struct Scan<'t> {
    slot: Slot,
    scan: pg_sys::IndexScanDesc,
    table: std::marker::PhantomData<&'t Table>,
}

impl Scan<'_> {
    /// Starts again with another range of the same number of columns.
    pub fn range(&mut self, prefix: &[i64], from: i64, to: i64) {
        let column = prefix.len() + 1;
        let mut keys = Self::equal(prefix);
        keys.push(key(column, pg_sys::BTGreaterEqualStrategyNumber, pg_sys::F_INT8GE, from));
        keys.push(key(column, pg_sys::BTLessEqualStrategyNumber, pg_sys::F_INT8LE, to));
        self.restart(&mut keys);
    }

    fn equal(prefix: &[i64]) -> Vec<pg_sys::ScanKeyData> {
        let equal = |(at, &value)| key(at + 1, pg_sys::BTEqualStrategyNumber, pg_sys::F_INT8EQ, value);
        prefix.iter().enumerate().map(equal).collect()
    }

    fn restart(&mut self, keys: &mut [pg_sys::ScanKeyData]) {
        // SAFETY: the scan was begun with this number of keys; Postgres copies them.
        unsafe {
            pg_sys::index_rescan(self.scan, keys.as_mut_ptr(), keys.len() as i32, std::ptr::null_mut(), 0);
        }
    }

    /// The next row that the snapshot sees, and the place that the index names for it: the row may have moved on from
    /// there within its page.
    fn next_place(&mut self) -> Option<(Tid, &Slot)> {
        loop {
            // SAFETY: scan and slot belong to the same table; the place is copied before it is followed.
            unsafe {
                let tid = pg_sys::index_getnext_tid(self.scan, pg_sys::ScanDirection::ForwardScanDirection);
                if tid.is_null() {
                    return None;
                }
                let tid = Tid::from(*tid);
                if pg_sys::index_fetch_heap(self.scan, self.slot.0) {
                    return Some((tid, &self.slot));
                }
            }
        }
    }

    /// The next row that the snapshot sees.
    pub fn next_row(&mut self) -> Option<&Slot> {
        // SAFETY: scan and slot belong to the same table.
        let found = unsafe {
            pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, self.slot.0)
        };
        found.then_some(&self.slot)
    }
}

/// Entries of a key, each with the place of a row, of which it is not known whether the snapshot sees it.
pub struct Entries<'t>(Scan<'t>);

impl Iterator for Entries<'_> {
    /// The key's second number, and the place.
    type Item = (i64, Tid);

    fn next(&mut self) -> Option<(i64, Tid)> {
        /// Header of an entry, and the first number.
        const BEFORE: usize = 8 + 8;
        let scan = self.0.scan;
        // SAFETY: the scan was begun for the entries themselves; both columns are bigint and never NULL, so they stand
        // at fixed places behind the header. The entry is valid until the next call.
        unsafe {
            let tid = pg_sys::index_getnext_tid(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tid.is_null() {
                return None;
            }
            let number = (*scan).xs_itup.cast::<u8>().add(BEFORE).cast::<i64>().read_unaligned();
            Some((number, (*tid).into()))
        }
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun by `begin`, ended once.
            unsafe { pg_sys::index_endscan(self.scan) }
        }
    }
}

/// A condition on a bigint column of an index.
fn key(column: usize, strategy: u32, function: u32, value: i64) -> pg_sys::ScanKeyData {
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: the key is a valid place; the function compares bigint, as the column is.
    unsafe { pg_sys::ScanKeyInit(&mut key, column as i16, strategy as u16, function.into(), value.into()) };
    key
}
