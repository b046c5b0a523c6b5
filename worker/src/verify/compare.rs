//! Compares one table: merges both sides in key order, and checks differing keys again.
//!
//! ```text
//! PostgreSQL ─► rows ─┐
//!                     ├─ merge ─► doubts ─► check again, until the patience is over ─► differences
//! StarRocks  ─► rows ─┘
//! ```
//!
//! Memory does not grow with the table: two chunks of rows per side, and a bounded number of doubts.

use std::{cmp::Ordering, time::Duration};

use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep},
};

use super::{
    doubt::{Doubt, Finding, Seen, by_key},
    fault,
    key::Key,
    plan::Plan,
    report::TableReport,
    rows::{self, Broken, Row, Rows},
    sink::Sink,
    source,
};
use crate::{
    config::JobConfig,
    fault::{Fault, Part},
};

/// Doubts that are checked in one batch.
const DOUBTS: usize = 500;
/// The comparison of a table ends after this many differences.
const ENOUGH: usize = 1000;

const SHORTEST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

pub(super) async fn table(config: &JobConfig, plan: Plan, patience: Duration) -> Result<TableReport, Fault> {
    let (to_source, source) = rows::channel();
    let (to_sink, sink) = rows::channel();
    let mut readers = JoinSet::new();
    let (of_source, plan_of_source) = (config.source.clone(), plan.clone());
    readers.spawn_blocking(move || source::stream(&of_source, &plan_of_source, &to_source));
    readers.spawn(Sink::open(&config.sink).await?.stream(plan.clone(), to_sink));
    let report = TableReport::new(&plan);
    let comparison = Comparison { config, plan: &plan, patience, doubts: Vec::new(), report };
    // Dropping the receivers ends readers that still run.
    comparison.run(source, sink).await
}

struct Comparison<'a> {
    config: &'a JobConfig,
    plan: &'a Plan,
    patience: Duration,
    doubts: Vec<Doubt>,
    report: TableReport,
}

impl Comparison<'_> {
    async fn run(mut self, mut source: Rows, mut sink: Rows) -> Result<TableReport, Fault> {
        while let Some((expected, found)) = self.next(&mut source, &mut sink).await? {
            self.compare(expected, found);
            if self.doubts.len() == DOUBTS {
                self.settle().await?;
            }
            if self.report.findings.len() >= ENOUGH {
                self.report.cut_short = true;
                break;
            }
        }
        self.settle().await?;
        self.report.source_rows = source.live;
        self.report.sink_rows = sink.live;
        self.report.deleted = sink.deleted;
        Ok(self.report)
    }

    /// The rows of the next key: of both sides, or of one.
    async fn next(
        &self,
        source: &mut Rows,
        sink: &mut Rows,
    ) -> Result<Option<(Option<Row>, Option<Row>)>, Fault> {
        let in_source = |broken| self.broken(broken, "PostgreSQL");
        let in_sink = |broken| self.broken(broken, "StarRocks");
        let expected = source.peek().await.map_err(in_source)?;
        let order = match (expected, sink.peek().await.map_err(in_sink)?) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(expected), Some(found)) => expected.key.cmp(&found.key),
        };
        let expected = if order.is_le() { source.take().map_err(in_source)? } else { None };
        let found = if order.is_ge() { sink.take().map_err(in_sink)? } else { None };
        Ok(Some((expected, found)))
    }

    fn broken(&self, broken: Broken, side: &str) -> Fault {
        match broken {
            Broken::Fault(fault) => fault,
            Broken::Order => fault::order(self.plan, side),
        }
    }

    fn compare(&mut self, expected: Option<Row>, found: Option<Row>) {
        let split = |row: Option<Row>| row.map_or((None, None), |row| (Some(row.key), Some(row.digests)));
        let ((key, expected), (other, found)) = (split(expected), split(found));
        if let Some(key) = key.or(other)
            && expected != found
        {
            self.doubts.push(Doubt::new(key, expected, &found));
        }
    }

    /// Checks doubts again until none is left, or the patience is over.
    async fn settle(&mut self) -> Result<(), Fault> {
        let (begun, mut pause) = (Instant::now(), SHORTEST_LOOK);
        self.report.looked_again += self.doubts.len() as u64;
        while !self.doubts.is_empty() && begun.elapsed() < self.patience {
            sleep(pause.min(self.patience.saturating_sub(begun.elapsed()))).await;
            pause = (pause * 2).min(LONGEST_LOOK);
            self.look_again().await?;
        }
        for Doubt { key, finding, .. } in self.doubts.drain(..) {
            match finding {
                Finding::Restless => self.report.restless += 1,
                finding => self.report.findings.push((key, finding)),
            }
        }
        Ok(())
    }

    async fn look_again(&mut self) -> Result<(), Fault> {
        let keys: Vec<Key> = self.doubts.iter().map(|doubt| doubt.key.clone()).collect();
        let found = Sink::open(&self.config.sink).await?.look(self.plan, &keys).await?;
        let expected = self.look_at_source(keys).await?;
        let (mut found, mut expected) = (by_key(found), by_key(expected));
        let doubts = std::mem::take(&mut self.doubts);
        let judge = |doubt: Doubt| {
            let (found, now): (Seen, Seen) = (found.remove(&doubt.key), expected.remove(&doubt.key));
            doubt.again(&found, now)
        };
        self.doubts = doubts.into_iter().filter_map(judge).collect();
        Ok(())
    }

    async fn look_at_source(&self, keys: Vec<Key>) -> Result<Vec<Row>, Fault> {
        let (config, plan) = (self.config.source.clone(), self.plan.clone());
        let looked = spawn_blocking(move || source::look(&config, &plan, &keys)).await;
        looked.unwrap_or_else(|defect| Err(ended_by_defect(&defect)))
    }
}

pub(super) fn ended_by_defect(defect: &tokio::task::JoinError) -> Fault {
    let message = format!("a thread of the comparison ended by a defect: {defect}");
    Fault::halt(Part::Job, crds::Reason::InternalDefect, message, "report it")
}
