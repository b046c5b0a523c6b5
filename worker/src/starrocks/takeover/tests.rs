//! What is said and asked before the first load, against a server that says what it is told to.

use super::{super::label::Label, *};
use crate::starrocks::double::{Double, sink, turn::*};

const AT: Position = Position { timeline: 1, durable: Lsn(5) };

fn slot() -> SlotIdentity {
    SlotIdentity { system_identifier: 1, slot: "s".to_owned() }
}

#[tokio::test]
async fn a_promotion_is_said_in_starrocks_even_when_the_first_try_to_go_on_fails() {
    let lost = state("A STATE THAT NOBODY KNOWS");
    let taken = take(r#"{"Status":"Success","Message":"OK","NumberTotalRows":1,"NumberLoadedRows":1}"#);
    let double = Double::start(vec![lost, state("VISIBLE"), redirect(), taken]);
    let mut takeover = Takeover::new(sink(double.port), "job".to_owned(), None, Arc::new(Progress::new(&[])));
    let journal = Arc::new(Journal::in_memory());
    journal.begun(&Label::noted("dbmazz_job_t_1").unwrap()).unwrap();
    takeover.held = Some(Held { slot: slot(), journal, position: AT, drained: false });
    let promoted = Position { timeline: 2, ..AT };
    takeover.take_over(&slot(), promoted).await.unwrap_err();
    takeover.take_over(&slot(), promoted).await.unwrap();
    assert_eq!(takeover.timeline(), Some(2));
    let heard = double.heard();
    assert!(heard.last().unwrap().contains(r#""timeline":"2""#), "{heard:?}");
}
