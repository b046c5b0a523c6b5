//! Somebody writes to the database all the time.

use anyhow::Result;
use system::{source::Source, workload::Workload};
use tokio_util::sync::CancellationToken;

/// Distinct keys a table: rows are changed again and again, and new ones keep coming.
const KEYS: u32 = 20_000;

pub(crate) async fn run(url: String, stop: CancellationToken) -> Result<()> {
    let source = Source::connect(&url).await?;
    let mut workload = Workload::new(fastrand::u64(..), KEYS);
    while !stop.is_cancelled() {
        workload.step(&source).await?;
        // A steady trickle leaves the machine room for everything else that runs on it.
        tokio::time::sleep(std::time::Duration::from_millis(4)).await;
    }
    Ok(())
}
