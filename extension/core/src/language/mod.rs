//! Languages of the keyword leg: their stored codes, and which one a text is written in.
//!
//! A code is stored with every chunk and never changes its meaning. The SQL function `document_tsv` maps the
//! codes to PostgreSQL's text search configurations; everything else takes them from the table here.

mod cjk;

pub use cjk::{bigrams, is_cjk};

use whatlang::{Detector, Info, Lang};

/// Code of a store whose chunks are detected one by one. No chunk has it.
pub const AUTO: i16 = 127;

/// Characters of a text that [`detect`] looks at. More add hardly any certainty, but time: 400 cost about as much as
/// the lexemes of a chunk.
const DETECTED_CHARACTERS: usize = 400;

/// Names by code, and what the detector calls the language. `simple` is no language: words as they stand.
const LANGUAGES: [(&str, Option<Lang>); 24] = [
    ("simple", None),
    ("english", Some(Lang::Eng)),
    ("german", Some(Lang::Deu)),
    ("french", Some(Lang::Fra)),
    ("spanish", Some(Lang::Spa)),
    ("italian", Some(Lang::Ita)),
    ("portuguese", Some(Lang::Por)),
    ("dutch", Some(Lang::Nld)),
    ("swedish", Some(Lang::Swe)),
    ("danish", Some(Lang::Dan)),
    ("norwegian", Some(Lang::Nob)),
    ("finnish", Some(Lang::Fin)),
    ("russian", Some(Lang::Rus)),
    ("romanian", Some(Lang::Ron)),
    ("hungarian", Some(Lang::Hun)),
    ("turkish", Some(Lang::Tur)),
    ("greek", Some(Lang::Ell)),
    ("arabic", Some(Lang::Ara)),
    ("catalan", Some(Lang::Cat)),
    ("hindi", Some(Lang::Hin)),
    ("indonesian", Some(Lang::Ind)),
    ("chinese", Some(Lang::Cmn)),
    ("japanese", Some(Lang::Jpn)),
    ("korean", Some(Lang::Kor)),
];

/// All names that [`code`] knows, in the order of their codes, `auto` last.
pub fn names() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().map(|(name, _)| *name).chain(["auto"])
}

/// Code of the language with this name, in any case: 0..=23, or [`AUTO`] for `auto`. `None` for another name.
pub fn code(name: &str) -> Option<i16> {
    let index = names().position(|known| known.eq_ignore_ascii_case(name))?;
    if index == LANGUAGES.len() { Some(AUTO) } else { i16::try_from(index).ok() }
}

/// PostgreSQL's text search configuration for a code, as in `document_tsv`: that of the language, or `simple` for what
/// has none, whose text is cut into [`bigrams`] first for Chinese, Japanese and Korean.
pub fn configuration(code: i16) -> &'static str {
    match usize::try_from(code).ok().and_then(|code| LANGUAGES.get(code)) {
        Some((name, _)) if !has_bigrams(code) => name,
        _ => "simple",
    }
}

/// Whether texts in this language are cut into [`bigrams`].
pub fn has_bigrams(code: i16) -> bool {
    (21..=23).contains(&code)
}

/// Confidence, 0 to 1, from which the detector is believed. Measured on messages of programs in 33 languages: of
/// 100 characters of Spanish it names 90 % (at the detector's own 0.9: 74 %), of Russian 90 % (83 %), of German 99 %
/// (97 %), and takes at most 0.8 % for another of our languages, but for the twins below; of 400 characters it names
/// 97 to 100 %. Of languages without a code only Galician is often taken for one that has: its neighbours.
const CERTAIN: f64 = 0.5;

/// Code of the language that a text is written in, 1..=23; `None` when the language is not certain or not one
/// of ours.
///
/// Chinese, Japanese and Korean are told by their scripts, the others by trigrams and alphabets at the text's
/// beginning (crate whatlang; Cavnar and Trenkle 1994, "N-gram-based text categorization"). All languages of the
/// detector take part: a text in Polish has to come out as none of ours, not as the one that is nearest.
pub fn detect(text: &str) -> Option<i16> {
    let end = text.char_indices().nth(DETECTED_CHARACTERS).map_or(text.len(), |(end, _)| end);
    let beginning = &text[..end];
    if let Some(name) = cjk::language(beginning) {
        return code(name);
    }
    let certain = |found: &Info| found.confidence() > CERTAIN;
    let found = whatlang::detect(beginning)?;
    let lang = if certain(&found) {
        found.lang()
    } else {
        let others = Detector::with_denylist(vec![twin(found.lang())?]);
        others.detect(beginning).filter(|again| certain(again) && again.lang() == found.lang())?.lang()
    };
    let index = LANGUAGES.iter().position(|(_, known)| *known == Some(lang))?;
    i16::try_from(index).ok()
}

/// The language that keeps the detector from being certain. Taking one of these for the other does less harm than
/// none at all: their stemmers are much alike.
fn twin(lang: Lang) -> Option<Lang> {
    match lang {
        Lang::Dan => Some(Lang::Nob),
        Lang::Nob => Some(Lang::Dan),
        Lang::Nld => Some(Lang::Afr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_never_change() {
        let known = [
            "simple",
            "english",
            "german",
            "french",
            "spanish",
            "italian",
            "portuguese",
            "dutch",
            "swedish",
            "danish",
            "norwegian",
            "finnish",
            "russian",
            "romanian",
            "hungarian",
            "turkish",
            "greek",
            "arabic",
            "catalan",
            "hindi",
            "indonesian",
            "chinese",
            "japanese",
            "korean",
        ];
        for (number, name) in known.iter().enumerate() {
            assert_eq!(code(name), Some(number as i16));
        }
        assert_eq!(names().count(), known.len() + 1);
        assert_eq!(code("AUTO"), Some(AUTO));
        assert_eq!(code("German"), Some(2));
        assert_eq!((code("klingon"), code("")), (None, None));
    }

    #[test]
    fn detects_sentences() {
        let sentences = [
            (
                "english",
                "The keys of the service should be rotated every month, because nobody can tell who has read them.",
            ),
            (
                "german",
                "Die Schlüssel des Dienstes sollten jeden Monat gewechselt werden, weil niemand weiß, wer sie gelesen hat.",
            ),
            (
                "french",
                "Les clés du service devraient être changées chaque mois, car personne ne sait qui les a lues.",
            ),
            (
                "spanish",
                "Las claves del servicio deberían cambiarse cada mes, porque nadie sabe quién las ha leído.",
            ),
            (
                "italian",
                "Le chiavi del servizio dovrebbero essere cambiate ogni mese, perché nessuno sa chi le abbia lette.",
            ),
            (
                "portuguese",
                "As chaves do serviço deveriam ser trocadas todos os meses, porque ninguém sabe quem já as leu e não há como descobrir.",
            ),
            (
                "dutch",
                "De sleutels van de dienst moeten elke maand worden vervangen, omdat niemand weet wie ze heeft gelezen.",
            ),
            (
                "swedish",
                "Tjänstens nycklar bör bytas varje månad, eftersom ingen vet vem som har läst dem och vad de används till.",
            ),
            (
                "finnish",
                "Palvelun avaimet tulisi vaihtaa joka kuukausi, koska kukaan ei tiedä, kuka ne on lukenut.",
            ),
            (
                "russian",
                "Ключи службы следует менять каждый месяц, потому что никто не знает, кто их уже прочитал.",
            ),
            (
                "romanian",
                "Cheile serviciului ar trebui schimbate în fiecare lună, pentru că nimeni nu știe cine le-a citit.",
            ),
            (
                "hungarian",
                "A szolgáltatás kulcsait minden hónapban le kell cserélni, mert senki sem tudja, ki olvasta őket.",
            ),
            (
                "turkish",
                "Hizmetin anahtarları her ay değiştirilmelidir, çünkü onları kimin okuduğunu kimse bilmiyor.",
            ),
            (
                "greek",
                "Τα κλειδιά της υπηρεσίας πρέπει να αλλάζουν κάθε μήνα, γιατί κανείς δεν ξέρει ποιος τα διάβασε.",
            ),
            ("arabic", "يجب تغيير مفاتيح الخدمة كل شهر لأن لا أحد يعرف من قرأها"),
            (
                "indonesian",
                "Kunci layanan harus diganti setiap bulan, karena tidak ada yang tahu siapa yang telah membacanya.",
            ),
            ("hindi", "सेवा की कुंजियाँ हर महीने बदली जानी चाहिए, क्योंकि कोई नहीं जानता कि उन्हें किसने पढ़ा है।"),
            ("chinese", "服务的密钥应该每个月更换一次，因为没有人知道谁看过它们。"),
            ("japanese", "サービスの鍵は毎月交換してください。誰が読んだか分からないからです。"),
            ("korean", "서비스의 키는 매달 바꾸어야 합니다. 누가 읽었는지 아무도 모르기 때문입니다."),
        ];
        for (name, sentence) in sentences {
            assert_eq!(detect(sentence), code(name), "{sentence}");
        }
    }

    #[test]
    fn is_not_certain_of_codes_and_of_other_languages() {
        for text in [
            "",
            "42",
            "E-1042",
            "OK",
            "ft.com x86_64 0xff",
            "Klucze usługi należy zmieniać co miesiąc, ponieważ nikt nie wie, kto je przeczytał.",
        ] {
            assert_eq!(detect(text), None, "{text}");
        }
    }

    #[test]
    fn reads_only_the_beginning() {
        let long = format!(
            "{}{}",
            "The quick brown fox jumps over the lazy dog and rests. ".repeat(40),
            "密".repeat(80_000)
        );
        assert_eq!(detect(&long), code("english"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,300}") {
            if let Some(found) = detect(&text) {
                prop_assert!((1..=23).contains(&found));
            }
        }

        #[test]
        fn never_panics_on_letters(text in "[a-zA-Zàéßñ \n.'-]{0,200}") {
            let _ = detect(&text);
        }
    }
}
