//! Phrases: words that must stand one behind the other, as Postgres' `phraseto_tsquery` has it.

use vectorstore_core::tsvector::TsVector;

/// A phrase, as each language of the store reads it: one reading that occurs is enough.
pub struct Phrase {
    readings: Vec<Reading>,
}

/// Lexemes of a phrase with their places, counted from the first; several at one place stand for each other.
pub struct Reading {
    places: Vec<(u16, Vec<Box<[u8]>>)>,
}

impl Phrase {
    /// A phrase of these readings; `None` when none of them has a lexeme.
    pub fn new(readings: Vec<Reading>) -> Option<Self> {
        (!readings.is_empty()).then_some(Self { readings })
    }

    /// Its readings.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Whether every reading is a single word, for which occurring is all there is.
    pub fn is_word(&self) -> bool {
        self.readings.iter().all(Reading::is_word)
    }

    /// Whether the document holds the phrase.
    pub fn occurs_in(&self, doc: TsVector) -> bool {
        self.readings.iter().any(|reading| reading.occurs_in(doc))
    }
}

impl Reading {
    /// The reading of a text's lexemes; `None` when there is none.
    pub fn new(lexemes: TsVector) -> Option<Self> {
        let mut words: Vec<(u16, &[u8])> = (0..lexemes.len())
            .flat_map(|at| lexemes.positions(at).map(move |place| (place, at)))
            .filter_map(|(place, at)| lexemes.get(at).map(|(word, _)| (place, word)))
            .collect();
        words.sort_unstable();
        let first = words.first()?.0;
        let mut places: Vec<(u16, Vec<Box<[u8]>>)> = Vec::new();
        for (place, word) in words {
            match places.last_mut() {
                Some((last, words)) if *last == place - first => words.push(word.into()),
                _ => places.push((place - first, vec![word.into()])),
            }
        }
        Some(Self { places })
    }

    /// The lexemes of each place.
    pub fn places(&self) -> impl Iterator<Item = &[Box<[u8]>]> {
        self.places.iter().map(|(_, words)| words.as_slice())
    }

    fn is_word(&self) -> bool {
        self.places.len() == 1
    }

    fn occurs_in(&self, doc: TsVector) -> bool {
        let at = |words: &[Box<[u8]>]| -> Vec<u16> {
            let found = words.iter().filter_map(|word| doc.find(word));
            let mut places: Vec<u16> = found.flat_map(|index| doc.positions(index)).collect();
            places.sort_unstable();
            places
        };
        let Some(((_, first), rest)) = self.places.split_first() else { return true };
        let rest: Vec<(u16, Vec<u16>)> = rest.iter().map(|(offset, words)| (*offset, at(words))).collect();
        let follows = |start: u16, (offset, places): &(u16, Vec<u16>)| {
            start.checked_add(*offset).is_some_and(|place| places.binary_search(&place).is_ok())
        };
        if self.is_word() {
            return first.iter().any(|word| doc.find(word).is_some());
        }
        at(first).into_iter().any(|start| rest.iter().all(|word| follows(start, word)))
    }
}
