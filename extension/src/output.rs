//! The answer of a function that returns a table, written into the place where the executor reads it.
//!
//! A row at a time would be a call a row, each with all that surrounds a SECURITY DEFINER function: for ten rows that
//! takes as long as finding them.

use pgrx::callconv::RetAbi;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

/// A table that is being written.
pub struct Output {
    rows: *mut pg_sys::Tuplestorestate,
    columns: pg_sys::TupleDesc,
}

impl Output {
    /// An empty table, in the form that the caller expects.
    ///
    /// # Safety
    /// The arguments are those of the call in progress, of a function that returns a set of rows.
    pub unsafe fn begin(call: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: promised by the caller; this raises an error where no set can be returned.
        unsafe {
            let asked = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let expected = !asked.is_null() && !(*asked).expectedDesc.is_null();
            let flags = if expected { pg_sys::MAT_SRF_USE_EXPECTED_DESC } else { 0 };
            pg_sys::InitMaterializedSRF(call, flags);
            Self { rows: (*asked).setResult, columns: (*asked).setDesc }
        }
    }

    /// Adds a row, whose values are copied; `None` is NULL. They are of the types that the SQL declaration names.
    pub fn put<const N: usize>(&mut self, values: [Option<pg_sys::Datum>; N]) {
        // SAFETY: the table lives until the call returns.
        assert_eq!(usize::try_from(unsafe { (*self.columns).natts }), Ok(N), "columns of the answer");
        let nulls = values.map(|value| value.is_none());
        let values = values.map(|value| value.unwrap_or(pg_sys::Datum::null()));
        // SAFETY: as above; as many values as columns.
        unsafe { pg_sys::tuplestore_putvalues(self.rows, self.columns, values.as_ptr(), nulls.as_ptr()) };
    }

    /// The table is complete.
    pub fn done(self) -> Written {
        Written(())
    }
}

/// What a function returns that has written an [`Output`].
pub struct Written(());

// SAFETY: the rows are with the caller already; what is returned is not looked at.
unsafe impl RetAbi for Written {
    type Item = Self;
    type Ret = Self;

    fn to_ret(self) -> Self {
        self
    }

    unsafe fn box_ret_in_fcinfo(_: pg_sys::FunctionCallInfo, _: Self) -> pg_sys::Datum {
        pg_sys::Datum::null()
    }

    unsafe fn move_into_fcinfo_fcx(self, _: pg_sys::FunctionCallInfo) {}

    unsafe fn fill_fcinfo_fcx(&self, _: pg_sys::FunctionCallInfo) {}
}

// SAFETY: the SQL declaration names the columns.
unsafe impl SqlTranslatable for Written {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Written);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Err(ArgumentError::Table);
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("record")));
}
