//! What `GET /metrics` tells: counters and histograms of this process, and what the database counts for all processes.
//!
//! Labels have few values: an operation is an `operationId` of the OpenAPI document, never a path, and no label names a
//! tenant, a store or a key.

mod database;
mod process;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::embed::Providers;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    operation: Arc<str>,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    status: u16,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    model: String,
}

/// What the connections count.
#[derive(Clone, Debug, Default)]
pub struct PoolMetrics {
    /// Most connections for requests.
    pub size: Gauge,
    /// Those at rest.
    pub idle: Gauge,
    /// Those in use.
    pub in_use: Gauge,
    waiting: Gauge,
    /// Requests that had to wait for one.
    pub waits: Counter,
    /// How long they waited together.
    pub wait_seconds: Counter<f64, AtomicU64>,
    /// Those who waited in vain.
    pub timeouts: Counter,
    /// Connections made.
    pub connects: Counter,
    /// Failed attempts to make one.
    pub connect_errors: Counter,
    /// Connections found dead.
    pub broken: Counter,
    /// Statements cancelled because their client had gone or their deadline had passed.
    pub cancels: Counter,
}

/// Counts as waiting until it is dropped.
pub struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl PoolMetrics {
    /// One more waits.
    pub fn waiting(&self) -> Waiting {
        self.waiting.inc();
        Waiting(self.waiting.clone())
    }

    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("pool");
        registry.register("connections_max", "Database connections for requests at most", self.size.clone());
        registry.register("connections_idle", "Database connections at rest", self.idle.clone());
        registry.register("connections_in_use", "Database connections in use", self.in_use.clone());
        registry.register("waiting", "Requests that wait for a database connection", self.waiting.clone());
        registry.register("waits", "Requests that had to wait for a database connection", self.waits.clone());
        registry.register("wait_seconds", "Time waited for database connections", self.wait_seconds.clone());
        registry.register(
            "timeouts",
            "Requests that waited for a database connection in vain",
            self.timeouts.clone(),
        );
        registry.register("connects", "Database connections made", self.connects.clone());
        registry.register(
            "connect_errors",
            "Failed attempts to connect to the database",
            self.connect_errors.clone(),
        );
        registry.register("broken", "Database connections found dead", self.broken.clone());
        registry.register(
            "cancelled_statements",
            "Statements cancelled because nobody waited for them any more",
            self.cancels.clone(),
        );
    }
}

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    operations: HashMap<(Method, String), Arc<str>>,
    requests: Family<Request, Counter>,
    seconds: Family<Request, Histogram>,
    in_flight: Gauge,
    refusals: Family<Refusal, Counter>,
    cache: Family<Outcome, Counter>,
    files: Family<Outcome, Counter>,
    busy: Gauge,
    breakers: Family<Model, Gauge>,
    /// What the connections count.
    pub pool: PoolMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            operations: operations(),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            refusals: Family::default(),
            cache: Family::default(),
            files: Family::default(),
            busy: Gauge::default(),
            breakers: Family::default(),
            pool: PoolMetrics::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("vectorstore");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the proxy", version);
        registry.register(
            "http_requests",
            "Requests by operation and class of the status",
            self.requests.clone(),
        );
        registry.register("http_request_seconds", "Time to the response's first byte", self.seconds.clone());
        registry.register("http_requests_in_flight", "Requests under way", self.in_flight.clone());
        registry.register("http_errors", "Responses with an error by status and code", self.refusals.clone());
        registry.register(
            "embedding_cache_lookups",
            "Texts looked up in the embedding cache",
            self.cache.clone(),
        );
        registry.register("ingest_files", "Attempts to process a file by their result", self.files.clone());
        registry.register("ingest_busy", "Tasks that process files", self.busy.clone());
        registry.register(
            "provider_breaker_state",
            "Circuit breaker of an embedding provider: 0 closed, 1 probing, 2 open",
            self.breakers.clone(),
        );
        self.pool.register(registry);
        all.register_collector(Box::new(process::Process::new()));
        self.registry = all;
    }

    /// A request begins; it ends with the guard.
    pub fn begin(&self, method: &Method, route: Option<&str>) -> InFlight<'_> {
        self.in_flight.inc();
        let known = route.and_then(|route| {
            let path = route.strip_prefix("/v1").unwrap_or(route);
            self.operations.get(&(method.clone(), path.to_owned())).cloned()
        });
        let operation = known.unwrap_or_else(|| Arc::from("unmatched"));
        InFlight { metrics: self, operation, begun: Instant::now(), status: "dropped" }
    }

    /// A response with an error object.
    pub fn refused(&self, status: StatusCode, code: Option<&str>) {
        let code = code.unwrap_or("none").to_owned();
        self.refusals.get_or_create(&Refusal { status: status.as_u16(), code }).inc();
    }

    /// So many texts were found in the embedding cache, so many were not.
    pub fn looked_up(&self, hits: usize, misses: usize) {
        self.cache.get_or_create(&Outcome { result: "hit" }).inc_by(hits as u64);
        self.cache.get_or_create(&Outcome { result: "miss" }).inc_by(misses as u64);
    }

    /// An attempt to process a file has ended: `completed`, `failed`, `retried` or `lost`.
    pub fn processed(&self, result: &'static str) {
        self.files.get_or_create(&Outcome { result }).inc();
    }

    /// So many tasks process files.
    pub fn set_busy(&self, tasks: usize) {
        self.busy.set(tasks as i64);
    }

    /// All metrics as text. Without an answer of the database's the series about it are left out.
    pub fn render(&self, providers: &Providers, database: Option<&Value>) -> Result<String, std::fmt::Error> {
        for (model, state) in providers.breakers() {
            self.breakers.get_or_create(&Model { model: model.to_owned() }).set(state as i64);
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        let mut registry = Registry::default();
        registry.register_collector(Box::new(database::Database::new(database)));
        encode_registry(&mut text, &registry)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// A request under way.
pub struct InFlight<'a> {
    metrics: &'a Metrics,
    operation: Arc<str>,
    begun: Instant,
    status: &'static str,
}

impl InFlight<'_> {
    /// It is answered.
    pub fn answered(mut self, status: StatusCode) -> Duration {
        self.status = match status.as_u16() {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.begun.elapsed()
    }
}

impl Drop for InFlight<'_> {
    /// Without an answer the client has hung up.
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let labels = Request { operation: self.operation.clone(), status: self.status };
        self.metrics.requests.get_or_create(&labels).inc();
        self.metrics.seconds.get_or_create(&labels).observe(self.begun.elapsed().as_secs_f64());
    }
}

/// Operations of the document by method and path, without `/v1`.
fn operations() -> HashMap<(Method, String), Arc<str>> {
    let document = serde_json::to_value(crate::openapi::document()).unwrap_or_default();
    let mut operations = HashMap::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let (Ok(method), Some(id)) =
                (Method::from_bytes(method.to_uppercase().as_bytes()), operation["operationId"].as_str())
            else {
                continue;
            };
            let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
            operations.insert((method, path), Arc::from(id));
        }
    }
    for (alias, path) in crate::router::ALIASES {
        if let Some(id) = operations.get(&(Method::GET, path.to_owned())).cloned() {
            operations.insert((Method::GET, alias.to_owned()), id);
        }
    }
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_under_their_operation() {
        let metrics = Metrics::default();
        metrics.begin(&Method::GET, Some("/v1/vector_stores/{vector_store_id}")).answered(StatusCode::OK);
        metrics.begin(&Method::GET, Some("/vector_stores/{vector_store_id}")).answered(StatusCode::NOT_FOUND);
        metrics.begin(&Method::GET, Some("/livez")).answered(StatusCode::OK);
        drop(metrics.begin(&Method::PATCH, None));
        metrics.refused(StatusCode::NOT_FOUND, None);
        let text = metrics.render(&Providers::default(), None).unwrap();
        for line in [
            "vectorstore_http_requests_total{operation=\"retrieve_vector_store\",status=\"2xx\"} 1\n",
            "vectorstore_http_requests_total{operation=\"retrieve_vector_store\",status=\"4xx\"} 1\n",
            "vectorstore_http_requests_total{operation=\"health\",status=\"2xx\"} 1\n",
            "vectorstore_http_requests_total{operation=\"unmatched\",status=\"dropped\"} 1\n",
            "vectorstore_http_requests_in_flight 0\n",
            "vectorstore_http_errors_total{status=\"404\",code=\"none\"} 1\n",
            "vectorstore_database_up 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(!text.contains("vectorstore_stores"));
    }
}
