//! Distinct byte strings, numbered as they come.

use std::hash::{BuildHasher, RandomState};

/// Numbers byte strings from 0. Takes their bytes and some 16 bytes for each of them: one buffer and one table
/// with open addressing, where a map of boxed strings would take 60 bytes more.
#[derive(Default)]
pub(super) struct Interner {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Numbers plus one, 0 where free; a power of two, at most three quarters full.
    table: Vec<u32>,
    /// With a random key, since the strings are a user's.
    hasher: RandomState,
}

impl Interner {
    /// The number of a string, a new one if it was not seen before. The bytes altogether must stay below 4 GB.
    pub(super) fn intern(&mut self, value: &[u8]) -> u32 {
        if (self.ends.len() + 1) * 4 > self.table.len() * 3 {
            self.grow();
        }
        let mut place = self.place(value);
        while self.table[place] != 0 {
            let index = self.table[place] - 1;
            if self.get(index) == value {
                return index;
            }
            place = (place + 1) & (self.table.len() - 1);
        }
        let index = self.ends.len() as u32;
        self.table[place] = index + 1;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
        index
    }

    /// The string of a number that [`Interner::intern`] gave.
    pub(super) fn get(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[index] as usize]
    }

    pub(super) fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Memory taken, about.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + 16 * self.ends.len()
    }

    fn place(&self, value: &[u8]) -> usize {
        self.hasher.hash_one(value) as usize & (self.table.len() - 1)
    }

    fn grow(&mut self) {
        self.table = vec![0; (self.table.len() * 2).max(4)];
        for index in 0..self.len() {
            let mut place = self.place(self.get(index));
            while self.table[place] != 0 {
                place = (place + 1) & (self.table.len() - 1);
            }
            self.table[place] = index + 1;
        }
    }
}
