//! Whether the process lives, whether it can answer requests, how it does, and what it has counted.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::health::{self, Report};
use crate::metrics::CONTENT_TYPE;
use crate::model::{Health, HealthDetails, HealthQuery, Ready};
use crate::state::AppState;

/// Whether the process lives; asks nothing else
#[utoipa::path(
    get, path = "/health", tag = "health", security(()),
    responses((status = 200, description = "The process lives", body = Health))
)]
pub async fn health() -> Json<Value> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    Json(json!({"status": "healthy", "timestamp": timestamp, "version": env!("CARGO_PKG_VERSION")}))
}

/// Whether requests can be answered: database, schema, model
#[utoipa::path(
    get, path = "/ready", tag = "health", security(()),
    responses(
        (status = 200, description = "Requests can be answered", body = Ready),
        (status = 503, description = "They cannot", body = Ready),
    )
)]
pub async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    let mut reasons = Vec::new();
    let mut database = Value::Null;
    if state.is_stopping() {
        // No question to the database: it is the load balancer that must know, at once.
        reasons.push("the server is stopping");
    } else {
        match state.db().health().await {
            Ok(versions) => database = versions,
            Err(error) => {
                // Asked again and again by whoever wants to know when it is.
                if state.complaints().complain().is_some() {
                    tracing::warn!(%error, "the database is not ready");
                }
                reasons.push("the database does not answer");
            }
        }
    }
    if database["schema"] != database["schema_target"] {
        reasons.push("the schema is not current: run SELECT vs_install()");
    }
    let model = state.model().map(|model| model.name());
    if model.is_none() {
        reasons.push("no embedding model is configured");
    }
    if reasons.is_empty() {
        return (
            StatusCode::OK,
            Json(json!({"status": "ready", "database": database, "model": model, "reasons": []})),
        );
    }
    // An error object like every response of this status, with the same reasons for people.
    let error = json!({"message": reasons.join("; "), "type": "server_error", "param": null, "code": null});
    let body = json!({"status": "not_ready", "database": database, "model": model, "reasons": reasons, "error": error});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

/// How the server does: whatever is worse than it should be, without being down, makes it `degraded`
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()), params(HealthQuery),
    responses(
        (status = 200, description = "Requests can be answered; `status` is `ok` or `degraded`", body = HealthDetails),
        (status = 503, description = "They cannot", body = HealthDetails),
    )
)]
pub async fn health_details(State(state): State<AppState>, uri: Uri) -> (StatusCode, Json<Value>) {
    let report = Report::of(&state).await;
    let asked = uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("verbose"));
    let verbose = matches!(asked, Some("" | "=" | "=1" | "=true" | "=yes"));
    let mut body = json!({"status": report.status(), "version": env!("CARGO_PKG_VERSION")});
    if verbose {
        body["checks"] = report.to_json();
    }
    let status =
        if report.status() == health::DOWN { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    if status != StatusCode::OK {
        let message = "The server cannot answer requests.";
        body["error"] = json!({"message": message, "type": "server_error", "param": null, "code": null});
    }
    (status, Json(body))
}

/// Counters, gauges and histograms for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, description = "Text in the OpenMetrics format", body = String, content_type = "application/openmetrics-text"))
)]
pub async fn metrics(State(state): State<AppState>) -> Result<impl IntoResponse> {
    let database = state.db().metrics().await;
    state.db().pool().measure();
    state.metrics().set_busy(state.workers().busy());
    let text = state.metrics().render(state.providers(), database.as_ref());
    let text = text.map_err(|error| Error::Internal(format!("metrics: {error}")))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}
