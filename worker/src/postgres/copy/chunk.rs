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

/// Scans of a range of blocks exist from PostgreSQL 14 on.
const RANGES_SINCE: u32 = 140_000;
/// Bytes that the smallest row takes in its block.
const LEAST_OF_A_ROW: u32 = 28;

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
        self.connection.query(BY_BLOCKS)?;
        let range = if self.version >= RANGES_SINCE { range(blocks) } else { self.places(blocks)? };
        let select = select(&leaf, columns, range, sight.filter.as_deref());
        self.each(&select, columns.len(), take)
    }
}

impl CopySession {
    /// Before PostgreSQL 14 a range of blocks cannot be scanned, but a list of places can.
    fn places(&mut self, blocks: Blocks) -> Result<Option<String>, SourceError> {
        // Asked in the transaction of the snapshot, which sees no row in a later block.
        let rows = self.connection.query(&format!(
            "SELECT coalesce(pg_catalog.pg_relation_size({leaf}), 0) / size, size \
             FROM (SELECT pg_catalog.current_setting('block_size')::bigint size) block",
            leaf = blocks.leaf
        ))?;
        let row =
            rows.first().ok_or_else(|| SourceError::protocol("the server does not tell its block size"))?;
        let end = row.parse::<u64>(0)?.min(u64::from(u32::MAX)) as u32;
        Ok(Some(places(blocks, end, row.parse::<u32>(1)? / LEAST_OF_A_ROW)))
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

/// A scan of a range of blocks.
fn range(Blocks { from, to, .. }: Blocks) -> Option<String> {
    let from = (from > 0).then(|| format!("ctid >= '({from},0)'::pg_catalog.tid"));
    let to = to.map(|to| format!("ctid < '({to},0)'::pg_catalog.tid"));
    let both: Vec<_> = from.into_iter().chain(to).collect();
    (!both.is_empty()).then(|| both.join(" AND "))
}

/// Every place of a row in the blocks, up to block `end`.
fn places(Blocks { from, to, .. }: Blocks, end: u32, per_block: u32) -> String {
    let last = i64::from(to.unwrap_or(end)) - 1;
    format!(
        "ctid = ANY (ARRAY(SELECT ('(' || block || ',' || item || ')')::pg_catalog.tid \
         FROM pg_catalog.generate_series({from}::bigint, {last}) block, pg_catalog.generate_series(1, {per_block}) item))"
    )
}

fn select(leaf: &str, columns: &[String], range: Option<String>, filter: Option<&str>) -> String {
    let filter = filter.map(|filter| format!("({filter})"));
    let conditions: Vec<_> = range.into_iter().chain(filter).collect();
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
        let text =
            |from, to, filter| select("public.t", &columns, range(Blocks { leaf: 1, from, to }), filter);
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

    #[test]
    fn places_of_the_last_chunk_end_where_the_table_ends() {
        let text = |from, to| places(Blocks { leaf: 1, from, to }, 9, 291);
        assert!(text(0, Some(3)).contains("generate_series(0::bigint, 2) block"), "{}", text(0, Some(3)));
        assert!(text(3, None).contains("generate_series(3::bigint, 8) block"));
        assert!(text(0, None).contains("generate_series(1, 291) item"));
    }
}
