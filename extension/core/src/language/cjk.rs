//! Chinese, Japanese and Korean: telling them by their scripts, and words for texts without spaces, which are
//! overlapping pairs of characters.

/// Characters per text that get a word of their own beside the pairs. A `tsvector` keeps no position beyond
/// 16,383 and at most 1 MiB of words: without a bound a text of 256 KiB of rare characters would not fit.
const MAX_SINGLES: usize = 16_384;

/// Whether the character belongs to a script that is cut into pairs: Han, kana, bopomofo or Hangul.
pub fn is_cjk(c: char) -> bool {
    is_single(c) || is_syllabic(c)
}

/// Characters that can be a word alone: ideographs, and Hangul syllables and letters.
fn is_single(c: char) -> bool {
    is_hangul(c)
        || matches!(c,
            '\u{3005}'..='\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{323af}')
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7fb}')
}

/// Kana and bopomofo: a single one inside a word means little, but takes room.
fn is_syllabic(c: char) -> bool {
    matches!(c,
        '\u{3041}'..='\u{3096}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}'
        | '\u{3105}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}')
}

/// Name of the language of a text with at least one such character for every four other letters; `None` for
/// other texts. So a Japanese text full of English terms is Japanese: read as English it would lose its words,
/// while as Japanese the English ones only miss their stems.
pub(super) fn language(text: &str) -> Option<&'static str> {
    let (mut others, mut ideographs, mut syllables, mut hangul) = (0, 0, 0, 0);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        let count = match c {
            c if is_hangul(c) => &mut hangul,
            c if is_single(c) => &mut ideographs,
            c if is_syllabic(c) => &mut syllables,
            _ => &mut others,
        };
        *count += 1;
    }
    let all = ideographs + syllables + hangul;
    if all == 0 || all * 4 < others {
        None
    } else if hangul * 2 > all {
        Some("korean")
    } else if syllables * 20 > all {
        Some("japanese")
    } else {
        Some("chinese")
    }
}

/// Rewrites a text so that a parser that splits at spaces finds the words of Chinese, Japanese and Korean.
///
/// A run of such characters becomes every pair of neighbours, and every ideograph and Hangul syllable alone,
/// in the order of the text: 東京都 gives "東 東京 京 京都 都". A character between other scripts stands alone.
/// A part of a run gives a contiguous part of the run's words, so phrases can be found by position; and a query
/// of one character finds the runs that hold it. Pairs and single characters together rank better than either
/// (Savoy 2005, "Comparative study of monolingual and multilingual search models for use with Asian languages").
/// Full-width letters and digits become ASCII; everything else stays as it is. The result has at most four
/// times the bytes of the text. Only the first 16,384 characters stand alone as well.
pub fn bigrams(text: &str) -> String {
    let mut words = Words { out: String::with_capacity(text.len() * 2), run: 0, last: None, singles: 0 };
    for c in text.chars() {
        match c {
            // Combining voice marks of decomposed kana would split a run.
            '\u{3099}' | '\u{309a}' => {}
            c if is_cjk(c) => words.add(c),
            '\u{ff01}'..='\u{ff5e}' => words.add_other(char::from_u32(c as u32 - 0xfee0).unwrap_or(c)),
            c => words.add_other(c),
        }
    }
    words.end_run();
    words.out
}

struct Words {
    out: String,
    /// Characters of the current run.
    run: usize,
    last: Option<char>,
    singles: usize,
}

impl Words {
    fn add(&mut self, c: char) {
        if let Some(last) = self.last {
            self.word(&[last, c]);
        }
        if is_single(c) && self.singles < MAX_SINGLES {
            self.singles += 1;
            self.word(&[c]);
        }
        self.run += 1;
        self.last = Some(c);
    }

    fn add_other(&mut self, c: char) {
        self.end_run();
        self.out.push(c);
    }

    /// A run of one character has no pair: the character is the word.
    fn end_run(&mut self) {
        let Some(last) = self.last.take() else { return };
        if self.run == 1 && !self.out.ends_with(last) {
            self.word(&[last]);
        }
        self.out.push(' ');
        self.run = 0;
    }

    fn word(&mut self, characters: &[char]) {
        if !self.out.is_empty() && !self.out.ends_with(char::is_whitespace) {
            self.out.push(' ');
        }
        self.out.extend(characters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        bigrams(text).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn makes_pairs_and_singles() {
        assert_eq!(words("東京都"), ["東", "東京", "京", "京都", "都"]);
        assert_eq!(words("ひらがな"), ["ひら", "らが", "がな"]);
        assert_eq!(words("猫と犬"), ["猫", "猫と", "と犬", "犬"]);
        assert_eq!(words("물을"), ["물", "물을", "을"]);
        assert_eq!(words("猫"), ["猫"]);
        assert_eq!(words("の"), ["の"]);
        assert_eq!(words("コーヒー"), ["コー", "ーヒ", "ヒー"]);
    }

    #[test]
    fn keeps_other_scripts() {
        assert_eq!(words("pgvector検索 is fast"), ["pgvector", "検", "検索", "索", "is", "fast"]);
        assert_eq!(words("第3章"), ["第", "3", "章"]);
        assert_eq!(words("ＡＢＣ１の"), ["ABC1", "の"]);
        assert_eq!(words("犬犬"), ["犬", "犬犬", "犬"]);
        assert_eq!(words("のaの"), ["の", "a", "の"]);
        assert_eq!(words("か\u{3099}き"), ["かき"]);
    }

    #[test]
    fn a_part_of_a_run_gives_a_contiguous_part_of_its_words() {
        let (whole, part) = (words("昨日は東京都へ行った"), words("東京都へ"));
        assert!(whole.windows(part.len()).any(|window| window == part));
    }

    #[test]
    fn singles_are_bounded() {
        let text: String = (0..40_000).map(|i| char::from_u32(0x4e00 + i % 20_000).unwrap()).collect();
        assert_eq!(words(&text).len(), 39_999 + MAX_SINGLES);
    }

    #[test]
    fn tells_languages_by_their_scripts() {
        assert_eq!(language("PostgreSQLのVACUUMを実行する"), Some("japanese"));
        assert_eq!(language("运行 PostgreSQL 的 VACUUM 命令"), Some("chinese"));
        assert_eq!(language("PostgreSQL의 VACUUM 명령 漢字"), Some("korean"));
        assert_eq!(language("The city of Beijing (北京) is large"), None);
        assert_eq!((language("42"), language("")), (None, None));
    }

    proptest! {
        #[test]
        fn text_without_such_characters_stays(text in "[a-zA-Z0-9éß \n.,;'\"-]{0,200}") {
            prop_assert_eq!(bigrams(&text), text);
        }

        #[test]
        fn loses_no_character_and_grows_at_most_fourfold(text in "[ -~東京都のコ물을、。]{0,60}") {
            let out = bigrams(&text);
            prop_assert!(text.chars().all(|c| out.contains(c)));
            prop_assert!(out.len() <= 4 * text.len());
        }

        #[test]
        fn never_panics(text in "\\PC{0,100}") {
            let _ = bigrams(&text);
        }
    }
}
