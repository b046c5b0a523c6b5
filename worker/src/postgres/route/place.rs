//! Converts the place of a row in its message into its place in the block.

use std::ops::Range;

use super::Contradiction;
use crate::{
    change::{OldPlace, Place},
    postgres::pgoutput::{OldRow, Row},
    table::TableId,
};

/// The rows of a relation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) table: TableId,
    pub(super) columns: usize,
}

pub(super) fn old_place(
    relation: u32,
    rows: Rows,
    old: &OldRow,
    at: usize,
) -> Result<OldPlace, Contradiction> {
    Ok(match old {
        OldRow::Key(row) => OldPlace::Key(place(relation, rows, row, at)?),
        OldRow::Full(row) => OldPlace::Full(place(relation, rows, row, at)?),
    })
}

pub(super) fn place(relation: u32, rows: Rows, row: &Row, at: usize) -> Result<Place, Contradiction> {
    if row.columns != rows.columns {
        return Err(Contradiction::Width(relation));
    }
    let Range { start, end } = row.place;
    let beyond = |offset: usize| u32::try_from(at + offset).map_err(|_| Contradiction::TooFar);
    Ok(beyond(start)?..beyond(end)?)
}
