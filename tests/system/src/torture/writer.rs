//! Writes traffic as long as it is let, whatever happens to the server meanwhile.

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
    /// Held by each writer for one transaction, and by whoever wants quiet.
    pub(super) gate: Arc<RwLock<()>>,
    /// Counts what was sent and not refused.
    pub(super) transactions: Arc<AtomicU64>,
}

/// Lets others in, and makes quiet moments.
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

    /// Until the connection is lost or nothing more is wanted.
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
                // Others wrote to the same rows, and the transaction was taken back; or the server is gone.
                return;
            }
            drop(entered);
            sleep(Duration::from_millis(random.u64(..LONGEST_PAUSE))).await;
        }
    }
}
