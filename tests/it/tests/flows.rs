//! The main job over HTTP, and the same under concurrency.

use futures_util::future::join_all;
use serde_json::{Value, json};
use vectorstore_it::Fixture;

async fn new_store(fixture: &Fixture) -> String {
    let store = fixture.post("/v1/vector_stores", json!({"name": "docs"})).await.ok();
    store["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_file_is_searchable_as_soon_as_it_is_attached() {
    let fixture = Fixture::new().await;
    let store = new_store(&fixture).await;
    let file = fixture
        .upload("keys.md", "# Keys\n\nA key is rotated by making a second one and revoking the first.")
        .await;
    let attached = fixture
        .post(
            &format!("/v1/vector_stores/{store}/files"),
            json!({"file_id": file, "attributes": {"chapter": 3}}),
        )
        .await
        .ok();
    assert_eq!(attached["status"], "completed");
    assert_eq!(attached["chunking_strategy"]["static"]["max_chunk_size_tokens"], 800);
    let page = fixture
        .post(&format!("/v1/vector_stores/{store}/search"), json!({"query": "how do I rotate a key?"}))
        .await
        .ok();
    assert_eq!(page["object"], "vector_store.search_results.page");
    assert_eq!(page["search_query"], json!(["how do I rotate a key?"]));
    let hit = &page["data"][0];
    assert_eq!((&hit["file_id"], &hit["filename"]), (&json!(file), &json!("keys.md")));
    assert_eq!(hit["attributes"], json!({"chapter": 3}));
    assert!(hit["content"][0]["text"].as_str().unwrap().contains("rotated"));
    let store_body = fixture.get(&format!("/v1/vector_stores/{store}")).await.ok();
    assert_eq!(store_body["usage_bytes"], attached["usage_bytes"]);
    assert_eq!(
        store_body["file_counts"],
        json!({"in_progress": 0, "completed": 1, "failed": 0, "cancelled": 0, "total": 1})
    );

    fixture.delete(&format!("/v1/files/{file}")).await.ok();
    let page =
        fixture.post(&format!("/v1/vector_stores/{store}/search"), json!({"query": "rotate"})).await.ok();
    assert_eq!(page["data"], json!([]));
    let store_body = fixture.get(&format!("/v1/vector_stores/{store}")).await.ok();
    assert_eq!(store_body["usage_bytes"], 0);
    fixture.close().await;
}

#[tokio::test]
async fn the_path_prefix_is_optional() {
    let fixture = Fixture::new().await;
    let store = new_store(&fixture).await;
    for prefix in ["", "/v1"] {
        fixture.get(&format!("{prefix}/vector_stores/{store}")).await.ok();
        fixture
            .post(&format!("{prefix}/vector_stores/{store}/search"), json!({"query": "x", "limit": 5}))
            .await
            .ok();
    }
    fixture.close().await;
}

#[tokio::test]
async fn search_modes_and_weights_are_those_of_sql() {
    let fixture = Fixture::new().await;
    let store = new_store(&fixture).await;
    let path = format!("/v1/vector_stores/{store}/embeddings");
    for content in ["the harbour at dawn", "a mountain at night", "harbour and mountain"] {
        fixture.post(&path, json!({"content": content})).await.ok();
    }
    let search = async |extra: Value| {
        let mut body = json!({"query": "harbour"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        fixture.post(&format!("/v1/vector_stores/{store}/search"), body).await.ok()["data"]
            .as_array()
            .unwrap()
            .clone()
    };
    let score = |hits: &[Value], text: &str| {
        hits.iter().find(|hit| hit["content"][0]["text"] == text).map(|hit| hit["score"].as_f64().unwrap())
    };
    let vector = search(json!({"search_mode": "vector_only"})).await;
    let keyword = search(json!({"search_mode": "keyword_only"})).await;
    let hybrid = search(json!({})).await;
    let even = search(json!({"vector_weight": 1, "keyword_weight": 1})).await;
    assert_eq!((vector.len(), keyword.len(), hybrid.len()), (3, 2, 3));
    for text in ["the harbour at dawn", "a mountain at night", "harbour and mountain"] {
        let (v, k) = (score(&vector, text).unwrap(), score(&keyword, text).unwrap_or(0.0));
        assert!((score(&hybrid, text).unwrap() - (0.7 * v + 0.3 * k)).abs() < 1e-9);
        assert!((score(&even, text).unwrap() - (v + k) / 2.0).abs() < 1e-9);
    }
    fixture.close().await;
}

#[tokio::test]
async fn parallel_attaches_lose_nothing() {
    let fixture = Fixture::with(|config| config.pool_size = 8).await;
    let store = new_store(&fixture).await;
    let files =
        join_all((0..60).map(|i| {
            let fixture = &fixture;
            async move {
                fixture.upload(&format!("{i}.txt"), &format!("document number {i} about topic{i}")).await
            }
        }))
        .await;
    // Every third file twice at once: the second must not double anything.
    let twice = files.iter().chain(files.iter().step_by(3));
    let answers = join_all(twice.map(|file| {
        let (fixture, path) = (&fixture, format!("/v1/vector_stores/{store}/files"));
        async move { fixture.post(&path, json!({"file_id": file})).await }
    }))
    .await;
    for answer in answers {
        assert_eq!(answer.ok()["status"], "completed");
    }
    let body = fixture.get(&format!("/v1/vector_stores/{store}")).await.ok();
    assert_eq!(body["file_counts"]["completed"], 60);
    let page = fixture
        .post(
            &format!("/v1/vector_stores/{store}/search"),
            json!({"query": "topic17", "search_mode": "keyword_only"}),
        )
        .await
        .ok();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let deleted = join_all(files.iter().map(|file| {
        let (fixture, path) = (&fixture, format!("/v1/files/{file}"));
        async move { fixture.delete(&path).await }
    }))
    .await;
    assert!(deleted.iter().all(|answer| answer.status.is_success()));
    assert_eq!(fixture.get(&format!("/v1/vector_stores/{store}")).await.ok()["usage_bytes"], 0);
    fixture.close().await;
}

#[tokio::test]
async fn unknown_ids_follow_the_id_rule() {
    let fixture = Fixture::new().await;
    let store = new_store(&fixture).await;
    let error = fixture.get("/v1/vector_stores/abc123").await.error(400);
    assert_eq!((&error["code"], &error["param"]), (&json!("invalid_value"), &json!("vector_store_id")));
    assert_eq!(
        error["message"],
        "Invalid 'vector_store_id': 'abc123'. Expected an ID that begins with 'vs'."
    );
    let error = fixture.get("/v1/vector_stores/vs_abc123").await.error(404);
    assert_eq!(error["message"], "No vector store found with id 'vs_abc123'.");
    fixture.get(&format!("/v1/vector_stores/{store}/files/file-x")).await.error(404);
    fixture.get("/v1/files/file-x").await.error(404);
    fixture.delete(&format!("/v1/vector_stores/{store}")).await.ok();
    fixture.delete(&format!("/v1/vector_stores/{store}")).await.error(404);
    fixture.close().await;
}
