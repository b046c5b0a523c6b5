//! The worker's own steps.

use std::{sync::Arc, time::SystemTime};

use worker::{
    change::{Block, Event},
    config::{Deletes, Values},
    fuzz::stream::blocks,
    lsn::Lsn,
    pipeline::{Batch, batch::Accumulation},
    starrocks::encode::{Count, Encoder, Output, Plan},
};

use crate::stream::table;

const PIECE: usize = 128 * 1024;

pub(crate) fn decode(frames: &[u8]) -> Vec<Block> {
    blocks(frames, PIECE, false, &[table()]).expect("PostgreSQL would send it so")
}

pub(crate) fn gather(blocks: &[Block]) -> Vec<Batch> {
    let mut gathered = Accumulation::new(Arc::new(table()), Deletes::Soft);
    for event in blocks.iter().flat_map(Block::events) {
        if let Event::Change { change, .. } = event {
            gathered.push(change, Lsn(9)).expect("an insert is whole");
        }
    }
    gathered.close(SystemTime::UNIX_EPOCH)
}

pub(crate) fn encode(batches: &[Batch]) -> Vec<u8> {
    let mut body = Vec::new();
    batches.iter().for_each(|batch| write(batch, &mut body));
    body
}

/// As every load does: a batch is checked and counted before its head is sent, and written as it goes out.
pub(crate) fn load(batches: &[Batch]) -> Vec<u8> {
    let mut count = Count::default();
    batches.iter().for_each(|batch| write(batch, &mut count));
    encode(batches)
}

fn write(batch: &Batch, out: &mut impl Output) {
    let plan = Plan::new(batch.table(), batch.columns(), Deletes::Soft, Values::default(), batch.synced_at());
    Encoder::new(&plan, batch.rows()).fill(out, usize::MAX).expect("every value has a form");
}
