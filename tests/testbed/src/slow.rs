//! The slowest tests, by the clock of the test runner.
//!
//! The runner reports times only where unstable options are allowed. Of stable Rust it asks for the variable
//! `RUSTC_BOOTSTRAP`, which is given to the finished test programs alone, so nothing is compiled with it.

use std::{
    env, fmt,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::progress::{self, Elapsed};

/// The times of all tests that were run.
#[derive(Debug)]
pub struct Times {
    tests: Vec<(String, Duration)>,
    took: Duration,
    /// The programs of which a test failed.
    pub failed: Vec<String>,
    shown: usize,
}

/// Runs every test whose name contains one of `filters`, or every test.
pub fn measure(filters: &[String], shown: usize) -> Result<Times> {
    let begun = Instant::now();
    let mut times = Times { tests: Vec::new(), took: Duration::ZERO, failed: Vec::new(), shown };
    for program in programs()? {
        progress::say(format!("testing {}", program.name));
        let (said, passed) = program.run(filters)?;
        times.tests.extend(
            said.lines().filter_map(time_of).map(|(test, time)| (format!("{} {test}", program.name), time)),
        );
        if !passed {
            times.failed.push(program.name);
        }
    }
    times.tests.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    Ok(Times { took: begun.elapsed(), ..times })
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} tests in {}; the slowest:\n", self.tests.len(), Elapsed(self.took))?;
        writeln!(f, "| Test | Seconds |\n|---|---:|")?;
        for (test, time) in self.tests.iter().take(self.shown) {
            writeln!(f, "| `{test}` | {:.1} |", time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// A test program, and the folder of its package, in which tests run.
struct Program {
    name: String,
    file: PathBuf,
    folder: PathBuf,
}

impl Program {
    fn run(&self, filters: &[String]) -> Result<(String, bool)> {
        let mut command = Command::new(&self.file);
        command.args(["-Zunstable-options", "--report-time"]).args(filters);
        command.current_dir(&self.folder).env("RUSTC_BOOTSTRAP", "1").stderr(Stdio::inherit());
        let output = command.output().with_context(|| format!("cannot run {}", self.file.display()))?;
        if !output.status.success() {
            std::io::stderr().write_all(&output.stdout)?;
        }
        Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
    }
}

fn programs() -> Result<Vec<Program>> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot run cargo: is it installed?")?;
    ensure!(output.status.success(), "cargo could not build the tests: see above");
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().filter_map(|line| program(&serde_json::from_str(line).ok()?)).collect())
}

fn program(message: &Value) -> Option<Program> {
    let is_test = message["profile"]["test"].as_bool()?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    is_test.then_some(Program {
        name: message["target"]["name"].as_str()?.to_owned(),
        file: message["executable"].as_str()?.into(),
        folder: folder.into(),
    })
}

/// Reads a line such as `test types::every ... ok <12.345s>`.
fn time_of(line: &str) -> Option<(String, Duration)> {
    let (test, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (_, time) = outcome.trim_end().strip_suffix("s>")?.split_once('<')?;
    Some((test.to_owned(), Duration::from_secs_f64(time.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_times_are_read() {
        let read = time_of("test types::every ... ok <12.345s>");
        assert_eq!(read, Some(("types::every".to_owned(), Duration::from_millis(12_345))));
        assert_eq!(time_of("test result: ok. 3 passed; finished in 0.01s"), None);
    }
}
