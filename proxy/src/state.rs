//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;
use vectorstore_core::model::Model;

use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::worker::Workers;

/// Shared state; cloning it is cheap.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    config: Config,
    db: Db,
    model: Option<Arc<Model>>,
    stopping: AtomicBool,
    processors: Arc<Semaphore>,
    workers: Workers,
}

impl AppState {
    /// Opens the model and prepares the pool. The database itself need not be up: until it is, requests answer 503.
    pub fn connect(config: Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let db = Db::connect_lazy(&config)?;
        let model = match &config.model_path {
            Some(path) => Some(Arc::new(
                Model::open(path)
                    .map_err(|error| format!("the model in {} cannot be opened: {error}", path.display()))?,
            )),
            None => None,
        };
        let processors = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
        Ok(Self(Arc::new(Inner {
            config,
            db,
            model,
            stopping: AtomicBool::new(false),
            processors: Arc::new(Semaphore::new(processors)),
            workers: Workers::new(processors),
        })))
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The local model, if there is one.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.0.model.as_ref()
    }

    /// Names of the embedding models whose stores take files.
    pub fn models(&self) -> Vec<&str> {
        self.model().map(|_| "local").into_iter().collect()
    }

    /// Those who work on jobs.
    pub fn workers(&self) -> &Workers {
        &self.0.workers
    }

    /// How long a job belongs to whoever took it, unless they say that they still work on it.
    pub fn lease_seconds(&self) -> i32 {
        self.0.config.ingest_lease as i32
    }

    /// From now on `/ready` answers 503, and no job is taken from the queue.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.workers.drain();
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// Runs heavy work (decoding, chunking, embedding) on a thread of its own, no more of them at once than there are
    /// processors: more would only multiply the memory in use.
    pub async fn compute<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let permit = self
            .0
            .processors
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| Error::Internal(error.to_string()))?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        task.await.map_err(|error| Error::Internal(format!("a computation ended early: {error}")))
    }
}
