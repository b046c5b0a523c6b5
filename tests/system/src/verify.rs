//! The oracle: `dbmazz verify` as a process, against a live job.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::{process::program, wait, worker::Settings};

/// Waits until both sides of a job's tables are equal, and returns the number of rows; fails with the difference
/// after the time limit.
pub async fn until_equal(settings: &Settings) -> Result<u64> {
    until_tables_equal(settings, &[]).await
}

/// As [`until_equal`], for some of the tables.
pub async fn until_tables_equal(settings: &Settings, tables: &[&str]) -> Result<u64> {
    let mut options = vec!["--patience", "20s"];
    options.extend(tables.iter().flat_map(|table| ["--table", table]));
    // Tables that do not exist yet are a difference at once; hence another run.
    wait::until("both sides are equal", async || run(settings, &options).await?.rows().map(Some)).await
}

/// Compares once.
pub async fn run(settings: &Settings, options: &[&str]) -> Result<Verdict> {
    let mut command = Command::new(program("worker", "dbmazz")?);
    command.env_clear().envs(settings.variables()).arg("verify").args(options);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Verdict::new(output)
}

/// The result of `dbmazz verify`.
#[derive(Debug)]
pub struct Verdict {
    pub equal: bool,
    /// The report, or why there is none.
    pub text: String,
}

impl Verdict {
    fn new(output: Output) -> Result<Self> {
        let code = output.status.code().context("dbmazz verify was killed")?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = said.join("\n");
        ensure!(code < 2, "dbmazz verify was not understood: {text}");
        Ok(Self { equal: code == 0, text })
    }

    /// Rows of the source's tables; an error when the sides differ.
    pub fn rows(&self) -> Result<u64> {
        ensure!(self.equal, "{}", self.text);
        let verdict = self.text.lines().find(|line| line.starts_with("equal: ")).context("a verdict")?;
        let words: Vec<_> = verdict.split(' ').collect();
        let rows = words.iter().rev().nth(1).context("a count of rows")?;
        Ok(rows.parse()?)
    }
}
