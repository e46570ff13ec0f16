//! A sentence transformer (BERT with mean pooling, such as all-MiniLM-L6-v2) from a folder, on the processor.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use pgvector::Vector;
use serde::Deserialize;
use tokenizers::{Tokenizer, TruncationParams};

use super::EmbedError;

type Opened<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Texts of one run: more only need more memory.
const BATCH: usize = 16;

/// A transformer; cloning it is cheap.
#[derive(Clone)]
pub struct Transformer(Arc<Inner>);

struct Inner {
    model: BertModel,
    tokenizer: Tokenizer,
    dimensions: usize,
}

/// What sentence-transformers adds to the model's own configuration.
#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: usize,
}

impl Transformer {
    /// Reads the model from a folder as sentence-transformers writes it.
    pub fn open(folder: &Path) -> Opened<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let config: Config = serde_json::from_slice(&read("config.json")?)?;
        let max_length = match read("sentence_bert_config.json") {
            Ok(bytes) => serde_json::from_slice::<SentenceConfig>(&bytes)?.max_seq_length,
            Err(_) => config.max_position_embeddings,
        };
        let mut tokenizer = Tokenizer::from_bytes(read("tokenizer.json")?)?;
        // The file asks for other lengths than the model was trained with, and pads to them.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(TruncationParams { max_length, ..Default::default() }))?;
        let weights =
            VarBuilder::from_buffered_safetensors(read("model.safetensors")?, DType::F32, &Device::Cpu)?;
        let dimensions = config.hidden_size;
        Ok(Self(Arc::new(Inner { model: BertModel::load(weights, &config)?, tokenizer, dimensions })))
    }

    /// Dimensions of the vectors.
    pub fn dimensions(&self) -> usize {
        self.0.dimensions
    }

    /// The vectors of texts, of length 1.
    pub fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        self.run(texts).map_err(|error| EmbedError::Unusable(error.to_string()))
    }

    fn run(&self, texts: Vec<String>) -> Opened<Vec<Vector>> {
        let encoded = self.0.tokenizer.encode_batch(texts, true)?;
        let ids: Vec<&[u32]> = encoded.iter().map(|text| text.get_ids()).collect();
        // Texts of one length together: little padding.
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|at| ids[*at].len());
        let mut vectors = vec![Vector::from(Vec::new()); ids.len()];
        for batch in order.chunks(BATCH) {
            let rows: Vec<&[u32]> = batch.iter().map(|at| ids[*at]).collect();
            for (at, vector) in batch.iter().zip(self.embed_batch(&rows)?) {
                vectors[*at] = Vector::from(vector);
            }
        }
        Ok(vectors)
    }

    /// Means over the tokens, at length 1.
    fn embed_batch(&self, rows: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or_default();
        let padded = |value: fn(u32) -> u32| {
            let row = |row: &&[u32]| {
                row.iter().map(|id| value(*id)).chain(std::iter::repeat(0)).take(width).collect()
            };
            Tensor::new(rows.iter().map(row).collect::<Vec<Vec<u32>>>(), &Device::Cpu)
        };
        let (ids, mask) = (padded(|id| id)?, padded(|_| 1)?);
        let states = self.0.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let sums = states.broadcast_mul(&mask)?.sum(1)?;
        let means = sums.broadcast_div(&mask.sum(1)?)?;
        means.broadcast_div(&means.sqr()?.sum_keepdim(1)?.sqrt()?)?.to_vec2()
    }
}
