//! What one session leaves for the next of the same worker.
//!
//! A table that fell behind is read again from the WAL by a new session, and with it everything that the other tables
//! have had since. What they have is kept here, so that their rows do not become older for a while. It counts only
//! while nobody else can have loaded in between.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{pipeline::TablePositions, starrocks::Tenure, table::TableName};

/// Between two sessions.
#[derive(Debug, Default)]
pub(super) struct Resume {
    kept: Option<(Tenure, TablePositions)>,
    read_again: Arc<Notify>,
}

impl Resume {
    /// Notified when a session ought to read again what a table left behind.
    pub(super) fn read_again(&self) -> Arc<Notify> {
        Arc::clone(&self.read_again)
    }

    /// A session has ended in order, and its tables are so far.
    pub(super) fn keep(&mut self, tenure: Tenure, positions: TablePositions) {
        self.kept = Some((tenure, positions));
    }

    /// The target of the table is another.
    pub(super) fn forget(&mut self, table: &TableName) {
        self.kept.iter_mut().for_each(|(_, positions)| positions.forget(table));
    }

    /// What the session before left for one of the same tenure; nothing a second time.
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
