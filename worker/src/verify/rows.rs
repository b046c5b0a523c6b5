//! The stream of rows of one side: keys and digests, in chunks, in key order.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::{
    form::Side,
    key::Key,
    plan::Plan,
    value::{Digest, boolean, digest},
};
use crate::fault::Fault;

/// Rows per chunk: small, because about two chunks per side are held in memory.
pub(super) const CHUNK: usize = 256;
const CHUNKS: usize = 2;

/// A row, reduced to its key and the digests of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) digests: Box<[Digest]>,
    /// Whether the row is in the target and marked as deleted.
    pub(super) deleted: bool,
}

impl Row {
    /// Reads the key, the values, and (at the sink) the deletion mark; `None` when a part of the key cannot be read.
    pub(super) fn read(plan: &Plan, side: Side, values: &[Option<&[u8]>]) -> Option<Self> {
        let (key, rest) = values.split_at_checked(plan.key.len())?;
        let part = |(column, value): (&super::key::KeyColumn, &Option<&[u8]>)| {
            column.read(std::str::from_utf8((*value)?).ok()?)
        };
        let key = plan.key.iter().zip(key).map(part).collect::<Option<_>>()?;
        let (values, mark) = rest.split_at_checked(plan.values.len())?;
        let digests = plan.values.iter().zip(values);
        let digests = digests.map(|(column, value)| digest(&column.form, side, *value)).collect();
        let deleted = mark.first().and_then(|mark| boolean((*mark)?)) == Some(true);
        Some(Self { key: Key(key), digests, deleted })
    }
}

pub(super) type Chunk = Result<Vec<Row>, Fault>;

/// The channel of one side's rows; the sender waits while the comparison is behind.
pub(super) fn channel() -> (mpsc::Sender<Chunk>, Rows) {
    let (sender, chunks) = mpsc::channel(CHUNKS);
    (sender, Rows { chunks, ready: VecDeque::new(), last: None, live: 0, deleted: 0 })
}

#[derive(Debug)]
pub(super) struct Rows {
    chunks: mpsc::Receiver<Chunk>,
    ready: VecDeque<Row>,
    last: Option<Key>,
    pub(super) live: u64,
    pub(super) deleted: u64,
}

/// Why the rows ended early.
#[derive(Debug)]
pub(super) enum Broken {
    Fault(Fault),
    /// A row whose key is not greater than the previous one.
    Order,
}

impl Rows {
    /// Peeks at the next row that is not marked as deleted.
    pub(super) async fn peek(&mut self) -> Result<Option<&Row>, Broken> {
        loop {
            while self.ready.front().is_some_and(|row| row.deleted) {
                self.next()?;
                self.deleted += 1;
            }
            if !self.ready.is_empty() {
                return Ok(self.ready.front());
            }
            match self.chunks.recv().await {
                None => return Ok(None),
                Some(chunk) => self.ready.extend(chunk.map_err(Broken::Fault)?),
            }
        }
    }

    /// Takes the row that was peeked at.
    pub(super) fn take(&mut self) -> Result<Option<Row>, Broken> {
        self.live += 1;
        self.next()
    }

    /// The merge depends on the order of both sides, so the order is checked.
    fn next(&mut self) -> Result<Option<Row>, Broken> {
        let Some(row) = self.ready.pop_front() else { return Ok(None) };
        if self.last.as_ref().is_some_and(|last| *last >= row.key) {
            return Err(Broken::Order);
        }
        self.last = Some(row.key.clone());
        Ok(Some(row))
    }
}
