//! Barriers for others: points in a table's changes at which another task has the table's target to itself.
//!
//! ```text
//! snapshot ──AskBarrier────► lane: … load │ barrier │ later changes wait …
//! snapshot ◄──AtBarrier────────────────────┘  (everything before it is durable)
//! snapshot ──lift──► the lane goes on
//! ```
//!
//! Whoever asks also learns which transactions were routed before the barrier. A transaction is in the WAL before other
//! sessions see it, so a query of the source may not have seen it yet.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use super::fault::barrier_left;
use crate::{
    fault::Fault,
    lsn::Lsn,
    table::{Table, TableId},
};

/// Asks for a barrier in the lane of a table. It is dropped unanswered when the table is halted.
#[derive(Debug)]
pub struct AskBarrier {
    pub table: TableId,
    pub reached: oneshot::Sender<AtBarrier>,
}

/// A lane stands still: everything before the barrier is durable, nothing after it is loaded.
#[derive(Debug)]
pub struct AtBarrier {
    /// The columns of the rows at this point.
    pub rows: Arc<Table>,
    /// The version of every row before the barrier is at most this, and of every later row at least this.
    pub version: Lsn,
    /// Everything that the source committed before this position was routed before the barrier.
    pub received: Lsn,
    /// Transactions routed before the barrier that may not be visible at the source.
    pub routed: Vec<u32>,
    pub mark: Mark,
    lift: oneshot::Sender<Result<(), Fault>>,
}

impl AtBarrier {
    /// Lets the lane go on. No load of the caller may be in flight.
    pub fn lift(self) {
        // The pipeline may have ended.
        let _ = self.lift.send(Ok(()));
    }

    /// Halts the table.
    pub fn halt(self, fault: Fault) {
        let _ = self.lift.send(Err(fault));
    }
}

/// A barrier in the queue of a lane.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) rows: Arc<Table>,
    pub(super) version: Lsn,
    pub(super) received: Lsn,
    pub(super) routed: (Mark, Vec<u32>),
    pub(super) reached: oneshot::Sender<AtBarrier>,
}

impl Placed {
    /// Resolves when the barrier is lifted. A barrier that was left without a word halts the table: a load may be in
    /// flight that would overwrite later changes.
    pub(super) async fn stand(self) -> Result<(), Fault> {
        let Self { rows, version, received, routed: (mark, routed), reached } = self;
        let (lift, lifted) = oneshot::channel();
        let left = barrier_left(&rows);
        if reached.send(AtBarrier { rows, version, received, routed, mark, lift }).is_err() {
            return Ok(()); // not wanted any more, and nothing was begun
        }
        lifted.await.unwrap_or(Err(left))
    }
}

/// The task that copies rows, as the pipeline knows it.
#[derive(Debug)]
pub struct Copies {
    pub asked: mpsc::Receiver<AskBarrier>,
    pub routed: Arc<Routed>,
    /// Bytes of the buffer that the copies hold.
    pub reserved: usize,
}

impl Copies {
    /// Bytes of the buffer that are held by copies.
    pub(super) fn reserved(copies: &Option<Self>) -> usize {
        copies.as_ref().map_or(0, |copies| copies.reserved)
    }

    /// The next barrier that is asked for. Never resolves where no table is copied.
    pub(super) async fn next(copies: &mut Option<Self>) -> Option<AskBarrier> {
        match copies {
            Some(copies) => copies.asked.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// A point in the order in which transactions were routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// The transactions that were routed and are not known to be visible at the source.
#[derive(Debug, Default)]
pub struct Routed(Mutex<Unseen>);

#[derive(Debug, Default)]
struct Unseen {
    transactions: Vec<(Mark, u32)>,
    next: u64,
}

impl Routed {
    pub(super) fn begin(&self, xid: u32) {
        let mut unseen = self.unseen();
        let mark = Mark(unseen.next);
        unseen.transactions.push((mark, xid));
        unseen.next += 1;
    }

    /// The transactions routed before the returned mark.
    pub fn now(&self) -> (Mark, Vec<u32>) {
        let unseen = self.unseen();
        (Mark(unseen.next), unseen.transactions.iter().map(|(_, xid)| *xid).collect())
    }

    /// Of the transactions routed before `mark`, only these are not visible.
    pub fn seen(&self, before: Mark, except: &[u32]) {
        let except: HashSet<_> = except.iter().collect();
        self.unseen().transactions.retain(|(at, xid)| *at >= before || except.contains(xid));
    }

    // A list is valid whatever a thread that panicked was doing.
    fn unseen(&self) -> MutexGuard<'_, Unseen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_forgotten_and_what_came_later_is_not() {
        let routed = Routed::default();
        [7, 8, 9].into_iter().for_each(|xid| routed.begin(xid));
        let (mark, xids) = routed.now();
        assert_eq!(xids, [7, 8, 9]);
        routed.begin(10);
        routed.seen(mark, &[8]);
        assert_eq!(routed.now().1, [8, 10]);
    }
}
