//! Samples of a running job: one per interval until the client disconnects or the worker stops.
//!
//! Rates are over the interval, so the first sample is sent after the first interval.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::{Stream, stream};
use proto::{MetricsRequest, MetricsResponse, cdc_metrics_service_server::CdcMetricsService};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use crate::control::{known::Known, process, rate};

/// The shortest interval; a shorter one is raised to it, to limit the cost of sampling.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST_MS: u32 = 3_600_000;

#[derive(Debug)]
pub(super) struct Samples {
    pub(super) known: Arc<Known>,
    pub(super) stop: CancellationToken,
}

#[async_trait]
impl CdcMetricsService for Samples {
    type StreamMetricsStream = Pin<Box<dyn Stream<Item = Result<MetricsResponse, Status>> + Send>>;

    async fn stream_metrics(
        &self,
        request: Request<MetricsRequest>,
    ) -> Result<Response<Self::StreamMetricsStream>, Status> {
        let interval = interval(request.get_ref().interval_ms)?;
        let (known, stop) = (Arc::clone(&self.known), self.stop.clone());
        let before = Reading::of(&known);
        let samples = stream::unfold((known, stop, before), move |(known, stop, before)| async move {
            stop.run_until_cancelled(sleep(interval)).await?;
            let now = Reading::of(&known);
            Some((Ok(sample(&known, before, now)), (known, stop, now)))
        });
        Ok(Response::new(Box::pin(samples)))
    }
}

fn interval(milliseconds: u32) -> Result<Duration, Status> {
    match milliseconds {
        1..=LONGEST_MS => Ok(SHORTEST.max(Duration::from_millis(milliseconds.into()))),
        _ => Err(Status::invalid_argument(format!("interval_ms must be from 1 to {LONGEST_MS}"))),
    }
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    processed: u64,
    cpu_seconds: f64,
}

impl Reading {
    fn of(known: &Known) -> Self {
        let processed = known.view().changes_done;
        Self { at: Instant::now(), processed, cpu_seconds: process::cpu_seconds() }
    }
}

fn sample(known: &Known, before: Reading, now: Reading) -> MetricsResponse {
    let view = known.view();
    MetricsResponse {
        timestamp: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        events_per_second: rate::between((before.at, before.processed), (now.at, now.processed)),
        lag_bytes: view.lag_bytes,
        lag_events: view.changes_pending,
        memory_bytes: process::resident_bytes(),
        total_events_processed: view.changes_done,
        total_batches_sent: view.loads,
        cpu_millicores: millicores(before, now),
        replication_lag_ms: view.lag_ms,
    }
}

fn millicores(before: Reading, now: Reading) -> u64 {
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
    let used = (now.cpu_seconds - before.cpu_seconds).max(0.0);
    // The conversion from float to integer saturates, so an interval near zero is harmless.
    if seconds > 0.0 { (used / seconds * 1000.0).round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_two_bounds_and_a_floor() {
        assert!(interval(0).is_err() && interval(LONGEST_MS + 1).is_err());
        assert_eq!(interval(1).unwrap(), SHORTEST);
        assert_eq!(interval(2000).unwrap(), Duration::from_secs(2));
    }

    #[test]
    fn millicores_are_cpu_time_over_the_interval() {
        let before = Reading { at: Instant::now(), processed: 0, cpu_seconds: 1.0 };
        let now = Reading { at: before.at + Duration::from_secs(2), processed: 0, cpu_seconds: 1.5 };
        assert_eq!(millicores(before, now), 250);
        assert_eq!(millicores(before, before), 0);
    }
}
