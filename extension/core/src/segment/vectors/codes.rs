//! Writing: the slots of a segment and the codes of its rows.

use half::f16;

use super::kernel::{GROUP, Kernel};
use super::kmeans::Plan;
use super::query::unit_scale;
use super::rotation::Rotation;
use super::{Shape, VectorsMeta};
use crate::segment::{PAGE_BYTES, PageSink, Section};

/// Where every list has its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    counts: Vec<u32>,
    /// First slot of every list, and the number of slots.
    firsts: Vec<u32>,
}

impl Layout {
    /// The layout of lists with these numbers of rows.
    ///
    /// # Panics
    /// When there are more slots than a u32 numbers: a segment is far smaller.
    pub fn new(counts: &[u32]) -> Self {
        Self::checked(counts.to_vec()).expect("slots of a segment fit 32 bits")
    }

    /// As [`Layout::new`], for counts that were read.
    pub(super) fn checked(counts: Vec<u32>) -> Option<Self> {
        let mut firsts = Vec::with_capacity(counts.len() + 1);
        let mut next = 0u32;
        firsts.push(next);
        for &count in &counts {
            next = next.checked_add(count.checked_next_multiple_of(GROUP as u32)?)?;
            firsts.push(next);
        }
        Some(Self { counts, firsts })
    }

    /// Number of lists.
    pub fn lists(&self) -> u32 {
        self.counts.len() as u32
    }

    /// The first slot of a list, a multiple of 32; the number of slots from the last list on.
    pub fn first_slot(&self, list: u32) -> u32 {
        self.firsts.get(list as usize).copied().unwrap_or(self.slots())
    }

    /// Rows of a list, which has the slots from [`Layout::first_slot`] on; 0 for a list that does not exist.
    pub fn count(&self, list: u32) -> u32 {
        self.counts.get(list as usize).copied().unwrap_or(0)
    }

    /// Number of slots, with the empty ones: a multiple of 32.
    pub fn slots(&self) -> u32 {
        self.firsts.last().copied().unwrap_or(0)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        4 * (self.counts.capacity() + self.firsts.capacity())
    }
}

/// Collects the codes of a segment's rows: one bit a coordinate and two bytes a row (50 bytes a row of 384
/// dimensions), plus the centroids of the plan.
#[derive(Debug)]
pub struct VectorWriter {
    plan: Plan,
    layout: Layout,
    shape: Shape,
    rotation: Rotation,
    kernel: Kernel,
    codes: Vec<u8>,
    residual: Vec<f32>,
}

impl VectorWriter {
    /// A writer for rows in the lists of `plan`, at the slots of `layout`.
    ///
    /// # Panics
    /// When the two have not the same number of lists.
    pub fn new(plan: Plan, layout: Layout) -> Self {
        assert_eq!(plan.lists(), layout.lists(), "lists of plan and layout");
        let shape = Shape::new(plan.dims());
        let codes = vec![0; layout.slots() as usize / GROUP * shape.group_bytes()];
        let (rotation, residual) = (Rotation::new(shape.width), vec![0.0; shape.width]);
        Self { plan, layout, shape, rotation, kernel: Kernel::detect(), codes, residual }
    }

    /// Encodes the row at `slot`, which is one of `list`'s. Every slot of a list is put once, in any order.
    ///
    /// # Panics
    /// When the slot or the list does not exist or the vector has not the plan's dimensions.
    pub fn put(&mut self, slot: u32, list: u32, vector: &[f32]) {
        let dims = self.plan.dims();
        assert!(
            vector.len() == dims && slot < self.layout.slots() && list < self.plan.lists(),
            "row of a segment"
        );
        let centroid = &self.plan.centroids()[list as usize * dims..][..dims];
        let scale = unit_scale(vector);
        for ((place, value), centre) in self.residual.iter_mut().zip(vector).zip(centroid) {
            *place = if scale > 0.0 { value * scale } else { 0.0 } - centre;
        }
        self.residual[dims..].fill(0.0);
        let square = self.kernel.dot(&self.residual, &self.residual);
        self.rotation.apply(&mut self.residual);
        let kept = &self.residual[..self.shape.bits];
        let length: f32 = kept.iter().map(|value| value.abs()).sum();
        let factor = f16::from_f32(if length > 0.0 { square / length } else { 0.0 });

        let group = slot as usize / GROUP * self.shape.group_bytes();
        let group = &mut self.codes[group..][..self.shape.group_bytes()];
        let (rows, factors) = group.split_at_mut(self.shape.code_rows() * GROUP);
        let lane = slot as usize % GROUP;
        for (row, eight) in rows.as_chunks_mut::<GROUP>().0.iter_mut().zip(kept.as_chunks::<8>().0) {
            row[lane] = eight.iter().rev().fold(0, |bits, value| bits << 1 | u8::from(*value > 0.0));
        }
        factors[2 * lane..][..2].copy_from_slice(&factor.to_le_bytes());
    }

    /// Writes centroids, list sizes and codes.
    pub fn finish(self, sink: &mut impl PageSink) -> VectorsMeta {
        let mut directory = Vec::with_capacity(4 * (self.layout.counts.len() + self.plan.centroids().len()));
        self.layout.counts.iter().for_each(|count| directory.extend_from_slice(&count.to_le_bytes()));
        self.plan.centroids().iter().for_each(|value| directory.extend_from_slice(&value.to_le_bytes()));
        VectorsMeta {
            dims: self.plan.dims() as u32,
            lists: self.plan.lists(),
            directory: push(sink, &directory),
            codes: push(sink, &self.codes),
        }
    }
}

/// Writes bytes as full pages and one rest.
fn push(sink: &mut impl PageSink, bytes: &[u8]) -> Section {
    let mut section = Section::default();
    for page in bytes.chunks(PAGE_BYTES) {
        let number = sink.push(page);
        if section.pages == 0 {
            section.first = number;
        }
        section.pages += 1;
    }
    section
}
