//! Tables of the schema `vectorstore`, read through the table access layer: an executor for every row would cost
//! twenty times as much as reading it.
//!
//! Everything is read under the active snapshot, so that a search sees what its statement sees. What is opened here
//! is closed when it is dropped; after an error Postgres itself releases it with the transaction.

use pgrx::pg_sys;
use std::ffi::CStr;

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

/// A table and its primary key, open for reading until the end of the transaction.
pub struct Table {
    heap: pg_sys::Relation,
    key: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
}

impl Table {
    /// Opens a table of the schema and its primary key's index, both by name; `None` when one does not exist.
    pub fn open(name: &CStr, key: &CStr) -> Option<Self> {
        // SAFETY: the names are NUL-terminated; an Oid that the catalogue returned is locked before it is used, and
        // the relations stay open until `drop`. There is an active snapshot in every function call.
        unsafe {
            let schema = pg_sys::get_namespace_oid(c"vectorstore".as_ptr(), true);
            if schema == pg_sys::InvalidOid {
                return None;
            }
            let heap = pg_sys::get_relname_relid(name.as_ptr(), schema);
            let key = pg_sys::get_relname_relid(key.as_ptr(), schema);
            if heap == pg_sys::InvalidOid || key == pg_sys::InvalidOid {
                return None;
            }
            Some(Self {
                heap: pg_sys::table_open(heap, pg_sys::AccessShareLock as i32),
                key: pg_sys::index_open(key, pg_sys::AccessShareLock as i32),
                snapshot: pg_sys::GetActiveSnapshot(),
            })
        }
    }

    /// The table's Oid.
    pub fn oid(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open.
        unsafe { (*self.heap).rd_id }
    }

    /// Number of a column; panics when there is none, which only a damaged catalogue can cause.
    pub fn column(&self, name: &CStr) -> usize {
        // SAFETY: the name is NUL-terminated.
        let number = unsafe { pg_sys::get_attnum(self.oid(), name.as_ptr()) };
        assert!(number > 0, "a column is missing: {name:?}");
        number as usize
    }

    /// A place to read one row of this table into.
    fn slot(&self) -> Slot {
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

    /// Rows whose key begins with the given numbers, in the order of the key.
    pub fn scan_prefix(&self, prefix: &[i64]) -> Scan<'_> {
        let mut scan = self.begin(prefix.len());
        scan.restart(&mut Scan::equal(prefix));
        scan
    }

    fn begin(&self, keys: usize) -> Scan<'_> {
        let slot = self.slot();
        // SAFETY: both relations are open as long as the scan borrows this.
        let scan = unsafe {
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(
                self.heap,
                self.key,
                self.snapshot,
                std::ptr::null_mut(),
                keys as i32,
                0,
            );
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(self.heap, self.key, self.snapshot, keys as i32, 0);
            scan
        };
        Scan { slot, scan, table: std::marker::PhantomData }
    }

    /// A reader of single rows by place.
    pub fn fetch(&self) -> Fetch<'_> {
        // SAFETY: the relation is open for as long as the reader borrows this.
        unsafe {
            let methods = &*(*self.heap).rd_tableam;
            let begin = methods.index_fetch_begin.expect("every table access method has it");
            Fetch {
                slot: self.slot(),
                fetch: guarded(|| begin(self.heap)),
                read: methods.index_fetch_tuple.expect("every table access method has it"),
                end: methods.index_fetch_end.expect("every table access method has it"),
                blocks: pg_sys::RelationGetNumberOfBlocksInFork(self.heap, pg_sys::ForkNumber::MAIN_FORKNUM),
                table: self,
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: both were opened by `open`. The locks stay until the end of the transaction.
            unsafe {
                pg_sys::index_close(self.key, pg_sys::NoLock as i32);
                pg_sys::table_close(self.heap, pg_sys::NoLock as i32);
            }
        }
    }
}

/// One row, whose page stays pinned while it is here.
pub struct Slot(*mut pg_sys::TupleTableSlot);

impl Slot {
    /// Makes the columns 1..=`count` readable by [`Slot::get`].
    pub fn deform(&self, count: usize) {
        // SAFETY: the slot holds a row of a table with at least that many columns.
        unsafe { pg_sys::slot_getsomeattrs_int(self.0, count as i32) }
    }

    /// A column, `None` for NULL; it must have been deformed.
    pub fn get(&self, column: usize) -> Option<pg_sys::Datum> {
        // SAFETY: `deform` filled the arrays up to this column at least, which is checked.
        unsafe {
            let slot = &*self.0;
            assert!(column >= 1 && column <= slot.tts_nvalid as usize, "column {column} was not deformed");
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

    /// The bytes of the row behind its header, as they lie on the page; `None` when a column is NULL, because the
    /// columns then have no fixed place.
    pub fn raw(&self) -> Option<&[u8]> {
        // SAFETY: slots of a heap table hold buffer tuples; the tuple is pinned as long as the slot holds it, which
        // the borrow guarantees.
        unsafe {
            let tuple = &*(*self.0.cast::<pg_sys::BufferHeapTupleTableSlot>()).base.tuple;
            let header = &*tuple.t_data;
            if u32::from(header.t_infomask) & pg_sys::HEAP_HASNULL != 0 {
                return None;
            }
            let length = (tuple.t_len as usize).checked_sub(usize::from(header.t_hoff))?;
            Some(std::slice::from_raw_parts(
                tuple.t_data.cast::<u8>().add(usize::from(header.t_hoff)),
                length,
            ))
        }
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

    /// The next row that the snapshot sees.
    pub fn next_row(&mut self) -> Option<&Slot> {
        // SAFETY: scan and slot belong to the same table.
        let found = unsafe {
            pg_sys::index_getnext_slot(self.scan, pg_sys::ScanDirection::ForwardScanDirection, self.slot.0)
        };
        found.then_some(&self.slot)
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

type Read = unsafe extern "C-unwind" fn(
    *mut pg_sys::IndexFetchTableData,
    pg_sys::ItemPointer,
    pg_sys::Snapshot,
    *mut pg_sys::TupleTableSlot,
    *mut bool,
    *mut bool,
) -> bool;

/// Calls a function of Postgres by pointer as pgrx calls those it knows by name: an error becomes a panic, and does not
/// jump over what Rust has to drop.
fn guarded<T>(call: impl FnOnce() -> T) -> T {
    // SAFETY: the closure calls Postgres alone and leaves nothing behind that an error would leave half-done.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(call) }
}

/// Reads single rows by their place, following rows that were updated in their page.
pub struct Fetch<'t> {
    slot: Slot,
    fetch: *mut pg_sys::IndexFetchTableData,
    read: Read,
    end: unsafe extern "C-unwind" fn(*mut pg_sys::IndexFetchTableData),
    /// The table cannot become shorter while it is locked.
    blocks: u32,
    table: &'t Table,
}

impl Fetch<'_> {
    /// The row at this place that the snapshot sees, if any: it may be another one than was there before.
    pub fn row(&mut self, tid: Tid) -> Option<&Slot> {
        // A remembered place may lie past the end of a table that was rewritten.
        if tid.block >= self.blocks || tid.line == 0 {
            return None;
        }
        let mut tid = pg_sys::ItemPointerData::from(tid);
        let mut again = false;
        // SAFETY: the reader, the snapshot and the slot belong to the open table; the tid is copied.
        let found = unsafe {
            let (read, all_dead) = (self.read, std::ptr::null_mut());
            guarded(|| read(self.fetch, &mut tid, self.table.snapshot, self.slot.0, &mut again, all_dead))
        };
        found.then_some(&self.slot)
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: begun by `Table::fetch`, ended once.
            unsafe { guarded(|| (self.end)(self.fetch)) }
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
