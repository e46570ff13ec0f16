//! Vectors of a segment: lists of similar rows, and a one-bit code of every row.
//!
//! A row is brought to length one, its list's centroid is subtracted, and the rest is rotated. A code keeps the sign of
//! every rotated coordinate; together with one factor a row, it estimates the row's cosine to a query within a few
//! hundredths (RaBitQ: Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound",
//! SIGMOD 2024). A search scans the codes of the nearest lists and compares only the best rows exactly.
//!
//! The codes are rows of 32 bytes over the pages of one section, 253 to a page. A *group* is 32 slots: row `m`
//! of a group is byte `m` of its 32 codes, and two last rows are the 32 factors as half-precision numbers. Groups follow
//! each other without gaps, so a group may go on in the next page. The directory section holds the number of rows
//! of every list (u32) and then the centroids (f32), as one run of bytes. All numbers are little-endian.

mod candidates;
mod codes;
mod kernel;
mod kmeans;
mod query;
mod rotation;
mod scan;
#[cfg(test)]
mod tests;

pub use candidates::{Candidate, Candidates};
pub use codes::{Layout, VectorWriter};
pub use kmeans::{FLAT_ROWS, Plan};
pub use query::CodeQuery;
pub use scan::{ScanStats, default_probes};

use kernel::{FACTOR_BYTES, GROUP};

use super::{Damaged, Mask, PAGE_BYTES, Pages, Section};

/// Most dimensions of a vector.
pub const MAX_DIMS: usize = 16_000;

/// Fewer bits a row would estimate too badly; shorter vectors are rotated into this many dimensions.
const MIN_BITS: usize = 128;

/// More bits a row would overflow the 16-bit sums of the kernel; of longer vectors only so many rotated coordinates
/// are kept, which is a random projection.
const MAX_BITS: usize = 2048;

/// Version of the format that this module writes and reads.
const FORMAT: u8 = 1;

/// Most lists that are believed.
const MAX_LISTS: u32 = 1 << 16;

/// Sizes that follow from the dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Coordinates that are rotated.
    width: usize,
    /// Coordinates whose signs are kept, a multiple of 8.
    bits: usize,
}

impl Shape {
    fn new(dims: usize) -> Self {
        let width = dims.next_multiple_of(8).max(MIN_BITS);
        Self { width, bits: width.min(MAX_BITS) }
    }

    /// Rows of 32 bytes of a group's codes.
    fn code_rows(self) -> usize {
        self.bits / 8
    }

    fn group_bytes(self) -> usize {
        self.code_rows() * GROUP + FACTOR_BYTES
    }
}

/// Where the parts of [`Vectors`] are, as kept in a segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorsMeta {
    /// Dimensions of the vectors.
    pub dims: u32,
    /// Number of lists.
    pub lists: u32,
    /// Pages of list sizes and centroids.
    pub directory: Section,
    /// Pages of codes.
    pub codes: Section,
}

impl VectorsMeta {
    /// Appends 25 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        let Self { dims, lists, directory, codes } = self;
        for number in [*dims, *lists, directory.first, directory.pages, codes.first, codes.pages] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Reads what [`VectorsMeta::encode`] wrote and moves `from` past it.
    ///
    /// # Errors
    /// [`Damaged`] when it ends early, or dimensions or lists cannot be.
    pub fn decode(from: &mut &[u8]) -> Result<Self, Damaged> {
        let (bytes, rest) = from.split_first_chunk::<25>().ok_or(Damaged("vectors header ends early"))?;
        if bytes[0] != FORMAT {
            return Err(Damaged("format of the vectors"));
        }
        let mut numbers = bytes[1..].as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number));
        let mut next = || numbers.next().unwrap_or(0);
        let meta = Self {
            dims: next(),
            lists: next(),
            directory: Section { first: next(), pages: next() },
            codes: Section { first: next(), pages: next() },
        };
        meta.check()?;
        *from = rest;
        Ok(meta)
    }

    fn check(&self) -> Result<(), Damaged> {
        let sound = (1..=MAX_DIMS as u32).contains(&self.dims) && (1..=MAX_LISTS).contains(&self.lists);
        if sound { Ok(()) } else { Err(Damaged("dimensions or lists")) }
    }
}

/// The vectors of a segment, ready to be scanned.
///
/// Caches the centroids and the list sizes: 4 bytes a list and dimension and 12 bytes a list, which is 0.5 MB for
/// 100,000 rows of 384 dimensions. A segment of one list caches one centroid. Codes are read from their pages.
#[derive(Debug, Clone)]
pub struct Vectors {
    dims: usize,
    shape: Shape,
    layout: Layout,
    centroids: Vec<f32>,
    /// One over the length of every centroid; 0 for one without length.
    inverses: Vec<f32>,
    codes: Section,
    /// Bytes of all codes.
    code_bytes: u64,
}

impl Vectors {
    /// Reads the directory.
    ///
    /// # Errors
    /// [`Damaged`] when a page is missing or short, or sizes contradict each other.
    pub fn load(meta: &VectorsMeta, pages: &impl Pages) -> Result<Self, Damaged> {
        meta.check()?;
        let (dims, lists) = (meta.dims as usize, meta.lists as usize);
        // Fits: at most 2^16 lists of 16,000 dimensions.
        let bytes = 4 * (lists as u64 + lists as u64 * dims as u64);
        if u64::from(meta.directory.pages) != bytes.div_ceil(PAGE_BYTES as u64) {
            return Err(Damaged("pages of the lists"));
        }
        // Grows page by page, so that no header alone can ask for much memory.
        let (mut counts, mut centroids) = (Vec::new(), Vec::new());
        for index in 0..meta.directory.pages {
            let length = (bytes - u64::from(index) * PAGE_BYTES as u64).min(PAGE_BYTES as u64);
            pages.with(meta.directory.page(index)?, |page| {
                if page.len() as u64 != length {
                    return Err(Damaged("length of a page of lists"));
                }
                let (numbers, _) = page.as_chunks::<4>();
                let (sizes, values) = numbers.split_at((lists - counts.len()).min(numbers.len()));
                counts.extend(sizes.iter().map(|number| u32::from_le_bytes(*number)));
                centroids.extend(values.iter().map(|number| f32::from_le_bytes(*number)));
                Ok(())
            })?;
        }
        centroids.shrink_to_fit();
        if !centroids.iter().all(|value| value.is_finite()) {
            return Err(Damaged("centroid"));
        }
        let layout = Layout::checked(counts).ok_or(Damaged("sizes of the lists"))?;
        let shape = Shape::new(dims);
        let code_bytes = u64::from(layout.slots()) / GROUP as u64 * shape.group_bytes() as u64;
        if u64::from(meta.codes.pages) != code_bytes.div_ceil(PAGE_BYTES as u64) {
            return Err(Damaged("pages of the codes"));
        }
        let inverses = centroids.chunks_exact(dims).map(query::unit_scale).collect();
        Ok(Self { dims, shape, layout, centroids, inverses, codes: meta.codes, code_bytes })
    }

    /// Dimensions of the vectors.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Number of slots, with the empty ones.
    pub fn slots(&self) -> u32 {
        self.layout.slots()
    }

    /// The lists and their slots.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All slots that hold a row.
    pub fn present(&self) -> Mask {
        let mut mask = Mask::none(self.slots());
        for list in 0..self.layout.lists() {
            let first = self.layout.first_slot(list) / GROUP as u32;
            let groups = self.layout.count(list).div_ceil(GROUP as u32);
            for index in 0..groups {
                mask.words_mut()[(first + index) as usize] = self.held(list, index);
            }
        }
        mask
    }

    /// Bytes that this holds in memory.
    pub fn cached_bytes(&self) -> usize {
        size_of::<Self>() + 4 * (self.centroids.capacity() + self.inverses.capacity()) + self.layout.bytes()
    }

    /// The slots that hold a row in group `index` of a list, a bit each.
    fn held(&self, list: u32, index: u32) -> u32 {
        let rest = self.layout.count(list).saturating_sub(index * GROUP as u32);
        if rest >= GROUP as u32 { u32::MAX } else { (1 << rest) - 1 }
    }
}
