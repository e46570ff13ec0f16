//! The text of a file of any supported kind.
//!
//! Plain text is decoded in the proxy. Everything with a format of its own is read by libraries in a child process with
//! limits of memory and time, because a damaged or hostile document may make them loop, panic or fill the memory.

pub mod child;
mod docx;
mod flow;
mod html;
mod json;
mod office;
mod pdf;
mod pptx;
mod table;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::text::{self, Kind, Problem};

/// Longest text taken out of a file: more cannot be within OpenAI's limit of tokens.
pub const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// Separates pages and slides in an extracted text.
pub const PAGE_BREAK: char = '\u{c}';

/// Bytes of the child's complaints that are looked at.
const MAX_STDERR_BYTES: u64 = 4096;

/// How documents are read.
#[derive(Clone, Debug)]
pub struct Extractor {
    /// The binary with the sub-command `extract`.
    pub program: PathBuf,
    /// Address space that a child may use, in bytes.
    pub memory: u64,
    /// Processor time that a child may use; twice as much may pass on the clock.
    pub time: Duration,
    /// One for each file that is read at the same time.
    pub slots: Arc<Semaphore>,
}

impl Extractor {
    /// Children run this very program, even after its file has been replaced by a new version.
    pub fn new(memory: u64, time: Duration, slots: Arc<Semaphore>) -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), memory, time, slots }
    }
}

/// What a file says. Pages and slides are set off by lines with [`PAGE_BREAK`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// The text; not empty.
    pub text: String,
}

/// The answer of a child.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Text(String),
    Problem(Problem),
}

/// Reads the text of a file. Dropping the future kills the child.
pub async fn run(extractor: &Extractor, kind: Kind, bytes: Vec<u8>) -> Result<Extracted, Problem> {
    let _slot = extractor.slots.acquire().await.map_err(|error| Problem::server(error.to_string()))?;
    let text = match kind.needs_child() {
        true => run_child(extractor, kind, bytes).await?,
        false => tokio::task::spawn_blocking(move || read(kind, bytes))
            .await
            .map_err(|error| Problem::server(error.to_string()))??,
    };
    if text.trim().is_empty() {
        let hint = if kind == Kind::Pdf { " A scanned PDF has pictures of text only." } else { "" };
        return Err(Problem::invalid(format!("The file contains no text.{hint}")));
    }
    Ok(Extracted { text })
}

/// Reads the text of a file in this process.
fn read(kind: Kind, bytes: Vec<u8>) -> Result<String, Problem> {
    let text = match kind {
        Kind::Text | Kind::Markdown | Kind::Code => text::decode(bytes)?,
        Kind::Csv => table::text_of(&text::decode(bytes)?)?,
        Kind::Json => json::text_of(text::decode(bytes)?)?,
        Kind::Html => html::text_of(&text::decode(bytes)?),
        Kind::Pdf => pdf::text_of(&bytes)?,
        Kind::Docx => docx::text_of(bytes)?,
        Kind::Pptx => pptx::text_of(bytes)?,
    };
    if text.len() > MAX_TEXT_BYTES { Err(Problem::too_long()) } else { Ok(text) }
}

async fn run_child(extractor: &Extractor, kind: Kind, bytes: Vec<u8>) -> Result<String, Problem> {
    let mut child =
        spawn(extractor, kind).map_err(|error| Problem::server(format!("extraction: {error}")))?;
    let wall = extractor.time * 2;
    let Ok(done) = tokio::time::timeout(wall, converse(&mut child, bytes)).await else {
        return Err(Problem::invalid(format!(
            "Reading the file took longer than the limit of {} seconds.",
            wall.as_secs()
        )));
    };
    let (status, stdout, stderr) = done.map_err(|error| Problem::server(format!("extraction: {error}")))?;
    if !status.success() {
        tracing::debug!(%status, stderr, kind = kind.name(), "the extraction of a file failed");
        return Err(explain(extractor, status, &stderr));
    }
    match serde_json::from_slice(&stdout) {
        Ok(Answer::Text(text)) => Ok(text),
        Ok(Answer::Problem(problem)) => Err(problem),
        Err(error) => Err(Problem::server(format!("extraction: {error}"))),
    }
}

fn spawn(extractor: &Extractor, kind: Kind) -> std::io::Result<Child> {
    Command::new(&extractor.program)
        .args(["extract", kind.name()])
        .arg(format!("--memory={}", extractor.memory))
        .arg(format!("--seconds={}", extractor.time.as_secs().max(1)))
        // Neither settings with passwords nor a folder to write to.
        .env_clear()
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Writes the file and reads the answer at the same time: the child may answer before it has read everything.
async fn converse(child: &mut Child, bytes: Vec<u8>) -> std::io::Result<(ExitStatus, Vec<u8>, String)> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(std::io::Error::other("a pipe is missing"));
    };
    let write = async move {
        // A child that stops reading has its reasons, and its status tells them.
        let _ = stdin.write_all(&bytes).await;
    };
    let (mut answer, mut complaints) = (Vec::new(), Vec::new());
    // In the worst case each byte of the text is escaped as \u0000.
    let mut stdout = stdout.take(6 * MAX_TEXT_BYTES as u64 + MAX_STDERR_BYTES);
    let mut first = stderr.take(MAX_STDERR_BYTES);
    let read_errors = async {
        first.read_to_end(&mut complaints).await?;
        // The rest must be taken off the pipe, or the child waits for ever.
        tokio::io::copy(first.get_mut(), &mut tokio::io::sink()).await
    };
    let ((), answered, complained) = tokio::join!(write, stdout.read_to_end(&mut answer), read_errors);
    answered?;
    complained?;
    Ok((child.wait().await?, answer, String::from_utf8_lossy(&complaints).into_owned()))
}

/// What a child died of.
fn explain(extractor: &Extractor, status: ExitStatus, stderr: &str) -> Problem {
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    if status.signal() == Some(SIGKILL) {
        // Not by us, and before its own limits: the machine itself is out of memory.
        return Problem::server("Reading the file was interrupted.".into());
    }
    if status.signal() == Some(SIGXCPU) {
        let seconds = extractor.time.as_secs().max(1);
        return Problem::invalid(format!("Reading the file took more than {seconds} seconds of computing."));
    }
    if stderr.contains("memory allocation of") || stderr.contains("capacity overflow") {
        let mebibytes = extractor.memory / 1024 / 1024;
        return Problem::invalid(format!("Reading the file took more than {mebibytes} MiB of memory."));
    }
    if stderr.contains("overflowed its stack") {
        return Problem::invalid("The file is nested too deeply.".into());
    }
    Problem::invalid("The file is damaged: it cannot be read.".into())
}
