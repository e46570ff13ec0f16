//! Numbers for lexemes while a segment is built.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// A place of the hash table that is free.
const FREE: u32 = u32::MAX;

/// Gives every distinct lexeme a number, from 0 on. An open hash table over one buffer of bytes: a map of owned
/// keys would cost an allocation for each lexeme. Keyed at random, since the words come from users.
pub(super) struct Interner {
    hasher: RandomState,
    /// Pairs of (hash, number); the length is a power of two, at most half of it taken.
    table: Vec<(u32, u32)>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Interner {
    pub(super) fn new() -> Self {
        let table = vec![(0, FREE); 1024];
        Self { hasher: RandomState::new(), table, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Number of lexemes.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let table = self.table.capacity() * size_of::<(u32, u32)>();
        table + self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// The lexeme of a number.
    pub(super) fn lexeme(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }

    /// The number of a lexeme, old or new.
    pub(super) fn number(&mut self, lexeme: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(lexeme) as u32;
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (found, number) = self.table[at];
            if number == FREE {
                break;
            }
            if found == hash && self.lexeme(number) == lexeme {
                return number;
            }
            at = (at + 1) & mask;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(lexeme);
        self.ends.push(self.bytes.len());
        self.table[at] = (hash, number);
        if self.ends.len() * 2 > self.table.len() {
            self.grow();
        }
        number
    }

    fn grow(&mut self) {
        let len = self.table.len() * 2;
        let old = std::mem::replace(&mut self.table, vec![(0, FREE); len]);
        for entry in old.into_iter().filter(|&(_, number)| number != FREE) {
            let mut at = entry.0 as usize & (len - 1);
            while self.table[at].1 != FREE {
                at = (at + 1) & (len - 1);
            }
            self.table[at] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lexemes_share_a_number() {
        let mut interner = Interner::new();
        for round in 0..2 {
            for number in 0..5000u32 {
                assert_eq!(interner.number(format!("word{number}").as_bytes()), number, "round {round}");
            }
        }
        assert_eq!((interner.len(), interner.lexeme(4321)), (5000, b"word4321".as_slice()));
        assert_eq!((interner.number(b""), interner.lexeme(5000)), (5000, b"".as_slice()));
    }
}
