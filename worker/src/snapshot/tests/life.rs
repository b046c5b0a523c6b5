//! One life of the worker: the real pipeline and the real copies between the simulated ends.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    op::Settings,
    sink::{By, Loader},
    stream::Stream,
    world::World,
};
use crate::{
    change::channel,
    config::{BatchConfig, SnapshotConfig},
    lsn::Lsn,
    pipeline::{self, Inputs, Pipeline, Routed},
    progress::Progress,
    snapshot::{self, Copied, Copies, Engine, Filling},
    table::{Column, Table},
};

const BUFFER: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Life {
    tasks: JoinSet<()>,
    pub(super) durable: watch::Receiver<Lsn>,
    pub(super) progress: Arc<Progress>,
    /// Whether the copies may run.
    pub(super) open: watch::Sender<bool>,
    /// The table as it was at the beginning.
    table: Table,
    _limits: watch::Sender<BatchConfig>,
}

impl Life {
    /// Begins where the slot is confirmed. `committed`: what became of the loads of the life before.
    pub(super) fn begin(world: &World, settings: &Settings, confirmed: Lsn, committed: bool) -> Self {
        let (table, state, whole) = found(world, committed);
        let progress = Arc::new(Progress::new(&[]));
        let (limits, batch) = watch::channel(BatchConfig {
            max_rows: settings.batch_rows,
            max_bytes: BUFFER,
            min_interval: Duration::from_millis(settings.interval),
        });
        let (ask, asked) = mpsc::channel(8);
        let (routed, copies) =
            (Arc::<Routed>::default(), Arc::new(Copies::of([table.id].into_iter().filter(|_| !whole))));
        let known = (!whole).then(|| pipeline::Copies { asked, routed: Arc::clone(&routed), reserved: 0 });
        let filling = |by| {
            let loader = Loader(world.clone(), by);
            Arc::new(Filling::new(loader, Arc::clone(&copies), world.clone(), Arc::clone(&progress)))
        };
        let (sent, durable) = watch::channel(confirmed);
        let deletes = settings.deletes();
        let inputs = Inputs {
            settings: pipeline::Settings { batch, buffer: BUFFER, deletes, holds_wal: false },
            tables: std::slice::from_ref(&table),
            start: confirmed,
            durable: sent,
            progress: Arc::clone(&progress),
        };
        let pipeline = Pipeline::new(inputs, filling(By::Stream)).beside(known);
        let (sender, received) = channel(1);
        let engine = Engine {
            source: world.clone(),
            config: SnapshotConfig {
                initial: true,
                only: false,
                chunk_rows: settings.chunk_rows,
                parallelism: 1,
            },
            load: filling(By::Copies),
            ask,
            routed,
            renew: Arc::default(),
            copies: Arc::clone(&copies),
            progress: Arc::clone(&progress),
            batch: settings.copy_bytes,
        };
        let (open, opened) = watch::channel(true);
        let mut tasks = JoinSet::new();
        let rows = Arc::new(table.clone());
        let stream = Stream {
            world: world.clone(),
            sender,
            progress: Arc::clone(&progress),
            rows,
            target: table.clone(),
            announced: None,
        };
        tasks.spawn(stream.run(confirmed));
        tasks.spawn(async move { drop(pipeline.run(received).await) });
        if !whole {
            let copied = Copied { table: table.clone(), state, has_earlier_rows: false };
            tasks.spawn(copy(Arc::new(engine), copied, opened));
        }
        Self { tasks, durable, progress, open, table, _limits: limits }
    }

    pub(super) fn has_other_types(&self, now: &Table) -> bool {
        let same = |column: &Column| {
            self.table
                .columns
                .iter()
                .find(|then| then.number == column.number)
                .is_none_or(|then| then.kind == column.kind)
        };
        !now.columns.iter().all(same)
    }

    /// The worker is killed.
    pub(super) async fn end(mut self) {
        self.check();
        self.tasks.shutdown().await;
    }

    pub(super) fn check(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            ended.unwrap();
        }
    }
}

/// What a worker finds at its start, before the loads of the one before it have come to their ends.
fn found(world: &World, committed: bool) -> (Table, Option<crate::schema_history::CopyState>, bool) {
    let mut ends = world.ends();
    let table = ends.server.now();
    let (state, whole) = (ends.sink.copy.clone(), ends.sink.whole);
    ends.sink.prepare(&table);
    ends.sink.succeed(committed);
    (table, state, whole)
}

/// Runs the copies while they may.
async fn copy(
    engine: Arc<Engine<Filling<Loader, World>, World>>,
    copied: Copied,
    mut open: watch::Receiver<bool>,
) {
    let mut tables = vec![copied];
    while !tables.is_empty() {
        let _ = open.wait_for(|open| *open).await;
        let stop = CancellationToken::new();
        let running = snapshot::run(Arc::clone(&engine), std::mem::take(&mut tables), stop.clone());
        let mut running = std::pin::pin!(running);
        tokio::select! {
            left = &mut running => {
                tables = left;
                continue;
            }
            () = closed(&mut open) => stop.cancel(),
        }
        tables = running.await;
    }
}

async fn closed(open: &mut watch::Receiver<bool>) {
    let _ = open.wait_for(|open| !*open).await;
}
