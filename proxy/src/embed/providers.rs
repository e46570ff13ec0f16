//! The file that names embedding models and says where they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::remote::{Endpoint, Remote};
use super::{Embedder, LOCAL, Provider};

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const MAX_DIMENSIONS: usize = 16_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    models: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Entry {
    Openai {
        base_url: String,
        /// Environment variable with the key; without one none is sent.
        api_key_env: Option<String>,
        /// The model's name there, if it is another one.
        model: Option<String>,
        dimensions: usize,
        /// Whether to ask for that many dimensions: only some models can be asked.
        #[serde(default)]
        send_dimensions: bool,
        #[serde(default = "first_revision")]
        revision: String,
        #[serde(default = "batch_size")]
        batch_size: usize,
        #[serde(default = "concurrency")]
        concurrency: usize,
        #[serde(default = "timeout_seconds")]
        timeout_seconds: u64,
        #[serde(default = "query_timeout_seconds")]
        query_timeout_seconds: u64,
        #[serde(default = "retries")]
        retries: u32,
        /// Failures in a row after which the provider is left alone.
        #[serde(default = "breaker_failures")]
        breaker_failures: u32,
        /// For how long.
        #[serde(default = "breaker_seconds")]
        breaker_seconds: u64,
    },
    Transformer {
        /// Folder with config.json, tokenizer.json and model.safetensors; relative to this file.
        path: PathBuf,
        #[serde(default = "first_revision")]
        revision: String,
        #[serde(default = "query_timeout_seconds")]
        query_timeout_seconds: u64,
    },
}

fn first_revision() -> String {
    "1".to_owned()
}

fn batch_size() -> usize {
    64
}

fn concurrency() -> usize {
    4
}

fn timeout_seconds() -> u64 {
    30
}

fn query_timeout_seconds() -> u64 {
    10
}

fn retries() -> u32 {
    3
}

fn breaker_failures() -> u32 {
    5
}

fn breaker_seconds() -> u64 {
    10
}

/// Reads the file, and the keys from the environment.
pub fn load(path: &Path) -> Result<BTreeMap<String, Arc<Provider>>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let key = |name: &str| std::env::var(name).ok();
    read(&text, path.parent().unwrap_or(Path::new("")), key)
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

fn read(
    text: &str,
    folder: &Path,
    key: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Arc<Provider>>> {
    let file: File = toml::from_str(text)?;
    let mut providers = BTreeMap::new();
    for (name, entry) in file.models {
        if name.is_empty() || name.chars().count() > 256 || [LOCAL, "none"].contains(&name.as_str()) {
            return Err(format!("'{name}' cannot be the name of a model").into());
        }
        let provider =
            open(&name, entry, folder, &key).map_err(|error| format!("model '{name}': {error}"))?;
        providers.insert(name, Arc::new(provider));
    }
    Ok(providers)
}

fn open(name: &str, entry: Entry, folder: &Path, key: impl Fn(&str) -> Option<String>) -> Result<Provider> {
    match entry {
        Entry::Openai {
            base_url,
            api_key_env,
            model,
            dimensions,
            send_dimensions,
            revision,
            batch_size,
            concurrency,
            timeout_seconds,
            query_timeout_seconds,
            retries,
            breaker_failures,
            breaker_seconds,
        } => {
            let within = |field: &str, value: u64, most: u64| {
                let message = format!("{field} must be from 1 to {most}");
                if (1..=most).contains(&value) { Ok(()) } else { Err(message) }
            };
            within("dimensions", dimensions as u64, MAX_DIMENSIONS as u64)?;
            within("batch_size", batch_size as u64, 2048)?;
            within("concurrency", concurrency as u64, 256)?;
            within("timeout_seconds", timeout_seconds, 600)?;
            within("query_timeout_seconds", query_timeout_seconds, 600)?;
            within("breaker_failures", breaker_failures.into(), 1000)?;
            within("breaker_seconds", breaker_seconds, 3600)?;
            if retries > 10 {
                return Err("retries must be from 0 to 10".into());
            }
            let api_key = match api_key_env {
                None => None,
                Some(name) => {
                    Some(key(&name).ok_or_else(|| format!("the environment variable {name} is not set"))?)
                }
            };
            let remote = Remote::new(Endpoint {
                base_url,
                api_key,
                model: model.unwrap_or_else(|| name.to_owned()),
                dimensions,
                send_dimensions,
                batch_size,
                concurrency,
                timeout: Duration::from_secs(timeout_seconds),
                retries,
                breaker_failures,
                breaker_pause: Duration::from_secs(breaker_seconds),
            })?;
            Ok(Provider {
                name: name.to_owned(),
                revision,
                dimensions,
                query_timeout: Duration::from_secs(query_timeout_seconds),
                embedder: Embedder::Remote(Box::new(remote)),
            })
        }
        #[cfg(feature = "transformer")]
        Entry::Transformer { path, revision, query_timeout_seconds } => {
            let transformer = super::transformer::Transformer::open(&folder.join(path))?;
            Ok(Provider {
                name: name.to_owned(),
                revision,
                dimensions: transformer.dimensions(),
                query_timeout: Duration::from_secs(query_timeout_seconds),
                embedder: Embedder::Transformer(transformer),
            })
        }
        #[cfg(not(feature = "transformer"))]
        Entry::Transformer { path, revision, query_timeout_seconds } => {
            let folder = folder.join(path);
            let _ = (revision, query_timeout_seconds);
            Err(format!("{}: this build has no transformers (feature 'transformer')", folder.display())
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let key = |name: &str| (name == "KEY").then(|| "secret".to_owned());
        match read(text, Path::new(""), key) {
            Ok(providers) => panic!("{:?} are accepted", providers.keys()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_model_needs_little() {
        let text = "[models.\"text-embedding-3-small\"]\nkind = \"openai\"\nbase_url = \"http://localhost:1/v1\"\ndimensions = 8\napi_key_env = \"KEY\"";
        let providers = read(text, Path::new(""), |_| Some("secret".into())).unwrap();
        let provider = &providers["text-embedding-3-small"];
        assert_eq!((provider.dimensions, provider.revision.as_str()), (8, "1"));
        assert_eq!(provider.query_timeout, Duration::from_secs(10));
        assert!(read("", Path::new(""), |_| None).unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        let with = |more: &str| {
            format!("[models.m]\nkind = \"openai\"\nbase_url = \"http://localhost:1/v1\"\n{more}")
        };
        assert!(message("[models.m]\nkind = \"cohere\"").contains("cohere"));
        assert!(message(&with("")).contains("dimensions"));
        assert!(message(&with("dimensions = 0")).contains("model 'm': dimensions must be from 1 to 16000"));
        assert!(message(&with("dimensions = 8\ncolour = 1")).contains("colour"));
        assert!(message(&with("dimensions = 8\nretries = 11")).contains("retries"));
        assert!(message(&with("dimensions = 8\napi_key_env = \"NONE\"")).contains("NONE is not set"));
        assert!(message(&with("dimensions = 8").replace("http:", "ftp:")).contains("base_url"));
        assert!(message(&with("dimensions = 8").replace("models.m", "models.local")).contains("'local'"));
    }
}
