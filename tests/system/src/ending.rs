//! How a program for people ends: with a sentence, and no backtrace, when something is wrong with the machine.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Result;

pub fn of(program: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "{program}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
