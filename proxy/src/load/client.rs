//! The few HTTP calls that `load` needs.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use super::Result;

const TRIES: u32 = 5;

/// A client of the HTTP API.
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    api_key: String,
}

impl Client {
    /// A client for the API at this URL, which ends in `/v1`.
    pub fn new(base_url: &str, api_key: &str) -> Result<Self> {
        // An error means that a provider has been chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(600))
            .build()?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), api_key: api_key.to_owned() })
    }

    /// GET
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base_url))?;
        url.query_pairs_mut().extend_pairs(query);
        self.send(|| self.http.get(url.clone())).await
    }

    /// POST
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(|| self.http.post(format!("{}{path}", self.base_url)).json(body)).await
    }

    /// DELETE
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.send(|| self.http.delete(format!("{}{path}", self.base_url))).await
    }

    /// Uploads a file.
    pub async fn upload(&self, filename: &str, bytes: Vec<u8>) -> Result<Value> {
        self.send(|| {
            let part = Part::bytes(bytes.clone()).file_name(filename.to_owned());
            let form = Form::new().text("purpose", "assistants").part("file", part);
            self.http.post(format!("{}/files", self.base_url)).multipart(form)
        })
        .await
    }

    /// All objects of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().and_then(|last| last["id"].as_str()).map(str::to_owned);
            let mut query = vec![("limit", "100"), ("order", "asc")];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page = self.get(path, &query).await?;
            let data = page["data"].as_array().cloned().unwrap_or_default();
            let more = page["has_more"] == true && !data.is_empty();
            all.extend(data);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Sends a request, again when the server asks for it or cannot be reached.
    async fn send(&self, build: impl Fn() -> RequestBuilder) -> Result<Value> {
        let mut wait = Duration::from_millis(500);
        for attempt in 1.. {
            let result = build().bearer_auth(&self.api_key).send().await;
            let again = match &result {
                Ok(response) => may_retry(response),
                Err(error) => error.is_connect(),
            };
            if !again || attempt == TRIES {
                return read(result?).await;
            }
            let asked = result
                .ok()
                .and_then(|response| response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok());
            tokio::time::sleep(asked.map_or(wait, Duration::from_secs)).await;
            wait *= 2;
        }
        unreachable!("the loop ends with the last try")
    }
}

fn may_retry(response: &reqwest::Response) -> bool {
    let wanted = matches!(
        response.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    wanted && response.headers().get("x-should-retry").is_none_or(|value| value != "false")
}

async fn read(response: reqwest::Response) -> Result<Value> {
    let (status, url) = (response.status(), response.url().clone());
    let body = response.text().await?;
    let value: Value =
        serde_json::from_str(&body).map_err(|_| format!("{url} answered {status} without JSON"))?;
    match value["error"]["message"].as_str() {
        Some(message) => Err(format!("{url} answered {status}: {message}").into()),
        None => Ok(value),
    }
}
