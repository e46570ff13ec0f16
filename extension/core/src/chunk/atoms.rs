//! The smallest parts of a document that chunks are made of.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use tiktoken_rs::cl100k_base_singleton;

use super::ChunkKind;

/// Text without any break is cut into pieces of this many bytes, so that the tokenizer, whose time for a single
/// word grows faster than the word, never sees a long one on the way to the chunks.
const MAX_ATOM_BYTES: usize = 64;
/// A token is charged for every so many bytes at least: it bounds a chunk of blanks, 80 of which are one token.
const MAX_BYTES_PER_TOKEN: usize = 32;
/// Level of a new page, above that of all headings.
const PAGE: u8 = 7;
/// How far a Markdown block may be indented and still count as the start of its line.
const MAX_INDENT: usize = 32;

/// Strength of the break before an atom, from none to a heading of level one or a new page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Piece,
    Word,
    Sentence,
    Line,
    Item,
    Block,
    /// The higher, the nearer to the root of the document's outline.
    Section(u8),
}

/// A document as atoms, with running sums of their tokens.
pub(super) struct Atoms {
    /// Start of each atom; the last entry is the end of the text.
    offsets: Vec<usize>,
    ranks: Vec<Rank>,
    /// Tokens before each atom; the last entry is their total.
    sums: Vec<usize>,
}

impl Atoms {
    /// Cuts a text into atoms of at most `max_tokens` tokens each, or of one character.
    pub(super) fn new(text: &str, kind: ChunkKind, max_tokens: usize) -> Self {
        let mut atoms = Self { offsets: vec![0], ranks: Vec::new(), sums: vec![0] };
        let mut start = 0;
        let mut rank = Rank::Section(u8::MAX);
        for (at, next) in breaks(text, kind) {
            atoms.push_split(text, start..at, rank, max_tokens);
            (start, rank) = (at, next);
        }
        atoms.push_split(text, start..text.len(), rank, max_tokens);
        atoms
    }

    fn push_split(&mut self, text: &str, range: Range<usize>, rank: Rank, max_tokens: usize) {
        let mut start = range.start;
        let mut rank = rank;
        while start < range.end {
            let end = text.floor_char_boundary(range.end.min(start + MAX_ATOM_BYTES));
            self.push(text, start..end, rank, max_tokens);
            (start, rank) = (end, Rank::Piece);
        }
    }

    /// Adds a piece, in halves if it has too many tokens.
    fn push(&mut self, text: &str, range: Range<usize>, rank: Rank, max_tokens: usize) {
        let piece = &text[range.clone()];
        let tokens = count_tokens(piece).max(piece.len().div_ceil(MAX_BYTES_PER_TOKEN));
        let middle = text.floor_char_boundary(range.start + piece.len() / 2);
        if tokens > max_tokens && middle > range.start {
            self.push(text, range.start..middle, rank, max_tokens);
            return self.push(text, middle..range.end, Rank::Piece, max_tokens);
        }
        self.ranks.push(rank);
        self.offsets.push(range.end);
        self.sums.push(self.sums[self.sums.len() - 1] + tokens);
    }

    pub(super) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// The first atom from `at` on that is not all white space.
    pub(super) fn skip_blank(&self, text: &str, at: usize) -> usize {
        let blank = |at: &usize| text[self.offsets[*at]..self.offsets[at + 1]].trim().is_empty();
        (at..self.len()).find(|at| !blank(at)).unwrap_or(self.len())
    }

    /// Where the atom starts in the text; for the number of atoms, the end of the text.
    pub(super) fn offset(&self, at: usize) -> usize {
        self.offsets[at]
    }

    /// Strength of the break before the atom.
    pub(super) fn rank(&self, at: usize) -> Rank {
        self.ranks.get(at).copied().unwrap_or(Rank::Section(u8::MAX))
    }

    /// Largest end such that `start..end` has at most `tokens` tokens.
    pub(super) fn furthest_end(&self, start: usize, tokens: usize) -> usize {
        self.sums.partition_point(|sum| *sum <= self.sums[start] + tokens) - 1
    }

    /// Smallest end such that `start..end` has at least `tokens` tokens.
    pub(super) fn first_end_of(&self, start: usize, tokens: usize) -> usize {
        self.sums.partition_point(|sum| *sum < self.sums[start] + tokens)
    }

    /// Largest end that leaves out at least the last `tokens` tokens (and one) before `end`.
    pub(super) fn end_without(&self, end: usize, tokens: usize) -> usize {
        let most = self.sums[end].saturating_sub(tokens.max(1));
        self.sums.partition_point(|sum| *sum <= most).saturating_sub(1)
    }

    /// Smallest start such that `start..end` has at most `tokens` tokens.
    pub(super) fn first_start_within(&self, end: usize, tokens: usize) -> usize {
        self.sums.partition_point(|sum| sum + tokens < self.sums[end])
    }
}

/// Number of cl100k_base tokens; special tokens in the text count as plain text.
pub(super) fn count_tokens(text: &str) -> usize {
    cl100k_base_singleton().encode_ordinary(text).len()
}

/// All places where the text may be cut, in order, with their strength.
fn breaks(text: &str, kind: ChunkKind) -> Vec<(usize, Rank)> {
    let blocks = if kind == ChunkKind::Markdown { markdown_blocks(text) } else { Vec::new() };
    let mut blocks = blocks.into_iter().peekable();
    let mut breaks = Vec::with_capacity(text.len() / 5);
    let mut before = '\n';
    let mut sentence_over = false;
    let mut line_is_blank = true;
    let mut page_over = false;
    for (at, c) in text.char_indices() {
        let rank = if before == '\n' {
            let after_blank_line = std::mem::replace(&mut line_is_blank, true);
            match kind {
                // The break is to come behind blank lines, where the next line shows how strong it is.
                _ if matches!(c, '\n' | '\r') => None,
                ChunkKind::Text if after_blank_line => Some(Rank::Block),
                ChunkKind::Code if after_blank_line && !c.is_whitespace() => Some(Rank::Section(0)),
                ChunkKind::Code if after_blank_line => Some(Rank::Block),
                _ => Some(Rank::Line),
            }
        } else if c == ' ' && !before.is_whitespace() {
            Some(if sentence_over && kind != ChunkKind::Code { Rank::Sentence } else { Rank::Word })
        } else {
            matches!(before, '。' | '！' | '？').then_some(Rank::Sentence)
        };
        page_over |= before == '\u{c}';
        let page = (page_over && !c.is_whitespace()).then_some(Rank::Section(PAGE));
        page_over &= page.is_none();
        let mut block = None;
        while let Some((start, rank)) = blocks.next_if(|(start, _)| *start <= at) {
            block = block.max((start == at).then_some(rank));
        }
        if let Some(rank) = page.or(block).or(rank)
            && at > 0
        {
            breaks.push((at, rank));
        }
        line_is_blank &= c.is_whitespace();
        // A closing quote or bracket still belongs to the sentence.
        let closing = matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»');
        sentence_over = matches!(c, '.' | '!' | '?' | '…') || (sentence_over && closing);
        before = c;
    }
    breaks
}

/// Starts of lines with which a Markdown block begins.
fn markdown_blocks(text: &str) -> Vec<(usize, Rank)> {
    let mut blocks = Vec::new();
    let mut after_heading = false;
    let mut headed_line = None;
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let rank = match event {
            Event::Start(Tag::Heading { level, .. }) => Rank::Section(outline_rank(level)),
            Event::Start(Tag::Item) => Rank::Item,
            Event::Rule
            | Event::Start(
                Tag::Paragraph
                | Tag::CodeBlock(_)
                | Tag::BlockQuote(_)
                | Tag::List(_)
                | Tag::Table(_)
                | Tag::HtmlBlock
                | Tag::FootnoteDefinition(_),
            ) => Rank::Block,
            Event::End(TagEnd::Heading(_)) => {
                after_heading = true;
                continue;
            }
            _ => continue,
        };
        let Some(line) = line_start(text, range.start) else { continue };
        if std::mem::take(&mut after_heading) {
            headed_line = Some(line);
        }
        // A heading must not be torn from what it heads.
        blocks.push((line, if headed_line == Some(line) { Rank::Word } else { rank }));
    }
    blocks
}

fn outline_rank(level: HeadingLevel) -> u8 {
    7 - level as u8
}

/// Start of the line if nothing but indentation or quote marks stands before `at`.
fn line_start(text: &str, at: usize) -> Option<usize> {
    let before = &text.as_bytes()[at.saturating_sub(MAX_INDENT)..at];
    let indent = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'>')).count();
    let line = at - indent;
    (line == 0 || text.as_bytes()[line - 1] == b'\n').then_some(line)
}
