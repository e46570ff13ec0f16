//! `vectorstore-proxy`: parses the command line and calls the library.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use vectorstore_proxy::config::{Cli, Command, Config, KeyCommand, LogFormat};
use vectorstore_proxy::ingest::extract;
use vectorstore_proxy::{auth, doctor, load, openapi, serve};

fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        // Without the threads of a runtime, whose memory would count.
        Command::Extract(args) => Ok(extract::child::run(&args)),
        command => run(command),
    }
}

#[tokio::main]
async fn run(command: Command) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    match command {
        Command::Serve(config) => {
            start_log(&config)?;
            serve::run(config).await?;
        }
        Command::Doctor(args) => {
            start_log(&args.server)?;
            return doctor::run(args).await;
        }
        Command::Key(KeyCommand::New) => {
            let key = auth::new_key()?;
            println!("key={}\nsha256={}", key.text, data_encoding::HEXLOWER.encode(&key.hash));
        }
        Command::Openapi => {
            print!("{}", openapi::to_json()?);
        }
        Command::Load(args) => load::run(args).await?,
        Command::Extract(_) => unreachable!("handled before"),
    }
    Ok(ExitCode::SUCCESS)
}

fn start_log(config: &Config) -> Result<(), Box<dyn Error + Send + Sync>> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&config.log)?)
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        LogFormat::Pretty => log.try_init(),
    }
}
