//! `jsonb` objects read where they lie: the top-level attributes that filters ask for.

use pgrx::pg_sys;
use std::ffi::CStr;
use vectorstore_core::filter::{Attributes, Decimal, Found};

/// A `jsonb` value, aligned and in one piece.
pub struct Jsonb {
    value: *mut pg_sys::varlena,
    owned: bool,
}

impl Jsonb {
    /// The value of a `jsonb` column.
    pub fn new(datum: pg_sys::Datum) -> Self {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the column holds a varlena; detoasting returns it as it is, or an aligned copy that is ours.
        let value = unsafe { pg_sys::pg_detoast_datum(stored) };
        Self { value, owned: !std::ptr::eq(value, stored) }
    }

    /// The root container, if it is an object.
    fn object(&self) -> Option<*mut pg_sys::JsonbContainer> {
        // SAFETY: a `jsonb` is a varlena header of 4 bytes and its root container, which begins with its flags.
        unsafe {
            let root = self.value.cast::<u8>().add(4).cast::<pg_sys::JsonbContainer>();
            ((*root).header & pg_sys::JB_FOBJECT != 0).then_some(root)
        }
    }

    /// Whether the object has this key, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.look_up(key).is_some()
    }

    fn look_up(&self, key: &str) -> Option<pg_sys::JsonbValue> {
        let root = self.object()?;
        let mut value = pg_sys::JsonbValue::default();
        // SAFETY: key and length belong together, and the answer is written into `value`.
        let hit = unsafe {
            pg_sys::getKeyJsonValueFromContainer(root, key.as_ptr().cast(), key.len() as i32, &mut value)
        };
        (!hit.is_null()).then_some(value)
    }

    /// Visits every top-level pair whose value is a string, a number or a boolean.
    pub fn scalars(&self, mut visit: impl FnMut(&str, Found<'_>)) {
        let Some(root) = self.object() else { return };
        let mut value = pg_sys::JsonbValue::default();
        let mut key = String::new();
        // SAFETY: the container outlives the iterator, which frees itself at its end; nested containers are skipped,
        // so the tokens are those of the object alone.
        unsafe {
            let mut iterator = pg_sys::JsonbIteratorInit(root);
            loop {
                match pg_sys::JsonbIteratorNext(&mut iterator, &mut value, true) {
                    pg_sys::JsonbIteratorToken::WJB_DONE => break,
                    pg_sys::JsonbIteratorToken::WJB_KEY => {
                        key.clear();
                        key.push_str(string(&value));
                    }
                    pg_sys::JsonbIteratorToken::WJB_VALUE => {
                        if let Some(found) = found(&value) {
                            visit(&key, found);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Attributes for Jsonb {
    fn get(&self, key: &str) -> Option<Found<'_>> {
        let value = self.look_up(key)?;
        // SAFETY: filled by Postgres; what it points to lies in the container, which lives as long as this.
        unsafe { found(&value) }
    }
}

impl Drop for Jsonb {
    fn drop(&mut self) {
        if self.owned && !std::thread::panicking() {
            // SAFETY: allocated by `pg_detoast_datum` and freed once.
            unsafe { pg_sys::pfree(self.value.cast()) }
        }
    }
}

/// A scalar as filters see it; `None` for null and containers.
///
/// # Safety
/// `value` was filled by Postgres, and what it points to lives as long as the answer.
unsafe fn found<'a>(value: &pg_sys::JsonbValue) -> Option<Found<'a>> {
    // SAFETY: the type says which member of the union is set.
    unsafe {
        match value.type_ {
            pg_sys::jbvType::jbvString => Some(Found::String(string(value).into())),
            pg_sys::jbvType::jbvBool => Some(Found::Bool(value.val.boolean)),
            pg_sys::jbvType::jbvNumeric => {
                let text = pgrx::direct_function_call::<&CStr>(
                    pg_sys::numeric_out,
                    &[Some(pg_sys::Datum::from(value.val.numeric))],
                )?;
                Decimal::parse(text.to_str().ok()?).map(Found::Number)
            }
            _ => None,
        }
    }
}

/// The characters of a string or key.
///
/// # Safety
/// As [`found`]; the value is a string.
unsafe fn string<'a>(value: &pg_sys::JsonbValue) -> &'a str {
    // SAFETY: pointer and length describe the string inside the container.
    let bytes = unsafe {
        let string = value.val.string;
        std::slice::from_raw_parts(string.val.cast::<u8>(), string.len.max(0) as usize)
    };
    std::str::from_utf8(bytes).unwrap_or_default()
}
