//! A long backlog is read in chunks, and the stream continues where the chunks end.

use crds::Reason;
use worker::{
    config::SourceConfig,
    fault::Course,
    lsn::Lsn,
    postgres::{Intake, prepare},
    prior_run::{End, PriorRun},
    progress::SlotHealth,
};

use crate::{
    follow::Follow,
    server::{Session, Source, eventually},
};

/// The number of rows of 500 bytes: enough WAL for catch-up to begin.
const BACKLOG: usize = 60_000;
/// The number of such rows when each has its own transaction.
const SMALL: usize = 40_000;

fn eager(source: &Source) -> SourceConfig {
    SourceConfig { catch_up: Some(0), ..source.config(&["orders"]) }
}

fn confirmed(source: &Source) -> Lsn {
    source.slot("confirmed_flush_lsn").parse().unwrap()
}

/// Creates a slot with unread rows behind it.
fn backlog(source: &Source) {
    Follow::start(&source.config(&["orders"])).drain();
    source
        .sql(&format!("INSERT INTO orders SELECT i, repeat('x', 500) FROM generate_series(1, {BACKLOG}) i"));
    // A peek of the slot ends at the flushed WAL, and the test server commits asynchronously.
    source.sql("SET synchronous_commit = on; INSERT INTO orders VALUES (0, 'last of the backlog')");
}

/// As [`backlog`], with each row in its own transaction.
fn small_transactions(source: &Source) {
    Follow::start(&source.config(&["orders"])).drain();
    source.admin(&format!(
        "DO $$ BEGIN FOR i IN 1..{SMALL} LOOP INSERT INTO orders VALUES (i, repeat('x', 500)); COMMIT; \
         END LOOP; END $$"
    ));
    source.sql("SET synchronous_commit = on; INSERT INTO orders VALUES (0, 'end')");
}

fn sees_all_of_the_small_once(mut follow: Follow) {
    follow.until("the end is there", |follow| follow.seen.last().is_some_and(|last| last.ends_with("end")));
    let (seen, _) = follow.drain();
    let rows: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((rows.len(), seen.len()), (SMALL + 1, SMALL + 1));
}

/// Receives this many changes without making them durable.
fn take(follow: &mut Follow, changes: usize) {
    // Reports a held byte, as the pipeline does while changes wait.
    follow.progress.held_bytes(1);
    while follow.seen.len() < changes {
        let block = follow.blocks.blocking_recv().unwrap();
        follow.note(&block);
    }
}

/// The number of copied slots that sessions of this job have.
fn copies(source: &Source) -> String {
    let count = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND database = ";
    source.admin(&format!("{count}'{}'", source.slot("database")))
}

#[test]
fn a_backlog_comes_whole_and_in_order_and_the_stream_goes_on_behind_it() {
    let source = Source::new("behind");
    backlog(&source);
    let before = confirmed(&source);
    let mut follow = Follow::start(&eager(&source));
    take(&mut follow, 1);
    assert_eq!(source.walsender("state"), "startup", "chunks are read, and nothing streams");
    assert_eq!(copies(&source), "1");
    take(&mut follow, BACKLOG + 1);
    assert_eq!(follow.seen.last().map(String::as_str), Some("+0,last of the backlog"));
    assert_eq!(confirmed(&source), before, "nothing is confirmed before it is durable");
    follow.until("the stream goes on", |_| source.walsender("state") == "streaming");
    assert_eq!(copies(&source), "0", "nothing else holds WAL back any more");
    source.sql("INSERT INTO orders VALUES (-1, 'new')");
    follow.until_seen(BACKLOG + 2);
    let (seen, settled) = follow.drain();
    let changes: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((changes.len(), seen.len()), (BACKLOG + 2, BACKLOG + 2), "nothing comes twice");
    assert_eq!(confirmed(&source), settled);
}

#[test]
fn a_backlog_is_streamed_when_the_server_refuses_to_copy_the_slot() {
    let source = Source::new("behind_refused");
    backlog(&source);
    let copying = "pg_copy_logical_replication_slot(name, name, boolean)";
    source.sql(&format!("REVOKE EXECUTE ON FUNCTION {copying} FROM PUBLIC"));
    let mut follow = Follow::start(&eager(&source));
    follow.until_seen(BACKLOG + 1);
    eventually("a stream runs", || !["", "startup"].contains(&source.walsender("state").as_str()));
    follow.drain();
}

#[test]
fn a_transaction_that_came_whole_before_the_session_was_cut_does_not_come_again() {
    let source = Source::new("behind_cut");
    backlog(&source);
    source.sql(&format!("UPDATE orders SET note = repeat('y', 500) WHERE id BETWEEN 1 AND {BACKLOG}"));
    source.sql("SET synchronous_commit = on; INSERT INTO orders VALUES (-1, 'end')");
    let mut follow = Follow::start(&eager(&source));
    take(&mut follow, BACKLOG + 2);
    source.admin(&format!("SELECT pg_terminate_backend({})", source.walsender("pid")));
    follow.until("the end is there", |follow| follow.seen.last().is_some_and(|last| last.ends_with("end")));
    let inserted = follow.seen.iter().filter(|seen| seen.starts_with('+')).count();
    assert_eq!(inserted, BACKLOG + 2, "what had come whole, and nothing of it twice");
    follow.drain();
}

#[test]
fn nothing_is_lost_when_the_session_is_cut_in_the_middle_of_a_chunk() {
    let source = Source::new("behind_torn");
    small_transactions(&source);
    let mut follow = Follow::start(&eager(&source));
    take(&mut follow, 1);
    source.admin(&format!("SELECT pg_terminate_backend({})", source.walsender("pid")));
    sees_all_of_the_small_once(follow);
}

#[test]
fn a_job_that_was_paused_while_it_caught_up_goes_on_without_gap_or_repeat() {
    let source = Source::new("behind_paused");
    small_transactions(&source);
    let mut follow = Follow::with_room(&eager(&source), 1 << 30);
    take(&mut follow, 1);
    follow.intake.send_replace(Intake::Paused);
    let streams = |_: &Follow| ["catchup", "streaming"].contains(&source.walsender("state").as_str());
    follow.until("the chunk is left", streams);
    follow.intake.send_replace(Intake::Open);
    sees_all_of_the_small_once(follow);
}

#[test]
fn a_drain_during_catch_up_confirms_what_is_durable() {
    let source = Source::new("behind_drained");
    backlog(&source);
    let mut follow = Follow::start(&eager(&source));
    take(&mut follow, 1);
    let (_, settled) = follow.drain();
    assert_eq!(confirmed(&source), settled);
}

#[test]
fn rule_10_a_second_worker_waits_while_the_first_catches_up() {
    let source = Source::new("behind_twice");
    backlog(&source);
    let mut first = Follow::start(&eager(&source));
    take(&mut first, 1);
    assert_eq!(source.slot("active"), "f", "nobody holds the slot itself");
    let second = Follow::start(&source.config(&["orders"]));
    second.until_raised(Reason::SlotInUse);
    second.abandon();
    first.drain();
}

#[test]
fn rule_10_a_slot_with_a_prior_run_is_not_judged_while_a_worker_catches_up() {
    let source = Source::new("behind_judged");
    backlog(&source);
    let mut first = Follow::start(&eager(&source));
    take(&mut first, 1);
    assert_eq!(source.slot("active"), "f", "nobody holds the slot itself");
    let system = first.prepared.system_identifier;
    let past = PriorRun { system, timeline: Some(1), reached: Lsn(1), end: End::Orderly };
    let fault = prepare(&source.config(&["orders"]), &[past]).unwrap_err();
    assert_eq!((fault.reason, fault.course), (Reason::SlotInUse, Course::Retry));
    first.drain();
}

/// Opens a transaction and keeps it open while the WAL grows by more than the server should decode again for every
/// chunk.
fn open_for_long(source: &Source) -> Session {
    let open = Session::begin(source, "INSERT INTO orders VALUES (-7, 'open')");
    source.admin("CREATE TABLE noise (id int)");
    // A switched segment counts as a full one, although it is nearly empty.
    source.admin("DO $$ BEGIN FOR i IN 1..80 LOOP INSERT INTO noise VALUES (i); PERFORM pg_switch_wal(); COMMIT; END LOOP; END $$");
    open
}

#[test]
fn a_slot_that_begins_far_behind_is_streamed_and_its_backlog_not_decoded_for_every_chunk() {
    let source = Source::new("behind_pinned");
    Follow::start(&source.config(&["orders"])).drain();
    let open = open_for_long(&source);
    let mut caught = Follow::start(&source.config(&["orders"]));
    caught.until("what lies behind the open transaction is confirmed", |_| {
        confirmed(&source) > Lsn(source.slot("restart_lsn").parse::<Lsn>().unwrap().0 + (1100 << 20))
    });
    caught.drain();
    source
        .sql(&format!("INSERT INTO orders SELECT i, repeat('x', 500) FROM generate_series(1, {BACKLOG}) i"));
    source.sql("SET synchronous_commit = on; INSERT INTO orders VALUES (0, 'last of the backlog')");
    let mut follow = Follow::start(&eager(&source));
    take(&mut follow, 1);
    assert_eq!(copies(&source), "0", "nothing is read in chunks");
    follow.until_seen(BACKLOG + 1);
    open.end("COMMIT");
    follow.until_seen(BACKLOG + 2);
    follow.drain();
}

#[test]
fn a_stream_of_old_commits_is_left_only_when_a_look_at_the_slot_says_that_it_pays() {
    let source = Source::new("behind_looked");
    Follow::start(&source.config(&["orders"])).drain();
    source.sql("INSERT INTO orders VALUES (1)");
    let committed = std::time::Instant::now();
    // More than the WAL that the other tests write on this server.
    let config = SourceConfig { catch_up: Some(1 << 39), ..source.config(&["orders"]) };
    let place = |column: &str| source.slot(column).parse::<Lsn>().unwrap();
    let (restart, confirmed) = (place("restart_lsn"), place("confirmed_flush_lsn"));
    let far = Lsn(confirmed.0 + (1 << 40));
    let seen = |restart, server| SlotHealth {
        restart: Some(restart),
        confirmed: Some(confirmed),
        server: Some(server),
        ..SlotHealth::default()
    };
    eventually("the commit is old", || committed.elapsed() > std::time::Duration::from_secs(31));
    let is_left = |health: Option<SlotHealth>, times: u64| {
        let prepared = prepare(&config, &[]).unwrap();
        let mut follow = Follow::seeing(&config, prepared, 1 << 20, health);
        follow.seen.clear();
        while follow.seen.is_empty() {
            let block = follow.blocks.blocking_recv().unwrap();
            follow.note(&block);
        }
        let reconnects = || follow.progress.view().reconnects;
        eventually("it streams", || source.walsender("state") == "streaming" && reconnects() >= times);
        assert_eq!(reconnects(), times);
        follow.abandon();
    };
    is_left(None, 0);
    is_left(Some(seen(restart, confirmed)), 0);
    is_left(Some(seen(restart, far)), 1);
}

#[test]
fn a_drain_is_noticed_while_the_server_decodes_a_chunk() {
    let source = Source::new("behind_stuck");
    backlog(&source);
    let config = eager(&source);
    let prepared = prepare(&config, &[]).unwrap();
    // Decoding reads the publications from the catalogue, so the lock blocks it.
    let locked = Session::begin(&source, "LOCK TABLE pg_catalog.pg_publication IN ACCESS EXCLUSIVE MODE");
    let follow = Follow::from(&config, prepared, 1 << 20);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbmazz behind_stuck' \
                 AND wait_event_type = 'Lock' AND query LIKE 'COPY%'";
    eventually("the server works on a chunk", || source.admin(waits) == "1");
    let asked = std::time::Instant::now();
    follow.drain();
    assert!(asked.elapsed() < std::time::Duration::from_secs(30), "{:?}", asked.elapsed());
    eventually("the server has given up, too", || source.admin(waits) == "0");
    locked.end("COMMIT");
}
