//! The local embedding model, loaded once per session; its weights are shared between sessions by mmap.

use crate::error::{Error, MAX_TEXT_BYTES};
use crate::gucs;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use vectorstore_core::model::Model;

thread_local! {
    /// The model last used and the folder it came from: a changed setting loads the other one.
    static MODEL: RefCell<Option<(PathBuf, Rc<Model>)>> = const { RefCell::new(None) };
}

fn model() -> Result<Rc<Model>, Error> {
    let path = gucs::model_path().ok_or(Error::NoModelPath)?;
    MODEL.with_borrow_mut(|slot| match slot {
        Some((loaded, model)) if *loaded == path => Ok(Rc::clone(model)),
        _ => {
            let model = Rc::new(Model::open(&path)?);
            *slot = Some((path, Rc::clone(&model)));
            Ok(model)
        }
    })
}

/// Embeds a text with the local model: unit length, or all zeros for a text without tokens.
#[pg_extern(sql = false, stable, parallel_safe, strict)]
fn embed(text: &str) -> Result<Vec<f32>, ErrorReport> {
    Ok(embed_text(text)?)
}

/// The same for other functions of this library.
pub fn embed_text(text: &str) -> Result<Vec<f32>, Error> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Error::TextTooLong);
    }
    Ok(model()?.embed(text))
}

/// Dimensions of the local model.
#[pg_extern(sql = false, stable, parallel_safe)]
fn model_dimensions() -> Result<i32, ErrorReport> {
    Ok(i32::try_from(model()?.dimensions()).unwrap_or(i32::MAX))
}
