//! Discard mode: rows are counted and dropped.

use starrocks_standin::Options;

use crate::bed::Bed;

#[tokio::test]
async fn tables_that_are_kept_are_not_discarded() {
    let options = Options { discard: true, keep: Some("t".to_owned()), ..Options::default() };
    let bed = Bed::with(options).await;
    bed.create("id BIGINT NOT NULL").await;
    bed.load("label: a", "{\"id\":1}").await;
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["1"]);
}

#[tokio::test]
async fn discarded_rows_are_counted_and_forgotten() {
    let bed = Bed::with(Options { discard: true, ..Options::default() }).await;
    bed.create("id BIGINT NOT NULL").await;
    let answer = bed.load("label: a", "{\"id\":1}\nnot even JSON\n{\"id\":3}").await;
    assert_eq!((answer.field("Status"), answer.field("NumberLoadedRows")), ("Success".into(), "3".into()));
    assert_eq!(answer.field("NumberTotalRows"), "3");
    assert_eq!(bed.lines("SELECT COUNT(*) FROM d.t").await, ["0"]);
    assert_eq!(bed.standin.stats().tables["d.t"].rows_loaded, 3);
    assert_eq!(bed.load("label: a", "{}").await.field("Status"), "Label Already Exists");
    assert_eq!(bed.load("", "").await.field("Status"), "Fail");
}
