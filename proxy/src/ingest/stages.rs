//! What the stages of reading a file cost: one line of the log for each attempt that ended with the file searchable.
//!
//! `RUST_LOG=info,vectorstore_proxy::ingest::stages=debug` shows them. Times are on the clock, so that waiting for a
//! processor or for a provider counts in the stage that waited.

use std::time::Instant;

use crate::db::Job;

/// What happens to a file, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its bytes come from the database.
    Read,
    /// They become text.
    Extract,
    /// It is cut.
    Chunk,
    /// The chunks get vectors.
    Embed,
    /// All of it is written.
    Store,
}

/// The times of one attempt.
pub struct Stages {
    since: Instant,
    millis: [f64; 5],
}

impl Stages {
    /// The first stage begins.
    pub fn begin() -> Self {
        Self { since: Instant::now(), millis: [0.0; 5] }
    }

    /// A stage ends, and the next one begins.
    pub fn end(&mut self, stage: Stage) {
        let now = Instant::now();
        self.millis[stage as usize] += (now - self.since).as_secs_f64() * 1000.0;
        self.since = now;
    }

    /// Tells how long a stage took, in milliseconds.
    fn of(&self, stage: Stage) -> f64 {
        self.millis[stage as usize]
    }

    /// Writes the line.
    pub fn log(&self, job: &Job, chunks: usize) {
        tracing::debug!(
            file = job.file_id,
            attempt = job.attempt,
            bytes = job.bytes,
            chunks,
            wait_ms = job.waited * 1000.0,
            read_ms = self.of(Stage::Read),
            extract_ms = self.of(Stage::Extract),
            chunk_ms = self.of(Stage::Chunk),
            embed_ms = self.of(Stage::Embed),
            store_ms = self.of(Stage::Store),
            "a file was read"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stage_lasts_from_the_end_of_the_one_before() {
        let mut stages = Stages::begin();
        stages.end(Stage::Read);
        std::thread::sleep(Duration::from_millis(20));
        stages.end(Stage::Extract);
        stages.end(Stage::Chunk);
        assert!(stages.of(Stage::Extract) >= 20.0);
        assert!(stages.of(Stage::Read) < 20.0 && stages.of(Stage::Chunk) < 20.0);
        assert_eq!((stages.of(Stage::Embed), stages.of(Stage::Store)), (0.0, 0.0));
    }
}
