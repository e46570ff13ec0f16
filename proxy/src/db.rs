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
mod pool;
mod reserved;
mod stats;
mod stores;
mod tenants;
mod uploads;

use std::str::FromStr;
use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::types::Json;

use crate::config::Config;
use crate::error::Result;
use crate::metrics::PoolMetrics;

pub use embeddings::{EmbeddingChange, EmbeddingDeletion};
pub use files::{FileParts, NewFile};
pub use jobs::{Attachment, Job};
pub use pool::Pool;
pub use reserved::Reserved;
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
    pool: Pool,
}

/// Whether a statement that failed is worth a second try: once, and only where the first had no effect or none that
/// matters.
struct Tries {
    read_only: bool,
    left: u32,
}

impl Tries {
    fn new(read_only: bool) -> Self {
        Self { read_only, left: 1 }
    }

    /// Asks for another try after this error.
    fn again(&mut self, error: &sqlx::Error) -> bool {
        let harmless = lost_a_race(error)
            || pool::was_terminated(error)
            // Whether a statement ran whose answer was lost, nobody knows.
            || self.read_only && pool::is_dead(error);
        let again = harmless && self.left > 0;
        self.left -= u32::from(again);
        again
    }
}

/// Runs one statement that returns one value and where the rate limits stand, as the deadline of the request allows. Each
/// statement is a transaction of its own, so that nothing of a failed try is left. The first text tells which function
/// of it counts as a request.
macro_rules! statement {
    ($db:expr, $read_only:literal, $counted:literal, $sql:expr $(, $arg:expr)*) => {{
        let mut tries = $crate::db::Tries::new($read_only);
        loop {
            let done = async {
                let mut lease = $db.pool.acquire().await?;
                let result = async { sqlx::query_as($sql)$(.bind($arg))*.fetch_one(lease.start().await?).await }.await;
                lease.finish(result)
            };
            match $crate::deadline::bound(done).await {
                Ok(Err(error)) if tries.again(&error) => {}
                Ok(result) => break $crate::account::note($counted, result).map_err($crate::error::Error::from),
                Err(late) => break Err(late),
            }
        }
    }};
}
use statement;

/// A statement that only reads.
macro_rules! read {
    ($db:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        $crate::db::statement!($db, true, $sql, concat!($sql, ", vectorstore.api_rate_state()") $(, $arg)*)
     };
}
use read;

/// A statement that may write.
macro_rules! call {
    ($db:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        $crate::db::statement!($db, false, $sql, concat!($sql, ", vectorstore.api_rate_state()") $(, $arg)*)
     };
}
use call;

/// A part of a request that another statement counts, and that its key is charged for there.
macro_rules! part {
    ($db:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        $crate::db::statement!(
            $db, true, "", concat!($sql, ", vectorstore.api_rate_state() WHERE vectorstore.api_uncounted()") $(, $arg)*
        )
    };
}
use part;

/// Several statements in one transaction; what fails in between undoes all.
macro_rules! transact {
    ($db:expr, |$transaction:ident| $work:block) => {
        async {
            let mut lease = $db.pool.acquire().await?;
            let result = async {
                let mut $transaction = sqlx::Connection::begin(lease.start().await?).await?;
                let value = $work;
                $transaction.commit().await?;
                Ok::<_, sqlx::Error>(value)
            };
            let result = result.await;
            // A transaction that failed is rolled back by its drop, which only says so to the connection.
            if result.is_ok() || result.as_ref().is_err_and($crate::db::pool::is_dead) {
                return lease.finish(result);
            }
            result
        }
    };
}
use transact;

/// Like `call!`, for a statement whose effect must not happen twice: under an `Idempotency-Key` the answer to the request
/// is kept in the same transaction. That is the result, or what `answer` finds in it.
macro_rules! effect {
    ($db:expr, answer: $answer:expr, $sql:literal $(, $arg:expr)* $(,)?) => {{
        let mut tries = $crate::db::Tries::new(false);
        loop {
            if $crate::idempotency::current().is_none() {
                break $crate::db::call!($db, $sql $(, $arg)*);
            }
            let done = $crate::db::transact!($db, |transaction| {
                let sql = concat!($sql, ", vectorstore.api_rate_state()");
                let (body, state) = sqlx::query_as(sql)$(.bind($arg))*.fetch_one(&mut *transaction).await?;
                $crate::db::settle(&mut transaction, $answer(&body)).await?;
                (body, state)
            });
            match $crate::deadline::bound(done).await {
                Ok(Err(error)) if tries.again(&error) => {}
                Ok(result) => break $crate::account::note($sql, result).map_err($crate::error::Error::from),
                Err(late) => break Err(late),
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
    pub fn connect_lazy(config: &Config, metrics: PoolMetrics) -> Result<Self, sqlx::Error> {
        let timeout = format!("{}s", config.statement_timeout);
        let options = PgConnectOptions::from_str(&config.database_url)?
            .application_name("vectorstore-proxy")
            .options([
                ("statement_timeout", timeout.as_str()),
                ("idle_in_transaction_session_timeout", "60s"),
                // Whatever becomes of us (kill -9, a cut cable), our statements end.
                ("client_connection_check_interval", "5s"),
            ]);
        let limit = Duration::from_secs(config.statement_timeout.into());
        let pool = Pool::new(options, config.pool_size, limit, metrics);
        Ok(Self { pool })
    }

    /// Version of the extension, its library and its schema. Needs no key, and no free connection.
    pub async fn health(&self) -> Result<Value> {
        Ok(self.pool.observer().ask("SELECT vectorstore.api_health()").await?)
    }

    /// What `/healthz` tells of the database.
    pub async fn vitals(&self) -> Result<Value> {
        Ok(self.pool.observer().ask("SELECT vectorstore.api_vitals()").await?)
    }

    /// The rows of `vs_doctor()`.
    pub async fn doctor(&self) -> Result<Value> {
        Ok(self.pool.observer().ask("SELECT vectorstore.api_doctor()").await?)
    }

    /// What the database counts for all proxies: nothing when it is down; an empty object when it is older than this
    /// function of it.
    pub async fn metrics(&self) -> Option<Value> {
        match self.pool.observer().ask("SELECT vectorstore.api_metrics()").await {
            Ok(value) => Some(value),
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(|error| error.code().as_deref() == Some("42883")) =>
            {
                Some(Value::Object(serde_json::Map::new()))
            }
            Err(error) => {
                tracing::debug!(%error, "metrics without the database");
                None
            }
        }
    }

    /// The connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Closes the pool once its connections are free.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
