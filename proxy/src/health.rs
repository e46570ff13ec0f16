//! How this process and what it needs are doing, check by check.

use std::time::Instant;

use serde_json::{Value, json};

use crate::embed::Condition;
use crate::state::AppState;

/// Everything works.
pub const OK: &str = "ok";
/// Requests are answered, but something is worse than it should be.
pub const DEGRADED: &str = "degraded";
/// Requests cannot be answered.
pub const DOWN: &str = "down";

/// Files that wait longer than this to be processed are late.
const LATE_JOBS_SECONDS: f64 = 300.0;

/// One thing that was looked at.
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// [`OK`], [`DEGRADED`] or [`DOWN`]
    pub status: &'static str,
    /// For people.
    pub detail: String,
    /// What to do about it, when something is to be done.
    pub remedy: &'static str,
    /// Numbers for programs.
    pub values: Value,
}

/// What was found.
pub struct Report(pub Vec<Check>);

impl Report {
    /// Looks at everything. None of it needs a free connection of the pool.
    pub async fn of(state: &AppState) -> Self {
        let begun = Instant::now();
        let vitals = state.db().vitals().await;
        let millis = begun.elapsed().as_secs_f64() * 1000.0;
        let mut checks = vec![process(state), model(state), pool(state)];
        match &vitals {
            Ok(vitals) => {
                checks.push(Check {
                    name: "database",
                    status: OK,
                    detail: format!("answers in {millis:.1} ms"),
                    remedy: "",
                    values: json!({"milliseconds": millis, "standby": vitals["standby"]}),
                });
                checks.extend([versions(vitals), jobs(vitals), merges(vitals)]);
            }
            Err(error) => {
                if state.complaints().complain().is_some() {
                    tracing::warn!(%error, "the database does not answer");
                }
                checks.push(Check {
                    name: "database",
                    status: DOWN,
                    detail: "does not answer".into(),
                    remedy: "Check that Postgres runs, and the URL of the database; the log of this process says more.",
                    values: Value::Null,
                });
            }
        }
        checks.extend(state.providers().breakers().map(|(model, condition)| provider(model, condition)));
        Self(checks)
    }

    /// The worst of all.
    pub fn status(&self) -> &'static str {
        let rank = |status| [OK, DEGRADED, DOWN].iter().position(|known| *known == status);
        self.0.iter().map(|check| check.status).max_by_key(|status| rank(*status)).unwrap_or(OK)
    }

    /// The checks by their names.
    pub fn to_json(&self) -> Value {
        let mut all = json!({});
        for check in &self.0 {
            let one = json!({"status": check.status, "detail": check.detail, "values": check.values});
            match check.name {
                "provider" => all["providers"][check.values["model"].as_str().unwrap_or_default()] = one,
                name => all[name] = one,
            }
        }
        all
    }
}

fn process(state: &AppState) -> Check {
    let stopping = state.is_stopping();
    Check {
        name: "process",
        status: if stopping { DOWN } else { OK },
        detail: if stopping { "is stopping" } else { "serves" }.into(),
        remedy: "",
        values: Value::Null,
    }
}

fn model(state: &AppState) -> Check {
    let name = state.model().map(|model| model.name());
    Check {
        name: "model",
        status: if name.is_some() { OK } else { DOWN },
        detail: name
            .map_or_else(|| "no local embedding model".to_owned(), |name| format!("{name} is loaded")),
        remedy: "Start the proxy with --model-path.",
        values: json!({"local": name, "names": state.providers().names()}),
    }
}

fn pool(state: &AppState) -> Check {
    let (size, in_use, idle) = state.db().pool().usage();
    let full = in_use >= size;
    Check {
        name: "pool",
        status: if full { DEGRADED } else { OK },
        detail: format!("{in_use} of {size} connections in use"),
        remedy: "Raise --pool-size, or find the slow statements in pg_stat_activity.",
        values: json!({"size": size, "in_use": in_use, "idle": idle}),
    }
}

fn versions(vitals: &Value) -> Check {
    let text = |key: &str| vitals[key].as_str().unwrap_or("none").to_owned();
    let (extension, library) = (text("version"), text("library"));
    let (status, detail, remedy) = if vitals["schema"] != vitals["schema_target"] {
        (
            DOWN,
            format!("the schema is at step {} of {}", vitals["schema"], vitals["schema_target"]),
            "SELECT vs_install();",
        )
    } else if extension != library {
        let detail = format!("the library is {library}, the extension {extension}");
        (DEGRADED, detail, "ALTER EXTENSION vectorstore UPDATE; SELECT vs_install();")
    } else if extension != env!("CARGO_PKG_VERSION") {
        let detail = format!("the extension is {extension}, this proxy {}", env!("CARGO_PKG_VERSION"));
        (DEGRADED, detail, "Run the same version of both.")
    } else {
        (OK, format!("extension, library and proxy are {extension}"), "")
    };
    let values = json!({
        "proxy": env!("CARGO_PKG_VERSION"), "extension": extension, "library": library,
        "schema": vitals["schema"], "schema_target": vitals["schema_target"],
    });
    Check { name: "versions", status, detail, remedy, values }
}

fn jobs(vitals: &Value) -> Check {
    let jobs = &vitals["jobs"];
    let age = jobs["oldest_seconds"].as_f64().unwrap_or_default();
    Check {
        name: "jobs",
        status: if age > LATE_JOBS_SECONDS { DEGRADED } else { OK },
        detail: format!("{} files wait, the first of them for {age:.0} s", jobs["waiting"]),
        remedy: "Run more proxies, or more of --ingest-workers, with the models of the stores.",
        values: jobs.clone(),
    }
}

fn merges(vitals: &Value) -> Check {
    let merges = &vitals["merges"];
    let late = merges["late_stores"].as_i64().unwrap_or_default();
    Check {
        name: "worker",
        status: if late > 0 { DEGRADED } else { OK },
        detail: format!(
            "{late} stores wait for a merge, {} dropped ones for a sweep",
            merges["dropped_stores"]
        ),
        remedy: "See SELECT * FROM vs_doctor();",
        values: merges.clone(),
    }
}

fn provider(model: &str, condition: Condition) -> Check {
    let (status, breaker) = match condition {
        Condition::Closed => (OK, "closed"),
        Condition::Probing => (DEGRADED, "probing"),
        Condition::Open => (DEGRADED, "open"),
    };
    Check {
        name: "provider",
        status,
        detail: format!("the circuit breaker of {model} is {breaker}"),
        remedy: "Check the embedding provider; searches by keyword still work.",
        values: json!({"model": model, "breaker": breaker}),
    }
}
