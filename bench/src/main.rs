//! Benchmarks of vectorstore, run by `make bench`: search against hand-written SQL, ingest against a raw INSERT,
//! HTTP against SQL, and the embedding of a query. Every comparison alternates, so that a busy machine slows
//! both sides alike.

mod corpus;
mod database;
mod embed;
mod http;
mod ingest;
mod report;
mod search;
mod stats;
mod timing;

use clap::{Parser, ValueEnum};
use corpus::Corpus;
use database::{Connection, Store};
use report::Row;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures vectorstore on a database that has the extension and no stores of its own.
#[derive(Debug, Parser)]
#[command(name = "vectorstore-bench", version)]
struct Options {
    /// Database, as its superuser: the peers write into the tables directly.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Base URL of a proxy on the same database (with /v1); without it HTTP cannot be measured.
    #[arg(long, env = "OPENAI_BASE_URL")]
    http_url: Option<String>,
    /// API key for the proxy.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Passages and queries, as JSON {"source", "passages", "queries"}; without it they are made up.
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Folder of texts that give the words of a made-up corpus.
    #[arg(long, default_value = "docs")]
    words: PathBuf,
    /// Passages in the big store.
    #[arg(long, default_value_t = 20_000)]
    passages: usize,
    /// Different queries.
    #[arg(long, default_value_t = 200)]
    queries: usize,
    /// How often every system answers every query.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Rows that each way of ingest writes, in batches of 500.
    #[arg(long, default_value_t = 10_000)]
    ingest_rows: usize,
    /// Seed of the random orders and of a made-up corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where the results go as JSON.
    #[arg(long, default_value = "target/bench/results.json")]
    output: PathBuf,
    /// Exit with 1 when a bound is missed.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Part {
    Embed,
    Search,
    Http,
    Ingest,
}

/// Why a run ended without results.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Setup(String),
    /// Two systems that should do the same do not: their times cannot be compared.
    #[error("results differ: {0}")]
    Different(String),
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stderr)] // The program's own messages; the table goes to standard output.
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(rows) if options.strict && !rows.iter().all(Row::ok) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vectorstore-bench: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: &Options) -> Result<Vec<Row>, Error> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let corpus = read_corpus(options)?;
    let mut connection = database::connect(&options.database_url).await?;
    let mut rows = Vec::new();

    let queries = database::prepare_queries(&mut connection, &corpus.queries).await?;
    if wanted(Part::Embed) {
        rows.push(embed::measure(&mut connection).await?);
    }
    say("loading the big store");
    let store = Store::create(&mut connection, "bench").await?;
    store.fill(&mut connection, &corpus.passages).await?;
    // Small beside the big one, in the same tables: what a second, tiny customer sees.
    let small = Store::create(&mut connection, "bench small").await?;
    small.fill(&mut connection, &corpus.passages[..corpus.passages.len().min(100)]).await?;
    database::settle(&mut connection).await?;

    if wanted(Part::Search) {
        // What the SQL written by hand needs; the extension does without.
        sqlx::query("CREATE INDEX by_hand ON vectorstore.embeddings USING gin (tsv)")
            .execute(&mut connection)
            .await?;
        for mode in search::MODES {
            say(&format!("search {}", mode.name));
            rows.extend(search::measure(&mut connection, &store, &queries, mode, options).await?);
        }
        sqlx::query("DROP INDEX vectorstore.by_hand").execute(&mut connection).await?;
    }
    if wanted(Part::Http) {
        match (&options.http_url, &options.api_key) {
            (Some(url), Some(key)) => {
                let client = http::Client::new(url, key)?;
                for (store, rows_in_it) in [(&small, 100), (&store, corpus.passages.len())] {
                    say(&format!("HTTP on {rows_in_it} rows"));
                    let queries = &corpus.queries;
                    let name = format!("HTTP search, {} rows", rows_in_it.min(corpus.passages.len()));
                    rows.push(http::measure(&mut connection, &client, store, queries, name, options).await?);
                }
            }
            _ if options.only.is_empty() => say("HTTP left out: no --http-url and --api-key"),
            _ => return Err(Error::Setup("HTTP needs --http-url and --api-key".into())),
        }
    }
    if wanted(Part::Ingest) {
        say("ingest");
        rows.push(ingest::measure(&mut connection, &store, options).await?);
    }

    let about = about(&mut connection, options, &corpus).await?;
    report::write_table(&rows, &mut std::io::stdout().lock())?;
    report::write_json(&rows, &about, &options.output)?;
    Ok(rows)
}

fn read_corpus(options: &Options) -> Result<Corpus, Error> {
    if let Some(path) = &options.corpus {
        return Corpus::read(path, options.passages, options.queries);
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(&options.words)
        .map_err(|error| Error::Setup(format!("cannot read {}: {error}", options.words.display())))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    // The order of a folder is not the same everywhere.
    files.sort();
    let mut text = String::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "md" || kind == "txt"))
    {
        text.push_str(&std::fs::read_to_string(file)?);
    }
    Corpus::made_up(&text, options.passages, options.queries, options.seed)
}

/// The circumstances, which belong to every figure.
async fn about(
    connection: &mut Connection,
    options: &Options,
    corpus: &Corpus,
) -> Result<serde_json::Value, Error> {
    let settings: serde_json::Value = sqlx::query_scalar(
        "SELECT jsonb_object_agg(name, setting) || jsonb_build_object('version', version())
         FROM pg_settings WHERE name IN ('shared_buffers', 'jit', 'fsync', 'synchronous_commit',
             'max_parallel_workers_per_gather', 'work_mem')",
    )
    .fetch_one(connection)
    .await?;
    Ok(serde_json::json!({
        "corpus": corpus.source, "passages": options.passages, "queries": options.queries, "rounds": options.rounds,
        "seed": options.seed, "cores": std::thread::available_parallelism().map_or(0, usize::from), "postgres": settings,
    }))
}

#[allow(clippy::print_stderr)] // Progress.
fn say(what: &str) {
    eprintln!("    {what}");
}
