//! Attaching files to a vector store: requests do the work themselves, for as long as their clients shall wait.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::auth::ApiKey;
use crate::db::{Attachment, NewStore, Raw};
use crate::error::{Error, Result};
use crate::extract::{MAX_ID_CHARS, StoreId};
use crate::fields::{Fields, missing};
use crate::ingest::Strategy;
use crate::metadata::{self, Values};
use crate::state::AppState;
use crate::worker::{work_for_request, work_for_store};

/// Most files of a batch.
const MAX_BATCH: usize = 2000;

/// Tasks that work on the files of a request.
const TASKS: usize = 2;

/// Reads a file with settings of its own.
pub fn read_file<'a>(fields: &Fields<'a>) -> Result<Attachment<'a>> {
    Ok(Attachment {
        file_id: not_empty(
            || fields.path("file_id"),
            fields.required("file_id", fields.string("file_id", MAX_ID_CHARS)?)?,
        )?,
        attributes: read_attributes(fields)?,
        chunking_strategy: Strategy::read(fields)?.to_json(),
    })
}

/// A file of a batch that does not exist is listed with its id, which has to work as a cursor.
fn not_empty(path: impl FnOnce() -> String, id: &str) -> Result<&str> {
    if !id.is_empty() {
        return Ok(id);
    }
    let path = path();
    let message = format!("Invalid '{path}': an empty string is not the id of a file.");
    Err(Error::invalid("invalid_value", path, message))
}

/// Reads `file_ids`, and the settings that they share.
pub fn read_ids<'a>(fields: &Fields<'a>, min: usize, max: usize) -> Result<Option<Vec<Attachment<'a>>>> {
    let ids = fields.strings("file_ids", min, max, MAX_ID_CHARS)?;
    for (at, id) in ids.iter().flatten().enumerate() {
        not_empty(|| format!("{}[{at}]", fields.path("file_ids")), id)?;
    }
    let strategy = Strategy::read(fields)?.to_json();
    Ok(ids.map(|ids| {
        let file =
            |file_id| Attachment { file_id, attributes: json!({}), chunking_strategy: strategy.clone() };
        ids.into_iter().map(file).collect()
    }))
}

/// Reads the files of a batch: `file_ids` that share their settings, or `files` with their own.
pub fn read_batch<'a>(fields: &Fields<'a>) -> Result<Vec<Attachment<'a>>> {
    let attributes = read_attributes(fields)?;
    let ids = read_ids(fields, 1, MAX_BATCH)?;
    match (ids, fields.array("files", 1, MAX_BATCH)?) {
        (Some(_), Some(_)) => {
            let message =
                "The parameters 'file_ids' and 'files' are mutually exclusive. Please give one of them.";
            Err(Error::invalid("mutually_exclusive_parameters", "files", message))
        }
        (Some(mut ids), None) => {
            ids.iter_mut().for_each(|file| file.attributes.clone_from(&attributes));
            Ok(ids)
        }
        (None, Some(files)) => files
            .iter()
            .enumerate()
            .map(|(at, file)| read_file(&Fields::of(file, format!("files[{at}]"))?))
            .collect(),
        (None, None) => Err(missing("file_ids")),
    }
}

fn read_attributes(fields: &Fields<'_>) -> Result<Value> {
    let attributes = metadata::read(fields, "attributes", Values::Scalars)?;
    Ok(attributes.cloned().unwrap_or_else(|| json!({})))
}

/// Attaches one file.
pub async fn file(state: &AppState, key: &ApiKey, store: &StoreId, file: &Attachment<'_>) -> Result<Raw> {
    let wait = Wait::begin(state);
    let (models, workers) = (require_models(state)?, state.workers());
    let (body, job) =
        state.db().attach_file(store, key, file, &models, workers.name(), state.lease_seconds()).await?;
    if let Some(job) = job {
        wait.for_tasks([tokio::spawn(work_for_request(state.clone(), job))]).await;
    } else if !is_in_progress(&body)? {
        return Ok(body);
    }
    wait.until_done(state, key, store, Target::File(file.file_id)).await
}

/// Creates a store with its first files.
pub async fn new_store(state: &AppState, key: &ApiKey, new: &NewStore<'_>) -> Result<Raw> {
    let wait = Wait::begin(state);
    if !new.files.is_empty() {
        require_models(state)?;
    }
    let body = state.db().create_store(key, new).await?;
    if new.files.is_empty() || !is_in_progress(&body)? {
        return Ok(body);
    }
    let store = StoreId::new(text(&parse(&body)?, "id")?);
    wait.work(state, store.number).await;
    wait.until_done(state, key, &store, Target::Store).await
}

/// Attaches a batch of files.
pub async fn batch(state: &AppState, key: &ApiKey, store: &StoreId, files: &[Attachment<'_>]) -> Result<Raw> {
    let wait = Wait::begin(state);
    let body = state.db().create_batch(store, key, files, &require_models(state)?).await?;
    if !is_in_progress(&body)? {
        return Ok(body);
    }
    let batch = text(&parse(&body)?, "id")?;
    wait.work(state, store.number).await;
    wait.until_done(state, key, store, Target::Batch(&batch)).await
}

fn require_models(state: &AppState) -> Result<Vec<&str>> {
    let models = state.models();
    if models.is_empty() {
        return Err(Error::Unavailable("no embedding model is configured".into()));
    }
    Ok(models)
}

/// The time that a client waits.
struct Wait {
    deadline: Instant,
}

impl Wait {
    fn begin(state: &AppState) -> Self {
        Self { deadline: Instant::now() + Duration::from_secs(state.config().ingest_wait.into()) }
    }

    /// Waits for tasks, which go on when the time is over.
    async fn for_tasks(&self, tasks: impl IntoIterator<Item = tokio::task::JoinHandle<()>>) {
        for task in tasks {
            let _ = timeout_at(self.deadline, task).await;
        }
    }

    /// Works on the files of a store, together with the workers.
    async fn work(&self, state: &AppState, store: i64) {
        state.workers().wake();
        let deadline = self.deadline;
        let tasks = [(); TASKS]
            .map(|()| tokio::spawn(work_for_store(state.clone(), store, move || Instant::now() >= deadline)));
        self.for_tasks(tasks).await;
    }

    /// Waits while something is in progress: others work on it, or it is to be tried again.
    async fn until_done(
        &self,
        state: &AppState,
        key: &ApiKey,
        store: &StoreId,
        target: Target<'_>,
    ) -> Result<Raw> {
        let mut pause = Duration::from_millis(20);
        loop {
            let body = match target {
                Target::File(file) => match state.db().look_at_store_file(store, key, file).await {
                    Err(error) if error.status() == StatusCode::NOT_FOUND => {
                        return Err(expired(state, key, store).await.unwrap_or(error));
                    }
                    found => found?,
                },
                Target::Batch(batch) => state.db().look_at_batch(store, key, batch).await?,
                Target::Store => state.db().look_at_store(store, key).await?,
            };
            if Instant::now() + pause >= self.deadline || !is_in_progress(&body)? {
                return Ok(body);
            }
            sleep(pause).await;
            pause = (2 * pause).min(Duration::from_millis(250));
        }
    }
}

/// Why a file that was attached a moment ago is gone, if it is because its store has expired meanwhile.
async fn expired(state: &AppState, key: &ApiKey, store: &StoreId) -> Option<Error> {
    let store_now = parse(&state.db().get_store(store, key).await.ok()?).ok()?;
    let message = || format!("Vector store '{}' has expired.", store.text);
    (store_now["status"] == "expired").then(|| Error::plain(StatusCode::BAD_REQUEST, message()))
}

/// What a request waits for and answers.
#[derive(Clone, Copy)]
enum Target<'a> {
    File(&'a str),
    Batch(&'a str),
    Store,
}

fn is_in_progress(body: &Raw) -> Result<bool> {
    Ok(parse(body)?["status"] == "in_progress")
}

fn parse(body: &Raw) -> Result<Value> {
    serde_json::from_str(body.0.get()).map_err(|error| Error::Internal(error.to_string()))
}

fn text(object: &Value, name: &str) -> Result<String> {
    let text = object[name].as_str().map(str::to_owned);
    text.ok_or_else(|| Error::Internal(format!("the database's answer has no '{name}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Id, attributes and tokens of a chunk of each file, or code and parameter of the error.
    type Read = Result<Vec<(String, Value, Value)>, (String, String)>;

    fn read(body: Value) -> Read {
        let error = |error: Error| {
            let error = error.body("r")["error"].clone();
            (error["code"].as_str().unwrap().to_owned(), error["param"].as_str().unwrap().to_owned())
        };
        let files = read_batch(&Fields::root(body.as_object().unwrap())).map_err(error)?;
        let size = |strategy: &Value| strategy["static"]["max_chunk_size_tokens"].clone();
        Ok(files
            .into_iter()
            .map(|file| (file.file_id.to_owned(), file.attributes, size(&file.chunking_strategy)))
            .collect())
    }

    #[test]
    fn ids_share_their_settings_and_files_have_their_own() {
        let small =
            json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}});
        let shared = json!({"file_ids": ["a", "b"], "attributes": {"k": 1}, "chunking_strategy": small});
        let one = |id: &str| (id.to_owned(), json!({"k": 1}), json!(100));
        assert_eq!(read(shared).unwrap(), [one("a"), one("b")]);
        let own = json!({
            "files": [{"file_id": "a", "attributes": {"k": 1}, "chunking_strategy": small}, {"file_id": "b"}],
            "attributes": {"ignored": true}, "chunking_strategy": {"type": "auto"}, "file_ids": null,
        });
        assert_eq!(read(own).unwrap(), [one("a"), ("b".to_owned(), json!({}), json!(800))]);
    }

    #[test]
    fn a_batch_has_files_in_one_form() {
        let ids = |n: usize| json!({"file_ids": vec!["a"; n]});
        assert_eq!(read(ids(2000)).unwrap().len(), 2000);
        let files = vec![json!({"file_id": "a"}); 2001];
        for (body, code, param) in [
            (json!({}), "missing_required_parameter", "file_ids"),
            (ids(0), "empty_array", "file_ids"),
            (ids(2001), "array_above_max_length", "file_ids"),
            (json!({"files": []}), "empty_array", "files"),
            (json!({"files": files}), "array_above_max_length", "files"),
            (
                json!({"files": [{"file_id": "a"}], "file_ids": ["a"]}),
                "mutually_exclusive_parameters",
                "files",
            ),
            (
                json!({"files": [{"file_id": "a"}, {"attributes": {}}]}),
                "missing_required_parameter",
                "files[1].file_id",
            ),
            (json!({"files": ["a"]}), "invalid_type", "files[0]"),
            (
                json!({"files": [{"file_id": "a", "attributes": {"k": []}}]}),
                "invalid_type",
                "files[0].attributes.k",
            ),
            (
                json!({"file_ids": ["a"], "chunking_strategy": {"type": "x"}}),
                "invalid_value",
                "chunking_strategy.type",
            ),
        ] {
            assert_eq!(read(body.clone()), Err((code.to_owned(), param.to_owned())), "{body}");
        }
    }
}
