//! Tables that are copied anew: the target is made equal to the source once more, whatever is in it.

use serde::{Deserialize, Serialize};

use super::{CopyState, SchemaHistory};

/// A request to copy tables anew, as it was taken up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// One that has this name was handled already. Empty where it has none.
    pub name: String,
    /// When it was taken up, in nanoseconds since 1970.
    pub at: u64,
}

/// When the job last took a table anew by itself, and how often within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retaken {
    /// Seconds since 1970.
    pub at: u64,
    pub times: u32,
}

/// Seconds between two copies that the job begins by itself; each doubles the next, up to a day.
const SHORTEST: u64 = 300;
const LONGEST: u64 = 86_400;

impl Retaken {
    /// The first second at which the table may be taken anew again.
    pub fn next(self) -> u64 {
        let pause = SHORTEST.checked_shl(self.times.saturating_sub(1)).unwrap_or(LONGEST);
        self.at.saturating_add(if self.times > 20 { LONGEST } else { pause.min(LONGEST) })
    }

    /// Taken anew at `now`, after `before`. A quiet day makes it the first time again.
    pub fn again(before: Option<Self>, now: u64) -> Self {
        let recent = before.filter(|before| before.next().saturating_add(LONGEST) > now);
        Self { at: now, times: recent.map_or(0, |before| before.times).saturating_add(1) }
    }
}

impl SchemaHistory {
    /// The history with a new copy of every row, after which the target has no other rows. A copy that is under way is
    /// not begun again, but removes them too.
    #[must_use]
    pub fn with_removal(self) -> Self {
        let copy = Some(self.copy.map_or_else(CopyState::anew, CopyState::removing));
        Self { whole: Some(false), copy, ..self }
    }

    /// The same, and what was copied so far does not count.
    #[must_use]
    pub fn taken_anew(self) -> Self {
        Self { whole: Some(false), copy: Some(CopyState::anew()), ..self }
    }

    /// Whether the table was copied anew for the request with this name.
    pub fn has_taken(&self, name: &str) -> bool {
        !name.is_empty() && self.request.as_ref().is_some_and(|request| request.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_history::{LeafState, Removal};

    #[test]
    fn a_copy_that_is_under_way_goes_on_and_removes_rows_too() {
        let leaves = [(7, LeafState { file: 70, blocks: 9, next: Some(5) })].into();
        let copying = SchemaHistory {
            copy: Some(CopyState { leaves, ..CopyState::default() }),
            ..SchemaHistory::default()
        };
        let removing = copying.clone().with_removal().copy.unwrap();
        assert_eq!((removing.leaves.len(), removing.removal), (1, Some(Removal::default())));
        assert_eq!(copying.taken_anew().copy, Some(CopyState::anew()));
        let whole = SchemaHistory { whole: Some(true), ..SchemaHistory::default() };
        assert_eq!(whole.clone().with_removal(), SchemaHistory { whole: Some(true), ..whole }.taken_anew());
    }

    #[test]
    fn copies_that_a_job_begins_by_itself_become_rarer_and_a_quiet_day_ends_that() {
        let first = Retaken::again(None, 1_000);
        assert_eq!(first.next(), 1_300);
        let second = Retaken::again(Some(first), 1_300);
        assert_eq!((second.times, second.next()), (2, 1_900));
        let tenth = Retaken { at: 0, times: 10 };
        assert_eq!(tenth.next(), LONGEST);
        assert_eq!(Retaken::again(Some(tenth), 2 * LONGEST).times, 1);
        assert_eq!(Retaken { at: 0, times: u32::MAX }.next(), LONGEST);
    }
}
