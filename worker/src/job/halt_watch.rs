//! Polls both ends of a running session: whether every table still matches its schema history, and whether a halted
//! table can be replicated again.
//!
//! The poll writes nothing and halts nothing. What it finds is decided by the start of the next session, from the
//! schema histories in StarRocks. So a halt survives a restart, and ends when its remedy was followed.
//!
//! Beside it, the catalogue is polled every 30 s for type changes that the replication stream does not announce: a
//! renamed enum label, a composite type with a new attribute.

use std::time::Duration;

use crds::Reason;
use tokio::time::{Instant, sleep};
use tracing::info;

use super::off_the_runtime;
use crate::{
    config::{JobConfig, SourceConfig},
    fault::{Course, Fault, Part},
    postgres,
    progress::{Progress, Stage},
    schema_history::Noted,
    starrocks::{self, Claimant, Shown, TargetCheck},
    table::{Column, Difference, Table, TableId, TableName},
};

/// Poll interval while a table is halted, and while none is.
const INTERVAL_WHILE_HALTED: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_secs(10);
/// Added to the interval per table, because a poll sends StarRocks three queries per table.
const INTERVAL_PER_TABLE: Duration = Duration::from_millis(30);
/// Poll interval for type changes that are not announced.
const TYPES_INTERVAL: Duration = Duration::from_secs(30);
/// A finding is checked again after this pause: the worker itself may have been changing the table.
const RECHECK_AFTER: Duration = Duration::from_secs(1);
/// Age of a session from which it ends for a halted table whose state a poll cannot tell.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The state that a session began with.
#[derive(Debug)]
pub(super) struct HaltWatch<'a> {
    pub(super) config: &'a JobConfig,
    /// How the job identifies itself to other jobs that load into its targets.
    pub(super) claimant: Claimant,
    pub(super) progress: &'a Progress,
    pub(super) noted: Noted,
    /// Faults of tables at the source.
    pub(super) refused: Vec<Fault>,
    /// Tables whose target does not match.
    pub(super) halted: Vec<(TableId, Fault)>,
    /// Tables whose target is still being prepared; their histories are written after that.
    pub(super) unfinished: Vec<TableId>,
    pub(super) tables: Vec<Table>,
}

impl HaltWatch<'_> {
    /// Resolves when a new session would begin in a different state than this one did.
    pub(super) async fn found_change(self) {
        let (shown, began) = (self.shown(&self.tables).await, Instant::now());
        loop {
            sleep(self.pause()).await;
            if self.has_changed(&shown, began).await {
                sleep(RECHECK_AFTER).await;
                if self.has_changed(&shown, began).await {
                    break;
                }
            }
        }
        info!("table definition or halt state changed; starting a new session");
    }

    fn pause(&self) -> Duration {
        let any_halted =
            !self.refused.is_empty() || !self.halted.is_empty() || !self.halted_tables().is_empty();
        let pause = if any_halted { INTERVAL_WHILE_HALTED } else { INTERVAL };
        pause + INTERVAL_PER_TABLE * u32::try_from(self.tables.len()).unwrap_or(u32::MAX)
    }

    async fn has_changed(&self, shown: &[Shown], began: Instant) -> bool {
        self.source_changed(began).await || self.sink_changed(began).await || self.halted_changed(shown).await
    }

    async fn source_changed(&self, began: Instant) -> bool {
        let (source, noted) = (self.config.source.clone(), self.noted.clone());
        let Ok(now) = off_the_runtime(move || postgres::refused(&source, &noted)).await else { return false };
        now.iter().any(|fault| !self.refused.contains(fault))
            || self.refused.iter().any(|fault| !now.contains(fault))
            || (began.elapsed() > RETRY_AFTER && self.has_old_name_back(&now))
    }

    /// A table was halted in the stream as replaced or missing, and the source now shows the original relation under
    /// its name again. If the stream holds changes of another relation of that name, the table halts there again.
    fn has_old_name_back(&self, now: &[Fault]) -> bool {
        let faults = self.progress.view().faults;
        let halted = faults
            .iter()
            .filter(|fault| matches!(fault.reason, Reason::SourceTableReplaced | Reason::SourceTableMissing));
        let mut halted = halted.filter(|fault| !self.refused.contains(fault));
        halted.any(|halted| now.iter().all(|fault| fault.part != halted.part))
    }

    /// Whether the schema history of a table with a fault at the source was deleted by a person, so that the table is
    /// to be replicated anew.
    async fn history_was_deleted(&self) -> bool {
        let names = self.refused.iter().filter_map(|fault| match &fault.part {
            Part::Table(name) => Some(name),
            _ => None,
        });
        let targets: Vec<String> =
            names.filter(|name| self.noted.contains_key(name)).map(TableName::target).collect();
        if targets.is_empty() {
            return false;
        }
        let kept = starrocks::known(&self.config.sink, &self.config.job).await;
        kept.is_ok_and(|kept| targets.iter().any(|target| !kept.contains_key(target)))
    }

    async fn sink_changed(&self, began: Instant) -> bool {
        if self.history_was_deleted().await {
            return true;
        }
        let sink = &self.config.sink;
        let is_halted = |table: &Table| self.fault_of(table).is_some();
        let Ok(checks) = starrocks::look(sink, &self.claimant, &self.tables, is_halted).await else {
            return false;
        };
        self.tables.iter().zip(checks).any(|(table, now)| match (self.fault_of(table), now) {
            (Some(fault), TargetCheck::Wrong(now)) => *fault != now,
            (Some(_), TargetCheck::Unknown) => began.elapsed() > RETRY_AFTER,
            (Some(_), TargetCheck::Same) => true,
            (None, TargetCheck::Same) => false,
            // Its history is written when loading is granted.
            (None, TargetCheck::Unknown) => {
                self.progress.view().stage == Stage::Cdc && !self.unfinished.contains(&table.id)
            }
            (None, TargetCheck::Wrong(_)) => true,
        })
    }

    /// The fault with which the table was halted when the session began.
    fn fault_of(&self, table: &Table) -> Option<&Fault> {
        self.halted.iter().find(|(id, _)| *id == table.id).map(|(_, fault)| fault)
    }

    /// Whether a table that was halted in the stream differs at either end from when the session began. The difference
    /// may be the change that halted it: then the next session halts it again.
    async fn halted_changed(&self, before: &[Shown]) -> bool {
        let halted = self.halted_tables();
        if halted.is_empty() {
            return false;
        }
        let names: Vec<TableName> = halted.iter().map(|table| table.name.clone()).collect();
        let source = self.config.source.clone();
        let Ok(now) = off_the_runtime(move || postgres::shapes_of(&source, &names)).await else {
            return false;
        };
        let is_other = |(now, then): (&Result<Table, Fault>, &Table)| {
            // `TableId` is not compared: the catalogue numbers the tables of each query from 0.
            now.as_ref().map(|now| (&now.columns, &now.key)) != Ok((&then.columns, &then.key))
        };
        if now.iter().zip(&halted).any(is_other) {
            return true;
        }
        let shown = self.shown(&halted).await;
        shown.iter().any(|shown| !before.contains(shown))
    }

    fn halted_tables(&self) -> Vec<Table> {
        let faults = self.progress.view().faults;
        let is_halted = |table: &&Table| {
            let part = Part::Table(table.name.clone());
            faults.iter().any(|fault| fault.part == part && fault.course == Course::Halt)
        };
        self.tables.iter().filter(is_halted).cloned().collect()
    }

    /// The targets as StarRocks shows them; empty when it cannot be queried.
    async fn shown(&self, tables: &[Table]) -> Vec<Shown> {
        starrocks::show(&self.config.sink, tables).await.unwrap_or_default()
    }
}

/// Resolves when PostgreSQL prints the values of one of the tables differently than when the session began.
pub(super) async fn types_changed(source: &SourceConfig, tables: Vec<Table>) {
    let names: Vec<TableName> = tables.iter().map(|table| table.name.clone()).collect();
    loop {
        sleep(TYPES_INTERVAL).await;
        let (source, names) = (source.clone(), names.clone());
        let look = off_the_runtime(move || postgres::shapes_of(&source, &names)).await;
        // An unreachable source is reported by the stream.
        let Ok(now) = look else { continue };
        let drifted =
            tables.iter().zip(&now).find(|(then, now)| now.as_ref().is_ok_and(|now| has_drifted(then, now)));
        if let Some((table, _)) = drifted {
            info!(table = %table.name, "column type changed since the session began; starting a new session");
            return;
        }
    }
}

/// Differences in spelling (trailing zeros or blanks) come from changes that the stream announces.
fn has_drifted(then: &Table, now: &Table) -> bool {
    let changed = |column: &Column| {
        let now = now.columns.iter().find(|now| now.number == column.number)?;
        column.representation.changed_to(&now.representation)
    };
    then.columns.iter().any(|column| changed(column) == Some(Difference::Values))
}
