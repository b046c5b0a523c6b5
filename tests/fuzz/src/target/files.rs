//! Files and variables written by a person, the operator, or an earlier worker.

use std::{collections::BTreeMap, fs, path::Path};

use tempfile::TempDir;
use worker::{
    config::{ConfigError, JobConfig, description, dotenv, environment},
    fuzz::sink as door,
};

use super::{Fuzzed, source::contains};

pub(super) const PASSWORD: &str = "hunter2";

/// The minimal description of a job, plus `more`.
pub(super) fn least(more: &[(&str, &str)]) -> JobConfig {
    let source = format!("postgres://repl:{PASSWORD}@pg/app");
    let least = [("SOURCE_URL", source.as_str()), ("SINK_URL", "127.0.0.1"), ("SINK_DATABASE", "app")];
    let of = |name: &str| least.iter().chain(more).find(|(known, _)| *known == name).map(|(_, value)| *value);
    environment::read(|name| of(name).map(str::to_owned)).expect("it describes a job")
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (name, content) in files {
        put(&directory.path().join(name), content);
    }
    directory
}

fn put(file: &Path, content: &[u8]) {
    fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).expect("a directory can be made");
    fs::write(file, content).expect("a file can be written");
}

/// Whether the output about a job, or its error, contains a password.
fn tells(read: &Result<JobConfig, ConfigError>, secret: &str) -> bool {
    let told = match read {
        Ok(job) => format!("{job:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    told.contains(secret)
}

/// The job file that the operator mounts.
pub(super) fn job() -> Fuzzed {
    use crds::description::{
        JOB_FILE, SINK_PASSWORD, SINK_USERNAME, SOURCE_CA, SOURCE_PASSWORD, SOURCE_USERNAME,
    };
    let directory = directory(&[
        (SOURCE_USERNAME, b"repl"),
        (SOURCE_PASSWORD, PASSWORD.as_bytes()),
        (SINK_USERNAME, b"writer"),
        (SINK_PASSWORD, PASSWORD.as_bytes()),
        (SOURCE_CA, b"-----BEGIN CERTIFICATE-----\n"),
    ]);
    Box::new(move |bytes| {
        put(&directory.path().join(JOB_FILE), bytes);
        let read = description::read(directory.path(), |_| None);
        assert!(contains(bytes, PASSWORD.as_bytes()) || !tells(&read, PASSWORD));
    })
}

/// The variables, from the text of a `.env` file. Every variable that names a file is pointed to a file of this target.
pub(super) fn environment() -> Fuzzed {
    let directory = directory(&[("secret", PASSWORD.as_bytes())]);
    let secret = directory.path().join("secret").to_string_lossy().into_owned();
    Box::new(move |bytes| {
        let _kept = &directory;
        let text = String::from_utf8_lossy(bytes);
        let mut variables = match dotenv::read(&text) {
            Ok(variables) => variables,
            Err(error) => return assert!(!error.to_string().contains(PASSWORD), "{error}"),
        };
        variables
            .iter_mut()
            .filter(|(name, _)| name.ends_with("_FILE"))
            .for_each(|(_, path)| *path = secret.clone());
        let read = environment::read(|name| variables.get(name).cloned());
        let meant = read.as_ref().is_ok_and(is_meant_to_be_seen);
        assert!(meant || is_shown(&variables) || !tells(&read, PASSWORD), "{read:?}");
    })
}

/// Whether the input itself has the password in a variable that is not secret.
fn is_shown(variables: &BTreeMap<String, String>) -> bool {
    const SECRETS: [&str; 4] = ["SOURCE_URL", "SOURCE_PASSWORD", "SINK_PASSWORD", "SINK_URL"];
    variables.iter().any(|(name, value)| !SECRETS.contains(&name.as_str()) && value.contains(PASSWORD))
        || variables.get("SOURCE_URL").is_some_and(|url| is_outside_password(url))
        || variables.get("SINK_URL").is_some_and(|url| url.contains(PASSWORD))
}

/// Whether the job uses the password also as a name.
fn is_meant_to_be_seen(job: &JobConfig) -> bool {
    let seen = [&job.source.host, &job.source.user, &job.source.database, &job.sink.host];
    seen.iter().any(|name| name.contains(PASSWORD))
        || job.source.tls.ca_file.as_ref().is_some_and(|file| file.to_string_lossy().contains(PASSWORD))
}

/// Whether a URL contains the password outside its password part.
fn is_outside_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some((account, _)) = authority.rsplit_once('@') else { return false };
    let password = account.split_once(':').map_or("", |(_, password)| password);
    url.matches(PASSWORD).count() > password.matches(PASSWORD).count()
}

/// The files that an earlier worker left in the state directory: name, position, and the labels of loads, one per line.
pub(super) fn notes() -> Fuzzed {
    Box::new(|bytes| {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let (name, durable) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let directory = directory(&[("name", name), ("durable", durable)]);
        let names = lines.filter_map(|line| std::str::from_utf8(line).ok());
        let usable = |name: &&str| !name.is_empty() && name.len() < 256 && !name.contains(['/', '\0', '.']);
        names.filter(usable).for_each(|name| put(&directory.path().join("loads").join(name), b""));
        // An error is a correct result for unreadable files.
        let _noted = door::notes(directory.path()).is_ok();
    })
}
