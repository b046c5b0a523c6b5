//! The order in which a table's changes leave.

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
        let table = Table { id: TableId(0), target: "t".into(), name, columns, key: vec![0], last_number: 0 };
        let limits = BatchConfig { max_rows: 2, max_bytes: 1 << 20, min_interval: Duration::from_secs(1) };
        let lane = Lane::new(Arc::new(table), Deletes::Soft, limits);
        Self { lane, ledger: Ledger::starting_at(Lsn(0)), now: Instant::now() }
    }

    fn insert(&mut self, key: &str) {
        let mut row = Vec::new();
        write_value(Value::Text(key.as_bytes()), &mut row);
        let change = Change::Insert { new: Tuple::split(&row, 1).unwrap().0 };
        let transaction = Transaction { commit: Lsn(5), time: SystemTime::UNIX_EPOCH };
        self.lane.push(change, transaction, &mut self.ledger).unwrap();
    }

    fn truncate(&mut self) {
        self.lane.push_barrier(Barrier::Truncate, &mut self.ledger);
    }

    /// What leaves now: so many rows, or a barrier.
    fn depart(&mut self, urgent: bool) -> Option<String> {
        let flight = self.lane.depart(self.now, SystemTime::UNIX_EPOCH, urgent)?;
        self.ledger.settle(flight.ticket);
        Some(match flight.cargo {
            Cargo::Batches { batches, .. } => batches.iter().map(Batch::row_count).sum::<usize>().to_string(),
            Cargo::Barrier(barrier) => format!("{barrier:?}"),
        })
    }
}

#[test]
fn rule_4_a_table_has_one_load_in_flight() {
    let mut rig = Rig::new();
    rig.insert("a");
    assert_eq!(rig.depart(false).as_deref(), Some("1"));
    rig.insert("b");
    assert_eq!(rig.depart(true), None);
    rig.lane.landed();
    assert_eq!(rig.depart(true).as_deref(), Some("1"));
}

#[test]
fn loads_of_a_table_begin_an_interval_apart_unless_they_are_full() {
    let mut rig = Rig::new();
    rig.insert("a");
    assert!(rig.depart(false).is_some(), "the first change after a quiet time is loaded at once");
    rig.lane.landed();
    rig.insert("b");
    assert_eq!(rig.depart(false), None);
    rig.insert("c");
    assert_eq!(rig.depart(false).as_deref(), Some("2"));
}

#[test]
fn rule_5_a_truncate_waits_for_what_came_before_and_holds_what_comes_after() {
    let mut rig = Rig::new();
    rig.insert("a");
    rig.truncate();
    rig.insert("b");
    assert_eq!(rig.depart(false).as_deref(), Some("1"));
    assert_eq!(rig.depart(false), None, "the load before is still under way");
    rig.lane.landed();
    assert_eq!(rig.depart(false).as_deref(), Some("Truncate"));
    assert_eq!(rig.depart(true), None, "nothing passes it");
    rig.lane.landed();
    assert_eq!(rig.depart(true).as_deref(), Some("1"));
}

#[test]
fn a_truncate_holds_the_confirmed_position_until_it_is_done() {
    let mut rig = Rig::new();
    rig.ledger.begin(SystemTime::UNIX_EPOCH);
    rig.truncate();
    rig.ledger.commit(Lsn(9));
    assert_eq!(rig.ledger.durable(), Lsn(0));
    rig.depart(false);
    assert_eq!(rig.ledger.durable(), Lsn(9));
}

#[test]
fn a_halted_table_takes_nothing_and_holds_its_position() {
    let mut rig = Rig::new();
    rig.lane.halt_here(&mut rig.ledger);
    rig.ledger.commit(Lsn(9));
    rig.insert("a");
    rig.truncate();
    assert_eq!(rig.depart(true), None);
    assert!(rig.lane.is_empty());
    assert_eq!(rig.ledger.durable(), Lsn(0));
}
