use super::*;

fn visible(transactions: &mut Transactions, label: &str, now: i64) {
    let id = transactions.begin("d", label, 1, 600, now).expect("begins");
    transactions.commit("d", id, now).expect("commits");
    transactions.publish("d", id, now);
}

#[test]
fn s12_a_label_may_begin_again_only_after_an_abort() {
    let mut transactions = Transactions::default();
    let id = transactions.begin("d", "a", 1, 600, 0).expect("begins");
    let running = Err(BeginError::LabelExists { is_finished: false });
    assert_eq!(transactions.begin("d", "a", 1, 600, 0), running);
    transactions.abort("d", id, "because", 0);
    visible(&mut transactions, "a", 0);
    assert_eq!(transactions.begin("d", "a", 1, 600, 0), Err(BeginError::LabelExists { is_finished: true }));
    assert!(transactions.begin("other", "a", 1, 600, 0).is_ok());
}

#[test]
fn s12_labels_above_a_thousand_go_at_the_next_cleaning_and_not_before() {
    let mut transactions = Transactions::default();
    for number in 0..1500 {
        visible(&mut transactions, &format!("l{number}"), 0);
    }
    assert!(transactions.find("d", "l0", CLEAN_INTERVAL_MILLIS - 1).is_some());
    assert!(transactions.find("d", "l499", CLEAN_INTERVAL_MILLIS).is_none());
    assert!(transactions.find("d", "l500", CLEAN_INTERVAL_MILLIS).is_some());
}

#[test]
fn s12_labels_are_forgotten_after_three_days() {
    let mut transactions = Transactions::default();
    visible(&mut transactions, "a", 0);
    assert!(transactions.find("d", "a", KEEP_MILLIS).is_some());
    assert!(transactions.find("d", "a", KEEP_MILLIS + CLEAN_INTERVAL_MILLIS).is_none());
}

#[test]
fn s12_a_load_that_takes_longer_than_its_timeout_is_aborted_when_the_aborter_comes_round() {
    let mut transactions = Transactions::default();
    let id = transactions.begin("d", "a", 1, 3, 0).expect("begins");
    let running = transactions.find("d", "a", ABORTER_MILLIS - 1).expect("known");
    assert_eq!(running.state, State::Prepare, "until then it may still commit");
    let found = transactions.find("d", "a", ABORTER_MILLIS).expect("known");
    assert_eq!((found.state, found.reason.as_str()), (State::Aborted, "timeout by txn manager"));
    let commit = transactions.commit("d", id, ABORTER_MILLIS);
    assert_eq!(commit, Err("timeout by txn manager".to_owned()));
}
