//! The program as started on a command line.

use std::process::{Command, Output};

fn dbmazz(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbmazz"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(directory.path());
    command.output().unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_missing_variable_is_named_in_one_sentence() {
    let said = refusal(&dbmazz(&[], &[]));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("SOURCE_URL") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_secret_is_in_no_refusal() {
    let said = refusal(&dbmazz(&[], &[("SOURCE_URL", "postgres://u:hunter2@h:port/d")]));
    assert!(said.contains("SOURCE_URL") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_missing_description_is_named() {
    let said = refusal(&dbmazz(&[], &[("DBMAZZ_JOB_DIR", "/nowhere")]));
    assert!(said.contains("/nowhere/job/job.json"), "{said}");
}

#[test]
fn version_and_help_need_no_job() {
    for (argument, text) in [("--version", "dbmazz 0."), ("--help", "dbmazz cleanup")] {
        let output = dbmazz(&[argument], &[]);
        assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains(text));
    }
}

#[test]
fn an_unknown_word_is_refused() {
    assert!(refusal(&dbmazz(&["start"], &[])).contains("--help"));
}
