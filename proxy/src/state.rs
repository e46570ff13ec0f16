//! What all requests share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use vectorstore_core::model::Model;

use crate::account::Notes;
use crate::config::Config;
use crate::db::Db;
use crate::debounce::Debounce;
use crate::embed::{Cache, Providers};
use crate::error::{Error, Result};
use crate::extract::StoreId;
use crate::ingest::extract::Extractor;
use crate::metrics::Metrics;
use crate::worker::Workers;

/// Stores whose model is remembered.
const MAX_STORE_MODELS: usize = 100_000;

/// Shared state; cloning it is cheap.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

struct Inner {
    config: Config,
    db: Db,
    model: Option<Arc<Model>>,
    providers: Providers,
    cache: Cache,
    store_models: Mutex<HashMap<String, Arc<str>>>,
    stopping: AtomicBool,
    processors: Arc<Semaphore>,
    workers: Workers,
    extractor: Extractor,
    notes: Notes,
    metrics: Metrics,
    complaints: Debounce,
}

impl AppState {
    /// Opens the model and prepares the pool. The database itself need not be up: until it is, requests answer 503.
    pub fn connect(config: Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let metrics = Metrics::default();
        let db = Db::connect_lazy(&config, metrics.pool.clone())?;
        let model = match &config.model_path {
            Some(path) => Some(Arc::new(
                Model::open(path)
                    .map_err(|error| format!("the model in {} cannot be opened: {error}", path.display()))?,
            )),
            None => None,
        };
        let providers = Providers::open(model.as_ref(), config.providers.as_deref())?;
        let processors = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
        let workers = Workers::new(processors);
        let processors = Arc::new(Semaphore::new(processors));
        let extractor = Extractor::new(
            u64::from(config.extract_memory) * 1024 * 1024,
            Duration::from_secs(config.extract_seconds.into()),
            processors.clone(),
        );
        Ok(Self(Arc::new(Inner {
            config,
            db,
            model,
            providers,
            cache: Cache::default(),
            store_models: Mutex::default(),
            stopping: AtomicBool::new(false),
            processors,
            workers,
            extractor,
            notes: Notes::default(),
            metrics,
            complaints: Debounce::default(),
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
        self.providers().stored_names()
    }

    /// Those who work on jobs.
    pub fn workers(&self) -> &Workers {
        &self.0.workers
    }

    /// How long a job belongs to whoever took it, unless they say that they still work on it.
    pub fn lease_seconds(&self) -> i32 {
        self.0.config.ingest_lease as i32
    }

    /// All embedding models.
    pub fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// Hits of the embedding cache that are not written yet.
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// The embedding model of a store, if it was asked for before. It never changes, and no id is used twice.
    pub fn store_model(&self, store: &StoreId) -> Option<Arc<str>> {
        let models = self.0.store_models.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(&store.text).cloned()
    }

    /// Remembers a store's model.
    pub fn remember_store_model(&self, store: &StoreId, model: &str) -> Arc<str> {
        let mut models = self.0.store_models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= MAX_STORE_MODELS {
            // Rather than a list of who was last: it costs each store one more question.
            models.clear();
        }
        let model: Arc<str> = Arc::from(model);
        models.insert(store.text.clone(), model.clone());
        model
    }

    /// Requests that the statistics do not know of yet.
    pub fn notes(&self) -> &Notes {
        &self.0.notes
    }

    /// How documents are read.
    pub fn extractor(&self) -> &Extractor {
        &self.0.extractor
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What is said of requests that found the database away or busy.
    pub fn complaints(&self) -> &Debounce {
        &self.0.complaints
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
