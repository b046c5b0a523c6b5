//! Values that are encoded for StarRocks, and values as the comparer of `dbmazz verify` reads them.

use std::{sync::Arc, time::SystemTime};

use serde::de::IgnoredAny;
use worker::{
    change::{Block, Change, Event, Tuple, Value, write_value},
    config::{Deletes, JsonNumbers, TooLong, Unfit, Values},
    fuzz::verify::spelled as spelling,
    lsn::Lsn,
    pipeline::{Batch, batch::Accumulation},
    starrocks::encode::{Count, Encoder, Output, Plan},
    table::Table,
};

use super::{
    Fuzzed, chosen,
    tables::{self, COLUMNS, OTHERS},
};

/// One value of any kind, as a key or not, under any rule.
pub(super) fn values() -> Fuzzed {
    let kinds: Vec<_> = COLUMNS.iter().map(|(.., kind)| *kind).chain(OTHERS).collect();
    Box::new(move |bytes| {
        let ((choice, bytes), (id, other)) = (chosen(bytes), (("id", COLUMNS[0].3), "value"));
        let (rule, text) = chosen(bytes);
        let kind = kinds[usize::from(choice & 0x7F) % kinds.len()];
        let columns = if choice & 0x80 == 0 { [id, (other, kind)] } else { [(other, kind), id] };
        let row = columns.map(|(name, _)| if name == other { text } else { &b"7"[..] });
        let mut tuple = Vec::new();
        row.iter().for_each(|text| write_value(Value::Text(text), &mut tuple));
        let (new, _) = Tuple::split(&tuple, columns.len()).expect("it was written so");
        write(&Arc::new(tables::of("one", &columns)), [(Change::Insert { new }, Lsn(9))], rule);
    })
}

/// Batches and encodes the changes of every block, each with the table's shape at that time.
pub(super) fn write_all(blocks: &[Block], tables: &[Table], choice: u8) {
    let Some(table) = tables.first() else { return };
    let (mut table, mut version, mut changes) = (Arc::new(table.clone()), Lsn::default(), Vec::new());
    for event in blocks.iter().flat_map(Block::events) {
        match event {
            Event::Begin { commit, .. } => version = commit,
            Event::Change { change, .. } => changes.push((change, version)),
            Event::Reshape { reshape, .. } => {
                write(&table, changes.drain(..), choice);
                table = Arc::clone(&reshape.rows);
            }
            _ => {}
        }
    }
    write(&table, changes, choice);
}

/// Asserts that every batched row is measured, and that what is not refused is written with exactly the measured
/// length, as one line of JSON per row.
fn write<'a>(table: &Arc<Table>, changes: impl IntoIterator<Item = (Change<'a>, Lsn)>, choice: u8) {
    let deletes = if choice & 2 == 0 { Deletes::Soft } else { Deletes::Hard };
    let mut gathered = Accumulation::new(Arc::clone(table), deletes);
    for (change, version) in changes {
        if gathered.push(change, version).is_err() {
            return;
        }
    }
    for batch in gathered.close(SystemTime::UNIX_EPOCH) {
        let plan = Plan::new(batch.table(), batch.columns(), deletes, rules(choice), batch.synced_at());
        if let Some(length) = measured(&batch, &plan) {
            check(&body(&batch, &plan), length, batch.row_count());
        }
    }
}

fn check(body: &[u8], length: usize, rows: usize) {
    assert_eq!(body.len(), length, "it is as long as it was measured");
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    let whole = lines.filter(|line| serde_json::from_slice::<IgnoredAny>(line).is_ok()).count();
    assert_eq!(whole, rows, "every row is one line of JSON");
}

fn rules(choice: u8) -> Values {
    let unfit = match choice >> 2 & 3 {
        0 => Unfit::Halt,
        1 => Unfit::Null,
        _ => Unfit::Text,
    };
    let too_long = match choice >> 4 & 3 {
        0 => TooLong::Halt,
        1 => TooLong::Null,
        _ => TooLong::Truncate,
    };
    let json_numbers = if choice & 0x40 == 0 { JsonNumbers::Exact } else { JsonNumbers::Round };
    Values { dates: unfit, decimals: unfit, json: unfit, json_numbers, too_long }
}

fn measured(batch: &Batch, plan: &Plan) -> Option<usize> {
    let (mut encoder, mut length) = (Encoder::new(plan, batch.rows()), 0);
    loop {
        let mut count = Count::default();
        encoder.fill(&mut count, 1 << 16).ok()?;
        if count.taken() == 0 {
            return Some(length);
        }
        length += count.taken();
    }
}

fn body(batch: &Batch, plan: &Plan) -> Vec<u8> {
    let (mut encoder, mut body) = (Encoder::new(plan, batch.rows()), Vec::new());
    loop {
        let mut piece = Vec::new();
        encoder.fill(&mut piece, 1 << 16).expect("it was measured before");
        if piece.is_empty() {
            return body;
        }
        body.extend_from_slice(&piece);
    }
}

const TYPES: [(&str, &str); 11] = [
    ("bool", ""),
    ("numeric", ""),
    ("float4", ""),
    ("float8", ""),
    ("bpchar", ""),
    ("timestamptz", ""),
    ("jsonb", ""),
    ("bytea", ""),
    ("_numeric", "numeric"),
    ("_text", "text"),
    ("_jsonb", "jsonb"),
];

/// A value in the comparer's spelling: spelled again, it must stay the same.
pub(super) fn spelled() -> Fuzzed {
    Box::new(|bytes| {
        let (choice, text) = chosen(bytes);
        let (type_name, element) = TYPES[usize::from(choice & 0x7F) % TYPES.len()];
        spelling(type_name, element, choice & 0x80 == 0, text);
    })
}
