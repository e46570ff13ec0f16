//! The time that the local model takes in a warm backend.

use crate::Error;
use crate::database::Connection;
use crate::report::{Bound, Row};
use crate::stats::Summary;
use serde_json::json;
use std::time::Instant;

const QUERY: &str = "how do I delete old files from a store every";
const CALLS: u32 = 1000;
const ROUNDS: usize = 9;
/// Microseconds.
const BOUND: f64 = 200.0;

/// Embeds a query of ten words (the tenth is a number, so that no two calls are alike) in one statement, and
/// takes off what the same statement costs without the model.
pub async fn measure(connection: &mut Connection) -> Result<Row, Error> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // One round more: the first one maps the model and does not count.
    for round in 0..=ROUNDS {
        let full =
            time(connection, "SELECT count(vs_embed($1 || ' ' || i)) FROM generate_series(1, $2) AS i")
                .await?;
        let empty = time(connection, "SELECT count($1 || ' ' || i) FROM generate_series(1, $2) AS i").await?;
        if round > 0 {
            with.push(full);
            without.push(empty);
        }
    }
    let (Some(full), Some(empty)) = (Summary::of(&with), Summary::of(&without)) else {
        return Err(Error::Setup("there was nothing to measure".into()));
    };
    let ours = full.median - empty.median;
    Ok(Row {
        name: "vs_embed, 10 words".into(),
        unit: "µs",
        ours,
        peer: None,
        figure: ours,
        bound: Some(Bound::AtMost(BOUND)),
        details: json!({ "spread": full.spread }),
    })
}

/// Microseconds a call.
async fn time(connection: &mut Connection, sql: &'static str) -> Result<f64, Error> {
    let begin = Instant::now();
    let count: i64 = sqlx::query_scalar(sql).bind(QUERY).bind(CALLS as i32).fetch_one(connection).await?;
    let passed = begin.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS);
    if count != i64::from(CALLS) {
        return Err(Error::Different(format!("{count} embeddings instead of {CALLS}")));
    }
    Ok(passed)
}
