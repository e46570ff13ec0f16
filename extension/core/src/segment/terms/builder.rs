//! Turns documents, in any order, into postings in the order of terms and slots.

use super::block::{BlockWriter, Posting};
use super::dictionary::{DictionaryWriter, Entry, MAX_LEXEME, SHORT};
use super::intern::Interner;
use super::{TermsMeta, varint};
use crate::segment::PageSink;
use crate::tsvector::TsVector;

/// Where a document's terms begin in the log.
struct Document {
    slot: u32,
    dl: u16,
    start: usize,
}

/// Builds the postings of a segment.
///
/// Documents are kept as a log of (term, frequency), 3 to 5 bytes a posting. At the end the log is read in the
/// order of slots and dealt out to the terms (a counting sort), which takes 6 more bytes a posting for a while
/// and makes every list ascend without sorting it.
pub struct TermsBuilder {
    terms: Interner,
    /// Documents of each term.
    counts: Vec<u32>,
    documents: Vec<Document>,
    log: Vec<u8>,
}

impl Default for TermsBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TermsBuilder {
    /// Without documents.
    pub fn new() -> Self {
        Self { terms: Interner::new(), counts: Vec::new(), documents: Vec::new(), log: Vec::new() }
    }

    /// Adds the document at `slot`, which must not have one yet. Frequencies and the length count up to 65,535;
    /// lexemes longer than 2,047 bytes, which a `tsvector` cannot have, are left out.
    pub fn add(&mut self, slot: u32, document: TsVector) {
        let start = self.log.len();
        for (lexeme, tf) in document.iter().filter(|(lexeme, _)| lexeme.len() <= MAX_LEXEME) {
            let term = self.terms.number(lexeme);
            match self.counts.get_mut(term as usize) {
                Some(count) => *count += 1,
                None => self.counts.push(1),
            }
            varint::write(term, &mut self.log);
            varint::write(tf.clamp(1, u16::MAX.into()), &mut self.log);
        }
        if self.log.len() > start {
            self.documents.push(Document { slot, dl: document.total().min(u16::MAX.into()) as u16, start });
        }
    }

    /// Bytes held, without what [`finish`](Self::finish) takes.
    pub fn bytes(&self) -> usize {
        let documents = self.documents.capacity() * size_of::<Document>();
        self.terms.bytes() + self.log.capacity() + documents + self.counts.capacity() * size_of::<u32>()
    }

    /// Writes the pages.
    pub fn finish(mut self, sink: &mut impl PageSink) -> TermsMeta {
        let log = std::mem::take(&mut self.log);
        let ends: Vec<_> = self.documents.iter().skip(1).map(|next| next.start).chain([log.len()]).collect();
        let mut order: Vec<u32> = (0..self.documents.len() as u32).collect();
        order.sort_unstable_by_key(|&index| self.documents[index as usize].slot);

        let mut by_lexeme: Vec<u32> = (0..self.terms.len() as u32).collect();
        by_lexeme.sort_unstable_by(|&a, &b| self.terms.lexeme(a).cmp(self.terms.lexeme(b)));
        let mut next = vec![0usize; self.terms.len()];
        let mut postings = 0;
        for &term in &by_lexeme {
            next[term as usize] = postings;
            postings += self.counts[term as usize] as usize;
        }

        let (mut owners, mut frequencies) = (vec![0u32; postings], vec![0u16; postings]);
        for &index in &order {
            let mut rest = &log[self.documents[index as usize].start..ends[index as usize]];
            while let (Ok(term), Ok(tf)) = (varint::read(&mut rest), varint::read(&mut rest)) {
                let at = &mut next[term as usize];
                owners[*at] = index;
                frequencies[*at] = tf as u16;
                *at += 1;
            }
        }
        drop(log);

        let mut dictionary = DictionaryWriter::default();
        let mut blocks = BlockWriter::new(sink);
        let mut list: Vec<Posting> = Vec::new();
        for &term in &by_lexeme {
            let (count, end) = (self.counts[term as usize], next[term as usize]);
            let range = end - count as usize..end;
            list.clear();
            list.extend(owners[range.clone()].iter().zip(&frequencies[range]).map(|(&owner, &tf)| {
                let document = &self.documents[owner as usize];
                Posting { slot: document.slot, tf, dl: document.dl }
            }));
            let entry =
                if count <= SHORT { Entry::Postings(&list) } else { Entry::Blocks(count, blocks.put(&list)) };
            dictionary.add(self.terms.lexeme(term), entry);
        }
        let blocks = blocks.finish();
        TermsMeta { terms: by_lexeme.len() as u32, blocks, dictionary: dictionary.finish(sink) }
    }
}
