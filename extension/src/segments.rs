//! Segments as they lie in the database: their pages as rows, and what a session keeps of them.
//!
//! A session remembers where the pages of a segment are, and the small part of it that every search needs. Both are
//! good for ever, because a segment never changes; but rows move when a table is rewritten, so every page says
//! whose it is, and a page that is not where it was is looked for once more.

use crate::fetch::{self, Fetch};
use crate::gucs;
use crate::table::{Table, Tid};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use vectorstore_core::segment::{Damaged, Pages, Segment};

/// A segment that this session has opened.
pub struct Opened {
    /// What it caches.
    pub segment: Segment,
    directory: RefCell<Vec<Place>>,
}

/// Where a page is.
#[derive(Clone, Copy)]
struct Place {
    tid: Tid,
    /// The buffer that had it last, or 0.
    recent: pg_sys::Buffer,
    /// Where its data began there.
    begin: u16,
}

struct Entry {
    header: Box<[u8]>,
    opened: Rc<Opened>,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Cache {
    entries: HashMap<(pg_sys::Oid, i64), Entry>,
    bytes: usize,
    clock: u64,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// The table of pages, open for reading.
pub struct PageTable(Table);

impl PageTable {
    /// Opens the table; `None` before `vs_install()`.
    pub fn open() -> Option<Self> {
        Table::open(c"segment_pages", c"segment_pages_pkey").map(Self)
    }

    /// A reader, to be shared by all segments of a search.
    pub fn reader(&self) -> PageReader<'_> {
        PageReader { table: &self.0, fetch: RefCell::new(Fetch::new(&self.0)) }
    }
}

/// Reads pages of any segment.
pub struct PageReader<'t> {
    table: &'t Table,
    fetch: RefCell<Fetch<'t>>,
}

impl<'t> PageReader<'t> {
    /// Opens a segment, or finds it in the session's memory.
    ///
    /// # Errors
    /// [`Damaged`] when its pages are not what was written.
    pub fn open(&self, store: i64, segment: i64, header: &[u8]) -> Result<Rc<Opened>, Damaged> {
        let key = (self.table.oid(), segment);
        let found = CACHE.with_borrow_mut(|cache| {
            cache.clock += 1;
            let clock = cache.clock;
            // A number can come back when the tables were made anew; the header's random part cannot.
            let entry = cache.entries.get_mut(&key).filter(|entry| *entry.header == *header)?;
            entry.used = clock;
            Some(Rc::clone(&entry.opened))
        });
        if let Some(opened) = found {
            return Ok(opened);
        }
        let directory = RefCell::new(self.directory(store, segment));
        let pages = SegmentPages { reader: self, directory: &directory, store, segment };
        let loaded = Segment::load(header, &pages)?;
        let bytes =
            loaded.cached_bytes() + directory.borrow().len() * size_of::<Place>() + header.len() + 256;
        let opened = Rc::new(Opened { segment: loaded, directory });
        CACHE.with_borrow_mut(|cache| cache.keep(key, header, &opened, bytes));
        Ok(opened)
    }

    /// The pages of an opened segment.
    pub fn pages<'a>(&'a self, opened: &'a Opened, store: i64, segment: i64) -> SegmentPages<'a, 't> {
        SegmentPages { reader: self, directory: &opened.directory, store, segment }
    }

    /// Where the pages of a segment are, in their order.
    fn directory(&self, store: i64, segment: i64) -> Vec<Place> {
        let mut places = Vec::new();
        let mut scan = self.table.scan_prefix(&[store, segment]);
        while let Some(slot) = scan.next_row() {
            places.push(Place { tid: slot.tid(), recent: 0, begin: 0 });
        }
        places
    }
}

impl Cache {
    fn keep(&mut self, key: (pg_sys::Oid, i64), header: &[u8], opened: &Rc<Opened>, bytes: usize) {
        let entry = Entry { header: header.into(), opened: Rc::clone(opened), bytes, used: self.clock };
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        let limit = gucs::segment_cache_bytes();
        while self.bytes > limit {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
            else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

/// The pages of one segment.
pub struct SegmentPages<'a, 't> {
    reader: &'a PageReader<'t>,
    directory: &'a RefCell<Vec<Place>>,
    store: i64,
    segment: i64,
}

impl SegmentPages<'_, '_> {
    /// Reads a page where the directory says it is; `None` when it is not there.
    fn read<T, R>(&self, page: u32, read: R) -> Result<Result<T, Damaged>, R>
    where
        R: FnOnce(&[u8]) -> Result<T, Damaged>,
    {
        let mut directory = self.directory.borrow_mut();
        let Some(Place { tid, recent, .. }) = directory.get_mut(page as usize) else { return Err(read) };
        let mut fetch = self.reader.fetch.borrow_mut();
        let row = fetch.bytes(*tid, recent);
        drop(directory);
        match row.and_then(|row| data_of(row, self.store, self.segment, page)) {
            Some(data) => {
                self.directory.borrow_mut()[page as usize].begin = fetch::place_in_page(data);
                Ok(read(data))
            }
            None => Err(read),
        }
    }
}

impl Pages for SegmentPages<'_, '_> {
    fn with<T>(&self, page: u32, read: impl FnOnce(&[u8]) -> Result<T, Damaged>) -> Result<T, Damaged> {
        let read = match self.read(page, read) {
            Ok(done) => return done,
            Err(read) => read,
        };
        let places = self.reader.directory(self.store, self.segment);
        *self.directory.borrow_mut() = places;
        self.read(page, read).unwrap_or(Err(Damaged("missing page")))
    }

    fn prefetch(&self, page: u32, bytes: Range<usize>) {
        let directory = self.directory.borrow();
        if let Some(Place { recent, begin, .. }) =
            directory.get(page as usize).filter(|place| place.begin > 0)
        {
            let begin = usize::from(*begin);
            fetch::prefetch_in_page(*recent, begin + bytes.start..begin + bytes.end);
        }
    }
}

/// The data of a page's row, if it is the row of this page: `store_id`, `segment_id`, `page`, then the data, which is
/// stored plain.
fn data_of(raw: &[u8], store: i64, segment: i64, page: u32) -> Option<&[u8]> {
    let (row_store, rest) = raw.split_first_chunk()?;
    let (row_segment, rest) = rest.split_first_chunk()?;
    let (row_page, rest) = rest.split_first_chunk()?;
    let same = i64::from_le_bytes(*row_store) == store
        && i64::from_le_bytes(*row_segment) == segment
        && u32::from_le_bytes(*row_page) == page;
    if !same {
        return None;
    }
    // Little-endian varlena: one byte of header for short values, else four. The lowest bits tell which, the others
    // are the length with the header.
    if rest.first()? & 1 == 1 {
        let (header, rest) = rest.split_first()?;
        return rest.get(..usize::from(header >> 1).checked_sub(1)?);
    }
    let (header, rest) = rest.split_first_chunk()?;
    rest.get(..(u32::from_le_bytes(*header) >> 2).checked_sub(4)? as usize)
}
