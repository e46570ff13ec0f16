//! What a search has to know about a store before it starts: its settings, counts, segments and unpacked rows.

use crate::error::Error;
use crate::principal;
use crate::rows::Plain;
use crate::table::{Slot, Table};
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use std::ffi::CStr;
use vectorstore_core::id;
use vectorstore_core::segment::{Damaged, Mask};

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A segment's row.
pub struct SegmentRow {
    /// Its number.
    pub segment_id: i64,
    /// Its header.
    pub header: Vec<u8>,
    /// Slots whose rows were deleted since.
    pub deleted: Option<Mask>,
}

/// A store.
pub struct StoreRow {
    /// Its number.
    pub store_id: i64,
    /// Code of its language.
    pub language: i16,
    /// Codes that its chunks have had, when it detects languages.
    pub languages: Vec<i16>,
    /// Dimensions of its embeddings.
    pub dimensions: usize,
    /// Whether texts are embedded by the local model.
    pub local_model: bool,
    /// Whether it has expired, by the time at which the transaction began.
    pub expired: bool,
    /// Number of chunks.
    pub chunks: i64,
    /// Number of tokens of all chunks.
    pub tokens: i64,
}

/// Rows that no segment holds, and rows of segments that are gone.
#[derive(Default)]
pub struct Changes {
    /// Numbers of the chunks of the tail, ascending.
    pub added: Vec<i64>,
    /// Numbers of chunks that were removed, ascending.
    pub removed: Vec<i64>,
}

fn open(name: &'static CStr, key: &'static CStr) -> Result<Table, Error> {
    Table::open(name, key).ok_or(Error::NotInstalled)
}

/// A store's settings and counts; `None` when there is no such store.
pub fn store(store: i64) -> Result<Option<StoreRow>, Error> {
    let stores = open(c"stores", c"stores_pkey")?;
    let id = stores.column(c"store_id");
    let read = |slot: &Slot| read_store(&stores, slot);
    stores
        .only(store, |slot| slot.bigint(id) == store, |stores| stores.scan_prefix(&[store]), read)
        .transpose()
}

/// The SQL user's store with this id, or else with this name; `None` when there is none, or when several bear the name.
///
/// The same as the SQL function `_store`, which also says what is wrong: three statements took longer than a search.
pub fn find_store(store: &str) -> Result<Option<StoreRow>, Error> {
    let Some(tenant) = principal::enter_user()? else { return Ok(None) };
    if let Some(number) = id::decode("vs_", store) {
        let stores = open(c"stores", c"stores_pkey")?;
        let (key, id, owner) =
            (stores.column(c"store_id"), stores.column(c"id"), stores.column(c"tenant_id"));
        let same = |slot: &Slot| {
            slot.bigint(key) == number
                && Plain::new(slot.get(id)).text() == Some(store)
                && slot.bigint(owner) == tenant
        };
        let read = |slot: &Slot| read_store(&stores, slot);
        let found = stores.only(number, same, |stores| stores.scan_prefix(&[number]), read);
        if found.is_some() {
            return found.transpose();
        }
    }
    let stores = open(c"stores", c"stores_tenant_name")?;
    let mut scan = stores.scan_text(&[tenant], store);
    let Some(slot) = scan.next_row() else { return Ok(None) };
    let row = read_store(&stores, slot)?;
    Ok(scan.next_row().is_none().then_some(row))
}

fn read_store(stores: &Table, slot: &Slot) -> Result<StoreRow, Error> {
    let (id, dimensions) = (stores.column(c"store_id"), stores.column(c"dimensions"));
    let model = stores.column(c"embedding_model");
    let (language, languages) = (stores.column(c"language"), stores.column(c"languages"));
    let (days, active) = (stores.column(c"expires_after_days"), stores.column(c"last_active_at"));
    let mut row = StoreRow {
        store_id: slot.bigint(id),
        language: slot.get(language).map_or(0, |datum| datum.value() as i16),
        languages: Vec::new(),
        dimensions: slot.get(dimensions).map_or(0, |datum| datum.value() as i32 as usize),
        local_model: Plain::new(slot.get(model)).text() == Some("local"),
        expired: slot.get(days).is_some_and(|days| {
            let lifetime = i64::from(days.value() as i32) * MICROSECONDS_PER_DAY;
            // SAFETY: there is a transaction in every function call.
            slot.bigint(active) + lifetime <= unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
        }),
        chunks: 0,
        tokens: 0,
    };
    append(slot, languages, &mut row.languages);
    let counters = open(c"store_counters", c"store_counters_pkey")?;
    let (key, chunks, tokens) =
        (counters.column(c"store_id"), counters.column(c"chunks"), counters.column(c"tokens"));
    let store = row.store_id;
    let counts = counters.only(
        store,
        |slot| slot.bigint(key) == store,
        |counters| counters.scan_prefix(&[store]),
        |slot| (slot.bigint(chunks), slot.bigint(tokens)),
    );
    (row.chunks, row.tokens) = counts.unwrap_or_default();
    Ok(row)
}

/// The segments of a store, oldest first.
pub fn segments(store: i64) -> Result<Vec<SegmentRow>, Error> {
    let table = open(c"segments", c"segments_pkey")?;
    let (id, header, deleted) =
        (table.column(c"segment_id"), table.column(c"header"), table.column(c"deleted"));
    let mut rows = Vec::new();
    let mut scan = table.scan_prefix(&[store]);
    while let Some(slot) = scan.next_row() {
        let header = Plain::new(slot.get(header)).to_vec();
        let deleted = match Plain::new(slot.get(deleted)).bytes() {
            Some(bits) => Some(mask(&header, bits)?),
            None => None,
        };
        rows.push(SegmentRow { segment_id: slot.bigint(id), header, deleted });
    }
    Ok(rows)
}

/// The slots that are marked in a bit set of little-endian words.
fn mask(header: &[u8], bits: &[u8]) -> Result<Mask, Damaged> {
    let mut mask = Mask::none(vectorstore_core::segment::slots(header)?);
    for (word, bytes) in mask.words_mut().iter_mut().zip(bits.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Ok(mask)
}

/// What was added and removed since rows were packed.
pub fn changes(store: i64) -> Result<Changes, Error> {
    let table = open(c"changes", c"changes_pkey")?;
    let (added, removed) = (table.column(c"added"), table.column(c"removed"));
    let mut changes = Changes::default();
    let mut scan = table.scan_prefix(&[store]);
    while let Some(slot) = scan.next_row() {
        append(slot, added, &mut changes.added);
        append(slot, removed, &mut changes.removed);
    }
    changes.added.sort_unstable();
    changes.removed.sort_unstable();
    let removed = &changes.removed;
    changes.added.retain(|id| removed.binary_search(id).is_err());
    Ok(changes)
}

fn append<T>(slot: &Slot, column: usize, to: &mut Vec<T>)
where
    Vec<T>: FromDatum,
{
    let Some(datum) = slot.get(column) else { return };
    // SAFETY: the column is an array of these without NULL.
    to.extend(unsafe { Vec::<T>::from_datum(datum, false) }.unwrap_or_default());
}
