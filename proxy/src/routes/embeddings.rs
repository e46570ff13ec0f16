//! `/embeddings` and `/models`: this server as an OpenAI-compatible provider of embeddings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use data_encoding::BASE64;
use pgvector::Vector;
use serde_json::{Value, json};
use vectorstore_core::model::Model;

use crate::auth::ApiKey;
use crate::embed::{Provider, Providers};
use crate::error::{Error, Result};
use crate::extract::{JsonBody, ModelName};
use crate::fields::{self, Fields, array_length, missing, not_empty, wrong_type};
use crate::model::{EmbeddingRequest, EmbeddingResponse, ModelList, ModelObject};
use crate::openapi::Failures;
use crate::state::AppState;
use crate::tokens::{self, MAX_TOKENS};

const MAX_INPUTS: usize = 2048;
const EXPECTED: &str =
    "one of a string, an array of strings, an array of integers, or an array of integer arrays";

/// Embed texts
#[utoipa::path(
    post, path = "/embeddings", tag = "embeddings", request_body = EmbeddingRequest,
    responses((status = 200, description = "The vectors", body = EmbeddingResponse), Failures)
)]
pub async fn create_embedding(
    State(state): State<AppState>,
    key: ApiKey,
    body: JsonBody,
) -> Result<Json<Value>> {
    if state.providers().names().is_empty() {
        return Err(Error::Unavailable("no embedding model is configured".into()));
    }
    let (provider, inputs, base64) = body.read(|fields| {
        let provider = read_model(fields, state.providers())?;
        fields.string("user", usize::MAX)?;
        let format = fields.choice("encoding_format", &["float", "base64"])?;
        Ok((provider, read_input(fields)?, format == Some("base64")))
    })?;
    let model = provider.own_name().unwrap_or(&provider.name).to_owned();
    let tokenizer = state.model().filter(|_| provider.is_local()).cloned();
    let (inputs, total) = state.compute(move || count(tokenizer, inputs)).await??;
    state.db().charge_embeddings(&key, total).await?;
    let vectors = provider.embed(&state, inputs).await?;
    Ok(Json(answer(&model, &vectors, total, base64)))
}

/// List the models
#[utoipa::path(
    get, path = "/models", tag = "embeddings",
    responses((status = 200, description = "The models", body = ModelList), Failures)
)]
pub async fn list_models(State(state): State<AppState>, key: ApiKey) -> Result<Json<Value>> {
    state.db().list_models(&key).await?;
    let data: Vec<Value> = state.providers().names().into_iter().map(model_object).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// Retrieve a model
#[utoipa::path(
    get, path = "/models/{model}", tag = "embeddings",
    params(("model" = String, Path, description = "Its name")),
    responses((status = 200, description = "The model", body = ModelObject), Failures)
)]
pub async fn retrieve_model(
    State(state): State<AppState>,
    key: ApiKey,
    name: ModelName,
) -> Result<Json<Value>> {
    state.db().retrieve_model(&key).await?;
    match state.providers().names().into_iter().find(|known| *known == name.0) {
        Some(known) => Ok(Json(model_object(known))),
        None => {
            let message = format!("The model '{}' does not exist.", name.0);
            Err(Error::not_found("model_not_found", "model", message))
        }
    }
}

fn model_object(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 0, "owned_by": "vectorstore"})
}

fn read_model(fields: &Fields<'_>, providers: &Providers) -> Result<Arc<Provider>> {
    let name = fields.required("model", fields.string("model", 256)?)?;
    let provider = providers.require(name, "model")?;
    provider.check_dimensions(fields.integer("dimensions", 1, i64::MAX)?)?;
    Ok(provider.clone())
}

/// The texts of `input`, in order.
fn read_input(fields: &Fields<'_>) -> Result<Vec<String>> {
    let texts: Vec<String> = match fields.value("input") {
        None => return Err(missing("input")),
        Some(Value::String(text)) => vec![read_text("input", text)?],
        Some(Value::Array(items)) => match items.first() {
            Some(Value::Number(_)) => vec![read_tokens("input", items)?],
            Some(Value::String(_) | Value::Array(_)) => {
                array_length("input", items.len(), 1, MAX_INPUTS)?;
                let read = |(at, item): (usize, &Value)| match item {
                    Value::String(text) => read_text(&format!("input[{at}]"), text),
                    Value::Array(tokens) => read_tokens(&format!("input[{at}]"), tokens),
                    other => Err(wrong_type(
                        &format!("input[{at}]"),
                        "one of a string or an array of integers",
                        other,
                    )),
                };
                items.iter().enumerate().map(read).collect::<Result<_>>()?
            }
            Some(other) => return Err(wrong_type("input", EXPECTED, other)),
            None => return array_length("input", 0, 1, MAX_INPUTS).map(|()| Vec::new()),
        },
        Some(other) => return Err(wrong_type("input", EXPECTED, other)),
    };
    Ok(texts)
}

fn read_text(path: &str, text: &str) -> Result<String> {
    not_empty(path, text)?;
    Ok(text.to_owned())
}

/// Tokens are those of `cl100k_base`, because that is what clients make for OpenAI's embedding models.
fn read_tokens(path: &str, tokens: &[Value]) -> Result<String> {
    array_length(path, tokens.len(), 1, MAX_TOKENS)?;
    let tokens = tokens
        .iter()
        .enumerate()
        .map(|(at, token)| {
            fields::integer(&format!("{path}[{at}]"), token, 0, i64::from(u32::MAX)).map(|token| token as u32)
        })
        .collect::<Result<Vec<_>>>()?;
    let bytes = tiktoken_rs::cl100k_base_singleton().decode_bytes(&tokens).map_err(|_| {
        Error::invalid(
            "invalid_value",
            path,
            format!("Invalid '{path}': it has tokens that cl100k_base does not know."),
        )
    })?;
    // Tokens may end inside a character.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The texts, and their tokens together.
fn count(tokenizer: Option<Arc<Model>>, inputs: Vec<String>) -> Result<(Vec<String>, usize)> {
    tokens::check_lengths(&inputs)?;
    let count = |text: &String| match &tokenizer {
        Some(model) => model.tokenize(text).len(),
        None => tokens::count(text),
    };
    let total = inputs.iter().map(count).sum();
    Ok((inputs, total))
}

fn answer(model: &str, vectors: &[Vector], total: usize, base64: bool) -> Value {
    let encode = |vector: &Vector| match base64 {
        true => Value::from(to_base64(vector.as_slice())),
        false => Value::from(vector.as_slice()),
    };
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": encode(vector)}))
        .collect();
    json!({
        "object": "list", "data": data, "model": model, "usage": {"prompt_tokens": total, "total_tokens": total},
    })
}

fn to_base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    BASE64.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: Value) -> Result<Vec<String>, String> {
        let body = json!({ "input": input });
        read_input(&Fields::root(body.as_object().unwrap()))
            .map_err(|error| error.body("r")["error"]["code"].as_str().unwrap().to_owned())
    }

    #[test]
    fn all_shapes_of_input_are_read() {
        assert_eq!(read(json!("hello")).unwrap(), ["hello"]);
        assert_eq!(read(json!(["a", "b"])).unwrap(), ["a", "b"]);
        let tokens = tiktoken_rs::cl100k_base_singleton().encode_ordinary("hello world");
        assert_eq!(read(json!(tokens)).unwrap(), ["hello world"]);
        assert_eq!(read(json!([tokens, tokens])).unwrap(), ["hello world", "hello world"]);
    }

    #[test]
    fn unusable_input_is_refused() {
        for (input, code) in [
            (json!(""), "empty_string"),
            (json!([]), "empty_array"),
            (json!([""]), "empty_string"),
            (json!([[]]), "empty_array"),
            (json!([1, "a"]), "invalid_type"),
            (json!(["a", 1]), "invalid_type"),
            (json!([1.5]), "invalid_type"),
            (json!([-1]), "integer_below_min_value"),
            (json!([4_000_000_000_u32]), "invalid_value"),
            (json!({}), "invalid_type"),
            (json!([null]), "invalid_type"),
            (Value::Null, "missing_required_parameter"),
            (json!(vec!["x"; 2049]), "array_above_max_length"),
        ] {
            assert_eq!(read(input.clone()), Err(code.to_owned()), "{input}");
        }
    }

    #[test]
    fn base64_is_little_endian_float32() {
        assert_eq!(to_base64(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
