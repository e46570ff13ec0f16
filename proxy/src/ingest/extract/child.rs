//! The child process: reads a document from standard input, writes its text as JSON to standard output.

use std::io::{Read, Write};
use std::process::ExitCode;

use clap::Args;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::{Answer, read};
use crate::ingest::text::{Kind, Problem};

/// Documents may nest as deeply as their libraries follow; the default of 2 MiB is soon used up.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Arguments of the sub-command.
#[derive(Clone, Debug, Args)]
pub struct ExtractArgs {
    /// Kind of the document
    pub kind: Kind,

    /// Address space that may be used, in bytes
    #[arg(long)]
    pub memory: u64,

    /// Processor time that may be used
    #[arg(long)]
    pub seconds: u64,
}

/// Runs the sub-command.
pub fn run(args: &ExtractArgs) -> ExitCode {
    match limit(args).and_then(|()| answer(args.kind)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Read by the proxy, which logs it.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// From here on this process can neither write files nor outlive its parent.
fn limit(args: &ExtractArgs) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 16),
        (Resource::As, args.memory),
        (Resource::Cpu, args.seconds),
    ] {
        // At the hard limit of processor time comes SIGKILL; SIGXCPU shall come first.
        let hard = if resource == Resource::Cpu { most + 1 } else { most };
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(hard) })?;
    }
    Ok(())
}

fn answer(kind: Kind) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let reader = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || read(kind, bytes))?;
    let answer = match reader.join() {
        Ok(Ok(text)) => Answer::Text(text),
        Ok(Err(problem)) => Answer::Problem(problem),
        Err(_) => Answer::Problem(Problem::invalid("The file is damaged: it cannot be read.".into())),
    };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer(&mut stdout, &answer)?;
    stdout.flush()
}
