//! Who may know whom: reads the sources and fails on a violation.

use std::{fs, path::Path};

/// Modules that decide and do not act: no client, no clock, no await.
const PURE: [&str; 14] = [
    "cadence.rs",
    "validate.rs",
    "plan/",
    "status/",
    "pod.rs",
    "problem.rs",
    "names.rs",
    "job.rs",
    "live.rs",
    "observe/steer.rs",
    "apply/fit.rs",
    "deletion/evidence.rs",
    "deletion/deadline.rs",
    "deletion/cleanup_job.rs",
];
const IMPURE_WORDS: [&str; 9] = [
    "kube::Client",
    "kube::Api",
    "kube::{",
    "tokio",
    "tonic",
    ".await",
    "async fn",
    "Timestamp::now",
    "Instant",
];
/// Only these call workers.
const SPEAKERS: [&str; 3] = ["control.rs", "observe/mod.rs", "deletion/mod.rs"];
/// Only these change anything in the cluster.
const WRITERS: [&str; 6] = [
    "apply/mod.rs",
    "deletion/mod.rs",
    "deletion/run_job.rs",
    "deletion/server_time.rs", // a dry run
    "patch/",
    "token.rs",
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.ends_with("layering.rs") || path.ends_with("tests.rs") => {}
                path if path.extension().is_some_and(|extension| extension == "rs") => {
                    let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                    found.push((name, code(&fs::read_to_string(&path).unwrap())));
                }
                _ => {}
            }
        }
    }
    found
}

/// The source without comment lines.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_in(name: &str, modules: &[&str]) -> bool {
    modules.iter().any(|module| name == *module || module.ends_with('/') && name.starts_with(module))
}

#[test]
fn what_decides_does_not_act() {
    for (name, code) in sources().iter().filter(|(name, _)| is_in(name, &PURE)) {
        for word in IMPURE_WORDS {
            assert!(!code.contains(word), "{name} is pure and contains {word}");
        }
    }
}

#[test]
fn only_observe_and_deletion_speak_to_workers() {
    for (name, code) in sources().iter().filter(|(name, _)| !is_in(name, &SPEAKERS)) {
        assert!(!code.contains("Control::") && !code.contains("tonic::"), "{name} calls workers");
    }
}

#[test]
fn only_a_few_rooms_write() {
    for (name, code) in sources().iter().filter(|(name, _)| !is_in(name, &WRITERS)) {
        for word in ["Patch::", ".patch(", ".patch_status(", ".create(", ".replace(&", ".delete("] {
            assert!(!code.contains(word), "{name} writes: {word}");
        }
    }
}

#[test]
fn the_operator_does_not_know_the_worker() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    assert!(!manifest.lines().any(|line| line.starts_with("worker")));
    for (name, code) in sources() {
        assert!(!code.contains("use worker"), "{name}");
    }
}
