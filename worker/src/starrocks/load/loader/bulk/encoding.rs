//! Encodes the rows of a bulk load, each once, on a thread of its own.

use std::sync::Arc;

use crds::Reason;
use tokio::sync::mpsc;

use super::super::Loader;
use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    pipeline::{Batch, Piece, batch::Identity},
    progress::Losses,
    starrocks::{
        encode::{Checked, Encoder, Plan},
        load::body::{Body, Content},
    },
    table::Table,
};

/// Room for the end of the last row of a request.
const SLACK: usize = 16 * 1024;

/// What is to be sent next.
#[derive(Debug)]
pub(super) enum Request {
    Rows(Rows),
    End,
}

/// The rows of one request.
#[derive(Debug)]
pub(super) enum Rows {
    Encoded {
        lines: Vec<u8>,
        rows: u64,
        losses: Losses,
        identity: Identity,
    },
    /// Rows that are larger than a request should be: encoded while they are sent.
    Large(Batch),
}

impl Rows {
    pub(super) fn identity(&self) -> Identity {
        match self {
            Self::Encoded { identity, .. } => *identity,
            Self::Large(batch) => batch.identity(),
        }
    }

    /// Measures rows that are not encoded yet.
    pub(super) async fn prepared(&self, loader: &Loader) -> Result<Prepared<'_>, Fault> {
        Ok(match self {
            Self::Encoded { lines, rows, losses, .. } => Prepared::Encoded(lines, *rows, losses),
            Self::Large(batch) => {
                Prepared::Measured(Body::measure(batch, loader.sink.deletes, loader.sink.values).await?)
            }
        })
    }
}

/// Rows that can be sent.
pub(super) enum Prepared<'a> {
    Encoded(&'a [u8], u64, &'a Losses),
    Measured(Body<'a>),
}

impl Prepared<'_> {
    pub(super) fn content<'a>(&'a self, plan: &'a Plan) -> (Content<'a>, &'a Losses) {
        match self {
            Self::Encoded(lines, rows, losses) => (Content::Encoded { plan, lines, rows: *rows }, losses),
            Self::Measured(body) => (Content::Measured(body), body.losses()),
        }
    }
}

/// The receiver is gone: a load has failed, or was given up.
struct Gone;

pub(super) struct Encoding {
    table: Arc<Table>,
    sink: SinkConfig,
    room: usize,
    sender: mpsc::Sender<Request>,
    /// The rows of the next request.
    lines: Checked,
    rows: u64,
    losses: Losses,
    identity: Option<Identity>,
}

impl Encoding {
    pub(super) fn new(
        table: Arc<Table>,
        sink: SinkConfig,
        room: usize,
        sender: mpsc::Sender<Request>,
    ) -> Self {
        let (lines, losses) = (Checked::default(), Losses::default());
        Self { table, sink, room, sender, lines, rows: 0, losses, identity: None }
    }

    /// Encodes until the end, or until nobody receives or sends any more.
    pub(super) fn run(mut self, mut pieces: mpsc::Receiver<Piece>) -> Result<(), Fault> {
        while let Some(piece) = pieces.blocking_recv() {
            let done = match piece {
                Piece::Rows(batch) if batch.held_bytes() > self.room => {
                    self.hand_on().and_then(|()| self.send(Request::Rows(Rows::Large(batch))))
                }
                Piece::Rows(batch) => self.encode(&batch)?,
                Piece::End => {
                    let _ = self.hand_on().and_then(|()| self.send(Request::End));
                    return Ok(());
                }
            };
            if done.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn encode(&mut self, batch: &Batch) -> Result<Result<(), Gone>, Fault> {
        let (deletes, values) = (self.sink.deletes, self.sink.values);
        let plan = Plan::new(batch.table(), batch.columns(), deletes, values, batch.synced_at());
        let mut encoder = Encoder::new(&plan, batch.rows());
        self.identity.get_or_insert(batch.identity());
        loop {
            self.lines.0.reserve_exact((self.room + SLACK).saturating_sub(self.lines.0.len()));
            encoder.fill_rows(&mut self.lines, self.room).map_err(|refusal| refusal.fault(&self.table))?;
            let (rows, losses) = encoder.take_counts();
            self.rows += rows;
            self.losses.add(&losses);
            if self.lines.0.len() < self.room {
                return Ok(Ok(()));
            }
            if let Err(gone) = self.hand_on() {
                return Ok(Err(gone));
            }
            self.identity = Some(batch.identity());
        }
    }

    /// Sends the rows that are encoded so far.
    fn hand_on(&mut self) -> Result<(), Gone> {
        let identity = self.identity.take();
        let Some(identity) = identity.filter(|_| self.rows > 0) else { return Ok(()) };
        let lines = std::mem::take(&mut self.lines).0;
        let (rows, losses) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.losses));
        self.send(Request::Rows(Rows::Encoded { lines, rows, losses, identity }))
    }

    fn send(&self, request: Request) -> Result<(), Gone> {
        self.sender.blocking_send(request).map_err(|_| Gone)
    }
}

pub(super) fn panicked() -> Fault {
    Fault::retry(
        Part::Job,
        Reason::InternalDefect,
        "a thread that encodes rows panicked",
        "report it with the worker's log; the worker tries again by itself",
    )
}
