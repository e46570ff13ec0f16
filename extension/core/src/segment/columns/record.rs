//! Where the parts of a column are.

use crate::segment::{Damaged, Pages};

/// Bytes of an encoded [`Record`].
pub(super) const RECORD: usize = 38;

/// Blocks in consecutive pages. Only a single block may begin within its page, which it then shares with others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// Page of the first block.
    pub(super) page: u32,
    /// Where the block begins in its page.
    pub(super) offset: u16,
    /// Number of blocks.
    pub(super) pages: u32,
}

impl Run {
    /// Calls `read` with the bytes from the block at `index` to the end of its page.
    pub(super) fn with<T>(
        self,
        pages: &impl Pages,
        index: u32,
        read: impl FnOnce(&[u8]) -> Result<T, Damaged>,
    ) -> Result<T, Damaged> {
        let page = self.page.checked_add(index).filter(|_| index < self.pages);
        pages.with(page.ok_or(Damaged("page of a column"))?, |bytes| {
            read(bytes.get(usize::from(self.offset)..).ok_or(Damaged("offset in a page"))?)
        })
    }
}

/// How the codes of a column are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all: the column outgrew the builder.
    Dropped,
    /// A code for every slot; 0 where there is no value.
    Dense,
    /// Pairs of slot and code, ascending.
    Sparse,
}

/// A column. Codes are indexes of the dictionary plus one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    /// Bytes of a code: 1, 2 or 4.
    pub(super) width: u8,
    /// Values in the dictionary.
    pub(super) distinct: u32,
    /// Index of the first value that is a number, or sorts after them.
    pub(super) numbers: u32,
    /// Index of the first value that is a string, or sorts after them.
    pub(super) strings: u32,
    /// Slots that have a value.
    pub(super) rows: u32,
    pub(super) dictionary: Run,
    pub(super) codes: Run,
}

impl Record {
    /// A column without values.
    pub(super) const EMPTY: Self = Self {
        kind: Kind::Sparse,
        width: 1,
        distinct: 0,
        numbers: 0,
        strings: 0,
        rows: 0,
        dictionary: Run { page: 0, offset: 0, pages: 0 },
        codes: Run { page: 0, offset: 0, pages: 0 },
    };

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Dropped => 0,
            Kind::Dense => 1,
            Kind::Sparse => 2,
        };
        out.extend_from_slice(&[kind, self.width]);
        for number in [self.distinct, self.numbers, self.strings, self.rows] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for run in [self.dictionary, self.codes] {
            out.extend_from_slice(&run.page.to_le_bytes());
            out.extend_from_slice(&run.offset.to_le_bytes());
            out.extend_from_slice(&run.pages.to_le_bytes());
        }
    }

    /// Reads a record of a segment of `slots` slots, and checks what can be checked without its pages.
    pub(super) fn decode(bytes: &mut &[u8], slots: u32) -> Result<Self, Damaged> {
        let [kind, width] = take(bytes)?;
        let kind = match kind {
            0 => Kind::Dropped,
            1 => Kind::Dense,
            2 => Kind::Sparse,
            _ => return Err(Damaged("kind of a column")),
        };
        let most = match width {
            1 => u32::from(u8::MAX),
            2 => u32::from(u16::MAX),
            4 => u32::MAX,
            _ => return Err(Damaged("width of a column")),
        };
        let [distinct, numbers, strings, rows] =
            [take_u32(bytes)?, take_u32(bytes)?, take_u32(bytes)?, take_u32(bytes)?];
        let mut run = || -> Result<Run, Damaged> {
            Ok(Run {
                page: take_u32(bytes)?,
                offset: u16::from_le_bytes(take(bytes)?),
                pages: take_u32(bytes)?,
            })
        };
        let (dictionary, codes) = (run()?, run()?);
        if numbers > strings || strings > distinct || distinct > most.min(slots) || rows > slots {
            return Err(Damaged("numbers of a column"));
        }
        Ok(Self { kind, width, distinct, numbers, strings, rows, dictionary, codes })
    }
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Damaged("short record of columns"))?;
    *bytes = rest;
    Ok(*head)
}

pub(super) fn take_u32(bytes: &mut &[u8]) -> Result<u32, Damaged> {
    take(bytes).map(u32::from_le_bytes)
}
