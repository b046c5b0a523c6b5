//! The settings of a session, whatever the role, the database or a pooler in between sets.

use std::time::Instant;

use crds::Reason;
use testbed::postgres::{Embedded, Postgres, PostgresOptions};
use worker::{
    config::{Secret, SourceConfig},
    postgres::prepare,
};

use crate::{
    follow::Follow,
    pooler,
    server::{ROLE, Source, eventually, server},
};

/// Sets a parameter for the test's role in the test's database.
fn role_has(source: &Source, setting: &str) {
    source.admin(&format!("ALTER ROLE {ROLE} IN DATABASE {} SET {setting}", source.name));
}

#[test]
fn a_role_that_reads_by_default_gets_its_publication_and_its_slot() {
    let source = Source::new("reads_by_default");
    role_has(&source, "default_transaction_read_only = on");
    let mut follow = Follow::start(&source.config(&["orders"]));
    assert!(follow.prepared.slot_created && follow.prepared.publication_created);
    source.admin("INSERT INTO orders VALUES (1, 'a')");
    follow.until_seen(1);
    follow.drain();
}

#[test]
fn values_have_one_text_whatever_the_settings_of_the_role_are() {
    let source = Source::new("odd_role");
    source.sql(
        "CREATE TABLE odd (\"Id\" int PRIMARY KEY, t timestamptz, d date, i interval, b bytea, f float8, m money, \
         s text DEFAULT E'a\\\\b')",
    );
    for setting in [
        "search_path = pg_temp, nowhere",
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'postgres_verbose'",
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
        "row_security = on",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "statement_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "idle_session_timeout = '10ms'",
    ] {
        role_has(&source, setting);
    }
    let mut follow = Follow::start(&source.config(&["odd"]));
    source.admin(
        "INSERT INTO odd VALUES (1, '2024-02-29 12:00:00.5+00', '2024-02-29', '1 day 02:00', '\\x00ff', \
         0.1::float8 + 0.2::float8, 12.5, E'a\\\\b')",
    );
    follow.until_seen(1);
    assert_eq!(
        follow.seen,
        ["+1,2024-02-29 12:00:00.5+00,2024-02-29,P1DT2H,\\x00ff,0.30000000000000004,$12.50,a\\b"]
    );
    follow.drain();
}

/// Needs version 17, the first one with `transaction_timeout`.
#[test]
fn time_outs_of_the_role_do_not_end_a_stream_that_has_to_wait() {
    let binaries = Some(Embedded::of(17).unwrap().binaries().unwrap());
    let server = Postgres::start(PostgresOptions { binaries, ..PostgresOptions::default() }).unwrap();
    server.psql("CREATE TABLE orders (id bigint PRIMARY KEY, note text)").unwrap();
    for setting in ["transaction_timeout = '500ms'", "idle_session_timeout = '500ms'"] {
        server.psql(&format!("ALTER ROLE postgres IN DATABASE postgres SET {setting}")).unwrap();
    }
    let mut config = Source { name: "postgres" }.config(&["orders"]);
    (config.port, config.user) = (server.port(), "postgres".into());
    (config.password, config.slot) = (Secret::new(server.password()), "patient".into());
    let mut follow = Follow::with_room(&config, 1);
    let rows = "INSERT INTO orders SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i";
    server.psql(&format!("SET transaction_timeout = 0; {rows}")).unwrap();
    // The server is in the middle of the transaction, and the reader has no room for more of it.
    let since = Instant::now();
    eventually("many times the time-out", || since.elapsed().as_secs() >= 3);
    follow.until_seen(50_000);
    assert_eq!(follow.progress.view().reconnects, 0);
    follow.drain();
}

#[test]
fn a_pooler_that_drops_a_setting_is_named_with_it() {
    let source = Source::new("pooled");
    role_has(&source, "TimeZone = 'Asia/Kathmandu'");
    role_has(&source, "search_path = public");
    for (dropped, named) in [(&["TimeZone"][..], "TimeZone"), (&["search_path"][..], "search_path")] {
        let port = pooler::dropping(server().address(), dropped);
        let fault = prepare(&SourceConfig { port, ..source.config(&["orders"]) }, &[]).unwrap_err();
        assert_eq!(fault.reason, Reason::SourceSettingsIgnored, "{fault}");
        assert!(fault.message.contains(named) && fault.fix.contains("pooler"), "{fault}");
    }
    assert_eq!(source.slot("count(*)"), "0", "nothing is made through it");
}

#[test]
fn a_pooler_that_drops_the_replication_of_a_session_is_named() {
    let source = Source::new("pooled_plain");
    let port = pooler::dropping(server().address(), &["replication"]);
    let fault = prepare(&SourceConfig { port, ..source.config(&["orders"]) }, &[]).unwrap_err();
    assert_eq!(fault.reason, Reason::SourceProtocolViolation, "{fault}");
    assert!(fault.fix.contains("pooler"), "{fault}");
}
