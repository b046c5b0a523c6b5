//! Rows of one side as they come: keys and digests, a chunk at a time, in the order of their keys.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::{
    key::Key,
    plan::Plan,
    value::{Digest, Side, boolean, digest},
};
use crate::fault::Fault;

/// Rows of one message: few, so that little more than two messages a side is all that is held.
pub(super) const CHUNK: usize = 256;
const CHUNKS: usize = 2;

/// A row of which nothing is known but its key and whether it equals another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) digests: Box<[Digest]>,
    /// It is in the target and marked as deleted.
    pub(super) deleted: bool,
}

impl Row {
    /// Reads the key, the values, and (at the sink) the mark; none when a part of the key cannot be read.
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

/// Where one side puts its rows; full when the comparison is behind.
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

/// Why rows came to an end too early.
#[derive(Debug)]
pub(super) enum Broken {
    Fault(Fault),
    /// A row whose key is not behind that of the row before.
    Order,
}

impl Rows {
    /// The next row that is not deleted, without taking it.
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

    /// Takes the row that was seen.
    pub(super) fn take(&mut self) -> Result<Option<Row>, Broken> {
        self.live += 1;
        self.next()
    }

    /// The merge of both sides stands on their order, so it is checked and not believed.
    fn next(&mut self) -> Result<Option<Row>, Broken> {
        let Some(row) = self.ready.pop_front() else { return Ok(None) };
        if self.last.as_ref().is_some_and(|last| *last >= row.key) {
            return Err(Broken::Order);
        }
        self.last = Some(row.key.clone());
        Ok(Some(row))
    }
}
