//! Computes the position that is safe to confirm: the end of the last transaction with nothing outstanding at or before
//! it.
//!
//! Pure. A ticket stands for changes that are not durable yet. It holds the position before the transaction of its
//! first change; the durable position is the lowest of these. So a transaction is confirmed as a whole or not at all,
//! however many batches its changes are in.

use std::{collections::BTreeMap, time::SystemTime};

use crate::lsn::Lsn;

#[derive(Debug)]
pub(super) struct Ledger {
    /// Everything before this was received, in whole transactions.
    received: Lsn,
    /// Commit time of the transaction that is being received.
    transaction: Option<SystemTime>,
    open: BTreeMap<Ticket, Outstanding>,
    next: u64,
}

/// Changes that are not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Outstanding {
    floor: Lsn,
    committed: Option<SystemTime>,
}

impl Ledger {
    /// Everything before `lsn` is durable already.
    pub(super) fn starting_at(lsn: Lsn) -> Self {
        Self { received: lsn, transaction: None, open: BTreeMap::new(), next: 0 }
    }

    pub(super) fn begin(&mut self, time: SystemTime) {
        self.transaction = Some(time);
    }

    pub(super) fn commit(&mut self, end: Lsn) {
        self.transaction = None;
        self.received = self.received.max(end);
    }

    /// A keepalive between transactions means that everything before it was sent, and so received. Open tickets hold
    /// their floors, so the position is confirmed only when they are settled.
    pub(super) fn keepalive(&mut self, lsn: Lsn) {
        if self.transaction.is_none() {
            self.received = self.received.max(lsn);
        }
    }

    /// Everything before this was received, in whole transactions.
    pub(super) fn received(&self) -> Lsn {
        self.received
    }

    /// Opens a ticket for changes of the transaction that is being received.
    pub(super) fn open(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.open.insert(ticket, Outstanding { floor: self.received, committed: self.transaction });
        ticket
    }

    /// Opens a ticket for work that has no changes: the ledger is not settled before it ends, and no position waits for it.
    pub(super) fn open_aside(&mut self) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.open.insert(ticket, Outstanding { floor: Lsn(u64::MAX), committed: None });
        ticket
    }

    /// All changes of the ticket are durable.
    pub(super) fn settle(&mut self, ticket: Ticket) {
        self.open.remove(&ticket);
    }

    /// Everything before this position is durable.
    pub(super) fn durable(&self) -> Lsn {
        self.open
            .values()
            .map(|outstanding| outstanding.floor)
            .min()
            .map_or(self.received, |floor| floor.min(self.received))
    }

    /// Whether everything received is durable, and came in whole transactions.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.transaction.is_none()
    }

    /// Commit time of the oldest change that is not durable.
    pub(super) fn oldest(&self) -> Option<SystemTime> {
        self.open.values().filter_map(|outstanding| outstanding.committed).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn rule_2_a_position_waits_for_the_slowest_table() {
        let mut ledger = Ledger::starting_at(Lsn(10));
        ledger.begin(NOW);
        let orders = ledger.open();
        ledger.commit(Lsn(20));
        ledger.begin(NOW);
        let users = ledger.open();
        ledger.commit(Lsn(30));
        ledger.settle(users);
        assert_eq!(ledger.durable(), Lsn(10));
        ledger.settle(orders);
        assert_eq!(ledger.durable(), Lsn(30));
    }

    #[test]
    fn work_without_changes_holds_no_position_and_is_waited_for() {
        let mut ledger = Ledger::starting_at(Lsn(10));
        let aside = ledger.open_aside();
        ledger.begin(NOW);
        let orders = ledger.open();
        ledger.commit(Lsn(20));
        assert_eq!(ledger.durable(), Lsn(10));
        ledger.settle(orders);
        assert_eq!((ledger.durable(), ledger.is_settled()), (Lsn(20), false));
        ledger.settle(aside);
        assert_eq!((ledger.durable(), ledger.is_settled()), (Lsn(20), true));
    }

    #[test]
    fn what_is_outstanding_or_cut_is_not_settled() {
        let mut ledger = Ledger::starting_at(Lsn(10));
        assert!(ledger.is_settled());
        ledger.begin(NOW);
        let halted = ledger.open();
        ledger.commit(Lsn(20));
        assert!(!ledger.is_settled(), "a table is halted");
        ledger.settle(halted);
        assert!(ledger.is_settled());
        ledger.begin(NOW);
        assert!(!ledger.is_settled(), "the rest of the transaction did not come");
    }

    #[test]
    fn rule_3_a_transaction_is_confirmed_whole() {
        let mut ledger = Ledger::starting_at(Lsn(10));
        ledger.begin(NOW);
        let first_half = ledger.open();
        ledger.settle(first_half);
        assert_eq!(ledger.durable(), Lsn(10), "the commit has not been received");
        let second_half = ledger.open();
        ledger.commit(Lsn(20));
        assert_eq!(ledger.durable(), Lsn(10));
        ledger.settle(second_half);
        assert_eq!(ledger.durable(), Lsn(20));
    }

    #[test]
    fn rule_2_a_keepalive_counts_only_when_nothing_is_outstanding() {
        let mut ledger = Ledger::starting_at(Lsn(10));
        ledger.begin(NOW);
        ledger.keepalive(Lsn(50));
        let ticket = ledger.open();
        ledger.commit(Lsn(20));
        ledger.keepalive(Lsn(60));
        assert_eq!(ledger.durable(), Lsn(10));
        ledger.settle(ticket);
        assert_eq!(ledger.durable(), Lsn(60), "and then without waiting for the next keepalive");
    }

    proptest! {
        /// Transactions of random tables, settled in a random order: the durable position never passes a
        /// transaction with something outstanding, never falls, and ends at the last commit.
        #[test]
        fn rule_2_no_position_passes_what_is_outstanding(
            transactions in prop::collection::vec(0_usize..4, 1..60),
            settle_order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
        ) {
            let mut ledger = Ledger::starting_at(Lsn(0));
            let mut outstanding = Vec::new();
            let mut last = Lsn(0);
            let mut picks = settle_order.into_iter();
            for (number, tables) in transactions.iter().enumerate() {
                ledger.begin(NOW);
                let commit = Lsn(number as u64 * 10 + 5);
                outstanding.extend((0..*tables).map(|_| (ledger.open(), commit)));
                ledger.commit(Lsn(number as u64 * 10 + 9));
                for pick in picks.by_ref().take(2) {
                    if outstanding.is_empty() { break }
                    let (ticket, _) = outstanding.swap_remove(pick.index(outstanding.len()));
                    ledger.settle(ticket);
                }
                let durable = ledger.durable();
                prop_assert!(durable >= last);
                prop_assert!(outstanding.iter().all(|(_, commit)| durable < *commit));
                last = durable;
            }
            outstanding.into_iter().for_each(|(ticket, _)| ledger.settle(ticket));
            prop_assert_eq!(ledger.durable(), Lsn((transactions.len() as u64 - 1) * 10 + 9));
        }
    }
}
