//! The static embedding model that ships with vectorstore: one vector a token, averaged over the text and
//! brought to length one. No network, no GPU, and the extension and the proxy compute the very same vectors.
//!
//! The vectors stay in the page cache, mapped read-only and shared by all processes; only the tokenizer's
//! tables (about 1 MB) are private to a process, because each Postgres backend opens the model for itself.

mod tokenizer;
mod vocabulary;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokenizer::Tokenizer;
use weights::Weights;

/// Name of the model as stores record it.
pub const MODEL_NAME: &str = "wordllama-l2-supercat-256";
/// Length of every vector of the model.
pub const DIMENSIONS: usize = 256;
/// File of the model folder that holds the token vectors.
pub const WEIGHTS_FILE: &str = "l2_supercat_256.safetensors";
/// File of the model folder that holds the tokenizer.
pub const TOKENIZER_FILE: &str = "l2_supercat_tokenizer_config.json";

/// Why a model folder could not be opened. Messages name server paths: they are for operators, not for clients.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The file is missing, unreadable or not a regular file.
    #[error("could not read model file \"{}\": {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is truncated, altered or not of the expected format.
    #[error("model file \"{}\" is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is sound, yet it is another kind of model than this one.
    #[error("model file \"{}\" is not of model {MODEL_NAME}: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

/// What a part of the loader found wrong; [`Model::open`] adds the path.
#[derive(Debug)]
enum Fault {
    Corrupt(String),
    Unsupported(String),
}

impl Fault {
    fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt(reason.into())
    }

    fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    fn at(self, path: &Path) -> ModelError {
        let path = path.to_owned();
        match self {
            Self::Corrupt(reason) => ModelError::Corrupt { path, reason },
            Self::Unsupported(reason) => ModelError::Unsupported { path, reason },
        }
    }
}

/// An opened model. Immutable, so one instance may serve any number of threads.
pub struct Model {
    tokenizer: Tokenizer,
    weights: Weights,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name())
            .field("rows", &self.weights.rows())
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Opens the folder that holds [`WEIGHTS_FILE`] and [`TOKENIZER_FILE`] and checks both files through and through.
    ///
    /// While the model is open, its files must only ever be replaced by `rename`: a file truncated in place takes
    /// the process down with SIGBUS, as with every mapped file.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let weights_path = dir.join(WEIGHTS_FILE);
        let tokenizer_path = dir.join(TOKENIZER_FILE);
        let weights = Weights::new(map_file(&weights_path)?).map_err(|fault| fault.at(&weights_path))?;
        let json = map_file(&tokenizer_path)?;
        let tokenizer = Tokenizer::from_json(&json).map_err(|fault| fault.at(&tokenizer_path))?;
        if tokenizer.vocabulary_size() > weights.rows() {
            let reason = format!(
                "it knows {} tokens, but \"{WEIGHTS_FILE}\" has {} rows",
                tokenizer.vocabulary_size(),
                weights.rows()
            );
            return Err(Fault::Unsupported(reason).at(&tokenizer_path));
        }
        Ok(Self { tokenizer, weights })
    }

    /// Name of the model as stores record it.
    pub fn name(&self) -> &'static str {
        MODEL_NAME
    }

    /// Length of every vector that [`Model::embed`] returns.
    pub fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    /// Token ids of a text, without begin and end markers.
    pub fn tokenize(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.tokenizer.encode(text, |id| ids.push(u32::from(id)));
        ids
    }

    /// Mean of the text's token vectors, scaled to length one; all zeros for a text without tokens.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0.0_f32; DIMENSIONS];
        self.tokenizer.encode(text, |id| self.weights.add_row(id, &mut sum));
        // The mean and the sum point the same way, so scaling to length one makes the division superfluous.
        let norm = sum.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if norm > 0.0 {
            for x in &mut sum {
                *x = (f64::from(*x) / norm) as f32;
            }
        }
        sum
    }
}

/// Maps a regular file read-only.
fn map_file(path: &Path) -> Result<memmap2::Mmap, ModelError> {
    let io_error = |source| ModelError::Io { path: path.to_owned(), source };
    // Looked at before opening: opening a FIFO would wait for a writer, forever.
    if !std::fs::metadata(path).map_err(io_error)?.is_file() {
        return Err(io_error(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = std::fs::File::open(path).map_err(io_error)?;
    // SAFETY: the map is private and read-only. Only a change of the file in place could alter it under us, which
    // `Model::open` forbids; values are read by copy, so even then no reference to invalid data comes to exist
    // in the weights, and the tokenizer's map lives no longer than `Model::open`.
    unsafe { memmap2::Mmap::map(&file) }.map_err(io_error)
}
