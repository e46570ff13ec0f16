//! Connections to the database: a bounded number, each used by one request at a time, and two more that are reserved.
//!
//! sqlx has a pool, too, but it does not know which server process is behind a connection, and so cannot stop a
//! statement whose client has gone. Here a request that is dropped with a statement under way leaves its connection to
//! a task, which cancels the statement and gives the connection to others only when it is silent: no cancellation can
//! strike another request's statement.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::{sleep, timeout, timeout_at};

use crate::config::ACQUIRE_TIMEOUT;
use crate::deadline;
use crate::metrics::PoolMetrics;

use super::reserved::Reserved;

/// A connection that has rested longer than this is asked whether it lives; a question before each statement would
/// double the round trips.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// A connection that nobody has used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// So is one of this age: what a server process has gathered in its memory goes with it.
const MAX_AGE: Duration = Duration::from_secs(1800);
/// Pauses between attempts to connect: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(400));
/// An abandoned statement that ends within this time is not cancelled.
const GRACE: Duration = Duration::from_millis(20);
/// How much later than we Postgres ends a statement whose request's deadline has passed.
const MARGIN: Duration = Duration::from_secs(1);
/// An abandoned connection that is not silent by then is closed.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections, shared by all requests.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    size: u32,
    /// Limit of each statement.
    statement_timeout: Duration,
    idle: Mutex<Vec<Slot>>,
    /// Stops statements.
    canceller: Reserved,
    /// Looks at the database for health and metrics, also when all other connections are in use.
    observer: Reserved,
    metrics: PoolMetrics,
}

/// A connection, and the server process behind it.
pub(super) struct Slot {
    pub(super) connection: PgConnection,
    pid: i32,
    made: Instant,
    used: Instant,
    suspect: bool,
    /// Whether Postgres may have been told a shorter limit than its statements have in general.
    hurried: bool,
}

impl Slot {
    pub(super) async fn open(options: &PgConnectOptions) -> Result<Self, Error> {
        let mut connection = PgConnection::connect_with(options).await?;
        let pid = sqlx::query_scalar("SELECT pg_catalog.pg_backend_pid()").fetch_one(&mut connection).await?;
        let now = Instant::now();
        Ok(Self { connection, pid, made: now, used: now, suspect: false, hurried: false })
    }

    /// Whether statements may be sent; asks the server when there is doubt.
    pub(super) async fn is_alive(&mut self) -> bool {
        if !self.suspect && self.used.elapsed() <= TRUSTED_FOR {
            return true;
        }
        self.suspect = false;
        self.connection.ping().await.is_ok()
    }

    pub(super) fn touch(&mut self) {
        self.used = Instant::now();
    }
}

/// How a lease leaves its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Silent: others may have it.
    Ready,
    /// A statement may be under way.
    Busy,
    /// Gone.
    Dead,
}

/// A connection in use. When it is dropped, others may have it, sooner or later.
pub struct Lease {
    pool: Pool,
    slot: Option<Slot>,
    permit: Option<OwnedSemaphorePermit>,
    state: State,
}

impl Lease {
    /// The connection for a statement or a transaction; its result goes through [`Lease::finish`].
    ///
    /// Where the request has a deadline before the limit of statements, Postgres is told: should we not be able to stop the
    /// statement then, it stops by itself. Other requests do not pay for that with a round trip.
    pub async fn start(&mut self) -> Result<&mut PgConnection, Error> {
        self.state = State::Busy;
        let slot =
            self.slot.as_mut().unwrap_or_else(|| unreachable!("a lease has its connection until it ends"));
        let most = self.pool.0.statement_timeout;
        let limit = deadline::left().map_or(most, |left| most.min(left + MARGIN));
        if limit < most || slot.hurried {
            slot.hurried = true;
            sqlx::query("SELECT pg_catalog.set_config('statement_timeout', $1, false)")
                .bind(limit.as_millis().to_string())
                .execute(&mut slot.connection)
                .await?;
            slot.hurried = limit < most;
        }
        Ok(&mut slot.connection)
    }

    /// Notes what the result says about the connection.
    pub fn finish<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.state = match &result {
            Err(error) if is_dead(error) => {
                self.pool.suspect_all();
                State::Dead
            }
            _ => State::Ready,
        };
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let permit = self.permit.take();
        let Some(slot) = self.slot.take() else { return };
        match self.state {
            State::Ready => self.pool.put_back(slot),
            State::Dead => {
                self.pool.0.metrics.broken.inc();
            }
            State::Busy => {
                // Without a runtime, which happens at the very end, the connection is closed with the process.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(self.pool.clone().settle(slot, permit));
                }
            }
        }
    }
}

impl Pool {
    /// Connects when the first request needs it.
    pub fn new(
        options: PgConnectOptions,
        size: u32,
        statement_timeout: Duration,
        metrics: PoolMetrics,
    ) -> Self {
        metrics.size.set(i64::from(size));
        let (canceller, observer) = (Reserved::new(options.clone()), Reserved::new(options.clone()));
        let permits = Arc::new(Semaphore::new(size as usize));
        let idle = Mutex::default();
        Self(Arc::new(Inner {
            options,
            permits,
            size,
            statement_timeout,
            idle,
            canceller,
            observer,
            metrics,
        }))
    }

    /// A connection, or an error after [`ACQUIRE_TIMEOUT`].
    pub async fn acquire(&self) -> Result<Lease, Error> {
        let deadline = tokio::time::Instant::now() + ACQUIRE_TIMEOUT;
        let permit = match self.0.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(TryAcquireError::Closed) => return Err(Error::PoolClosed),
            Err(TryAcquireError::NoPermits) => self.wait(deadline).await?,
        };
        let mut lease = Lease { pool: self.clone(), slot: None, permit: Some(permit), state: State::Ready };
        lease.slot = self.reuse(deadline).await?;
        if lease.slot.is_some() {
            return Ok(lease);
        }
        // In a task of its own: when we have waited too long, somebody else gets what becomes of it. Otherwise, of many who
        // wait for a server to come back, each would give up just before its connection is made.
        let connected = tokio::spawn(async move {
            lease.slot = Some(lease.pool.connect().await?);
            Ok(lease)
        });
        match timeout_at(deadline, connected).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(_)) => Err(Error::WorkerCrashed),
            Err(_) => Err(Error::PoolTimedOut),
        }
    }

    async fn wait(&self, deadline: tokio::time::Instant) -> Result<OwnedSemaphorePermit, Error> {
        let metrics = &self.0.metrics;
        metrics.waits.inc();
        let (begun, _waiting) = (Instant::now(), metrics.waiting());
        let permit = timeout_at(deadline, self.0.permits.clone().acquire_owned()).await;
        metrics.wait_seconds.inc_by(begun.elapsed().as_secs_f64());
        match permit {
            Ok(permit) => permit.map_err(|_| Error::PoolClosed),
            Err(_) => {
                metrics.timeouts.inc();
                Err(Error::PoolTimedOut)
            }
        }
    }

    /// The connection that was used last, if one of those at rest lives.
    async fn reuse(&self, deadline: tokio::time::Instant) -> Result<Option<Slot>, Error> {
        loop {
            let Some(mut slot) = self.idle().pop() else { return Ok(None) };
            match timeout_at(deadline, slot.is_alive()).await {
                Ok(true) => return Ok(Some(slot)),
                Ok(false) => {
                    self.0.metrics.broken.inc();
                    self.suspect_all();
                }
                Err(_) => return Err(Error::PoolTimedOut),
            }
        }
    }

    /// A new connection; while the server is not there, or not yet, the attempt is repeated.
    async fn connect(&self) -> Result<Slot, Error> {
        let deadline = tokio::time::Instant::now() + ACQUIRE_TIMEOUT;
        let mut pause = BACKOFF.0;
        loop {
            let error = match timeout_at(deadline, Slot::open(&self.0.options)).await {
                Ok(Ok(slot)) => {
                    self.0.metrics.connects.inc();
                    return Ok(slot);
                }
                Ok(Err(error)) => error,
                Err(_) => Error::PoolTimedOut,
            };
            self.0.metrics.connect_errors.inc();
            let again = matches!(&error, Error::Io(_)) || is_dead(&error) || sqlstate(&error) == "53300";
            if !again || tokio::time::Instant::now() + pause >= deadline {
                return Err(unreachable_database(error));
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    fn put_back(&self, mut slot: Slot) {
        slot.touch();
        if self.0.permits.is_closed() || slot.made.elapsed() > MAX_AGE {
            return close(slot);
        }
        let mut idle = self.idle();
        idle.push(slot);
        // Those that have rested longest lie at the bottom.
        if idle.first().is_some_and(|slot| slot.used.elapsed() > IDLE_TIMEOUT) {
            close(idle.remove(0));
        }
    }

    /// One connection was dead: the others are asked before they are used.
    fn suspect_all(&self) {
        self.idle().iter_mut().for_each(|slot| slot.suspect = true);
    }

    /// Waits until an abandoned connection is silent, and cancels its statement if that takes long.
    async fn settle(self, mut slot: Slot, permit: Option<OwnedSemaphorePermit>) {
        let settled = async {
            if let Ok(result) = timeout(GRACE, silence(&mut slot.connection)).await {
                return result;
            }
            self.0.metrics.cancels.inc();
            self.0.canceller.cancel(slot.pid).await?;
            silence(&mut slot.connection).await
        };
        match timeout(SETTLE_TIMEOUT, settled).await {
            Ok(Ok(())) => self.put_back(slot),
            Ok(Err(error)) => {
                self.0.metrics.broken.inc();
                tracing::debug!(%error, "an abandoned connection was closed");
            }
            Err(_) => {
                self.0.metrics.broken.inc();
                tracing::warn!(
                    pid = slot.pid,
                    "an abandoned statement does not end; its connection was closed"
                );
            }
        }
        drop(permit);
    }

    /// The reserved connection for short questions about the database.
    pub fn observer(&self) -> &Reserved {
        &self.0.observer
    }

    /// Brings the gauges up to date.
    pub fn measure(&self) {
        let idle = self.idle().len() as i64;
        self.0.metrics.idle.set(idle);
        let in_use = i64::from(self.0.size) - self.0.permits.available_permits() as i64;
        self.0.metrics.in_use.set(in_use);
    }

    /// Most connections at once, those in use, and those at rest.
    pub fn usage(&self) -> (u32, u32, usize) {
        let in_use = self.0.size.saturating_sub(self.0.permits.available_permits() as u32);
        (self.0.size, in_use, self.idle().len())
    }

    /// Closes all connections once they are free.
    pub async fn close(&self) {
        let all = self.0.permits.acquire_many(self.0.size).await;
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for slot in idle {
            let _ = slot.connection.close().await;
        }
        self.0.canceller.close().await;
        self.0.observer.close().await;
        drop(all);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a connection as Postgres likes it.
fn close(slot: Slot) {
    tokio::spawn(slot.connection.close());
}

/// Waits until nothing of earlier statements is under way. Their errors come first, among them that of a cancellation.
async fn silence(connection: &mut PgConnection) -> Result<(), Error> {
    loop {
        match connection.ping().await {
            Err(error) if error.as_database_error().is_some() && !is_dead(&error) => {}
            result => return result,
        }
    }
}

/// Whether an error means that the connection is of no use any more.
pub(super) fn is_dead(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        _ => was_terminated(error),
    }
}

/// Whether the server said that it ends the session: then the statement had no effect, if it had begun at all.
pub(super) fn was_terminated(error: &Error) -> bool {
    sqlstate(error).starts_with("57P")
}

fn sqlstate(error: &Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

/// Whatever keeps us from connecting, a wrong password as well: for clients the database is not available.
pub(super) fn unreachable_database(error: Error) -> Error {
    match error {
        Error::PoolTimedOut => Error::PoolTimedOut,
        error => Error::Io(std::io::Error::other(format!("no connection to the database: {error}"))),
    }
}
