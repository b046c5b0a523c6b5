//! The copies of existing rows beside a pipeline: which tables need one, and when they run.
//!
//! They run while the intake is open. A pause or a drain stops them after the loads that are in flight; what they have
//! copied is kept.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{CopyMemory, JobConfig, SourceConfig},
    fault::{Fault, Part},
    pipeline::{self, Load, RecordCopy, Routed},
    postgres::Intake,
    progress::{Owner, Progress},
    snapshot::{self, Copied, Copies, Engine, Filling},
    starrocks::Targets,
    table::{Table, TableId},
};

/// Barriers that are asked for at once: one for each table that is copied.
const ASKED: usize = 64;
/// Copies hold half of the buffer while they run: of each table a batch that is read, one that waits and one that is
/// loaded.
const BATCHES: usize = 3;
/// Tables that are copied at once, whatever was asked for.
const MOST_AT_ONCE: usize = 16;

/// Tables whose targets are known to lack rows, or not known to have all.
pub(super) fn needed(
    config: &JobConfig,
    tables: &[Table],
    targets: &Targets,
    halted: &[(TableId, Fault)],
) -> Vec<Copied> {
    let is_halted = |table: &Table| halted.iter().any(|(id, _)| *id == table.id);
    let needed = |table: &Table| {
        let history = targets.history(table.id)?;
        let state = history.copy.clone();
        let has_earlier_rows = history.from.is_none();
        let is_asked = state.as_ref().is_some_and(|state| state.removal.is_some());
        (history.whole != Some(true) && (config.snapshot.initial || is_asked)).then(|| Copied {
            table: table.clone(),
            state,
            has_earlier_rows,
        })
    };
    let wanted = tables.iter().filter(|table| !is_halted(table));
    wanted.filter_map(needed).collect()
}

/// The copies of one session.
#[derive(Debug)]
pub(super) struct SessionCopies {
    tables: Vec<Copied>,
    intake: watch::Receiver<Intake>,
    ask: mpsc::Sender<pipeline::AskBarrier>,
    routed: Arc<Routed>,
    copies: Arc<Copies>,
    reserved: usize,
    renew: Arc<Notify>,
}

impl SessionCopies {
    /// The copies, and how the pipeline knows them; it knows none where no table is copied.
    pub(super) fn of(
        tables: Vec<Copied>,
        intake: watch::Receiver<Intake>,
        buffer: usize,
        renew: Arc<Notify>,
    ) -> (Self, Option<pipeline::Copies>) {
        let reserved = buffer / 2;
        let (ask, asked) = mpsc::channel(ASKED);
        let (routed, copies) =
            (Arc::<Routed>::default(), Copies::of(tables.iter().map(|copied| copied.table.id)));
        let known =
            (!tables.is_empty()).then(|| pipeline::Copies { asked, routed: Arc::clone(&routed), reserved });
        (Self { tables, intake, ask, routed, copies: Arc::new(copies), reserved, renew }, known)
    }

    /// Loads like `load`, with whole rows for the tables that are being copied.
    pub(super) fn filling<L: Load>(
        &self,
        load: L,
        config: &JobConfig,
        progress: &Arc<Progress>,
    ) -> Filling<L, SourceConfig> {
        Filling::new(
            load,
            Arc::clone(&self.copies),
            source_of(config, self.tables.len()),
            Arc::clone(progress),
        )
    }

    /// Runs the copies whenever the intake is open. Never returns before the intake is closed.
    pub(super) async fn run<L: Load + RecordCopy>(
        self,
        load: Arc<L>,
        config: JobConfig,
        progress: Arc<Progress>,
    ) {
        let Self { mut tables, mut intake, ask, routed, copies, reserved, renew } = self;
        let (source, mut config) = (source_of(&config, tables.len()), config.snapshot);
        // Also where none is left: tables may have been taken out of the job, or halted.
        progress.copies_begin(&tables.iter().map(|copied| copied.table.name.clone()).collect::<Vec<_>>());
        config.parallelism = config.parallelism.min(MOST_AT_ONCE);
        let batch = reserved / (BATCHES * config.parallelism.min(tables.len()).max(1));
        let engine = Arc::new(Engine { source, config, load, ask, routed, copies, progress, renew, batch });
        while open(&mut intake).await && !tables.is_empty() {
            let stop = CancellationToken::new();
            let copying = snapshot::run(Arc::clone(&engine), std::mem::take(&mut tables), stop.clone());
            let mut copying = std::pin::pin!(copying);
            tokio::select! {
                // What is left was halted, and is copied in the next session.
                left = &mut copying => {
                    if left.is_empty() {
                        engine.progress.clear_of(Owner::Copy, &Part::Job);
                    }
                    break;
                }
                () = not_open(&mut intake) => stop.cancel(),
            }
            tables = copying.await;
        }
    }
}

/// The source, with the memory that is left for each row.
fn source_of(config: &JobConfig, tables: usize) -> SourceConfig {
    let readers = config.snapshot.parallelism.min(MOST_AT_ONCE).min(tables).max(1) as u64;
    let copy_memory = config.memory.map(|limit| CopyMemory { limit, buffer: config.buffer as u64, readers });
    SourceConfig { copy_memory, ..config.source.clone() }
}

/// Waits while the intake is paused; returns whether it is open then.
async fn open(intake: &mut watch::Receiver<Intake>) -> bool {
    let seen = intake.wait_for(|intake| *intake != Intake::Paused).await;
    seen.is_ok_and(|intake| *intake == Intake::Open)
}

/// A dropped sender means that the session ends.
async fn not_open(intake: &mut watch::Receiver<Intake>) {
    let _ = intake.wait_for(|intake| *intake != Intake::Open).await;
}
