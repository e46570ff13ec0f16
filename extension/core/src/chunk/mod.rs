//! Cuts a document into overlapping chunks of a bounded number of tokens (cl100k_base), as OpenAI's "static"
//! chunking strategy asks for, preferring to cut where the document itself has a break.
//!
//! The text is first cut into atoms ([`atoms`]): lines, words and the like, each with its number of tokens and the
//! strength of the break before it. Chunks are then runs of atoms, found with running sums in linear time: a
//! splitter that counts the tokens of each candidate anew needs seconds for a megabyte. Sums over atoms may miss
//! the true count by a token or two, therefore each finished chunk and each overlap is counted for real and shortened
//! if need be.

mod atoms;
#[cfg(test)]
mod tests;

use std::ops::{Range, RangeInclusive};

use atoms::{Atoms, count_tokens};
use thiserror::Error;

/// Bounds of [`ChunkConfig::max_tokens`].
pub const MAX_TOKENS_RANGE: RangeInclusive<usize> = 100..=4096;

/// How long chunks may be, and by how much one repeats the end of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkConfig {
    /// Most tokens of a chunk, within [`MAX_TOKENS_RANGE`].
    pub max_tokens: usize,
    /// Most tokens that a chunk shares with the one before; at most half of `max_tokens`.
    pub overlap_tokens: usize,
}

impl Default for ChunkConfig {
    /// What OpenAI's strategy "auto" stands for.
    fn default() -> Self {
        Self { max_tokens: 800, overlap_tokens: 400 }
    }
}

impl ChunkConfig {
    /// Checks both values against their bounds.
    pub fn validate(&self) -> Result<(), ChunkError> {
        self.validate_within(MAX_TOKENS_RANGE)
    }

    fn validate_within(&self, range: RangeInclusive<usize>) -> Result<(), ChunkError> {
        let Self { max_tokens, overlap_tokens } = *self;
        if !range.contains(&max_tokens) {
            return Err(ChunkError::MaxTokens {
                given: max_tokens,
                least: *range.start(),
                most: *range.end(),
            });
        }
        if overlap_tokens > max_tokens / 2 {
            return Err(ChunkError::Overlap { given: overlap_tokens, most: max_tokens / 2 });
        }
        Ok(())
    }
}

/// A configuration out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// `max_tokens` is too small or too large.
    #[error("the chunk size must be between {least} and {most} tokens, not {given}")]
    MaxTokens {
        /// The value given.
        given: usize,
        /// The smallest one allowed.
        least: usize,
        /// The largest one allowed.
        most: usize,
    },
    /// `overlap_tokens` exceeds half of `max_tokens`.
    #[error("the chunk overlap must be at most half of the chunk size ({most} tokens), not {given}")]
    Overlap {
        /// The value given.
        given: usize,
        /// The largest one allowed.
        most: usize,
    },
}

/// What kind of breaks a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Paragraphs, lines, sentences, words.
    Text,
    /// Headings, blocks, list items; then as in text. Indentation is kept.
    Markdown,
    /// Blocks of lines set off by blank ones, lines. Indentation is kept.
    Code,
}

/// A chunk as a range of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset behind its last character.
    pub end: usize,
    /// Its number of tokens.
    pub tokens: usize,
}

/// Cuts `text` into chunks, in order. They are trimmed, not empty, and together hold all that is not white space;
/// a text of nothing else yields none.
pub fn chunk(text: &str, config: ChunkConfig, kind: ChunkKind) -> Result<Vec<Chunk>, ChunkError> {
    config.validate()?;
    Ok(split(text, config, kind))
}

/// The work of [`chunk`], for any maximum from 16 tokens: four atoms of one character each always fit.
fn split(text: &str, config: ChunkConfig, kind: ChunkKind) -> Vec<Chunk> {
    let ChunkConfig { max_tokens: max, overlap_tokens: overlap } = config;
    let atoms = Atoms::new(text, kind, max / 4);
    let mut chunks = Vec::new();
    let mut start = atoms.skip_blank(text, 0);
    let mut covered = start;
    while covered < atoms.len() {
        let furthest = atoms.furthest_end(start, max);
        if furthest <= covered {
            // With this much overlap nothing new would fit.
            start = atoms.skip_blank(text, start + 1);
            continue;
        }
        // The last one of the strongest breaks in the second half; the end of the text is the strongest of all.
        let enough = atoms.first_end_of(start, max / 2).clamp(covered + 1, furthest);
        let mut end = (enough..=furthest).max_by_key(|at| atoms.rank(*at)).unwrap_or(furthest);
        let (range, tokens) = loop {
            let range = trim(text, atoms.offset(start)..atoms.offset(end), kind);
            let tokens = count_tokens(&text[range.clone()]);
            if tokens <= max || end - start == 1 {
                break (range, tokens);
            }
            let shorter = atoms.end_without(end, tokens - max);
            if shorter > covered {
                end = shorter;
            } else if start < covered {
                start = atoms.skip_blank(text, start + 1);
            } else {
                end -= 1;
            }
        };
        chunks.push(Chunk { start: range.start, end: range.end, tokens });
        // Each chunk begins with and adds an atom that is not blank: none is empty or a part of its neighbour.
        start = atoms.skip_blank(text, next_start(&atoms, start, end, overlap));
        // Counted for real, too.
        while start < end
            && count_tokens(&text[atoms.offset(start)..range.end.max(atoms.offset(start))]) > overlap
        {
            start = atoms.skip_blank(text, start + 1);
        }
        covered = atoms.skip_blank(text, end);
    }
    chunks
}

/// Where the chunk after `start..end` begins: at the strongest break that makes for half of the overlap or more.
fn next_start(atoms: &Atoms, start: usize, end: usize, overlap: usize) -> usize {
    let earliest = atoms.first_start_within(end, overlap).max(start + 1);
    let latest = atoms.first_start_within(end, overlap / 2).max(earliest);
    // The first one of the strongest, since `max_by_key` returns the last one. The end itself is no overlap.
    (earliest..=latest).rev().filter(|at| *at < end).max_by_key(|at| atoms.rank(*at)).unwrap_or(end)
}

/// Takes white space off both ends, except for the indentation of a first line where that has a meaning.
fn trim(text: &str, range: Range<usize>, kind: ChunkKind) -> Range<usize> {
    let chunk = &text[range.clone()];
    let first = range.end - chunk.trim_start().len();
    let end = range.start + chunk.trim_end().len();
    if kind == ChunkKind::Text {
        return first..end;
    }
    let line = text[range.start..first].rfind('\n').map(|newline| range.start + newline + 1);
    let at_line_start = range.start == 0 || text.as_bytes()[range.start - 1] == b'\n';
    line.or(at_line_start.then_some(range.start)).unwrap_or(first)..end
}
