//! Which changes are loaded in one step, in which order, and what is durable after it.

use std::{sync::Mutex, time::SystemTime};

use super::{gathered::Gathered, *};
use crate::{
    change::{Aim, Block, BlockBuilder, Change, OldPlace, Reshape, Value, channel, write_value},
    pipeline::{Loaded, Part, batch::Deletes, lane::Transaction, ledger::Ledger},
    table::{Column, Kind, Table, TableId, TableName},
};

/// Records the calls, and fails at the part of this number.
#[derive(Debug, Default)]
struct Notes {
    asked: Mutex<Vec<String>>,
    fails_at: Option<usize>,
}

impl Notes {
    fn note(&self, text: String) -> usize {
        let mut asked = self.asked.lock().unwrap();
        asked.push(text);
        asked.len()
    }
}

impl LoadTransaction for Notes {
    async fn load(&self, part: &Part) -> Result<Vec<Loaded>, Fault> {
        let rows = part.batches.iter().map(|batch| format!("{}{} ", batch.table().target, batch.row_count()));
        let reached = part.reached.map_or("more".to_owned(), |reached| format!("up to {}", reached.0));
        let number = self.note(rows.collect::<String>() + &reached);
        if self.fails_at == Some(number) {
            Err(transaction_defect())
        } else {
            Ok(vec![Loaded::default(); part.batches.len()])
        }
    }

    async fn truncate(&self, table: &Table) -> Result<(), Fault> {
        self.note(format!("empty {}", table.target));
        Ok(())
    }

    async fn reshape(&self, aim: &Aim) -> Result<(), Fault> {
        self.note(format!("reshape {}", aim.table.target));
        Ok(())
    }

    async fn abandon(&self) {
        self.note("abandon".to_owned());
    }
}

fn table(id: u32, target: &str) -> Table {
    let column = |name: &str| Column::new(name, Kind::Text, "text");
    let name = TableName { schema: "public".into(), name: target.into() };
    Table {
        id: TableId(id),
        name,
        target: target.into(),
        columns: vec![column("id"), column("v")],
        key: vec![0],
        last_number: 2,
        facts: Default::default(),
    }
}

/// `begin 10`, `a key`, `delete a key`, `empty a`, `commit 12`, `alive 20`, `halt a`; `a` or `b` is the table.
fn block(events: &str) -> Block {
    let mut block = Block::builder();
    for event in events.split(", ") {
        match event.split(' ').collect::<Vec<_>>().as_slice() {
            ["begin", lsn] => block.begin(Lsn(lsn.parse().unwrap()), SystemTime::UNIX_EPOCH, 1),
            ["commit", lsn] => block.commit(Lsn(lsn.parse().unwrap())),
            ["alive", lsn] => block.keepalive(Lsn(lsn.parse().unwrap())),
            ["empty", table] => block.truncate(id(table)),
            ["shape", table] => {
                let rows = Arc::new(super::tests::table(id(table).0, table));
                let aim = Aim { table: (*rows).clone(), shapes: Vec::new() };
                block.reshape(id(table), Reshape { rows, target: Some(Arc::new(aim)) });
            }
            ["halt", table] => block.halt(id(table), transaction_defect()),
            ["delete", table, key] => {
                let old = OldPlace::Key(row(&mut block, key));
                block.delete(id(table), old);
            }
            [table, key] => {
                let new = row(&mut block, key);
                block.insert(id(table), new);
            }
            other => panic!("{other:?}"),
        }
    }
    block.finish()
}

fn id(table: &str) -> TableId {
    TableId(u32::from(table == "b"))
}

fn row(block: &mut BlockBuilder, key: &str) -> std::ops::Range<u32> {
    let bytes = block.bytes_mut();
    let start = bytes.len() as u32;
    write_value(Value::Text(key.as_bytes()), bytes);
    write_value(Value::Null, bytes);
    start..bytes.len() as u32
}

/// What was asked for, the durable position at the end, and how it ended.
async fn played(buffer: usize, notes: Notes, blocks: &[&str]) -> (Vec<String>, u64, bool) {
    let batch = BatchConfig { max_rows: 1000, max_bytes: 1 << 20, min_interval: Duration::ZERO };
    let (_asking, batch) = watch::channel(batch);
    let settings = Settings { batch, buffer, deletes: Deletes::Hard, holds_wal: false };
    let (durable, made) = watch::channel(Lsn(0));
    let (load, progress) = (Arc::new(notes), Arc::new(Progress::new(&[])));
    let tables = [table(0, "a"), table(1, "b")];
    let inputs = Inputs { settings, tables: &tables, start: Lsn(5), durable, progress };
    let pipeline = TransactionPipeline::new(inputs, Arc::clone(&load));
    // One block at a time.
    let (sender, receiver) = channel(1);
    let feed = async {
        for block in blocks.iter().map(|events| block(events)) {
            sender.room_for(&block).await;
            if sender.enter(block).is_err() {
                break;
            }
        }
        drop(sender);
    };
    let (ended, ()) = tokio::join!(pipeline.run(receiver), feed);
    let asked = load.asked.lock().unwrap().clone();
    (asked, made.borrow().0, ended.is_ok())
}

async fn asked(blocks: &[&str]) -> (Vec<String>, u64, bool) {
    played(1 << 20, Notes::default(), blocks).await
}

#[tokio::test]
async fn rule_9_whole_transactions_leave_together_with_the_position_they_reach() {
    let (asked, durable, _) =
        asked(&["begin 10, a 1, b 1, a 2, commit 12, begin 20, a 1, commit 22, begin 30, b 9"]).await;
    assert_eq!(asked, ["a2 b1 up to 22", "abandon"], "and the one that was cut does not");
    assert_eq!(durable, 22);
}

#[tokio::test]
async fn rule_9_what_was_reached_before_is_not_applied_again() {
    let (asked, durable, _) = asked(&["begin 3, a 1, empty b, commit 5, begin 5, b 1, commit 7"]).await;
    assert_eq!((asked, durable), (vec!["b1 up to 7".to_owned(), "abandon".to_owned()], 7));
}

#[tokio::test]
async fn a_transaction_that_comes_again_is_gathered_anew() {
    let cut = "begin 10, a 1, commit 12, begin 20, a 2, b 2";
    let (asked, durable, _) = asked(&[cut, "begin 20, a 3, commit 22"]).await;
    assert_eq!((asked.concat(), durable), ("a1 up to 12a1 up to 22abandon".to_owned(), 22));
}

#[tokio::test]
async fn a_transaction_larger_than_the_buffer_goes_in_parts_into_one_step() {
    let blocks =
        ["begin 10, a 1, commit 12", "begin 20, a 2", "b 2", "b 3, commit 22, begin 30, a 4, commit 32"];
    let (asked, durable, _) = played(1, Notes::default(), &blocks).await;
    let expected = ["a1 up to 12", "a1 more", "b1 more", "b1 up to 22", "a1 up to 32", "abandon"];
    assert_eq!((asked, durable), (expected.map(str::to_owned).to_vec(), 32));
}

#[tokio::test]
async fn a_large_transaction_that_is_cut_has_to_come_from_its_beginning() {
    let (asked, durable, ended) =
        played(1, Notes::default(), &["begin 10, a 1", "begin 10, a 1, commit 12"]).await;
    assert_eq!((asked.join(" "), durable, ended), ("a1 more abandon".to_owned(), 5, false));
}

#[tokio::test]
async fn a_table_is_emptied_after_what_was_committed_before_and_before_the_rest() {
    let blocks = ["begin 10, a 1, b 1, commit 12, begin 20, a 2, b 2, empty a, a 3, commit 22"];
    let (asked, durable, _) = asked(&blocks).await;
    assert_eq!(asked, ["a1 b1 up to 12", "empty a", "a1 b1 up to 22", "abandon"]);
    assert_eq!(durable, 22);
}

#[tokio::test]
async fn a_table_is_reshaped_between_two_steps() {
    let before = "begin 10, a 1, commit 12, begin 20, b 2, shape a, a 2, commit 22";
    let (asked_for, durable, _) = asked(&[before]).await;
    assert_eq!(asked_for, ["a1 up to 12", "reshape a", "a1 b1 up to 22", "abandon"]);
    assert_eq!(durable, 22);
    let within = "begin 10, a 1, b 1, shape a, a 2, commit 12";
    let (asked_for, durable, _) = asked(&[within]).await;
    assert_eq!(
        asked_for,
        ["a1 b1 up to 5", "reshape a", "a1 up to 12", "abandon"],
        "it is seen in two steps"
    );
    assert_eq!(durable, 12);
}

#[tokio::test]
async fn a_large_transaction_is_committed_before_a_table_is_reshaped() {
    let (asked, durable, _) =
        played(1, Notes::default(), &["begin 10, b 1", "shape a, a 2, commit 12"]).await;
    assert_eq!(asked, ["b1 more", "up to 5", "reshape a", "a1 up to 12", "abandon"]);
    assert_eq!(durable, 12);
}

#[tokio::test]
async fn a_table_whose_rows_went_ahead_cannot_be_emptied_any_more() {
    for (table, expected) in [("a", false), ("b", true)] {
        let rest = format!("empty {table}, commit 12");
        let (_, _, ended) = played(1, Notes::default(), &["begin 10, a 1", &rest]).await;
        assert_eq!(ended, expected, "{table}");
    }
}

#[tokio::test]
async fn what_cannot_be_followed_ends_the_run_after_what_came_before_it() {
    let (asked, durable, ended) =
        asked(&["begin 10, a 1, commit 12, begin 20, b 1, halt a, b 2, commit 22"]).await;
    assert_eq!((asked.join(" "), durable, ended), ("a1 up to 12 abandon".to_owned(), 12, false));
}

#[tokio::test]
async fn nothing_is_durable_that_was_not_loaded() {
    let notes = Notes { fails_at: Some(2), ..Notes::default() };
    let blocks = ["begin 10, a 1", "commit 12, begin 20, a 2", "commit 22"];
    let (asked, durable, ended) = played(1, notes, &blocks).await;
    assert_eq!((asked.join(" "), durable, ended), ("a1 more up to 12".to_owned(), 5, false));
}

#[tokio::test]
async fn a_hard_delete_goes_along_by_its_key_and_a_soft_one_needs_the_whole_row() {
    let (asked, ..) = asked(&["begin 10, a 1, delete a 2, commit 12, begin 20, delete a 1, commit 22"]).await;
    assert_eq!(asked, ["a2 up to 22", "abandon"]);
    let mut soft = Gathered::new(Ledger::starting_at(Lsn(0)).open(), SystemTime::UNIX_EPOCH);
    let (table, mut bytes) = (Arc::new(table(0, "a")), Vec::new());
    write_value(Value::Text(b"1"), &mut bytes);
    write_value(Value::Null, &mut bytes);
    let old = crate::change::Old::Key(crate::change::Tuple::split(&bytes, 2).unwrap().0);
    let transaction = Transaction { commit: Lsn(1), time: SystemTime::UNIX_EPOCH, xid: 7 };
    soft.push(&bytes::Bytes::new(), &table, Deletes::Soft, Change::Delete { old }, transaction).unwrap();
    let fault = soft.close(SystemTime::UNIX_EPOCH).unwrap_err();
    assert_eq!(fault.reason, crds::Reason::ReplicaIdentityInsufficient);
}

#[tokio::test]
async fn rule_2_a_keepalive_is_durable_when_nothing_is_outstanding() {
    let (asked, durable, _) = asked(&["begin 10, a 1, commit 12, alive 40"]).await;
    assert_eq!((asked.join(" "), durable), ("a1 up to 40 abandon".to_owned(), 40));
}
