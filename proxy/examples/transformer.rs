//! Embeds texts with a sentence transformer: reads a JSON array of strings from standard input and writes their vectors
//! as a JSON array of arrays. `bench/transformer` compares them with the original's.
//!
//! usage: transformer FOLDER

use std::error::Error;
use std::io::Write;

use vectorstore_proxy::embed::Transformer;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: transformer FOLDER")?;
    let model = Transformer::open(folder.as_ref())?;
    let texts: Vec<String> = serde_json::from_reader(std::io::stdin().lock())?;
    let vectors = model.embed(texts)?;
    let vectors: Vec<&[f32]> = vectors.iter().map(|vector| vector.as_slice()).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer(&mut out, &vectors)?;
    Ok(out.flush()?)
}
