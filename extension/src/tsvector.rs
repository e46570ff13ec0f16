//! `tsvector` as an argument: read in place, detoasted only when it is compressed or out of line.

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{FromDatum, pg_sys};
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

/// Number of tokens of a document: the length that BM25 works with.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn tsv_length(doc: TsVectorArg) -> i32 {
    i32::try_from(doc.get().total()).unwrap_or(i32::MAX)
}

/// A `tsquery`, as text, that any lexeme of the vector satisfies; NULL when there is none.
#[pg_extern(sql = false, immutable, parallel_safe, strict)]
fn any_of(query: TsVectorArg) -> Option<String> {
    let quoted: Vec<String> = query
        .get()
        .iter()
        .map(|(word, _)| {
            format!("'{}'", String::from_utf8_lossy(word).replace('\\', r"\\").replace('\'', "''"))
        })
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" | "))
}
