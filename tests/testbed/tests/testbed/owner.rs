//! A process that owns a part of the test bed and can be killed.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

pub(crate) struct Owner {
    process: Child,
    lines: BufReader<ChildStdout>,
    facts: HashMap<String, String>,
}

/// Runs `testbed ARGUMENTS`, which says one fact a line: a word, a blank, a value.
pub(crate) fn spawn(arguments: &[&str]) -> Owner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
    let mut process = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap());
    Owner { process, lines, facts: HashMap::new() }
}

impl Owner {
    /// Reads on until the fact has been said.
    pub(crate) fn said(&mut self, fact: &str) -> String {
        while !self.facts.contains_key(fact) {
            let mut line = String::new();
            assert!(
                self.lines.read_line(&mut line).unwrap() > 0,
                "the owner ended before it said its {fact}"
            );
            let (word, value) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            self.facts.insert(word.to_owned(), value.to_owned());
        }
        self.facts[fact].clone()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.kill();
    }
}
