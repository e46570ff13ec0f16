//! Byte-pair tokenizer for the model's vocabulary, equal token by token to the reference implementation that the
//! model was made with (`tests/python/test_model_parity.py` compares them), in flat tables of about 1 MB.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Fault;
use super::vocabulary::{Text, Vocabulary};

/// Stands for a blank inside tokens.
const BLANK: char = '▁';
/// No token, no rank: real ones are smaller.
const NONE: u16 = u16::MAX;
/// No neighbour in a list of symbols.
const END: u32 = u32::MAX;

#[derive(Deserialize)]
struct File<'a> {
    added_tokens: Vec<AddedToken>,
    normalizer: Value,
    pre_tokenizer: Value,
    #[serde(borrow)]
    model: Bpe<'a>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u16,
    content: Box<str>,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
}

#[derive(Deserialize)]
struct Bpe<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    dropout: Value,
    continuing_subword_prefix: Value,
    end_of_word_suffix: Value,
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    // Raw, because merges can be resolved only once the vocabulary is known, and JSON objects have no order.
    #[serde(borrow)]
    vocab: &'a RawValue,
    #[serde(borrow)]
    merges: &'a RawValue,
}

pub(super) struct Tokenizer {
    added: Vec<AddedToken>,
    ascii: [u16; 128],
    /// Tokens of one character beyond ASCII, sorted.
    chars: Box<[(char, u16)]>,
    bytes: [u16; 256],
    merges: MergeTable,
    vocabulary_size: usize,
}

impl Tokenizer {
    /// Reads a tokenizer file and refuses every feature that [`Tokenizer::encode`] does not reproduce.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, Fault> {
        let invalid = |error: serde_json::Error| Fault::corrupt(format!("invalid JSON: {error}"));
        let file: File<'_> = serde_json::from_slice(json).map_err(invalid)?;
        check_features(&file)?;
        let vocabulary: Vocabulary = serde_json::from_str(file.model.vocab.get()).map_err(invalid)?;
        let largest = vocabulary.iter().map(|(_, id)| id).max().unwrap_or(0);
        if largest == NONE {
            return Err(Fault::unsupported(format!("token id {NONE} is too large")));
        }
        let find = |token: &str| vocabulary.get(token).ok_or_else(|| Fault::corrupt(unknown(token)));
        let mut ascii = [NONE; 128];
        let mut chars = Vec::new();
        for (token, id) in vocabulary.iter() {
            let mut letters = token.chars();
            match (letters.next(), letters.next()) {
                (Some(c), None) if c.is_ascii() => ascii[c as usize] = id,
                (Some(c), None) => chars.push((c, id)),
                _ => {}
            }
        }
        chars.sort_unstable();
        let mut bytes = [NONE; 256];
        for (byte, id) in bytes.iter_mut().enumerate() {
            *id = find(&format!("<0x{byte:02X}>"))?;
        }
        for token in &file.added_tokens {
            if find(&token.content)? != token.id {
                return Err(Fault::corrupt(format!("added token {:?} has two ids", token.content)));
            }
        }
        let mut merges = serde_json::Deserializer::from_str(file.model.merges.get());
        let merges = MergeLoader(&vocabulary).deserialize(&mut merges).map_err(invalid)?;
        let mut added = file.added_tokens;
        // The longest of those that match at a place wins.
        added.sort_by_key(|token| Reverse(token.content.len()));
        Ok(Self {
            added,
            ascii,
            chars: chars.into(),
            bytes,
            merges,
            vocabulary_size: usize::from(largest) + 1,
        })
    }

    pub(super) fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// Hands each token of `text` to `sink`, in order.
    pub(super) fn encode(&self, text: &str, mut sink: impl FnMut(u16)) {
        let mut word = Word::default();
        let mut rest = text;
        while let Some((at, token)) = self.find_added(rest) {
            self.encode_piece(&rest[..at], &mut word, &mut sink);
            sink(token.id);
            rest = &rest[at + token.content.len()..];
        }
        self.encode_piece(rest, &mut word, &mut sink);
    }

    /// Finds the first added token; they match verbatim, before any other treatment of the text.
    fn find_added(&self, text: &str) -> Option<(usize, &AddedToken)> {
        let bytes = text.as_bytes();
        bytes.iter().enumerate().find_map(|(at, byte)| {
            self.added
                .iter()
                .find(|token| {
                    token.content.as_bytes()[0] == *byte && bytes[at..].starts_with(token.content.as_bytes())
                })
                .map(|token| (at, token))
        })
    }

    /// Encodes text without added tokens. A blank is put before it, as was done to the model's training texts.
    ///
    /// No merge joins the end of a word with a blank after it ([`MergeTable::add`] refuses such), hence what is
    /// merged before that place and after it never meet, and cutting there gives the tokens of the uncut text.
    fn encode_piece(&self, piece: &str, word: &mut Word, sink: &mut impl FnMut(u16)) {
        if piece.is_empty() {
            return;
        }
        self.push(BLANK, word);
        let mut after_blank = true;
        for c in piece.chars() {
            let c = if c == ' ' { BLANK } else { c };
            let blank = c == BLANK;
            if blank && !after_blank {
                word.merge(&self.merges, sink);
            }
            after_blank = blank;
            self.push(c, word);
        }
        word.merge(&self.merges, sink);
    }

    fn push(&self, c: char, word: &mut Word) {
        let id = match self.ascii.get(c as usize) {
            Some(id) => *id,
            None => self.chars.binary_search_by_key(&c, |entry| entry.0).map_or(NONE, |at| self.chars[at].1),
        };
        if id != NONE {
            return word.push(id);
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            word.push(self.bytes[usize::from(byte)]);
        }
    }
}

fn unknown(token: &str) -> String {
    format!("token {token:?} is not in the vocabulary")
}

fn check_features(file: &File<'_>) -> Result<(), Fault> {
    let normalizer = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": BLANK},
        {"type": "Replace", "pattern": {"String": " "}, "content": BLANK},
    ]});
    let model = &file.model;
    let plain = [&model.dropout, &model.continuing_subword_prefix, &model.end_of_word_suffix]
        .iter()
        .all(|value| matches!(value, Value::Null) || value.as_str() == Some(""));
    if file.normalizer != normalizer || !file.pre_tokenizer.is_null() {
        return Err(Fault::unsupported("another normalizer or pre-tokenizer"));
    }
    if model.kind != "BPE" || !model.byte_fallback || model.ignore_merges || !plain {
        return Err(Fault::unsupported("not a plain BPE model with byte fallback"));
    }
    let odd = |token: &AddedToken| {
        token.content.is_empty() || token.single_word || token.lstrip || token.rstrip || token.normalized
    };
    if file.added_tokens.iter().any(odd) {
        return Err(Fault::unsupported("added tokens that do not match verbatim"));
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Merge {
    left: u16,
    right: u16,
    rank: u16,
    id: u16,
}

/// Open-addressing hash table from a pair of tokens to the rank of their merge and the token it yields.
struct MergeTable {
    slots: Box<[Merge]>,
}

/// The model has 61249 merges; half of the slots stay free, so that a look-up mostly ends in the first one.
const SLOT_BITS: u32 = 17;

impl MergeTable {
    fn new() -> Self {
        Self { slots: vec![Merge { left: NONE, right: NONE, rank: NONE, id: NONE }; 1 << SLOT_BITS].into() }
    }

    /// Adds "left right"; `product` is a buffer.
    fn add(
        &mut self,
        merge: &str,
        rank: u16,
        vocabulary: &Vocabulary,
        product: &mut String,
    ) -> Result<(), String> {
        let (left, right) = merge.split_once(' ').ok_or_else(|| format!("merge {merge:?} is not a pair"))?;
        if right.starts_with(BLANK) && !left.ends_with(BLANK) {
            return Err(format!("merge {merge:?} joins two words"));
        }
        product.clear();
        product.extend([left, right]);
        let find = |token: &str| vocabulary.get(token).ok_or_else(|| unknown(token));
        let (left, right, id) = (find(left)?, find(right)?, find(product)?);
        let slot = self.slot(left, right);
        if self.slots[slot].rank != NONE {
            return Err(format!("merge {merge:?} occurs twice"));
        }
        self.slots[slot] = Merge { left, right, rank, id };
        Ok(())
    }

    /// The slot of the pair, or the free one where it would go: half of the slots are free, so the walk ends.
    fn slot(&self, left: u16, right: u16) -> usize {
        let key = u32::from(left) << 16 | u32::from(right);
        let mut at = (key.wrapping_mul(0x9e37_79b1) >> (u32::BITS - SLOT_BITS)) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.rank == NONE || (slot.left == left && slot.right == right) {
                return at;
            }
            at = (at + 1) % (1 << SLOT_BITS);
        }
    }

    fn get(&self, left: u16, right: u16) -> Option<Merge> {
        let merge = self.slots[self.slot(left, right)];
        (merge.rank != NONE).then_some(merge)
    }
}

/// Fills a [`MergeTable`] while the file is being read.
struct MergeLoader<'v>(&'v Vocabulary);

impl<'de> DeserializeSeed<'de> for MergeLoader<'_> {
    type Value = MergeTable;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MergeTable, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for MergeLoader<'_> {
    type Value = MergeTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of merges")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut merges: A) -> Result<MergeTable, A::Error> {
        let mut table = MergeTable::new();
        let mut product = String::new();
        for rank in 0..NONE {
            let Some(Text(merge)) = merges.next_element()? else { return Ok(table) };
            table.add(&merge, rank, self.0, &mut product).map_err(A::Error::custom)?;
        }
        Err(A::Error::custom("too many merges"))
    }
}

struct Symbol {
    /// [`NONE`] once the symbol has been merged into the one before.
    id: u16,
    previous: u32,
    next: u32,
}

/// Symbols of the word at work, as a list inside a vector, and the merges due, lowest rank first, then leftmost.
///
/// A word can be as long as the text (Chinese, or base64), hence the heap: O(n log n) where a scan would be O(n²).
#[derive(Default)]
struct Word {
    symbols: Vec<Symbol>,
    due: BinaryHeap<Reverse<(u16, u32)>>,
}

impl Word {
    fn push(&mut self, id: u16) {
        let at = self.symbols.len() as u32;
        if let Some(last) = self.symbols.last_mut() {
            last.next = at;
        }
        self.symbols.push(Symbol { id, previous: at.checked_sub(1).unwrap_or(END), next: END });
    }

    /// Merges the symbols, hands what is left to `sink` and clears the word.
    fn merge(&mut self, merges: &MergeTable, sink: &mut impl FnMut(u16)) {
        for at in 0..self.symbols.len() as u32 {
            self.queue(at, merges);
        }
        while let Some(Reverse((rank, at))) = self.due.pop() {
            let left = &self.symbols[at as usize];
            let next = left.next;
            if left.id == NONE || next == END {
                continue;
            }
            // A merge that went before may have changed either symbol: then the entry is out of date.
            let right = &self.symbols[next as usize];
            let Some(merge) = merges.get(left.id, right.id).filter(|merge| merge.rank == rank) else {
                continue;
            };
            let (previous, after) = (left.previous, right.next);
            self.symbols[next as usize].id = NONE;
            let left = &mut self.symbols[at as usize];
            left.id = merge.id;
            left.next = after;
            if after != END {
                self.symbols[after as usize].previous = at;
            }
            if previous != END {
                self.queue(previous, merges);
            }
            self.queue(at, merges);
        }
        self.symbols.iter().filter(|symbol| symbol.id != NONE).for_each(|symbol| sink(symbol.id));
        self.symbols.clear();
    }

    /// Enters the merge of the symbol and its successor, if there is one.
    fn queue(&mut self, at: u32, merges: &MergeTable) {
        let left = &self.symbols[at as usize];
        if left.next == END {
            return;
        }
        if let Some(merge) = merges.get(left.id, self.symbols[left.next as usize].id) {
            self.due.push(Reverse((merge.rank, at)));
        }
    }
}
