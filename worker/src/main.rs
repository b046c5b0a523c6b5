//! `dbmazz`: reads its arguments and the job's description, and runs the job.
//!
//! Exit codes: 0 after a drain or for equal sides, 1 for a fault or a difference, 2 for an invalid description or
//! invalid arguments.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};
use worker::{
    config::{ConfigError, JobConfig, LogLevel, description, dotenv, environment},
    job,
    postgres::DropObjects,
    verify,
};

const USAGE: &str = "\
dbmazz: moves changes of PostgreSQL tables into StarRocks, and loses none

  dbmazz                                              replicates until SIGTERM, then drains
  dbmazz cleanup [--keep-slot] [--keep-publication]   drops the job's slot and publication
  dbmazz verify [--patience 30s] [--show 10] [--table schema.name]...
                                                      compares both sides of a live job, value by value
  dbmazz --version
  dbmazz --help

The job is described by environment variables (SOURCE_URL, SINK_URL, SINK_DATABASE, TABLES, ...) and
the file .env, or by the directory that DBMAZZ_JOB_DIR names. RUST_LOG says how much is logged.
";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Task {
    Run,
    Verify(verify::Options),
    Cleanup { keep_slot: bool, keep_publication: bool },
    Version,
    Help,
}

fn main() -> ExitCode {
    let arguments: Vec<String> =
        env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    match task(&arguments) {
        Ok(Task::Version) => said(&format!("dbmazz {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Task::Help) => said(USAGE),
        Ok(task) => start(task),
        Err(problem) => refused(&format!("{problem}; see dbmazz --help")),
    }
}

fn task(arguments: &[String]) -> Result<Task, String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Ok(Task::Run),
        ["--version" | "-V"] => Ok(Task::Version),
        ["--help" | "-h"] => Ok(Task::Help),
        ["cleanup", options @ ..] => cleanup(options),
        ["verify", options @ ..] => verify::Options::read(options).map(Task::Verify),
        [other, ..] => Err(format!("{other} is not known")),
    }
}

fn cleanup(options: &[&str]) -> Result<Task, String> {
    let (mut keep_slot, mut keep_publication) = (false, false);
    for option in options {
        match *option {
            "--keep-slot" => keep_slot = true,
            "--keep-publication" => keep_publication = true,
            other => return Err(format!("{other} is not known to cleanup")),
        }
    }
    Ok(Task::Cleanup { keep_slot, keep_publication })
}

fn start(task: Task) -> ExitCode {
    let config = match described() {
        Ok(config) => config,
        Err(error) => return refused(&format!("{error}; correct {} and start again", error.field)),
    };
    match run(task, config) {
        Ok(code) => code,
        Err(fault) => {
            tracing::error!("ended: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the job's description, and sets up logging as it says.
fn described() -> Result<JobConfig, ConfigError> {
    let directory = env::var_os("DBMAZZ_JOB_DIR").filter(|directory| !directory.is_empty());
    let file = if directory.is_none() { dotenv::load(Path::new(".env"))? } else { Default::default() };
    let variables = |name: &str| {
        let set = env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        set.or_else(|| file.get(name).cloned())
    };
    let config = match directory {
        Some(directory) => description::read(Path::new(&directory), variables)?,
        None => environment::read(variables)?,
    };
    log(variables("RUST_LOG").filter(|filter| !filter.is_empty()), config.log_level)?;
    Ok(config)
}

fn log(asked: Option<String>, level: LogLevel) -> Result<(), ConfigError> {
    let filter = asked.as_deref().unwrap_or(match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        // Libraries log far too much at this level.
        LogLevel::Debug => "info,worker=debug,dbmazz=debug",
    });
    let problem = "must be a level, such as info, or pairs of module and level";
    // Not an `EnvFilter`, which compiles regular expressions for what is only a list of names.
    let filter: Targets = filter
        .parse()
        .map_err(|_| ConfigError { field: "RUST_LOG".to_owned(), problem: problem.to_owned() })?;
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(terminal);
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}

/// Runs the task on a single-threaded runtime; work that computes or blocks runs on other threads.
fn run(task: Task, config: JobConfig) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(work(task, config));
    // A thread that still blocks on a socket must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn work(task: Task, config: JobConfig) -> anyhow::Result<ExitCode> {
    match task {
        Task::Verify(options) => {
            let report = verify::run(&config, &options).await?;
            let told = said(&report.to_string());
            return Ok(if report.is_equal() { told } else { ExitCode::FAILURE });
        }
        Task::Cleanup { keep_slot, keep_publication } => {
            let objects = DropObjects { slot: !keep_slot, publication: !keep_publication };
            job::cleanup(config, objects).await?;
        }
        Task::Run | Task::Version | Task::Help => job::run(config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn said(text: &str) -> ExitCode {
    let written = io::stdout().write_all(text.as_bytes());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refused(problem: &str) -> ExitCode {
    // If this fails too, the exit code still reports the error.
    let _written = writeln!(io::stderr(), "dbmazz cannot start: {problem}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Task, String> {
        task(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_command_line_is_read() {
        let cleanup = |keep_slot, keep_publication| Ok(Task::Cleanup { keep_slot, keep_publication });
        for (line, task) in [
            ("", Ok(Task::Run)),
            ("--version", Ok(Task::Version)),
            ("--help", Ok(Task::Help)),
            ("cleanup", cleanup(false, false)),
            ("cleanup --keep-slot", cleanup(true, false)),
            ("cleanup --keep-publication --keep-slot", cleanup(true, true)),
            ("verify", Ok(Task::Verify(verify::Options::default()))),
        ] {
            assert_eq!(of(line), task, "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (line, word) in [
            ("start", "start"),
            ("cleanup --all", "--all"),
            ("verify --x 1", "--x"),
            ("--version x", "--version"),
        ] {
            assert!(of(line).unwrap_err().contains(word), "{line}");
        }
    }
}
