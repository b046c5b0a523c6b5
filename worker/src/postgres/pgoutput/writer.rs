//! Writes pgoutput messages, for tests: the other side of `decode`, and sharing nothing with it.

use super::{Message, OldRow, Relation, Row, postgres_micros};
use crate::{change::Tuple, lsn::Lsn};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Unchanged,
    Text(Vec<u8>),
}

#[derive(Debug, Clone)]
pub(crate) enum Written {
    Begin { commit: Lsn, micros: i64, xid: u32 },
    Commit { end: Lsn },
    Relation(Relation),
    Insert { relation: u32, new: Vec<Cell> },
    Update { relation: u32, old: Option<(bool, Vec<Cell>)>, new: Vec<Cell> },
    Delete { relation: u32, full: bool, old: Vec<Cell> },
    Truncate { relations: Vec<u32> },
}

impl Written {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Begin { commit, micros, xid } => {
                out.push(b'B');
                out.extend(commit.0.to_be_bytes());
                out.extend(micros.to_be_bytes());
                out.extend(xid.to_be_bytes());
            }
            Self::Commit { end } => {
                out.extend(*b"C\0");
                out.extend((end.0.wrapping_sub(8)).to_be_bytes());
                out.extend(end.0.to_be_bytes());
                out.extend(0i64.to_be_bytes());
            }
            Self::Relation(relation) => write_relation(relation, &mut out),
            Self::Insert { relation, new } => {
                start(b'I', *relation, &mut out);
                write_row(b'N', new, &mut out);
            }
            Self::Update { relation, old, new } => {
                start(b'U', *relation, &mut out);
                if let Some((full, old)) = old {
                    write_row(if *full { b'O' } else { b'K' }, old, &mut out);
                }
                write_row(b'N', new, &mut out);
            }
            Self::Delete { relation, full, old } => {
                start(b'D', *relation, &mut out);
                write_row(if *full { b'O' } else { b'K' }, old, &mut out);
            }
            Self::Truncate { relations } => {
                out.push(b'T');
                out.extend((relations.len() as u32).to_be_bytes());
                out.push(0);
                relations.iter().for_each(|oid| out.extend(oid.to_be_bytes()));
            }
        }
        out
    }

    pub(crate) fn equals(&self, message: &Message, body: &[u8]) -> bool {
        let row = |cells: &[Cell], row: &Row| cells == read_row(row, body);
        let old_row = |full: bool, cells: &[Cell], old: &OldRow| match old {
            OldRow::Key(old) => !full && row(cells, old),
            OldRow::Full(old) => full && row(cells, old),
        };
        match (self, message) {
            (Self::Begin { commit, micros, xid }, Message::Begin { commit: at, time, xid: by }) => {
                commit == at && postgres_micros(*time) == *micros && xid == by
            }
            (Self::Commit { end }, Message::Commit { end: read }) => end == read,
            (Self::Relation(relation), Message::Relation(read)) => *relation == **read,
            (Self::Insert { relation, new }, Message::Insert { relation: oid, new: read }) => {
                relation == oid && row(new, read)
            }
            (Self::Update { relation, old, new }, Message::Update { relation: oid, old: was, new: read }) => {
                let old = match (old, was) {
                    (None, None) => true,
                    (Some((full, cells)), Some(was)) => old_row(*full, cells, was),
                    _ => false,
                };
                relation == oid && old && row(new, read)
            }
            (Self::Delete { relation, full, old }, Message::Delete { relation: oid, old: was }) => {
                relation == oid && old_row(*full, old, was)
            }
            (Self::Truncate { relations }, Message::Truncate { relations: read }) => relations == read,
            _ => false,
        }
    }
}

fn start(tag: u8, relation: u32, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(relation.to_be_bytes());
}

fn write_relation(relation: &Relation, out: &mut Vec<u8>) {
    start(b'R', relation.oid, out);
    for text in [&relation.schema, &relation.name] {
        out.extend(text.bytes().chain([0]));
    }
    out.push(b'd');
    out.extend((relation.columns.len() as u16).to_be_bytes());
    for column in &relation.columns {
        out.push(u8::from(column.identity));
        out.extend(column.name.bytes().chain([0]));
        out.extend(column.type_oid.to_be_bytes());
        out.extend(column.typmod.to_be_bytes());
    }
}

fn write_row(kind: u8, cells: &[Cell], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend((cells.len() as u16).to_be_bytes());
    for cell in cells {
        match cell {
            Cell::Null => out.push(b'n'),
            Cell::Unchanged => out.push(b'u'),
            Cell::Text(text) => {
                out.push(b't');
                out.extend((text.len() as u32).to_be_bytes());
                out.extend(text);
            }
        }
    }
}

fn read_row(row: &Row, body: &[u8]) -> Vec<Cell> {
    let (tuple, rest) = Tuple::split(&body[row.place.clone()], row.columns).unwrap();
    assert!(rest.is_empty());
    let cell = |value| match value {
        crate::change::Value::Null => Cell::Null,
        crate::change::Value::Unchanged => Cell::Unchanged,
        crate::change::Value::Text(text) => Cell::Text(text.to_vec()),
    };
    tuple.values().map(cell).collect()
}
