//! The replication stream of the simulated server, as the reader gives it to the pipeline.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::{
    catalogue::{ID, LARGE},
    heap::{Datum, Values, Version},
    reader::{row_of, stored},
    wal::{Committed, Record, What},
    world::World,
};
use crate::{
    change::{Aim, Block, BlockBuilder, ChannelSender, OldPlace, Place, Reshape, Value, write_value},
    lsn::Lsn,
    progress::Progress,
    table::{Column, Kind, Table, TableId},
};

const T: TableId = TableId(0);

/// One stream of a worker.
pub(super) struct Stream {
    pub(super) world: World,
    pub(super) sender: ChannelSender,
    pub(super) progress: Arc<Progress>,
    /// The columns of the rows that were sent last, and those of the target.
    pub(super) rows: Arc<Table>,
    pub(super) target: Table,
    pub(super) announced: Option<Arc<Table>>,
}

impl Stream {
    /// Sends what was committed from this position on.
    pub(super) async fn run(mut self, mut from: Lsn) {
        loop {
            let next = {
                let ends = self.world.ends();
                ends.server.wal.iter().find(|committed| committed.end > from).cloned()
            };
            match next {
                Some(committed) => {
                    from = committed.end;
                    self.transaction(committed).await;
                }
                None => from = self.keepalive(from).await,
            }
        }
    }

    async fn keepalive(&mut self, from: Lsn) -> Lsn {
        sleep(Duration::from_millis(20)).await;
        // What is committed meanwhile is sent first.
        let end = {
            let ends = self.world.ends();
            if ends.server.wal.iter().any(|committed| committed.end > from) {
                return from;
            }
            ends.server.end()
        };
        if end > self.progress.received_lsn() {
            self.send(|block| block.keepalive(end)).await;
            self.progress.received(end);
        }
        from
    }

    async fn transaction(&mut self, Committed { xid, commit, end, records }: Committed) {
        let sent: Vec<_> = {
            let ends = self.world.ends();
            records.into_iter().filter(|record| ends.server.is_sent(record)).collect()
        };
        if sent.is_empty() {
            return;
        }
        self.send(|block| block.begin(commit, SystemTime::UNIX_EPOCH, xid as u32)).await;
        for record in sent {
            self.announce(&record, xid).await;
            self.send(|block| change(block, &record)).await;
        }
        self.send(|block| block.commit(end)).await;
        self.progress.received(end);
    }

    /// As the server announces a relation, and as the router takes it: it looks at the catalogue, which has to show the
    /// transaction, and knows the columns of the rows by their present names and types.
    async fn announce(&mut self, record: &Record, xid: u64) {
        if self.announced.as_ref().is_some_and(|announced| announced.has_shape_of(&record.shape)) {
            return;
        }
        while !self.sees(xid) {
            sleep(Duration::from_millis(10)).await;
        }
        self.announced = Some(Arc::clone(&record.shape));
        let now = self.world.ends().server.now();
        let columns = record.shape.columns.iter().map(|column| at_present(column, &now)).collect();
        let rows = Table { columns, ..now.clone() };
        let target = (!now.has_shape_of(&self.target))
            .then(|| Arc::new(Aim { table: now.clone(), shapes: Vec::new() }));
        if target.is_none() && rows.has_shape_of(&self.rows) {
            return;
        }
        (self.rows, self.target) = (Arc::new(rows), now);
        let reshape = Reshape { rows: Arc::clone(&self.rows), target };
        self.send(|block| block.reshape(T, reshape)).await;
    }

    fn sees(&self, xid: u64) -> bool {
        let ends = self.world.ends();
        ends.server.transactions.sees(&ends.server.transactions.snapshot(), xid)
    }

    async fn send(&self, fill: impl FnOnce(&mut BlockBuilder)) {
        let time = self.world.ends().streaming;
        sleep(time).await;
        let mut block = Block::builder();
        fill(&mut block);
        let block = block.finish();
        self.sender.room_for(&block).await;
        // The pipeline may have ended.
        let _ = self.sender.enter(block);
    }
}

fn at_present(column: &Column, now: &Table) -> Column {
    let present = now.columns.iter().find(|present| present.number == column.number);
    let gone = || Column { kind: Kind::Text, stored: false, ..column.clone() };
    present.cloned().unwrap_or_else(gone)
}

fn change(block: &mut BlockBuilder, record: &Record) {
    let table = &record.shape;
    match &record.what {
        What::Insert(values) => {
            let new = whole(block, table, values, true);
            block.insert(T, new);
        }
        What::Update(old, values, sends_large) => {
            let old = old.as_ref().map(|old| OldPlace::Key(only_key(block, table, old)));
            let new = whole(block, table, values, *sends_large);
            block.update(T, old, new);
        }
        What::Delete(key) => {
            let old = OldPlace::Key(only_key(block, table, key));
            block.delete(T, old);
        }
        What::Truncate => block.truncate(T),
    }
}

fn whole(block: &mut BlockBuilder, table: &Table, values: &Values, sends_large: bool) -> Place {
    let row = Version { values: values.clone(), xmin: 0, xmax: None };
    let mut bytes = Vec::new();
    for column in &table.columns {
        if column.number == LARGE && !sends_large {
            write_value(Value::Unchanged, &mut bytes);
        } else {
            bytes.extend(row_of([stored(column, &row)].into_iter()));
        }
    }
    place(block, &bytes)
}

fn only_key(block: &mut BlockBuilder, table: &Table, key: &Datum) -> Place {
    let value = |number| if number == ID { key.clone() } else { None };
    let row = row_of(table.columns.iter().map(|column| value(column.number)));
    place(block, &row)
}

fn place(block: &mut BlockBuilder, row: &[u8]) -> Place {
    let start = block.bytes().len() as u32;
    block.bytes_mut().extend_from_slice(row);
    start..start + row.len() as u32
}
