//! `tsvector` as an argument: read in place, detoasted only when it is compressed or out of line.

use crate::error::Error;
use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use pgrx::{FromDatum, pg_sys};
use std::cell::RefCell;
use std::rc::Rc;
use std::thread::LocalKey;
use vectorstore_core::tsvector::TsVector;

/// A `tsvector` argument; lives as long as the call.
pub struct TsVectorArg<'fcx>(TsVector<'fcx>);

impl<'fcx> TsVectorArg<'fcx> {
    /// The value.
    pub fn get(&self) -> TsVector<'fcx> {
        self.0
    }
}

impl FromDatum for TsVectorArg<'_> {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the datum is a varlena, as the SQL declaration says `tsvector`. Detoasting gives either the
        // datum itself or a copy in the caller's memory context; both outlive the call.
        let bytes = unsafe {
            let varlena = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            std::slice::from_raw_parts(
                pgrx::vardata_any(varlena).cast::<u8>(),
                pgrx::varsize_any_exhdr(varlena),
            )
        };
        Some(Self(TsVector::new(bytes)))
    }
}

// SAFETY: boxes exactly what `FromDatum` above accepts.
unsafe impl<'fcx> ArgAbi<'fcx> for TsVectorArg<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller promises an argument that is a `tsvector` and not NULL.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("a strict function gets no NULL")
    }
}

// SAFETY: the names given here are those of the SQL type.
unsafe impl SqlTranslatable for TsVectorArg<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(TsVectorArg);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("tsvector"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("tsvector")));
}

thread_local! {
    /// Statements planned once a session: planning would take longer than the call.
    static LEXEMES: Statement = const { RefCell::new(None) };
    static READINGS: Statement = const { RefCell::new(None) };
}

type Statement = RefCell<Option<Rc<OwnedPreparedStatement>>>;

/// Calls `read` with the lexemes of a query's text in the language or languages of a store.
pub fn lexemes<T>(store: i64, text: &str, read: impl FnOnce(TsVector) -> T) -> Result<T, Error> {
    let mut read = Some(read);
    let mut lexemes = each(&LEXEMES, "SELECT vectorstore._query_lexemes($1, $2)", store, text, |lexemes| {
        read.take().map(|read| read(lexemes))
    })?;
    lexemes.pop().ok_or(Error::NoStore)
}

/// What `read` makes of a text as each language of a store reads it, with the places of its words.
pub fn readings<T>(store: i64, text: &str, read: impl FnMut(TsVector) -> Option<T>) -> Result<Vec<T>, Error> {
    each(&READINGS, "SELECT vectorstore._readings($1, $2)", store, text, read)
}

/// Runs a statement that gives rows of one tsvector.
fn each<T>(
    statement: &'static LocalKey<Statement>,
    sql: &str,
    store: i64,
    text: &str,
    mut read: impl FnMut(TsVector) -> Option<T>,
) -> Result<Vec<T>, Error> {
    Spi::connect(|client| {
        let known = statement.with_borrow(Clone::clone);
        let statement = match known {
            Some(statement) => statement,
            None => {
                let fresh = Rc::new(client.prepare(sql, &pgrx::oids_of![i64, String])?.keep());
                statement.with_borrow_mut(|slot| *slot = Some(Rc::clone(&fresh)));
                fresh
            }
        };
        let rows = client.select(&*statement, None, &[store.into(), text.into()])?.len();
        let mut found = Vec::new();
        for row in 0..rows {
            let mut is_null = false;
            // SAFETY: the statement above returned this many rows of one column, a tsvector; they live until the
            // connection to SPI ends.
            let value = unsafe {
                let table = pg_sys::SPI_tuptable;
                let datum = pg_sys::SPI_getbinval(*(*table).vals.add(row), (*table).tupdesc, 1, &mut is_null);
                TsVectorArg::from_polymorphic_datum(datum, is_null, pg_sys::TSVECTOROID)
            };
            found.extend(value.and_then(|value| read(value.get())));
        }
        Ok(found)
    })
}

/// Number of tokens of a document: the length that BM25 works with.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn tsv_length(doc: TsVectorArg) -> i32 {
    i32::try_from(doc.get().total()).unwrap_or(i32::MAX)
}
