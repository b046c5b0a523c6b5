//! One chunk: the rows of a range of blocks, with the columns that the target's lane has.

use std::ops::ControlFlow;

use crds::Reason;

use super::{CopySession, Sight, of_table};
use crate::{
    change::Tuple,
    fault::{Fault, Part},
    postgres::{error::SourceError, sql},
    schema_history::Blocks,
    table::{Column, Difference, Table, TableName},
};

/// Plans other than a scan of the blocks read more, or in another order.
const BY_BLOCKS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; \
                         SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";

/// The table has other columns than the stream has announced so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlike;

impl Sight {
    /// The expressions for the columns of `rows`. A column that was dropped since is NULL.
    pub fn columns(&self, rows: &Table) -> Result<Vec<String>, Unlike> {
        let numbers = |table: &Table| -> Vec<Option<i32>> {
            table.key.iter().map(|place| table.columns.get(*place).map(|column| column.number)).collect()
        };
        if numbers(rows) != numbers(&self.table) {
            return Err(Unlike);
        }
        rows.columns.iter().map(|column| self.column(column)).collect()
    }

    fn column(&self, column: &Column) -> Result<String, Unlike> {
        let now = self.table.columns.iter().find(|now| now.number == column.number);
        let Some(now) = now else { return Ok("NULL".to_owned()) };
        let is_other = now.kind != column.kind
            || column.representation.changed_to(&now.representation) == Some(Difference::Values);
        if is_other { Err(Unlike) } else { Ok(sql::identifier(&now.name)) }
    }
}

impl CopySession {
    /// Passes the rows of the blocks to `take`, until it breaks. Returns whether all rows were passed; if not, the session
    /// must not be used any more.
    pub fn copy(
        &mut self,
        sight: &Sight,
        columns: &[String],
        blocks: Blocks,
        mut take: impl FnMut(Tuple<'_>) -> ControlFlow<()>,
    ) -> Result<bool, Fault> {
        let copied = self.try_copy(sight, columns, blocks, |row| take(Tuple::stored(row)));
        copied.map_err(|error| of_table(error, &self.config, &sight.table.name))
    }

    fn try_copy(
        &mut self,
        sight: &Sight,
        columns: &[String],
        blocks: Blocks,
        take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<bool, SourceError> {
        // Without the lock its rows could move after the snapshot.
        let leaf = self.leaf_name(blocks.leaf)?.filter(|leaf| sight.leaf.as_ref() == Some(leaf));
        let leaf = leaf.ok_or_else(|| moved_away(&sight.table.name))?;
        if self.reads_ranges() {
            self.connection.query(BY_BLOCKS)?;
        }
        let select = select(&leaf, columns, blocks, sight.filter.as_deref());
        self.each(&select, columns.len(), take)
    }
}

fn moved_away(name: &TableName) -> SourceError {
    SourceError::Found(Box::new(Fault::retry(
        Part::Table(name.clone()),
        Reason::SourceTableMissing,
        format!("{name}, or a partition of it, was renamed or dropped while a copy of it began"),
        "nothing, if that was meant: the copy is tried again by itself",
    )))
}

fn select(leaf: &str, columns: &[String], blocks: Blocks, filter: Option<&str>) -> String {
    let from = (blocks.from > 0).then(|| format!("ctid >= '({},0)'::pg_catalog.tid", blocks.from));
    let to = blocks.to.map(|to| format!("ctid < '({to},0)'::pg_catalog.tid"));
    let filter = filter.map(|filter| format!("({filter})"));
    let conditions: Vec<_> = from.into_iter().chain(to).chain(filter).collect();
    let only =
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT {} FROM ONLY {leaf}{only}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_leave_no_gap_and_the_last_one_has_no_upper_end() {
        let columns = ["\"id\"".to_owned(), "NULL".to_owned()];
        let text = |from, to, filter| select("public.t", &columns, Blocks { leaf: 1, from, to }, filter);
        assert_eq!(text(0, None, None), "SELECT \"id\", NULL FROM ONLY public.t");
        assert_eq!(
            text(0, Some(7), None),
            "SELECT \"id\", NULL FROM ONLY public.t WHERE ctid < '(7,0)'::pg_catalog.tid"
        );
        assert_eq!(
            text(7, None, Some("id > 5")),
            "SELECT \"id\", NULL FROM ONLY public.t WHERE ctid >= '(7,0)'::pg_catalog.tid AND (id > 5)"
        );
    }
}
