//! An OpenAI-compatible endpoint.

use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use futures_util::{StreamExt, TryStreamExt, stream};
use pgvector::Vector;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::EmbedError;
use super::breaker::{Breaker, Budget};

type Result<T, E = EmbedError> = std::result::Result<T, E>;

/// First and longest wait between tries; a random share of it is waited, and the next one is twice as long.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
/// Longest wait that a provider may ask for; when asked for more, waiting is up to our own client.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// JSON numbers are at most this long; base64 is shorter.
const MAX_BYTES_PER_NUMBER: usize = 32;

/// Where a model is, and how it wants to be called.
pub struct Endpoint {
    /// URL of the API, which ends in `/v1` for most.
    pub base_url: String,
    /// Bearer token.
    pub api_key: Option<String>,
    /// Name of the model there.
    pub model: String,
    /// Dimensions of its vectors.
    pub dimensions: usize,
    /// Whether requests name them.
    pub send_dimensions: bool,
    /// Most texts of one request.
    pub batch_size: usize,
    /// Most requests at the same time.
    pub concurrency: usize,
    /// Longest time of one try.
    pub timeout: Duration,
    /// Tries after the first one.
    pub retries: u32,
    /// Failures in a row after which it is left alone.
    pub breaker_failures: u32,
    /// For how long.
    pub breaker_pause: Duration,
}

/// A client of one endpoint.
pub struct Remote {
    endpoint: Endpoint,
    url: Url,
    http: Client,
    slots: Semaphore,
    breaker: Breaker,
    budget: Budget,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Encoded,
}

/// Not every provider knows base64.
#[derive(Deserialize)]
#[serde(untagged)]
enum Encoded {
    Base64(String),
    Numbers(Vec<f32>),
}

/// A failed try.
struct Failure {
    error: EmbedError,
    /// Whether another try may help.
    again: bool,
    /// When, if the provider said so.
    after: Option<Duration>,
}

impl Remote {
    /// A client; nothing is sent yet.
    pub fn new(endpoint: Endpoint) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let url = Url::parse(&format!("{}/embeddings", endpoint.base_url.trim_end_matches('/')))
            .map_err(|error| format!("base_url: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err("base_url must begin with http:// or https://".into());
        }
        // An error means that a provider of cryptography has been chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(endpoint.timeout)
            // The key is for this server only.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            url,
            http,
            slots: Semaphore::new(endpoint.concurrency),
            breaker: Breaker::new(endpoint.breaker_failures, endpoint.breaker_pause),
            budget: Budget::default(),
            endpoint,
        })
    }

    /// The vectors of texts, in their order.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>> {
        let batches: Vec<Vec<String>> = texts.chunks(self.endpoint.batch_size).map(<[_]>::to_vec).collect();
        let vectors: Vec<Vec<Vector>> = stream::iter(batches)
            .map(|batch| self.embed_batch(batch))
            .buffered(self.endpoint.concurrency)
            .try_collect()
            .await?;
        Ok(vectors.into_iter().flatten().collect())
    }

    /// Somebody gave up waiting.
    pub fn too_slow(&self) {
        self.breaker.failed();
    }

    async fn embed_batch(&self, texts: Vec<String>) -> Result<Vec<Vector>> {
        let _slot = self.slots.acquire().await.map_err(|error| EmbedError::Unavailable(error.to_string()))?;
        self.budget.earn();
        for tried in 0.. {
            if let Err(wait) = self.breaker.check() {
                let message = format!("it has failed too often, the next try is in {} ms", wait.as_millis());
                return Err(EmbedError::Unavailable(message));
            }
            let failure = match self.call(&texts).await {
                Ok(vectors) => {
                    self.breaker.succeeded();
                    return Ok(vectors);
                }
                Err(failure) => failure,
            };
            // A refusal says nothing about the provider's health but good.
            match failure.error {
                EmbedError::Refused(_) => self.breaker.succeeded(),
                _ => self.breaker.failed(),
            }
            let wait = backoff(tried).max(failure.after.unwrap_or_default());
            if !failure.again
                || tried >= self.endpoint.retries
                || wait > MAX_RETRY_AFTER
                || !self.budget.spend()
            {
                return Err(failure.error);
            }
            tracing::debug!(model = self.endpoint.model, error = %failure.error, ?wait, "embedding is tried again");
            tokio::time::sleep(wait).await;
        }
        unreachable!("the loop returns")
    }

    /// One try.
    async fn call(&self, texts: &[String]) -> Result<Vec<Vector>, Failure> {
        let mut body = json!({"model": self.endpoint.model, "input": texts, "encoding_format": "base64"});
        if self.endpoint.send_dimensions {
            body["dimensions"] = json!(self.endpoint.dimensions);
        }
        let mut request = self.http.post(self.url.clone()).json(&body);
        if let Some(key) = &self.endpoint.api_key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| unavailable(describe(&error), None))?;
        let (status, after) = (response.status(), retry_after(response.headers(), SystemTime::now()));
        let limit = texts.len() * self.endpoint.dimensions * MAX_BYTES_PER_NUMBER + 65_536;
        let answer = read(response, limit).await?;
        if status.is_success() {
            return self.decode(texts.len(), &answer).map_err(|reason| Failure {
                error: EmbedError::Unusable(reason),
                again: false,
                after: None,
            });
        }
        Err(failure(status, after, &answer))
    }

    fn decode(&self, count: usize, answer: &[u8]) -> Result<Vec<Vector>, String> {
        let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
        let mut vectors = vec![None; count];
        for item in answer.data {
            let vector = match item.embedding {
                Encoded::Numbers(numbers) => numbers,
                Encoded::Base64(text) => from_base64(&text).ok_or("an embedding is no base64")?,
            };
            if vector.len() != self.endpoint.dimensions {
                let expected = self.endpoint.dimensions;
                return Err(format!("an embedding has {} dimensions instead of {expected}", vector.len()));
            }
            if vector.iter().any(|x| !x.is_finite()) {
                return Err("an embedding is not finite".to_owned());
            }
            *vectors.get_mut(item.index).ok_or("an embedding's index is too large")? =
                Some(Vector::from(vector));
        }
        let vectors: Option<Vec<Vector>> = vectors.into_iter().collect();
        vectors.ok_or_else(|| "an embedding is missing".to_owned())
    }
}

/// The body of an answer, unless it is much longer than it could be.
async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| unavailable(describe(&error), None))? {
        body.extend_from_slice(&piece);
        if body.len() > limit {
            let error = EmbedError::Unusable(format!("its answer has more than {limit} bytes"));
            return Err(Failure { error, again: false, after: None });
        }
    }
    Ok(body)
}

/// What a status other than 200 means.
fn failure(status: StatusCode, after: Option<Duration>, answer: &[u8]) -> Failure {
    let said: String = String::from_utf8_lossy(answer).chars().take(200).collect();
    let reason = format!("{status}: {said}");
    match status.as_u16() {
        408 | 409 | 429 | 500.. => unavailable(reason, after),
        400 | 413 | 422 => Failure { error: EmbedError::Refused(reason), again: false, after: None },
        _ => Failure { error: EmbedError::Unusable(reason), again: false, after: None },
    }
}

fn unavailable(reason: String, after: Option<Duration>) -> Failure {
    Failure { error: EmbedError::Unavailable(reason), again: true, after }
}

/// The error with what lies behind it, without the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timeout".to_owned() } else { "connection".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// How long the provider wants to be left alone: `retry-after-ms`, or `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |name: &str| text(name)?.parse::<f64>().ok();
    match seconds("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| seconds(RETRY_AFTER.as_str())) {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        // A date that is past asks for nothing.
        None => {
            let date = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

/// Full jitter: anything between nothing and a bound that doubles.
fn backoff(tried: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let bound = first.saturating_mul(2_u32.saturating_pow(tried)).min(longest);
    let share = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    bound.mul_f64(share)
}

fn from_base64(text: &str) -> Option<Vec<f32>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn waits_grow_and_differ() {
        for tried in 0..40 {
            assert!(backoff(tried) <= BACKOFF.1);
        }
        assert!((0..50).all(|_| backoff(0) <= BACKOFF.0));
        assert_ne!(backoff(5), backoff(5));
    }

    #[test]
    fn a_pause_is_asked_for_in_several_ways() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let asked = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            retry_after(&headers.collect(), now).map(|pause| pause.as_millis())
        };
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[("retry-after", "2")]), Some(2000));
        assert_eq!(asked(&[("retry-after", "9"), ("retry-after-ms", "1500")]), Some(1500));
        assert_eq!(asked(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), Some(10_000));
        // The two older forms that RFC 9110 wants to be read.
        assert_eq!(asked(&[("retry-after", "Sunday, 06-Nov-94 08:49:47 GMT")]), Some(10_000));
        assert_eq!(asked(&[("retry-after", "Sun Nov  6 08:49:47 1994")]), Some(10_000));
        assert_eq!(asked(&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")]), Some(0));
        for nonsense in ["soon", "-1", "1e400", "Sun, 06 Nov 1994"] {
            assert_eq!(asked(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        let told = |status: u16| {
            let failure = failure(StatusCode::from_u16(status).unwrap(), None, b"why");
            (failure.error, failure.again)
        };
        for status in [408, 429, 500, 502, 503, 529] {
            assert!(matches!(told(status), (EmbedError::Unavailable(_), true)), "{status}");
        }
        assert!(matches!(told(400), (EmbedError::Refused(_), false)));
        for status in [301, 401, 403, 404] {
            assert!(matches!(told(status), (EmbedError::Unusable(_), false)), "{status}");
        }
    }

    #[test]
    fn base64_is_read_exactly() {
        let numbers = [0.1_f32, -3.5e-9, f32::MIN_POSITIVE];
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(from_base64(&BASE64.encode(&bytes)).unwrap(), numbers);
        assert_eq!((from_base64("AAA="), from_base64("%")), (None, None));
    }
}
