//! From a stored file to searchable chunks: read, decode, cut, embed.

pub mod extract;
pub mod stages;
pub mod text;

use std::sync::Arc;

use pgvector::Vector;
use serde_json::{Value, json};
use vectorstore_core::chunk::{ChunkConfig, chunk};

use crate::db::Job;
use crate::embed::{EmbedError, Provider};
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::state::AppState;
use stages::{Stage, Stages};

/// OpenAI's limit for one file.
const MAX_TOKENS: usize = 5_000_000;

/// Longest chunk that the database takes. Only thousands of tokens of blanks are longer.
const MAX_CHUNK_BYTES: usize = 262_144;

/// A token is at most a few characters of ordinary text: a text file that is bigger than this cannot be within
/// [`MAX_TOKENS`]; documents are small beside their pictures. It also bounds the memory of one ingestion.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// How a file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    max_tokens: usize,
    overlap_tokens: usize,
}

impl Default for Strategy {
    /// What OpenAI calls `auto`.
    fn default() -> Self {
        Self { max_tokens: 800, overlap_tokens: 400 }
    }
}

impl Strategy {
    /// Reads `chunking_strategy`. The numbers may also stand beside `type`, as in OpenAI's guide.
    pub fn read(fields: &Fields<'_>) -> Result<Self> {
        let Some(strategy) = fields.object("chunking_strategy")? else { return Ok(Self::default()) };
        let kind = strategy.required("type", strategy.string("type", usize::MAX)?)?;
        match kind {
            // What is not used has to be right all the same.
            "auto" => {
                strategy.object("static")?.map(|inner| Self::read_static(&inner)).transpose()?;
                Ok(Self::default())
            }
            "static" => match strategy.object("static")? {
                Some(inner) => Self::read_static(&inner),
                None if strategy.has("max_chunk_size_tokens") => Self::read_static(&strategy),
                None => Err(crate::fields::missing(&strategy.path("static"))),
            },
            other => {
                let other: String = other.chars().take(64).collect();
                let message = format!(
                    "Invalid value: '{other}'. Supported values are: 'auto' and 'static'. This server has no model that other strategies could use."
                );
                Err(Error::invalid("invalid_value", strategy.path("type"), message))
            }
        }
    }

    fn read_static(fields: &Fields<'_>) -> Result<Self> {
        let (size, overlap) = ("max_chunk_size_tokens", "chunk_overlap_tokens");
        let max_tokens = fields.required(size, fields.integer(size, 100, 4096)?)?;
        let overlap_tokens = fields.required(overlap, fields.integer(overlap, 0, max_tokens / 2)?)?;
        Ok(Self { max_tokens: max_tokens as usize, overlap_tokens: overlap_tokens as usize })
    }

    /// The strategy that [`Self::to_json`] wrote.
    pub fn of_json(value: &Value) -> Option<Self> {
        let number = |name: &str| value["static"][name].as_u64().map(|number| number as usize);
        Some(Self {
            max_tokens: number("max_chunk_size_tokens")?,
            overlap_tokens: number("chunk_overlap_tokens")?,
        })
    }

    /// The strategy as files report it.
    pub fn to_json(self) -> Value {
        json!({"type": "static", "static": {
            "max_chunk_size_tokens": self.max_tokens, "chunk_overlap_tokens": self.overlap_tokens,
        }})
    }
}

/// A file cut and embedded.
pub struct Prepared {
    /// The parsed text.
    pub text: String,
    /// Its chunks.
    pub chunks: Vec<String>,
    /// Their vectors.
    pub embeddings: Vec<Vector>,
}

/// Why there is nothing to store.
pub enum Stop {
    /// Something is wrong with the file; whether another try may help, the problem knows.
    Problem(text::Problem),
    /// The job is somebody else's by now, or nobody's.
    Lost,
    /// It may work another time.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<text::Problem> for Stop {
    fn from(problem: text::Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<EmbedError> for Stop {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Refused(_) => {
                let message = "The embedding model does not accept the text of the file.";
                Self::Problem(text::Problem::invalid(message.into()))
            }
            error => Self::Error(error.into()),
        }
    }
}

/// Reads, cuts and embeds the file of a job; `stages` learns what that cost.
pub async fn ingest(state: &AppState, job: &Job, stages: &mut Stages) -> Result<Prepared, Stop> {
    let kind = text::kind_of(&job.filename).ok_or_else(|| text::Problem::unsupported(&job.filename))?;
    if job.bytes > MAX_FILE_BYTES {
        return Err(text::Problem::invalid(format!("The file is larger than {MAX_FILE_BYTES} bytes.")).into());
    }
    let strategy = Strategy::of_json(&job.chunking_strategy)
        .ok_or_else(|| Error::Internal(format!("file {} has an unknown chunking strategy", job.file_id)))?;
    let provider = provider_of(state, job)?;
    let mut bytes = Vec::with_capacity(job.bytes as usize);
    for part in 0..job.parts {
        bytes.extend(state.db().read_job_part(job, part).await?.ok_or(Stop::Lost)?);
    }
    stages.end(Stage::Read);
    let text = extract::run(state.extractor(), kind, bytes).await?.text;
    stages.end(Stage::Extract);
    let (text, chunks) = state.compute(move || cut(kind, text, strategy)).await??;
    stages.end(Stage::Chunk);
    let embeddings = provider.embed(state, chunks.clone()).await?;
    stages.end(Stage::Embed);
    // A chunk without words has no direction: it could never be found, and the database refuses it.
    let worded = |(_, embedding): &(String, Vector)| embedding.as_slice().iter().any(|x| *x != 0.0);
    let (chunks, embeddings): (Vec<_>, Vec<_>) = chunks.into_iter().zip(embeddings).filter(worded).unzip();
    if chunks.is_empty() {
        return Err(text::Problem::invalid("The file contains no text.".into()).into());
    }
    Ok(Prepared { text, chunks, embeddings })
}

/// What embeds for the store of a job.
fn provider_of(state: &AppState, job: &Job) -> Result<Arc<Provider>> {
    let provider = state.providers().get(&job.embedding_model);
    let provider = provider.filter(|provider| provider.dimensions as i32 == job.dimensions).cloned();
    provider.ok_or_else(|| {
        let (name, dimensions) = (&job.embedding_model, job.dimensions);
        Error::Unavailable(format!(
            "no embedding model '{name}' with {dimensions} dimensions is configured here"
        ))
    })
}

/// The text and its chunks.
fn cut(
    kind: text::Kind,
    text: String,
    strategy: Strategy,
) -> std::result::Result<(String, Vec<String>), text::Problem> {
    let config = ChunkConfig { max_tokens: strategy.max_tokens, overlap_tokens: strategy.overlap_tokens };
    let pieces =
        chunk(&text, config, kind.chunking()).map_err(|error| text::Problem::invalid(error.to_string()))?;
    if pieces.iter().map(|piece| piece.tokens).sum::<usize>() > 2 * MAX_TOKENS {
        return Err(text::Problem::invalid(format!("The file has more than {MAX_TOKENS} tokens.")));
    }
    let chunks: Vec<String> = pieces.iter().map(|piece| text[piece.start..piece.end].to_owned()).collect();
    if chunks.iter().any(|chunk| chunk.len() > MAX_CHUNK_BYTES) {
        let message = format!("A chunk of the file is longer than {MAX_CHUNK_BYTES} bytes.");
        return Err(text::Problem::invalid(message));
    }
    Ok((text, chunks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> std::result::Result<Strategy, String> {
        let body = json!({"chunking_strategy": value});
        Strategy::read(&Fields::root(body.as_object().unwrap()))
            .map_err(|error| error.body("r")["error"]["param"].as_str().unwrap().to_owned())
    }

    #[test]
    fn the_default_is_auto() {
        let auto = Strategy { max_tokens: 800, overlap_tokens: 400 };
        assert_eq!(read(Value::Null), Ok(auto));
        assert_eq!(read(json!({"type": "auto"})), Ok(auto));
        assert_eq!(auto.to_json()["static"]["max_chunk_size_tokens"], 800);
        assert_eq!(Strategy::of_json(&auto.to_json()), Some(auto));
        assert_eq!(Strategy::of_json(&json!({"type": "other"})), None);
    }

    #[test]
    fn numbers_may_stand_inside_or_beside() {
        let numbers = json!({"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50});
        let expected = Ok(Strategy { max_tokens: 100, overlap_tokens: 50 });
        assert_eq!(read(json!({"type": "static", "static": numbers})), expected);
        assert_eq!(
            read(json!({"type": "static", "max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50})),
            expected
        );
    }

    #[test]
    fn bounds_are_checked() {
        let read = |size: i64, overlap: i64| {
            read(
                json!({"type": "static", "static": {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}}),
            )
        };
        assert!(read(4096, 2048).is_ok() && read(100, 0).is_ok());
        for (size, overlap, field) in [
            (99, 0, "max_chunk_size_tokens"),
            (4097, 0, "max_chunk_size_tokens"),
            (100, 51, "chunk_overlap_tokens"),
            (100, -1, "chunk_overlap_tokens"),
        ] {
            assert_eq!(read(size, overlap), Err(format!("chunking_strategy.static.{field}")));
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_eq!(read(json!({"type": "contextual"})), Err("chunking_strategy.type".into()));
        assert_eq!(read(json!({})), Err("chunking_strategy.type".into()));
        assert_eq!(read(json!({"type": "static"})), Err("chunking_strategy.static".into()));
        assert_eq!(read(json!("auto")), Err("chunking_strategy".into()));
        assert_eq!(
            read(json!({"type": "static", "static": {"max_chunk_size_tokens": 800}})),
            Err("chunking_strategy.static.chunk_overlap_tokens".into())
        );
    }
}
