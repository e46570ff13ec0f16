//! The token vectors: a safetensors file with one matrix of 16-bit floats, read straight from the map.

use half::f16;
use half::slice::HalfFloatSliceExt;
use memmap2::Mmap;
use serde::Deserialize;

use super::{DIMENSIONS, Fault};

const TENSOR: &str = "embedding.weight";
const ROW_BYTES: usize = DIMENSIONS * size_of::<u16>();
/// A header of one tensor has about 100 bytes; the format itself allows 100 MB.
const MAX_HEADER_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "embedding.weight")]
    tensor: Option<Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// Matrix of token vectors inside a mapped file; its whole range is known to lie in the file.
pub(super) struct Weights {
    map: Mmap,
    start: usize,
    rows: usize,
}

impl Weights {
    /// Checks the header against the file and the numbers for being finite.
    pub(super) fn new(map: Mmap) -> Result<Self, Fault> {
        let (start, rows) = locate(&map)?;
        let weights = Self { map, start, rows };
        if !weights.all_finite() {
            return Err(Fault::corrupt("the matrix holds values that are not finite"));
        }
        Ok(weights)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the vector of token `id` to `sum`; ids beyond the table count as its last row.
    pub(super) fn add_row(&self, id: u16, sum: &mut [f32]) {
        let row = usize::from(id).min(self.rows - 1);
        let bytes = &self.map[self.start + row * ROW_BYTES..][..ROW_BYTES];
        // Copied by value, since nothing guarantees that the matrix is aligned inside the file.
        let mut halves = [f16::ZERO; DIMENSIONS];
        for (half, pair) in halves.iter_mut().zip(bytes.chunks_exact(2)) {
            *half = f16::from_le_bytes([pair[0], pair[1]]);
        }
        let mut floats = [0.0_f32; DIMENSIONS];
        halves.convert_to_f32_slice(&mut floats);
        for (total, value) in sum.iter_mut().zip(&floats) {
            *total += value;
        }
    }

    /// One infinite or NaN value would make every vector of a text that contains its token useless.
    fn all_finite(&self) -> bool {
        const EXPONENT: u16 = 0x7c00;
        let matrix = &self.map[self.start..][..self.rows * ROW_BYTES];
        matrix.chunks(ROW_BYTES).all(|row| {
            let bad = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]) & EXPONENT == EXPONENT;
            // Without a branch inside the row the compiler turns the loop into vector instructions.
            row.chunks_exact(2).fold(true, |good, pair| good & !bad(pair))
        })
    }
}

/// Returns where the matrix starts in the file and how many rows it has.
fn locate(file: &[u8]) -> Result<(usize, usize), Fault> {
    let (length, rest) =
        file.split_first_chunk::<8>().ok_or_else(|| Fault::corrupt("shorter than 8 bytes"))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER_BYTES {
        return Err(Fault::corrupt(format!("header length {length} exceeds {MAX_HEADER_BYTES}")));
    }
    let (header, data) =
        rest.split_at_checked(length).ok_or_else(|| Fault::corrupt("the file ends inside its header"))?;
    let header: Header =
        serde_json::from_slice(header).map_err(|error| Fault::corrupt(format!("invalid header: {error}")))?;
    let tensor = header.tensor.ok_or_else(|| Fault::unsupported(format!("no tensor \"{TENSOR}\"")))?;
    if tensor.dtype != "F16" {
        return Err(Fault::unsupported(format!("tensor \"{TENSOR}\" is {:?}, not F16", tensor.dtype)));
    }
    let rows = match tensor.shape[..] {
        [rows, DIMENSIONS] if rows > 0 => rows,
        _ => return Err(Fault::unsupported(format!("tensor \"{TENSOR}\" has shape {:?}", tensor.shape))),
    };
    let (begin, end) = tensor.data_offsets;
    if rows.checked_mul(ROW_BYTES).is_none_or(|bytes| begin.checked_add(bytes) != Some(end)) {
        return Err(Fault::corrupt(format!("tensor \"{TENSOR}\" does not fill its range {begin}..{end}")));
    }
    if end > data.len() {
        return Err(Fault::corrupt(format!("{end} bytes of data expected, {} found", data.len())));
    }
    Ok((8 + length + begin, rows))
}
