//! Lexemes of a text, put together from those of its words.
//!
//! `to_tsvector` reads a text letter by letter and stems each word anew, which takes longer than all else that writing a
//! chunk needs. But its parser carries nothing over white space, except inside of what looks like a tag: the lexemes of a
//! text are those of its *units*, the pieces between white space. So what a unit means is asked once and kept, and the
//! result is that of `to_tsvector`, byte for byte.

use crate::tsvector::{self, TsVector, Word};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fmt::Write;

/// Longest unit that is looked at by itself, in bytes. No lexeme of it can occur so often that positions are left out.
const LONGEST: usize = 200;
/// Units that a generation keeps; about 2 MB. In natural language nine of ten are found.
const KEPT: usize = 16_384;
/// Longest text that is read by units, in bytes.
const LONGEST_TEXT: usize = 65_536;
/// What [`Unit::question`] puts behind a unit: never a stop word, and one lexeme in every language.
const END: &[u8] = b"0";

/// What one unit means.
#[derive(Debug, PartialEq)]
pub struct Unit {
    /// Positions that it takes, those of stop words among them.
    positions: u16,
    words: Box<[(u16, Box<[u8]>)]>,
}

/// The units of a text, or `None` when the text must be read as a whole.
pub fn units(text: &str) -> Option<impl Iterator<Item = &str>> {
    // Only at the very beginning can a path begin with these, and only at the very end is this one.
    if text.starts_with(['.', '~']) || text.ends_with("..") || text.contains('<') || text.len() > LONGEST_TEXT
    {
        return None;
    }
    let units = || text.split([' ', '\t', '\n', '\r', '\x0b', '\x0c']).filter(|unit| !unit.is_empty());
    units().all(|unit| unit.len() <= LONGEST).then(|| units().map(bare))
}

/// A unit without the punctuation around it, if all else is ASCII letters: the parser reads such punctuation as space,
/// but two dots behind a word as a path.
fn bare(unit: &str) -> &str {
    if unit.contains("..") {
        return unit;
    }
    let word = unit.trim_start_matches(['(', '"', '\'']);
    let word = word.trim_end_matches([',', '.', ';', ':', ')', '"', '\'', '!', '?']);
    if is_word(word) { word } else { unit }
}

/// Whether a unit is one word of ASCII letters: a token that dictionaries can be asked for without the parser.
pub fn is_word(unit: &str) -> bool {
    !unit.is_empty() && unit.bytes().all(|byte| byte.is_ascii_alphabetic())
}

impl Unit {
    /// The unit that is one word with these lexemes; none for a stop word.
    pub fn of_word(lexemes: impl Iterator<Item = Box<[u8]>>) -> Self {
        Self { positions: 1, words: lexemes.map(|lexeme| (1, lexeme)).collect() }
    }

    /// The text whose lexemes tell what a unit means: the unit behind white space, and a word that marks its end.
    pub fn question(unit: &str) -> String {
        format!(" {unit} 0")
    }

    /// Reads the lexemes of [`Unit::question`]; `None` when they are something else.
    pub fn from_answer(answer: TsVector) -> Option<Self> {
        let end = answer.find(END).and_then(|index| answer.positions(index).last())?;
        let mut words: Vec<(u16, Box<[u8]>)> = Vec::new();
        for index in 0..answer.len() {
            let (word, _) = answer.get(index)?;
            let places = answer.positions(index).filter(|&place| place != end || word != END);
            words.extend(places.map(|place| (place, word.into())));
        }
        Some(Self { positions: end - 1, words: words.into() })
    }
}

/// Units that were asked for lately: two generations, of which the older one is forgotten when the younger one is full.
#[derive(Debug, Default)]
pub struct Known {
    young: Generation,
    old: Generation,
    // Room for one document, kept from one to the next.
    key: String,
    words: Vec<Word>,
    bytes: Vec<u8>,
}

/// Units, by language and text, and the words that they mean.
#[derive(Debug, Default)]
struct Generation {
    units: HashMap<Box<str>, Meaning, RandomState>,
    words: Vec<Word>,
    text: Vec<u8>,
}

/// Which words of its generation a unit means, and how many positions it takes.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    first: u32,
    end: u32,
    positions: u16,
}

impl Known {
    /// The bytes, behind the varlena header, of the `tsvector` of these units in a language. `ask` tells what a unit means
    /// that is not known. `None` when it cannot, and for too many words.
    pub fn document<'t>(
        &mut self,
        language: i16,
        units: impl Iterator<Item = &'t str>,
        mut ask: impl FnMut(&str) -> Option<Unit>,
    ) -> Option<&[u8]> {
        if self.young.units.len() >= KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.words.clear();
        self.key.clear();
        write!(self.key, "{language} ").ok()?;
        let prefix = self.key.len();
        let mut position = 0u16;
        for unit in units {
            self.key.truncate(prefix);
            self.key.push_str(unit);
            let meaning = match self.young.units.get(&*self.key) {
                Some(known) => *known,
                None => match self.old.unit(&self.key) {
                    Some(known) => self.young.learn(&self.key, &known),
                    None => self.young.learn(&self.key, &ask(unit)?),
                },
            };
            for word in &self.young.words[meaning.first as usize..meaning.end as usize] {
                self.words.push(word.later(position)?);
            }
            position = position.checked_add(meaning.positions)?;
        }
        tsvector::write(&mut self.words, &self.young.text, &mut self.bytes);
        Some(&self.bytes)
    }
}

impl Generation {
    fn learn(&mut self, key: &str, unit: &Unit) -> Meaning {
        let first = self.words.len() as u32;
        let words = unit.words.iter().map(|(at, lexeme)| Word::add(&mut self.text, lexeme, *at));
        self.words.extend(words);
        let meaning = Meaning { first, end: self.words.len() as u32, positions: unit.positions };
        self.units.insert(key.into(), meaning);
        meaning
    }

    fn unit(&self, key: &str) -> Option<Unit> {
        let meaning = self.units.get(key)?;
        let words = &self.words[meaning.first as usize..meaning.end as usize];
        let words = words.iter().map(|word| (word.position(), word.lexeme(&self.text).into()));
        Some(Unit { positions: meaning.positions, words: words.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_between_white_space() {
        let read = |text| units(text).map(|units| units.collect::<Vec<_>>());
        assert_eq!(read(" a  (b)\tc-d,\n\"e.\" "), Some(vec!["a", "b", "c-d,", "e"]));
        assert_eq!(read(""), Some(vec![]));
        assert_eq!(read("( a.. a.)"), Some(vec!["(", "a..", "a"]));
        for whole in ["./path", "~/path", "a <b c>", &"x".repeat(LONGEST + 1), &"x ".repeat(LONGEST_TEXT)] {
            assert_eq!(read(whole), None, "{whole}");
        }
    }

    #[test]
    fn positions_go_on_from_unit_to_unit() {
        let mut known = Known::default();
        let mut asked = 0;
        let mut ask = |unit: &str| {
            asked += 1;
            // "of" is a stop word; "a-b" is three words.
            let words: &[&str] = match unit {
                "of" => &[],
                "a-b" => &["a-b", "a", "b"],
                other => &[other],
            };
            let words: Box<[_]> =
                words.iter().zip(1..).map(|(word, place)| (place, word.as_bytes().into())).collect();
            Some(Unit { positions: words.len().max(1) as u16, words })
        };
        let bytes = known.document(1, ["b", "of", "a-b", "b"].into_iter(), &mut ask).unwrap().to_vec();
        let document = TsVector::new(&bytes);
        let positions = |word: &[u8]| {
            document.find(word).map(|index| document.positions(index).collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(positions(b"a-b"), [3]);
        assert_eq!(positions(b"a"), [4]);
        assert_eq!(positions(b"b"), [1, 5, 6]);
        // Known by now, but not in another language.
        known.document(1, ["b", "of"].into_iter(), &mut ask).unwrap();
        known.document(2, ["b"].into_iter(), &mut ask).unwrap();
        assert_eq!(asked, 4);
        assert_eq!(known.document(1, ["new"].into_iter(), |_| None), None);
    }

    #[test]
    fn what_is_asked_for_again_is_kept() {
        let mut known = Known::default();
        let mut asked = 0;
        for number in 0..3 * KEPT {
            for unit in [number.to_string(), "often".into()] {
                let ask = |_: &str| {
                    asked += usize::from(unit == "often");
                    Some(Unit::of_word(std::iter::once(unit.as_bytes().into())))
                };
                known.document(1, [&*unit].into_iter(), ask).unwrap();
            }
        }
        assert_eq!(asked, 1);
        assert!(known.young.units.len() <= KEPT + 2 && known.old.units.len() <= KEPT + 2);
        assert_eq!(known.document(1, ["often"].into_iter().cycle().take(16_383), |_| None), None);
    }
}
