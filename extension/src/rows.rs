//! Rows of `vectorstore.embeddings`: the chunks, read in the order of their numbers or by place.

use crate::fetch::Fetch;
use crate::jsonb::Jsonb;
use crate::table::{Scan, Slot, Table, Tid};
use pgrx::pg_sys;
use std::ops::Deref;
use vectorstore_core::tsvector::TsVector;

/// The table of chunks, open for reading.
pub struct Chunks {
    table: Table,
    columns: Columns,
}

/// Numbers of the columns that are read here.
struct Columns {
    chunk_id: usize,
    id: usize,
    file_id: usize,
    created_at: usize,
    embedding: usize,
    metadata: usize,
    filename: usize,
    content: usize,
    tsv: usize,
}

impl Chunks {
    /// Opens the table; `None` before `vs_install()`.
    pub fn open() -> Option<Self> {
        let table = Table::open(c"embeddings", c"embeddings_pkey")?;
        let columns = Columns {
            chunk_id: table.column(c"chunk_id"),
            id: table.column(c"id"),
            file_id: table.column(c"file_id"),
            created_at: table.column(c"created_at"),
            embedding: table.column(c"embedding"),
            metadata: table.column(c"metadata"),
            filename: table.column(c"filename"),
            content: table.column(c"content"),
            tsv: table.column(c"tsv"),
        };
        Some(Self { table, columns })
    }

    /// Visits every chunk of a store, in the order of their numbers.
    pub fn all(&self, store: i64, visit: impl FnMut(&Chunk)) {
        self.visit(self.table.entries(store, i64::MIN, i64::MAX), visit);
    }

    /// Visits those of the given chunks (ascending) that the snapshot sees, in order.
    pub fn some(&self, store: i64, ids: &[i64], mut visit: impl FnMut(&Chunk)) {
        let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else { return };
        let mut entries = self.table.entries(store, first, last);
        let mut wanted = ids.iter().copied().peekable();
        let mut passed_over = 0;
        let next = || loop {
            // The wanted ones are few among others: each of the rest is looked up instead.
            if passed_over > 64 + 2 * ids.len() {
                return None;
            }
            let (id, tid) = entries.next()?;
            while wanted.next_if(|&next| next < id).is_some() {}
            // A version that nobody sees may have the same number.
            if wanted.peek() == Some(&id) {
                return Some((id, tid));
            }
            passed_over += 1;
        };
        self.visit(std::iter::from_fn(next), &mut visit);
        if passed_over > 64 + 2 * ids.len() {
            self.each(store, wanted, visit);
        }
    }

    /// Visits the rows of entries of the key, those that the snapshot sees, so many at a time that their memory is loaded
    /// at once.
    fn visit(&self, entries: impl Iterator<Item = (i64, Tid)>, mut visit: impl FnMut(&Chunk)) {
        const TOGETHER: usize = 16;
        // A scan that is asked after its end begins anew.
        let mut entries = entries.fuse();
        let mut fetch = Fetch::new(&self.table);
        let (mut ids, mut tids) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
        loop {
            pgrx::check_for_interrupts!();
            ids.clear();
            tids.clear();
            for (id, tid) in entries.by_ref().take(TOGETHER) {
                ids.push(id);
                tids.push(tid);
            }
            if tids.is_empty() {
                return;
            }
            let buffers = fetch.prefetch(&tids, pg_sys::BLCKSZ as usize);
            for ((&id, &tid), buffer) in ids.iter().zip(&tids).zip(buffers) {
                if let Some(slot) = fetch.chunk(tid, buffer) {
                    let chunk = self.chunk(slot);
                    if chunk.chunk_id() == id {
                        visit(&chunk);
                    }
                }
            }
        }
    }

    fn each(&self, store: i64, ids: impl Iterator<Item = i64>, mut visit: impl FnMut(&Chunk)) {
        let mut scan = self.table.scan(&[store], 0, 0);
        for id in ids {
            pgrx::check_for_interrupts!();
            scan.range(&[store], id, id);
            if let Some(slot) = scan.next_row() {
                visit(&self.chunk(slot));
            }
        }
    }

    /// A reader of single chunks.
    pub fn finder(&self) -> Finder<'_> {
        Finder { chunks: self, fetch: Fetch::new(&self.table), scan: None }
    }

    fn chunk<'s>(&self, slot: &'s Slot) -> Chunk<'s, '_> {
        Chunk { slot, columns: &self.columns }
    }
}

/// Reads single chunks by place; a place that holds another row by now is mended by a look-up of the key.
pub struct Finder<'t> {
    chunks: &'t Chunks,
    fetch: Fetch<'t>,
    scan: Option<Scan<'t>>,
}

impl<'t> Finder<'t> {
    /// Begins to load chunks that are about to be read, up to so many bytes of each, and returns the buffer of each.
    pub fn prefetch(&mut self, hints: &[Tid], bytes: usize) -> Vec<pg_sys::Buffer> {
        self.fetch.prefetch(hints, bytes)
    }

    /// The chunk with this number, if the snapshot sees it. `hint` is where it was seen last, and `recent` the buffer that
    /// its page was in, or 0.
    pub fn find<T>(
        &mut self,
        store: i64,
        id: i64,
        hint: Tid,
        recent: pg_sys::Buffer,
        read: impl FnOnce(&Chunk) -> T,
    ) -> Option<T> {
        if let Some(slot) = self.fetch.chunk(hint, recent) {
            let chunk = self.chunks.chunk(slot);
            // The number alone decides: it is never given to another row, nor to another version of this one.
            if chunk.chunk_id() == id && chunk.store_id() == store {
                return Some(read(&chunk));
            }
        }
        let scan = match &mut self.scan {
            Some(scan) => {
                scan.range(&[store], id, id);
                scan
            }
            none => none.insert(self.chunks.table.scan(&[store], id, id)),
        };
        scan.next_row().map(|slot| read(&self.chunks.chunk(slot)))
    }
}

/// One chunk.
pub struct Chunk<'s, 't> {
    slot: &'s Slot,
    columns: &'t Columns,
}

impl Chunk<'_, '_> {
    /// Number of its store.
    fn store_id(&self) -> i64 {
        self.slot.bigint(1)
    }

    /// Its number, which stands for this version of its content.
    pub fn chunk_id(&self) -> i64 {
        self.slot.bigint(self.columns.chunk_id)
    }

    /// Where it lies.
    pub fn tid(&self) -> Tid {
        self.slot.tid()
    }

    /// When it was created, in microseconds since 2000-01-01 UTC.
    pub fn created_at(&self) -> i64 {
        self.slot.bigint(self.columns.created_at)
    }

    /// Its public id.
    pub fn id(&self) -> Plain {
        Plain::new(self.slot.get(self.columns.id))
    }

    /// The file it comes from.
    pub fn file_id(&self) -> Plain {
        Plain::new(self.slot.get(self.columns.file_id))
    }

    /// Name of that file, or what the metadata says.
    pub fn filename(&self) -> Plain {
        Plain::new(self.slot.get(self.columns.filename))
    }

    /// Its text.
    pub fn content(&self) -> Plain {
        Plain::new(self.slot.get(self.columns.content))
    }

    /// Its metadata.
    pub fn metadata(&self) -> Jsonb {
        Jsonb::new(self.slot.get(self.columns.metadata).expect("the column is never NULL"))
    }

    /// The same as it is stored.
    pub fn metadata_value(&self) -> Plain {
        Plain::new(self.slot.get(self.columns.metadata))
    }

    /// Its lexemes, as `tsvector`.
    pub fn lexemes(&self) -> Plain {
        Plain::new(self.slot.get(self.columns.tsv))
    }

    /// Calls `read` with the components of the embedding.
    pub fn with_embedding<T>(&self, read: impl FnOnce(&[f32]) -> T) -> T {
        /// `dim` and `unused` of pgvector's type.
        const HEADER: usize = 4;
        let value = Plain::new(self.slot.get(self.columns.embedding));
        let bytes = value.get(HEADER..).unwrap_or_default();
        // SAFETY: any bits are an f32; the aligned middle is all of it unless the value has a short header.
        let (before, floats, after) = unsafe { bytes.align_to::<f32>() };
        if before.is_empty() && after.is_empty() {
            return read(floats);
        }
        let copy: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        read(&copy)
    }
}

/// The bytes of a value of variable length, without its header; detoasted if need be, and then freed again.
pub struct Plain {
    value: *mut pg_sys::varlena,
    owned: bool,
}

impl Plain {
    /// The value of a column.
    pub fn new(datum: Option<pg_sys::Datum>) -> Self {
        let Some(datum) = datum else { return Self { value: std::ptr::null_mut(), owned: false } };
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the column holds a varlena; detoasting returns it as it is or a copy that is ours.
        let value = unsafe { pg_sys::pg_detoast_datum_packed(stored) };
        Self { value, owned: !std::ptr::eq(value, stored) }
    }

    /// The bytes; `None` for NULL.
    pub fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: a detoasted varlena that lives as long as this, on a pinned page or in memory of our own.
        (!self.value.is_null()).then(|| unsafe {
            std::slice::from_raw_parts(
                pgrx::vardata_any(self.value).cast::<u8>(),
                pgrx::varsize_any_exhdr(self.value),
            )
        })
    }

    /// The value as text; `None` for NULL.
    pub fn text(&self) -> Option<&str> {
        // In a database of another encoding, what is no UTF-8 reads as empty.
        self.bytes().map(|bytes| std::str::from_utf8(bytes).unwrap_or_default())
    }

    /// The value as lexemes; none for NULL.
    pub fn lexemes(&self) -> TsVector<'_> {
        TsVector::new(self.bytes().unwrap_or_default())
    }

    /// The value as it is here; `None` for NULL.
    pub fn datum(&self) -> Option<pg_sys::Datum> {
        (!self.value.is_null()).then(|| self.value.into())
    }
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes().unwrap_or_default()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        if self.owned && !std::thread::panicking() {
            // SAFETY: allocated by `pg_detoast_datum_packed` and freed once.
            unsafe { pg_sys::pfree(self.value.cast()) }
        }
    }
}
