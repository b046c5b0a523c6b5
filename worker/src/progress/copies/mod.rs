//! How far the copies of existing rows have come, and what each waits for.
//!
//! Copies that were begun together are counted together until all of them are complete: a complete one keeps its
//! figures until then, so that the whole never falls.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Progress, copy_rate::CopyRate, lock};
use crate::table::TableName;

/// A step that takes longer than this is what the copy waits for; all are passed again and again.
const LONG: Duration = Duration::from_secs(2);

/// How far the copy of a table has come, in blocks that the table had when its copy began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyFigures {
    pub blocks: u64,
    pub blocks_done: u64,
    /// Rows loaded, and bytes of their loads.
    pub rows: u64,
    pub bytes: u64,
}

/// A step of a chunk in which the copy depends on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStep {
    /// Earlier changes of the table are loaded.
    Barrier,
    /// The table is locked against changes of its definition, and a snapshot is taken.
    Lock,
    /// A batch is loaded.
    Load,
}

/// A copy that is not complete, as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyView {
    pub table: TableName,
    pub figures: CopyFigures,
    /// Over the last chunks.
    pub rows_per_second: f64,
    /// None while nothing is copied.
    pub seconds_left: Option<u64>,
    /// What it waits for; empty while rows are copied.
    pub waits: Cow<'static, str>,
}

/// All copies that were begun together, and the sum of their figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CopiesView {
    pub sum: CopyFigures,
    /// Those that are not complete.
    pub copies: Vec<CopyView>,
}

impl CopyStep {
    fn waits(self) -> &'static str {
        match self {
            Self::Barrier => "earlier changes of the table to be loaded",
            Self::Lock => "its lock on the table",
            Self::Load => "StarRocks to take its rows",
        }
    }
}

impl CopyFigures {
    /// Whole per cent of the blocks; 100 for a table without any.
    pub fn percent(&self) -> u64 {
        (self.blocks_done * 100).checked_div(self.blocks).unwrap_or(100)
    }

    fn add(self, other: &Self) -> Self {
        Self {
            blocks: self.blocks + other.blocks,
            blocks_done: self.blocks_done + other.blocks_done,
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
        }
    }

    fn complete(self) -> Self {
        Self { blocks_done: self.blocks, ..self }
    }
}

#[derive(Debug, Default)]
struct Copy {
    figures: CopyFigures,
    rate: CopyRate,
    step: Option<(CopyStep, Instant)>,
    /// What keeps chunks from being copied, until one is.
    obstacle: Cow<'static, str>,
    is_complete: bool,
}

impl Copy {
    fn view(&self, table: &TableName, now: Instant) -> CopyView {
        let long = |(_, since): &(CopyStep, Instant)| now.saturating_duration_since(*since) >= LONG;
        let step = self.step.filter(long).map(|(step, _)| Cow::Borrowed(step.waits()));
        CopyView {
            table: table.clone(),
            figures: self.figures,
            rows_per_second: self.rate.rows_per_second(now),
            seconds_left: self.rate.seconds_left(self.figures, now),
            waits: step.unwrap_or_else(|| self.obstacle.clone()),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Copies {
    copies: BTreeMap<TableName, Copy>,
    /// Whether the first copies of this process were begun: beside them the tables count that are complete already.
    has_begun: bool,
}

impl Copies {
    fn begin(&mut self, tables: &[TableName]) {
        if !tables.is_empty() && self.copies.values().all(|copy| copy.is_complete) {
            self.copies.clear();
        }
        self.copies.retain(|name, copy| copy.is_complete || tables.contains(name));
        for table in tables {
            let copy = self.copies.entry(table.clone()).or_default();
            *copy = Copy { figures: copy.figures, obstacle: "its turn".into(), ..Copy::default() };
        }
    }

    pub(super) fn select(&mut self, tables: &[TableName]) {
        self.copies.retain(|name, _| tables.contains(name));
    }

    fn measure(&mut self, blocks: BTreeMap<TableName, u64>, is_whole: impl Fn(&TableName) -> bool) {
        for (table, blocks) in blocks {
            let figures = CopyFigures { blocks, ..CopyFigures::default() };
            match self.copies.get_mut(&table) {
                Some(copy) if copy.figures == CopyFigures::default() => copy.figures = figures,
                None if !self.has_begun && is_whole(&table) => {
                    let copy = Copy { figures: figures.complete(), is_complete: true, ..Copy::default() };
                    self.copies.insert(table, copy);
                }
                _ => {}
            }
        }
        self.has_begun = true;
    }

    pub(super) fn view(&self, now: Instant) -> CopiesView {
        let sum = self.copies.values().fold(CopyFigures::default(), |sum, copy| sum.add(&copy.figures));
        let active = self.copies.iter().filter(|(_, copy)| !copy.is_complete);
        CopiesView { sum, copies: active.map(|(table, copy)| copy.view(table, now)).collect() }
    }
}

impl Progress {
    /// These tables are copied from now on, each when its turn comes, and no others.
    pub fn copies_begin(&self, tables: &[TableName]) {
        lock(&self.copies).begin(tables);
    }

    /// Sizes of tables of the job: of those that wait for their turn, and of those that are complete from the start.
    pub fn copies_measured(&self, blocks: BTreeMap<TableName, u64>) {
        let is_whole = |table: &TableName| lock(&self.tables).of(table).whole;
        lock(&self.copies).measure(blocks, is_whole);
    }

    /// The copy of the table has come so far.
    pub fn copy_reached(&self, table: &TableName, figures: CopyFigures) {
        let now = Instant::now();
        self.copy(table, |copy| {
            copy.rate.note(now, figures);
            (copy.figures, copy.obstacle) = (figures, Cow::default());
        });
    }

    /// Sets the step at which the copy is; none when it is at no such step.
    pub fn copy_step(&self, table: &TableName, step: Option<CopyStep>) {
        let now = Instant::now();
        self.copy(table, |copy| copy.step = step.map(|step| (step, now)));
    }

    /// No chunk of the table is copied until this is over.
    pub fn copy_waits(&self, table: &TableName, obstacle: impl Into<Cow<'static, str>>) {
        self.copy(table, |copy| (copy.step, copy.obstacle) = (None, obstacle.into()));
    }

    /// The target has every row, which the table's progress tells from now on.
    pub fn copy_complete(&self, table: &TableName) {
        self.table_whole(table, true);
        self.copy(table, |copy| (copy.figures, copy.is_complete) = (copy.figures.complete(), true));
    }

    pub fn copies_view(&self) -> CopiesView {
        lock(&self.copies).view(Instant::now())
    }

    fn copy(&self, table: &TableName, change: impl FnOnce(&mut Copy)) {
        if let Some(copy) = lock(&self.copies).copies.get_mut(table) {
            change(copy);
        }
    }
}

#[cfg(test)]
mod tests;
