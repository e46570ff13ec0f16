//! Languages of texts: names, detection, and words of scripts without spaces.

use pgrx::prelude::*;
use vectorstore_core::language;

/// Code of the language with this name; NULL for an unknown one.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn language_number(name: &str) -> Option<i16> {
    language::code(name)
}

/// Names of all languages, for messages.
#[pg_extern(sql = false, immutable, parallel_safe)]
fn language_names() -> String {
    language::names().collect::<Vec<_>>().join(", ")
}

/// Code of the language that a text is written in, or the fallback when that is not certain.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn detect_language(content: &str, fallback: i16) -> i16 {
    language::detect(content).unwrap_or(fallback)
}

/// The text with runs of Chinese, Japanese and Korean characters cut into words.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn bigrams(text: &str) -> String {
    language::bigrams(text)
}
