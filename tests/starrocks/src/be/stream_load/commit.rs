//! From converted rows to visible rows: quality, commit, publication (§5.1, §6.5).

use std::{sync::Arc, time::Instant};

use super::{super::answer::LoadStatus, Content, Load, Stop};
use crate::{
    fault::{Action, Stage},
    loaded::Loaded,
    locked,
    outcome::{Publication, Undecided},
};

impl Load<'_> {
    pub(super) async fn commit(&mut self, content: Content) -> Result<LoadStatus, Stop> {
        let action = self.meet(Stage::Commit).await;
        let refused = match &action {
            Some(Action::RefuseRow { reason }) => Some(reason.clone()),
            _ => None,
        };
        let late = match &action {
            Some(Action::PublishTimeout { visible_after_millis }) => Some(*visible_after_millis),
            _ => None,
        };
        let started = Instant::now();
        let mut loaded = self.loaded(content, refused.as_deref());
        self.judge(&mut loaded)?;
        let now = self.cluster.clock.now();
        let publication = Publication {
            database: self.database.to_owned(),
            transaction: self.transaction.ok_or(Stop::Silent)?,
            parts: loaded.parts,
            due_millis: now + i64::try_from(late.unwrap_or(0)).unwrap_or(i64::MAX / 4),
        };
        match action {
            None | Some(Action::RefuseRow { .. } | Action::PublishTimeout { .. }) => {}
            Some(Action::CommitLater { millis }) => return Err(self.leave(publication, millis, None)),
            Some(Action::AbortLater { millis }) => {
                return Err(self.leave(publication, millis, Some("the commit came to nothing".to_owned())));
            }
            Some(action) => return Err(self.stop_for(action)),
        }
        let id = publication.transaction;
        let committed = locked(&self.cluster.transactions).commit(self.database, id, now);
        committed.map_err(|reason| Stop::fail(format!("fail to execute commit task: {reason}")))?;
        let cluster = Arc::clone(self.cluster);
        let published = tokio::task::spawn_blocking(move || cluster.publish(publication)).await;
        let visible = published.map_err(|_| Stop::Silent)?;
        self.times.commit = started.elapsed();
        Ok(if late.is_some() || !visible { LoadStatus::PublishTimeout } else { LoadStatus::Success })
    }

    /// Detaches the load: it is not aborted when the connection ends.
    fn leave(&mut self, publication: Publication, millis: u64, abort: Option<String>) -> Stop {
        let due_millis = self.cluster.clock.now() + i64::try_from(millis).unwrap_or(i64::MAX / 4);
        self.cluster.leave_undecided(Undecided { publication, due_millis, abort });
        self.transaction = None;
        Stop::Silent
    }

    /// Stores the error log, then checks the ratio of filtered rows, and refuses a load without rows (§5.1, §5.5).
    fn judge(&mut self, loaded: &mut Loaded) -> Result<(), Stop> {
        if !loaded.log.is_empty() {
            self.error_url = Some(self.cluster.keep_errors(std::mem::take(&mut loaded.log)));
        }
        loaded.verdict(self.cluster.profile()).map_err(Stop::fail)
    }
}
