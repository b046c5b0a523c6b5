//! Writes traffic until it is stopped; reconnects while the server is restarted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::RwLock, time::sleep};
use tokio_util::sync::CancellationToken;

use super::traffic::{Switches, Traffic};
use crate::source::Source;

/// One of several writers.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) url: String,
    pub(super) seed: u64,
    pub(super) switches: Switches,
    /// Held by each writer for one transaction, and by a stroke that needs no writes.
    pub(super) gate: Arc<RwLock<()>>,
    /// Counts the transactions that were sent and not refused.
    pub(super) transactions: Arc<AtomicU64>,
}

/// Pauses, so that others get the lock and there are idle moments.
const LONGEST_PAUSE: u64 = 12;

impl Writer {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut traffic = Traffic::new(self.seed, self.switches);
        let mut random = Rng::with_seed(self.seed);
        while !stop.is_cancelled() {
            match Source::connect(&self.url).await {
                Ok(source) => self.write(source, &mut traffic, &mut random, &stop).await,
                // The server is being restarted.
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Writes until the connection is lost or the writer is stopped.
    async fn write(
        &self,
        mut source: Source,
        traffic: &mut Traffic,
        random: &mut Rng,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let entered = self.gate.read().await;
            if source.run(&traffic.transaction()).await.is_ok() {
                self.transactions.fetch_add(1, Ordering::Relaxed);
            } else if source.client().is_closed() || source.run("ROLLBACK").await.is_err() {
                // The transaction was rolled back because others wrote to the same rows; or the server is down.
                return;
            }
            drop(entered);
            sleep(Duration::from_millis(random.u64(..LONGEST_PAUSE))).await;
        }
    }
}
