//! Reading documents in children: what the proxy makes of those that hang, die or are given up.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use vectorstore_proxy::ingest::extract::{Extractor, run};
use vectorstore_proxy::ingest::text::{Kind, Problem};

fn extractor(program: impl Into<PathBuf>) -> Extractor {
    Extractor {
        program: program.into(),
        memory: 512 * 1024 * 1024,
        time: Duration::from_secs(1),
        slots: Arc::new(Semaphore::new(2)),
    }
}

/// A program that behaves as a child might.
fn script(folder: &Path, body: &str) -> Extractor {
    let path = folder.join("child");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("the folder takes files");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("the file is ours");
    extractor(path)
}

async fn message(extractor: &Extractor) -> String {
    let problem = run(extractor, Kind::Html, b"<p>x".to_vec()).await.expect_err("it has failed");
    format!("{}: {}", problem.code(), problem.message())
}

#[tokio::test]
async fn the_real_child_reads_a_page() {
    let extractor = extractor(env!("CARGO_BIN_EXE_vectorstore-proxy"));
    let read = run(&extractor, Kind::Html, b"<h1>Bees</h1><p>A queen".to_vec()).await;
    assert_eq!(read.expect("it is a page").text, "# Bees\n\nA queen");
    let empty = run(&extractor, Kind::Html, b"<script>x</script>".to_vec()).await;
    assert_eq!(empty.expect_err("no text"), Problem::invalid("The file contains no text.".into()));
    let broken = run(&extractor, Kind::Pdf, b"%PDF-1.7".to_vec()).await.expect_err("no PDF");
    assert!(broken.message().contains("damaged"), "{broken:?}");
}

#[tokio::test]
async fn a_child_that_sleeps_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let extractor = script(folder.path(), "echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600");
    let began = Instant::now();
    assert!(message(&extractor).await.contains("limit of 2 seconds"));
    assert!((2..10).contains(&began.elapsed().as_secs()));
    is_gone(folder.path()).await;
}

#[tokio::test]
async fn dropping_the_future_kills_the_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut extractor = script(folder.path(), "echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600");
    extractor.time = Duration::from_secs(600);
    let reading = run(&extractor, Kind::Html, b"<p>x".to_vec());
    assert!(tokio::time::timeout(Duration::from_secs(1), reading).await.is_err());
    is_gone(folder.path()).await;
    assert_eq!(extractor.slots.available_permits(), 2);
}

/// The child that wrote its id into this folder runs no more.
async fn is_gone(folder: &Path) {
    let pid = std::fs::read_to_string(folder.join("pid")).expect("the child has run");
    let status = PathBuf::from(format!("/proc/{}/status", pid.trim()));
    for _ in 0..100 {
        match std::fs::read_to_string(&status) {
            Ok(status) if !status.contains("State:\tZ") => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            _ => return,
        }
    }
    panic!("the child {pid} still runs");
}

#[tokio::test]
async fn what_a_child_died_of_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (body, expected) in [
        ("ulimit -S -t 1; while :; do :; done", "more than 1 seconds of computing"),
        ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", "more than 512 MiB of memory"),
        ("echo 'thread has overflowed its stack' >&2; kill -ABRT $$", "nested too deeply"),
        ("kill -SEGV $$", "damaged"),
        ("exit 1", "damaged"),
        ("cat >/dev/null; yes complaint | head -c 1000000 >&2; exit 1", "damaged"),
        ("kill -KILL $$", "server_error"),
        ("exit 0", "server_error"),
        ("echo '{\"nothing\": 1}'", "server_error"),
    ] {
        let message = message(&script(folder.path(), body)).await;
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_missing_program_is_our_fault() {
    let problem = run(&extractor("/nonexistent"), Kind::Html, Vec::new()).await.expect_err("it is missing");
    assert!(problem.is_transient());
}
