//! Works on jobs: under a lease that is renewed meanwhile, and given back when this process stops.
//!
//! Two kinds of tasks do that. Requests work on the files that they attach, and go on after they have been answered.
//! The tasks of [`start`] take what else there is: what other processes left, what is to be tried again, and what
//! requests had no time for.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::sleep;

use crate::db::Job;
use crate::error::{Error, Result};
use crate::ingest::stages::{Stage, Stages};
use crate::ingest::{Stop, ingest};
use crate::state::AppState;

/// How often an idle worker asks for jobs, give or take a half.
const POLL: Duration = Duration::from_secs(1);

/// Longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a job that has been begun may go on after the stop signal.
const GRACE: Duration = Duration::from_secs(1);

/// How long giving back may take.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// How far this process is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// Only requests in flight still do work.
    Draining,
    /// Nobody does.
    Ending,
}

/// What workers and requests share.
pub struct Workers {
    name: String,
    wake: Notify,
    phase: watch::Sender<Phase>,
    busy: watch::Sender<usize>,
    requests: Semaphore,
}

impl Workers {
    /// As many requests as this work on files at once; the others wait for their turn.
    pub fn new(requests: usize) -> Self {
        Self {
            name: format!("{}-{:08x}", std::process::id(), random_bits()),
            wake: Notify::new(),
            phase: watch::Sender::new(Phase::Running),
            busy: watch::Sender::new(0),
            requests: Semaphore::new(requests),
        }
    }

    /// What jobs say of who works on them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// There are new jobs.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes no more jobs from the queue, and gives back those that take long.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Gives back all jobs.
    pub async fn end(&self) {
        self.phase.send_replace(Phase::Ending);
        let mut busy = self.busy.subscribe();
        if tokio::time::timeout(GIVING_BACK, busy.wait_for(|busy| *busy == 0)).await.is_err() {
            tracing::warn!("jobs could not be given back; others take them when their leases end");
        }
    }

    /// How many tasks work on jobs, or look for one.
    pub fn busy(&self) -> usize {
        *self.busy.borrow()
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives as long as we do.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    fn has_reached(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }

    /// Counts as busy until the guard is dropped.
    fn begin(&self) -> Busy<'_> {
        self.busy.send_modify(|busy| *busy += 1);
        Busy(self)
    }
}

struct Busy<'a>(&'a Workers);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

/// Starts the workers, and whoever sweeps what has expired. They end by themselves when told to drain.
pub fn start(state: &AppState) {
    for _ in 0..state.config().ingest_workers {
        tokio::spawn(take_jobs(state.clone()));
    }
    if state.config().ingest_workers > 0 {
        tokio::spawn(sweep(state.clone()));
    }
}

async fn take_jobs(state: AppState) {
    let workers = state.workers();
    let mut failures = 0;
    while !workers.has_reached(Phase::Draining) {
        // From before the question on: what it brings must be given back too.
        let busy = workers.begin();
        match claim(&state, None).await {
            Ok(Some(job)) => {
                failures = 0;
                // Where one was, there may be more.
                workers.wake();
                let stop = async {
                    workers.reached(Phase::Draining).await;
                    sleep(GRACE).await;
                };
                work(&state, &job, attempt(&state, &job), stop).await;
                continue;
            }
            Ok(None) => failures = 0,
            Err(error) => {
                tracing::warn!(%error, "no jobs could be fetched");
                failures += 1;
            }
        }
        drop(busy);
        let pause = if failures == 0 { POLL.mul_f64(0.5 + random()) } else { pause_after(failures) };
        tokio::select! {
            () = workers.wake.notified(), if failures == 0 => {}
            () = sleep(pause) => {}
            () = workers.reached(Phase::Draining) => {}
        }
    }
}

async fn sweep(state: AppState) {
    let interval = Duration::from_secs(state.config().sweep_interval.into());
    loop {
        tokio::select! {
            () = sleep(interval.mul_f64(0.75 + random() / 2.0)) => {}
            () = state.workers().reached(Phase::Draining) => return,
        }
        while !state.workers().has_reached(Phase::Draining) {
            match state.db().sweep_expired().await {
                Ok(0) => break,
                Ok(rows) => tracing::info!(rows, "swept what has expired"),
                Err(error) => {
                    tracing::warn!(%error, "what has expired could not be swept");
                    break;
                }
            }
        }
    }
}

/// Takes one job, of any store or of this one.
async fn claim(state: &AppState, store: Option<i64>) -> Result<Option<Job>> {
    let models = state.models();
    let jobs =
        state.db().claim_jobs(state.workers().name(), 1, state.lease_seconds(), &models, store).await?;
    Ok(jobs.into_iter().next())
}

/// Works on a job that a request attached, when it is its turn.
pub async fn work_for_request(state: AppState, job: Job) {
    let _busy = state.workers().begin();
    let in_turn = async {
        let _turn = state.workers().requests.acquire().await;
        attempt(&state, &job).await;
    };
    work(&state, &job, in_turn, state.workers().reached(Phase::Ending)).await;
}

/// Works on the jobs of a store until there are none or `enough` says so.
pub async fn work_for_store(state: AppState, store: i64, enough: impl Fn() -> bool) {
    let workers = state.workers();
    loop {
        let _turn = workers.requests.acquire().await;
        if enough() || workers.has_reached(Phase::Ending) {
            return;
        }
        let _busy = workers.begin();
        match claim(&state, Some(store)).await {
            Ok(Some(job)) => {
                work(&state, &job, attempt(&state, &job), workers.reached(Phase::Ending)).await;
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "no jobs could be fetched");
                return;
            }
        }
    }
}

/// Does the work as long as the lease lasts, or gives the job back when told to stop.
async fn work(state: &AppState, job: &Job, work: impl Future<Output = ()>, stop: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = keep_lease(state, job) => tracing::info!(file = job.file_id, "the lease of a job was lost"),
        () = stop => match state.db().release_job(job).await {
            Ok(given_back) => tracing::info!(file = job.file_id, given_back, "a job was given back"),
            Err(error) => tracing::warn!(file = job.file_id, %error, "a job could not be given back"),
        },
    }
}

/// Renews the lease; returns when it is lost.
async fn keep_lease(state: &AppState, job: &Job) {
    let seconds = state.lease_seconds();
    loop {
        sleep(Duration::from_secs(seconds as u64) / 3).await;
        match state.db().heartbeat_job(job, seconds).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(file = job.file_id, %error, "a lease could not be renewed"),
        }
    }
}

async fn attempt(state: &AppState, job: &Job) {
    let mut stages = Stages::begin();
    let mut result = "completed";
    let written = match ingest(state, job, &mut stages).await {
        Ok(prepared) => {
            let done =
                state.db().finish_job(job, &prepared.text, &prepared.chunks, &prepared.embeddings).await;
            stages.end(Stage::Store);
            if let Ok(true) = done {
                stages.log(job, prepared.chunks.len());
            }
            done
        }
        Err(Stop::Problem(problem)) => {
            let again = problem.is_transient().then(|| pause_after(job.attempt).as_secs_f64());
            result = if again.is_some() { "retried" } else { "failed" };
            state.db().fail_job(job, problem.code(), problem.message(), again).await
        }
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Lost) => Ok(false),
    };
    let error = match written {
        Ok(true) => return state.metrics().processed(result),
        Ok(false) => {
            state.metrics().processed("lost");
            return tracing::info!(file = job.file_id, "a job was taken back while it was done");
        }
        Err(error) => error,
    };
    // What the database refuses it will refuse again, but for a store that is gone, with which the job has gone too.
    let (message, again) = match &error {
        Error::Client(refusal) => (refusal.message.as_str(), None),
        _ => ("The file could not be processed. Please try again.", Some(pause_after(job.attempt))),
    };
    tracing::warn!(file = job.file_id, attempt = job.attempt, %error, "a file could not be processed");
    state.metrics().processed(if again.is_some() { "retried" } else { "failed" });
    let seconds = again.map(|pause| pause.as_secs_f64());
    if let Err(error) = state.db().fail_job(job, "server_error", message, seconds).await {
        tracing::warn!(file = job.file_id, %error, "a failed job waits for the end of its lease");
    }
}

/// A random pause, longer after more failures: whoever failed together does not come back together.
fn pause_after(failures: u32) -> Duration {
    let longest = Duration::from_secs(1 << failures.min(5)).min(MAX_PAUSE);
    longest.mul_f64(random())
}

/// From 0 to 1.
fn random() -> f64 {
    f64::from(random_bits()) / f64::from(u32::MAX)
}

fn random_bits() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness, pauses are not spread, and that is all.
    let _ = getrandom::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        for (failures, longest) in [(1, 2), (2, 4), (5, 30), (40, 30)] {
            let pauses: Vec<Duration> = (0..200).map(|_| pause_after(failures)).collect();
            let longest = Duration::from_secs(longest);
            assert!(pauses.iter().all(|pause| *pause <= longest));
            assert!(pauses.iter().any(|pause| *pause > longest / 2));
            assert!(pauses.iter().any(|pause| *pause < longest / 2));
        }
    }

    #[tokio::test]
    async fn the_end_waits_for_those_who_are_busy() {
        let workers = std::sync::Arc::new(Workers::new(1));
        workers.drain();
        workers.reached(Phase::Draining).await;
        assert!(!workers.has_reached(Phase::Ending));
        let (shared, begun) = (workers.clone(), std::time::Instant::now());
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let _busy = shared.begin();
            ready.send(()).unwrap();
            shared.reached(Phase::Ending).await;
            sleep(Duration::from_millis(50)).await;
        });
        is_ready.await.unwrap();
        workers.end().await;
        assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < GIVING_BACK);
    }
}
