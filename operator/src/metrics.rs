//! The operator's own metrics. Labels come from small closed sets; each worker serves the metrics of its job.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crds::status::Stage;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

/// The counters, and the registry that renders them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<Outcome, Counter>,
    duration: Histogram,
    writes: Counter,
    leaks: Counter,
    jobs: Family<InStage, Gauge>,
    stages: Mutex<HashMap<String, Stage>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InStage {
    stage: &'static str,
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("dbmazz_operator"),
            reconciles: Family::default(),
            duration: Histogram::new([0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
            writes: Counter::default(),
            leaks: Counter::default(),
            jobs: Family::default(),
            stages: Mutex::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let Self { registry, reconciles, duration, writes, leaks, jobs, stages: _ } = self;
        registry.register("reconciles", "Reconciles, by outcome", reconciles.clone());
        registry.register("reconcile_duration_seconds", "Time of one reconcile", duration.clone());
        registry.register("status_writes", "Statuses written", writes.clone());
        registry.register("leaks", "Jobs deleted with something left at the source", leaks.clone());
        registry.register("jobs", "Jobs, by stage", jobs.clone());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the operator", version);
        for stage in Stage::ALL {
            jobs.get_or_create(&InStage { stage: stage.as_str() }).set(0);
        }
    }

    /// Counts and times one reconcile.
    pub fn reconciled(&self, success: bool, took: Duration) {
        let outcome = if success { "success" } else { "error" };
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a written status.
    pub fn status_written(&self) {
        self.writes.inc();
    }

    /// Counts a job that was released with a slot or publication left at the source.
    pub fn leaked(&self) {
        self.leaks.inc();
    }

    /// Records the stage of a job; `None` when the job is gone.
    pub fn staged(&self, uid: &str, stage: Option<Stage>) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match stage {
            Some(stage) => stages.insert(uid.to_owned(), stage),
            None => stages.remove(uid),
        };
        for (stage, step) in [(before, -1), (stage, 1)] {
            if let Some(stage) = stage {
                self.jobs.get_or_create(&InStage { stage: stage.as_str() }).inc_by(step);
            }
        }
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_list_every_metric() {
        let metrics = Metrics::new();
        metrics.reconciled(true, Duration::ZERO);
        let table = testbed::docs::metrics(&metrics.render().unwrap());
        testbed::docs::is_current("metrics.md", "operator", &table).unwrap();
    }

    #[test]
    fn a_job_is_counted_in_one_stage_at_a_time() {
        let metrics = Metrics::new();
        metrics.staged("a", Some(Stage::Pending));
        metrics.staged("a", Some(Stage::Streaming));
        metrics.staged("b", Some(Stage::Streaming));
        metrics.staged("b", None);
        let text = metrics.render().unwrap();
        assert!(text.contains("dbmazz_operator_jobs{stage=\"Streaming\"} 1"), "{text}");
        assert!(text.contains("dbmazz_operator_jobs{stage=\"Pending\"} 0"), "{text}");
    }
}
