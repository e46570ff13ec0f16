//! Who gets in: every operation of the OpenAPI document refuses a missing, malformed or unknown key.

use axum::body::Body;
use axum::http::{Request, header};
use vectorstore_it::{Fixture, KEY};

/// Operations that are open to everybody.
const OPEN: [&str; 4] = ["/health", "/healthz", "/metrics", "/ready"];

/// A body that each operation would accept: bodies are checked before a database connection is used, so only a good
/// one shows that the key is looked up. An operation that is missing here fails the test.
fn acceptable_body(operation: &str) -> (&'static str, &'static str) {
    let json = "application/json";
    match operation {
        "post /v1/vector_stores" | "post /v1/vector_stores/{vector_store_id}" => (json, "{}"),
        "post /v1/vector_stores/{vector_store_id}/search" => (json, r#"{"query": "x"}"#),
        "post /v1/vector_stores/{vector_store_id}/files" => (json, r#"{"file_id": "file-x"}"#),
        "post /v1/vector_stores/{vector_store_id}/files/{file_id}" => (json, r#"{"attributes": {}}"#),
        "post /v1/vector_stores/{vector_store_id}/file_batches" => (json, r#"{"file_ids": ["file-x"]}"#),
        "post /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel" => (json, ""),
        "post /v1/vector_stores/{vector_store_id}/embeddings" => (json, r#"{"content": "x"}"#),
        "post /v1/vector_stores/{vector_store_id}/embeddings/batch" => {
            (json, r#"{"embeddings": [{"content": "x"}]}"#)
        }
        "put /v1/vector_stores/{vector_store_id}/embeddings/{embedding_id}"
        | "patch /v1/vector_stores/{vector_store_id}/embeddings/{embedding_id}" => {
            (json, r#"{"content": "x"}"#)
        }
        "delete /v1/vector_stores/{vector_store_id}/embeddings/batch" => (json, r#"{"ids": ["x"]}"#),
        "post /v1/uploads" => {
            (json, r#"{"filename": "x", "purpose": "batch", "mime_type": "text/plain", "bytes": 1}"#)
        }
        "post /v1/uploads/{upload_id}/parts" => (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"data\"; filename=\"x\"\r\n\r\nx\r\n--b--\r\n",
        ),
        "post /v1/uploads/{upload_id}/complete" => (json, r#"{"part_ids": []}"#),
        "post /v1/uploads/{upload_id}/cancel" => (json, ""),
        "post /v1/api_keys" | "put /v1/api_keys/{key_id}" | "post /v1/api_keys/{key_id}/rotate" => {
            (json, "{}")
        }
        "post /v1/admin/tenants" => (json, r#"{"id": "x"}"#),
        "put /v1/admin/tenants/{tenant_id}" | "put /v1/admin/quotas" | "put /v1/admin/rate_limits" => {
            (json, "{}")
        }
        "post /v1/vector_stores/{vector_store_id}/restore" => (json, ""),
        "post /v1/embeddings" => (json, r#"{"input": "x", "model": "local"}"#),
        "post /v1/files" => (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--b\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"x.txt\"\r\n\r\nx\r\n--b--\r\n",
        ),
        other if other.starts_with("get ") || other.starts_with("delete ") => (json, ""),
        other => panic!("{other} is missing from the table"),
    }
}

#[tokio::test]
async fn every_operation_needs_a_key() {
    let fixture = Fixture::new().await;
    let document = fixture.get("/openapi.json").await.ok();
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let known = ["get", "post", "delete", "put", "patch"];
        for method in
            methods.as_object().expect("methods").keys().filter(|method| known.contains(&method.as_str()))
        {
            if OPEN.contains(&path.as_str()) {
                continue;
            }
            let uri = path
                .replace("{vector_store_id}", "vs_x")
                .replace("{file_id}", "file-x")
                .replace("{batch_id}", "vsfb_x")
                .replace("{upload_id}", "upload_x")
                .replace("{embedding_id}", "emb_x")
                .replace("{model}", "local")
                .replace("{key_id}", "key_x")
                .replace("{tenant_id}", "x");
            assert!(!uri.contains('{'), "a path parameter that this test does not know: {path}");
            let (content_type, body) = acceptable_body(&format!("{method} {path}"));
            for (authorization, code) in [
                (None, None),
                (Some("Bearer".to_owned()), None),
                (Some(format!("Basic {KEY}")), None),
                (Some("Bearer wrong".to_owned()), Some("invalid_api_key")),
                (Some(format!("Bearer {}x", &KEY[..KEY.len() - 1])), Some("invalid_api_key")),
            ] {
                let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(&uri);
                if let Some(value) = &authorization {
                    request = request.header(header::AUTHORIZATION, value);
                }
                let request =
                    request.header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap();
                let answer = fixture.send(request).await;
                let error = answer.error(401);
                assert_eq!(error["type"], "invalid_request_error", "{method} {path} {authorization:?}");
                if let Some(code) = code {
                    assert_eq!(error["code"], code, "{method} {path} {authorization:?}");
                }
                assert!(!answer.text.contains(KEY), "{method} {path} shows a key");
            }
            walked += 1;
        }
    }
    assert!(walked >= 20, "only {walked} operations");
    fixture.close().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let fixture = Fixture::new().await;
    fixture.get("/v1/vector_stores").await.ok();
    fixture.sql("SELECT vs_revoke_api_key(key_id) FROM vectorstore.api_keys").await;
    let error = fixture.get("/v1/vector_stores").await.error(401);
    assert_eq!(error["code"], "invalid_api_key");
    fixture.close().await;
}

#[tokio::test]
async fn health_and_ready_need_no_key() {
    let fixture = Fixture::new().await;
    for path in ["/health", "/ready", "/livez", "/readyz", "/healthz"] {
        let answer = fixture.send(Request::get(path).body(Body::empty()).unwrap()).await;
        answer.ok();
    }
    assert_eq!(fixture.get("/health").await.ok()["status"], "healthy");
    fixture.state.stop();
    assert_eq!(fixture.get("/ready").await.status, 503);
    fixture.get("/livez").await.ok();
    fixture.close().await;
}
