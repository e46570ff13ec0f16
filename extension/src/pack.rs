//! Makes segments out of rows. Called by merges, and by statements that bring many rows at once.

use crate::catalog;
use crate::error::Error;
use crate::rows::{Chunk, Chunks};
use crate::segments::PageTable;
use pgrx::datum::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiClient};
use vectorstore_core::filter::Found;
use vectorstore_core::segment::{Damaged, Doc, Mask, PageSink, Plan, SegmentWriter};

/// Rows whose vectors the lists are learnt from: at most this many, spread over all rows.
const SAMPLE: usize = 65_536;
/// Rows whose lists are looked for at once.
const ASSIGN: usize = 1_024;

/// What the first pass over the rows finds.
struct Survey {
    dimensions: usize,
    rows: usize,
    sample: Vec<f32>,
    /// Whether a row has a file, or an attribute of that name.
    any_file: bool,
}

/// Packs the chunks of a store that have these numbers into a segment; returns its number, or NULL when the statement
/// sees none of them.
#[pg_extern(sql = false, volatile, strict)]
fn pack(store_id: i64, chunk_ids: Array<i64>) -> Result<Option<i64>, ErrorReport> {
    let mut ids: Vec<i64> = chunk_ids.iter().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(pack_rows(store_id, &ids)?)
}

fn pack_rows(store: i64, ids: &[i64]) -> Result<Option<i64>, Error> {
    let chunks = Chunks::open().ok_or(Error::NotInstalled)?;
    let survey = survey(&chunks, store, ids);
    if survey.rows == 0 {
        return Ok(None);
    }
    let plan = Plan::train(survey.dimensions, survey.rows, &survey.sample);
    let lists = if plan.lists() == 1 {
        vec![0; survey.rows]
    } else {
        assign(&plan, &chunks, store, ids, survey.dimensions)
    };
    let mut writer = SegmentWriter::new(plan, lists);
    chunks.some(store, ids, |chunk| add(&mut writer, chunk, survey.any_file));

    Spi::connect_mut(|client| {
        let segment: i64 = client
            .select("SELECT nextval('vectorstore.segments_segment_id_seq')", Some(1), &[])?
            .first()
            .get(1)?
            .ok_or(Error::NotInstalled)?;
        let insert = client
            .prepare_mut(
                "INSERT INTO vectorstore.segment_pages (store_id, segment_id, page, data) VALUES ($1, $2, $3, $4)",
                &pgrx::oids_of![i64, i64, i32, Vec<u8>],
            )?
            .keep();
        let mut sink = Rows { client, insert, store, segment, pages: 0 };
        let header = writer.finish(crate::id::strong_random(), &mut sink);
        let pages = sink.pages;
        client.update(
            "INSERT INTO vectorstore.segments (store_id, segment_id, rows, pages, header) OVERRIDING SYSTEM VALUE
             VALUES ($1, $2, $3, $4, $5)",
            None,
            &[store.into(), segment.into(), (survey.rows as i64).into(), (pages as i32).into(), header.into()],
        )?;
        Ok(Some(segment))
    })
}

fn survey(chunks: &Chunks, store: i64, ids: &[i64]) -> Survey {
    let mut survey = Survey { dimensions: 0, rows: 0, sample: Vec::new(), any_file: false };
    let step = ids.len().div_ceil(SAMPLE).max(1);
    chunks.some(store, ids, |chunk| {
        if survey.rows.is_multiple_of(step) {
            chunk.with_embedding(|vector| {
                survey.dimensions = vector.len();
                survey.sample.extend_from_slice(vector);
            });
        }
        survey.rows += 1;
        survey.any_file |= chunk.file_id().bytes().is_some() || chunk.metadata().has("file_id");
    });
    survey
}

/// The list of every row, in order.
fn assign(plan: &Plan, chunks: &Chunks, store: i64, ids: &[i64], dimensions: usize) -> Vec<u32> {
    let mut lists = Vec::with_capacity(ids.len());
    let mut waiting = Vec::with_capacity(ASSIGN * dimensions);
    chunks.some(store, ids, |chunk| {
        chunk.with_embedding(|vector| waiting.extend_from_slice(vector));
        if waiting.len() >= ASSIGN * dimensions {
            lists.extend(plan.assign_many(&waiting));
            waiting.clear();
        }
    });
    lists.extend(plan.assign_many(&waiting));
    lists
}

fn add(writer: &mut SegmentWriter, chunk: &Chunk, any_file: bool) {
    let tid = chunk.tid();
    let doc = Doc { chunk_id: chunk.chunk_id(), block: tid.block, line: tid.line };
    let slot = chunk.with_embedding(|vector| writer.add(doc, vector, chunk.lexemes().lexemes()));
    writer.created_at(slot, chunk.created_at());
    let metadata = chunk.metadata();
    metadata.scalars(|key, value| writer.attribute(slot, key, value));
    // What filters may ask for though it is no metadata; a row's own attribute of that name comes first.
    if !metadata.has("filename") {
        let filename = chunk.filename();
        writer.attribute(slot, "filename", Found::String(filename.text().unwrap_or("document.txt").into()));
    }
    // Without any file the ids of the rows stand for themselves, and are not worth a column.
    if any_file && !metadata.has("file_id") {
        let (file, own) = (chunk.file_id(), chunk.id());
        let id = file.text().or(own.text()).unwrap_or_default();
        writer.attribute(slot, "file_id", Found::String(id.into()));
    }
}

/// Puts pages into the table.
struct Rows<'c, 'd> {
    client: &'c mut SpiClient<'d>,
    insert: OwnedPreparedStatement,
    store: i64,
    segment: i64,
    pages: u32,
}

impl PageSink for Rows<'_, '_> {
    fn push(&mut self, page: &[u8]) -> u32 {
        let number = self.pages;
        self.pages += 1;
        let arguments = [self.store.into(), self.segment.into(), (number as i32).into(), page.into()];
        // An error of Postgres does not return here; what is left is a statement that does not fit its arguments.
        self.client.update(&self.insert, None, &arguments).expect("the statement takes these arguments");
        number
    }
}

/// Number of lists that the vectors of a segment are divided into.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn segment_lists(header: &[u8]) -> Result<i32, ErrorReport> {
    let lists = vectorstore_core::segment::lists(header).map_err(Error::from)?;
    Ok(i32::try_from(lists).unwrap_or(i32::MAX))
}

/// Numbers of the chunks of a segment that are not marked as deleted, ascending.
#[pg_extern(sql = false, stable, strict)]
fn segment_chunks(store_id: i64, segment_id: i64) -> Result<Vec<i64>, ErrorReport> {
    let (ids, deleted) = marks(store_id, segment_id)?;
    Ok(ids.into_iter().filter(|&(_, slot)| !deleted.contains(slot)).map(|(id, _)| id).collect())
}

/// Marks chunks of a segment as deleted; returns those that are in the segment.
#[pg_extern(sql = false, volatile, strict)]
fn mark_deleted(store_id: i64, segment_id: i64, chunk_ids: Array<i64>) -> Result<Vec<i64>, ErrorReport> {
    let (ids, mut deleted) = marks(store_id, segment_id)?;
    let mut found: Vec<i64> = chunk_ids.iter().flatten().collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|id| match ids.binary_search_by_key(id, |&(id, _)| id) {
        Ok(at) => {
            deleted.insert(ids[at].1);
            true
        }
        Err(_) => false,
    });
    if !found.is_empty() {
        let bits: Vec<u8> = deleted.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        Spi::run_with_args(
            "UPDATE vectorstore.segments SET deleted = $3 WHERE store_id = $1 AND segment_id = $2",
            &[store_id.into(), segment_id.into(), bits.into()],
        )
        .map_err(Error::from)?;
    }
    Ok(found)
}

/// The chunks of a segment with their slots, ascending, and the slots that are marked as deleted.
fn marks(store: i64, segment: i64) -> Result<(Vec<(i64, u32)>, Mask), Error> {
    let rows = catalog::segments(store)?;
    let row = rows
        .into_iter()
        .find(|row| row.segment_id == segment)
        .ok_or(Error::Damaged(Damaged("no such segment")))?;
    let table = PageTable::open().ok_or(Error::NotInstalled)?;
    let reader = table.reader();
    let opened = reader.open(store, segment, &row.header)?;
    let docs = &opened.segment.docs;
    let ids = docs.ids(&reader.pages(&opened, store, segment))?;
    Ok((ids, row.deleted.unwrap_or_else(|| Mask::none(docs.slots()))))
}
