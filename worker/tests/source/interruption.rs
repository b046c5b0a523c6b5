use std::{
    thread,
    time::{Duration, Instant},
};

use crds::Reason;
use worker::{
    fault::Course,
    lsn::Lsn,
    postgres::{Intake, prepare},
    prior_run::{End, PriorRun},
};

use crate::{
    follow::Follow,
    server::{ROLE, Source, eventually},
};

fn impatient(source: &Source) {
    source.admin(&format!("ALTER ROLE {ROLE} IN DATABASE {} SET wal_sender_timeout = '2s'", source.name));
}

#[test]
fn keepalives_are_answered_while_downstream_is_full() {
    let source = Source::new("no_room");
    impatient(&source);
    let mut follow = Follow::with_room(&source.config(&["orders"]), 1);
    source.sql("INSERT INTO orders SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i");
    eventually("the stream runs", || source.walsender("state") == "streaming");
    let walsender = source.walsender("pid");
    let (mut replies, mut last) = (0, String::new());
    eventually("ten replies, over many times the time-out", || {
        let reply = source.walsender("reply_time");
        replies += usize::from(reply != last);
        last = reply;
        replies > 10
    });
    assert_eq!(source.walsender("pid"), walsender);
    follow.until_seen(100_000);
    assert_eq!(follow.progress.view().reconnects, 0);
    follow.drain();
}

#[test]
fn pause_keeps_the_connection() {
    let source = Source::new("paused");
    impatient(&source);
    let mut follow = Follow::start(&source.config(&["orders"]));
    eventually("the stream runs", || source.walsender("state") == "streaming");
    let walsender = source.walsender("pid");
    follow.intake.send_replace(Intake::Paused);
    thread::sleep(Duration::from_millis(200));
    source.sql("INSERT INTO orders SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i");
    let paused = Instant::now();
    eventually("three times the time-out", || paused.elapsed() > Duration::from_secs(6));
    follow.take();
    assert_eq!(follow.seen.len(), 0);
    assert_eq!(source.walsender("pid"), walsender);
    follow.intake.send_replace(Intake::Open);
    follow.until_seen(20_000);
    follow.drain();
}

#[test]
fn a_terminated_walsender_is_replaced_and_no_change_is_missing() {
    let source = Source::new("terminated");
    let mut follow = Follow::start(&source.config(&["orders"]));
    for round in 0..8 {
        source.sql(&format!("INSERT INTO orders SELECT i FROM generate_series({round}001, {round}999) i"));
        source.admin("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'terminated'");
        source.sql(&format!("INSERT INTO orders VALUES ({round}000)"));
    }
    follow.until("all rows", |follow| {
        let rows: std::collections::HashSet<_> = follow.seen.iter().collect();
        rows.len() == 8000
    });
    assert!(follow.progress.view().reconnects > 0);
    assert!(follow.progress.view().faults.is_empty());
    follow.drain();
}

#[test]
fn drain_confirms_everything() {
    let source = Source::new("drained");
    let config = source.config(&["orders"]);
    let follow = Follow::start(&config);
    source.sql("INSERT INTO orders SELECT generate_series(1, 5000)");
    let (seen, settled) = follow.drain();
    assert_eq!(source.slot("confirmed_flush_lsn").parse(), Ok(settled));
    assert_eq!(source.slot("active"), "f");
    // The remaining rows, and none of them twice.
    let mut again = Follow::start(&config);
    again.until_seen(5000 - seen.len());
    again.drain();
}

#[test]
fn nothing_is_confirmed_that_is_not_durable() {
    let source = Source::new("not_durable");
    let config = source.config(&["orders"]);
    let follow = Follow::start(&config);
    let start = follow.prepared.confirmed;
    source.sql("INSERT INTO orders SELECT generate_series(1, 5000)");
    eventually("everything is received", || follow.progress.view().changes_received == 5000);
    eventually("it is told", || source.walsender("write_lsn").parse::<Lsn>().is_ok_and(|lsn| lsn > start));
    assert_eq!(source.slot("confirmed_flush_lsn").parse(), Ok(start));
    follow.abandon();
    let mut again = Follow::start(&config);
    again.until_seen(5000);
    again.drain();
}

#[test]
fn a_slot_in_use_is_waited_for() {
    let source = Source::new("in_use");
    let config = source.config(&["orders"]);
    let first = Follow::start(&config);
    eventually("the first streams", || source.slot("active") == "t");
    let mut second = Follow::start(&config);
    second.until("it is reported", |follow| {
        follow.progress.view().faults.iter().any(|fault| fault.reason == Reason::SlotInUse)
    });
    first.abandon();
    source.sql("INSERT INTO orders VALUES (1)");
    second.until_seen(1);
    assert!(second.progress.view().faults.is_empty());
    second.drain();
}

#[test]
fn a_slot_that_moved_while_it_was_waited_for_is_judged_again() {
    let source = Source::new("moved_on");
    let config = source.config(&["orders"]);
    let mut first = Follow::start(&config);
    eventually("the first streams", || source.slot("active") == "t");
    let second = Follow::start(&config);
    source.sql("INSERT INTO orders VALUES (1)");
    first.until_seen(1);
    first.drain();
    let fault = second.fault();
    assert_eq!((fault.reason, fault.course), (Reason::SlotInUse, Course::Retry));
    let mut third = Follow::start(&config);
    source.sql("INSERT INTO orders VALUES (2)");
    third.until_seen(1);
    third.drain();
}

#[test]
fn a_slot_with_a_prior_run_is_judged_when_nobody_holds_it() {
    let source = Source::new("past");
    let config = source.config(&["orders"]);
    let first = Follow::start(&config);
    eventually("the first streams", || source.slot("active") == "t");
    let system = first.prepared.system_identifier;
    let past = |end| PriorRun { system, timeline: Some(1), reached: Lsn(1), end };
    let judged = |end| prepare(&config, &[past(end)]).map_err(|fault| (fault.reason, fault.course));
    assert_eq!(judged(End::Orderly).unwrap_err(), (Reason::SlotInUse, Course::Retry));
    first.drain();
    assert_eq!(judged(End::Orderly).unwrap_err(), (Reason::ReplicationGap, Course::Halt));
    assert_eq!(judged(End::Cut { told: Lsn(1) }).unwrap_err(), (Reason::ReplicationGap, Course::Halt));
    let written = source.admin("SELECT pg_current_wal_flush_lsn()").parse().unwrap();
    assert!(judged(End::Cut { told: written }).is_ok());
    // A server whose WAL ends before the position that was confirmed to it was set back in time.
    let set_back = End::Cut { told: Lsn(u64::MAX) };
    assert_eq!(judged(set_back).unwrap_err(), (Reason::ReplicationGap, Course::Halt));
    assert!(judged(End::Unknown).is_ok());
}

/// Ends the reader's session and changes its slot before the reader has reconnected.
fn between_sessions(source: &Source, statement: &str) {
    eventually("it streams", || source.slot("active") == "t");
    let name = source.name;
    source.admin(&format!(
        "DO $$ BEGIN LOOP BEGIN
           PERFORM pg_terminate_backend(active_pid, 1000) FROM pg_replication_slots WHERE slot_name = '{name}';
           PERFORM {statement}; RETURN;
         EXCEPTION WHEN object_in_use THEN NULL; END; END LOOP; END $$"
    ));
}

#[test]
fn a_slot_that_is_gone_stops_the_stream() {
    let source = Source::new("gone");
    let follow = Follow::start(&source.config(&["orders"]));
    between_sessions(&source, "pg_drop_replication_slot('gone')");
    let fault = follow.fault();
    assert_eq!((fault.reason, fault.course), (Reason::SlotLost, Course::Halt));
}

#[test]
fn a_slot_moved_by_somebody_else_stops_the_stream() {
    let source = Source::new("moved");
    let config = source.config(&["orders"]);
    let follow = Follow::start(&config);
    follow.intake.send_replace(Intake::Paused);
    // Written at once, so that the current position of the WAL is beyond it.
    source.sql("SET synchronous_commit = on; INSERT INTO orders VALUES (1)");
    between_sessions(&source, "pg_replication_slot_advance('moved', pg_current_wal_lsn())");
    let fault = follow.fault();
    assert_eq!((fault.reason, fault.course), (Reason::ReplicationGap, Course::Halt));
    assert!(fault.message.contains("moved"), "{fault}");
}

#[test]
fn a_restarted_server_is_found_again() {
    let mut server =
        testbed::postgres::Postgres::start(testbed::postgres::PostgresOptions::default()).unwrap();
    server.psql("CREATE TABLE orders (id bigint PRIMARY KEY, note text)").unwrap();
    let mut config = Source { name: "postgres" }.config(&["orders"]);
    (config.port, config.user) = (server.port(), "postgres".into());
    (config.password, config.slot) = (worker::config::Secret::new(server.password()), "restarted".into());
    let mut follow = Follow::start(&config);
    server.psql("INSERT INTO orders VALUES (1)").unwrap();
    follow.until_seen(1);
    server.stop_immediate().unwrap();
    follow.until("the fault is reported", |follow| !follow.progress.view().faults.is_empty());
    server.start_again().unwrap();
    server.psql("INSERT INTO orders VALUES (2)").unwrap();
    follow.until("the second row", |follow| follow.seen.last().is_some_and(|row| row == "+2,null"));
    assert!(follow.progress.view().faults.is_empty());
    follow.drain();
}
