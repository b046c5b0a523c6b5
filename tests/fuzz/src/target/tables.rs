//! Tables with a column of every kind, and the message with which PostgreSQL announces them.

use worker::table::{Column, Element, Kind, Table, TableId, TableName};

/// Name, type number and modifier, and the kind that the worker uses for it.
pub(super) const COLUMNS: [(&str, u32, i32, Kind); 20] = [
    ("id", 20, -1, Kind::BigInt),
    ("flag", 16, -1, Kind::Boolean),
    ("small", 21, -1, Kind::SmallInt),
    ("whole", 23, -1, Kind::Integer),
    ("transaction", 5069, -1, Kind::Unsigned64),
    ("real", 700, -1, Kind::Real),
    ("double", 701, -1, Kind::Double),
    ("amount", 1700, (10 << 16 | 2) + 4, Kind::Decimal { precision: 10, scale: 2 }),
    ("exact", 1700, -1, Kind::Numeric),
    ("money", 790, -1, Kind::Money),
    ("text", 25, -1, Kind::Text),
    ("short", 1043, 24, Kind::ShortText { characters: 20 }),
    ("padded", 1042, 9, Kind::PaddedText { characters: 5 }),
    ("bytes", 17, -1, Kind::Bytes),
    ("day", 1082, -1, Kind::Date),
    ("moment", 1114, -1, Kind::Timestamp),
    ("zoned", 1184, -1, Kind::TimestampTz),
    ("json", 114, -1, Kind::Json),
    ("jsonb", 3802, -1, Kind::Jsonb),
    ("array", 1007, -1, Kind::Array { element: Element::Integer, delimiter: b',' }),
];

/// Kinds that no column of [`every`] has.
pub(super) const OTHERS: [Kind; 5] = [
    Kind::Hstore,
    Kind::Opaque,
    Kind::Array { element: Element::Json, delimiter: b',' },
    Kind::Array { element: Element::Text, delimiter: b';' },
    Kind::Array { element: Element::Float, delimiter: b',' },
];

/// The table `public.every`, whose key is its first column.
pub(super) fn every() -> Table {
    of("every", &COLUMNS.map(|(name, _, _, kind)| (name, kind)))
}

pub(super) fn of(name: &str, columns: &[(&str, Kind)]) -> Table {
    let column = |(number, (name, kind)): (i32, &(&str, Kind))| Column {
        number,
        ..Column::new(*name, *kind, format!("{kind:?}").to_lowercase())
    };
    Table {
        id: TableId(0),
        name: TableName { schema: "public".to_owned(), name: name.to_owned() },
        target: name.to_owned(),
        columns: (1..).zip(columns).map(column).collect(),
        key: vec![0],
        last_number: columns.len() as i32,
        facts: Default::default(),
    }
}

/// The message that announces `public.every` as relation 16384.
pub(super) fn announcement() -> Vec<u8> {
    let mut message = b"R\0\0\x40\0public\0every\0d".to_vec();
    message.extend((COLUMNS.len() as u16).to_be_bytes());
    for (place, (name, oid, modifier, _)) in COLUMNS.iter().enumerate() {
        message.push(u8::from(place == 0));
        message.extend(name.bytes().chain([0]));
        message.extend(oid.to_be_bytes());
        message.extend(modifier.to_be_bytes());
    }
    message
}
