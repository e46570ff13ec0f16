//! Segments: immutable, packed, searchable copies of rows of a store, as numbered pages.
//!
//! A segment numbers its rows by *slots*, in the order of the vector lists: slots of one list follow each other,
//! and every list begins at a multiple of 32, so the last slots of a list may be empty. Everything in a segment
//! speaks of slots: the vector codes (32 slots a group), the postings of terms, the columns of metadata and the
//! directory that leads back to the rows.
//!
//! This module knows neither Postgres nor a file: pages come from a [`Pages`] and go to a [`PageSink`]. Whatever
//! is read may be damaged; it is checked, and gives [`Damaged`] instead of a panic.

pub mod columns;
pub mod docs;
pub mod mask;
pub mod page;
pub mod terms;
pub mod vectors;
mod whole;
mod wire;

pub use docs::Doc;
pub use mask::Mask;
pub use page::{Damaged, MemoryPages, PAGE_BYTES, PageSink, Pages, Section};
pub use vectors::Plan;
pub use whole::{Segment, SegmentWriter, lists, slots};
