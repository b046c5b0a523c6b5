//! The programs of this workspace, compiled for an image.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How cargo compiles a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    Debug,
    #[default]
    Release,
}

impl Profile {
    /// The release profile, as users run it; `TESTBED_PROFILE=debug` chooses the faster build.
    pub fn of_tests() -> Self {
        if env::var_os("TESTBED_PROFILE").is_some_and(|profile| profile == "debug") {
            Self::Debug
        } else {
            Self::Release
        }
    }
}

/// The programs that the test bed needs: the two that users run, and the StarRocks stand-in.
const PROGRAMS: [&str; 3] = ["dbmazz", "dbmazz-operator", "starrocks-standin"];

/// Compiles the programs of the workspace and returns the path of one. Cargo's messages go to the terminal.
///
/// Always compiles all three, with the features of the whole workspace: cargo chooses the features of a library by the
/// packages that it builds together, so building one program after another would compile half of the libraries again
/// for each.
pub fn compile(package: &str, program: &str, profile: Profile) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--workspace", "--message-format=json-render-diagnostics"]);
    cargo.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    forget_caller(&mut cargo);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = cargo
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo: is it installed?")?;
    ensure!(output.status.success(), "cargo could not build {program}: see above");
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages, program).with_context(|| format!("package {package} has no program {program}"))
}

/// Removes the variables of `cargo test` that name the tested package. Build scripts that depend on such variables
/// (ring's does) would run again, and with them half of the libraries would be compiled again.
fn forget_caller(cargo: &mut Command) {
    const OF_A_PACKAGE: [&str; 6] = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        // Of `testbed slow-tests`.
        "RUSTC_BOOTSTRAP",
    ];
    for (name, _) in env::vars_os() {
        if OF_A_PACKAGE.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
}

/// Cargo prints one JSON object per line; the one about the program names its file.
fn executable(messages: &str, program: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_program = messages.filter(|message| message["target"]["name"] == program);
    of_program.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"worker\"},\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"dbmazz\"},\"executable\":\"/target/dbmazz\"}\n";
        assert_eq!(executable(messages, "dbmazz"), Some(PathBuf::from("/target/dbmazz")));
    }
}
