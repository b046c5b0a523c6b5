//! Writes to the database continuously.

use anyhow::Result;
use system::{source::Source, workload::Workload};
use tokio_util::sync::CancellationToken;

use crate::rows;

pub(crate) async fn run(url: String, stop: CancellationToken) -> Result<()> {
    let source = Source::connect(&url).await?;
    let mut workload = Workload::new(fastrand::u64(..), rows::KEYS);
    while !stop.is_cancelled() {
        workload.step(&source).await?;
        // A low rate leaves CPU for the other processes of the demo.
        tokio::time::sleep(std::time::Duration::from_millis(4)).await;
    }
    Ok(())
}
