//! `tsvector` as an argument: read in place, detoasted only when it is compressed or out of line.

use crate::catalog::{self, StoreRow};
use crate::datum::RawDatum;
use crate::error::Error;
use crate::lexemes::of_query;
use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use pgrx::{FromDatum, pg_sys};
use std::cell::RefCell;
use std::rc::Rc;
use vectorstore_core::language::AUTO;
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

/// Calls `read` with the lexemes of a query's text in the language or languages of a store.
pub fn lexemes<T>(store: &StoreRow, text: &str, read: impl FnOnce(TsVector) -> T) -> Result<T, Error> {
    let datum = query_datum(store, text)?;
    // SAFETY: the datum is a tsvector in the memory of this call.
    let lexemes = unsafe { TsVectorArg::from_polymorphic_datum(datum, false, pg_sys::TSVECTOROID) };
    Ok(read(lexemes.expect("it is not NULL").get()))
}

/// What `read` makes of a text as each language of a store reads it, with the places of its words.
pub fn readings<T>(store: &StoreRow, text: &str, read: impl Fn(TsVector) -> Option<T>) -> Vec<T> {
    let codes = if store.language == AUTO { &store.languages[..] } else { &[store.language] };
    let reading = |&code| {
        // SAFETY: the datum is a tsvector in the memory of this call.
        let lexemes =
            unsafe { TsVectorArg::from_polymorphic_datum(of_query(code, text), false, pg_sys::TSVECTOROID) };
        lexemes.and_then(|lexemes| read(lexemes.get()))
    };
    codes.iter().filter_map(reading).collect()
}

fn query_datum(store: &StoreRow, text: &str) -> Result<pg_sys::Datum, Error> {
    thread_local! {
        /// Planned once a session: planning would take longer than the call.
        static UNION: RefCell<Option<Rc<OwnedPreparedStatement>>> = const { RefCell::new(None) };
    }
    if store.language != AUTO {
        return Ok(of_query(store.language, text));
    }
    Spi::connect(|client| {
        let known = UNION.with_borrow(Clone::clone);
        let statement = match known {
            Some(statement) => statement,
            None => {
                let sql = "SELECT vectorstore._union_lexemes($1, $2)";
                let fresh = Rc::new(client.prepare(sql, &pgrx::oids_of![Vec<i16>, String])?.keep());
                UNION.with_borrow_mut(|slot| *slot = Some(Rc::clone(&fresh)));
                fresh
            }
        };
        client.select(&*statement, Some(1), &[store.languages.clone().into(), text.into()])?;
        // SAFETY: the statement gives one row of one tsvector. The copy is made outside of SPI's memory, which is
        // freed at the end of the connection.
        unsafe {
            let (table, mut is_null) = (pg_sys::SPI_tuptable, false);
            let value = pg_sys::SPI_getbinval(*(*table).vals, (*table).tupdesc, 1, &mut is_null);
            Ok(pg_sys::SPI_datumTransfer(value, false, -1))
        }
    })
}

/// Lexemes that a query looks for in a store. Of a store that detects languages they are those of all its languages.
#[pg_extern(sql = false, stable, strict)]
fn query_lexemes(store_id: i64, query: &str) -> Result<RawDatum, ErrorReport> {
    let store = catalog::store(store_id)?.ok_or(Error::NoStore)?;
    Ok(RawDatum(query_datum(&store, query)?))
}

/// Number of tokens of a document: the length that BM25 works with.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn tsv_length(doc: TsVectorArg) -> i32 {
    i32::try_from(doc.get().total()).unwrap_or(i32::MAX)
}
