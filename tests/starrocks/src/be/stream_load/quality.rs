//! What a load has read, and whether it may be committed, as far as its rows alone decide that.

use super::{Content, Load};
use crate::{
    Mode,
    loaded::Loaded,
    locked,
    outcome::{Manner, Part},
    plan::{Converted, LoadPlan},
};

impl Load<'_> {
    /// The rows that were read, without one of them when a fault refuses a row.
    pub(in crate::be) fn loaded(&mut self, content: Content, refused: Option<&str>) -> Loaded {
        let mut loaded = Loaded { rows: self.rows, loads: 1, ..Loaded::default() };
        match content {
            Content::Counted if refused.is_some() => {
                loaded.rows.loaded = self.rows.total.saturating_sub(1);
                loaded.rows.filtered = 1;
            }
            Content::Counted => {}
            Content::Converted(plan, mut converted) => {
                if let Some(reason) = refused {
                    converted.changes.pop();
                    converted.refuse(reason, "");
                }
                loaded.rows.total = converted.total;
                loaded.rows.loaded = converted.loaded();
                loaded.rows.filtered = converted.filtered;
                loaded.rows.unselected = converted.unselected;
                loaded.max_filter_ratio = plan.max_filter_ratio;
                loaded.fault = self.partial_fault(&plan, &converted).or_else(|| self.version_fault(&plan));
                loaded.log = converted.log;
                loaded.parts.push(Part {
                    table_id: plan.table_id,
                    epoch: plan.epoch,
                    columns: plan.columns,
                    changes: converted.changes,
                    manner: Manner { is_partial: plan.is_partial, condition: plan.condition },
                });
            }
        }
        self.rows = loaded.rows;
        loaded
    }

    /// A tablet accepts no more versions until compaction has caught up (§14).
    fn version_fault(&self, plan: &LoadPlan) -> Option<String> {
        let (settings, now) = (self.cluster.settings(), self.cluster.clock.now());
        let mut catalog = locked(&self.cluster.catalog);
        let table = catalog.table_by_id(self.database, plan.table_id)?;
        let versions = table.versions(settings.compaction_millis, now);
        (versions >= settings.max_versions).then(|| match self.cluster.mode() {
            Mode::Nothing => too_many_versions(plan.table_id + 2, versions, settings.max_versions),
            Mode::Data => format!(
                "Failed to load data into partition, because of too large compaction score, current/limit: \
                 {versions}/{}. You can reduce the loading job concurrency, or increase compaction efficiency",
                settings.max_versions
            ),
        })
    }

    /// The error of a partial update that only its rows can show (§10).
    fn partial_fault(&self, plan: &LoadPlan, converted: &Converted) -> Option<String> {
        if !plan.is_partial {
            return None;
        }
        let mut upserts = converted.changes.iter().filter(|change| !change.is_delete);
        if plan.lacks_sort_columns && upserts.clone().next().is_some() {
            let message = "partial update on table with sort key must provide all sort key columns";
            return Some(message.to_owned());
        }
        let catalog = locked(&self.cluster.catalog);
        let table = catalog.table(self.database, self.table)?;
        let column = table.column_without_value(&plan.columns)?;
        let is_missing = upserts.any(|change| !table.holds(&plan.columns, change));
        is_missing.then(|| format!("NULL value in non-nullable column '{}'", column.name))
    }
}

pub(super) fn too_many_versions(tablet: u64, versions: u64, limit: u64) -> String {
    format!(
        "Failed to load data into tablet {tablet}, because of too many versions, current/limit: {versions}/{limit}. You \
         can reduce the loading job concurrency, or increase loading data batch size."
    )
}
