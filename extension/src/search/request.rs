//! What is asked: the options of a search and its queries, checked and completed.

use crate::catalog::StoreRow;
use crate::error::Error;
use crate::model;
use crate::search::phrase::{Phrase, Reading};
use crate::tsvector;
use serde::Deserialize;
use vectorstore_core::bm25::QueryTerms;
use vectorstore_core::filter::Filter;
use vectorstore_core::fusion::{How, Method, Weights, weighted};
use vectorstore_core::query::Query as Syntax;

/// Longest text of a query, in bytes.
const MAX_QUERY_BYTES: usize = 8_192;
/// Most queries of one search, the negative ones too.
pub const MAX_QUERIES: usize = 64;

/// Options as `vectorstore._search` gets them; the SQL functions above it have typed arguments for each.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub k: Option<i64>,
    pub mode: Option<String>,
    pub vector_weight: Option<f64>,
    pub keyword_weight: Option<f64>,
    pub fusion: String,
    pub rrf_k: Option<f64>,
    pub combine: String,
    /// How many of the last queries are negative.
    pub negatives: usize,
    pub negative_weight: Option<f64>,
    pub filter: Option<serde_json::Value>,
    /// What a row must pass besides: the filter of the caller's key.
    pub mandatory: Option<serde_json::Value>,
    pub score_threshold: Option<f64>,
    pub vector_threshold: Option<f64>,
    pub keyword_threshold: Option<f64>,
    /// Microseconds since 2000-01-01 UTC, inclusive.
    pub created_from: Option<i64>,
    /// Microseconds since 2000-01-01 UTC, exclusive.
    pub created_to: Option<i64>,
    pub group_by: Option<String>,
    pub group_size: i64,
    pub explain: bool,
    /// Hits wanted in all; those behind the first k are only numbers and scores.
    pub list: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            k: Some(10),
            mode: Some("hybrid".into()),
            vector_weight: Some(0.7),
            keyword_weight: Some(0.3),
            fusion: "weighted".into(),
            rrf_k: None,
            combine: "max".into(),
            negatives: 0,
            negative_weight: None,
            filter: None,
            mandatory: None,
            score_threshold: None,
            vector_threshold: None,
            keyword_threshold: None,
            created_from: None,
            created_to: None,
            group_by: None,
            group_size: 1,
            explain: false,
            list: 0,
        }
    }
}

/// Options that have passed every check.
pub struct Request {
    pub k: usize,
    pub method: Method,
    pub weights: Weights,
    pub how: How,
    pub negatives: usize,
    pub negative_weight: f64,
    pub filter: Option<Filter>,
    pub threshold: f64,
    pub vector_threshold: f64,
    pub keyword_threshold: f64,
    pub created: Option<(Option<i64>, Option<i64>)>,
    pub group_by: Option<String>,
    pub group_size: usize,
    pub explain: bool,
    pub list: usize,
    mode: String,
}

impl Request {
    /// Checks the options.
    pub fn new(options: Options) -> Result<Self, Error> {
        let (k, mode) = (options.k.unwrap_or(0), options.mode.unwrap_or_default());
        if !(1..=10_000).contains(&k) {
            return Err(invalid("k must be from 1 to 10000.", "k"));
        }
        if !["hybrid", "vector_only", "keyword_only"].contains(&mode.as_str()) {
            return Err(invalid(
                "Invalid value for the search mode. Supported values are: 'hybrid', 'vector_only' and 'keyword_only'.",
                "search_mode",
            ));
        }
        let threshold = |value: Option<f64>, name: &'static str| match value {
            Some(value) if !(0.0..=1.0).contains(&value) => {
                Err(invalid(format!("{name} must be from 0 to 1."), name))
            }
            value => Ok(value.unwrap_or(0.0)),
        };
        let weights = Weights {
            vector: options.vector_weight.unwrap_or(f64::NAN),
            keyword: options.keyword_weight.unwrap_or(f64::NAN),
        };
        for (weight, name) in [(weights.vector, "vector_weight"), (weights.keyword, "keyword_weight")] {
            if !weight.is_finite() || weight < 0.0 {
                return Err(invalid(format!("{name} must be finite and not negative."), name));
            }
        }
        weighted(0.0, 0.0, weights.vector, weights.keyword).ok_or(Error::Weights)?;
        let negative_weight = options.negative_weight.unwrap_or(1.0);
        if !(0.0..=1e6).contains(&negative_weight) {
            return Err(invalid("negative_weight must be from 0 to 1000000.", "negative_weight"));
        }
        if !(1..=1_000).contains(&options.group_size) {
            return Err(invalid("group_size must be from 1 to 1000.", "group_size"));
        }
        let rrf_k = || invalid("rrf_k must be finite and not negative.", "rrf_k");
        if options.rrf_k.is_some_and(|k| !k.is_finite() || k < 0.0) {
            return Err(rrf_k());
        }
        let method = Method::parse(&options.fusion, options.rrf_k).map_err(|_| {
            let known = "'weighted', 'minmax', 'dbsf', 'zscore' and 'rrf'";
            invalid(format!("Invalid value for the fusion. Supported values are: {known}."), "fusion")
        })?;
        let how = How::parse(&options.combine, options.rrf_k).map_err(|_| {
            invalid("Invalid value for combine. Supported values are: 'max', 'sum' and 'rrf'.", "combine")
        })?;
        let filter = options.filter.as_ref().map(Filter::parse).transpose()?;
        let mandatory = options.mandatory.as_ref().map(Filter::parse).transpose()?;
        let created = (options.created_from, options.created_to);
        Ok(Self {
            k: k as usize,
            method,
            weights,
            how,
            negatives: options.negatives,
            negative_weight,
            filter: match (mandatory, filter) {
                (Some(mandatory), Some(filter)) => Some(mandatory.and(filter)),
                (mandatory, filter) => mandatory.or(filter),
            },
            threshold: threshold(options.score_threshold, "score_threshold")?,
            vector_threshold: threshold(options.vector_threshold, "vector_threshold")?,
            keyword_threshold: threshold(options.keyword_threshold, "keyword_threshold")?,
            created: (created != (None, None)).then_some(created),
            group_by: options.group_by,
            group_size: options.group_size as usize,
            explain: options.explain,
            list: (options.list.clamp(0, 10_000) as usize).max(k as usize),
            mode,
        })
    }

    /// Chunks that each leg names: enough that fusion rarely needs one that neither leg named. A long list needs
    /// fewer beyond its end than a short one.
    pub fn depth(&self) -> usize {
        (4 * self.k).min(2 * self.k + 100).max(60)
    }
}

/// One query.
pub struct Query {
    /// As it was given.
    pub mode: Mode,
    /// Vector of length 1.
    pub vector: Option<Vec<f32>>,
    pub terms: QueryTerms,
    /// Share of each term in a score; made when document frequencies are known.
    pub weights: Vec<f32>,
    /// Every one of them must occur.
    pub phrases: Vec<Phrase>,
    /// None of them may occur.
    pub excluded: Vec<Phrase>,
}

/// The legs that a query has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Hybrid,
    Vector,
    Keyword,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Vector => "vector_only",
            Self::Keyword => "keyword_only",
        }
    }
}

impl Query {
    /// Checks a query, embeds its text where needed, and says which legs can run.
    pub fn new(
        row: &StoreRow,
        request: &Request,
        text: Option<&str>,
        embedding: Option<Vec<f32>>,
    ) -> Result<Self, Error> {
        if let Some(text) = text {
            if text.len() > MAX_QUERY_BYTES {
                return Err(Error::Invalid {
                    message: format!(
                        "Invalid 'query': string too long. Expected at most {MAX_QUERY_BYTES} bytes."
                    ),
                    code: "string_above_max_length",
                    param: "query",
                });
            }
            if text.trim().is_empty() {
                return Err(invalid("The query must not be empty.", "query"));
            }
        }
        let wanted = match request.mode.as_str() {
            "vector_only" => Mode::Vector,
            "keyword_only" => Mode::Keyword,
            _ => Mode::Hybrid,
        };
        let missing = |param, message: &str| Error::Invalid {
            message: message.to_owned(),
            code: "missing_required_parameter",
            param,
        };
        let syntax = text.map(Syntax::parse);
        let vector = match (wanted, embedding, &syntax) {
            (Mode::Keyword, ..) => None,
            (_, Some(vector), _) => Some(unit(vector, row.dimensions)?),
            // Of a query of exclusions nothing is left to embed.
            (_, None, Some(syntax)) if row.local_model && !syntax.text.is_empty() => {
                Some(embed(&syntax.text)?)
            }
            _ => None,
        };
        let mode = match (wanted, text.is_some(), vector.is_some()) {
            (Mode::Keyword, false, _) | (Mode::Hybrid, false, false) => {
                return Err(missing("query", "Missing required parameter: 'query'."));
            }
            (Mode::Vector, _, false) => {
                let message =
                    "A vector search needs an embedding, or a query and a store with an embedding model.";
                return Err(missing("embedding", message));
            }
            (Mode::Hybrid, true, true) => Mode::Hybrid,
            (Mode::Hybrid, false, true) | (Mode::Vector, ..) => Mode::Vector,
            // With one side missing the other answers alone, on its own scale.
            (Mode::Hybrid, true, false) | (Mode::Keyword, ..) => Mode::Keyword,
        };
        let mut query = Self {
            mode,
            vector,
            terms: QueryTerms::default(),
            weights: Vec::new(),
            phrases: Vec::new(),
            excluded: Vec::new(),
        };
        if let Some(syntax) = syntax {
            if mode != Mode::Vector {
                query.terms =
                    tsvector::lexemes(row, &syntax.text, |lexemes| QueryTerms::from_vectors(&[lexemes]))?;
            }
            for (texts, phrases) in
                [(&syntax.phrases, &mut query.phrases), (&syntax.excluded, &mut query.excluded)]
            {
                for text in texts {
                    phrases.extend(Phrase::new(tsvector::readings(row, text, Reading::new)));
                }
            }
        }
        Ok(query)
    }

    /// Whether the vector leg names candidates; a weight of zero skips it.
    pub fn has_vector_leg(&self, weights: Weights) -> bool {
        self.mode == Mode::Vector || self.mode == Mode::Hybrid && weights.vector > 0.0
    }

    /// Whether the keyword leg names candidates.
    pub fn has_keyword_leg(&self, weights: Weights) -> bool {
        !self.terms.is_empty()
            && (self.mode == Mode::Keyword || self.mode == Mode::Hybrid && weights.keyword > 0.0)
    }

    /// Whether a chunk must be looked at to know that it may be returned.
    pub fn is_restricted(&self) -> bool {
        !self.phrases.is_empty() || !self.excluded.is_empty()
    }
}

fn embed(text: &str) -> Result<Vec<f32>, Error> {
    let vector = model::embed_text(text)?;
    if vector.iter().all(|&x| x == 0.0) {
        return Err(invalid("A text without words cannot be embedded.", "query"));
    }
    Ok(vector)
}

/// The vector at length 1.
fn unit(mut vector: Vec<f32>, dimensions: usize) -> Result<Vec<f32>, Error> {
    if vector.len() != dimensions {
        let message =
            format!("The embedding has {} dimensions, but the store takes {dimensions}.", vector.len());
        return Err(invalid(message, "embedding"));
    }
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length == 0.0 {
        return Err(invalid("The embedding is all zeros and has no direction.", "embedding"));
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    Ok(vector)
}

pub fn invalid(message: impl Into<String>, param: &'static str) -> Error {
    Error::Invalid { message: message.into(), code: "invalid_value", param }
}
