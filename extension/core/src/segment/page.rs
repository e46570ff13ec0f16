//! Pages: the unit in which a segment is stored and read.

use std::ops::Range;

/// Most bytes of a page: one row of `vectorstore.segment_pages` with its header fills one page of Postgres.
pub const PAGE_BYTES: usize = 8096;

/// Why a segment could not be read. Never the fault of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a search segment is damaged: {0}")]
pub struct Damaged(pub &'static str);

/// Where the pages of one segment are read from.
pub trait Pages {
    /// Calls `read` with the bytes of page `page`, which live as long as the call.
    ///
    /// # Errors
    /// [`Damaged`] when there is no such page, or what `read` returns.
    fn with<T>(&self, page: u32, read: impl FnOnce(&[u8]) -> Result<T, Damaged>) -> Result<T, Damaged>;

    /// Begins to load some bytes of a page that are about to be read, where it is known how. There may be no such page,
    /// or no such bytes.
    fn prefetch(&self, _page: u32, _bytes: Range<usize>) {}
}

/// Where a builder puts the pages of one segment.
pub trait PageSink {
    /// Appends a page of at most [`PAGE_BYTES`] bytes and returns its number: 0, 1, 2, ...
    fn push(&mut self, page: &[u8]) -> u32;
}

/// A run of pages of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Section {
    /// Number of the first page.
    pub first: u32,
    /// Number of pages.
    pub pages: u32,
}

impl Section {
    /// Number of the page at `index`.
    ///
    /// # Errors
    /// [`Damaged`] past the end.
    pub fn page(self, index: u32) -> Result<u32, Damaged> {
        if index < self.pages {
            self.first.checked_add(index).ok_or(Damaged("page number"))
        } else {
            Err(Damaged("page past the end of its section"))
        }
    }

    /// Begins to load some bytes of the page at `index`, if there is one.
    pub fn prefetch(self, pages: &impl Pages, index: u32, bytes: Range<usize>) {
        if let Ok(page) = self.page(index) {
            pages.prefetch(page, bytes);
        }
    }
}

/// Pages in memory, for builders and tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryPages(pub Vec<Vec<u8>>);

impl Pages for MemoryPages {
    fn with<T>(&self, page: u32, read: impl FnOnce(&[u8]) -> Result<T, Damaged>) -> Result<T, Damaged> {
        read(self.0.get(page as usize).ok_or(Damaged("missing page"))?)
    }
}

impl PageSink for MemoryPages {
    fn push(&mut self, page: &[u8]) -> u32 {
        assert!(page.len() <= PAGE_BYTES, "a page of {} bytes", page.len());
        self.0.push(page.to_vec());
        (self.0.len() - 1) as u32
    }
}
