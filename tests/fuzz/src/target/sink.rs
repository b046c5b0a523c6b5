//! Data from StarRocks: answers over HTTP and over the MySQL protocol.

use std::path::Path;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use worker::{
    config::SinkConfig,
    fuzz::{sink as door, verify},
};

use super::{Fuzzed, chosen, files, tables};

const SENT: u64 = 7;
/// The HTTP statuses, selected by the byte before the body.
const STATUS: [u16; 8] = [200, 200, 200, 401, 403, 404, 500, 307];

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a thread of ours can wait")
}

fn config(query_port: u16) -> SinkConfig {
    files::least(&[("SINK_PORT", &query_port.to_string())]).sink
}

/// The answer to a load, head and body.
pub(super) fn http() -> Fuzzed {
    let (runtime, table, config) = (runtime(), tables::every(), config(9030));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has ports");
    let at = listener.local_addr().expect("it listens");
    Box::new(move |bytes| {
        runtime.block_on(async {
            let stream = TcpStream::connect(at).await.expect("it listens");
            drop(listener.accept().await.expect("somebody connected"));
            // An error is a correct result for invalid bytes.
            let _taken = door::exchange(stream, bytes, &config, &table, SENT).await.is_ok();
        });
    })
}

/// The body of an answer: rows count as loaded only where its text says so.
pub(super) fn answer() -> Fuzzed {
    let table = tables::every();
    Box::new(move |bytes| {
        let (choice, body) = chosen(bytes);
        let status = STATUS[usize::from(choice) % 8];
        let taken = door::answer(status, body.to_vec(), &table, SENT);
        // Fields that the worker does not read may hold a number out of range or invalid text.
        let Ok(said) = serde_json::from_slice::<Value>(body) else { return };
        assert!(!taken.committed || (status == 200 && says_committed(&said)), "{said}");
        let known = matches!(said["state"].as_str(), Some("VISIBLE" | "COMMITTED"));
        assert!(!taken.known || (status == 200 && known), "{said}");
    })
}

fn says_committed(said: &Value) -> bool {
    let status = said["Status"].as_str().or(said["status"].as_str());
    match status {
        Some("Success" | "Publish Timeout") => said["NumberLoadedRows"] == SENT,
        Some("Label Already Exists") => said["ExistingJobStatus"] == "FINISHED",
        _ => false,
    }
}

/// The body of an answer to a call of a transaction over several tables, or the version of a StarRocks: nothing counts
/// as done unless the text says so, and control characters of the server's text do not reach a log.
pub(super) fn step() -> Fuzzed {
    let table = tables::every();
    Box::new(move |bytes| {
        let (choice, body) = chosen(bytes);
        let status = STATUS[usize::from(choice) % 8];
        let taken = door::step(status, body.to_vec(), &table, SENT);
        assert!(taken.told.iter().all(|told| !told.contains(char::is_control)), "{:?}", taken.told);
        let text = String::from_utf8_lossy(body);
        let (version, create) = text.split_once('\0').unwrap_or((&text, ""));
        let numbers =
            version.split(|letter: char| !letter.is_ascii_digit()).filter(|number| !number.is_empty());
        assert!(!door::takes_steps(version, create) || numbers.count() > 2, "{version:?}");
        // Fields that the worker does not read may hold a number out of range or invalid text.
        let Ok(said) = serde_json::from_slice::<Value>(body) else { return };
        let is_ok = status == 200 && says_ok(&said);
        assert!(is_ok || !(taken.accepted || taken.loaded), "{said}");
        assert!(!taken.ended || says_ended(is_ok, &said), "{said}");
    })
}

/// Whether the answer to a rollback says that the transaction has ended for good.
fn says_ended(is_ok: bool, said: &Value) -> bool {
    let message = said["Message"].as_str().or(said["msg"].as_str()).unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    match is_ok {
        true => !says(&["abort is already in progress", "rollback pending"]),
        false => says(&["No transaction found", "Can't find the transaction"]),
    }
}

fn says_ok(said: &Value) -> bool {
    let status = said["Status"].as_str().or(said["status"].as_str());
    status == Some("OK")
}

/// The text of SHOW CREATE TABLE, a NUL byte, and rows of tab-separated values.
pub(super) fn catalogue() -> Fuzzed {
    let table = tables::every();
    Box::new(move |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (create, rows) = text.split_once('\0').unwrap_or((&text, ""));
        let value = |text: &str| (text != "\\N").then(|| text.to_owned());
        let rows = rows.lines().map(|line| line.split('\t').map(value).collect()).collect();
        door::catalogue(&table, create, rows, Path::new("/nowhere"));
    })
}

/// A MySQL server that sends fixed bytes without waiting for requests, to the worker and to `dbmazz verify`.
pub(super) fn mysql() -> Fuzzed {
    let (runtime, table) = (runtime(), tables::every());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has ports");
    let config = config(listener.local_addr().expect("it listens").port());
    Box::new(move |bytes| {
        runtime.block_on(async {
            // A fault is a correct result for invalid bytes.
            let (_rows, ()) = tokio::join!(door::session(&config), say(&listener, bytes));
            let (_columns, ()) = tokio::join!(verify::described(&config, &table.name), say(&listener, bytes));
        });
    })
}

async fn say(listener: &TcpListener, bytes: &[u8]) {
    let (mut stream, _) = listener.accept().await.expect("somebody connects");
    let mut heard = Vec::new();
    // The client may close at any time.
    let _said = stream.write_all(bytes).await.is_ok() && stream.shutdown().await.is_ok();
    let _heard = stream.read_to_end(&mut heard).await.is_ok();
}
