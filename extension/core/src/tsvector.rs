//! Reads PostgreSQL's `tsvector` where it lies, without copying it.
//!
//! Layout (src/include/tsearch/ts_type.h), little-endian, behind the varlena header: `i32 n`, then `n` entries
//! of 32 bits (1 bit "has positions", 11 bits length, 20 bits offset), sorted by lexeme, then the lexemes;
//! a lexeme's positions follow it on the next even offset as `u16 count` and `count` times `u16`.
//! Every read is checked: a damaged value gives fewer lexemes or counts, never a read outside the slice.

use std::cmp::Ordering;

/// A borrowed `tsvector`.
#[derive(Clone, Copy, Debug)]
pub struct TsVector<'a> {
    entries: &'a [u8],
    lexemes: &'a [u8],
}

impl<'a> TsVector<'a> {
    /// Wraps the bytes behind the varlena header; damaged bytes read as an empty vector.
    pub fn new(bytes: &'a [u8]) -> Self {
        const EMPTY: TsVector<'static> = TsVector { entries: &[], lexemes: &[] };
        let Some((count, rest)) = bytes.split_first_chunk::<4>() else { return EMPTY };
        let Ok(count) = usize::try_from(i32::from_le_bytes(*count)) else { return EMPTY };
        match count.checked_mul(4).and_then(|size| rest.split_at_checked(size)) {
            Some((entries, lexemes)) => TsVector { entries, lexemes },
            None => EMPTY,
        }
    }

    /// Number of distinct lexemes.
    pub fn len(&self) -> usize {
        self.entries.len() / 4
    }

    /// Whether there is no lexeme.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lexeme at `index` and how often it occurs. Postgres keeps at most 255 positions of a lexeme, and a
    /// vector stripped of positions counts each lexeme once.
    pub fn get(&self, index: usize) -> Option<(&'a [u8], u32)> {
        let entry = self.entry(index)?;
        let (start, len) = ((entry >> 12) as usize, (entry >> 1 & 0x7ff) as usize);
        let word = self.lexemes.get(start..start + len)?;
        if entry & 1 == 0 {
            return Some((word, 1));
        }
        let at = (start + len).next_multiple_of(2);
        let count = self.lexemes.get(at..at + 2)?;
        Some((word, u32::from(u16::from_le_bytes([count[0], count[1]])).max(1)))
    }

    /// Index of a lexeme.
    pub fn find(&self, word: &[u8]) -> Option<usize> {
        match self.count_from(0, word) {
            (0, _) => None,
            (_, next) => Some(next - 1),
        }
    }

    /// Positions of the lexeme at `index` in the text, ascending, from 1 on; the two highest bits of what is stored
    /// are its weight and are taken off.
    pub fn positions(self, index: usize) -> impl Iterator<Item = u16> + 'a {
        let stored = self.entry(index).filter(|entry| entry & 1 == 1).and_then(|entry| {
            let at = ((entry >> 12) as usize + (entry >> 1 & 0x7ff) as usize).next_multiple_of(2);
            let count = u16::from_le_bytes(*self.lexemes.get(at..)?.first_chunk()?);
            self.lexemes.get(at + 2..at + 2 + 2 * usize::from(count))
        });
        stored.unwrap_or_default().as_chunks().0.iter().map(|position| u16::from_le_bytes(*position) & 0x3fff)
    }

    /// All lexemes with their counts, in byte order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], u32)> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    /// Number of tokens: the sum of all counts.
    pub fn total(self) -> u32 {
        self.iter().fold(0u32, |sum, (_, count)| sum.saturating_add(count))
    }

    /// How often `word` occurs, searching entries from `from` on; also the entry to go on from, so that a
    /// sorted list of words needs one walk.
    pub fn count_from(&self, from: usize, word: &[u8]) -> (u32, usize) {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).map(|(found, count)| (found.cmp(word), count)) {
                Some((Ordering::Equal, count)) => return (count, middle + 1),
                Some((Ordering::Less, _)) => low = middle + 1,
                _ => high = middle,
            }
        }
        (0, low)
    }

    fn entry(&self, index: usize) -> Option<u32> {
        let bytes = self.entries.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// A word at its place in a document, to be written into a `tsvector`.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Its first eight bytes as a number, which decide most comparisons.
    prefix: u64,
    start: u32,
    len: u16,
    /// From 1 on.
    position: u16,
}

impl Word {
    /// Adds a lexeme of at most 2,047 bytes, at this position, to the text that words are parts of.
    pub fn add(text: &mut Vec<u8>, lexeme: &[u8], position: u16) -> Self {
        let mut first = [0; 8];
        let known = lexeme.len().min(8);
        first[..known].copy_from_slice(&lexeme[..known]);
        let start = text.len() as u32;
        text.extend(lexeme);
        Self { prefix: u64::from_be_bytes(first), start, len: lexeme.len() as u16, position }
    }

    /// The same word so many positions later; `None` behind the last position.
    pub fn later(self, positions: u16) -> Option<Self> {
        /// `MAXENTRYPOS - 1`, where `to_tsvector` puts all that follows.
        const LAST: u16 = 16_383;
        let position = self.position.checked_add(positions).filter(|&position| position < LAST)?;
        Some(Self { position, ..self })
    }

    /// Its position.
    pub fn position(self) -> u16 {
        self.position
    }

    /// Its lexeme.
    pub fn lexeme(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.start as usize + usize::from(self.len)]
    }

    fn order(self, other: Self, text: &[u8]) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| self.lexeme(text).cmp(other.lexeme(text)))
    }
}

/// Writes words, parts of `text`, in any order, as the bytes behind the varlena header of a `tsvector`. As `to_tsvector`
/// does, it keeps the first 255 positions of a lexeme.
pub fn write(words: &mut [Word], text: &[u8], bytes: &mut Vec<u8>) {
    /// `MAXNUMPOS - 1`.
    const POSITIONS: usize = 255;
    words.sort_unstable_by(|one, other| one.order(*other, text).then(one.position.cmp(&other.position)));
    let lexemes = || words.chunk_by(|one, other| one.order(*other, text).is_eq());
    let count = lexemes().count();
    bytes.clear();
    bytes.extend((count as i32).to_le_bytes());
    bytes.resize(4 + 4 * count, 0);
    let begin = bytes.len();
    for (index, same) in lexemes().enumerate() {
        let lexeme = same[0].lexeme(text);
        // The positions end on an even offset, where the next lexeme begins.
        let entry = ((bytes.len() - begin) as u32) << 12 | (lexeme.len() as u32) << 1 | 1;
        bytes[4 + 4 * index..8 + 4 * index].copy_from_slice(&entry.to_le_bytes());
        bytes.extend(lexeme);
        if lexeme.len() % 2 == 1 {
            bytes.push(0);
        }
        let kept = &same[..same.len().min(POSITIONS)];
        bytes.extend((kept.len() as u16).to_le_bytes());
        kept.iter().for_each(|word| bytes.extend(word.position.to_le_bytes()));
    }
}

/// Builds the bytes of a `tsvector`; tests of this crate use it in place of a server.
#[cfg(test)]
pub(crate) fn build(words: &[(&str, u16)]) -> Vec<u8> {
    let mut words = words.to_vec();
    words.sort();
    let (mut entries, mut lexemes) = (Vec::new(), Vec::<u8>::new());
    for (word, count) in &words {
        if lexemes.len() % 2 == 1 {
            lexemes.push(0);
        }
        let entry = (lexemes.len() as u32) << 12 | (word.len() as u32) << 1 | u32::from(*count > 0);
        entries.extend(entry.to_le_bytes());
        lexemes.extend(word.as_bytes());
        if *count > 0 {
            if lexemes.len() % 2 == 1 {
                lexemes.push(0);
            }
            lexemes.extend(count.to_le_bytes());
            (1..=*count).for_each(|position| lexemes.extend(position.to_le_bytes()));
        }
    }
    let mut bytes = (words.len() as i32).to_le_bytes().to_vec();
    bytes.extend(entries);
    bytes.extend(lexemes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_lexemes_and_counts() {
        let bytes = build(&[("store", 2), ("a", 1), ("vector", 3), ("plain", 0)]);
        let doc = TsVector::new(&bytes);
        assert_eq!(doc.len(), 4);
        assert_eq!(doc.iter().map(|(_, n)| n).collect::<Vec<_>>(), [1, 1, 2, 3]);
        assert_eq!(doc.total(), 7);
        assert_eq!(doc.find(b"vector"), Some(3));
        assert_eq!(doc.find(b"vectors"), None);
        assert_eq!(doc.positions(3).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(doc.positions(1).count() + doc.positions(9).count(), 0);
        assert_eq!(doc.count_from(0, b"store").0, 2);
        assert_eq!(doc.count_from(0, b"stores").0, 0);
        let (count, next) = doc.count_from(0, b"a");
        assert_eq!((count, doc.count_from(next, b"vector").0), (1, 3));
    }

    #[test]
    fn what_is_written_is_read() {
        let many = (1..=300).map(|position| ("often", position));
        let words = [("two", 9), ("a", 4), ("two", 2), ("longer than eight", 1), ("longer than nine", 8)];
        let (mut text, mut bytes) = (Vec::new(), vec![1]);
        let words = words.into_iter().chain(many);
        let mut words: Vec<_> =
            words.map(|(word, position)| Word::add(&mut text, word.as_bytes(), position)).collect();
        write(&mut words, &text, &mut bytes);
        let doc = TsVector::new(&bytes);
        let found: Vec<_> = doc.iter().map(|(word, count)| (str::from_utf8(word).unwrap(), count)).collect();
        assert_eq!(
            found,
            [("a", 1), ("longer than eight", 1), ("longer than nine", 1), ("often", 255), ("two", 2)]
        );
        assert_eq!(doc.positions(4).collect::<Vec<_>>(), [2, 9]);
        write(&mut [], &text, &mut bytes);
        assert_eq!(bytes, 0i32.to_le_bytes());
    }

    #[test]
    fn damaged_bytes_read_as_empty() {
        assert!(TsVector::new(&[]).is_empty());
        assert!(TsVector::new(&[255, 255, 255, 127]).is_empty());
        assert!(TsVector::new(&(-1i32).to_le_bytes()).is_empty());
    }

    proptest! {
        #[test]
        fn never_reads_outside(bytes in proptest::collection::vec(any::<u8>(), 0..200), word in "\\PC{0,8}") {
            let doc = TsVector::new(&bytes);
            let _ = (doc.total(), doc.count_from(0, word.as_bytes()));
        }
    }
}
