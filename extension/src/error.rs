//! Errors of this library: SQLSTATE, message for the user, and a DETAIL that programs read.
//!
//! The DETAIL is a JSON object with `code` and `param`, and with `rate` when rate limits hold for the caller; the proxy
//! shows a database error to its clients only when it carries one, because then the text was written for them.

use pgrx::PgSqlErrorCode as Code;
use pgrx::pg_sys::panic::ErrorReport;
use vectorstore_core::filter::FilterError;
use vectorstore_core::model::ModelError;
use vectorstore_core::segment::Damaged;

/// Longest text that is embedded: the tokenizer's memory grows with it. Equal to the longest content of a chunk.
pub const MAX_TEXT_BYTES: usize = 262_144;

/// What can go wrong in a function of this library.
#[derive(Debug)]
pub enum Error {
    /// A filter that is not of the grammar.
    Filter(FilterError),
    /// The embedding model cannot be loaded.
    Model(ModelError),
    /// `vectorstore.model_path` is not set.
    NoModelPath,
    /// A text that is too long to embed.
    TextTooLong,
    /// Weights that cannot be used.
    Weights,
    /// An argument that is out of range.
    Invalid {
        /// One sentence in English.
        message: String,
        /// Error code of the API.
        code: &'static str,
        /// Name of the argument.
        param: &'static str,
    },
    /// The tables are missing.
    NotInstalled,
    /// What is asked for is kept in shared memory.
    NotPreloaded,
    /// The store was dropped meanwhile.
    NoStore,
    /// The caller may not do that.
    Forbidden,
    /// The database role belongs to no tenant.
    NoTenant,
    /// The tenant that the session has chosen is not the role's any more.
    LostTenant,
    /// The database role belongs to several tenants and has chosen none.
    SeveralTenants,
    /// A search segment is not what was written.
    Damaged(Damaged),
    /// Postgres refused a statement of ours without raising an error.
    Spi(pgrx::spi::Error),
}

impl From<Damaged> for Error {
    fn from(error: Damaged) -> Self {
        Self::Damaged(error)
    }
}

impl From<pgrx::spi::Error> for Error {
    fn from(error: pgrx::spi::Error) -> Self {
        Self::Spi(error)
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Self::Filter(error)
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<Error> for ErrorReport {
    #[track_caller]
    fn from(error: Error) -> Self {
        let report = |sqlstate, message: String, code: Option<&str>, param: Option<&str>| {
            let mut detail = serde_json::json!({ "code": code, "param": param });
            if let Some(rate) = crate::limits::state() {
                detail["rate"] = rate;
            }
            ErrorReport::new(sqlstate, message, "vectorstore").set_detail(detail.to_string())
        };
        let no_model = || {
            report(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "The local embedding model is not available on this server.".to_owned(),
                None,
                None,
            )
        };
        match error {
            Error::Filter(e) => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE, e.message, Some(e.code), Some(&e.param)
            ),
            Error::NoModelPath => no_model().set_hint(
                "Set vectorstore.model_path to the folder with the weights and the tokenizer, or give embeddings yourself.",
            ),
            Error::Model(e) => no_model().set_hint(e.to_string()),
            Error::TextTooLong => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("The text is too long to embed. Expected at most {MAX_TEXT_BYTES} bytes."),
                Some("string_above_max_length"),
                Some("content"),
            ),
            Error::Invalid { message, code, param } => {
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message, Some(code), Some(param))
            }
            Error::NotInstalled => report(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "vectorstore is not set up in this database yet.".to_owned(),
                None,
                None,
            )
            .set_hint("SELECT vs_install();"),
            Error::NotPreloaded => report(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "vectorstore must be loaded via \"shared_preload_libraries\".".to_owned(),
                None,
                None,
            ),
            Error::NoStore => {
                report(Code::ERRCODE_NO_DATA_FOUND, "The vector store does not exist.".to_owned(), None, None)
            }
            Error::Forbidden => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "You have insufficient permissions for this operation.".to_owned(),
                Some("insufficient_permissions"),
                None,
            ),
            Error::NoTenant => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "The database role belongs to no tenant.".to_owned(),
                Some("insufficient_permissions"),
                None,
            )
            .set_hint("An administrator gives it one: SELECT vs_grant_tenant(role, tenant, access)."),
            Error::LostTenant => report(
                Code::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "The tenant that this session has chosen is not the database role's.".to_owned(),
                Some("insufficient_permissions"),
                None,
            )
            .set_hint("Choose another one: SELECT vs_set_tenant(tenant), or none with NULL."),
            Error::SeveralTenants => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "The database role belongs to several tenants.".to_owned(),
                Some("invalid_value"),
                Some("tenant"),
            )
            .set_hint("Choose one for the session: SELECT vs_set_tenant(tenant)."),
            Error::Damaged(e) => report(Code::ERRCODE_DATA_CORRUPTED, e.to_string(), None, None)
                .set_hint("SELECT vs_rebuild(store) makes the segments anew from the rows."),
            Error::Spi(e) => report(Code::ERRCODE_INTERNAL_ERROR, e.to_string(), None, None),
            Error::Weights => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                "Weights must be finite, not negative, and not both zero.".to_owned(),
                Some("invalid_value"),
                Some("vector_weight"),
            ),
        }
    }
}
