//! Puts the rows that a session reads together to batches.

use std::{ops::ControlFlow, sync::Arc, time::SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    change::Tuple,
    lsn::Lsn,
    pipeline::{Batch, ColumnSet, Operation, Piece, Rows},
    table::Table,
};

/// Collects whole rows of one table, and sends them in batches, and then the end.
#[derive(Debug)]
pub struct Gathering {
    table: Arc<Table>,
    version: Lsn,
    /// Bytes of a batch.
    most: usize,
    rows: Rows,
    pieces: mpsc::Sender<Piece>,
    stop: CancellationToken,
}

impl Gathering {
    pub(super) fn new(
        table: &Arc<Table>,
        version: Lsn,
        most: usize,
        pieces: mpsc::Sender<Piece>,
        stop: CancellationToken,
    ) -> Self {
        let rows = Rows::new(Arc::clone(table), ColumnSet::All);
        Self { table: Arc::clone(table), version, most, rows, pieces, stop }
    }

    /// Adds a row; breaks when no more are wanted. On a thread that may block.
    pub(super) fn take(&mut self, row: Tuple<'_>) -> ControlFlow<()> {
        if self.stop.is_cancelled() {
            return ControlFlow::Break(());
        }
        let is_taken = self.push(row).is_none_or(|batch| self.send(Piece::Rows(batch)));
        if is_taken { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Sends what is left, and the end; returns whether they were taken. On a thread that may block.
    pub(super) fn finish(mut self) -> bool {
        self.rest().is_none_or(|batch| self.send(Piece::Rows(batch))) && self.send(Piece::End)
    }

    fn send(&self, piece: Piece) -> bool {
        self.pieces.blocking_send(piece).is_ok()
    }

    /// Adds a row; returns a batch when it is full.
    fn push(&mut self, row: Tuple<'_>) -> Option<Batch> {
        self.rows.push(Operation::Insert, self.version, row);
        (self.rows.held_bytes() >= self.most).then(|| self.rest())?
    }

    fn rest(&mut self) -> Option<Batch> {
        let rows = std::mem::replace(&mut self.rows, Rows::new(Arc::clone(&self.table), ColumnSet::All));
        rows.close(SystemTime::now())
    }

    /// As `take`, on a runtime. Returns whether more rows are wanted.
    #[cfg(test)]
    pub(super) async fn pass(&mut self, row: Tuple<'_>) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        match self.push(row) {
            Some(batch) => self.pieces.send(Piece::Rows(batch)).await.is_ok(),
            None => true,
        }
    }

    /// As `finish`, on a runtime.
    #[cfg(test)]
    pub(super) async fn pass_rest(mut self) -> bool {
        for piece in self.rest().map(Piece::Rows).into_iter().chain([Piece::End]) {
            if self.pieces.send(piece).await.is_err() {
                return false;
            }
        }
        true
    }
}
