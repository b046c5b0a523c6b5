//! Loads against a server with scripted answers.

use super::*;
use crate::{
    change::Value,
    config::OnRefusedRow,
    slot_lease::{Moment, SlotLease},
    starrocks::double::{Double, Turn, inserts, sink, table, turn::*},
    table::Kind,
};

fn source() -> Table {
    table(&[("id", Kind::BigInt), ("name", Kind::Text)])
}

fn batch(table: &Table) -> Batch {
    inserts(table, &[vec![Value::Text(b"1"), Value::Text(b"one")], vec![Value::Text(b"2"), Value::Null]])
}

fn loader(port: u16, progress: &Arc<Progress>) -> Loader {
    Loader {
        longest_wait: Duration::from_millis(1),
        ..Loader::new(&sink(port), "job", Arc::clone(progress), Arc::new(Journal::in_memory()))
    }
}

/// Loads two rows into a server with these turns; returns the outcome and the requests that the server received.
async fn load(turns: Vec<Turn>) -> (Result<Loaded, Fault>, Vec<String>, Arc<Progress>) {
    let (double, table) = (Double::start(turns), source());
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let outcome = loader(double.port, &progress).load(&batch(&table)).await;
    (outcome, double.heard(), progress)
}

const SUCCESS: &str =
    r#"{"Status":"Success","Message":"OK","NumberTotalRows":2,"NumberLoadedRows":2,"NumberFilteredRows":0}"#;

fn label_of(heard: &str) -> &str {
    heard.lines().find_map(|line| line.strip_prefix("label: ")).unwrap()
}

#[tokio::test]
async fn a_load_goes_to_the_frontend_by_its_head_and_to_the_backend_with_its_body() {
    let (outcome, heard, progress) = load(vec![redirect(), take(SUCCESS)]).await;
    let label = label_of(&heard[0]);
    let address = heard[0].lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
    let common = format!(
        "PUT /api/d/t/_stream_load HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic dTpw\r\n\
         Expect: 100-continue\r\nlabel: {label}\r\n"
    );
    assert_eq!(heard[0], format!("{common}Content-Length: 0\r\n\r\n"));
    let tail = "\"dbmazz_op_type\":0,\"dbmazz_is_deleted\":false,\"dbmazz_synced_at\":\"1970-01-01 00:00:00.000000\",\"dbmazz_cdc_version\":4660}\n";
    let body = format!("{{\"id\":1,\"name\":\"one\",{tail}{{\"id\":2,\"name\":null,{tail}");
    let columns = "`id`,`name`,`dbmazz_op_type`,`dbmazz_is_deleted`,`dbmazz_synced_at`,`dbmazz_cdc_version`";
    let expected = format!(
        "{common}format: json\r\ncolumns: {columns}\r\nstrict_mode: true\r\nmax_filter_ratio: 0\r\ntimeout: 120\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(heard[1], expected);
    assert_eq!(outcome, Ok(Loaded { rows: 2, bytes: body.len() as u64 }));
    assert_eq!(progress.view().load_retries, 0);
}

#[tokio::test]
async fn a_second_redirect_is_followed() {
    let (outcome, heard, _) = load(vec![redirect(), redirect(), take(SUCCESS)]).await;
    assert!(outcome.is_ok());
    assert_eq!(heard.len(), 3);
}

const FILTERED: &str = r#"{"Status":"Fail","Message":"too many filtered rows","NumberTotalRows":2,"NumberFilteredRows":1,"ErrorURL":"http://be/log"}"#;
const ONE: &str = r#"{"Status":"Success","Message":"OK","NumberTotalRows":1,"NumberLoadedRows":1}"#;

#[tokio::test]
async fn rule_6_a_filtered_row_is_found_and_halts_the_table_and_leaves_no_report_behind() {
    let turns = vec![redirect(), take(FILTERED), redirect(), take(ONE), redirect(), take(FILTERED)];
    let (outcome, heard, progress) = load(turns).await;
    let fault = outcome.unwrap_err();
    assert_eq!(fault.reason, crds::Reason::RowsRefused);
    assert!(fault.message.contains("a row of public.t, committed at 0/1234"), "{}", fault.message);
    assert_eq!(progress.view().faults, []);
    let labels: std::collections::HashSet<_> = heard.iter().map(|heard| label_of(heard)).collect();
    assert_eq!(labels.len(), 3, "each part is a load of its own");
}

const TOO_DEEP: &str = r#"{"Status":"Fail","Message":"Failed to iterate document stream as object. error: DEPTH_ERROR: The JSON document was too deep (too many nested objects and arrays)"}"#;

#[tokio::test]
async fn rule_6_a_row_for_which_the_whole_body_is_no_json_is_found_and_not_tried_for_ever() {
    let turns = vec![redirect(), take(TOO_DEEP), redirect(), take(ONE), redirect(), take(TOO_DEEP)];
    let (outcome, _, progress) = load(turns).await;
    let fault = outcome.unwrap_err();
    assert_eq!(fault.reason, crds::Reason::RowsRefused);
    assert!(
        fault.message.contains("DEPTH_ERROR") && fault.message.contains("a row of public.t"),
        "{fault:?}"
    );
    assert_eq!(progress.view().load_retries, 0);
}

#[tokio::test]
async fn rule_6_a_refused_row_is_a_dead_letter_before_its_batch_is_durable() {
    let turns = vec![
        redirect(),
        take(FILTERED),
        redirect(),
        take(FILTERED),
        redirect(),
        take(ONE),
        redirect(),
        take(ONE),
    ];
    let (double, table) = (Double::start(turns), source());
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let mut loader = loader(double.port, &progress);
    loader.sink.on_refused_row = OnRefusedRow::DeadLetter;
    assert_eq!(loader.load(&batch(&table)).await.unwrap().rows, 1);
    let heard = double.heard();
    let dead_letter = heard.last().unwrap();
    assert!(dead_letter.starts_with("PUT /api/d/dbmazz_dead_letters/_stream_load"), "{dead_letter}");
    assert!(dead_letter.contains("\"source_table\":\"public.t\""), "{dead_letter}");
    assert_eq!(progress.view().tables[&table.name].dead_letters, 1);
}

#[tokio::test]
async fn a_backend_that_answers_instead_of_100_gets_no_body_and_the_same_label_again() {
    let busy =
        r#"{"Status":"Fail","Message":"current running txns on db 1 is 1000, larger than limit 1000"}"#;
    let (outcome, heard, progress) = load(vec![redirect(), refuse(busy), redirect(), take(SUCCESS)]).await;
    assert!(outcome.is_ok());
    assert!(heard[1].ends_with("\r\n\r\n"), "a body followed: {}", heard[1]);
    assert_eq!(label_of(&heard[1]), label_of(&heard[3]));
    let view = progress.view();
    assert_eq!((view.load_retries, view.faults), (1, vec![]));
}

#[tokio::test]
async fn rule_4_an_ambiguous_load_is_resolved_by_its_state() {
    let lost = || {
        turn(|peer| {
            let length = peer.head();
            peer.say("HTTP/1.1 100 Continue\r\n\r\n");
            peer.body(length); // and closes, either before or after the commit
        })
    };
    for states in [vec!["VISIBLE"], vec!["COMMITTED"], vec!["PREPARE", "PREPARE", "VISIBLE"]] {
        let turns = [redirect(), lost()].into_iter().chain(states.iter().copied().map(state)).collect();
        let (outcome, heard, _) = load(turns).await;
        assert_eq!(outcome.unwrap().rows, 2, "{states:?}");
        assert!(
            heard[2]
                .starts_with(&format!("GET /api/d/get_load_state?label={} HTTP/1.1", label_of(&heard[0])))
        );
    }
    for free in ["ABORTED", "UNKNOWN"] {
        let (outcome, heard, _) =
            load(vec![redirect(), lost(), state(free), redirect(), take(SUCCESS)]).await;
        assert!(outcome.is_ok());
        let (first, second) =
            (heard[1].split_once("Expect").unwrap().1, heard[4].split_once("Expect").unwrap().1);
        assert_eq!(first, second, "the same label and the same bytes");
    }
}

#[tokio::test]
async fn rule_4_a_label_that_is_finished_is_not_sent_again() {
    let finished = r#"{"Status":"Label Already Exists","ExistingJobStatus":"FINISHED","Message":"used"}"#;
    let (outcome, _, _) = load(vec![redirect(), refuse(finished)]).await;
    assert_eq!(outcome.unwrap().rows, 2);
}

#[tokio::test]
async fn rule_4_a_label_that_is_running_is_waited_for() {
    let running = r#"{"Status":"Label Already Exists","ExistingJobStatus":"RUNNING","Message":"used"}"#;
    let (outcome, _, _) = load(vec![redirect(), refuse(running), state("PREPARE"), state("VISIBLE")]).await;
    assert_eq!(outcome.unwrap().rows, 2);
}

#[tokio::test]
async fn rule_4_an_answer_cut_in_the_middle_is_ambiguous() {
    let cut = turn(|peer| {
        let length = peer.head();
        peer.say("HTTP/1.1 100 Continue\r\n\r\n");
        peer.body(length);
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"Status\": \"Succ");
    });
    let (outcome, _, _) = load(vec![redirect(), cut, state("VISIBLE")]).await;
    assert!(outcome.is_ok());
}

#[tokio::test]
async fn rule_4_a_backend_that_closes_before_100_may_have_begun() {
    let close = hang_up();
    let (outcome, _, _) = load(vec![redirect(), close, state("UNKNOWN"), redirect(), take(SUCCESS)]).await;
    assert!(outcome.is_ok());
}

#[tokio::test]
async fn a_question_for_the_state_follows_the_leader() {
    let lost = hang_up();
    let (outcome, heard, _) = load(vec![redirect(), lost, redirect(), state("VISIBLE")]).await;
    assert!(outcome.is_ok());
    assert!(
        heard[3].contains("Authorization: Basic dTpw")
            && heard[3].starts_with("GET /api/d/get_load_state?label=")
    );
}

#[tokio::test]
async fn refused_credentials_are_reported_while_they_last() {
    let denied = turn(|peer| {
        peer.head();
        let json = r#"{"status":"FAILED","code":"1","msg":"Access denied for u@127.0.0.1","message":"Access denied for u@127.0.0.1"}"#;
        peer.say(&format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\nwww-authenticate: Basic realm=\"\"\r\n\r\n{json}", json.len()));
    });
    let (reported, seen) = std::sync::mpsc::sync_channel::<()>(1);
    let look = turn(move |peer| {
        seen.recv().unwrap();
        peer.head();
    });
    let (double, table) = (Double::start(vec![denied, look, redirect(), take(SUCCESS)]), source());
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let (loader, batch) = (loader(double.port, &progress), batch(&table));
    let watch = async {
        while progress.view().faults.is_empty() {
            tokio::task::yield_now().await;
        }
        let reasons: Vec<_> = progress.view().faults.iter().map(|fault| fault.reason).collect();
        reported.send(()).unwrap();
        reasons
    };
    let (outcome, reasons) = tokio::join!(loader.load(&batch), watch);
    assert!(outcome.is_ok());
    assert_eq!(reasons, [crds::Reason::SinkAuthenticationFailed]);
    assert_eq!(progress.view().faults, []);
    drop(double.heard());
}

#[tokio::test]
async fn rule_6_a_value_without_a_form_is_refused_before_anything_is_sent() {
    let table = table(&[("id", Kind::BigInt), ("born", Kind::Date)]);
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let batch = inserts(&table, &[vec![Value::Text(b"1"), Value::Text(b"infinity")]]);
    let fault = loader(1, &progress).load(&batch).await.unwrap_err();
    assert_eq!(fault.reason, crds::Reason::ValueNotRepresentable);
}

#[tokio::test]
async fn an_early_answer_ends_the_body() {
    let table = source();
    let long = "x".repeat(1_000_000);
    let rows: Vec<_> = (0..64)
        .map(|id: i32| vec![Value::Text(id.to_string().into_bytes().leak()), Value::Text(long.as_bytes())])
        .collect();
    let early = turn(|peer| {
        peer.head();
        peer.say("HTTP/1.1 100 Continue\r\n\r\n");
        peer.body(1000);
        peer.answer(r#"{"Status":"Fail","Message":"Duplicate column: x"}"#);
        peer.expect_silence();
    });
    let double = Double::start(vec![redirect(), early]);
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    let fault = loader(double.port, &progress).load(&inserts(&table, &rows)).await.unwrap_err();
    assert_eq!(fault.reason, crds::Reason::TargetIncompatible);
    drop(double.heard());
}

#[tokio::test]
async fn rule_10_no_body_is_sent_when_the_lease_ended_between_its_head_and_the_answer() {
    let (lease, permit) = SlotLease::new();
    let lease = Arc::new(lease);
    let (ending, renewing) = (Arc::clone(&lease), Arc::clone(&lease));
    // As if the process were suspended here for minutes.
    let stop = turn(move |peer| {
        peer.head();
        ending.end();
        peer.say("HTTP/1.1 100 Continue\r\n\r\n");
        peer.expect_silence();
    });
    let wake = turn(move |peer| {
        peer.head();
        renewing.renew(Moment::now());
        peer.answer(r#"{"state":"UNKNOWN","status":"OK","code":"0","msg":"Success","message":"OK"}"#);
    });
    let double = Double::start(vec![redirect(), stop, wake, redirect(), take(SUCCESS)]);
    let table = source();
    let progress = Arc::new(Progress::new(std::slice::from_ref(&table.name)));
    lease.renew(Moment::now());
    let loader = loader(double.port, &progress).with_permit(permit);
    loader.load(&batch(&table)).await.unwrap();
    let heard = double.heard();
    assert!(!heard[1].contains("\"id\":1"), "no row was sent: {}", heard[1]);
    assert!(heard[4].contains("\"id\":1"), "and then they were: {}", heard[4]);
}
