//! The catalogue of the simulated server: the table as each transaction left it.

use std::collections::BTreeMap;

use super::{heap::Values, server::Xid};
use crate::table::{Column, Facts, Fill, Kind, Representation, Table, TableId, TableName};

/// The numbers of the first columns.
pub(super) const ID: i32 = 1;
pub(super) const V: i32 = 2;
pub(super) const LARGE: i32 = 3;
/// Object identifiers of the types.
const INTEGER: u32 = 23;
const BIGINT: u32 = 20;
const TEXT: u32 = 25;
/// The first leaf, and the first file.
const LEAF: u32 = 100;
const FILE: u32 = 1000;

#[derive(Debug)]
pub(super) struct Catalogue {
    /// With the transaction that made each.
    versions: Vec<(Xid, Table)>,
    next_file: u32,
}

impl Catalogue {
    pub(super) fn new(leaves: u32) -> Self {
        let files: BTreeMap<_, _> = (0..leaves).map(|leaf| (LEAF + leaf, FILE + leaf)).collect();
        let columns = vec![
            column(ID, "id", Kind::Text, Fill::Null),
            column(V, "v", Kind::Integer, Fill::Null),
            column(LARGE, "large", Kind::Text, Fill::Null),
        ];
        let table = Table {
            id: TableId(0),
            name: TableName { schema: "public".into(), name: "t".into() },
            target: "t".into(),
            columns,
            key: vec![0],
            last_number: LARGE,
            facts: Facts { files, ..Facts::default() },
        };
        Self { versions: vec![(0, table)], next_file: FILE + leaves }
    }

    /// The last version by a transaction that is seen.
    pub(super) fn now(&self, sees: impl Fn(Xid) -> bool) -> Table {
        let seen = self.versions.iter().rev().find(|(xid, _)| *xid == 0 || sees(*xid));
        seen.unwrap().1.clone()
    }

    pub(super) fn put(&mut self, xid: Xid, table: Table) {
        self.versions.push((xid, table));
    }

    pub(super) fn next_file(&mut self) -> u32 {
        self.next_file += 1;
        self.next_file - 1
    }
}

fn column(number: i32, name: &str, kind: Kind, fill: Fill) -> Column {
    let oid = match kind {
        Kind::Integer => INTEGER,
        Kind::BigInt => BIGINT,
        _ => TEXT,
    };
    let representation = Representation { oid, modifier: -1, ..Representation::default() };
    Column { number, fill, representation, ..Column::new(name, kind, format!("{kind:?}")) }
}

/// The leaf of a row.
pub(super) fn leaf(files: &BTreeMap<u32, u32>, values: &Values) -> u32 {
    let key: u32 = values[&ID].as_deref().unwrap_or_default().parse().unwrap();
    LEAF + key % files.len() as u32
}

// Changes of columns. None where one is not possible; else whether it rewrites the table.

pub(super) fn add(table: &mut Table, default: bool) -> Option<bool> {
    table.last_number += 1;
    let number = table.last_number;
    let fill = if default { Fill::Value(format!("default{number}")) } else { Fill::Null };
    table.columns.push(column(number, &format!("c{number}"), Kind::Text, fill));
    Some(false)
}

/// Drops the last column that is not of the key.
pub(super) fn drop_last(table: &mut Table) -> Option<bool> {
    (table.columns.len() > 1).then(|| table.columns.pop()).map(|_| false)
}

/// The last column takes another name, and the one before it takes its name: names alone do not tell columns.
pub(super) fn rename(table: &mut Table) -> Option<bool> {
    let [.., one, other] = &mut table.columns[1..] else { return None };
    (one.kind == other.kind).then(|| std::mem::swap(&mut one.name, &mut other.name))?;
    Some(false)
}

/// Makes `v` wider, which rewrites the table.
pub(super) fn widen(table: &mut Table) -> Option<bool> {
    let v = table.columns.iter_mut().find(|column| column.number == V && column.kind == Kind::Integer)?;
    *v = column(V, &v.name, Kind::BigInt, Fill::Null);
    Some(true)
}
