//! Embeds texts from outside of Rust: reads a JSON array of strings, prints an array of {"ids", "embedding"}.
//! The parity test of `tests/python` compares its output with the reference implementation of the model.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::json;
use vectorstore_core::model::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir: PathBuf = std::env::args_os().nth(1).ok_or("usage: embed MODEL_DIR < texts.json")?.into();
    let model = Model::open(&dir)?;
    let texts: Vec<String> = serde_json::from_reader(io::stdin().lock())?;
    let rows: Vec<_> = texts
        .iter()
        .map(|text| json!({"ids": model.tokenize(text), "embedding": model.embed(text)}))
        .collect();
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &rows)?;
    out.flush()?;
    Ok(())
}
