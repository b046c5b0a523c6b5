//! The order in which a table's changes leave its lane.

use std::time::Duration;

use super::*;
use crate::{
    change::{Tuple, Value, write_value},
    table::{Column, Kind, TableId, TableName},
};

struct Rig {
    lane: Lane,
    ledger: Ledger,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let columns = vec![Column::new("id", Kind::Text, "text")];
        let name = TableName { schema: "public".into(), name: "t".into() };
        let table = Table {
            id: TableId(0),
            target: "t".into(),
            name,
            columns,
            key: vec![0],
            last_number: 0,
            facts: Default::default(),
        };
        let limits = BatchConfig { max_rows: 2, max_bytes: 1 << 20, min_interval: Duration::from_secs(1) };
        let lane = Lane::new(Arc::new(table), Deletes::Soft, limits);
        Self { lane, ledger: Ledger::starting_at(Lsn(0)), now: Instant::now() }
    }

    fn insert(&mut self, key: &str) {
        let mut row = Vec::new();
        write_value(Value::Text(key.as_bytes()), &mut row);
        let change = Change::Insert { new: Tuple::split(&row, 1).unwrap().0 };
        let transaction = Transaction { commit: Lsn(5), time: SystemTime::UNIX_EPOCH, xid: 7 };
        self.lane.push(&Bytes::new(), change, transaction, &mut self.ledger).unwrap();
    }

    fn truncate(&mut self) {
        self.lane.push_barrier(Barrier::Truncate, &mut self.ledger);
    }

    /// Later rows have another column name; with `asks` the target has to be changed first.
    fn reshape(&mut self, name: &str, asks: bool) {
        let mut table = Table::clone(self.lane.table());
        table.columns[0].name = name.to_owned();
        let aim = Aim { table: table.clone(), shapes: Vec::new() };
        let reshape = Reshape { rows: Arc::new(table), target: asks.then(|| Arc::new(aim)) };
        self.lane.reshape(&reshape, &mut self.ledger);
    }

    /// The task that begins now, as text: a number of rows, or a barrier.
    fn next_work(&mut self, urgent: bool) -> Option<String> {
        let task = self.lane.next_work(self.now, SystemTime::UNIX_EPOCH, urgent)?;
        self.ledger.settle(task.ticket);
        Some(match task.work {
            Work::Batches { batches, .. } => batches
                .iter()
                .map(|batch| format!("{} {}", batch.row_count(), batch.table().columns[0].name))
                .collect(),
            Work::Stand(_) => "stand".to_owned(),
            Work::Barrier(Barrier::Truncate) => "truncate".to_owned(),
            Work::Barrier(Barrier::Reshape(aim)) => format!("becomes {}", aim.table.columns[0].name),
        })
    }
}

#[test]
fn rule_4_a_table_has_one_load_in_flight() {
    let mut rig = Rig::new();
    rig.insert("a");
    assert_eq!(rig.next_work(false).as_deref(), Some("1 id"));
    rig.insert("b");
    assert_eq!(rig.next_work(true), None);
    rig.lane.completed();
    assert_eq!(rig.next_work(true).as_deref(), Some("1 id"));
}

#[test]
fn loads_of_a_table_begin_an_interval_apart_unless_they_are_full() {
    let mut rig = Rig::new();
    rig.insert("a");
    assert!(rig.next_work(false).is_some(), "the first change after a quiet time is loaded at once");
    rig.lane.completed();
    rig.insert("b");
    assert_eq!(rig.next_work(false), None);
    rig.insert("c");
    assert_eq!(rig.next_work(false).as_deref(), Some("2 id"));
}

#[test]
fn rule_5_a_truncate_waits_for_what_came_before_and_holds_what_comes_after() {
    let mut rig = Rig::new();
    rig.insert("a");
    rig.truncate();
    rig.insert("b");
    assert_eq!(rig.next_work(false).as_deref(), Some("1 id"));
    assert_eq!(rig.next_work(false), None, "the load before is still under way");
    rig.lane.completed();
    assert_eq!(rig.next_work(false).as_deref(), Some("truncate"));
    assert_eq!(rig.next_work(true), None, "nothing passes it");
    rig.lane.completed();
    assert_eq!(rig.next_work(true).as_deref(), Some("1 id"));
}

#[test]
fn rule_7_a_new_shape_waits_for_what_came_before_and_holds_what_comes_after() {
    let mut rig = Rig::new();
    rig.insert("a");
    rig.reshape("key", true);
    rig.insert("b");
    assert_eq!(rig.next_work(false).as_deref(), Some("1 id"));
    assert_eq!(rig.next_work(true), None, "the load before is still under way");
    rig.lane.completed();
    assert_eq!(rig.next_work(false).as_deref(), Some("becomes key"));
    assert_eq!(rig.next_work(true), None, "nothing passes it");
    rig.lane.completed();
    assert_eq!(rig.next_work(true).as_deref(), Some("1 key"));
}

#[test]
fn rows_of_another_shape_that_the_target_has_already_go_on_at_once_and_never_in_one_load() {
    let mut rig = Rig::new();
    rig.insert("a");
    rig.reshape("key", false);
    rig.insert("b");
    for expected in ["1 id", "1 key"] {
        assert_eq!(rig.next_work(true).as_deref(), Some(expected));
        rig.lane.completed();
    }
}

#[test]
fn a_truncate_holds_the_confirmed_position_until_it_is_done() {
    let mut rig = Rig::new();
    rig.ledger.begin(SystemTime::UNIX_EPOCH);
    rig.truncate();
    rig.ledger.commit(Lsn(9));
    assert_eq!(rig.ledger.durable(), Lsn(0));
    rig.next_work(false);
    assert_eq!(rig.ledger.durable(), Lsn(9));
}

#[test]
fn a_halted_table_takes_nothing_and_holds_its_position() {
    let mut rig = Rig::new();
    rig.lane.halt_here(&mut rig.ledger);
    rig.ledger.commit(Lsn(9));
    rig.insert("a");
    rig.truncate();
    assert_eq!(rig.next_work(true), None);
    assert!(rig.lane.is_empty());
    assert_eq!(rig.ledger.durable(), Lsn(0));
}
