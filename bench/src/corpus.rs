//! Passages and queries: from a file that scripts/bench cut out of real documents, or made up here.

use crate::stats::Random;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What is stored and what is asked.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Corpus {
    /// Where the texts come from, for the report.
    pub source: String,
    /// One chunk each.
    pub passages: Vec<String>,
    /// Questions of 4 to 20 words.
    pub queries: Vec<String>,
}

impl Corpus {
    /// Reads a corpus and takes as much of it as was asked for.
    pub fn read(path: &Path, passages: usize, queries: usize) -> Result<Self, crate::Error> {
        let mut corpus: Self = serde_json::from_slice(&std::fs::read(path)?)?;
        corpus.passages.truncate(passages);
        corpus.queries.truncate(queries);
        if corpus.passages.len() < passages || corpus.queries.len() < queries {
            return Err(crate::Error::Setup(format!(
                "the corpus has {} passages and {} queries; asked for {passages} and {queries}",
                corpus.passages.len(),
                corpus.queries.len()
            )));
        }
        Ok(corpus)
    }

    /// Makes up passages of 60 to 120 words: sentences over the words of `text`, the frequent ones more often
    /// (Zipf), a third of them from the few words of the passage's topic. A query is a part of a sentence.
    pub fn made_up(text: &str, passages: usize, queries: usize, seed: u64) -> Result<Self, crate::Error> {
        let words = vocabulary(text);
        if words.len() < 200 {
            return Err(crate::Error::Setup(format!(
                "{} different words are too few for a corpus",
                words.len()
            )));
        }
        let zipf = Zipf::new(words.len());
        let mut random = Random::new(seed, 1);
        let topics: Vec<Vec<usize>> =
            (0..200).map(|_| (0..40).map(|_| random.below(words.len())).collect()).collect();
        let passage = |random: &mut Random| {
            let topic = &topics[random.below(topics.len())];
            let length = 60 + random.below(61);
            let mut sentences: Vec<Vec<&str>> = Vec::new();
            while sentences.iter().map(Vec::len).sum::<usize>() < length {
                let sentence = (0..8 + random.below(13)).map(|_| {
                    let word = if random.below(3) == 0 {
                        topic[random.below(topic.len())]
                    } else {
                        zipf.draw(random)
                    };
                    words[word].as_str()
                });
                sentences.push(sentence.collect());
            }
            sentences
        };
        let queries = (0..queries).map(|_| {
            let sentences = passage(&mut random);
            let sentence = &sentences[random.below(sentences.len())];
            sentence[..sentence.len().min(4 + random.below(17))].join(" ")
        });
        let queries = queries.collect();
        let passages = (0..passages).map(|_| {
            let sentences = passage(&mut random);
            sentences.iter().map(|sentence| sentence.join(" ") + ".").collect::<Vec<_>>().join(" ")
        });
        Ok(Self { source: "made up".into(), passages: passages.collect(), queries })
    }
}

/// Different words of a text, the most frequent first.
fn vocabulary(text: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 1) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    words.into_iter().map(|(word, _)| word).collect()
}

/// Zipf's law: the word of rank r is drawn in proportion to 1 / r.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: usize) -> Self {
        let sums = (1..=ranks).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self(sums.collect())
    }

    fn draw(&self, random: &mut Random) -> usize {
        let aim = random.unit() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|sum| *sum <= aim).min(self.0.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(mut number: usize) -> String {
        let mut word = String::from("x");
        for _ in 0..3 {
            word.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
        word
    }

    fn text() -> String {
        (0..300).map(|n| format!("{} ", letters(n)).repeat(1 + n % 7)).collect()
    }

    #[test]
    fn a_made_up_corpus_has_the_asked_sizes_and_depends_on_the_seed() {
        let corpus = Corpus::made_up(&text(), 50, 20, 7).unwrap();
        assert_eq!((corpus.passages.len(), corpus.queries.len()), (50, 20));
        for passage in &corpus.passages {
            let words = passage.split(' ').count();
            assert!((60..=140).contains(&words), "{words}");
        }
        for query in &corpus.queries {
            let words = query.split(' ').count();
            assert!((4..=20).contains(&words), "{words}");
        }
        assert_eq!(corpus, Corpus::made_up(&text(), 50, 20, 7).unwrap());
        assert_ne!(corpus, Corpus::made_up(&text(), 50, 20, 8).unwrap());
    }

    #[test]
    fn few_words_make_no_corpus() {
        assert!(Corpus::made_up("only a few words", 1, 1, 1).is_err());
    }

    #[test]
    fn frequent_words_come_first_and_are_drawn_more_often() {
        assert_eq!(vocabulary("b b a, c. A-a"), Vec::<String>::new());
        assert_eq!(vocabulary("bb bb aa, cc. AA-aa"), ["aa", "bb", "cc"]);
        let (zipf, mut random) = (Zipf::new(100), Random::new(1, 0));
        let mut counts = [0; 100];
        (0..10_000).for_each(|_| counts[zipf.draw(&mut random)] += 1);
        assert!(counts[0] > counts[9] && counts[9] > counts[99]);
    }
}
