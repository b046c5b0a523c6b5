//! One StarRocks transaction: its loads, its commit, and its outcome.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    TransactionLoader,
    call::{self, Ended, Operation},
    failed::{Failed, failed, of_sink, refused},
};
use crate::{
    backoff::Backoff,
    fault::Fault,
    lsn::Lsn,
    pipeline::{Batch, Part},
    starrocks::load::{
        answer::{LoadOutcome, RetryClass, Retryable, judge_error, judge_words, quotable},
        body::{Body, Content},
        label::Label,
        loader::Reports,
        request::{Manner, Order},
    },
    table::TableName,
};

/// Loads of one step that are in flight at once.
const AT_ONCE: usize = 4;

/// A part with its measured bodies.
pub(super) struct MeasuredPart<'a> {
    pub(super) bodies: Vec<Body<'a>>,
    pub(super) part: &'a Part,
}

impl MeasuredPart<'_> {
    pub(super) fn tables(&self) -> impl Iterator<Item = TableName> {
        self.part.batches.iter().map(|batch| batch.table().name.clone())
    }
}

impl TransactionLoader {
    pub(super) async fn measured<'a>(&self, part: &'a Part) -> Result<MeasuredPart<'a>, Fault> {
        let mut bodies = Vec::with_capacity(part.batches.len());
        for batch in &part.batches {
            bodies.push(Body::measure(batch, self.loader.sink.deletes, self.loader.sink.values).await?);
        }
        Ok(MeasuredPart { bodies, part })
    }

    /// Loads the batches of the part; if it is the last part, also loads the checkpoint and commits.
    pub(super) async fn bring(
        &self,
        label: &Label,
        tables: &BTreeSet<TableName>,
        timeout: Duration,
        measured: &MeasuredPart<'_>,
    ) -> Result<(), Failed> {
        let loads = measured.bodies.iter().zip(&measured.part.batches);
        let loads = loads.map(|(body, batch)| self.send(label, timeout, body, batch));
        let mut loads = stream::iter(loads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        while loads.try_next().await?.is_some() {}
        drop(loads);
        let Some(reached) = measured.part.reached else { return Ok(()) };
        self.send_checkpoint(label, timeout, reached).await?;
        self.commit(label, tables, timeout).await
    }

    async fn send_checkpoint(&self, label: &Label, timeout: Duration, reached: Lsn) -> Result<(), Failed> {
        let Some(batch) = self.checkpoint.batch(reached) else { return Ok(()) };
        let body = Body::measure(&batch, self.loader.sink.deletes, Default::default()).await;
        self.send(label, timeout, &body.map_err(Failed::Halt)?, &batch).await
    }

    async fn send(
        &self,
        label: &Label,
        timeout: Duration,
        body: &Body<'_>,
        batch: &Batch,
    ) -> Result<(), Failed> {
        let table = batch.table();
        let permit = self.loader.permit.as_ref();
        let order = Order {
            target: &table.target,
            label,
            body: Content::Measured(body),
            manner: Manner::Within(timeout),
            permit,
        };
        let outcome = match self.loader.frontend.send(&order).await {
            Ok(answer) => call::judge_load(&answer, table, body.rows()),
            Err(error) => judge_error(&error),
        };
        failed(outcome, table)
    }

    pub(super) async fn call(
        &self,
        operation: Operation,
        label: &Label,
        timeout: Duration,
    ) -> Result<(), Failed> {
        self.answered(self.loader.frontend.transaction(operation, label, timeout).await)
    }

    /// What the answer to a call means for the step, where the label's state tells nothing more.
    fn answered(&self, outcome: LoadOutcome) -> Result<(), Failed> {
        failed(outcome, self.checkpoint.table()).map_err(|why| match why {
            Failed::Retryable(fault, retry_class) => Failed::Retryable(of_sink(fault), retry_class),
            Failed::Halt(fault) => Failed::Halt(of_sink(fault)),
        })
    }

    /// Commits. The step is committed if the label's state says so, whatever the answer was.
    async fn commit(
        &self,
        label: &Label,
        tables: &BTreeSet<TableName>,
        timeout: Duration,
    ) -> Result<(), Failed> {
        self.loader.still_permitted().await;
        // The answer alone proves nothing: only a request that could not be sent has certainly not committed, and the
        // label's state tells that as well.
        let said = self.loader.frontend.transaction(Operation::Commit, label, timeout).await;
        let outcome =
            self.loader.frontend.outcome(label).await.map_err(|retryable| self.retryable(&retryable))?;
        let unknown = || {
            Retryable::new(
                RetryClass::Strange,
                "StarRocks answered OK to a commit, but the transaction's label is not committed",
            )
        };
        match (outcome, said) {
            (Some(Ended::Committed), _) => Ok(()),
            (_, LoadOutcome::Refused(fault)) => Err(Failed::Halt(refused(&fault, tables))),
            (Some(Ended::Aborted(reason)), _) => Err(self.aborted(&reason, tables)),
            (_, LoadOutcome::Committed) => Err(self.retryable(&unknown())),
            (_, outcome) => self.answered(outcome),
        }
    }

    fn aborted(&self, reason: &str, tables: &BTreeSet<TableName>) -> Failed {
        let aborted = || {
            let message = format!("StarRocks aborted a transaction: {}", quotable(reason));
            self.retryable(&Retryable::new(RetryClass::Strange, message))
        };
        match judge_words(reason, self.checkpoint.table(), 0) {
            LoadOutcome::Refused(fault) => Failed::Halt(refused(&fault, tables)),
            LoadOutcome::Unclear(retryable) if retryable.retry_class == RetryClass::Strange => aborted(),
            outcome => self.answered(outcome).err().unwrap_or_else(aborted),
        }
    }

    fn retryable(&self, retryable: &Retryable) -> Failed {
        Failed::Retryable(of_sink(retryable.fault(self.checkpoint.table())), retryable.retry_class)
    }

    /// Ends the transaction of a label, retrying without limit; returns whether it was committed.
    pub(super) async fn ended(&self, label: &Label, reached: Option<Lsn>, reports: &mut Reports<'_>) -> bool {
        for attempt in 1.. {
            let retryable = match self.loader.frontend.end(label).await {
                Ok(Ended::Committed) => return true,
                Ok(Ended::Aborted(_)) => return false,
                Ok(Ended::Forgotten) => match self.is_reached(reached).await {
                    Ok(is_reached) => return is_reached,
                    Err(fault) => fault,
                },
                Err(retryable) => of_sink(retryable.fault(self.checkpoint.table())),
            };
            reports.raise(retryable, label.as_str(), attempt);
            self.loader.wait(Backoff::ASKING, attempt, label.as_str()).await;
        }
        false
    }

    /// Whether the checkpoint proves that the step was committed.
    async fn is_reached(&self, reached: Option<Lsn>) -> Result<bool, Fault> {
        let Some(reached) = reached else { return Ok(false) };
        let known = self.checkpoint.read(&self.loader.sink).await?;
        Ok(known >= Some(reached))
    }
}
