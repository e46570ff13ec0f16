//! Single rows of a table by their place.

use crate::table::{Slot, Table, Tid};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ops::Range;

/// Reads single rows by their place, following rows that were updated in their page.
///
/// A search reads hundreds of rows by place. The table access method would look each page up in the hash table of all
/// buffers, in memory that no cache holds; a buffer that had the page before is asked first here.
pub struct Fetch<'t> {
    /// Made when it is needed.
    slot: Option<Slot>,
    /// Pinned, with this block; 0 for none.
    buffer: pg_sys::Buffer,
    block: u32,
    /// Number of the table's blocks when it was looked up first; it cannot become shorter while it is locked.
    blocks: Option<u32>,
    table: &'t Table,
}

impl<'t> Fetch<'t> {
    /// A reader of rows of a table.
    pub fn new(table: &'t Table) -> Self {
        // SAFETY: the relation is open for as long as the reader borrows the table.
        let method = unsafe { (*(*table.heap).rd_rel).relam };
        if method != pg_sys::HEAP_TABLE_AM_OID {
            ereport!(
                ERROR,
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "The tables of vectorstore must have the access method heap."
            );
        }
        Self { slot: None, buffer: 0, block: 0, blocks: None, table }
    }

    /// The row at this place that the snapshot sees, if any: it may be another one than was there before.
    /// `recent` is the buffer that had its page before, or 0; afterwards it is the one that has it now.
    pub fn row(&mut self, tid: Tid, recent: &mut pg_sys::Buffer) -> Option<&Slot> {
        let table = self.table;
        let tuple = std::ptr::from_mut(self.slot.get_or_insert_with(|| table.slot()).tuple());
        self.find(tid, recent, tuple)?;
        let slot = self.slot.as_ref()?;
        // SAFETY: the tuple is the slot's own and lies in the pinned buffer; the slot takes a pin for itself.
        unsafe { pg_sys::ExecStoreBufferHeapTuple(tuple, slot.0, self.buffer) };
        Some(slot)
    }

    /// The same, but only the bytes of the row behind its header; `None` when a column is NULL, because the columns
    /// then have no fixed place.
    pub fn bytes(&mut self, tid: Tid, recent: &mut pg_sys::Buffer) -> Option<&[u8]> {
        let mut tuple = pg_sys::HeapTupleData::default();
        self.find(tid, recent, &mut tuple)?;
        // SAFETY: the tuple lies in the buffer, which stays pinned until the next row is read.
        unsafe {
            let header = &*tuple.t_data;
            if u32::from(header.t_infomask) & pg_sys::HEAP_HASNULL != 0 {
                return None;
            }
            let begin = usize::from(header.t_hoff);
            let length = (tuple.t_len as usize).checked_sub(begin)?;
            Some(std::slice::from_raw_parts(tuple.t_data.cast::<u8>().add(begin), length))
        }
    }

    fn find(&mut self, tid: Tid, recent: &mut pg_sys::Buffer, tuple: pg_sys::HeapTuple) -> Option<()> {
        if tid.line == 0 || !self.pin(tid.block, recent) {
            return None;
        }
        let heap = self.table.heap;
        let mut tid = pg_sys::ItemPointerData::from(tid);
        // SAFETY: the buffer is pinned and holds a page of this heap; it is locked while its tuples are looked at.
        let found = unsafe {
            pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let (snapshot, none) = (self.table.snapshot, std::ptr::null_mut());
            let found =
                pg_sys::heap_hot_search_buffer(&mut tid, heap, self.buffer, snapshot, tuple, none, true);
            pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            (*tuple).t_tableOid = (*heap).rd_id;
            found
        };
        found.then_some(())
    }

    /// Pins the buffer with a block; false when there is no such block, because the table was rewritten.
    fn pin(&mut self, block: u32, recent: &mut pg_sys::Buffer) -> bool {
        if self.buffer == 0 || self.block != block {
            self.release();
            // SAFETY: a buffer of this server is asked whether it holds the block; else the block exists.
            unsafe {
                if *recent == 0 || !pg_sys::ReadRecentBuffer(locator(self.table), MAIN, block, *recent) {
                    if block >= self.blocks() {
                        return false;
                    }
                    *recent = pg_sys::ReadBuffer(self.table.heap, block);
                }
            }
            (self.buffer, self.block) = (*recent, block);
        }
        *recent = self.buffer;
        true
    }

    fn blocks(&mut self) -> u32 {
        // SAFETY: the relation is open.
        *self
            .blocks
            .get_or_insert_with(|| unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.table.heap, MAIN) })
    }

    fn release(&mut self) {
        if self.buffer != 0 {
            // SAFETY: pinned by `pin`.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) };
            self.buffer = 0;
        }
    }

    /// The same for a chunk; remembers the buffer for [`Fetch::prefetch`].
    pub fn chunk(&mut self, tid: Tid, mut recent: pg_sys::Buffer) -> Option<&Slot> {
        let before = recent;
        let found = self.row(tid, &mut recent);
        if recent != before {
            recent::note(tid.block, recent);
        }
        found
    }

    /// Begins to load chunks that are about to be read, up to so many bytes of each, the memory of many at once: reading
    /// alone would wait for one after the other. Returns for each the buffer that had it last, for [`Fetch::chunk`]. Where
    /// another page is there by now, nothing is gained.
    pub fn prefetch(&mut self, tids: &[Tid], bytes: usize) -> Vec<pg_sys::Buffer> {
        let mut buffers: Vec<_> =
            tids.iter().map(|tid| if tid.line > 0 { recent::of(tid.block) } else { 0 }).collect();
        for (&buffer, tid) in buffers.iter().zip(tids).filter(|(buffer, _)| **buffer > 0) {
            let (page, line) = line_of(buffer, tid.line);
            // SAFETY: a buffer that there is, and a place on its page.
            unsafe { near(page.add(line)) };
            prefetch_descriptor(buffer);
        }
        for (buffer, tid) in buffers.iter_mut().zip(tids) {
            if *buffer == 0 && tid.line > 0 && self.pin(tid.block, buffer) {
                recent::note(tid.block, *buffer);
            }
            // The buffers of a session's own tables lie elsewhere.
            if *buffer > 0 {
                let (page, line) = line_of(*buffer, tid.line);
                // SAFETY: a page in the shared buffers, which are always there. What stands in it may change meanwhile:
                // it is only a hint at what to load, and kept within the page.
                unsafe {
                    let item = page.add(line).cast::<u32>().read_volatile();
                    // Offset, two bits, length.
                    let (begin, length) = (item as usize & 0x7fff, item as usize >> 17);
                    let begin = begin.min(pg_sys::BLCKSZ as usize);
                    let end = (begin + length.min(bytes)).min(pg_sys::BLCKSZ as usize);
                    (begin..end).step_by(64).for_each(|at| near(page.add(at)));
                }
            }
        }
        buffers
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.release();
        }
    }
}

const MAIN: pg_sys::ForkNumber::Type = pg_sys::ForkNumber::MAIN_FORKNUM;

/// Buffers that had the blocks of a table, the table of chunks: of the others too few rows are read by place.
mod recent {
    use pgrx::pg_sys::Buffer;
    use std::cell::RefCell;

    /// Blocks that are remembered at most; 4 bytes each.
    const LIMIT: usize = 1 << 18;

    thread_local! {
        static BUFFERS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    }

    /// The buffer that a block, or another in its place, was in; 0 for none.
    pub fn of(block: u32) -> Buffer {
        BUFFERS.with_borrow(|buffers| buffers.get(block as usize % LIMIT).copied().unwrap_or(0))
    }

    pub fn note(block: u32, buffer: Buffer) {
        let at = block as usize % LIMIT;
        BUFFERS.with_borrow_mut(|buffers| {
            if buffers.len() <= at {
                buffers.resize((at + 1).next_power_of_two().min(LIMIT), 0);
            }
            buffers[at] = buffer;
        });
    }
}

/// Which files a table has.
#[cfg(feature = "pg15")]
fn locator(table: &Table) -> pg_sys::RelFileNode {
    // SAFETY: the relation is open.
    unsafe { (*table.heap).rd_node }
}

/// Which files a table has.
#[cfg(not(feature = "pg15"))]
fn locator(table: &Table) -> pg_sys::RelFileLocator {
    // SAFETY: the relation is open.
    unsafe { (*table.heap).rd_locator }
}

/// The page in a shared buffer, and the place of a line pointer in it: they follow the header. The last place of the
/// page for a line that cannot be.
fn line_of(buffer: pg_sys::Buffer, line: u16) -> (*const u8, usize) {
    const HEADER: usize = 24;
    let at = (HEADER + 4 * (usize::from(line) - 1)).min(pg_sys::BLCKSZ as usize - 4);
    (page_of(buffer), at)
}

/// Where bytes that lie in a shared buffer are within their page.
pub fn place_in_page(bytes: &[u8]) -> u16 {
    // SAFETY: a variable that is set before any session begins.
    let buffers = unsafe { pg_sys::BufferBlocks };
    ((bytes.as_ptr() as usize).wrapping_sub(buffers as usize) % pg_sys::BLCKSZ as usize) as u16
}

/// Begins to load the head of the page that a shared buffer holds, or another in its place, and some of its bytes.
pub fn prefetch_in_page(buffer: pg_sys::Buffer, bytes: Range<usize>) {
    if buffer <= 0 {
        return;
    }
    prefetch_descriptor(buffer);
    let page = page_of(buffer);
    let end = bytes.end.min(pg_sys::BLCKSZ as usize);
    // SAFETY: within the page.
    unsafe {
        near(page);
        (bytes.start..end).step_by(64).for_each(|at| near(page.add(at)));
        if bytes.start < end {
            near(page.add(end - 1));
        }
    }
}

/// Begins to load the state of a shared buffer, which is changed to pin it.
fn prefetch_descriptor(buffer: pg_sys::Buffer) {
    // SAFETY: set before any session begins; buffers are numbered from 1 on, and there are as many descriptors.
    unsafe { near(pg_sys::BufferDescriptors.add(buffer as usize - 1).cast()) };
}

/// The page in a shared buffer.
fn page_of(buffer: pg_sys::Buffer) -> *const u8 {
    // SAFETY: buffers are numbered from 1 on, and lie one after the other.
    unsafe { pg_sys::BufferBlocks.cast::<u8>().add((buffer as usize - 1) * pg_sys::BLCKSZ as usize) }
}

/// Asks the processor to load the cache line of an address.
///
/// # Safety
/// The address is within an allocation.
unsafe fn near(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
