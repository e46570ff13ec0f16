//! Attaching files, and the jobs that read them.

use pgvector::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::{Db, Raw, call, effect, read};
use crate::auth::ApiKey;
use crate::error::Result;
use crate::extract::StoreId;

/// A file to be attached to a store.
#[derive(Serialize)]
pub struct Attachment<'a> {
    /// Its id.
    pub file_id: &'a str,
    /// Checked attributes.
    pub attributes: Value,
    /// How it is cut.
    pub chunking_strategy: Value,
}

/// A file of a store that is to be read, and the lease that allows it.
#[derive(Debug, Deserialize)]
pub struct Job {
    /// Number of the store.
    pub store_id: i64,
    /// Id of the file.
    pub file_id: String,
    /// What proves that the job is ours.
    pub lease: String,
    /// How often it has been tried, this time included.
    pub attempt: u32,
    /// Name of the file.
    pub filename: String,
    /// Its size.
    pub bytes: u64,
    /// Number of its parts.
    pub parts: i32,
    /// How it is to be cut.
    pub chunking_strategy: Value,
    /// Model of the store's vectors.
    pub embedding_model: String,
    /// Their dimensions.
    pub dimensions: i32,
    /// Seconds between its creation and now; of an older extension nothing.
    #[serde(default)]
    pub waited: f64,
}

/// What the database says of a file that is being attached.
#[derive(Deserialize)]
struct Attached {
    file: Box<RawValue>,
    job: Option<Job>,
}

impl Attached {
    fn answer(body: &Json<Self>) -> &RawValue {
        &body.0.file
    }
}

impl Db {
    /// Attaches a file; unless there is nothing to do, the job is leased to this worker for so many seconds.
    pub async fn attach_file(
        &self,
        store: &StoreId,
        key: &ApiKey,
        file: &Attachment<'_>,
        models: &[&str],
        worker: &str,
        seconds: i32,
    ) -> Result<(Raw, Option<Job>)> {
        let Json(attached) = effect!(
            self,
            answer: Attached::answer,
            "SELECT vectorstore.api_attach_file($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            store.number,
            &store.text,
            key.credential(),
            file.file_id,
            Json(&file.attributes),
            Json(&file.chunking_strategy),
            models,
            worker,
            seconds,
        )?;
        Ok((Raw(attached.file), attached.job))
    }

    /// Leases at most `max` jobs, of all stores or of one.
    pub async fn claim_jobs(
        &self,
        worker: &str,
        max: i32,
        seconds: i32,
        models: &[&str],
        store: Option<i64>,
    ) -> Result<Vec<Job>> {
        let Json(jobs) = call!(
            self,
            "SELECT vectorstore.api_claim_jobs($1, $2, $3, $4, $5)",
            worker,
            max,
            seconds,
            models,
            store,
        )?;
        Ok(jobs)
    }

    /// Renews a lease; false when it is lost.
    pub async fn heartbeat_job(&self, job: &Job, seconds: i32) -> Result<bool> {
        call!(
            self,
            "SELECT vectorstore.api_heartbeat_job($1, $2, $3, $4)",
            job.store_id,
            &job.file_id,
            &job.lease,
            seconds,
        )
    }

    /// Gives a job back, for anybody to take at once; false when the lease is lost.
    pub async fn release_job(&self, job: &Job) -> Result<bool> {
        call!(self, "SELECT vectorstore.api_release_job($1, $2, $3)", job.store_id, &job.file_id, &job.lease,)
    }

    /// One part of the file; nothing when the lease is lost.
    pub async fn read_job_part(&self, job: &Job, part: i32) -> Result<Option<Vec<u8>>> {
        read!(
            self,
            "SELECT vectorstore.api_read_job_part($1, $2, $3, $4)",
            job.store_id,
            &job.file_id,
            &job.lease,
            part,
        )
    }

    /// Makes the file searchable; false when the lease is lost.
    pub async fn finish_job(
        &self,
        job: &Job,
        text: &str,
        chunks: &[String],
        embeddings: &[Vector],
    ) -> Result<bool> {
        call!(
            self,
            "SELECT vectorstore.api_finish_job($1, $2, $3, $4, $5, $6)",
            job.store_id,
            &job.file_id,
            &job.lease,
            text,
            chunks,
            embeddings,
        )
    }

    /// Says why the file could not be read, and when to try again, if that may help; false when the lease is lost.
    pub async fn fail_job(
        &self,
        job: &Job,
        code: &str,
        message: &str,
        retry_seconds: Option<f64>,
    ) -> Result<bool> {
        call!(
            self,
            "SELECT vectorstore.api_fail_job($1, $2, $3, $4, $5, $6)",
            job.store_id,
            &job.file_id,
            &job.lease,
            code,
            message,
            retry_seconds,
        )
    }

    /// Deletes a part of what has expired; 0 when nothing is left, or somebody else is at it.
    pub async fn sweep_expired(&self) -> Result<i64> {
        call!(self, "SELECT vectorstore.api_sweep_expired()")
    }
}
