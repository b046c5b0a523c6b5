//! Waiting for conditions, in place of sleeping for a fixed time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The time limit, long enough for a slow machine; a condition that is met ends the wait at once.
pub const LIMIT: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(50);

/// Waits until `look` returns a value, and returns it; after the time limit fails with the last error of `look`.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    let mut last = None;
    while began.elapsed() < LIMIT {
        match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(GLANCE).await;
    }
    match last {
        Some(error) => Err(error.context(format!("waited in vain until {what}"))),
        None => bail!("waited in vain until {what}"),
    }
}
