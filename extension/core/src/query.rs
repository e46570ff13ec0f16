//! What a user types into a search: words, "phrases in quotes" and -exclusions.
//!
//! Most queries are questions in natural language, so a mark counts only where plain text would hardly have it;
//! everywhere else it is text.

use crate::language::is_cjk;

/// A query, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What is searched for: the query without the marks of its phrases and without its exclusions; equal to
    /// the query when it has neither. Empty for a query of exclusions only: that has no words for the keyword leg
    /// and nothing to embed, so by itself it finds nothing; beside a vector of the caller it takes results away.
    pub text: String,
    /// Phrases that a result must contain, in the order of the query. Their words are in `text` too.
    pub phrases: Vec<String>,
    /// Words or phrases that a result must not contain, in the order of the query. Even a single word can give
    /// several lexemes ("state-of-the-art"): match each item as a phrase.
    pub excluded: Vec<String>,
}

impl Query {
    /// Reads a query. Every text is legal; the work is linear in its length.
    ///
    /// - A phrase begins with a quotation mark at the start of a word and ends with the matching one at the end
    ///   of a word of the same line, so that `5" pipe` and an unpaired mark are text. Pairs: `"…"`, `“…”`, `„…“`,
    ///   `„…”`, `”…”`, `«…»`, `»…«`, `「…」`, `『…』`, `＂…＂`. Apostrophes are none. A pair around neither letter nor
    ///   digit is text.
    /// - `-word` and `-"a phrase"` exclude when the hyphen stands at the very beginning or behind a space:
    ///   `state-of-the-art`, `-5 degrees`, `a - b`, `--flag` and the hyphens of a list, at the beginning of later
    ///   lines, are text. The word ends at the next space; punctuation at its end does not belong to it.
    pub fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let mut quotes = Quotes { query, unclosed: [0; PAIRS.len()] };
        let (mut at, mut copied, mut before) = (0, 0, None);
        while let Some(c) = query[at..].chars().next() {
            let mut end = at + c.len_utf8();
            if c == '-' && before.is_none_or(|b: char| b.is_whitespace() && b != '\n') {
                if let Some((excluded, after)) = quotes.excluded(end) {
                    parsed.text.push_str(&query[copied..at]);
                    parsed.excluded.push(excluded.to_owned());
                    // One of the spaces around the exclusion goes with it.
                    let space = query[after..].chars().next().filter(|next| next.is_whitespace());
                    end = after + space.map_or(0, char::len_utf8);
                    copied = end;
                }
            } else if let Some((quoted, after)) = quotes.span(at, before) {
                if has_word(quoted) {
                    parsed.text.push_str(&query[copied..at]);
                    parsed.push_phrase(quoted, &query[after..]);
                    copied = after;
                }
                end = after;
            }
            before = query[..end].chars().next_back();
            at = end;
        }
        parsed.text.push_str(&query[copied..]);
        if !parsed.excluded.is_empty() {
            parsed.text.truncate(parsed.text.trim_end().len());
        }
        parsed
    }

    /// Where scripts without spaces surround the marks, a space takes their place.
    fn push_phrase(&mut self, phrase: &str, rest: &str) {
        if self.text.ends_with(char::is_alphanumeric) {
            self.text.push(' ');
        }
        self.text.push_str(phrase);
        if rest.starts_with(char::is_alphanumeric) {
            self.text.push(' ');
        }
        self.phrases.push(phrase.to_owned());
    }
}

/// Opening mark, closing marks, and whether there may be spaces inside of the marks.
const PAIRS: [(char, &[char], bool); 9] = [
    ('"', &['"'], false),
    ('“', &['”'], false),
    ('„', &['“', '”'], false),
    ('”', &['”'], false),
    ('＂', &['＂'], false),
    ('«', &['»'], true),
    ('»', &['«'], true),
    ('「', &['」'], true),
    ('『', &['』'], true),
];

struct Quotes<'a> {
    query: &'a str,
    /// For each pair: no closing mark stands before this place, as an earlier search found. Keeps the work linear.
    unclosed: [usize; PAIRS.len()],
}

impl<'a> Quotes<'a> {
    /// If a quotation begins at `at`: what stands inside of it, trimmed, and where it ends.
    fn span(&mut self, at: usize, before: Option<char>) -> Option<(&'a str, usize)> {
        let rest = &self.query[at..];
        let open = rest.chars().next()?;
        let pair = PAIRS.iter().position(|pair| pair.0 == open)?;
        let (_, closing, spaced) = PAIRS[pair];
        let start = at + open.len_utf8();
        if joins(before)
            || at < self.unclosed[pair]
            || (!spaced && self.query[start..].starts_with(char::is_whitespace))
        {
            return None;
        }
        let mut last = open;
        for (offset, c) in self.query[start..].char_indices() {
            let end = start + offset + c.len_utf8();
            if c == '\n' {
                self.unclosed[pair] = end;
                return None;
            }
            if closing.contains(&c)
                && (spaced || !last.is_whitespace())
                && !joins(self.query[end..].chars().next())
            {
                return Some((self.query[start..start + offset].trim(), end));
            }
            last = c;
        }
        self.unclosed[pair] = self.query.len();
        None
    }

    /// What a hyphen before `at` excludes, and where that ends.
    fn excluded(&mut self, at: usize) -> Option<(&'a str, usize)> {
        let rest = &self.query[at..];
        if rest.starts_with(char::is_alphabetic) {
            let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
            return Some((rest[..length].trim_end_matches(|c: char| !c.is_alphanumeric()), at + length));
        }
        self.span(at, Some('-')).filter(|(quoted, _)| has_word(quoted))
    }
}

/// Whether a mark beside this character stands inside of a word.
fn joins(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(|c| c.is_alphanumeric() && !is_cjk(c))
}

fn has_word(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text, phrases joined by `|`, exclusions joined by `|`.
    fn parsed(query: &str) -> (String, String, String) {
        let Query { text, phrases, excluded } = Query::parse(query);
        (text, phrases.join("|"), excluded.join("|"))
    }

    fn assert_parts(query: &str, text: &str, phrases: &str, excluded: &str) {
        assert_eq!(parsed(query), (text.to_owned(), phrases.to_owned(), excluded.to_owned()), "{query}");
    }

    fn assert_text(query: &str) {
        assert_parts(query, query, "", "");
    }

    #[test]
    fn reads_phrases() {
        assert_parts("\"key rotation\"", "key rotation", "key rotation", "");
        assert_parts("how does \"key rotation\" work?", "how does key rotation work?", "key rotation", "");
        assert_parts("(\"a b\", \"c\")", "(a b, c)", "a b|c", "");
        assert_parts(
            "“key rotation” and „Haus am See“",
            "key rotation and Haus am See",
            "key rotation|Haus am See",
            "",
        );
        assert_parts("« clé perdue » ou »Haus«", "clé perdue ou Haus", "clé perdue|Haus", "");
        assert_parts("東京\"駅前\"の「本屋」", "東京 駅前 の 本屋", "駅前|本屋", "");
        assert_parts("title:\"don't panic\"", "title:don't panic", "don't panic", "");
    }

    #[test]
    fn reads_exclusions() {
        assert_parts("cats -dogs birds", "cats birds", "", "dogs");
        assert_parts("cats -dogs", "cats", "", "dogs");
        assert_parts("-dogs cats", "cats", "", "dogs");
        assert_parts("cats -dogs, -birds?", "cats", "", "dogs|birds");
        assert_parts("cats -\"hot dogs\" \"big cats\"", "cats big cats", "big cats", "hot dogs");
        assert_parts("cats -“hot dogs”", "cats", "", "hot dogs");
        assert_parts("news -state-of-the-art", "news", "", "state-of-the-art");
        assert_parts("猫\u{3000}-犬", "猫", "", "犬");
    }

    #[test]
    fn a_query_of_exclusions_has_no_text() {
        assert_parts("-dogs -\"hot dogs\"", "", "", "dogs|hot dogs");
    }

    #[test]
    fn leaves_natural_language_alone() {
        for text in [
            "",
            " ",
            "what is a vector?",
            "state-of-the-art models",
            "-5 degrees",
            "a - b",
            "a -- b",
            "--verbose",
            "-",
            "- item",
            "e-mail, x-ray and pre-",
            "it's the users' keys",
            "'single quotes'",
            "rock 'n' roll -",
            "5\" pipe and 6\" hose",
            "size 5 \" and 6 \" pipes",
            "an \"unpaired mark",
            "\"",
            "\"\"",
            "\" \"",
            "say \"...\" twice",
            "-\"\"",
            "-\"!\" x",
            "\"over\ntwo lines\"",
            "my list:\n-one\n-two\n",
            "Home » Products » Phones",
            "1 – 2",
            "−x",
            "a\t\r\n b",
        ] {
            assert_text(text);
        }
    }

    #[test]
    fn long_queries_take_linear_time() {
        let started = std::time::Instant::now();
        for part in ["\"a ", "«", "« ", "-\"a ", "“", "\"\"", "-a ", "\".\"", "-«"] {
            let query = part.repeat(200_000);
            let _ = Query::parse(&query);
        }
        assert!(started.elapsed().as_secs() < 30);
    }

    proptest! {
        #[test]
        fn never_panics_and_finds_nothing_new(query in "\\PC{0,120}|[-\"“”„«»「」a-c \n東]{0,60}") {
            let Query { text, phrases, excluded } = Query::parse(&query);
            prop_assert!(phrases.iter().all(|phrase| query.contains(phrase) && text.contains(phrase) && has_word(phrase)));
            prop_assert!(excluded.iter().all(|item| query.contains(item) && has_word(item)));
            prop_assert!(text.chars().all(|c| c == ' ' || query.contains(c)));
            if phrases.is_empty() && excluded.is_empty() {
                prop_assert_eq!(text, query);
            }
        }

        #[test]
        fn plain_text_is_returned_unchanged(
            words in proptest::collection::vec("[a-zé0-9.,;:!?'’()/][a-zé0-9.,'’()/-]{0,8}|-([0-9.-][a-z0-9-]{0,3})?", 0..9),
            space in "[ \n\t]",
        ) {
            let query = words.join(&space);
            prop_assert_eq!(Query::parse(&query), Query { text: query, ..Query::default() });
        }

        #[test]
        fn parts_are_found(words in proptest::collection::vec("[a-z]{1,6}", 1..6), phrase in "[a-z]{1,5} [a-z]{1,5}", other in "[a-z]{1,8}") {
            let plain = words.join(" ");
            let query = Query::parse(&format!("{plain} \"{phrase}\" -{other}"));
            prop_assert_eq!(query, Query { text: format!("{plain} {phrase}"), phrases: vec![phrase], excluded: vec![other] });
        }
    }
}
