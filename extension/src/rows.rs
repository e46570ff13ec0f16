//! Rows of `vectorstore.embeddings`: the chunks, read in the order of their numbers or by place.

use crate::jsonb::Jsonb;
use crate::table::{Fetch, Scan, Slot, Table, Tid};
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
    pub fn all(&self, store: i64, mut visit: impl FnMut(&Chunk)) {
        let mut scan = self.table.scan(&[store], i64::MIN, i64::MAX);
        while let Some(slot) = scan.next_row() {
            pgrx::check_for_interrupts!();
            visit(&self.chunk(slot));
        }
    }

    /// Visits those of the given chunks (ascending) that the snapshot sees, in order.
    pub fn some(&self, store: i64, ids: &[i64], mut visit: impl FnMut(&Chunk)) {
        let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else { return };
        let mut scan = self.table.scan(&[store], first, last);
        let mut wanted = ids.iter().copied().peekable();
        let mut passed_over = 0;
        while let Some(slot) = scan.next_row() {
            pgrx::check_for_interrupts!();
            let chunk = self.chunk(slot);
            let id = chunk.chunk_id();
            while wanted.next_if(|&next| next < id).is_some() {}
            if wanted.next_if_eq(&id).is_some() {
                visit(&chunk);
            } else {
                passed_over += 1;
                // The wanted ones are few among others: look each of them up instead.
                if passed_over > 64 + 2 * ids.len() {
                    return self.each(&mut scan, store, wanted, visit);
                }
            }
        }
    }

    fn each(
        &self,
        scan: &mut Scan,
        store: i64,
        ids: impl Iterator<Item = i64>,
        mut visit: impl FnMut(&Chunk),
    ) {
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
        Finder { chunks: self, fetch: self.table.fetch(), scan: None }
    }

    fn chunk<'s>(&self, slot: &'s Slot) -> Chunk<'s, '_> {
        slot.deform(self.columns.tsv);
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
    /// The chunk with this number, if the snapshot sees it. `hint` is where it was seen last.
    pub fn find<T>(&mut self, store: i64, id: i64, hint: Tid, read: impl FnOnce(&Chunk) -> T) -> Option<T> {
        if let Some(slot) = self.fetch.row(hint) {
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

    /// A copy that outlives the row, in the current memory context.
    pub fn copied(&self) -> Option<pg_sys::Datum> {
        // SAFETY: a detoasted varlena; the copy is allocated by Postgres.
        (!self.value.is_null()).then(|| unsafe { pg_sys::pg_detoast_datum_copy(self.value) }.into())
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
