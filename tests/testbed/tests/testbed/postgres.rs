//! PostgreSQL servers of the test bed.

use std::{fmt::Display, fs, process::Command, time::Duration};

use testbed::{
    postgres::{EMBEDDED, Postgres, PostgresOptions},
    run,
};

#[test]
fn two_servers_run_side_by_side_with_logical_decoding() {
    let (first, second) = (start(), start());
    assert_ne!(first.port(), second.port());
    for server in [&first, &second] {
        assert_eq!(server.psql("SHOW wal_level").unwrap(), "logical");
    }
}

#[test]
fn every_embedded_version_starts_as_itself() {
    for embedded in EMBEDDED {
        let options =
            PostgresOptions { binaries: Some(embedded.binaries().unwrap()), ..PostgresOptions::default() };
        assert_eq!(Postgres::start(options).unwrap().version().unwrap(), embedded.major);
    }
}

#[test]
fn a_standby_follows_and_can_be_promoted() {
    let mut primary = start();
    let standby = primary.standby(&PostgresOptions::default()).unwrap();
    primary.psql("CREATE TABLE followed (id int)").unwrap();
    let follows = || Ok(standby.psql("SELECT to_regclass('followed') IS NOT NULL")? == "t");
    run::wait_until("the standby follows", Duration::from_secs(60), follows).unwrap();
    assert_eq!(standby.psql("SELECT pg_promote()").unwrap(), "t");
    standby.psql("INSERT INTO followed VALUES (1)").unwrap();
}

#[test]
fn a_login_takes_the_password() {
    let server = start();
    let login = |password: &str| {
        let mut psql = Command::new("psql");
        psql.args([
            "-h",
            "127.0.0.1",
            "-p",
            &server.port().to_string(),
            "-U",
            "postgres",
            "-Atc",
            "SELECT 1",
        ]);
        run::output(psql.env("PGPASSWORD", password))
    };
    assert_eq!(login(server.password()).unwrap(), "1\n");
    assert!(login("wrong").is_err());
    assert!(
        server
            .psql("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
            .unwrap()
            .starts_with("SCRAM-SHA-256")
    );
    assert_eq!(
        run::output(Command::new("psql").args([&server.url("postgres"), "-Atc", "SELECT 2"])).unwrap(),
        "2\n"
    );
}

#[test]
fn the_certificate_proves_the_server() {
    let server = Postgres::start(PostgresOptions { tls: true, ..Default::default() }).unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    fs::write(&authority, server.ca_certificate().unwrap()).unwrap();
    let login = |authority: &str| {
        let mut psql = Command::new("psql");
        psql.args([
            &server.url("postgres"),
            "-Atc",
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ]);
        run::output(psql.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", authority))
    };
    assert_eq!(login(authority.path().to_str().unwrap()).unwrap(), "t\n");
    assert!(login("/etc/ssl/certs/ca-certificates.crt").is_err());
}

#[test]
fn settings_win_over_the_defaults() {
    let server = Postgres::start(PostgresOptions::default().with("max_replication_slots", "3")).unwrap();
    assert_eq!(server.psql("SHOW max_replication_slots").unwrap(), "3");
}

#[test]
fn data_survives_a_restart_and_a_crash() {
    let mut server = start();
    let port = server.port();
    server.psql("CREATE TABLE kept (id int)").unwrap();
    server.restart().unwrap();
    server.psql("SET synchronous_commit = on; INSERT INTO kept VALUES (1)").unwrap();
    server.stop_immediate().unwrap();
    assert!(server.psql("SELECT 1").is_err());
    server.start_again().unwrap();
    assert_eq!(server.psql("SELECT * FROM kept").unwrap(), "1");
    assert_eq!(server.port(), port);
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let server = start();
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    drop(server);
    assert!(!folder.exists());
    assert!(!is_running(&pid));
}

#[test]
fn a_killed_owner_leaves_no_process_and_no_folder() {
    let mut owner = crate::owner::spawn(&["postgres"]);
    let folder = owner.said("folder");
    let pid = owner.said("pid");
    owner.kill();
    run::wait_until("the folder is gone", Duration::from_secs(30), || Ok(!fs::exists(&folder)?)).unwrap();
    assert!(!is_running(&pid));
}

fn start() -> Postgres {
    Postgres::start(PostgresOptions::default()).unwrap()
}

/// An ended process that nobody has collected yet has no program any more.
fn is_running(pid: &impl Display) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}
