//! What statistics and rate limits keep in shared memory. It is there only when the library is preloaded.
//!
//! Three tables of fixed size with open addressing: `Recent`, what was counted since the last flush, by database,
//! tenant, store, key and operation; `Ever`, what was counted since the server started, by database and operation,
//! which only grows; and the buckets of the rate limits. Counters are atomics that are added to under a shared lock; only
//! a new entry takes the lock alone. Entries of `Recent` that are all zero are dropped when the table gets full.

use super::counters::{COUNTERS, Delta};
use pgrx::pg_sys;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU64, Ordering::Relaxed};

/// Name of the memory, and of its lock's tranche.
const NAME: &std::ffi::CStr = c"vectorstore";
/// Entries of `Ever`.
const EVER: usize = 2048;

/// Longest name of an operation in bytes; longer ones are cut.
const NAME_BYTES: usize = 40;

/// Database, tenant, store, API key, and the operation's name.
pub type Key = [u64; 4 + NAME_BYTES / 8];
/// Database, tenant, API key, scope.
pub type BucketKey = [u64; 4];

/// An entry's key.
pub fn key(database: pg_sys::Oid, tenant: i64, store: i64, api_key: i64, operation: &str) -> Key {
    let mut key = [0; 4 + NAME_BYTES / 8];
    key[0] = u64::from(database.to_u32());
    key[1] = tenant as u64;
    key[2] = store as u64;
    key[3] = api_key as u64;
    let bytes = &operation.as_bytes()[..operation.len().min(NAME_BYTES)];
    for (word, bytes) in key[4..].iter_mut().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(eight);
    }
    key
}

/// The operation's name in a key.
pub fn operation(key: &Key) -> String {
    let bytes: Vec<u8> = key[4..].iter().flat_map(|word| word.to_le_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// What begins the memory.
#[repr(C)]
struct Header {
    lock: *mut pg_sys::LWLock,
    capacity: usize,
    /// Entries in use, of each table.
    used: [AtomicU64; 3],
    /// Calls that were not counted, or not limited, because a table was full.
    overflow: AtomicU64,
    /// The database to which the last worker connected that came to flush.
    connected: AtomicU64,
    /// When statistics were flushed last, in microseconds since 2000.
    flushed_at: AtomicI64,
}

/// An entry of a table; the first word of a key, the database, is zero in an unused one.
#[repr(C)]
struct Entry<const K: usize, const C: usize> {
    key: [AtomicU64; K],
    counters: [AtomicU64; C],
}

type Counted = Entry<{ 4 + NAME_BYTES / 8 }, COUNTERS>;
type Bucket = Entry<4, 1>;

static SHARED: AtomicPtr<Header> = AtomicPtr::new(null_mut());

/// A table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Since the last flush.
    Recent = 0,
    /// Since the server started.
    Ever = 1,
}

/// Bytes to ask for.
fn size(capacity: usize) -> usize {
    size_of::<Header>() + (capacity + EVER) * size_of::<Counted>() + capacity * size_of::<Bucket>()
}

/// Asks for the memory; to be called by `shmem_request_hook`.
pub fn request(capacity: usize) {
    // SAFETY: this is the place where both are allowed.
    unsafe {
        pg_sys::RequestAddinShmemSpace(size(capacity));
        pg_sys::RequestNamedLWLockTranche(NAME.as_ptr(), 1);
    }
}

/// Makes the memory, or finds it; to be called by `shmem_startup_hook`.
pub fn attach(capacity: usize) {
    /// Number of `AddinShmemInitLock` among the main locks, in every version from 15 to 18.
    const ADDIN_SHMEM_INIT: usize = 21;
    // SAFETY: the memory was requested. All of it is zero at first, which is a valid state of every part but the header's.
    unsafe {
        let guard = &raw mut (*pg_sys::MainLWLockArray.add(ADDIN_SHMEM_INIT)).lock;
        pg_sys::LWLockAcquire(guard, pg_sys::LWLockMode::LW_EXCLUSIVE);
        let mut found = false;
        let memory = pg_sys::ShmemInitStruct(NAME.as_ptr(), size(capacity), &mut found);
        let header = memory.cast::<Header>();
        if !found {
            std::ptr::write_bytes(memory.cast::<u8>(), 0, size(capacity));
            (*header).capacity = capacity;
            (*header).lock = &raw mut (*pg_sys::GetNamedLWLockTranche(NAME.as_ptr())).lock;
            (*header).flushed_at.store(pg_sys::GetCurrentTimestamp(), Relaxed);
        }
        SHARED.store(header, Relaxed);
        pg_sys::LWLockRelease(guard);
    }
}

/// Holds the lock.
struct Locked<'a>(&'a Header);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: the lock was taken, and nothing that holds it raises an error.
        unsafe { pg_sys::LWLockRelease(self.0.lock) }
    }
}

/// The memory.
#[derive(Clone, Copy)]
pub struct Shared(&'static Header);

/// The memory, when the library is preloaded.
pub fn shared() -> Option<Shared> {
    let header = NonNull::new(SHARED.load(Relaxed))?;
    // SAFETY: it stays mapped as long as the process lives; what is written after the start is atomic.
    Some(Shared(unsafe { header.as_ref() }))
}

impl Shared {
    fn lock(&self, mode: pg_sys::LWLockMode::Type) -> Locked<'static> {
        // SAFETY: the lock was initialised with the memory.
        unsafe { pg_sys::LWLockAcquire(self.0.lock, mode) };
        Locked(self.0)
    }

    fn counted(&self) -> *const Counted {
        // SAFETY: the tables follow the header, which is as long as a multiple of eight.
        unsafe { std::ptr::from_ref(self.0).add(1).cast() }
    }

    fn table(&self, table: Table) -> &'static [Counted] {
        let (from, length) = match table {
            Table::Recent => (0, self.0.capacity),
            Table::Ever => (self.0.capacity, EVER),
        };
        // SAFETY: within the memory; everything in it is atomic.
        unsafe { std::slice::from_raw_parts(self.counted().add(from), length) }
    }

    fn buckets(&self) -> &'static [Bucket] {
        // SAFETY: they follow the two tables.
        unsafe {
            std::slice::from_raw_parts(self.counted().add(self.0.capacity + EVER).cast(), self.0.capacity)
        }
    }

    /// Number of entries of `Recent` in use, how many there can be, and how often there was none.
    pub fn fill(&self) -> (u64, u64, u64) {
        let Header { used, capacity, overflow, .. } = self.0;
        (used[0].load(Relaxed), *capacity as u64, overflow.load(Relaxed))
    }

    /// Number of buckets that have a place. There can be as many as entries of `Recent`.
    pub fn bucket_count(&self) -> u64 {
        self.0.used[2].load(Relaxed)
    }

    /// When statistics were flushed last.
    pub fn flushed_at(&self) -> &AtomicI64 {
        &self.0.flushed_at
    }

    /// The database of the worker that flushes.
    pub fn connected(&self) -> &AtomicU64 {
        &self.0.connected
    }

    /// Adds to an entry.
    pub fn add(&self, table: Table, key: &Key, delta: &Delta) {
        let entries = self.table(table);
        let apply = |entry: &Counted| {
            for (counter, by) in entry.counters.iter().zip(delta.0) {
                if by != 0 {
                    counter.fetch_add(by, Relaxed);
                }
            }
        };
        {
            let _lock = self.lock(pg_sys::LWLockMode::LW_SHARED);
            if let Ok(at) = find(entries, key) {
                return apply(&entries[at]);
            }
        }
        let _lock = self.lock(pg_sys::LWLockMode::LW_EXCLUSIVE);
        match self.insert(entries, table as usize, key) {
            Some(entry) => apply(entry),
            None => drop(self.0.overflow.fetch_add(delta.calls().max(1), Relaxed)),
        }
    }

    /// The entry with this key, made if need be; `None` when there is no room. To be called under the exclusive lock.
    fn insert<const K: usize, const C: usize>(
        &self,
        entries: &'static [Entry<K, C>],
        table: usize,
        key: &[u64; K],
    ) -> Option<&'static Entry<K, C>> {
        let at = match find(entries, key) {
            Ok(at) => at,
            // A full table would have no end of a search.
            Err(_) if self.0.used[table].load(Relaxed) as usize >= entries.len() / 8 * 7 => return None,
            Err(at) => {
                for (word, value) in entries[at].key.iter().zip(key) {
                    word.store(*value, Relaxed);
                }
                self.0.used[table].fetch_add(1, Relaxed);
                at
            }
        };
        Some(&entries[at])
    }

    /// What was counted of a database; `take` leaves zeros.
    pub fn read(&self, table: Table, database: pg_sys::Oid, take: bool) -> Vec<(Key, Delta)> {
        let entries = self.table(table);
        let mut read = Vec::new();
        let _lock = self.lock(pg_sys::LWLockMode::LW_SHARED);
        for entry in entries {
            if entry.key[0].load(Relaxed) != u64::from(database.to_u32()) {
                continue;
            }
            let mut delta = Delta::default();
            for (value, counter) in delta.0.iter_mut().zip(&entry.counters) {
                *value = if take { counter.swap(0, Relaxed) } else { counter.load(Relaxed) };
            }
            if delta.0.iter().any(|value| *value != 0) {
                read.push((entry.key.each_ref().map(|word| word.load(Relaxed)), delta));
            }
        }
        read
    }

    /// Databases of which something waits to be flushed.
    pub fn waiting(&self) -> Vec<u32> {
        let _lock = self.lock(pg_sys::LWLockMode::LW_SHARED);
        let waits = |entry: &&Counted| entry.counters.iter().any(|counter| counter.load(Relaxed) != 0);
        let entries = self.table(Table::Recent).iter().filter(|entry| entry.key[0].load(Relaxed) != 0);
        let mut found: Vec<u32> =
            entries.filter(waits).map(|entry| entry.key[0].load(Relaxed) as u32).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Forgets what was counted of databases that are gone, and makes room when less than a quarter is left.
    pub fn tidy(&self, gone: &[u32]) {
        let full = self.0.used[0].load(Relaxed) as usize > self.0.capacity / 4 * 3;
        if !full && gone.is_empty() {
            return;
        }
        let _lock = self.lock(pg_sys::LWLockMode::LW_EXCLUSIVE);
        let alive = |entry: &Counted| {
            entry.counters.iter().any(|counter| counter.load(Relaxed) != 0)
                && !gone.contains(&(entry.key[0].load(Relaxed) as u32))
        };
        self.rebuild(self.table(Table::Recent), Table::Recent as usize, alive);
        if !gone.is_empty() {
            let alive = |entry: &Counted| !gone.contains(&(entry.key[0].load(Relaxed) as u32));
            self.rebuild(self.table(Table::Ever), Table::Ever as usize, alive);
        }
    }

    /// Keeps some entries and drops the others. To be called under the exclusive lock.
    fn rebuild<const K: usize, const C: usize>(
        &self,
        entries: &'static [Entry<K, C>],
        table: usize,
        keep: impl Fn(&Entry<K, C>) -> bool,
    ) {
        let used = entries.iter().filter(|entry| entry.key[0].load(Relaxed) != 0);
        let kept: Vec<([u64; K], [u64; C])> = used
            .filter(|entry| keep(entry))
            .map(|entry| {
                let load = |word: &AtomicU64| word.load(Relaxed);
                (entry.key.each_ref().map(load), entry.counters.each_ref().map(load))
            })
            .collect();
        for word in entries.iter().flat_map(|entry| entry.key.iter().chain(&entry.counters)) {
            word.store(0, Relaxed);
        }
        self.0.used[table].store(0, Relaxed);
        for (key, counters) in &kept {
            if let Some(entry) = self.insert(entries, table, key) {
                for (counter, value) in entry.counters.iter().zip(counters) {
                    counter.store(*value, Relaxed);
                }
            }
        }
    }

    /// Runs `work` on the state of a bucket, a time that is 0 for a new one. A bucket whose time has passed is as good as none. Without room for a bucket nobody is limited.
    pub fn bucket<T>(&self, key: &BucketKey, now: u64, work: impl Fn(&AtomicU64) -> T) -> Option<T> {
        const TABLE: usize = 2;
        let entries = self.buckets();
        {
            let _lock = self.lock(pg_sys::LWLockMode::LW_SHARED);
            if let Ok(at) = find(entries, key) {
                return Some(work(&entries[at].counters[0]));
            }
        }
        let _lock = self.lock(pg_sys::LWLockMode::LW_EXCLUSIVE);
        let mut entry = self.insert(entries, TABLE, key);
        if entry.is_none() {
            self.rebuild(entries, TABLE, |entry| entry.counters[0].load(Relaxed) > now);
            entry = self.insert(entries, TABLE, key);
        }
        if entry.is_none() {
            self.0.overflow.fetch_add(1, Relaxed);
        }
        entry.map(|entry| work(&entry.counters[0]))
    }
}

/// Where the entry with this key is, or else where it belongs.
fn find<const K: usize, const C: usize>(entries: &[Entry<K, C>], key: &[u64; K]) -> Result<usize, usize> {
    // Multiplication spreads every bit upwards; the upper half is what counts.
    let mix = |hash: u64, word: &u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let hash = key.iter().fold(0, mix);
    let mut at = ((hash >> 32) as usize) % entries.len();
    loop {
        let entry = &entries[at];
        if entry.key[0].load(Relaxed) == 0 {
            return Err(at);
        }
        if entry.key.iter().zip(key).all(|(word, value)| word.load(Relaxed) == *value) {
            return Ok(at);
        }
        at = (at + 1) % entries.len();
    }
}
