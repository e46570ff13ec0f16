//! Lexemes of documents: what `to_tsvector` says, word by word, so that each word is stemmed once a session.

use crate::datum::RawDatum;
use crate::rows::Plain;
use pgrx::prelude::*;
use pgrx::{IntoDatum, direct_function_call_as_datum, pg_sys};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::ptr::null_mut;
use vectorstore_core::language::{bigrams, configuration, has_bigrams};
use vectorstore_core::lexemes::{Known, Unit, is_word, units};

thread_local! {
    /// What this session knows of words.
    static KNOWN: RefCell<Known> = RefCell::default();
    /// Whether what it knows is out of date.
    static STALE: Cell<bool> = const { Cell::new(false) };
    /// Whether `forget` is registered with Postgres.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Lexemes of a text in the language with this code.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn document_lexemes(language: i16, content: &str) -> RawDatum {
    watch();
    if STALE.take() {
        KNOWN.take();
    }
    RawDatum(KNOWN.with_borrow_mut(|known| document(known, language, content)))
}

/// The same for a query, of which nothing is worth remembering.
pub fn of_query(language: i16, text: &str) -> pg_sys::Datum {
    document(&mut Known::default(), language, text)
}

fn document(known: &mut Known, language: i16, text: &str) -> pg_sys::Datum {
    let cut;
    let text = if has_bigrams(language) {
        cut = bigrams(text);
        &cut
    } else {
        text
    };
    let configuration = configuration_oid(language);
    let ask = |unit: &str| {
        if is_word(unit) { stem(configuration, unit) } else { None }.or_else(|| parse(configuration, unit))
    };
    let bytes = units(text).and_then(|units| known.document(language, units, ask));
    bytes.map_or_else(|| to_tsvector(configuration, text), varlena)
}

/// Oid of the text search configuration of a language.
fn configuration_oid(language: i16) -> pg_sys::Oid {
    /// `pg_ts_config.oid`.
    const OID_COLUMN: i16 = 1;
    let name = CString::new(configuration(language)).expect("names have no NUL");
    // SAFETY: name and schema are the keys of this cache.
    unsafe {
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TSCONFIGNAMENSP as i32,
            OID_COLUMN,
            name.as_ptr().into(),
            pg_sys::Oid::from(pg_sys::PG_CATALOG_NAMESPACE).into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        )
    }
}

/// The `tsvector` of a text.
fn to_tsvector(configuration: pg_sys::Oid, text: &str) -> pg_sys::Datum {
    let arguments = [configuration.into_datum(), text.into_datum()];
    // SAFETY: `to_tsvector` takes a configuration's Oid and a text.
    let lexemes = unsafe { direct_function_call_as_datum(pg_sys::to_tsvector_byid, &arguments) };
    lexemes.expect("to_tsvector never gives NULL")
}

/// Asks the parser and the dictionaries what a unit means.
fn parse(configuration: pg_sys::Oid, unit: &str) -> Option<Unit> {
    let answer = Plain::new(Some(to_tsvector(configuration, &Unit::question(unit))));
    Unit::from_answer(answer.lexemes())
}

/// Asks the dictionaries alone what a word of ASCII letters means; `None` for one that none of them knows, and where a
/// dictionary wants more than the word.
fn stem(configuration: pg_sys::Oid, word: &str) -> Option<Unit> {
    /// The default parser's token type of such words.
    const ASCII_WORD: usize = 1;
    let unusual = (pg_sys::TSL_ADDPOS | pg_sys::TSL_FILTER | pg_sys::TSL_PREFIX) as u16;
    // SAFETY: the entries of both caches belong to Postgres and are valid until the next invalidation, which nothing here
    // lets happen in between: an entry is used before the next is looked up. A dictionary takes its data, a word, its
    // length and a state, and returns NULL or lexemes up to one without text, each NUL-terminated.
    unsafe {
        let map = pg_sys::lookup_ts_config_cache(configuration).as_ref()?;
        if map.lenmap as usize <= ASCII_WORD {
            return None;
        }
        let list = *map.map.add(ASCII_WORD);
        let dictionaries = std::slice::from_raw_parts(list.dictIds, usize::try_from(list.len).ok()?).to_vec();
        for dictionary in dictionaries {
            let entry = pg_sys::lookup_ts_dictionary_cache(dictionary);
            let mut state = pg_sys::DictSubState { isend: false, getnext: false, private_state: null_mut() };
            let found = pg_sys::FunctionCall4Coll(
                &raw mut (*entry).lexize,
                pg_sys::InvalidOid,
                (*entry).dictData.into(),
                word.as_ptr().into(),
                word.len().into(),
                (&raw mut state).into(),
            );
            if state.getnext {
                return None;
            }
            let mut lexeme = found.cast_mut_ptr::<pg_sys::TSLexeme>();
            if lexeme.is_null() {
                continue;
            }
            let mut lexemes: Vec<Box<[u8]>> = Vec::new();
            while !(*lexeme).lexeme.is_null() {
                if (*lexeme).flags & unusual != 0 {
                    return None;
                }
                lexemes.push(CStr::from_ptr((*lexeme).lexeme).to_bytes().into());
                lexeme = lexeme.add(1);
            }
            return Some(Unit::of_word(lexemes.into_iter()));
        }
    }
    None
}

/// A value of variable length with these bytes, in the current memory context.
fn varlena(bytes: &[u8]) -> pg_sys::Datum {
    let size = pg_sys::VARHDRSZ + bytes.len();
    // SAFETY: the memory has room for the header and the bytes.
    unsafe {
        let value = pg_sys::palloc(size);
        pgrx::set_varsize_4b(value.cast(), i32::try_from(size).expect("texts have less than a gigabyte"));
        value.cast::<u8>().add(pg_sys::VARHDRSZ).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        value.into()
    }
}

/// Sees to it that words are asked for anew when a dictionary changes.
fn watch() {
    if WATCHED.replace(true) {
        return;
    }
    for cache in [pg_sys::SysCacheIdentifier::TSCONFIGMAP, pg_sys::SysCacheIdentifier::TSDICTOID] {
        // SAFETY: the function does nothing that could fail, and the argument is not used.
        unsafe { pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(forget), pg_sys::Datum::null()) };
    }
}

/// Called by Postgres when it learns that a configuration or a dictionary changed, which may be while the words are in use.
extern "C-unwind" fn forget(_: pg_sys::Datum, _: i32, _: u32) {
    STALE.set(true);
}
