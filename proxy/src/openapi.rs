//! The parts of the OpenAPI document that are not said by handlers and schemas.

use utoipa::openapi::RefOr;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi};

use crate::model::ErrorResponse;

/// Head of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "vectorstore",
        description = "OpenAI-compatible vector stores in PostgreSQL. All paths also work without `/v1`. \
                       Any POST may carry an `Idempotency-Key`: sent again within 24 hours, it gets the same answer; \
                       but not those that answer with a new API key, which is stored nowhere.",
    ),
    security(("bearer" = [])),
    // Responses name it, but do not bring it along.
    components(schemas(ErrorResponse)),
    modifiers(&Bearer),
    tags(
        (name = "vector stores", description = "Create and search vector stores"),
        (name = "vector store files", description = "Attach files to vector stores"),
        (name = "vector store file batches", description = "Attach many files to a vector store at once"),
        (name = "vector store embeddings", description = "Read and change the texts of a vector store one by one"),
        (name = "files", description = "Upload files"),
        (name = "uploads", description = "Upload a big file in parts"),
        (name = "embeddings", description = "Embed texts with the local model"),
        (name = "usage", description = "What was used, and how much may be"),
        (name = "litellm", description = "Put texts into vector stores as litellm-pgvector does"),
        (name = "api keys", description = "Manage the API keys of a tenant"),
        (name = "tenants", description = "Manage tenants and what they may hold"),
        (name = "health", description = "For load balancers and orchestrators"),
    )
)]
pub struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// A store can be made, or changed in nothing, and a key be rotated without a body; `utoipa::path` can say that only together with null.
pub fn say_what_is_optional(document: &mut utoipa::openapi::OpenApi) {
    for path in ["/v1/vector_stores", "/v1/vector_stores/{vector_store_id}", "/v1/api_keys/{key_id}/rotate"] {
        let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
        if let Some(RefOr::T(body)) = operation.and_then(|operation| operation.request_body.as_mut()) {
            body.required = None;
        }
    }
}

/// What every operation may answer instead of success.
#[derive(IntoResponses)]
pub enum Failures {
    /// A parameter is wrong; `param` names it
    #[response(status = 400)]
    BadRequest(ErrorResponse),
    /// The API key is missing or wrong
    #[response(status = 401)]
    Unauthorized(ErrorResponse),
    /// The API key does not allow it
    #[response(status = 403)]
    Forbidden(ErrorResponse),
    /// It does not exist, or belongs to somebody else
    #[response(status = 404)]
    NotFound(ErrorResponse),
    /// The request did not arrive in time
    #[response(status = 408)]
    Slow(ErrorResponse),
    /// It exists already
    #[response(status = 409)]
    Conflict(ErrorResponse),
    /// Its version, or the number of what would be deleted, is not the expected one
    #[response(status = 412)]
    Precondition(ErrorResponse),
    /// The body is too large
    #[response(status = 413)]
    TooLarge(ErrorResponse),
    /// The `Idempotency-Key` has been used for another request
    #[response(status = 422)]
    Reused(ErrorResponse),
    /// Too many requests, or the quota is used up
    #[response(status = 429)]
    TooMany(ErrorResponse),
    /// The headers are too large
    #[response(status = 431)]
    LargeHeaders(ErrorResponse),
    /// A fault of the server
    #[response(status = 500)]
    Fault(ErrorResponse),
    /// The server cannot answer right now; see `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorResponse),
    /// It took too long
    #[response(status = 504)]
    Timeout(ErrorResponse),
}

/// The whole document.
pub fn document() -> utoipa::openapi::OpenApi {
    crate::router::parts().1
}

/// The document as it is printed and committed.
pub fn to_json() -> serde_json::Result<String> {
    document().to_pretty_json().map(|json| json + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regenerate with `cargo run -p vectorstore-proxy -- openapi > proxy/openapi.json`.
    #[test]
    fn the_committed_document_is_current() {
        let committed = include_str!("../openapi.json");
        assert!(committed == to_json().unwrap(), "proxy/openapi.json is not current");
    }

    #[test]
    fn operation_ids_are_unique_and_every_operation_but_health_needs_the_key() {
        let document: serde_json::Value = serde_json::from_str(&to_json().unwrap()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for operation in operations.as_object().unwrap().values() {
                ids.push(operation["operationId"].as_str().unwrap().to_owned());
                let open = operation["security"] == serde_json::json!([{}]);
                assert_eq!(open, !path.starts_with("/v1/"), "{path}");
            }
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(count >= 20, "{count}");
    }

    #[test]
    fn bodies_are_required_but_where_nothing_in_them_is() {
        let document: serde_json::Value = serde_json::from_str(&to_json().unwrap()).unwrap();
        let mut optional = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let body = &operation["requestBody"];
                if body.is_object() && body["required"] != true {
                    optional.push(format!("{method} {path}"));
                }
            }
        }
        optional.sort();
        assert_eq!(
            optional,
            [
                "post /v1/api_keys/{key_id}/rotate",
                "post /v1/vector_stores",
                "post /v1/vector_stores/{vector_store_id}"
            ]
        );
    }

    /// An `inline` parameter with a `default` became a string that had to be an object as well.
    #[test]
    fn the_order_of_a_list_is_one_string() {
        let document: serde_json::Value = serde_json::from_str(&to_json().unwrap()).unwrap();
        let mut seen = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            let parameters = operations["get"]["parameters"].as_array().into_iter().flatten();
            for order in parameters.filter(|parameter| parameter["name"] == "order") {
                assert_eq!(order["schema"]["type"], "string", "{path}");
                assert_eq!(order["schema"]["enum"], serde_json::json!(["asc", "desc"]), "{path}");
                assert_eq!(order["schema"]["default"], "desc", "{path}");
                seen += 1;
            }
        }
        assert!(seen >= 5, "{seen}");
    }

    #[test]
    fn every_reference_has_its_schema() {
        let text = to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schemas = &document["components"]["schemas"];
        let mut references = 0;
        for reference in text.split("\"$ref\": \"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas[name].is_object(), "{name}");
            references += 1;
        }
        assert!(references > 100, "{references}");
    }
}
