//! Waiting for conditions: nothing here sleeps for a fixed time and hopes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for the slowest machine; a condition that is met ends the wait at once.
pub const LIMIT: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(50);

/// Waits until `look` gives something, and gives that; says what was seen last when it never does.
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
