//! Runs a program to its end. An error contains the program's name, its last output, and the path of the whole log.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::progress;

const LAST_LINES: usize = 15;

/// Runs the program and returns its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    output_of(command.stdin(Stdio::null()))
}

/// Runs the program with `file` as its standard input.
pub fn output_with_file(command: &mut Command, file: File) -> Result<String> {
    output_of(command.stdin(file))
}

/// Runs the program with `text` as its standard input.
pub fn output_with_input(command: &mut Command, text: &str) -> Result<String> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    output_with_file(command, file)
}

fn output_of(command: &mut Command) -> Result<String> {
    let program = name(command);
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("{program} could not be started: is it installed?"))?;
    if !status.success() {
        bail!("{program} ended with {status}:\n{}", last_lines(&String::from_utf8_lossy(&stderr)));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs the program with its output in `log`.
pub fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let program = name(command);
    let status = into_log(command, log)?
        .status()
        .with_context(|| format!("{program} could not be started: is it installed?"))?;
    if !status.success() {
        bail!("{program} ended with {status}; {}", excerpt(log));
    }
    Ok(())
}

/// Appends both outputs of a command to `log`.
pub fn into_log<'a>(command: &'a mut Command, log: &Path) -> Result<&'a mut Command> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write the log {}", log.display()))?;
    Ok(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file))
}

/// The last lines of a log with its path, for an error message.
pub fn excerpt(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    format!("the end of {}:\n{}", log.display(), last_lines(&String::from_utf8_lossy(&text)))
}

/// Runs a download up to three times, a few seconds apart, because registries and mirrors fail temporarily. The program
/// itself keeps the results of a failed attempt.
pub fn up_to_three_times(what: &str, attempt: impl FnMut() -> Result<()>) -> Result<()> {
    again_after(&[Duration::from_secs(5), Duration::from_secs(15)], what, attempt)
}

fn again_after(pauses: &[Duration], what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    for pause in pauses {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) => {
                progress::detail(format!("{what} failed and is tried again in {pause:?}: {error:#}"))
            }
        }
        std::thread::sleep(*pause);
    }
    attempt().with_context(|| format!("{what} failed {} times", pauses.len() + 1))
}

/// Polls `condition` until it holds; an error of `condition` ends the wait.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("waited {} s in vain: {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_said_last() {
        let error = output(Command::new("sh").args(["-c", "echo the disk is full >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }

    #[test]
    fn a_wait_ends_with_the_error_of_its_condition() {
        let error = wait_until("never", Duration::from_secs(60), || bail!("it has died")).unwrap_err();
        assert_eq!(error.to_string(), "it has died");
    }

    #[test]
    fn what_fails_for_a_moment_is_tried_again_and_what_fails_for_good_is_named() {
        let (mut calls, pauses) = (0, [Duration::ZERO; 2]);
        let mut failing = |times: u32| {
            calls = 0;
            again_after(&pauses, "the download", || {
                calls += 1;
                if calls > times { Ok(()) } else { bail!("connection reset") }
            })
        };
        failing(2).unwrap();
        let error = format!("{:#}", failing(3).unwrap_err());
        assert_eq!(error, "the download failed 3 times: connection reset");
    }
}
