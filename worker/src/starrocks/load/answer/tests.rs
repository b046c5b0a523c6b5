//! Answers as real StarRocks servers give them, and their outcomes.

use super::*;
use crate::{starrocks::double::table, table::Kind};

fn judged(status: u16, body: &str) -> LoadOutcome {
    judge(&Answer { status, body: body.as_bytes().to_vec() }, &table(&[("id", Kind::BigInt)]), 3)
}

fn reply(status: &str, message: &str, loaded: u64, filtered: u64) -> String {
    format!(
        r#"{{
    "TxnId": 7,
    "Label": "l",
    "Db": "d",
    "Table": "t",
    "Status": "{status}",
    "Message": "{message}",
    "NumberTotalRows": 3,
    "NumberLoadedRows": {loaded},
    "NumberFilteredRows": {filtered},
    "NumberUnselectedRows": 0,
    "LoadBytes": 120,
    "LoadTimeMs": 31,
    "BeginTxnTimeMs": 0,
    "StreamLoadPlanTimeMs": 1,
    "ReadDataTimeMs": 0,
    "WriteDataTimeMs": 5,
    "CommitAndPublishTimeMs": 20,
    "ErrorURL": "http://be:8040/api/_load_error_log?file=error_log_1_2"
}}"#
    )
}

fn fail(message: &str) -> LoadOutcome {
    judged(200, &reply("Fail", message, 0, 0))
}

fn reason(outcome: LoadOutcome) -> Reason {
    match outcome {
        LoadOutcome::Halt(fault) | LoadOutcome::Refused(fault) => fault.reason,
        other => panic!("no halt: {other:?}"),
    }
}

fn retry_class(outcome: &LoadOutcome) -> (bool, RetryClass) {
    match outcome {
        LoadOutcome::Again(retryable) => (false, retryable.retry_class),
        LoadOutcome::Unclear(retryable) => (true, retryable.retry_class),
        other => panic!("not retryable: {other:?}"),
    }
}

#[test]
fn success_and_publish_timeout_are_committed() {
    for status in ["Success", "Publish Timeout"] {
        assert_eq!(judged(200, &reply(status, "OK", 3, 0)), LoadOutcome::Committed);
    }
}

#[test]
fn rule_6_a_success_with_rows_missing_is_a_failure() {
    for status in ["Success", "Publish Timeout"] {
        assert_eq!(reason(judged(200, &reply(status, "OK", 2, 1))), Reason::RowsRefused);
    }
    assert_eq!(reason(judged(200, r#"{"Status":"Success"}"#)), Reason::SinkProtocolViolation);
}

#[test]
fn rule_6_a_filtered_row_is_a_failure() {
    let LoadOutcome::Refused(fault) = judged(200, &reply("Fail", "too many filtered rows", 0, 2)) else {
        panic!()
    };
    assert_eq!(fault.reason, Reason::RowsRefused);
    assert!(fault.message.contains("2 of 3 rows"), "{}", fault.message);
    assert!(fault.fix.contains("http://be:8040/api/_load_error_log?file=error_log_1_2"), "{}", fault.fix);
}

#[test]
fn rule_4_a_used_label_is_committed_or_asked_for() {
    let used = |state: &str| {
        format!(
            r#"{{"TxnId":-1,"Status":"Label Already Exists","ExistingJobStatus":"{state}","Message":"Label [l] has already been used."}}"#
        )
    };
    assert_eq!(judged(200, &used("FINISHED")), LoadOutcome::Committed);
    assert_eq!(retry_class(&judged(200, &used("RUNNING"))), (true, RetryClass::Busy));
    assert_eq!(retry_class(&judged(200, &used("BEGIN"))), (true, RetryClass::Busy));
}

#[test]
fn data_and_schema_stop_the_table() {
    for (message, expected) in [
        ("primary key size exceed the limit.", Reason::RowsRefused),
        (
            "Failed to iterate document stream as object. error: DEPTH_ERROR: The JSON document was too deep (too many nested objects and arrays)",
            Reason::RowsRefused,
        ),
        (
            "Failed to parse json as document stream. error: UTF8_ERROR: The input is not valid UTF-8",
            Reason::RowsRefused,
        ),
        (
            "The input payload size is beyond parser limit. Please set strip_outer_array true",
            Reason::RowsRefused,
        ),
        ("parse error. The JSON document has an improper structure", Reason::RowsRefused),
        ("Mapping column is not in table. column: x", Reason::TargetIncompatible),
        ("Column has no default value. column: x", Reason::TargetIncompatible),
        ("Only primary key table support partial update", Reason::TargetIncompatible),
        ("unknown table \\\"d.t\\\"", Reason::TargetLost),
        ("unknown database, database=d", Reason::TargetLost),
        (
            "The size of this batch exceed the max size [104857600]  of json type data",
            Reason::SinkProtocolViolation,
        ),
        (
            "Getting analyzing error. Detail message: Label format error. regex: ^[-\\\\w]{1,128}$, label: x.",
            Reason::SinkProtocolViolation,
        ),
        ("No rows were imported from upstream", Reason::SinkProtocolViolation),
    ] {
        assert_eq!(reason(fail(message)), expected, "{message}");
    }
}

#[test]
fn want_of_capacity_is_waited_out() {
    for message in [
        "current running txns on db 10 is 1000, larger than limit 1000",
        "Failed to load data into tablet 1, because of too many versions, current/limit: 1001/1000",
        "Fail to get tablet, perhaps this table is doing schema change",
        "Service is shutting down, please retry later!",
        "Stream Load exceed http cuncurrent limit",
        "Memory of process exceed limit",
        "class com.starrocks.common.DdlException: No backend alive.",
    ] {
        assert_eq!(retry_class(&fail(message)), (false, RetryClass::Busy), "{message}");
    }
}

#[test]
fn rule_4_a_failure_in_unknown_words_may_be_committed() {
    assert_eq!(retry_class(&fail("commit: rpc failed")), (true, RetryClass::Strange));
    assert_eq!(retry_class(&fail("timeout by txn manager")), (true, RetryClass::Busy));
    assert_eq!(retry_class(&judged(200, "{\"Status\": \"Succ")), (true, RetryClass::Strange));
    assert_eq!(retry_class(&judged(200, "{}")), (true, RetryClass::Strange));
    assert_eq!(retry_class(&judged(502, "bad gateway")), (true, RetryClass::Unreachable));
}

#[test]
fn wrong_credentials_and_missing_privileges_are_told_apart() {
    let denied = |message: &str| {
        format!(r#"{{"status":"FAILED","code":"1","msg":"{message}","message":"{message}"}}"#)
    };
    for (status, body, expected) in [
        (401, denied("Access denied for root@127.0.0.1"), RetryClass::Authentication),
        (401, denied("Need auth information."), RetryClass::Authentication),
        (401, "<html>".to_owned(), RetryClass::Authentication),
        (
            401,
            denied(
                "Access denied for user \\u0027u\\u0027@\\u0027%\\u0027. Please ask the admin to grant permission(s)",
            ),
            RetryClass::Permission,
        ),
        (401, denied("Access denied."), RetryClass::Permission),
        (
            200,
            reply("Fail", "Access denied for user 'root' (using password: YES)", 0, 0),
            RetryClass::Authentication,
        ),
        (
            200,
            reply(
                "Fail",
                "Access denied; you need (at least one of) the INSERT privilege(s) for this operation",
                0,
                0,
            ),
            RetryClass::Permission,
        ),
    ] {
        assert_eq!(retry_class(&judged(status, &body)), (false, expected), "{body}");
    }
}

#[test]
fn a_frontends_refusal_is_understood() {
    let refused = |message: &str| {
        format!(
            "{{\n  \"Status\": \"FAILED\",\n  \"Message\": \"class com.starrocks.common.DdlException: {message}\"\n}}"
        )
    };
    assert_eq!(
        reason(judged(200, &refused("There is no 100-continue header"))),
        Reason::SinkProtocolViolation
    );
    assert_eq!(retry_class(&judged(200, &refused("No backend alive."))), (false, RetryClass::Busy));
}
