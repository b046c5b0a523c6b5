//! Faults that a test asks for: which load they hit, at which stage, and with which action.
//!
//! A fault waits for loads whose table and label match to reach its stage, lets `skip` of them pass, and then acts on
//! `count` of them.

use std::{sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::locked;

/// The stages of a load, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The FE has checked the request and is about to redirect it.
    Redirect,
    /// The BE has the head of the request; there is no transaction yet.
    Begin,
    /// The transaction has begun; the columns are not checked yet.
    Plan,
    /// The checks have passed, and `100 Continue` is sent next.
    Continue,
    /// About half of the body has arrived.
    Body,
    /// The whole body has been read and converted; nothing is committed.
    Commit,
    /// The rows are committed; the client has no answer yet.
    Answer,
    /// The FE is asked for the state of a label, or to cancel its load.
    State,
    /// A SQL statement has arrived; `label` is matched with the statement's text.
    Statement,
    /// A SQL statement is done; the client has no answer yet.
    Result,
    /// The state of an asynchronous ALTER is read.
    Alter,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Continue after this time.
    Delay { millis: u64 },
    /// Continue when the fault is removed.
    Hold,
    /// Close the connection without an answer.
    Close,
    /// Redirect to another address (stage `redirect`).
    RedirectTo { address: String },
    /// Answer 500 (stages `redirect` and `state`).
    ServerError,
    /// `No backend alive` (stage `redirect`).
    NoBackend,
    /// `Fail` with this message; the transaction is aborted. At stage `answer` the rows are committed nevertheless; at
    /// `state` and `statement` it is an error, at `alter` the job is CANCELLED.
    Fail { message: String },
    /// `Label Already Exists`, `RUNNING`, as if another attempt were in progress (stage `begin`).
    LabelRunning,
    /// `current running txns on db … larger than limit` (stage `begin`).
    RunningTransactionLimit,
    /// `Failed to load data into tablet …, because of too many versions`.
    TooManyVersions,
    /// One row counts as filtered (stage `commit`).
    RefuseRow { reason: String },
    /// Commit, answer `Publish Timeout`, and make the rows visible after this time (stage `commit`).
    PublishTimeout { visible_after_millis: u64 },
    /// Close without an answer; the label stays in PREPARE, and the rows are committed after this time (stage
    /// `commit`).
    CommitLater { millis: u64 },
    /// Close without an answer; the label stays in PREPARE and is ABORTED after this time (stage `commit`).
    AbortLater { millis: u64 },
    /// Answer `OK` and commit nothing, as a transaction over several tables can do (stage `commit`).
    FalseOk,
    /// Send the first half of the answer, then close (stage `answer`).
    CutAnswer,
    /// The leading FE restarts and loses what it had only in memory: open transactions over several tables, and loads
    /// neither prepared nor committed. A call that the FE serves ends without an answer; a load at a BE continues.
    RestartFrontend,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `db.table`, with `*` for any text.
    #[serde(default = "anything")]
    pub table: String,
    /// The label, with `*` for any text.
    #[serde(default = "anything")]
    pub label: String,
    /// This many matching loads pass first.
    #[serde(default)]
    pub skip: u32,
    /// This many loads are hit; `None` means all.
    #[serde(default)]
    pub count: Option<u32>,
    pub stage: Stage,
    pub action: Action,
}

fn anything() -> String {
    "*".to_owned()
}

impl Fault {
    /// Hits the next load of any table and label.
    pub fn once(stage: Stage, action: Action) -> Self {
        Self { count: Some(1), ..Self::always(stage, action) }
    }

    /// Hits every load until the fault is removed.
    pub fn always(stage: Stage, action: Action) -> Self {
        Self { table: anything(), label: anything(), skip: 0, count: None, stage, action }
    }

    #[must_use]
    pub fn on_table(self, table: &str) -> Self {
        Self { table: table.to_owned(), ..self }
    }

    #[must_use]
    pub fn on_label(self, label: &str) -> Self {
        Self { label: label.to_owned(), ..self }
    }

    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    fn fits(&self, stage: Stage, table: &str, label: &str) -> bool {
        self.stage == stage
            && matches(self.table.as_bytes(), table.as_bytes())
            && matches(self.label.as_bytes(), label.as_bytes())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Mutex<Vec<Fault>>,
    released: Notify,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        locked(&self.waiting).push(fault);
    }

    /// Removes every fault, so that held loads continue.
    pub(crate) fn clear(&self) {
        locked(&self.waiting).clear();
        self.released.notify_waiters();
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        locked(&self.waiting).clone()
    }

    /// Waits for the end of delays and holds of this stage, and returns the action that remains.
    pub(crate) async fn meet(&self, stage: Stage, table: &str, label: &str) -> Option<Action> {
        let mut after = 0;
        loop {
            // Registered before the list is read, so that a release in between is not missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let (place, action) = self.take(stage, table, label, after)?;
            after = place;
            match action {
                Action::Delay { millis } => tokio::time::sleep(Duration::from_millis(millis)).await,
                Action::Hold => released.await,
                action => return Some(action),
            }
        }
    }

    /// The action for a caller that cannot wait: a hold is returned for as long as it exists.
    pub(crate) fn strike(&self, stage: Stage, table: &str) -> Option<Action> {
        let holds = |fault: &Fault| fault.action == Action::Hold && fault.fits(stage, table, "");
        if locked(&self.waiting).iter().any(holds) {
            return Some(Action::Hold);
        }
        self.take(stage, table, "", 0).map(|(_, action)| action)
    }

    /// The first fault from index `after` on that matches and is due, with the index to continue from.
    fn take(&self, stage: Stage, table: &str, label: &str, after: usize) -> Option<(usize, Action)> {
        let mut waiting = locked(&self.waiting);
        for (place, fault) in waiting.iter_mut().enumerate().skip(after) {
            if !fault.fits(stage, table, label) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let action = fault.action.clone();
            let Some(count) = &mut fault.count else { return Some((place + 1, action)) };
            *count = count.saturating_sub(1);
            if *count > 0 {
                return Some((place + 1, action));
            }
            waiting.remove(place);
            return Some((place, action));
        }
        None
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of bytes.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', [])) => true,
        Some((b'*', rest)) => {
            (0..=text.len()).any(|start| matches(rest, text.get(start..).unwrap_or_default()))
        }
        Some((first, rest)) => {
            text.split_first().is_some_and(|(head, tail)| head == first && matches(rest, tail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_skips_then_strikes_then_is_spent() {
        let faults = Faults::default();
        faults.add(Fault::once(Stage::Commit, Action::Close).on_table("db.t*").after(1));
        assert_eq!(faults.meet(Stage::Commit, "db.t1", "a").await, None);
        assert_eq!(faults.meet(Stage::Commit, "other.t1", "b").await, None);
        assert_eq!(faults.meet(Stage::Commit, "db.t2", "c").await, Some(Action::Close));
        assert_eq!(faults.meet(Stage::Commit, "db.t2", "d").await, None);
    }

    #[test]
    fn faults_are_written_as_json() {
        let text = r#"{"table":"d.*","stage":"commit","action":{"delay":{"millis":5}}}"#;
        let fault: Fault = serde_json::from_str(text).expect("readable");
        assert_eq!(fault.action, Action::Delay { millis: 5 });
        assert_eq!(serde_json::from_str::<Action>("\"close\"").expect("readable"), Action::Close);
    }
}
