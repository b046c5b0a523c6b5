//! Positions per table that one session passes to the next session of the same worker.
//!
//! A new session reads the changes of a table that fell behind again from the WAL, and with them the changes of the
//! other tables since then. The positions that the other tables have reached are kept here, so that their rows are not
//! overwritten by older versions for a while. They are valid only while no other worker can have loaded in between.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{pipeline::TablePositions, starrocks::Tenure, table::TableName};

/// Passed from session to session.
#[derive(Debug, Default)]
pub(super) struct Resume {
    kept: Option<(Tenure, TablePositions)>,
    read_again: Arc<Notify>,
}

impl Resume {
    /// Notified when a new session should read the skipped changes of a table again.
    pub(super) fn read_again(&self) -> Arc<Notify> {
        Arc::clone(&self.read_again)
    }

    /// Stores the positions of the tables at the orderly end of a session.
    pub(super) fn keep(&mut self, tenure: Tenure, positions: TablePositions) {
        self.kept = Some((tenure, positions));
    }

    /// Discards the position of a table whose target was created anew.
    pub(super) fn forget(&mut self, table: &TableName) {
        self.kept.iter_mut().for_each(|(_, positions)| positions.forget(table));
    }

    /// Takes the positions of the previous session, if it had the same tenure. They can be taken once.
    pub(super) fn take(&mut self, tenure: Tenure) -> TablePositions {
        let kept = self.kept.take().filter(|(before, _)| *before == tenure);
        kept.map(|(_, positions)| positions).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Lsn;

    #[test]
    fn positions_count_once_and_only_while_nobody_else_can_have_loaded() {
        let positions = || TablePositions::new([(TableName::parse("public.t").unwrap(), Lsn(7))]);
        let tenure = Tenure { wins: 1, timeline: Some(1) };
        let mut resume = Resume::default();
        resume.keep(tenure, positions());
        assert_eq!(resume.take(tenure), positions());
        assert_eq!(resume.take(tenure), TablePositions::default());
        for other in [Tenure { wins: 2, ..tenure }, Tenure { timeline: Some(2), ..tenure }] {
            resume.keep(tenure, positions());
            assert_eq!(resume.take(other), TablePositions::default());
        }
    }
}
