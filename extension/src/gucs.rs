//! All settings of the extension, with their ranges and getters.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};
use std::ffi::CString;
use std::path::PathBuf;

static MODEL_PATH: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Registers the settings and reserves their prefix, so that a misspelt one is refused.
pub fn init() {
    GucRegistry::define_string_guc(
        c"vectorstore.model_path",
        c"Folder that holds the weights and the tokenizer of the local embedding model.",
        c"Read when a session embeds its first text; the server's user must be able to read it.",
        &MODEL_PATH,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    // SAFETY: the argument is a NUL-terminated constant; Postgres copies it. Settings of the prefix that were
    // given before the library was loaded and are not defined above are dropped with a warning.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"vectorstore".as_ptr()) };
}

/// The folder of the local embedding model, if set.
pub fn model_path() -> Option<PathBuf> {
    let path = MODEL_PATH.get()?.into_string().ok()?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}
