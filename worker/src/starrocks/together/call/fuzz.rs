//! A door for the fuzzer: an answer, as each call of a transaction over several tables reads it.

use super::{Answer, Ended, Operation, Trouble, Verdict, accepted, judge_load, read, read_rollback};
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
    let accepted = read(answer).and_then(|reply| accepted(Operation::Commit, &reply));
    let rolled_back = read(answer).and_then(|reply| read_rollback(&reply));
    let verdict = judge_load(answer, table, sent);
    let (loaded, of_load) = match verdict {
        Verdict::Committed => (true, None),
        Verdict::Again(trouble) | Verdict::Unclear(trouble) => (false, Some(trouble.message)),
        Verdict::Refused(fault) | Verdict::Halt(fault) => (false, Some(fault.message)),
    };
    let words = |trouble: &Trouble| trouble.message.clone();
    let told = [accepted.as_ref().err().map(words), rolled_back.as_ref().err().map(words), of_load];
    Step {
        accepted: accepted.is_ok(),
        loaded,
        ended: matches!(rolled_back, Ok(Some(Ended::Aborted(_) | Ended::Forgotten))),
        told: told.into_iter().flatten().collect(),
    }
}
