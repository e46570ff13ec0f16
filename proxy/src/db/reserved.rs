//! A connection apart from all others, for short statements that must not wait for a free one.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::Json;
use sqlx::{Connection, Error};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::pool::{Slot, is_dead, unreachable_database};

/// Everything on such a connection is done in this time, connecting included.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The connection; it is made when it is needed.
pub struct Reserved {
    options: PgConnectOptions,
    slot: Mutex<Option<Slot>>,
}

impl Reserved {
    /// Connects like all others.
    pub fn new(options: PgConnectOptions) -> Self {
        Self { options, slot: Mutex::default() }
    }

    /// Stops the statement of a server process, if one is under way.
    pub async fn cancel(&self, pid: i32) -> Result<(), Error> {
        let cancel = async {
            let mut place = self.slot.lock().await;
            let mut slot = self.take(&mut place).await?;
            let done: bool = sqlx::query_scalar("SELECT pg_catalog.pg_cancel_backend($1)")
                .bind(pid)
                .fetch_one(&mut slot.connection)
                .await?;
            slot.touch();
            *place = Some(slot);
            tracing::debug!(pid, done, "cancelled a statement that nobody waits for");
            Ok(())
        };
        timeout(TIMEOUT, cancel).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// The JSON that a function without arguments returns.
    pub async fn ask(&self, sql: &'static str) -> Result<Value, Error> {
        let ask = async {
            let mut place = self.slot.lock().await;
            let mut slot = self.take(&mut place).await?;
            let result = sqlx::query_scalar(sql).fetch_one(&mut slot.connection).await;
            if !matches!(&result, Err(error) if is_dead(error)) {
                slot.touch();
                *place = Some(slot);
            }
            result.map(|Json(value)| value)
        };
        timeout(TIMEOUT, ask).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Takes the connection out of its place: a statement that does not end must not be waited for by the next one.
    async fn take(&self, place: &mut Option<Slot>) -> Result<Slot, Error> {
        if let Some(mut slot) = place.take()
            && slot.is_alive().await
        {
            return Ok(slot);
        }
        Slot::open(&self.options).await.map_err(unreachable_database)
    }

    /// Closes it.
    pub async fn close(&self) {
        if let Some(slot) = self.slot.lock().await.take() {
            let _ = slot.connection.close().await;
        }
    }
}
