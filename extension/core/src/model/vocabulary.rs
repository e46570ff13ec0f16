//! The vocabulary while a tokenizer is being loaded: half a megabyte that stays in the CPU's cache, where a
//! `HashMap` of strings takes four times as much and as long. Loading time is paid by each new backend.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A string that borrows from the file unless it holds escapes.
#[derive(serde::Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The model has 32000 tokens; half of the slots stay free, so that a search mostly ends in the first one.
const MAX_TOKENS: usize = 1 << 15;
const SLOTS: usize = 2 * MAX_TOKENS;
/// A slot holds an index below [`MAX_TOKENS`] in its lower half and bits of the hash in its upper one.
const LOW: u32 = 0xffff;
const FREE: u32 = u32::MAX;

/// Map from token to id, in the order of the file.
pub(super) struct Vocabulary {
    /// All tokens, one after another.
    text: String,
    /// End in `text` and id of each token.
    entries: Vec<(u32, u16)>,
    slots: Vec<u32>,
}

impl Vocabulary {
    fn new() -> Self {
        Self {
            text: String::with_capacity(8 * MAX_TOKENS),
            entries: Vec::with_capacity(MAX_TOKENS),
            slots: vec![FREE; SLOTS],
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        (0..self.entries.len()).map(|index| (self.token(index), self.entries[index].1))
    }

    pub(super) fn get(&self, token: &str) -> Option<u16> {
        self.find(token).ok().map(|index| self.entries[index].1)
    }

    fn token(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].0);
        &self.text[start as usize..self.entries[index].0 as usize]
    }

    /// The token's index, or else the free slot for it and the bits of its hash to put there.
    fn find(&self, token: &str) -> Result<usize, (usize, u32)> {
        // FNV-1a: tokens have six bytes on average, where it beats hashes with a longer start.
        let hash = token
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let tag = hash & !LOW;
        let mut at = (hash ^ (hash >> 15)) as usize % SLOTS;
        loop {
            let slot = self.slots[at];
            if slot == FREE {
                return Err((at, tag));
            }
            let index = (slot & LOW) as usize;
            if slot & !LOW == tag && self.token(index) == token {
                return Ok(index);
            }
            at = (at + 1) % SLOTS;
        }
    }

    fn insert(&mut self, token: &str, id: u16) -> Result<(), String> {
        let Err((slot, tag)) = self.find(token) else { return Err(format!("token {token:?} occurs twice")) };
        if self.entries.len() == MAX_TOKENS {
            return Err(format!("more than {MAX_TOKENS} tokens"));
        }
        self.text.push_str(token);
        let end = u32::try_from(self.text.len()).map_err(|_| "tokens of more than 4 GB".to_owned())?;
        self.slots[slot] = tag | self.entries.len() as u32;
        self.entries.push((end, id));
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VocabularyVisitor)
    }
}

struct VocabularyVisitor;

impl<'de> Visitor<'de> for VocabularyVisitor {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of token ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::new();
        while let Some((Text(token), id)) = map.next_entry::<Text<'de>, u16>()? {
            vocabulary.insert(&token, id).map_err(A::Error::custom)?;
        }
        Ok(vocabulary)
    }
}
