//! The transaction interface over one table (S22).

use std::time::Duration;

use starrocks_standin::{Action, Fault, Part, Profile, Stage};

use crate::{
    bed::{Answer, Bed, ROOT, ask, put},
    labels::state,
};

/// Calls the interface for one label.
pub(crate) struct Client<'b> {
    bed: &'b Bed,
    pub(crate) headers: String,
}

impl<'b> Client<'b> {
    pub(crate) fn new(bed: &'b Bed, label: &str, more: &str) -> Self {
        Self { bed, headers: format!("{ROOT}\r\ndb: d\r\nlabel: {label}\r\n{more}") }
    }

    /// A call without a body; follows a redirect if one is the answer.
    pub(crate) async fn call(&self, operation: &str, more: &str) -> Answer {
        let request = format!(
            "POST /api/transaction/{operation} HTTP/1.1\r\nHost: x\r\n{}{more}Content-Length: 0\r\n\r\n",
            self.headers
        );
        let first = ask(self.bed.standin.fe_port(), request.as_bytes()).await;
        if first.status != 307 {
            return first;
        }
        ask(self.bed.standin.be_port(), request.as_bytes()).await
    }

    pub(crate) async fn status(&self, operation: &str, more: &str) -> String {
        self.call(operation, more).await.field("Status")
    }

    pub(crate) async fn load(&self, table: &str, more: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!(
            "PUT /api/transaction/load HTTP/1.1\r\nHost: x\r\n{}table: {table}\r\nformat: json\r\n{more}\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
            self.headers
        );
        let first = ask(self.bed.standin.fe_port(), head.as_bytes()).await;
        if first.status != 307 {
            return first;
        }
        put(self.bed.standin.be_port(), &head, body).await
    }
}

pub(crate) async fn bed_of(profile: Profile) -> Bed {
    let bed = Bed::of(profile).await;
    bed.create("id BIGINT NOT NULL, v INT").await;
    bed.run("CREATE TABLE d.u (id BIGINT NOT NULL, v INT) PRIMARY KEY(id) PROPERTIES('replication_num'='1')")
        .await;
    bed
}

pub(crate) async fn bed() -> Bed {
    bed_of(Profile::default()).await
}

pub(crate) async fn count(bed: &Bed) -> String {
    bed.lines("SELECT COUNT(*) FROM d.t").await.concat()
}

#[tokio::test]
async fn s22_loads_of_a_transaction_are_seen_when_it_commits() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", "");
    let begun = client.call("begin", "table: t\r\n").await;
    assert_eq!((begun.field("Status"), begun.field("Label")), ("OK".into(), "a".into()));
    assert!(begun.json()["TxnId"].is_u64() && begun.json()["BeginTxnTimeMs"].is_u64());
    for row in [r#"{"id":1,"v":1}"#, r#"{"id":2,"v":2}{"id":1,"v":3}"#] {
        let loaded = client.load("t", "", row).await;
        assert_eq!((loaded.field("Status"), loaded.field("LoadBytes")), ("OK".into(), row.len().to_string()));
    }
    assert_eq!(
        (count(&bed).await.as_str(), state(&bed, "a").await.field("state").as_str()),
        ("0", "PREPARE")
    );
    let committed = client.call("commit", "table: t\r\n").await;
    assert_eq!((committed.field("Status"), committed.field("NumberLoadedRows")), ("OK".into(), "3".into()));
    assert_eq!(bed.lines("SELECT * FROM d.t ORDER BY id").await, ["1,3", "2,2"]);
    assert_eq!(state(&bed, "a").await.field("state"), "VISIBLE");
    assert_eq!(bed.standin.stats().tables["d.t"].rows_loaded, 3);
}

#[tokio::test]
async fn s22_a_prepared_transaction_outlives_its_backend_and_a_running_one_does_not() {
    let bed = bed().await;
    for (label, prepares) in [("kept", true), ("lost", false)] {
        let client = Client::new(&bed, label, "");
        client.call("begin", "table: t\r\n").await;
        client.load("t", "", r#"{"id":1}"#).await;
        if prepares {
            assert_eq!(client.status("prepare", "table: t\r\n").await, "OK");
            assert_eq!(state(&bed, label).await.field("state"), "PREPARED");
        }
    }
    bed.standin.down(Part::Be).await;
    bed.standin.up(Part::Be).await.expect("comes up");
    assert_eq!(Client::new(&bed, "kept", "").status("commit", "").await, "OK");
    assert_eq!(state(&bed, "kept").await.field("state"), "VISIBLE");
    let lost = Client::new(&bed, "lost", "").call("commit", "").await;
    assert!(lost.field("Message").contains("Can not commit ABORTED transaction"), "{}", lost.body);
    assert_eq!(count(&bed).await, "1");
}

#[tokio::test]
async fn s22_the_end_of_a_transaction_is_answered_by_its_state() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", "");
    client.call("begin", "table: t\r\n").await;
    client.load("t", "", r#"{"id":1}"#).await;
    client.call("commit", "table: t\r\n").await;
    let again = client.call("commit", "").await;
    assert!(again.field("Message").ends_with("has already committed, label is a"), "{}", again.body);
    assert_eq!(again.field("Status"), "OK");
    let late = client.call("rollback", "").await;
    assert!(late.field("Message").contains("Can not abort VISIBLE transaction"), "{}", late.body);
    let second = client.call("begin", "table: t\r\n").await;
    assert_eq!(
        (second.field("Status"), second.field("ExistingJobStatus")),
        ("LABEL_ALREADY_EXISTS".into(), "FINISHED".into())
    );
    let other = Client::new(&bed, "b", "");
    other.call("begin", "table: t\r\n").await;
    assert_eq!(other.status("rollback", "table: t\r\n").await, "OK");
    assert_eq!(state(&bed, "b").await.field("state"), "ABORTED");
    let again = other.call("rollback", "").await;
    assert!(again.field("Message").ends_with("has already aborted, label is b"), "{}", again.body);
}

#[tokio::test]
async fn s22_loads_of_one_label_are_alike_or_the_transaction_is_rolled_back() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", "");
    client.call("begin", "table: t\r\n").await;
    client.load("t", "columns: id, v\r\n", r#"{"id":1}"#).await;
    let other = client.load("t", "columns: id\r\n", r#"{"id":2}"#).await;
    assert_eq!(other.field("Message"), "load request not equal last.");
    assert_eq!(state(&bed, "a").await.field("state"), "ABORTED");
    assert_eq!(client.load("t", "columns: id, v\r\n", r#"{"id":3}"#).await.field("Status"), "TXN_NOT_EXISTS");
}

#[tokio::test]
async fn s22_one_load_at_a_time() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", "");
    client.call("begin", "table: t\r\n").await;
    bed.standin.inject(Fault::once(Stage::Continue, Action::Hold));
    let first = client.load("t", "", r#"{"id":1}"#);
    let second = async {
        while !bed.standin.faults().is_empty() {
            tokio::task::yield_now().await;
        }
        let answer = client.load("t", "", r#"{"id":2}"#).await;
        bed.standin.clear_faults();
        answer
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.field("Status"), second.field("Status")), ("OK".into(), "TXN_IN_PROCESSING".into()));
    assert_eq!(client.status("commit", "table: t\r\n").await, "OK");
}

#[tokio::test]
async fn s22_errors_roll_back() {
    let bed = bed().await;
    for (label, headers, body, status) in
        [("plan", "columns: id, nope=1\r\n", "{}", "ANALYSIS_ERROR"), ("syntax", "", "{", "ANALYSIS_ERROR")]
    {
        let client = Client::new(&bed, label, "");
        client.call("begin", "table: t\r\n").await;
        assert_eq!(client.load("t", headers, body).await.field("Status"), status, "{label}");
        assert_eq!(state(&bed, label).await.field("state"), "ABORTED", "{label}");
    }
    let client = Client::new(&bed, "rows", "");
    client.call("begin", "table: t\r\n").await;
    assert_eq!(client.load("t", "", r#"{"id":null}{"id":1}"#).await.field("Status"), "OK");
    let commit = client.call("commit", "table: t\r\n").await;
    assert_eq!(
        (commit.field("Status"), commit.field("Message")),
        ("DATA_QUALITY_ERROR".into(), "too many filtered rows".into())
    );
    let empty = Client::new(&bed, "empty", "");
    empty.call("begin", "table: t\r\n").await;
    assert!(
        empty.call("commit", "table: t\r\n").await.field("Message").ends_with("hasn't send any data yet")
    );
    assert_eq!(state(&bed, "empty").await.field("state"), "ABORTED");
    assert_eq!(count(&bed).await, "0");
}

#[tokio::test]
async fn s22_the_wait_for_publication_ends_in_an_error_although_all_is_committed() {
    let bed = bed().await;
    let client = Client::new(&bed, "a", "");
    client.call("begin", "table: t\r\n").await;
    client.load("t", "", r#"{"id":1}"#).await;
    client.call("prepare", "table: t\r\n").await;
    bed.standin.inject(Fault::once(Stage::Commit, Action::PublishTimeout { visible_after_millis: 30_000 }));
    let answer = client.call("commit", "").await;
    assert!(answer.field("Message").contains("publish timeout: 20000"), "{}", answer.body);
    assert_eq!(state(&bed, "a").await.field("state"), "COMMITTED");
    bed.standin.advance_clock(Duration::from_secs(30));
    assert_eq!((state(&bed, "a").await.field("state"), count(&bed).await), ("VISIBLE".into(), "1".into()));
}

#[tokio::test]
async fn s22_a_transaction_ends_when_its_time_is_over_or_when_it_lies_idle() {
    let bed = bed().await;
    for (label, headers) in [("timed", "timeout: 60\r\n"), ("idle", "idle_transaction_timeout: 60\r\n")] {
        let client = Client::new(&bed, label, "");
        client.call("begin", &format!("table: t\r\n{headers}")).await;
        client.load("t", "", r#"{"id":1}"#).await;
        bed.standin.advance_clock(Duration::from_secs(91));
        assert_eq!(state(&bed, label).await.field("state"), "ABORTED", "{label}");
        assert_ne!(client.status("commit", "table: t\r\n").await, "OK", "{label}");
    }
    let client = Client::new(&bed, "prepared", "");
    client.call("begin", "table: t\r\nprepared_timeout: 100\r\n").await;
    client.load("t", "", r#"{"id":1}"#).await;
    client.call("prepare", "table: t\r\n").await;
    bed.standin.advance_clock(Duration::from_secs(99));
    assert_eq!(state(&bed, "prepared").await.field("state"), "PREPARED");
    bed.standin.advance_clock(Duration::from_secs(32));
    assert_eq!(state(&bed, "prepared").await.field("state"), "ABORTED");
}
