//! From converted rows to rows that are there: quality, commit, publication (§5.1, §6.5).

use std::{sync::Arc, time::Instant};

use super::{super::answer::LoadStatus, Content, Counters, Load, Stop};
use crate::{
    fault::{Action, Stage},
    locked,
    outcome::{Manner, Part, Publication, Undecided},
    plan::{Converted, LoadPlan},
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
        let content = self.check_quality(content, refused)?;
        let publication = self.publication(content, late.unwrap_or(0))?;
        match action {
            None | Some(Action::RefuseRow { .. } | Action::PublishTimeout { .. }) => {}
            Some(Action::CommitLater { millis }) => return Err(self.leave(publication, millis, None)),
            Some(Action::AbortLater { millis }) => {
                return Err(self.leave(publication, millis, Some("the commit came to nothing".to_owned())));
            }
            Some(action) => return Err(self.stop_for(action)),
        }
        let now = self.cluster.clock.now();
        let id = publication.transaction;
        let committed = locked(&self.cluster.transactions).commit(self.database, id, now);
        committed.map_err(|reason| Stop::fail(format!("fail to execute commit task: {reason}")))?;
        let cluster = Arc::clone(self.cluster);
        let published = tokio::task::spawn_blocking(move || cluster.publish(publication)).await;
        let visible = published.map_err(|_| Stop::Silent)?;
        self.times.commit = started.elapsed();
        Ok(if late.is_some() || !visible { LoadStatus::PublishTimeout } else { LoadStatus::Success })
    }

    /// Leaves the load to its fate: nobody aborts it when the connection ends.
    fn leave(&mut self, publication: Publication, millis: u64, abort: Option<String>) -> Stop {
        let due_millis = self.cluster.clock.now() + i64::try_from(millis).unwrap_or(i64::MAX / 4);
        self.cluster.leave_undecided(Undecided { publication, due_millis, abort });
        self.transaction = None;
        Stop::Silent
    }

    /// Filtered rows against the ratio, and loads without a row (§5.1, §5.5).
    fn check_quality(&mut self, mut content: Content, refused: Option<String>) -> Result<Content, Stop> {
        let mut max_ratio = 0.0;
        if let Content::Converted(plan, converted) = &mut content {
            max_ratio = plan.max_filter_ratio;
            if let Some(reason) = &refused {
                converted.changes.pop();
                converted.refuse(reason, "");
            }
            self.rows = Counters {
                total: converted.total,
                loaded: converted.loaded(),
                filtered: converted.filtered,
                bytes: self.rows.bytes,
            };
            if converted.filtered > 0 {
                let file = self.cluster.keep_error_log(std::mem::take(&mut converted.log));
                let address = self.cluster.backend_address();
                self.error_url = Some(format!("http://{address}/api/_load_error_log?file={file}"));
            }
        } else if refused.is_some() {
            (self.rows.loaded, self.rows.filtered) = (self.rows.total.saturating_sub(1), 1);
        }
        if self.rows.filtered > 0 && self.rows.filtered as f64 > max_ratio * self.rows.total as f64 {
            return Err(Stop::fail("too many filtered rows"));
        }
        if self.rows.loaded == 0 {
            return Err(Stop::fail(self.cluster.profile().empty_load_message()));
        }
        Ok(content)
    }

    fn publication(&self, content: Content, delay_millis: u64) -> Result<Publication, Stop> {
        let transaction = self.transaction.ok_or(Stop::Silent)?;
        let due_millis = self.cluster.clock.now() + i64::try_from(delay_millis).unwrap_or(i64::MAX / 4);
        let mut publication =
            Publication { database: self.database.to_owned(), transaction, parts: Vec::new(), due_millis };
        let Content::Converted(plan, converted) = content else { return Ok(publication) };
        self.check_partial(&plan, &converted)?;
        publication.parts.push(Part {
            table_id: plan.table_id,
            epoch: plan.epoch,
            columns: plan.columns,
            changes: converted.changes,
            manner: Manner { is_partial: plan.is_partial, condition: plan.condition },
        });
        Ok(publication)
    }

    /// What a partial update can only know from its rows (§10).
    fn check_partial(&self, plan: &LoadPlan, converted: &Converted) -> Result<(), Stop> {
        if !plan.is_partial {
            return Ok(());
        }
        let mut upserts = converted.changes.iter().filter(|change| !change.is_delete);
        if plan.lacks_sort_columns && upserts.clone().next().is_some() {
            return Err(Stop::fail(
                "partial update on table with sort key must provide all sort key columns",
            ));
        }
        let catalog = locked(&self.cluster.catalog);
        let Some(table) = catalog.table(self.database, self.table) else { return Ok(()) };
        let Some(column) = table.column_without_value(&plan.columns) else { return Ok(()) };
        if upserts.all(|change| table.holds(&plan.columns, change)) {
            return Ok(());
        }
        Err(Stop::fail(format!("NULL value in non-nullable column '{}'", column.name)))
    }
}
