//! A set of slots of one segment.

/// One bit for each slot, 32 to a word: word `i` holds the slots of group `i` of the vector codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u32>,
}

impl Mask {
    /// The empty set over `slots` slots.
    pub fn none(slots: u32) -> Self {
        Self { words: vec![0; slots.div_ceil(32) as usize] }
    }

    /// The set of all of `slots` slots.
    pub fn all(slots: u32) -> Self {
        let mut mask = Self { words: vec![u32::MAX; slots.div_ceil(32) as usize] };
        if !slots.is_multiple_of(32)
            && let Some(last) = mask.words.last_mut()
        {
            *last = (1 << (slots % 32)) - 1;
        }
        mask
    }

    /// The words, lowest slots first.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The words, to be changed in place.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }

    /// Whether the slot is in the set; false past the end.
    #[inline]
    pub fn contains(&self, slot: u32) -> bool {
        self.words.get((slot / 32) as usize).is_some_and(|word| word >> (slot % 32) & 1 == 1)
    }

    /// Adds a slot; one past the end is ignored.
    #[inline]
    pub fn insert(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut((slot / 32) as usize) {
            *word |= 1 << (slot % 32);
        }
    }

    /// Takes a slot out.
    #[inline]
    pub fn remove(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut((slot / 32) as usize) {
            *word &= !(1 << (slot % 32));
        }
    }

    /// Number of slots in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Keeps what is also in `other`.
    pub fn and(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Adds what is in `other`.
    pub fn or(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Takes out what is in `other`.
    pub fn and_not(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// The slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    index as u32 * 32 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_their_slots() {
        let mut mask = Mask::none(70);
        for slot in [0, 31, 32, 69, 200] {
            mask.insert(slot);
        }
        assert_eq!(mask.iter().collect::<Vec<_>>(), [0, 31, 32, 69]);
        assert_eq!(
            (mask.count(), mask.contains(31), mask.contains(30), mask.contains(500)),
            (4, true, false, false)
        );
        mask.remove(31);
        let mut all = Mask::all(70);
        assert_eq!(all.count(), 70);
        all.and_not(&mask);
        assert_eq!(all.count(), 67);
        all.or(&mask);
        assert_eq!(all, Mask::all(70));
        all.and(&mask);
        assert_eq!(all, mask);
    }
}
