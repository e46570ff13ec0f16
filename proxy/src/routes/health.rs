//! Whether the process lives, and whether it can answer requests.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::model::{Health, Ready};
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
            Ok(raw) => database = serde_json::from_str(raw.0.get()).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the database is not ready");
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
