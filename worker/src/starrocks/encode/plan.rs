//! The plan of a load: what all its rows have in common, prepared once.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{date::utc, output::Output, rule::Rule, text::write_escaped, value::Form};
use crate::{
    config::{Deletes, Values},
    pipeline::{ColumnSet, Operation, Row},
    starrocks::{
        AUDIT_COLUMNS, HEX_PREFIX,
        target::{LONGEST_KEY, TargetType, key_type, target_type},
    },
    table::{Kind, Table},
};

/// How the rows of a load are written: the columns, their names and forms.
#[derive(Debug)]
pub struct Plan {
    /// One for each column of the table; none for a column that is not in the load.
    pub(super) slots: Vec<Option<Slot>>,
    /// The bytes between the last column and the version, of an insert, an update and a delete.
    tails: [Box<[u8]>; 3],
    /// The bytes after the version.
    ends: [&'static [u8]; 3],
    /// Bytes of the encoded key that are left for its texts.
    pub(super) key_room: usize,
    columns: String,
    partial: bool,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// `{"id":` or `,"name":`.
    pub(super) fragment: Box<[u8]>,
    pub(super) form: Form,
    pub(super) rule: Rule,
    pub(super) key: Option<KeyPart>,
}

/// A key column: its kind, and whether its size in the encoded key depends on the value.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPart {
    kind: Kind,
    measured: bool,
}

impl KeyPart {
    /// The canonical spelling, which is stored in StarRocks.
    #[inline]
    pub(super) fn text(self, text: &[u8]) -> &[u8] {
        self.kind.key_text(text)
    }

    /// Bytes of the encoded key that depend on the value.
    #[inline]
    pub(super) fn bytes(self, text: &[u8]) -> usize {
        if self.measured { text.len() } else { 0 }
    }
}

impl Plan {
    /// The plan of a load of `table` with the columns of `set`. A key column of an unsupported type is planned as text; such
    /// a table is refused before anything is loaded.
    pub fn new(
        table: &Table,
        set: &ColumnSet,
        deletes: Deletes,
        values: Values,
        synced_at: SystemTime,
    ) -> Self {
        let mut opening = b'{';
        let slot = |place: usize| {
            is_carried(table, set, place)
                .then(|| slot(table, place, values, std::mem::replace(&mut opening, b',')))
        };
        let synced_at = utc(synced_at.duration_since(UNIX_EPOCH).unwrap_or_default());
        let hard = deletes == Deletes::Hard;
        Self {
            slots: (0..table.columns.len()).map(slot).collect(),
            tails: [Operation::Insert, Operation::Update, Operation::Delete]
                .map(|operation| tail(operation, &synced_at)),
            ends: if hard { [b",\"__op\":0}\n", b",\"__op\":0}\n", b",\"__op\":1}\n"] } else { [b"}\n"; 3] },
            key_room: key_room(table),
            columns: column_list(table, set, values, hard),
            partial: *set != ColumnSet::All,
        }
    }

    /// The value of the header `columns`.
    pub fn columns(&self) -> &str {
        &self.columns
    }

    /// Whether rows have only some of the columns.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Writes the end of a row, after its last column.
    #[inline]
    pub(super) fn close<O: Output>(&self, row: Row<'_>, out: &mut O) {
        let place = row.operation as usize;
        out.put(&self.tails[place]);
        out.put(itoa::Buffer::new().format(row.version.0).as_bytes());
        out.put(self.ends[place]);
    }
}

/// Whether the load writes the column: it is in the set and in the target.
fn is_carried(table: &Table, set: &ColumnSet, place: usize) -> bool {
    set.contains(place) && table.columns.get(place).is_some_and(|column| column.stored)
}

fn slot(table: &Table, place: usize, values: Values, opening: u8) -> Slot {
    let column = &table.columns[place];
    let is_key = table.key.contains(&place);
    let target = target_type(column.kind, is_key, values).unwrap_or(TargetType::Varchar(LONGEST_KEY));
    let mut fragment = vec![opening, b'"'];
    match target {
        TargetType::Varbinary => fragment.extend_from_slice(hex_name(place).as_bytes()),
        _ => write_escaped(column.name.as_bytes(), &mut fragment),
    }
    fragment.extend_from_slice(b"\":");
    let key = KeyPart { kind: column.kind, measured: target.key_width().is_none() };
    let (form, rule) = (Form::new(column.kind, target), Rule::of(target, is_key, values));
    Slot { fragment: fragment.into(), form, rule, key: is_key.then_some(key) }
}

/// The name of the field that contains a `bytea` in hexadecimal.
fn hex_name(place: usize) -> String {
    format!("{HEX_PREFIX}{place}")
}

fn tail(operation: Operation, synced_at: &str) -> Box<[u8]> {
    let (kind, deleted) = match operation {
        Operation::Insert => (0, false),
        Operation::Update => (1, false),
        Operation::Delete => (2, true),
    };
    format!(
        ",\"dbmazz_op_type\":{kind},\"dbmazz_is_deleted\":{deleted},\
         \"dbmazz_synced_at\":\"{synced_at}\",\"dbmazz_cdc_version\":"
    )
    .into_bytes()
    .into()
}

/// Room for texts in the encoded key: a fixed type takes its width, and a text takes two bytes besides its own when
/// another column follows.
fn key_room(table: &Table) -> usize {
    let last = table.key.len().saturating_sub(1);
    let fixed = table.key.iter().enumerate().map(|(position, place)| {
        let target = table.columns.get(*place).and_then(|column| key_type(column.kind));
        match target.and_then(TargetType::key_width) {
            Some(width) => width as usize,
            None if position < last => 2,
            None => 0,
        }
    });
    (LONGEST_KEY as usize).saturating_sub(fixed.sum())
}

/// The list of names, followed by the columns that are computed from a field of the row.
fn column_list(table: &Table, set: &ColumnSet, values: Values, hard: bool) -> String {
    let (mut names, mut computed) = (Vec::new(), Vec::new());
    let carried = table.columns.iter().enumerate().filter(|(place, _)| is_carried(table, set, *place));
    for (place, column) in carried {
        let name = format!("`{}`", column.name);
        match target_type(column.kind, table.key.contains(&place), values) {
            Some(TargetType::Varbinary) => {
                names.push(hex_name(place));
                computed.push(format!("{name}=to_binary({},'hex')", hex_name(place)));
            }
            _ => names.push(name),
        }
    }
    names.extend(AUDIT_COLUMNS.iter().map(|(name, _)| format!("`{name}`")));
    names.extend(hard.then(|| "__op".to_owned()));
    names.extend(computed);
    names.join(",")
}
