//! A door for the fuzzer: an answer, as each call of a transaction over several tables reads it.

use super::{Answer, Ended, LoadOutcome, Operation, accepted, judge_load, read, read_rollback};
use crate::table::Table;

/// What an answer was taken for.
#[derive(Debug)]
pub struct Step {
    /// A begin or a commit was accepted.
    pub accepted: bool,
    /// A load is in the transaction.
    pub loaded: bool,
    /// A rollback has ended it, or it was not there any more.
    pub ended: bool,
    /// What a person would be told.
    pub told: Vec<String>,
}

pub(in crate::starrocks) fn step(answer: &Answer, table: &Table, sent: u64) -> Step {
    let accepted =
        read(answer).map_or_else(LoadOutcome::Unclear, |reply| accepted(Operation::Commit, &reply));
    let rolled_back = read(answer).and_then(|reply| read_rollback(&reply));
    let loaded = judge_load(answer, table, sent);
    let refused = rolled_back.as_ref().err().map(|retryable| retryable.message.clone());
    let told = [said(&accepted), refused, said(&loaded)];
    Step {
        accepted: accepted == LoadOutcome::Committed,
        loaded: loaded == LoadOutcome::Committed,
        ended: matches!(rolled_back, Ok(Some(Ended::Aborted(_) | Ended::Forgotten))),
        told: told.into_iter().flatten().collect(),
    }
}

fn said(verdict: &LoadOutcome) -> Option<String> {
    match verdict {
        LoadOutcome::Committed => None,
        LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) => Some(retryable.message.clone()),
        LoadOutcome::Refused(fault) | LoadOutcome::Halt(fault) => Some(fault.message.clone()),
    }
}
