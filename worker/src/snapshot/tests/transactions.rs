//! Transactions of the simulated server: their numbers, sub-transactions, and what a snapshot sees of them.

use std::collections::BTreeMap;

use super::{server::Xid, wal::Record};
use crate::postgres::visibility::Visibility;

/// Numbers that no transaction has, in every 2³².
const SPECIAL: u64 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Prepared,
    /// The commit is in the WAL, and other sessions do not see it yet.
    InWal,
    Visible,
    Aborted,
}

/// The strongest lock that a transaction holds on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    None,
    Write,
    Exclusive,
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) state: State,
    pub(super) lock: Lock,
    /// Its own number, and those of its sub-transactions.
    pub(super) xids: Vec<Xid>,
    pub(super) records: Vec<Record>,
}

#[derive(Debug)]
pub(super) struct Transactions {
    next: Xid,
    /// By the number of the whole transaction.
    all: BTreeMap<Xid, Transaction>,
    /// The whole transaction of every number.
    tops: BTreeMap<Xid, Xid>,
    /// Numbers whose changes do not count.
    aborted: Vec<Xid>,
    latest_completed: Xid,
}

/// What a query sees.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    next: Xid,
    running: Vec<Xid>,
}

impl Snapshot {
    /// As the server prints it.
    pub(super) fn visibility(&self) -> Visibility {
        let oldest = self.running.iter().min().unwrap_or(&self.next);
        let running: Vec<_> = self.running.iter().map(u64::to_string).collect();
        Visibility::parse(&format!("{oldest}:{}:{}", self.next, running.join(","))).unwrap()
    }
}

impl Transactions {
    pub(super) fn beginning_at(next: Xid) -> Self {
        let (all, tops) = (BTreeMap::new(), BTreeMap::new());
        Self { next, all, tops, aborted: Vec::new(), latest_completed: next - 1 }
    }

    fn number(&mut self) -> Xid {
        while self.next & 0xFFFF_FFFF < SPECIAL {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }

    pub(super) fn begin(&mut self) -> Xid {
        let xid = self.number();
        let (state, lock) = (State::Running, Lock::None);
        self.all.insert(xid, Transaction { state, lock, xids: vec![xid], records: Vec::new() });
        self.tops.insert(xid, xid);
        xid
    }

    pub(super) fn of(&mut self, top: Xid) -> &mut Transaction {
        self.all.get_mut(&top).unwrap()
    }

    pub(super) fn savepoint(&mut self, top: Xid) {
        let sub = self.number();
        self.tops.insert(sub, top);
        self.of(top).xids.push(sub);
    }

    /// Undoes what the last sub-transaction did.
    pub(super) fn rollback_to(&mut self, top: Xid) {
        let transaction = self.of(top);
        if transaction.xids.len() > 1
            && let Some(sub) = transaction.xids.pop()
        {
            transaction.records.retain(|record| record.xid != sub);
            self.aborted.push(sub);
        }
    }

    /// The number of the transaction's next change.
    pub(super) fn writer(&mut self, top: Xid) -> Xid {
        *self.of(top).xids.last().unwrap()
    }

    pub(super) fn lock(&mut self, top: Xid, lock: Lock) {
        let transaction = self.of(top);
        transaction.lock = transaction.lock.max(lock);
    }

    /// The transaction has ended for every session, and its locks are released.
    pub(super) fn end(&mut self, top: Xid, state: State) {
        let transaction = self.of(top);
        transaction.state = state;
        let xids = transaction.xids.clone();
        self.latest_completed = self.latest_completed.max(xids.iter().copied().max().unwrap_or_default());
        if state == State::Aborted {
            self.aborted.extend(xids);
        }
    }

    /// Whole transactions in this state, in the order in which they began.
    pub(super) fn that_are(&self, state: State) -> Vec<Xid> {
        let them = self.all.iter().filter(|(_, transaction)| transaction.state == state);
        them.map(|(xid, _)| *xid).collect()
    }

    /// Whole transactions that hold at least this lock.
    pub(super) fn holders(&self, lock: Lock) -> Vec<Xid> {
        let holds = |transaction: &Transaction| transaction.lock >= lock && is_open(transaction.state);
        self.all.iter().filter(|(_, transaction)| holds(transaction)).map(|(xid, _)| *xid).collect()
    }

    /// As the server's: it begins where the last transaction that has ended ends, whatever is in progress after it.
    pub(super) fn snapshot(&self) -> Snapshot {
        let next = self.latest_completed + 1;
        let open = self.all.iter().filter(|(xid, transaction)| **xid < next && is_open(transaction.state));
        Snapshot { next, running: open.map(|(xid, _)| *xid).collect() }
    }

    pub(super) fn is_aborted(&self, xid: Xid) -> bool {
        self.aborted.contains(&xid)
    }

    pub(super) fn sees(&self, snapshot: &Snapshot, xid: Xid) -> bool {
        let top = self.tops.get(&xid).copied().unwrap_or(xid);
        !self.is_aborted(xid) && top < snapshot.next && !snapshot.running.contains(&top)
    }

    pub(super) fn is_of(&self, xid: Xid, top: Xid) -> bool {
        self.tops.get(&xid) == Some(&top)
    }
}

fn is_open(state: State) -> bool {
    matches!(state, State::Running | State::Prepared | State::InWal)
}
