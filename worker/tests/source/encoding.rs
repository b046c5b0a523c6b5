//! Databases whose encoding is not UTF-8.

use crds::Reason;
use worker::fault::Course;

use crate::{
    follow::Follow,
    server::{Source, eventually, server},
};

#[test]
fn a_database_without_an_encoding_sends_its_texts_as_they_are() {
    let source = Source::encoded("ascii", "SQL_ASCII");
    let mut follow = Follow::start(&source.config(&["orders"]));
    source.admin("INSERT INTO orders VALUES (1, E'\\xff\\xfe'), (2, E'\\xc3\\xa9')");
    follow.until_seen(2);
    assert_eq!(follow.seen, ["+1,\u{FFFD}\u{FFFD}", "+2,é"]);
    follow.drain();
}

#[test]
fn a_database_in_latin1_is_converted() {
    let source = Source::encoded("latin", "LATIN1");
    let mut follow = Follow::start(&source.config(&["orders"]));
    source.admin("INSERT INTO orders VALUES (1, E'\\xe9\\xff')");
    follow.until_seen(1);
    assert_eq!(follow.seen, ["+1,éÿ"]);
    follow.drain();
}

#[test]
fn a_text_that_has_no_form_in_utf8_is_named_and_asked_for_ever_more_seldom() {
    let source = Source::encoded("windows", "WIN1252");
    let mut follow = Follow::start(&source.config(&["orders"]));
    source.admin("INSERT INTO orders VALUES (1, 'before')");
    follow.until_seen(1);
    source.admin("INSERT INTO orders VALUES (2, E'\\x81')");
    follow.until_raised(Reason::SourceEncodingInvalid);
    let fault = follow.progress.view().faults.into_iter().next().unwrap();
    assert_eq!(fault.course, Course::Retry);
    assert!(fault.message.contains("WIN1252") && fault.message.contains("public.orders"), "{fault}");
    let reconnects = || follow.progress.view().reconnects;
    let named = reconnects();
    eventually("it was tried again", || reconnects() > named + 3);
    assert_eq!(
        follow.progress.view().faults,
        std::slice::from_ref(&fault),
        "the fault stands while nothing comes"
    );
    let since = std::time::Instant::now();
    eventually("the next tries are seconds apart", || since.elapsed().as_secs() >= 8);
    assert!(reconnects() < named + 12, "{} tries", reconnects() - named);
    // The remedy: the text is corrected, and the job begins after it.
    source.admin("UPDATE orders SET note = 'mended' WHERE id = 2");
    let drop = fault.fix.split("SELECT ").nth(1).and_then(|fix| fix.split(')').next()).unwrap();
    eventually("the slot is dropped as told", || {
        server().psql_in(source.name, &format!("SELECT {drop})")).is_ok()
    });
    let lost = follow.fault();
    assert_eq!(lost.reason, Reason::SlotLost);
    let mut again = Follow::start(&source.config(&["orders"]));
    source.admin("INSERT INTO orders VALUES (3, E'\\x80')");
    again.until_seen(1);
    assert_eq!(again.seen, ["+3,€"]);
    again.drain();
}
