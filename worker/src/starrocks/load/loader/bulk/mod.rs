//! Bulk loads: many requests, few versions. Each is one StarRocks transaction over one table.
//!
//! ```text
//! pieces ─► encode (a thread) ─► begin ─► load, load, … ─► commit ─► durable
//!                                   │        a fault │        │ unclear
//!                                   └────────────────┴────────┴─► roll back, ask for the state until it is final
//! ```
//!
//! StarRocks makes a version of each commit, and no more than a few a second of them are good for a table. A request has
//! a known length and is small, so neither end ever has the rows of a version as a whole. Nothing is committed before
//! every request was answered with `OK`, so a connection that breaks cannot commit a part of the rows as if it were all.
//!
//! Rows are encoded once and not kept. So a transaction that fails is not sent again: when it has ended, its fault is
//! returned, and the caller reads the rows again. What StarRocks refuses for its content is loaded singly, where refused
//! rows are found.

mod call;
mod encoding;
mod transaction;

use std::sync::{Arc, atomic::Ordering};

use tokio::{sync::mpsc, time::timeout_at};
use tracing::info;

use self::{
    encoding::{Encoding, Request, Rows},
    transaction::{Broken, Transaction},
};
use super::{Failure, Loader, reports::Reports};
use crate::{
    fault::Fault,
    pipeline::{Bulk, Loaded, Piece},
    progress::Losses,
    starrocks::load::{
        body::Content,
        label::Label,
        request::{Manner, Order},
    },
    table::Table,
};

/// Requests that wait to be sent, beside the one that is sent and the one that is encoded.
const WAITING: usize = 1;

/// What was loaded so far.
#[derive(Debug, Default)]
struct Sum {
    loaded: Loaded,
    losses: Losses,
}

impl Loader {
    /// A table with dead letters is loaded singly, because each of its batches may resolve some.
    pub(super) fn can_load_in_bulk(&self, table: &Table) -> bool {
        !self.lacks_bulk.load(Ordering::Relaxed) && !self.dead_letters.concerns(&table.name)
    }

    pub(super) async fn load_in_bulk(
        &self,
        table: &Arc<Table>,
        room: usize,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<Bulk, Fault> {
        let (sender, requests) = mpsc::channel(WAITING);
        let encoding = Encoding::new(Arc::clone(table), self.sink.clone(), room, sender);
        let encoding = tokio::task::spawn_blocking(move || encoding.run(pieces));
        let loaded = self.load_requests(table, requests).await;
        // Its channel is closed now, if it has not ended by itself.
        let encoded = encoding.await.unwrap_or_else(|_| Err(encoding::panicked()));
        match loaded {
            Ok(loaded) => encoded.map(|()| loaded.map_or(Bulk::GivenUp, Bulk::Durable)),
            Err(Broken::Singly(why)) => {
                info!(table = %table.name, %why, "rows of a copy are loaded in single batches");
                Ok(Bulk::Singly)
            }
            Err(Broken::Fault(fault)) => Err(fault),
        }
    }

    /// Sends the requests, and commits now and then. None when the end did not come.
    async fn load_requests(
        &self,
        table: &Arc<Table>,
        mut requests: mpsc::Receiver<Request>,
    ) -> Result<Option<Loaded>, Broken> {
        let mut sum = Sum::default();
        // The first request of a transaction waits for the second: without one it needs no transaction.
        let (mut first, mut open) = (None, None::<Transaction<'_>>);
        loop {
            match next(&mut requests, open.as_ref()).await {
                Next::Rows(rows) => match (open.as_mut(), first.take()) {
                    (None, None) => first = Some(rows),
                    (None, Some(first)) => {
                        let transaction = Transaction::begin(self, table, first.identity()).await?;
                        let transaction = open.insert(transaction);
                        transaction.add(&first).await?;
                        drop(first);
                        transaction.add(&rows).await?;
                    }
                    (Some(open), _) => open.add(&rows).await?,
                },
                Next::Due => sum.add(commit(&mut open).await?),
                Next::End => break,
                Next::Gone => {
                    if let Some(open) = open {
                        open.roll_back().await;
                    }
                    return Ok(None);
                }
            }
        }
        sum.add(commit(&mut open).await?);
        if let Some(rows) = first {
            sum.add(self.load_alone(table, &rows).await?);
        }
        if !sum.losses.is_empty() {
            self.progress.values_altered(&table.name, &sum.losses);
        }
        Ok(Some(sum.loaded))
    }

    /// Loads the rows in a load of their own, with all its attempts.
    async fn load_alone(&self, table: &Arc<Table>, rows: &Rows) -> Result<Sum, Broken> {
        let plan = transaction::plan(self, table);
        let prepared = rows.prepared(self).await.map_err(Broken::Fault)?;
        let (body, losses) = prepared.content(&plan);
        let label = Label::new(&self.job, table, self.sequence.next(), rows.identity());
        let permit = self.permit.as_ref();
        let order = Order { target: &table.target, label: &label, body, manner: Manner::Alone, permit };
        let settled = self.settle(&order, Reports::new(&self.progress, table)).await;
        self.journal.ended(&label);
        match settled {
            Ok(()) => Ok(Sum::of(body, losses)),
            Err(Failure::Rows(fault) | Failure::Table(fault)) => Err(Broken::Singly(fault.message)),
        }
    }
}

/// What a bulk load does next.
enum Next {
    Rows(Rows),
    /// The open transaction is to be committed.
    Due,
    End,
    Gone,
}

async fn next(requests: &mut mpsc::Receiver<Request>, open: Option<&Transaction<'_>>) -> Next {
    let request = match open {
        Some(open) => timeout_at(open.due(), requests.recv()).await,
        None => Ok(requests.recv().await),
    };
    match request {
        Ok(Some(Request::Rows(rows))) => Next::Rows(rows),
        Ok(Some(Request::End)) => Next::End,
        Ok(None) => Next::Gone,
        Err(_) => Next::Due,
    }
}

async fn commit(open: &mut Option<Transaction<'_>>) -> Result<Sum, Broken> {
    match open.take() {
        Some(open) => open.commit().await,
        None => Ok(Sum::default()),
    }
}

impl Sum {
    fn of(body: Content<'_>, losses: &Losses) -> Self {
        Self { loaded: Loaded { rows: body.rows(), bytes: body.length() }, losses: *losses }
    }

    fn add(&mut self, more: Self) {
        let Loaded { rows, bytes } = more.loaded;
        self.loaded = Loaded { rows: self.loaded.rows + rows, bytes: self.loaded.bytes + bytes };
        self.losses.add(&more.losses);
    }
}

#[cfg(test)]
mod tests;
