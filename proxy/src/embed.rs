//! Vectors of texts: by the local model, by a transformer on this machine, or by any OpenAI-compatible endpoint.

mod breaker;
mod cache;
mod providers;
mod remote;
mod stores;
#[cfg(feature = "transformer")]
mod transformer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgvector::Vector;
use vectorstore_core::model::Model;

pub use breaker::Condition;
pub use cache::{Cache, Entry, keep};
pub use remote::Remote;
pub use stores::{charge, fill_in, model_of};
#[cfg(feature = "transformer")]
pub use transformer::Transformer;

use crate::error::{Error, Result};
use crate::state::AppState;

/// The name of the model that every server has.
pub const LOCAL: &str = "local";

/// Why a text has no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The provider does not answer, or is too busy; trying again later may help.
    #[error("the embedding provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider does not want this text; trying again cannot help.
    #[error("the embedding provider refused the input: {0}")]
    Refused(String),
    /// The provider answers, but not us (a wrong key, say), or not what it should (other dimensions, say).
    #[error("the embedding provider is not configured rightly: {0}")]
    Unusable(String),
}

impl From<EmbedError> for Error {
    fn from(error: EmbedError) -> Self {
        match &error {
            EmbedError::Unavailable(_) => Self::Unavailable(error.to_string()),
            EmbedError::Refused(_) => {
                Self::invalid("invalid_value", "input", "The embedding model does not accept this text.")
            }
            EmbedError::Unusable(_) => Self::Internal(error.to_string()),
        }
    }
}

/// What turns texts into vectors.
pub enum Embedder {
    /// The static model that ships with the product: microseconds a text.
    Local(Arc<Model>),
    /// An OpenAI-compatible endpoint.
    Remote(Box<Remote>),
    /// A transformer that runs in this process.
    #[cfg(feature = "transformer")]
    Transformer(Transformer),
}

/// An embedding model under the name that stores and requests use.
pub struct Provider {
    /// That name.
    pub name: String,
    /// Changes whenever the same text gets another vector.
    pub revision: String,
    /// Dimensions of its vectors.
    pub dimensions: usize,
    /// How long a search waits for the vector of its query.
    pub query_timeout: Duration,
    embedder: Embedder,
}

/// All models of this server.
#[derive(Default)]
pub struct Providers {
    local: Option<Arc<Provider>>,
    named: BTreeMap<String, Arc<Provider>>,
}

impl Providers {
    /// The local model, and those that the file describes.
    pub fn open(
        model: Option<&Arc<Model>>,
        file: Option<&Path>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let local = model.map(|model| {
            Arc::new(Provider {
                name: LOCAL.to_owned(),
                revision: String::new(),
                dimensions: model.dimensions(),
                query_timeout: Duration::MAX,
                embedder: Embedder::Local(model.clone()),
            })
        });
        let named = file.map(providers::load).transpose()?.unwrap_or_default();
        if let Some(name) = model.map(|model| model.name()).filter(|name| named.contains_key(*name)) {
            return Err(
                format!("the model '{name}' of the providers' file is the name of the local model").into()
            );
        }
        Ok(Self { local, named })
    }

    /// Whether there are models besides the local one.
    pub fn any_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// The model with this name, which for the local one may also be its own.
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        let is_local =
            || name == LOCAL || self.local.as_ref().is_some_and(|local| local.own_name() == Some(name));
        self.named.get(name).or_else(|| self.local.as_ref().filter(|_| is_local()))
    }

    /// The circuit breakers of those that are elsewhere.
    pub fn breakers(&self) -> impl Iterator<Item = (&str, Condition)> {
        self.named.iter().filter_map(|(name, provider)| match &provider.embedder {
            Embedder::Remote(remote) => Some((name.as_str(), remote.condition())),
            _ => None,
        })
    }

    /// Every name that [`Providers::get`] knows.
    pub fn names(&self) -> Vec<&str> {
        let local = self.local.iter().flat_map(|local| [Some(LOCAL), local.own_name()]).flatten();
        local.chain(self.named.keys().map(String::as_str)).collect()
    }

    /// The names that stores have for these models.
    pub fn stored_names(&self) -> Vec<&str> {
        self.local.iter().map(|_| LOCAL).chain(self.named.keys().map(String::as_str)).collect()
    }

    /// The model, or an error that names the ones there are.
    pub fn require(&self, name: &str, param: &'static str) -> Result<&Arc<Provider>> {
        self.get(name).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            let known = self.names().iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
            let message = format!("The model '{shown}' does not exist. Available models are: {known}.");
            Error::invalid("model_not_found", param, message)
        })
    }
}

impl Provider {
    /// The model's own name, for the local one.
    pub fn own_name(&self) -> Option<&str> {
        match &self.embedder {
            Embedder::Local(model) => Some(model.name()),
            _ => None,
        }
    }

    /// Refuses other dimensions than the model's, if any are wanted.
    pub fn check_dimensions(&self, wanted: Option<i64>) -> Result<()> {
        let own = self.dimensions as i64;
        if wanted.is_none_or(|wanted| wanted == own) {
            return Ok(());
        }
        let message =
            format!("Invalid 'dimensions': the model has {own} dimensions, and no other number is possible.");
        Err(Error::invalid("invalid_value", "dimensions", message))
    }

    /// Whether the database can compute its vectors, too.
    pub fn is_local(&self) -> bool {
        matches!(self.embedder, Embedder::Local(_))
    }

    /// The vectors of texts, in their order. A vector may be all zeros: such a text has no meaning to the model.
    pub async fn embed(&self, state: &AppState, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        let failed = |error: Error| EmbedError::Unavailable(error.to_string());
        match &self.embedder {
            Embedder::Local(model) => {
                let model = model.clone();
                let work = move || texts.iter().map(|text| Vector::from(model.embed(text))).collect();
                state.compute(work).await.map_err(failed)
            }
            Embedder::Remote(remote) => {
                cache::embed(state, self, texts, |missing| remote.embed(missing)).await
            }
            #[cfg(feature = "transformer")]
            Embedder::Transformer(transformer) => {
                let compute = |missing| async {
                    let transformer = transformer.clone();
                    let work = move || transformer.embed(missing);
                    state.compute(work).await.map_err(failed)?
                };
                cache::embed(state, self, texts, compute).await
            }
        }
    }

    /// The same for a query, which a user waits for.
    pub async fn embed_query(&self, state: &AppState, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        match tokio::time::timeout(self.query_timeout, self.embed(state, texts)).await {
            Ok(result) => result,
            Err(_) => {
                if let Embedder::Remote(remote) = &self.embedder {
                    remote.too_slow();
                }
                Err(EmbedError::Unavailable(format!("no answer within {:?}", self.query_timeout)))
            }
        }
    }
}
