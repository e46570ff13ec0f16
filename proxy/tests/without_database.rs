//! What the service answers before it asks the database: nothing listens where these tests point it.

use axum::body::Body;
use axum::http::{Method, Request, Response};
use clap::Parser;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use vectorstore_proxy::config::{Cli, Config};
use vectorstore_proxy::{AppState, build_router};

fn config(extra: &[&str]) -> Config {
    // A port that cannot be connected to.
    let fixed = ["test", "--database-url", "postgres://nobody@127.0.0.1:1/none"];
    Cli::parse_from(fixed.iter().chain(extra)).serve
}

async fn send_to(config: Config, request: Request<Body>) -> (Response<()>, Value) {
    let state = AppState::connect(config).unwrap();
    let response = build_router(state).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let headers = &parts.headers;
    assert!(headers["x-request-id"].to_str().unwrap().starts_with("req_"));
    assert!(headers["openai-processing-ms"].to_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(headers["openai-version"], "2020-10-01");
    if parts.status.as_u16() >= 400 {
        let error = json["error"].as_object().expect("an error object");
        for key in ["message", "type", "param", "code"] {
            assert!(error.contains_key(key), "{error:?}");
        }
        assert_eq!(headers["content-type"], "application/json");
    }
    (Response::from_parts(parts, ()), json)
}

async fn send(request: Request<Body>) -> (Response<()>, Value) {
    send_to(config(&[]), request).await
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

/// A key of the right form, which nobody has.
fn authorised(method: Method, path: &str) -> axum::http::request::Builder {
    let key = format!("Bearer vs_live_{}_{}", "a".repeat(16), "b".repeat(52));
    request(method, path).header("authorization", key)
}

async fn post(path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request =
        authorised(Method::POST, path).header("content-type", "application/json").body(body.into()).unwrap();
    let (response, body) = send(request).await;
    (response.status().as_u16(), body["error"].clone())
}

/// Every operation of the OpenAPI document, with and without the prefix, but for those that are open to all.
fn operations() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(&vectorstore_proxy::openapi::to_json().unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(bare) = path.strip_prefix("/v1") else { continue };
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            found.push((method.clone(), path.replace(['{', '}'], "")));
            found.push((method, bare.replace(['{', '}'], "")));
        }
    }
    assert!(found.len() >= 40, "{found:?}");
    found
}

#[tokio::test]
async fn every_operation_needs_a_key() {
    for (method, path) in operations() {
        let (response, body) = send(request(method.clone(), &path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (response.status().as_u16(), &body["error"]["code"]),
            (401, &Value::Null),
            "{method} {path}"
        );
        let foreign = request(method.clone(), &path)
            .header("authorization", "Bearer sk-foreign")
            .body(Body::empty())
            .unwrap();
        let (response, body) = send(foreign).await;
        assert_eq!(
            (response.status().as_u16(), &body["error"]["code"]),
            (401, &json!("invalid_api_key")),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn no_database_is_503_with_a_hint() {
    let request = authorised(Method::GET, "/v1/vector_stores").body(Body::empty()).unwrap();
    let (response, body) = send(request).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(response.headers()["x-request-id"].to_str().unwrap()), "{message}");
    assert!(!message.contains("127.0.0.1"), "{message}");
}

#[tokio::test]
async fn health_does_not_need_the_database_but_readiness_does() {
    for path in ["/health", "/livez", "/v1/health"] {
        let (response, body) = send(request(Method::GET, path).body(Body::empty()).unwrap()).await;
        assert_eq!((response.status().as_u16(), &body["status"]), (200, &json!("healthy")), "{path}");
        assert!(body["timestamp"].as_i64().unwrap() > 1_700_000_000);
    }
    for path in ["/ready", "/readyz"] {
        let (response, body) = send(request(Method::GET, path).body(Body::empty()).unwrap()).await;
        assert_eq!((response.status().as_u16(), &body["status"]), (503, &json!("not_ready")), "{path}");
        assert_eq!(body["reasons"].as_array().unwrap().len(), 2, "{body}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_have_the_error_object() {
    for (method, path, status) in [
        (Method::GET, "/v1/foo", 404),
        (Method::GET, "/", 404),
        (Method::POST, "/v1/vector_stores/vs_1/nothing", 404),
        (Method::PUT, "/v1/vector_stores", 405),
        (Method::PATCH, "/vector_stores/vs_1", 405),
        (Method::DELETE, "/v1/files", 405),
        (Method::POST, "/health", 405),
    ] {
        let (response, body) = send(request(method.clone(), path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        assert_eq!(body["error"]["message"], format!("Invalid URL ({method} {path})"));
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{method} {path}");
    }
}

#[tokio::test]
async fn the_document_and_its_explorer_are_served() {
    let (response, body) = send(request(Method::GET, "/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((response.status().as_u16(), &body["openapi"]), (200, &json!("3.1.0")));
    let (response, _) = send(request(Method::GET, "/docs/").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn bad_bodies_are_400_before_the_database_is_asked() {
    let search = "/v1/vector_stores/vs_1/search";
    for (path, body, code, param) in [
        ("/v1/vector_stores", "{".to_owned(), Value::Null, Value::Null),
        ("/v1/vector_stores", "[]".to_owned(), Value::Null, Value::Null),
        ("/v1/vector_stores", json!({"name": 1}).to_string(), json!("invalid_type"), json!("name")),
        ("/v1/vector_stores", json!({"name": "a\0"}).to_string(), json!("invalid_value"), json!("name")),
        (
            "/v1/vector_stores",
            json!({"file_ids": vec!["x"; 501]}).to_string(),
            json!("array_above_max_length"),
            json!("file_ids"),
        ),
        (
            "/v1/vector_stores",
            json!({"chunking_strategy": {"type": "x"}}).to_string(),
            json!("invalid_value"),
            json!("chunking_strategy.type"),
        ),
        ("/v1/api_keys", json!({"role": "owner"}).to_string(), json!("invalid_value"), json!("role")),
        (
            "/v1/api_keys",
            json!({"role": "read", "allowed_ips": ["::1", 7]}).to_string(),
            json!("invalid_type"),
            json!("allowed_ips[1]"),
        ),
        (
            "/v1/api_keys/key_1/rotate",
            json!({"overlap_seconds": -1}).to_string(),
            json!("integer_below_min_value"),
            json!("overlap_seconds"),
        ),
        ("/v1/admin/tenants", "{}".to_owned(), json!("missing_required_parameter"), json!("id")),
        ("/v1/admin/tenants", json!({"id": ""}).to_string(), json!("empty_string"), json!("id")),
        (search, String::new(), json!("missing_required_parameter"), json!("query")),
        (search, json!({"query": null}).to_string(), json!("missing_required_parameter"), json!("query")),
        (
            "/v1/vector_stores/vs_1/files",
            "{}".to_owned(),
            json!("missing_required_parameter"),
            json!("file_id"),
        ),
        (
            "/v1/vector_stores/vs_1/files/file-1",
            "{}".to_owned(),
            json!("missing_required_parameter"),
            json!("attributes"),
        ),
        (
            "/v1/vector_stores/vs_1/embeddings",
            "{}".to_owned(),
            json!("missing_required_parameter"),
            json!("content"),
        ),
        (
            "/v1/vector_stores/vs_1/embeddings/batch",
            json!({"embeddings": []}).to_string(),
            json!("empty_array"),
            json!("embeddings"),
        ),
        (
            "/v1/vector_stores/vs_1/embeddings/batch",
            json!({"embeddings": [{"content": "x"}, {}]}).to_string(),
            json!("missing_required_parameter"),
            json!("embeddings[1].content"),
        ),
    ] {
        let (status, error) = post(path, body.clone()).await;
        assert_eq!((status, &error["code"], &error["param"]), (400, &code, &param), "{path} {body}");
    }
}

#[tokio::test]
async fn an_answer_with_a_key_is_not_kept_for_a_second_try() {
    for path in ["/v1/api_keys", "/api_keys", "/v1/api_keys/key_1/rotate"] {
        let body = Body::from(json!({"role": "read"}).to_string());
        let request = authorised(Method::POST, path).header("idempotency-key", "once").body(body).unwrap();
        let (response, body) = send(request).await;
        let error = &body["error"];
        assert_eq!(
            (response.status().as_u16(), &error["code"], &error["param"]),
            (400, &json!("unsupported_parameter"), &json!("Idempotency-Key")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn form_data_is_no_json() {
    let request = authorised(Method::POST, "/v1/vector_stores")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(send(request).await.0.status(), 400);
}

#[tokio::test]
async fn too_much_is_refused() {
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(9 * 1024 * 1024));
    assert_eq!(post("/v1/vector_stores", body).await.0, 413);
    let request = authorised(Method::GET, "/v1/files")
        .header("x-big", "x".repeat(100_000))
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(request).await.0.status(), 431);
}

#[tokio::test]
async fn impossible_ids_need_no_database() {
    for path in ["/v1/vector_stores/a%00b", "/v1/vector_stores/%FF", "/v1/files/file-%0A"] {
        let (response, body) = send(authorised(Method::GET, path).body(Body::empty()).unwrap()).await;
        assert_eq!(
            (response.status().as_u16(), &body["error"]["code"]),
            (400, &json!("invalid_value")),
            "{path}"
        );
    }
    for query in ["limit=0", "limit=101", "order=up", "after=%00"] {
        let path = format!("/v1/vector_stores?{query}");
        assert_eq!(
            send(authorised(Method::GET, &path).body(Body::empty()).unwrap()).await.0.status(),
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn strict_mode_names_unknown_fields() {
    for (flags, status) in [(&[][..], 503), (&["--strict"][..], 400)] {
        let body = Body::from(json!({"name": "x", "provider_id": "y"}).to_string());
        let request = authorised(Method::POST, "/v1/vector_stores").body(body).unwrap();
        let (response, body) = send_to(config(flags), request).await;
        assert_eq!(response.status().as_u16(), status, "{body}");
        if status == 400 {
            assert_eq!(body["error"]["message"], "Unknown parameter: 'provider_id'.");
        }
    }
}
