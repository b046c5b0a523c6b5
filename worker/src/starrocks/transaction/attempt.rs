//! One transaction at StarRocks: what goes into it, its commit, and what became of it.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    TransactionLoader,
    call::{self, Ended, Operation},
    failed::{Failed, failed, of_sink, refused},
};
use crate::{
    fault::Fault,
    lsn::Lsn,
    pipeline::{Batch, Part},
    starrocks::load::{
        answer::{LoadOutcome, RetryClass, Retryable, judge_error, judge_words, quotable},
        backoff::Backoff,
        body::Body,
        label::Label,
        loader::Reports,
        request::{Manner, Order},
    },
    table::TableName,
};

/// Tables of one step that are loaded at a time.
const AT_ONCE: usize = 4;

/// What a part is to StarRocks.
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

    /// Loads what the part holds, and with the last part commits.
    pub(super) async fn bring(
        &self,
        label: &Label,
        tables: &BTreeSet<TableName>,
        timeout: Duration,
        cargo: &MeasuredPart<'_>,
    ) -> Result<(), Failed> {
        let loads = cargo.bodies.iter().zip(&cargo.part.batches);
        let loads = loads.map(|(body, batch)| self.send(label, timeout, body, batch));
        let mut loads = stream::iter(loads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        while loads.try_next().await?.is_some() {}
        drop(loads);
        let Some(reached) = cargo.part.reached else { return Ok(()) };
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
        let right = self.loader.right.as_ref();
        let order = Order { target: &table.target, label, body, manner: Manner::Within(timeout), right };
        let verdict = match self.loader.frontend.send(&order).await {
            Ok(answer) => call::judge_load(&answer, table, body.rows()),
            Err(error) => judge_error(&error),
        };
        failed(verdict, table)
    }

    pub(super) async fn call(
        &self,
        operation: Operation,
        label: &Label,
        timeout: Duration,
    ) -> Result<(), Failed> {
        self.answered(self.loader.frontend.transaction(operation, label, timeout).await)
    }

    /// What the answer to a call means for a step of which nothing else is known.
    fn answered(&self, verdict: LoadOutcome) -> Result<(), Failed> {
        failed(verdict, self.checkpoint.table()).map_err(|why| match why {
            Failed::Retryable(fault, retry_class) => Failed::Retryable(of_sink(fault), retry_class),
            Failed::Halt(fault) => Failed::Halt(of_sink(fault)),
        })
    }

    /// Committed, whatever the answer, if the label says so.
    async fn commit(
        &self,
        label: &Label,
        tables: &BTreeSet<TableName>,
        timeout: Duration,
    ) -> Result<(), Failed> {
        self.loader.still_permitted().await;
        // Only who could not be asked at all has certainly not committed; and the label tells that as well.
        let said = self.loader.frontend.transaction(Operation::Commit, label, timeout).await;
        let outcome =
            self.loader.frontend.outcome(label).await.map_err(|retryable| self.retryable(&retryable))?;
        let unknown = || Retryable::new(RetryClass::Strange, "StarRocks does not know what it has committed");
        match (outcome, said) {
            (Some(Ended::Committed), _) => Ok(()),
            (_, LoadOutcome::Refused(fault)) => Err(Failed::Halt(refused(&fault, tables))),
            (Some(Ended::Aborted(reason)), _) => Err(self.aborted(&reason, tables)),
            (_, LoadOutcome::Committed) => Err(self.retryable(&unknown())),
            (_, verdict) => self.answered(verdict),
        }
    }

    fn aborted(&self, reason: &str, tables: &BTreeSet<TableName>) -> Failed {
        let aborted = || {
            let message = format!("StarRocks aborted a step: {}", quotable(reason));
            self.retryable(&Retryable::new(RetryClass::Strange, message))
        };
        match judge_words(reason, self.checkpoint.table(), 0) {
            LoadOutcome::Refused(fault) => Failed::Halt(refused(&fault, tables)),
            LoadOutcome::Unclear(retryable) if retryable.retry_class == RetryClass::Strange => aborted(),
            verdict => self.answered(verdict).err().unwrap_or_else(aborted),
        }
    }

    fn retryable(&self, retryable: &Retryable) -> Failed {
        Failed::Retryable(of_sink(retryable.fault(self.checkpoint.table())), retryable.retry_class)
    }

    /// Brings a label to its end, however long that takes; says whether it was committed.
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

    /// Whether the checkpoint says that the step was committed.
    async fn is_reached(&self, reached: Option<Lsn>) -> Result<bool, Fault> {
        let Some(reached) = reached else { return Ok(false) };
        let known = self.checkpoint.read(&self.loader.sink).await?;
        Ok(known >= Some(reached))
    }
}
