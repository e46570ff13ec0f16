//! All SQL of the proxy: one method for each database function, one statement each.
//!
//! Results are the finished bodies of responses; they are passed through without being parsed.

mod api_keys;
mod batches;
mod cache;
mod embeddings;
mod files;
mod idempotency;
mod jobs;
mod stats;
mod stores;
mod tenants;
mod uploads;

use std::str::FromStr;
use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::types::Json;

use crate::config::{ACQUIRE_TIMEOUT, Config};
use crate::error::Result;

pub use embeddings::{EmbeddingChange, EmbeddingDeletion};
pub use files::{FileParts, NewFile};
pub use jobs::{Attachment, Job};
pub use stats::RateLimit;
pub use stores::{NewStore, Search, SearchOptions};
pub use uploads::UploadPieces;

/// A finished JSON body made by the database.
pub struct Raw(pub Box<RawValue>);

impl IntoResponse for Raw {
    fn into_response(self) -> Response {
        let text: Box<str> = self.0.into();
        ([(header::CONTENT_TYPE, "application/json")], String::from(text)).into_response()
    }
}

impl From<Json<Box<RawValue>>> for Raw {
    fn from(Json(raw): Json<Box<RawValue>>) -> Self {
        Self(raw)
    }
}

/// The database.
#[derive(Clone)]
pub struct Db {
    pool: PgPool,
}

/// Runs one statement that returns one value, and once more when it lost against another transaction: each statement
/// is a transaction of its own, so nothing of the first try is left.
macro_rules! call {
    ($db:expr, $sql:literal $(, $arg:expr)* $(,)?) => {{
        let mut again = true;
        loop {
            let query = sqlx::query_as(concat!($sql, ", vectorstore.api_rate_state()"))$(.bind($arg))*;
            match query.fetch_one(&$db.pool).await {
                Err(error) if again && $crate::db::lost_a_race(&error) => again = false,
                result => break $crate::account::settle($sql, result),
            }
        }
    }};
}
use call;

/// Runs a statement as a part of a request that another statement counts, and that its key is charged for there.
macro_rules! part {
    ($db:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as(concat!($sql, ", vectorstore.api_rate_state() WHERE vectorstore.api_uncounted()"))$(.bind($arg))*
            .fetch_one(&$db.pool).await
            .map_err($crate::error::Error::from)
            .and_then(|(value, state)| $crate::account::settle("", Ok((value, state))))
    };
}
use part;

/// Like `call!`, for a statement whose effect must not happen twice: under an `Idempotency-Key` the answer to the request
/// is kept in the same transaction. That is the result, or what `answer` finds in it.
macro_rules! effect {
    ($db:expr, answer: $answer:expr, $sql:literal $(, $arg:expr)* $(,)?) => {{
        let mut again = true;
        loop {
            if $crate::idempotency::current().is_none() {
                break $crate::db::call!($db, $sql $(, $arg)*);
            }
            let done = async {
                let mut transaction = $db.pool.begin().await?;
                let sql = concat!($sql, ", vectorstore.api_rate_state()");
                let (body, state) = sqlx::query_as(sql)$(.bind($arg))*.fetch_one(&mut *transaction).await?;
                $crate::db::settle(&mut transaction, $answer(&body)).await?;
                transaction.commit().await?;
                Ok((body, state))
            };
            match done.await {
                Err(error) if again && $crate::db::lost_a_race(&error) => again = false,
                result => break $crate::account::settle($sql, result),
            }
        }
    }};
    ($db:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        $crate::db::effect!($db, answer: $crate::db::whole, $sql $(, $arg)*)
    };
}
use effect;

/// A result that is the answer.
fn whole(body: &Json<Box<RawValue>>) -> &RawValue {
    &body.0
}

/// Keeps the answer of a request with an `Idempotency-Key` in the transaction of its effect.
async fn settle(transaction: &mut PgConnection, answer: &RawValue) -> Result<(), sqlx::Error> {
    match crate::idempotency::current() {
        Some(claim) => claim.settle(transaction, answer.get()).await,
        None => Ok(()),
    }
}

/// Serialisation failure or deadlock.
fn lost_a_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

impl Db {
    /// A pool that connects when the first request needs it.
    pub fn connect_lazy(config: &Config) -> Result<Self, sqlx::Error> {
        let timeout = format!("{}s", config.statement_timeout);
        let options =
            PgConnectOptions::from_str(&config.database_url)?.application_name("vectorstore-proxy").options(
                [("statement_timeout", timeout.as_str()), ("idle_in_transaction_session_timeout", "60s")],
            );
        let pool = PgPoolOptions::new()
            .max_connections(config.pool_size)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_secs(600))
            // A ping before each statement would double the round trips: only connections that rested are asked.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Version of the extension, its library and its schema, as JSON. Needs no key.
    pub async fn health(&self) -> Result<Raw> {
        let body: Json<Box<RawValue>> = call!(self, "SELECT vectorstore.api_health()")?;
        Ok(body.into())
    }

    /// Closes the pool once its connections are free.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
