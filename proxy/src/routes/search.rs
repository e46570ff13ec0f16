//! `/vector_stores/{id}/search`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use pgvector::Vector;
use serde_json::{Value, json};
use vectorstore_core::filter::Filter;

use crate::auth::ApiKey;
use crate::db::Search;
use crate::error::{Error, Result};
use crate::extract::{JsonBody, StoreId};
use crate::fields::{self, Fields, array_length, missing, not_empty, wrong_type};
use crate::model::{SearchRequest, SearchResultPage};
use crate::openapi::Failures;
use crate::state::AppState;

/// In bytes, as the database counts.
const MAX_QUERY: usize = 8192;
const MAX_QUERIES: usize = 32;
const RANKERS: [&str; 5] = ["none", "auto", "default-2024-11-15", "default-2024-08-21", "default_2024_08_21"];
const MODES: [&str; 3] = ["hybrid", "vector_only", "keyword_only"];

/// Search a vector store
#[utoipa::path(
    post, path = "/vector_stores/{vector_store_id}/search", tag = "vector stores", request_body = SearchRequest,
    params(("vector_store_id" = String, Path, description = "Id of the vector store")),
    responses((status = 200, description = "The results, best first", body = SearchResultPage), Failures)
)]
pub async fn search_vector_store(
    State(state): State<AppState>,
    key: ApiKey,
    store: StoreId,
    body: JsonBody,
) -> Result<Response> {
    let (search, with_attributes) =
        body.read(|fields| Ok((read_search(fields)?, fields.boolean("return_metadata")?.unwrap_or(true))))?;
    let page = state.db().search(&store, &key, &search).await?;
    if with_attributes { Ok(page.into_response()) } else { without_attributes(page.0.get()) }
}

fn read_search<'a>(fields: &Fields<'a>) -> Result<Search<'a>> {
    let queries = read_queries(fields)?;
    let filter = fields.value("filters");
    if let Some(filter) = filter {
        Filter::parse(filter).map_err(|error| Error::invalid(error.code, error.param, error.message))?;
    }
    fields.boolean("rewrite_query")?;
    let mut search = Search {
        queries,
        k: result_count(fields)?,
        mode: fields.choice("search_mode", &MODES)?.unwrap_or("hybrid"),
        vector_weight: fields.number("vector_weight", 0.0, 1e6)?.unwrap_or(0.7),
        keyword_weight: fields.number("keyword_weight", 0.0, 1e6)?.unwrap_or(0.3),
        filter,
        score_threshold: 0.0,
        embedding: read_vector(fields, "embedding")?,
    };
    if let Some(options) = fields.object("ranking_options")? {
        options.choice("ranker", &RANKERS)?;
        search.score_threshold = options.number("score_threshold", 0.0, 1.0)?.unwrap_or(0.0);
        if let Some(hybrid) = options.object("hybrid_search")? {
            let (embedding, text) = ("embedding_weight", "text_weight");
            search.vector_weight = hybrid.required(embedding, hybrid.number(embedding, 0.0, 1e6)?)?;
            search.keyword_weight = hybrid.required(text, hybrid.number(text, 0.0, 1e6)?)?;
        }
    }
    if search.mode == "hybrid" && search.vector_weight + search.keyword_weight <= 0.0 {
        let message = "At least one of the weights must be greater than 0.";
        return Err(Error::invalid("invalid_value", "vector_weight", message));
    }
    Ok(search)
}

fn read_queries<'a>(fields: &Fields<'a>) -> Result<Vec<&'a str>> {
    match fields.value("query") {
        None => Err(missing("query")),
        Some(Value::Array(items)) => {
            array_length("query", items.len(), 1, MAX_QUERIES)?;
            items.iter().enumerate().map(|(at, item)| read_query(&format!("query[{at}]"), item)).collect()
        }
        Some(text @ Value::String(_)) => Ok(vec![read_query("query", text)?]),
        Some(other) => Err(wrong_type("query", "one of a string or an array of strings", other)),
    }
}

fn read_query<'a>(path: &str, value: &'a Value) -> Result<&'a str> {
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
fn result_count(fields: &Fields<'_>) -> Result<i32> {
    let limit = fields.integer("limit", 1, 100)?;
    Ok(fields.integer("max_num_results", 1, 50)?.or(limit).unwrap_or(10) as i32)
}

/// A vector of finite 32-bit floats.
pub fn read_vector(fields: &Fields<'_>, name: &'static str) -> Result<Option<Vector>> {
    let Some(items) = fields.array(name, 1, 16_000)? else { return Ok(None) };
    let path = |at| format!("{}[{at}]", fields.path(name));
    let floats = items.iter().enumerate().map(|(at, item)| {
        let limit = f64::from(f32::MAX);
        fields::number(&path(at), item, -limit, limit).map(|number| number as f32)
    });
    Ok(Some(Vector::from(floats.collect::<Result<Vec<_>>>()?)))
}

/// What `return_metadata: false` asks for. Clients expect an object all the same.
fn without_attributes(page: &str) -> Result<Response> {
    let mut page: Value = serde_json::from_str(page).map_err(|error| Error::Internal(error.to_string()))?;
    for item in page["data"].as_array_mut().into_iter().flatten() {
        item["attributes"] = json!({});
    }
    Ok(axum::Json(page).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(body: Value, check: impl FnOnce(Result<Search<'_>>) -> T) -> T {
        check(read_search(&Fields::root(body.as_object().unwrap())))
    }

    fn param(body: Value) -> String {
        with(body, |search| {
            let body = search.err().expect("the search must be refused").body("r");
            body["error"]["param"].as_str().unwrap_or("null").to_owned()
        })
    }

    #[test]
    fn the_defaults_are_openais() {
        with(
            json!({"query": "x", "filters": null, "ranking_options": null, "rewrite_query": null}),
            |search| {
                let search = search.unwrap();
                assert_eq!((search.k, search.mode, search.score_threshold), (10, "hybrid", 0.0));
                assert_eq!((search.vector_weight, search.keyword_weight), (0.7, 0.3));
                assert!(search.filter.is_none() && search.embedding.is_none());
            },
        );
    }

    #[test]
    fn extensions_are_read() {
        let body = json!({
            "query": ["x", "y"], "limit": 100, "search_mode": "keyword_only", "embedding": [1, 0.5],
            "ranking_options": {"ranker": "auto", "score_threshold": 0.5, "hybrid_search": {"embedding_weight": 1, "text_weight": 0}},
        });
        with(body, |search| {
            let search = search.unwrap();
            assert_eq!((search.queries.len(), search.k, search.mode), (2, 100, "keyword_only"));
            assert_eq!(
                (search.vector_weight, search.keyword_weight, search.score_threshold),
                (1.0, 0.0, 0.5)
            );
            assert_eq!(search.embedding.unwrap().to_vec(), [1.0, 0.5]);
        });
        with(json!({"query": "x", "limit": 100, "max_num_results": 3}), |search| {
            assert_eq!(search.unwrap().k, 3)
        });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, expected) in [
            (json!({}), "query"),
            (json!({"query": ""}), "query"),
            (json!({"query": 1}), "query"),
            (json!({"query": []}), "query"),
            (json!({"query": ["x", ""]}), "query[1]"),
            (json!({"query": " \n"}), "query"),
            (json!({"query": "x".repeat(8193)}), "query"),
            (json!({"query": "é".repeat(4097)}), "query"),
            (json!({"query": "x", "max_num_results": 0}), "max_num_results"),
            (json!({"query": "x", "max_num_results": 51}), "max_num_results"),
            (json!({"query": "x", "limit": 101}), "limit"),
            (json!({"query": "x", "search_mode": "fuzzy"}), "search_mode"),
            (
                json!({"query": "x", "ranking_options": {"score_threshold": 1.1}}),
                "ranking_options.score_threshold",
            ),
            (json!({"query": "x", "ranking_options": {"ranker": "best"}}), "ranking_options.ranker"),
            (
                json!({"query": "x", "ranking_options": {"hybrid_search": {"text_weight": 1}}}),
                "ranking_options.hybrid_search.embedding_weight",
            ),
            (json!({"query": "x", "vector_weight": 0, "keyword_weight": 0}), "vector_weight"),
            (json!({"query": "x", "embedding": [1, "2"]}), "embedding[1]"),
            (json!({"query": "x", "embedding": [1e39]}), "embedding[0]"),
            (json!({"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}}), "filters.type"),
        ] {
            assert_eq!(param(body.clone()), expected, "{body}");
        }
    }
}
