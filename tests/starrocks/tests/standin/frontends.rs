//! Several frontends (S29).

use std::time::Duration;

use mysql_async::{Conn, Error, prelude::Queryable};
use starrocks_standin::{Options, Profile, Settings};

use crate::bed::{Bed, ROOT, ask};

async fn bed(settings: Settings) -> Bed {
    let options = Options { followers: 1, settings, profile: Profile::V4_1, ..Options::default() };
    let bed = Bed::with(options).await;
    bed.create("id BIGINT NOT NULL, v INT").await;
    bed
}

async fn follower(bed: &Bed) -> Conn {
    bed.connect_as("root", "", bed.standin.followers()[0].sql).await
}

async fn columns(connection: &mut Conn) -> usize {
    connection.query::<mysql_async::Row, _>("DESC d.t").await.expect("describes").len()
}

#[tokio::test]
async fn s29_a_follower_redirects_loads_to_a_backend_and_questions_to_the_leader() {
    let bed = bed(Settings::default()).await;
    bed.load("label: a", r#"{"id":1}"#).await;
    let (leader, follower) = (bed.standin.fe_port(), bed.standin.followers()[0].fe);
    let load = format!(
        "PUT /api/d/t/_stream_load HTTP/1.1\r\n{ROOT}\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    );
    let location = ask(follower, load.as_bytes()).await.header("location").expect("a location");
    assert!(location.contains(&format!(":{}/", bed.standin.be_port())), "{location}");
    for path in
        ["GET /api/d/get_load_state?label=a", "POST /api/d/t/_cancel?label=a", "POST /api/transaction/begin"]
    {
        let request = format!("{path} HTTP/1.1\r\n{ROOT}\r\nContent-Length: 0\r\n\r\n");
        let answer = ask(follower, request.as_bytes()).await;
        assert_eq!(answer.status, 307, "{path}");
        let expected = format!("http://127.0.0.1:{leader}{}", path.split_once(' ').expect("a path").1);
        assert_eq!(answer.header("location"), Some(expected));
    }
    let anonymous = ask(follower, b"GET /api/d/get_load_state?label=a HTTP/1.1\r\n\r\n").await;
    assert_eq!(anonymous.status, 401);
}

#[tokio::test]
async fn s29_a_change_made_through_a_follower_is_done_and_a_read_there_may_lag() {
    let bed = bed(Settings { follower_lag_millis: 5000, ..Settings::default() }).await;
    bed.standin.advance_clock(Duration::from_secs(10));
    let mut follower = follower(&bed).await;
    follower.query_drop("ALTER TABLE d.t ADD COLUMN w INT").await.expect("is forwarded");
    assert_eq!(bed.rows("DESC d.t").await.len(), 3, "the leader knows at once");
    assert_eq!(columns(&mut follower).await, 2, "the follower a moment later");
    follower
        .query_drop("CREATE TABLE d.u (id BIGINT NOT NULL) PRIMARY KEY(id) PROPERTIES('replication_num'='1')")
        .await
        .expect("is forwarded");
    let unknown = follower.query_drop("SELECT * FROM d.u").await;
    assert!(matches!(unknown, Err(Error::Server(error)) if error.code == 5502));
    bed.standin.advance_clock(Duration::from_secs(5));
    assert_eq!(columns(&mut follower).await, 3);
    follower.query_drop("SELECT * FROM d.u").await.expect("is known");
}

#[tokio::test]
async fn s29_a_new_leader_knows_labels_and_no_open_transaction() {
    let bed = bed(Settings::default()).await;
    bed.load("label: a", r#"{"id":1}"#).await;
    let (old, new) = (bed.standin.fe_port(), bed.standin.followers()[0].fe);
    let begin = format!(
        "POST /api/transaction/begin HTTP/1.1\r\n{ROOT}\r\ndb: d\r\nlabel: m\r\ntransaction_type: multi\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(ask(old, begin.as_bytes()).await.field("Status"), "OK");
    bed.standin.lead(1);
    let state = format!("GET /api/d/get_load_state?label=a HTTP/1.1\r\n{ROOT}\r\n\r\n");
    assert_eq!(ask(new, state.as_bytes()).await.field("state"), "VISIBLE");
    assert_eq!(ask(old, state.as_bytes()).await.status, 307);
    let commit = begin.replace("begin", "commit");
    assert_eq!(ask(new, commit.as_bytes()).await.field("Status"), "FAILED");
}
