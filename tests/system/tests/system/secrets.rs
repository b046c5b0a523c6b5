//! Credentials do not leak: no log line, page, file, or command line of the worker contains one.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use system::{
    sink::Sink,
    worker::{Settings, Worker},
};

use super::rig::{DATABASE, Rig};

/// A password that needs percent-encoding in a URL, and its encoded form.
const SOURCE: (&str, &str) = ("Sm0ke@n/mirr%rs", "Sm0ke%40n%2Fmirr%25rs");
const SINK: &str = "Gr@niteHarb/ur";
/// `cdc:` and the password of the sink, as in an HTTP header.
const SINK_IN_A_HEADER: &str = "Y2RjOkdyQG5pdGVIYXJiL3Vy";
/// The passwords, and their middle parts, which no way of quoting changes.
const FORMS: [&str; 6] = ["Sm0ke", "mirr", SOURCE.0, SINK, "niteHarb", SINK_IN_A_HEADER];

const PAGES: [&str; 7] = ["/", "/status", "/metrics", "/metrics/prometheus", "/healthz", "/livez", "/readyz"];

/// A rig whose source and sink need passwords, with the correct ones in the worker's settings, at the most verbose log
/// level.
async fn guarded() -> Result<Rig> {
    let role = format!("CREATE ROLE repl LOGIN REPLICATION PASSWORD '{}'", SOURCE.0);
    let schema = format!(
        "CREATE TABLE t (id int PRIMARY KEY); {role}; ALTER TABLE t OWNER TO repl;
         GRANT CREATE ON DATABASE postgres TO repl"
    );
    let mut rig = Rig::of(&schema, "t").await?;
    rig.sink = Sink::with(&["--user=root:", &format!("--user=cdc:{SINK}")]).await?;
    let url = format!("postgres://repl:{}@127.0.0.1:{}/postgres", SOURCE.1, rig.postgres.port());
    rig.settings = Settings::new(&url, &rig.sink, DATABASE, "t")?
        .with("SINK_USER", "cdc")
        .with("SINK_PASSWORD", SINK)
        .with("RUST_LOG", "trace");
    Ok(rig)
}

/// Every text of the worker that others can see, with its place.
async fn seen(worker: &mut Worker, settings: &Settings) -> Result<Vec<(String, String)>> {
    let mut seen = vec![
        ("log".to_owned(), worker.process().said()),
        ("gRPC status".to_owned(), format!("{:?}", worker.status().await?)),
    ];
    for page in PAGES {
        seen.push((page.to_owned(), worker.http(page)?.1));
    }
    for file in ["cmdline", "comm"] {
        let path = format!("/proc/{}/{file}", worker.process().pid());
        seen.push((file.to_owned(), fs::read_to_string(path)?));
    }
    let state = settings.variables().find(|(name, _)| *name == "DBMAZZ_STATE_DIR").context("it is set")?.1;
    notes(Path::new(state), &mut seen)?;
    Ok(seen)
}

/// Collects the names and contents of all files below the directory.
fn notes(directory: &Path, seen: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            notes(&path, seen)?;
        } else {
            let content = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            seen.push(("state directory".to_owned(), format!("{} {content}", path.display())));
        }
    }
    Ok(())
}

/// The places whose text contains a credential, with the surrounding text.
fn leaks(seen: &[(String, String)]) -> Vec<String> {
    let leaks = seen.iter().flat_map(|(place, text)| {
        FORMS.iter().filter_map(move |form| {
            let at = text.find(form)?;
            let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
            Some(format!("{place}: {}", &text[line..at + form.len()]))
        })
    });
    leaks.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_tells_no_credential_at_any_level() -> Result<()> {
    let rig = guarded().await?;
    let mut worker = rig.worker().await?;
    rig.source.run("INSERT INTO t SELECT generate_series(1, 100)").await?;
    assert_eq!(rig.until_table_equal("t").await?, 100);
    let seen = seen(&mut worker, &rig.settings).await?;
    assert!(seen.iter().any(|(place, text)| place == "log" && text.contains("TRACE")), "it says what it can");
    assert!(seen.iter().any(|(place, _)| place == "state directory"), "it keeps notes");
    assert_eq!(leaks(&seen), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_tells_no_credential() -> Result<()> {
    let rig = guarded().await?;
    let refusals = [
        ("SourceAuthenticationFailed", "ALTER ROLE repl PASSWORD 'another'", rig.settings.clone()),
        ("SinkAuthenticationFailed", "SELECT 1", rig.settings.clone().with("SINK_USER", "root")),
    ];
    for (reason, statement, settings) in refusals {
        let former = format!("ALTER ROLE repl PASSWORD '{}'", SOURCE.0);
        rig.source.run(statement).await?;
        let mut worker = Worker::start(&settings)?;
        let fault = worker.until_fault(reason).await?;
        let mut seen = seen(&mut worker, &settings).await?;
        seen.push(("fault".to_owned(), format!("{fault:?}")));
        assert_eq!(leaks(&seen), Vec::<String>::new(), "{reason}");
        rig.source.run(&former).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_is_refused_tells_no_credential() -> Result<()> {
    let rig = guarded().await?;
    let refused = [
        ("SOURCE_URL", format!("postgres://repl:{}@127.0.0.1:5432/postgres", SOURCE.0)),
        ("SOURCE_URL", format!("postgres://repl:{}@127.0.0.1:none/postgres", SOURCE.1)),
        ("SINK_URL", format!("http://cdc:{SINK}@127.0.0.1:8030")),
    ];
    for (name, value) in refused {
        let settings = rig.settings.clone().with(name, &value);
        let mut worker = Worker::start(&settings)?;
        let status = system::wait::until("the worker ends", async || worker.process().ended()).await?;
        let said = worker.process().said();
        assert_eq!(status.code(), Some(2), "{said}");
        assert_eq!(leaks(&[("log".to_owned(), said)]), Vec::<String>::new(), "{name}");
    }
    Ok(())
}
