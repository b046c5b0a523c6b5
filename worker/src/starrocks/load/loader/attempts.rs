//! One load through all of its attempts, until it is durable or known to be impossible.

use tokio::time::{Instant, sleep};
use tracing::info;

use super::{Loader, reports::Reports};
use crate::{
    backoff::Backoff,
    fault::{Fault, Part},
    starrocks::load::{
        answer::{LoadOutcome, judge, judge_error},
        journal::unusable,
        label::Label,
        label_state::LoadState,
        request::{LOAD_TIMEOUT, Order},
    },
    table::Table,
};

/// Why a batch cannot be loaded.
#[derive(Debug)]
pub(crate) enum Failure {
    /// StarRocks refuses some of its rows.
    Rows(Fault),
    /// The table as a whole cannot be loaded.
    Table(Fault),
}

impl Loader {
    /// Sends the load until its outcome is final.
    pub(crate) async fn settle(&self, order: &Order<'_>, mut reports: Reports<'_>) -> Result<(), Failure> {
        for attempt in 1.. {
            self.permitted(order.label, &mut reports).await;
            let (retryable, unclear) = match self.attempt(order, reports.table).await {
                LoadOutcome::Committed => break,
                LoadOutcome::Refused(fault) => return Err(Failure::Rows(fault)),
                LoadOutcome::Halt(fault) => return Err(Failure::Table(fault)),
                LoadOutcome::Again(retryable) => (retryable, false),
                LoadOutcome::Unclear(retryable) => (retryable, true),
            };
            reports.retryable(&retryable, order.label, attempt);
            if unclear && self.became_durable(order.label, &mut reports).await {
                break;
            }
            self.wait(retryable.retry_class.backoff(), attempt, order.label.as_str()).await;
        }
        if reports.take_back() {
            info!(table = %reports.table.name, label = %order.label, "load committed after retries");
        }
        Ok(())
    }

    /// Waits until the load may be sent, and records it in the journal.
    pub(crate) async fn permitted(&self, label: &Label, reports: &mut Reports<'_>) {
        self.still_permitted().await;
        for attempt in 1.. {
            let Err(error) = self.journal.begun(label) else { break };
            reports.raise(unusable(&error, Part::Job), label.as_str(), attempt);
            self.wait(Backoff::PERSON, attempt, label.as_str()).await;
        }
    }

    pub(crate) async fn still_permitted(&self) {
        if let Some(permit) = &self.permit {
            permit.granted().await;
        }
    }

    async fn attempt(&self, order: &Order<'_>, table: &Table) -> LoadOutcome {
        match self.frontend.send(order).await {
            Ok(answer) => judge(&answer, table, order.body.rows()),
            Err(error) => judge_error(&error),
        }
    }

    /// Asks for the label's state until it is final; returns whether the load is durable. A load that still runs after
    /// its time-out is sent again: if it is still alive, StarRocks refuses the second one because the label is in use.
    async fn became_durable(&self, label: &Label, reports: &mut Reports<'_>) -> bool {
        let begun = Instant::now();
        for attempt in 1.. {
            match self.frontend.state(label).await {
                Ok(LoadState::Committed) => return true,
                Ok(LoadState::Free) => return false,
                Ok(LoadState::Running) if begun.elapsed() > LOAD_TIMEOUT => return false,
                Ok(LoadState::Running) => {}
                Err(retryable) => reports.retryable(&retryable, label, attempt),
            }
            self.wait(Backoff::ASKING, attempt, label.as_str()).await;
        }
        false
    }

    pub(crate) async fn wait(&self, backoff: Backoff, attempt: u32, key: &str) {
        sleep(backoff.wait(attempt, key).min(self.longest_wait)).await;
    }
}
