//! Tables that stand still from the start are looked at again, so that they flow when the cause is gone.
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
    config::{JobConfig, SourceConfig},
    fault::Fault,
    postgres::{self, Intake},
    starrocks::{self, Targets},
    table::Table,
};

const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// What stands still, as it was found at the start of the session.
#[derive(Debug)]
pub(super) struct Still {
    /// In the way at the source.
    pub(super) refused: Vec<Fault>,
    /// Tables whose target does not fit.
    pub(super) halted: usize,
}

impl Still {
    /// Resolves when something of it has changed; never when nothing stands still.
    pub(super) async fn mended(self, config: &JobConfig, tables: &[Table]) {
        if self.refused.is_empty() && self.halted == 0 {
            std::future::pending::<()>().await;
        }
        while !(self.source_changed(&config.source).await || self.sink_changed(config, tables).await) {
            sleep(BETWEEN_LOOKS).await;
        }
        info!("a table that stood still may be followed now; beginning again");
    }

    async fn source_changed(&self, source: &SourceConfig) -> bool {
        let source = source.clone();
        let now = off_the_runtime(move || postgres::refused(&source)).await;
        !self.refused.is_empty() && now.is_ok_and(|now| now != self.refused)
    }

    async fn sink_changed(&self, config: &JobConfig, tables: &[Table]) -> bool {
        let fewer = |now: Targets| now.halted.len() < self.halted;
        self.halted > 0 && starrocks::prepare(&config.sink, &config.job, tables).await.is_ok_and(fewer)
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
