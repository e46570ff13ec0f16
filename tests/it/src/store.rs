//! A store to search in, and what its answers hold.

use serde_json::{Value, json};

use crate::{Answer, Fixture};

/// A store in a database of its own.
pub struct Store {
    /// The database.
    pub fixture: Fixture,
    /// Id of the store.
    pub id: String,
}

impl Store {
    /// A new database with an empty store.
    pub async fn new() -> Self {
        let fixture = Fixture::new().await;
        let id = new_store(&fixture).await;
        Self { fixture, id }
    }

    /// A store with animals on farms.
    pub async fn of_animals() -> Self {
        let store = Self::new().await;
        let rows = [
            ("owls hunt mice at night", json!({"kind": "bird", "legs": 2, "wild": true})),
            ("hens lay eggs in the barn", json!({"kind": "bird", "legs": 2, "wild": false})),
            ("foxes steal hens from the barn at night", json!({"kind": "mammal", "legs": 4, "wild": true})),
            ("cows give milk in the barn", json!({"kind": "mammal", "legs": 4, "wild": false})),
            ("ants build hills in the forest", json!({"kind": "insect", "legs": 6})),
        ];
        store.insert(rows.map(|(content, metadata)| (content.to_owned(), metadata))).await;
        store
    }

    /// Inserts passages and returns their ids.
    pub async fn insert(&self, rows: impl IntoIterator<Item = (String, Value)>) -> Vec<String> {
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|(content, metadata)| json!({"content": content, "metadata": metadata}))
            .collect();
        let path = format!("/v1/vector_stores/{}/embeddings/batch", self.id);
        let batch = self.fixture.post(&path, json!({"embeddings": rows})).await.ok();
        batch["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Deletes a passage.
    pub async fn delete(&self, id: &str) {
        self.fixture.sql(&format!("SELECT vs_delete('{}', '{id}')", self.id)).await;
    }

    /// Searches.
    pub async fn send(&self, body: &Value) -> Answer {
        self.fixture.post(&format!("/v1/vector_stores/{}/search", self.id), body.clone()).await
    }

    /// The page that a search answers with.
    pub async fn search(&self, body: Value) -> Value {
        self.send(&body).await.ok()
    }

    /// Merges all passages into segments.
    pub async fn merge(&self) {
        self.fixture.sql(&format!("SELECT vs_merge('{}')", self.id)).await;
    }

    /// The field that the error of a refused search names.
    pub async fn refused(&self, body: Value) -> String {
        let error = self.send(&body).await.error(400);
        assert_eq!(error["type"], "invalid_request_error");
        error["param"].as_str().unwrap_or("null").to_owned()
    }
}

/// Creates an empty store and returns its id.
pub async fn new_store(fixture: &Fixture) -> String {
    let store = fixture.post("/v1/vector_stores", json!({"name": "docs"})).await.ok();
    store["id"].as_str().unwrap().to_owned()
}

/// Ids of a page's results.
pub fn ids(page: &Value) -> Vec<String> {
    let hits = page["data"].as_array().unwrap();
    hits.iter().map(|hit| hit["file_id"].as_str().unwrap().to_owned()).collect()
}

/// Ids of a page's results with their scores.
pub fn scores(page: &Value) -> Vec<(String, f64)> {
    let scores = page["data"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap());
    ids(page).into_iter().zip(scores).collect()
}

/// Score of a result, or 0 where it is not on the page.
pub fn score_of(page: &Value, id: &str) -> f64 {
    scores(page).iter().find(|(other, _)| other == id).map_or(0.0, |(_, score)| *score)
}

/// One attribute of all of a page's results.
pub fn attributes<'a>(page: &'a Value, key: &str) -> Vec<&'a Value> {
    page["data"].as_array().unwrap().iter().map(|hit| &hit["attributes"][key]).collect()
}

/// Numbered passages that all have one word in common, harbour, and differ in length.
pub fn passages(range: std::ops::Range<usize>) -> impl Iterator<Item = (String, Value)> {
    range.map(|n| {
        let content = format!("{}harbour number {n}", "a quiet and sunny ".repeat(n % 7));
        (content, json!({"n": n, "even": n % 2 == 0}))
    })
}

/// The request for the page of a token.
pub fn with_page(body: &Value, token: &Value) -> Value {
    let mut body = body.clone();
    body["page"] = token.clone();
    body
}

/// Checks that both pages have the same results; scores may differ by what a vector loses on its way as text.
#[track_caller]
pub fn assert_same(got: &Value, expected: &Value) {
    assert_eq!(ids(got), ids(expected));
    for ((id, got), (_, expected)) in scores(got).into_iter().zip(scores(expected)) {
        assert!((got - expected).abs() < 1e-6, "{id}: {got} {expected}");
    }
}
