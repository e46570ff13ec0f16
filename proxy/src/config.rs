//! Configuration: command line and environment, read once at start; nothing else reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::Networks;
use crate::ingest::extract::child::ExtractArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Largest JSON request body. Uploads of files have their own limit.
pub const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

/// Largest upload in parts.
pub const MAX_UPLOAD_BYTES: i64 = 8 * 1024 * 1024 * 1024;
/// Largest part of an upload in parts.
pub const MAX_UPLOAD_PART_BYTES: u64 = 64 * 1024 * 1024;

/// Files up to this size are stored by one statement and never touch the disk of the proxy.
pub const SMALL_FILE_BYTES: usize = 4 * 1024 * 1024;

/// Size of the parts in which bigger files are stored.
pub const FILE_PART_BYTES: usize = 1024 * 1024;

/// How long a client may take to send a JSON body, and to send the next piece of an upload.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server waits for a request's headers.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for a free database connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long requests in flight may take to end after the stop signal, the drain delay included.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(28);

/// The command line of `vectorstore-proxy`.
#[derive(Debug, Parser)]
#[command(name = "vectorstore-proxy", version, about = "OpenAI-compatible HTTP API for vectorstore")]
pub struct Cli {
    /// What to do; without one the API is served.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Settings of `serve`, which may be given without naming the sub-command.
    #[command(flatten)]
    pub serve: Config,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API (the default)
    Serve(Config),
    /// Make API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Check the installation: database, roles, versions, models; exit code 1 when something is wrong
    Doctor(DoctorArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Read the text of a document; the server runs this for each document, with limits
    #[command(hide = true)]
    Extract(ExtractArgs),
    /// Upload a folder of .md and .txt files into a vector store, over the HTTP API
    Load(LoadArgs),
}

/// Sub-commands of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Print a fresh key and its SHA-256; nothing is stored
    New,
}

/// Settings of the server.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Where the database is, as a postgres:// URL
    #[arg(
        long,
        env = "VECTORSTORE_DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres:///vectorstore"
    )]
    pub database_url: String,

    /// Address to listen on
    #[arg(long, env = "VECTORSTORE_LISTEN", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,

    /// Networks of the proxies in front of this one, whose `X-Forwarded-For` is believed (10.0.0.0/8,192.0.2.1)
    #[arg(long, env = "VECTORSTORE_TRUSTED_PROXIES", default_value = "", hide_default_value = true)]
    pub trusted_proxies: Networks,

    /// Folder of the local embedding model
    #[arg(long, env = "VECTORSTORE_MODEL_PATH")]
    pub model_path: Option<PathBuf>,

    /// File that describes further embedding models
    #[arg(long, env = "VECTORSTORE_PROVIDERS")]
    pub providers: Option<PathBuf>,

    /// Most space of the embedding cache in the database, in MiB
    #[arg(long, env = "VECTORSTORE_CACHE_MIB", default_value_t = 1024)]
    pub cache_mib: u32,

    /// Days after which an embedding that nobody asked for leaves the cache
    #[arg(long, env = "VECTORSTORE_CACHE_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub cache_days: u32,

    /// Database connections kept open at most
    #[arg(long, env = "VECTORSTORE_POOL_SIZE", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pool_size: u32,

    /// Largest file that may be uploaded, in bytes
    #[arg(long, env = "VECTORSTORE_MAX_FILE_BYTES", default_value_t = 512 * 1024 * 1024)]
    pub max_file_bytes: u64,

    /// Memory that reading one document (PDF, DOCX, ...) may take, in MiB
    #[arg(long, env = "VECTORSTORE_EXTRACT_MEMORY", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(128..=65536))]
    pub extract_memory: u32,

    /// Processor time that reading one document may take, in seconds
    #[arg(long, env = "VECTORSTORE_EXTRACT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub extract_seconds: u32,

    /// Longest time a single SQL statement may run, in seconds
    #[arg(long, env = "VECTORSTORE_STATEMENT_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub statement_timeout: u32,

    /// Longest time that the statements of a request may take together, in seconds; clients may ask for less
    #[arg(long, env = "VECTORSTORE_REQUEST_TIMEOUT", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub request_timeout: u32,

    /// Seconds between "not ready" and the end of accepting connections when the server is stopped
    #[arg(long, env = "VECTORSTORE_DRAIN_SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub drain_seconds: u32,

    /// Tasks that work on attached files which no request works on; 0: this process leaves them to others
    #[arg(long, env = "VECTORSTORE_INGEST_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub ingest_workers: u32,

    /// Longest time a request that attaches files waits for them, in seconds
    #[arg(long, env = "VECTORSTORE_INGEST_WAIT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=60))]
    pub ingest_wait: u32,

    /// Seconds after which a file is taken over by another process when its own gives no sign of life
    #[arg(long, env = "VECTORSTORE_INGEST_LEASE", default_value_t = 30, value_parser = clap::value_parser!(u32).range(2..=600))]
    pub ingest_lease: u32,

    /// Seconds between two looks for what has expired
    #[arg(long, env = "VECTORSTORE_SWEEP_INTERVAL", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub sweep_interval: u32,

    /// Answer unknown request fields with 400 instead of ignoring them
    #[arg(long, env = "VECTORSTORE_STRICT")]
    pub strict: bool,

    /// Answer searches as litellm-pgvector does: `search_query` is a string, and 20 results are the default
    #[arg(long, env = "VECTORSTORE_LITELLM_COMPAT")]
    pub litellm_compat: bool,

    /// Form of the log lines
    #[arg(long, env = "VECTORSTORE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What to log, in the syntax of RUST_LOG
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Settings of the server that is checked.
    #[command(flatten)]
    pub server: Config,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Folder to upload
    pub dir: PathBuf,

    /// Name of the vector store; it is created when no store has this name
    #[arg(long)]
    pub store: String,

    /// Base URL of the API, with /v1
    #[arg(long, env = "OPENAI_BASE_URL", default_value = "http://127.0.0.1:8000/v1")]
    pub base_url: String,

    /// API key
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    pub api_key: String,
}
