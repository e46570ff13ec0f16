//! What goes wrong below the proxy reaches clients as a complete, opaque error.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use vectorstore_it::{Fixture, KEY};

#[tokio::test]
async fn an_internal_error_shows_no_sql() {
    let fixture = Fixture::new().await;
    fixture.sql("ALTER TABLE vectorstore.stores RENAME TO gone").await;
    let answer = fixture.get("/v1/vector_stores").await;
    let error = answer.error(500);
    assert_eq!(error["type"], "server_error");
    for word in ["relation", "vectorstore.", "SELECT", "gone", "stores\\\""] {
        assert!(!error["message"].as_str().unwrap().contains(word), "{error}");
    }
    fixture.close().await;
}

/// Makes listing take so many seconds.
fn slow_list(seconds: u32) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION vectorstore._check_list(page_size integer, maximum integer, sort text)
         RETURNS void LANGUAGE sql AS 'SELECT pg_catalog.pg_sleep({seconds})'"
    )
}

#[tokio::test]
async fn a_slow_statement_ends_with_504() {
    let fixture = Fixture::with(|config| config.statement_timeout = 1).await;
    fixture.sql(&slow_list(20)).await;
    let error = fixture.get("/v1/vector_stores").await.error(504);
    assert_eq!(error["type"], "server_error");
    fixture.close().await;
}

#[tokio::test]
async fn without_a_database_every_request_is_503_and_says_when_to_come_back() {
    let fixture = Fixture::with(|config| {
        config.database_url = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    })
    .await;
    let answer = fixture.get("/v1/vector_stores").await;
    let error = answer.error(503);
    assert_eq!(error["type"], "server_error");
    assert!(answer.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(fixture.get("/ready").await.status, 503);
    fixture.get("/livez").await.ok();
    // Who sends nonsense learns that first: no connection is needed to say so.
    fixture.post("/v1/vector_stores/vs_x/search", json!({})).await.error(400);
    fixture.close().await;
}

#[tokio::test]
async fn an_exhausted_pool_answers_503_in_time() {
    let fixture = Fixture::with(|config| config.pool_size = 1).await;
    fixture.sql(&slow_list(4)).await;
    let started = std::time::Instant::now();
    let (first, second) = tokio::join!(fixture.get("/v1/vector_stores"), async {
        tokio::task::yield_now().await;
        fixture.get("/v1/vector_stores").await
    });
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [200, 503]);
    assert!(started.elapsed().as_secs() < 8);
    fixture.close().await;
}

#[tokio::test]
async fn nonsense_is_refused_with_a_complete_error() {
    let fixture = Fixture::new().await;
    fixture.get("/v1/nowhere").await.error(404);
    fixture.delete("/v1/embeddings").await.error(405);
    let bodies: [&[u8]; 6] =
        [b"{", b"[]", b"\"text\"", b"{\"name\": \"\xff\"}", b"{\"name\": \"a\\u0000b\"}", b"{} {}"];
    for body in bodies {
        let request = Request::post("/v1/vector_stores")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        fixture.send(request).await.error(400);
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = Request::post("/v1/vector_stores")
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(format!("{{\"metadata\": {deep}}}")))
        .unwrap();
    fixture.send(request).await.error(400);
    assert_eq!(fixture.get("/v1/vector_stores").await.ok()["data"], Value::Array(vec![]));
    fixture.close().await;
}
