//! Entry point for the fuzzer: reads an answer as each call of a transaction over several tables does.

use super::{
    LoadOutcome, Operation,
    reply::{Ended, accepted, judge_load, read, read_rollback},
};
use crate::{starrocks::http::frontend::Answer, table::Table};

/// How an answer was understood.
#[derive(Debug)]
pub struct Step {
    /// A begin or a commit was accepted.
    pub accepted: bool,
    /// A load is in the transaction.
    pub loaded: bool,
    /// A rollback has ended the transaction, or it no longer existed.
    pub ended: bool,
    /// The messages that a person would read.
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

fn said(outcome: &LoadOutcome) -> Option<String> {
    match outcome {
        LoadOutcome::Committed => None,
        LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) => Some(retryable.message.clone()),
        LoadOutcome::Refused(fault) | LoadOutcome::Halt(fault) => Some(fault.message.clone()),
    }
}
