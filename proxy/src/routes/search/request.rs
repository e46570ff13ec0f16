//! Reads the fields of a search.

use pgvector::Vector;
use serde_json::Value;
use vectorstore_core::filter::Filter;

use crate::db::{Search, SearchOptions};
use crate::error::{Error, Result};
use crate::fields::{self, Fields, array_length, missing, not_empty, wrong_type};

/// In bytes, as the database counts.
const MAX_QUERY: usize = 8192;
/// Half of what the database takes: as many negative ones may follow.
const MAX_QUERIES: usize = 32;
const MAX_DIMENSIONS: usize = 16_000;
const MAX_FACETS: usize = 32;
const MAX_KEY: usize = 512;
/// Characters of the longest page token, that of 1,000 results, and some more.
const MAX_PAGE: usize = 32_768;
const MAX_WEIGHT: f64 = 1e6;
/// Last second of the year 9999.
const MAX_TIME: i64 = 253_402_300_799;
/// 2000-01-01 UTC in Unix seconds: where Postgres begins to count.
const EPOCH: i64 = 946_684_800;
const RANKERS: [&str; 5] = ["none", "auto", "default-2024-11-15", "default-2024-08-21", "default_2024_08_21"];
const LIST: &str = "list";
const MODES: [&str; 4] = ["hybrid", "vector_only", "keyword_only", LIST];
const FUSIONS: [&str; 5] = ["weighted", "minmax", "dbsf", "zscore", "rrf"];
const COMBINATIONS: [&str; 3] = ["max", "sum", "rrf"];

/// The search that the fields ask for; of so many results when they do not say.
pub fn read<'a>(fields: &Fields<'a>, default_results: i64) -> Result<Search<'a>> {
    let mode = fields.choice("search_mode", &MODES)?.unwrap_or("hybrid");
    let (wanted, unwanted) = if mode == LIST { no_queries(fields)? } else { read_queries(fields, mode)? };
    let mut options = read_options(fields, mode, default_results)?;
    options.negatives = Some(unwanted.len()).filter(|&count| count > 0);
    let (mut texts, mut vectors) = wanted.by_place();
    let negative = unwanted.by_place();
    texts.extend(negative.0);
    vectors.extend(negative.1);
    fields.boolean("rewrite_query")?;
    Ok(Search {
        texts: if texts.iter().any(Option::is_some) { texts } else { Vec::new() },
        vectors: if vectors.iter().any(Option::is_some) { vectors } else { Vec::new() },
        options,
        page: read_name(fields, "page", MAX_PAGE)?,
        facets: read_facets(fields)?,
    })
}

/// Texts and vectors that go together by place. When there are both, there are as many of each.
#[derive(Default)]
struct Queries<'a> {
    texts: Vec<&'a str>,
    vectors: Vec<Vector>,
}

impl<'a> Queries<'a> {
    fn len(&self) -> usize {
        self.texts.len().max(self.vectors.len())
    }

    fn check_pairs(&self, vectors: &str) -> Result<()> {
        let (expected, got) = (self.texts.len(), self.vectors.len());
        if expected == 0 || got == 0 || expected == got {
            return Ok(());
        }
        let message = format!(
            "Invalid '{vectors}': expected one vector for each of {expected} queries, but got {got}."
        );
        Err(Error::invalid("invalid_value", vectors, message))
    }

    fn by_place(self) -> (Vec<Option<&'a str>>, Vec<Option<Vector>>) {
        let count = self.len();
        let (mut texts, mut vectors) = (Vec::with_capacity(count), Vec::with_capacity(count));
        texts.extend(self.texts.into_iter().map(Some));
        vectors.extend(self.vectors.into_iter().map(Some));
        texts.resize(count, None);
        vectors.resize(count, None);
        (texts, vectors)
    }
}

/// What is looked for, and what is not wanted.
fn read_queries<'a>(fields: &Fields<'a>, mode: &str) -> Result<(Queries<'a>, Queries<'a>)> {
    let texts = read_texts(fields, "query")?;
    let (one, several) = (read_vector(fields, "embedding")?, read_vectors(fields, "embeddings")?);
    let vectors = match (one, several) {
        (Some(_), Some(_)) => {
            let message = "Only one of 'embedding' and 'embeddings' can be given.";
            return Err(Error::invalid("invalid_value", "embeddings", message));
        }
        // One vector goes with each of the texts.
        (Some(vector), None) => vec![vector; texts.len().max(1)],
        (None, several) => several.unwrap_or_default(),
    };
    let wanted = Queries { texts, vectors };
    if wanted.texts.is_empty() && (mode == "keyword_only" || wanted.vectors.is_empty()) {
        return Err(missing("query"));
    }
    wanted.check_pairs("embeddings")?;
    let unwanted = Queries {
        texts: read_texts(fields, "negative_query")?,
        vectors: read_vectors(fields, "negative_embeddings")?.unwrap_or_default(),
    };
    if mode == "keyword_only" && unwanted.texts.is_empty() && !unwanted.vectors.is_empty() {
        return Err(missing("negative_query"));
    }
    unwanted.check_pairs("negative_embeddings")?;
    check_vectors(vector_field(fields), &wanted.vectors, None)?;
    check_vectors("negative_embeddings", &unwanted.vectors, wanted.vectors.first())?;
    Ok((wanted, unwanted))
}

/// The field whose vectors are the first ones, as which the database sees all of them.
pub fn vector_field(fields: &Fields<'_>) -> &'static str {
    let names = ["embedding", "embeddings", "negative_embeddings"];
    names.into_iter().find(|name| fields.value(name).is_some()).unwrap_or("embedding")
}

/// All vectors of a search have a direction and the same number of dimensions; that of the store is the database's to check.
fn check_vectors(field: &str, vectors: &[Vector], first: Option<&Vector>) -> Result<()> {
    let Some(first) = first.or(vectors.first()) else { return Ok(()) };
    let expected = first.as_slice().len();
    for (at, vector) in vectors.iter().enumerate() {
        let path = if field == "embedding" { field.to_owned() } else { format!("{field}[{at}]") };
        let got = vector.as_slice();
        if got.len() != expected {
            let message = format!(
                "Invalid '{path}': the vector has {} dimensions, but the first one has {expected}.",
                got.len()
            );
            return Err(Error::invalid("invalid_value", path, message));
        }
        if got.iter().all(|&x| x == 0.0) {
            let message = format!("Invalid '{path}': a vector of zeros has no direction.");
            return Err(Error::invalid("invalid_value", path, message));
        }
    }
    Ok(())
}

/// A listing has no queries. `query` is not looked at, because the official clients cannot leave it out.
fn no_queries<'a>(fields: &Fields<'a>) -> Result<(Queries<'a>, Queries<'a>)> {
    fields.value("query");
    for name in ["embedding", "embeddings", "negative_query", "negative_embeddings", "group_by"] {
        if fields.value(name).is_some() {
            let message = format!("Invalid '{name}': it cannot be used with the search mode '{LIST}'.");
            return Err(Error::invalid("invalid_value", name, message));
        }
    }
    Ok(Default::default())
}

fn read_options<'a>(fields: &Fields<'a>, mode: &'a str, default_results: i64) -> Result<SearchOptions<'a>> {
    let filter = fields.value("filters");
    if let Some(filter) = filter {
        Filter::parse(filter).map_err(|error| Error::invalid(error.code, error.param, error.message))?;
    }
    let mut options = SearchOptions {
        k: result_count(fields, default_results)?,
        mode: Some(mode),
        vector_weight: fields.number("vector_weight", 0.0, MAX_WEIGHT)?,
        keyword_weight: fields.number("keyword_weight", 0.0, MAX_WEIGHT)?,
        fusion: fields.choice("fusion", &FUSIONS)?,
        rrf_k: fields.number("rrf_k", 0.0, f64::MAX)?,
        combine: fields.choice("combine", &COMBINATIONS)?,
        negatives: None,
        negative_weight: fields.number("negative_weight", 0.0, MAX_WEIGHT)?,
        filter,
        score_threshold: None,
        vector_threshold: fields.number("vector_threshold", 0.0, 1.0)?,
        keyword_threshold: fields.number("keyword_threshold", 0.0, 1.0)?,
        created_from: read_time(fields, "created_after")?,
        created_to: read_time(fields, "created_before")?,
        group_by: read_name(fields, "group_by", MAX_KEY)?,
        group_size: fields.integer("group_size", 1, 1000)?,
        explain: fields.boolean("explain")?.filter(|&explain| explain),
    };
    if let Some(ranking) = fields.object("ranking_options")? {
        ranking.choice("ranker", &RANKERS)?;
        options.score_threshold = ranking.number("score_threshold", 0.0, 1.0)?;
        if let Some(hybrid) = ranking.object("hybrid_search")? {
            let weight = |name| hybrid.required(name, hybrid.number(name, 0.0, MAX_WEIGHT)?);
            options.vector_weight = Some(weight("embedding_weight")?);
            options.keyword_weight = Some(weight("text_weight")?);
        }
    }
    match mode {
        "hybrid" => {
            if options.vector_weight == Some(0.0) && options.keyword_weight == Some(0.0) {
                let message = "At least one of the weights must be greater than 0.";
                return Err(Error::invalid("invalid_value", "vector_weight", message));
            }
            Ok(options)
        }
        // Nothing is ranked.
        LIST => {
            let SearchOptions { k, filter, created_from, created_to, .. } = options;
            Ok(SearchOptions { k, filter, created_from, created_to, ..Default::default() })
        }
        // One leg answers on its own scale.
        _ => Ok(SearchOptions { vector_weight: None, keyword_weight: None, ..options }),
    }
}

/// A string or an array of strings; none when the field is absent.
fn read_texts<'a>(fields: &Fields<'a>, name: &'static str) -> Result<Vec<&'a str>> {
    match fields.value(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            array_length(name, items.len(), 1, MAX_QUERIES)?;
            items.iter().enumerate().map(|(at, item)| read_text(&format!("{name}[{at}]"), item)).collect()
        }
        Some(text @ Value::String(_)) => Ok(vec![read_text(name, text)?]),
        Some(other) => Err(wrong_type(name, "one of a string or an array of strings", other)),
    }
}

fn read_text<'a>(path: &str, value: &'a Value) -> Result<&'a str> {
    let text = fields::string(path, value, MAX_QUERY)?;
    not_empty(path, text.trim())?;
    if text.len() > MAX_QUERY {
        let message =
            format!("Invalid '{path}': string too long. Expected a string of at most {MAX_QUERY} bytes.");
        return Err(Error::invalid("string_above_max_length", path, message));
    }
    Ok(text)
}

/// `max_num_results`, or `limit` as litellm-pgvector names it; OpenAI's own limit and default hold for OpenAI's own name.
fn result_count(fields: &Fields<'_>, default: i64) -> Result<i64> {
    let limit = fields.integer("limit", 1, 100)?;
    Ok(fields.integer("max_num_results", 1, 50)?.or(limit).unwrap_or(default))
}

/// A vector of finite 32-bit floats.
pub fn read_vector(fields: &Fields<'_>, name: &'static str) -> Result<Option<Vector>> {
    fields.value(name).map(|value| vector(&fields.path(name), value)).transpose()
}

fn read_vectors(fields: &Fields<'_>, name: &'static str) -> Result<Option<Vec<Vector>>> {
    let Some(items) = fields.array(name, 1, MAX_QUERIES)? else { return Ok(None) };
    items
        .iter()
        .enumerate()
        .map(|(at, item)| vector(&format!("{name}[{at}]"), item))
        .collect::<Result<_>>()
        .map(Some)
}

fn vector(path: &str, value: &Value) -> Result<Vector> {
    let Value::Array(items) = value else { return Err(wrong_type(path, "an array", value)) };
    array_length(path, items.len(), 1, MAX_DIMENSIONS)?;
    let limit = f64::from(f32::MAX);
    let float = |(at, item): (usize, &Value)| match item.as_f64() {
        Some(number) if (-limit..=limit).contains(&number) => Ok(number as f32),
        _ => fields::number(&format!("{path}[{at}]"), item, -limit, limit).map(|number| number as f32),
    };
    Ok(Vector::from(items.iter().enumerate().map(float).collect::<Result<Vec<_>>>()?))
}

/// A time in Unix seconds, as the database counts it: in microseconds since 2000.
fn read_time(fields: &Fields<'_>, name: &'static str) -> Result<Option<i64>> {
    let seconds = fields.integer(name, 0, MAX_TIME)?;
    Ok(seconds.map(|seconds| (seconds - EPOCH) * 1_000_000))
}

/// A string that is not empty.
fn read_name<'a>(fields: &Fields<'a>, name: &'static str, max: usize) -> Result<Option<&'a str>> {
    let text = fields.string(name, max)?;
    text.map(|text| not_empty(&fields.path(name), text).map(|()| text)).transpose()
}

/// Keys of attributes, each once.
fn read_facets<'a>(fields: &Fields<'a>) -> Result<Option<Vec<&'a str>>> {
    let Some(keys) = fields.strings("facets", 1, MAX_FACETS, MAX_KEY)? else { return Ok(None) };
    let mut facets = Vec::with_capacity(keys.len());
    for (at, key) in keys.into_iter().enumerate() {
        not_empty(&format!("facets[{at}]"), key)?;
        if !facets.contains(&key) {
            facets.push(key);
        }
    }
    Ok(Some(facets))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
