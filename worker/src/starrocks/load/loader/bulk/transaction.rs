//! One transaction of a bulk load, from begin to its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crds::Reason;
use tokio::time::Instant;
use tracing::debug;

use super::{
    super::{Loader, reports::Reports},
    Sum,
    call::{Operation, Said, judge},
    encoding::Rows,
};
use crate::{
    backoff::Backoff,
    fault::{Fault, Part},
    pipeline::{Loaded, batch::Identity},
    starrocks::{
        encode::Plan,
        http::frontend::Address,
        load::{
            answer::{LoadOutcome, RetryClass, Retryable, judge_error},
            body::Content,
            label::Label,
            label_state::LoadState,
            request::{Manner, Order},
        },
    },
    table::Table,
};

/// A transaction is committed after this time, so that it is far from its time-out, and its rows are not invisible for
/// long where a chunk is a whole table.
const OPEN_FOR: Duration = Duration::from_secs(10);
/// How long a commit that was not answered may go on before it is cancelled.
const COMMITTING_FOR: Duration = Duration::from_secs(15);

/// Why rows are not loaded. The transaction has ended.
#[derive(Debug)]
pub(super) enum Broken {
    Singly(String),
    /// Passes by itself.
    Fault(Fault),
}

/// An open transaction.
pub(super) struct Transaction<'a> {
    loader: &'a Loader,
    table: &'a Arc<Table>,
    label: Label,
    /// The backend that has its rows.
    at: Address,
    due: Instant,
    sum: Sum,
    reports: Reports<'a>,
    /// From it come the headers, the same for every request.
    plan: Plan,
}

impl<'a> Transaction<'a> {
    pub(super) async fn begin(
        loader: &'a Loader,
        table: &'a Arc<Table>,
        identity: Identity,
    ) -> Result<Self, Broken> {
        let label = Label::new(&loader.job, table, loader.sequence.next(), identity);
        let mut reports = Reports::new(&loader.progress, table);
        loader.permitted(&label, &mut reports).await;
        let began = loader.frontend.bulk(Operation::Begin, &label, table).await;
        let broken = match began {
            Ok((Said::Ok { .. }, at)) => {
                let (due, sum) = (Instant::now() + OPEN_FOR, Sum::default());
                let plan = plan(loader, table);
                return Ok(Self { loader, table, label, at, due, sum, reports, plan });
            }
            Ok((Said::Lacking, _)) => {
                loader.lacks_bulk.store(true, Ordering::Relaxed);
                Broken::Singly("StarRocks has no transactions over one table".to_owned())
            }
            Ok((Said::Refused(why), _)) => Broken::Singly(why),
            Ok((Said::Failed(retryable), _)) | Err(retryable) => failed(loader, table, &retryable),
        };
        end(loader, table, &label, &mut reports, Duration::ZERO).await;
        Err(broken)
    }

    /// When it has to be committed.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) async fn add(&mut self, rows: &Rows) -> Result<(), Broken> {
        match self.send_rows(rows).await {
            Ok(more) => self.sum.add(more),
            Err(broken) => {
                self.end(Duration::ZERO).await;
                return Err(broken);
            }
        }
        Ok(())
    }

    async fn send_rows(&self, rows: &Rows) -> Result<Sum, Broken> {
        let prepared = rows.prepared(self.loader).await.map_err(Broken::Fault)?;
        let (body, losses) = prepared.content(&self.plan);
        self.send(body).await?;
        Ok(Sum::of(body, losses))
    }

    async fn send(&self, body: Content<'_>) -> Result<(), Broken> {
        let (loader, table, label) = (self.loader, &**self.table, &self.label);
        loader.still_permitted().await;
        let permit = loader.permit.as_ref();
        let order = Order { target: &table.target, label, body, manner: Manner::InBulk, permit };
        let said = match loader.frontend.send_from(&order, self.at.clone()).await {
            Ok(answer) => judge(&answer, table),
            Err(error) => match judge_error(&error) {
                LoadOutcome::Again(retryable) | LoadOutcome::Unclear(retryable) => Said::Failed(retryable),
                _ => Said::Refused(error.to_string()),
            },
        };
        match said {
            Said::Ok { .. } => Ok(()),
            Said::Lacking => Err(Broken::Singly("a load within a transaction is not found".to_owned())),
            Said::Refused(why) => Err(Broken::Singly(why)),
            Said::Failed(retryable) => Err(failed(loader, table, &retryable)),
        }
    }

    /// Resolves when the rows are durable, or will never be.
    pub(super) async fn commit(mut self) -> Result<Sum, Broken> {
        let (loader, table, sent) = (self.loader, self.table, self.sum.loaded.rows);
        loader.still_permitted().await;
        let said = loader.frontend.bulk(Operation::Commit, &self.label, table).await.map(|(said, _)| said);
        let broken = match said {
            Ok(Said::Ok { loaded: Some(loaded) }) if loaded == sent => return Ok(self.committed()),
            Ok(Said::Ok { loaded: Some(loaded) }) => Broken::Fault(not_all(table, loaded, sent)),
            Ok(Said::Ok { loaded: None }) => failed(loader, table, &without_count()),
            Ok(Said::Lacking) => Broken::Singly("a commit of a transaction is not found".to_owned()),
            Ok(Said::Refused(why)) => Broken::Singly(why),
            Ok(Said::Failed(retryable)) | Err(retryable) => {
                // Only the label's state tells what became of it.
                if self.end(COMMITTING_FOR).await {
                    return Ok(self.committed());
                }
                return Err(failed(loader, table, &retryable));
            }
        };
        self.end(Duration::ZERO).await;
        Err(broken)
    }

    fn committed(mut self) -> Sum {
        self.loader.journal.ended(&self.label);
        self.reports.take_back();
        let Loaded { rows, bytes } = self.sum.loaded;
        debug!(table = %self.table.name, label = %self.label, rows, bytes, "bulk load committed");
        self.sum
    }

    pub(super) async fn roll_back(mut self) {
        self.end(Duration::ZERO).await;
    }

    async fn end(&mut self, patience: Duration) -> bool {
        end(self.loader, self.table, &self.label, &mut self.reports, patience).await
    }
}

pub(super) fn plan(loader: &Loader, table: &Table) -> Plan {
    let columns = crate::pipeline::ColumnSet::All;
    Plan::new(table, &columns, loader.sink.deletes, loader.sink.values, std::time::UNIX_EPOCH)
}

/// Resolves when the transaction can neither commit nor go on; returns whether it was committed. After `patience` it is
/// rolled back.
async fn end(
    loader: &Loader,
    table: &Table,
    label: &Label,
    reports: &mut Reports<'_>,
    patience: Duration,
) -> bool {
    let until = Instant::now() + patience;
    for attempt in 1.. {
        if Instant::now() >= until {
            // The backend forgets the rows. Whether it was asked in vain, the label's state tells.
            let _ = loader.frontend.bulk(Operation::Rollback, label, table).await;
        }
        match loader.frontend.state(label).await {
            Ok(LoadState::Running) if Instant::now() < until => {}
            Ok(LoadState::Running) => {
                let _ = loader.frontend.cancel(label).await;
            }
            Ok(state) => {
                loader.journal.ended(label);
                return state == LoadState::Committed;
            }
            Err(retryable) => reports.retryable(&retryable, label, attempt),
        }
        loader.wait(Backoff::ASKING, attempt, label.as_str()).await;
    }
    false
}

fn failed(loader: &Loader, table: &Table, retryable: &Retryable) -> Broken {
    loader.progress.load_retried(&table.name);
    Broken::Fault(retryable.fault(table))
}

/// Rows are missing, or there are too many.
fn not_all(table: &Table, loaded: u64, sent: u64) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::RowsRefused,
        format!("StarRocks committed {loaded} of {sent} rows of a bulk load into {}", table.target),
        "report this as a defect: StarRocks was told to refuse the whole load",
    )
}

fn without_count() -> Retryable {
    let words = "StarRocks' answer to a commit does not say how many rows it has";
    Retryable::new(RetryClass::Strange, words)
}
