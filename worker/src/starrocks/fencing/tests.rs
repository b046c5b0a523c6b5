//! What is written and read before the first load, against a server with scripted answers.

use super::*;
use crate::{
    config::Consistency,
    mysql::double as sql,
    starrocks::{
        double::{Double, sink, turn::*},
        load::label::Label,
    },
};

const AT: Position = Position { timeline: 1, durable: Lsn(5) };

const TAKEN: &str = r#"{"Status":"Success","Message":"OK","NumberTotalRows":1,"NumberLoadedRows":1}"#;

fn slot() -> SlotIdentity {
    SlotIdentity { system_identifier: 1, slot: "s".to_owned() }
}

#[tokio::test]
async fn a_promotion_is_said_in_starrocks_even_when_the_first_try_to_go_on_fails() {
    let lost = state("A STATE THAT NOBODY KNOWS");
    let double = Double::start(vec![lost, state("VISIBLE"), redirect(), take(TAKEN)]);
    let mut fencing = Fencing::new(sink(double.port), "job".to_owned(), None, Arc::new(Progress::new(&[])));
    let journal = Arc::new(Journal::in_memory());
    journal.begun(&Label::noted("dbmazz_job_t_1").unwrap()).unwrap();
    let held = |position| ClaimHolder {
        slot: slot(),
        journal: Arc::clone(&journal),
        position,
        drained: false,
        moment: "1".to_owned(),
    };
    fencing.held = Some(held(AT));
    let promoted = Position { timeline: 2, ..AT };
    fencing.go_on(held(promoted), promoted).await.unwrap_err();
    fencing.go_on(held(promoted), promoted).await.unwrap();
    assert_eq!(fencing.timeline(), Some(2));
    let heard = double.heard();
    assert!(heard.last().unwrap().contains(r#""timeline":"2""#), "{heard:?}");
}

#[tokio::test]
async fn rule_9_the_checkpoint_counts_unless_it_is_of_an_earlier_slot_of_this_name() {
    for (anew, turns, expected) in [(false, vec![], "0/22"), (true, vec![redirect(), take(TAKEN)], "0/5")] {
        let (listener, SinkConfig { query_port, .. }) = sql::server().await;
        let double = Double::start(turns);
        let sink = SinkConfig { query_port, consistency: Consistency::Transaction, ..sink(double.port) };
        let fencing = Fencing::new(sink, "job".to_owned(), None, Arc::new(Progress::new(&[])));
        let (row, journal) = (sql::row("0/22"), Arc::new(Journal::in_memory()));
        let (rows, slot) = ([&row[..]], slot());
        let both =
            async { tokio::join!(fencing.checkpoint(&slot, AT, anew, &journal), sql::talk(listener, &rows)) };
        let (reached, _client) = timeout(Duration::from_secs(20), both).await.expect("the row is read");
        assert_eq!(reached.unwrap().to_string(), expected);
        let heard = double.heard();
        assert!(heard.last().is_none_or(|row| row.contains(r#""lsn":"0/5""#)), "{heard:?}");
    }
}

#[tokio::test]
async fn rule_9_a_checkpoint_that_holds_no_position_is_a_fault_and_not_none() {
    let (listener, SinkConfig { query_port, .. }) = sql::server().await;
    let sink = SinkConfig { query_port, consistency: Consistency::Transaction, ..sink(1) };
    let fencing = Fencing::new(sink, "job".to_owned(), None, Arc::new(Progress::new(&[])));
    let (row, journal, slot) = (sql::row("somewhere"), Arc::new(Journal::in_memory()), slot());
    let rows = [&row[..]];
    let both =
        async { tokio::join!(fencing.checkpoint(&slot, AT, false, &journal), sql::talk(listener, &rows)) };
    let (reached, _client) = timeout(Duration::from_secs(20), both).await.expect("the row is read");
    assert_eq!(reached.unwrap_err().reason, crds::Reason::TargetIncompatible);
}
