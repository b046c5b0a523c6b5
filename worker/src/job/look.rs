//! The look at both ends of a running session: whether every table is still the one that its history says, and whether
//! one that stands still may be followed again.
//!
//! A look never writes and never halts anything: what it finds is judged by the start of another session, by what is
//! kept beside the targets. So a halt stands after a restart, and goes when its remedy was followed.

use std::time::Duration;

use crds::Reason;
use tokio::time::{Instant, sleep};
use tracing::info;

use super::off_the_runtime;
use crate::{
    config::JobConfig,
    fault::{Course, Fault, Part},
    postgres,
    progress::{Progress, Stage},
    schema_history::Noted,
    starrocks::{self, Claimant, Shown, TargetCheck},
    table::{Table, TableId, TableName},
};

/// Between two looks while a table stands still, and while none does.
const OFTEN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(10);
/// More for each table: a look asks StarRocks three times about each.
const FOR_EACH: Duration = Duration::from_millis(30);
/// What is found is looked at once more: the worker itself may have been changing it.
const ONCE_MORE: Duration = Duration::from_secs(1);
/// A table for which a look cannot tell whether it would go well now is tried again so often.
const ANOTHER_TRY: Duration = Duration::from_secs(30);

/// What a session began with.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) config: &'a JobConfig,
    /// Who the job is to others that load into its targets.
    pub(super) claimant: Claimant,
    pub(super) progress: &'a Progress,
    pub(super) noted: Noted,
    /// In the way at the source.
    pub(super) refused: Vec<Fault>,
    /// Tables whose target does not fit.
    pub(super) halted: Vec<(TableId, Fault)>,
    /// Tables whose target is being made ready beside the others: their histories come when it is.
    pub(super) unfinished: Vec<TableId>,
    pub(super) tables: Vec<Table>,
}

impl Look<'_> {
    /// Resolves when another session would find something else than this one did.
    pub(super) async fn found_something(self) {
        let (shown, began) = (self.shown(&self.tables).await, Instant::now());
        loop {
            sleep(self.pause()).await;
            if self.has_changed(&shown, began).await {
                sleep(ONCE_MORE).await;
                if self.has_changed(&shown, began).await {
                    break;
                }
            }
        }
        info!("a table is not what it was when the session began; beginning again");
    }

    fn pause(&self) -> Duration {
        let stands = !self.refused.is_empty() || !self.halted.is_empty() || !self.halted_tables().is_empty();
        let pause = if stands { OFTEN } else { SELDOM };
        pause + FOR_EACH * u32::try_from(self.tables.len()).unwrap_or(u32::MAX)
    }

    async fn has_changed(&self, shown: &[Shown], began: Instant) -> bool {
        self.source_changed(began).await || self.sink_changed(began).await || self.halted_changed(shown).await
    }

    async fn source_changed(&self, began: Instant) -> bool {
        let (source, noted) = (self.config.source.clone(), self.noted.clone());
        let Ok(now) = off_the_runtime(move || postgres::refused(&source, &noted)).await else { return false };
        now.iter().any(|fault| !self.refused.contains(fault))
            || self.refused.iter().any(|fault| !now.contains(fault))
            || (began.elapsed() > ANOTHER_TRY && self.is_itself_again(&now))
    }

    /// A table was halted in the stream as another one, and is the old one as far as the source tells: it had its name
    /// back. When something else of that name was in the stream meanwhile, it halts there again.
    fn is_itself_again(&self, now: &[Fault]) -> bool {
        let faults = self.progress.view().faults;
        let halted = faults
            .iter()
            .filter(|fault| matches!(fault.reason, Reason::SourceTableReplaced | Reason::SourceTableMissing));
        let mut halted = halted.filter(|fault| !self.refused.contains(fault));
        halted.any(|halted| now.iter().all(|fault| fault.part != halted.part))
    }

    /// The history of a table that is in the way at the source was deleted by hand: it is to be taken anew.
    async fn is_forgotten(&self) -> bool {
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
        if self.is_forgotten().await {
            return true;
        }
        let sink = &self.config.sink;
        let stands = |table: &Table| self.fault_of(table).is_some();
        let Ok(verdicts) = starrocks::look(sink, &self.claimant, &self.tables, stands).await else {
            return false;
        };
        self.tables.iter().zip(verdicts).any(|(table, now)| match (self.fault_of(table), now) {
            (Some(fault), TargetCheck::Wrong(now)) => *fault != now,
            (Some(_), TargetCheck::Unknown) => began.elapsed() > ANOTHER_TRY,
            (Some(_), TargetCheck::Same) => true,
            (None, TargetCheck::Same) => false,
            // Its history is written when the right to load is won.
            (None, TargetCheck::Unknown) => {
                self.progress.view().stage == Stage::Cdc && !self.unfinished.contains(&table.id)
            }
            (None, TargetCheck::Wrong(_)) => true,
        })
    }

    /// Why the table stood still when the session began.
    fn fault_of(&self, table: &Table) -> Option<&Fault> {
        self.halted.iter().find(|(id, _)| *id == table.id).map(|(_, fault)| fault)
    }

    /// Whether a table that was halted in the stream is another at either end than when the session began. What
    /// halted it may be that very change: then it is tried once more, and halts again.
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
            // The catalogue numbers those that it was asked for.
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

    /// The targets as StarRocks shows them; nothing when it does not.
    async fn shown(&self, tables: &[Table]) -> Vec<Shown> {
        starrocks::show(&self.config.sink, tables).await.unwrap_or_default()
    }
}
