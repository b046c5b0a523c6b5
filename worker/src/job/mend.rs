//! Tables that stand still are looked at again, so that they flow when the cause is gone.
//!
//! Only a new session can follow them: this one is drained, as if its intake were closed, and the next begins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::watch, time::sleep};
use tracing::info;

use super::off_the_runtime;
use crate::{
    config::JobConfig,
    fault::{Course, Fault, Part},
    postgres::{self, Intake},
    progress::Progress,
    starrocks::{self, Shown, Targets},
    table::{Table, TableName},
};

const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// What stands still, and what it looked like at the start of the session.
#[derive(Debug)]
pub(super) struct Still<'a> {
    pub(super) config: &'a JobConfig,
    pub(super) progress: &'a Progress,
    /// In the way at the source.
    pub(super) refused: Vec<Fault>,
    /// Tables whose target does not fit.
    pub(super) halted: usize,
    pub(super) tables: Vec<Table>,
}

impl Still<'_> {
    /// Resolves when something has changed for a table that stands still.
    pub(super) async fn mended(self) {
        let shown = self.shown(&self.tables).await;
        loop {
            sleep(BETWEEN_LOOKS).await;
            if self.source_changed().await || self.sink_changed().await || self.halted_changed(&shown).await {
                break;
            }
        }
        info!("a table that stood still may be followed now; beginning again");
    }

    async fn source_changed(&self) -> bool {
        if self.refused.is_empty() {
            return false;
        }
        let source = self.config.source.clone();
        let now = off_the_runtime(move || postgres::refused(&source)).await;
        now.is_ok_and(|now| now != self.refused)
    }

    async fn sink_changed(&self) -> bool {
        let JobConfig { sink, job, .. } = self.config;
        let fewer = |now: Targets| now.halted.len() < self.halted;
        self.halted > 0 && starrocks::prepare(sink, job, &self.tables).await.is_ok_and(fewer)
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

/// Passes the intake on to one session, and closes it for that session alone.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) seen: watch::Sender<Intake>,
    pub(super) again: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn new(intake: &watch::Receiver<Intake>) -> Self {
        Self { seen: watch::Sender::new(*intake.borrow()), again: Arc::default() }
    }

    /// Runs as long as the session; never ends by itself.
    pub(super) async fn run(&self, mut intake: watch::Receiver<Intake>, mended: impl Future<Output = ()>) {
        tokio::pin!(mended);
        loop {
            tokio::select! {
                changed = intake.changed() => {
                    let now = *intake.borrow_and_update();
                    self.seen.send_replace(if changed.is_ok() { now } else { Intake::Closed });
                    if changed.is_err() {
                        break;
                    }
                }
                () = &mut mended => {
                    self.again.store(true, Relaxed);
                    self.seen.send_replace(Intake::Closed);
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}
