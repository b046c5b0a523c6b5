//! The bytes that PostgreSQL sends for one transaction of inserts.

use worker::table::{Column, Kind, Table, TableId, TableName};

/// Name, type, and the kind that stands for it.
const COLUMNS: [(&str, u32, Kind); 7] = [
    ("id", 20, Kind::BigInt),
    ("account", 23, Kind::Integer),
    ("kind", 1043, Kind::ShortText { characters: 20 }),
    ("amount", 1700, Kind::Decimal { precision: 12, scale: 2 }),
    ("happened", 1184, Kind::TimestampTz),
    ("active", 16, Kind::Boolean),
    ("note", 25, Kind::Text),
];
pub(crate) const NAMES: [&str; 7] = ["id", "account", "kind", "amount", "happened", "active", "note"];
const RELATION: [u8; 4] = 16384_u32.to_be_bytes();

pub(crate) fn table() -> Table {
    let column = |(number, (name, _, kind)): (i32, &(&str, u32, Kind))| Column {
        number,
        ..Column::new(*name, *kind, "of no matter")
    };
    Table {
        id: TableId(0),
        name: TableName { schema: "public".to_owned(), name: "events".to_owned() },
        target: "events".to_owned(),
        columns: (1..).zip(&COLUMNS).map(column).collect(),
        key: vec![0],
        last_number: COLUMNS.len() as i32,
        facts: Default::default(),
    }
}

pub(crate) fn inserts(rows: u64) -> Vec<u8> {
    let mut frames = Vec::new();
    frame(&[&b"B"[..], &[0; 20]].concat(), &mut frames);
    frame(&announcement(), &mut frames);
    (0..rows).for_each(|id| frame(&insert(id), &mut frames));
    frame(&[&b"C"[..], &[0; 25]].concat(), &mut frames);
    frames
}

fn announcement() -> Vec<u8> {
    let mut message = [&b"R"[..], &RELATION, b"public\0events\0d\0\x07"].concat();
    for (place, (name, oid, kind)) in COLUMNS.iter().enumerate() {
        message.push(u8::from(place == 0));
        message.extend(name.bytes().chain([0]));
        message.extend(oid.to_be_bytes());
        message.extend(modifier(*kind).to_be_bytes());
    }
    message
}

fn modifier(kind: Kind) -> i32 {
    match kind {
        Kind::ShortText { characters } => characters as i32 + 4,
        Kind::Decimal { precision, scale } => (i32::from(precision) << 16 | i32::from(scale)) + 4,
        _ => -1,
    }
}

fn insert(id: u64) -> Vec<u8> {
    let values = [
        id.to_string(),
        (id % 1000).to_string(),
        format!("kind-{}", id % 7),
        format!("{}.{:02}", id % 1000, id % 100),
        format!("2026-01-{:02} {:02}:{:02}:00+00", id % 28 + 1, id % 24, id % 60),
        if id.is_multiple_of(2) { "t" } else { "f" }.to_owned(),
        format!("note of event {id}"),
    ];
    let mut message = [&b"I"[..], &RELATION, b"N\0\x07"].concat();
    for value in values {
        message.push(b't');
        message.extend((value.len() as u32).to_be_bytes());
        message.extend(value.bytes());
    }
    message
}

/// CopyData with XLogData in it.
fn frame(message: &[u8], out: &mut Vec<u8>) {
    out.push(b'd');
    out.extend((4 + 25 + message.len() as u32).to_be_bytes());
    out.push(b'w');
    out.extend([0; 24]);
    out.extend(message);
}
