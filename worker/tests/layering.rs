//! Allowed imports between the modules of the worker: the rules of `lib.rs`, checked on the sources.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground is missing")]

#[path = "layering/source.rs"]
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use source::paths;

const VOCABULARY: [&str; 9] =
    ["backoff", "change", "fault", "lsn", "prior_run", "progress", "schema_history", "slot_lease", "table"];
const ABOVE_VOCABULARY: &[&str] =
    &["config", "control", "job", "pipeline", "postgres", "snapshot", "starrocks", "verify"];

/// A top-level module, and the ones that it must not import.
const FORBIDDEN: [(&str, &[&str]); 17] = [
    ("backoff", ABOVE_VOCABULARY),
    ("change", ABOVE_VOCABULARY),
    ("fault", ABOVE_VOCABULARY),
    ("lsn", ABOVE_VOCABULARY),
    ("prior_run", ABOVE_VOCABULARY),
    ("progress", ABOVE_VOCABULARY),
    ("schema_history", ABOVE_VOCABULARY),
    ("slot_lease", ABOVE_VOCABULARY),
    ("table", ABOVE_VOCABULARY),
    ("config", &["control", "job", "pipeline", "postgres", "snapshot", "starrocks", "verify"]),
    ("postgres", &["control", "job", "pipeline", "snapshot", "starrocks", "verify"]),
    ("pipeline", &["control", "job", "postgres", "snapshot", "starrocks", "verify"]),
    ("snapshot", &["control", "job", "starrocks", "verify"]),
    ("starrocks", &["control", "job", "postgres", "snapshot", "verify"]),
    ("control", &["job", "pipeline", "postgres", "snapshot", "starrocks", "verify"]),
    ("mysql", &["control", "job", "pipeline", "postgres", "snapshot", "starrocks", "verify"]),
    ("verify", &["control", "job", "pipeline", "snapshot", "starrocks"]),
];

/// Modules that decide and do not act: no task, no socket, no file, no clock.
const PURE: [&[&str]; 18] = [
    &["postgres", "pgoutput"],
    &["postgres", "route"],
    &["pipeline", "batch"],
    &["pipeline", "lane"],
    &["pipeline", "ledger"],
    &["pipeline", "transaction", "assembly"],
    &["pipeline", "transaction", "gathered"],
    &["postgres", "copy", "row"],
    &["snapshot", "pace"],
    &["starrocks", "load", "label"],
    &["starrocks", "encode"],
    &["starrocks", "load", "answer"],
    &["starrocks", "schema", "difference"],
    &["starrocks", "schema", "earlier"],
    &["starrocks", "schema", "name_check"],
    &["starrocks", "transaction", "call", "reply"],
    &["postgres", "setup", "tables"],
    &["postgres", "slot", "gap"],
];
const ACTS: [&str; 6] = ["tokio", "std::net", "std::fs", "std::thread", "Instant::now", "SystemTime::now"];

/// Order within a module: a submodule may import those before it in the list, never those after it.
const ORDER: [(&[&str], &[&str]); 13] = [
    (
        &["postgres"],
        &[
            "cursor",
            "sql",
            "kind",
            "visibility",
            "replaced",
            "pgoutput",
            "route",
            "error",
            "connection",
            "server",
            "query",
            "slot",
            "setup",
            "copy",
            "stream",
        ],
    ),
    (
        &["pipeline"],
        &[
            "batch",
            "ledger",
            "positions",
            "inputs",
            "fault",
            "barrier",
            "lane",
            "scheduler",
            "load_task",
            "transaction",
            "run",
        ],
    ),
    (
        &["starrocks"],
        &[
            "http",
            "quote",
            "sql",
            "doubtful",
            "target",
            "encode",
            "bookkeeping",
            "dead_letter",
            "schema",
            "load",
            "transaction",
            "fencing",
        ],
    ),
    (
        &["job"],
        &[
            "lease_keeper",
            "resume",
            "relay",
            "requests",
            "anew",
            "completion",
            "slot_lost",
            "halt_watch",
            "copies",
            "stream",
            "session",
            "session_loop",
            "supervisor",
        ],
    ),
    (
        &["verify"],
        &[
            "form", "json", "array", "hstore", "value", "key", "plan", "fault", "rows", "doubt", "report",
            "sink", "source", "compare",
        ],
    ),
    (
        &["snapshot"],
        &[
            "pace",
            "gathering",
            "lacking",
            "source",
            "reader",
            "filling",
            "engine",
            "shown",
            "chunk",
            "table",
            "removal",
            "run",
        ],
    ),
    (
        &["postgres", "setup"],
        &["catalogue", "identity", "publication", "emptiness", "tables", "removal", "lost"],
    ),
    (
        &["postgres", "stream"],
        &[
            "blocking_wait",
            "block_sender",
            "read_pacing",
            "status_update",
            "frame_buffer",
            "unsendable",
            "interruption",
            "admission",
            "catalogue_look",
            "catch_up",
            "session",
        ],
    ),
    (&["starrocks", "bookkeeping"], &["own_table", "claim", "checkpoint", "schema_histories", "owners"]),
    (
        &["starrocks", "encode"],
        &["problem", "output", "text", "date", "number", "json", "literal", "value", "rule", "plan"],
    ),
    (
        &["starrocks", "schema"],
        &[
            "model",
            "fault",
            "name_check",
            "header_room",
            "transaction_support",
            "targets",
            "truncate",
            "needed",
            "statement",
            "fill",
            "names",
            "key",
            "look",
            "earlier",
            "difference",
            "standing",
            "apply",
            "anew",
            "prepare",
            "reshape",
            "target_check",
        ],
    ),
    (
        &["starrocks", "load"],
        &["sequence", "label", "body", "request", "answer", "label_state", "journal", "loader"],
    ),
    (&["starrocks", "fencing"], &["holder", "predecessor", "prior_run", "grant"]),
];
/// Entry points for tests and for the fuzzer.
const DOORS: [&str; 2] = ["double", "fuzz"];

/// The forbidden paths that this source of `module` names.
fn violations(module: &[&str], text: &str) -> Vec<String> {
    let paths = paths(module, text);
    let broken = |path: &&String| crosses(module, path) || acts(module, path) || turns_back(module, path);
    paths.iter().filter(broken).map(|path| format!("{} names {path}", module.join("::"))).collect()
}

fn crosses(module: &[&str], path: &str) -> bool {
    let room = module.first().copied().unwrap_or_default();
    let forbidden = FORBIDDEN.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, rooms)| rooms);
    let foreign_word = VOCABULARY.contains(&room) && begins(path, "crds") && !begins(path, "crds::Reason");
    // With a glob import of the crate the imported names are unknown.
    let everything = !forbidden.is_empty() && matches!(path, "crate" | "crate::*");
    everything || foreign_word || forbidden.iter().any(|room| begins(path, &format!("crate::{room}")))
}

fn acts(module: &[&str], path: &str) -> bool {
    let pure = PURE.iter().any(|room| module.starts_with(room));
    let act = |act: &&str| begins(path, act) || path.ends_with(&format!("::{act}"));
    pure && ACTS.iter().any(act)
}

/// Whether the path leads to a submodule of the same module that comes later in the order.
fn turns_back(module: &[&str], path: &str) -> bool {
    let within = |(room, order): &(&[&str], &[&str])| {
        let Some(child) = module.strip_prefix(*room).and_then(|rest| rest.first()) else { return false };
        let place = |name: &str| order.iter().position(|other| *other == name);
        let room = format!("crate::{}::", room.join("::"));
        let named = path.strip_prefix(&room).and_then(|path| place(path.split("::").next()?));
        match (place(child), named) {
            (Some(place), Some(named)) => named > place,
            (None, _) => !DOORS.contains(child),
            _ => false,
        }
    };
    ORDER.iter().any(within)
}

/// Whether the path is `prefix`, or below it.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn no_room_of_the_worker_knows_what_it_must_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&root);
    assert!(files.len() > 20, "the sources are somewhere else: {files:?}");
    let found: Vec<String> = files.iter().flat_map(|file| of_file(&root, file)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn of_file(root: &Path, file: &Path) -> Vec<String> {
    let place = file.strip_prefix(root).unwrap().with_extension("");
    let mut module: Vec<&str> = place.iter().map(|step| step.to_str().unwrap()).collect();
    if matches!(module.last(), Some(&"mod" | &"lib" | &"main")) {
        module.pop();
    }
    // Tests may import modules that the code may not, to check them together.
    let text = if module.contains(&"tests") { String::new() } else { fs::read_to_string(file).unwrap() };
    violations(&module, &text)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn every_way_to_name_a_forbidden_room_is_found() {
    for (module, text) in [
        (vec!["lsn"], "use crate::config::JobConfig;"),
        (vec!["fault"], "use crds::{Reason, spec::Tls};"),
        (vec!["postgres"], "use crate::{lsn::Lsn, pipeline::Batch};"),
        (vec!["postgres", "stream"], "use super::super::starrocks as sink;"),
        (vec!["postgres", "stream"], "use crate::{\n    config::{A, B},\n    control::{self, C},\n};"),
        (vec!["pipeline"], "fn f() -> crate::postgres::Stream { g() }"),
        (vec!["pipeline"], "pub(crate) use crate::job;"),
        (vec!["pipeline"], "use crate::*;"),
        (vec!["pipeline"], "use crate as all;"),
        (vec!["starrocks"], "use crate :: postgres :: Stream;"),
        (vec!["control", "grpc"], "mod a { use super::super::super::pipeline::Batch; }"),
        (vec!["verify", "value"], "use crate::starrocks::encode;"),
        (vec!["control"], "fn f() { let x = \"// \"; crate::job::run() }"),
        (vec!["pipeline", "batch"], "use std::{fs, sync::Arc};"),
        (vec!["pipeline", "batch", "store"], "use std::net::TcpStream;"),
        (vec!["pipeline", "ledger"], "use tokio::sync::mpsc;"),
        (vec!["pipeline", "lane"], "use std::time::Instant; fn f() { Instant::now(); }"),
        (vec!["starrocks", "load", "label"], "fn f() { std::time::SystemTime::now(); }"),
        (vec!["starrocks", "sql"], "use super::load::answer::quotable;"),
        (vec!["starrocks", "load", "loader"], "use crate::starrocks::{fencing::grant, sql};"),
        (vec!["postgres", "slot", "check"], "use crate::postgres::stream;"),
        (vec!["pipeline", "a_room_without_a_place"], "use crate::pipeline::batch;"),
        (vec!["starrocks", "encode", "literal"], "use crate::starrocks::encode::value::Form;"),
        (vec!["starrocks", "load", "answer", "retryable"], "use super::super::loader::Loader;"),
        (vec!["verify", "array"], "use super::value::canonical;"),
    ] {
        assert!(!violations(&module, text).is_empty(), "{module:?}: {text}");
    }
}

#[test]
fn what_is_allowed_is_not_complained_of() {
    for (module, text) in [
        (vec!["fault"], "use crds::Reason; use crate::table::TableName;"),
        (vec!["postgres"], "//! Unlike crate::pipeline.\nuse crate::{change::Change, config::SourceConfig};"),
        (vec!["postgres"], "fn f() { let x = \"crate::pipeline\"; /* crate::job */ }"),
        (vec!["postgres", "stream"], "use std::net::TcpStream; use super::slot;"),
        (vec!["pipeline"], "#[cfg(test)]\nmod tests {\n    use crate::starrocks::Sink;\n}\n"),
        (vec!["pipeline", "batch"], "use std::time::Instant; fn due(now: Instant) {}"),
        (vec!["job"], "use crate::{control, pipeline, postgres, starrocks};"),
        (vec!["starrocks"], "use crate::pipeline::Load;"),
        (vec!["starrocks", "fencing", "grant"], "use crate::starrocks::load::loader::Loader;"),
        (vec!["postgres", "error"], "use self::slot::gap; use super::route::Contradiction;"),
    ] {
        assert_eq!(violations(&module, text), Vec::<String>::new(), "{module:?}: {text}");
    }
}
