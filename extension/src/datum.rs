//! Values that pass through without being looked at, and arrays of embeddings.

use pgrx::AnyArray;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// A value of whatever type the column of the answer has.
pub struct RawDatum(pub pg_sys::Datum);

impl IntoDatum for RawDatum {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::ANYELEMENTOID
    }
}

// SAFETY: the datum was made for the column that it is returned in.
unsafe impl BoxRet for RawDatum {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

// SAFETY: the SQL declaration names the type of each column.
unsafe impl SqlTranslatable for RawDatum {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(RawDatum);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("anyelement"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("anyelement")));
}

/// An argument that is a `vector`.
pub struct VectorArg(Vec<f32>);

impl VectorArg {
    /// Its components.
    pub fn get(&self) -> &[f32] {
        &self.0
    }
}

impl FromDatum for VectorArg {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the SQL declaration says `vector`.
        (!is_null).then(|| Self(unsafe { components(datum) }))
    }
}

// SAFETY: boxes exactly what `FromDatum` above accepts.
unsafe impl<'fcx> ArgAbi<'fcx> for VectorArg {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller promises an argument that is a `vector` and not NULL.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("a NULL is unboxed as an option")
    }
}

// SAFETY: the names given here are those of the SQL type.
unsafe impl SqlTranslatable for VectorArg {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(VectorArg);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("vector"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("vector")));
}

/// The components of pgvector's type.
///
/// # Safety
/// The datum is a `vector`.
unsafe fn components(datum: pg_sys::Datum) -> Vec<f32> {
    /// Varlena header, `dim` and `unused`.
    const HEADER: usize = 8;
    // SAFETY: a detoasted vector is its header and its floats, aligned to four bytes.
    unsafe {
        let value = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
        let bytes = pgrx::varsize(value).saturating_sub(HEADER);
        let floats = value.cast::<u8>().add(HEADER).cast::<f32>();
        std::slice::from_raw_parts(floats, bytes / 4).to_vec()
    }
}

/// The components of each embedding of a `vector[]`; `None` for NULL.
pub fn vectors(array: AnyArray) -> Vec<Option<Vec<f32>>> {
    let (mut elements, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: the datum is an array of varlena values aligned to four bytes, as the SQL declaration `vector[]` says;
    // Postgres allocates the two lists, of `count` items each. A detoasted vector is its header and its floats.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.datum().cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        pg_sys::deconstruct_array(
            array,
            (*array).elemtype,
            -1,
            false,
            pg_sys::TYPALIGN_INT as std::ffi::c_char,
            &mut elements,
            &mut nulls,
            &mut count,
        );
        (0..count as usize).map(|at| (!*nulls.add(at)).then(|| components(*elements.add(at)))).collect()
    }
}
