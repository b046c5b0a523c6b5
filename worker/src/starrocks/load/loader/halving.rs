//! Finds the rows that StarRocks refuses, by halving the batch until each is alone. By the job's policy a refused row
//! halts the table or becomes a dead letter; none is ever skipped silently.
//!
//! The halves that StarRocks accepts are loaded during the search: no key is in two of them, so their order does not
//! matter. The batch counts as durable only after the dead letters of its refused rows are durable. If the worker is
//! killed in between, the whole batch is read again, and gives the same rows and the same dead letters.
//!
//! A dead letter keeps its place in the order of changes of its key: a later change with the whole row is loaded and
//! resolves the dead letter; a later change with only some columns becomes a dead letter as well.

use std::time::SystemTime;

use crds::Reason;
use tracing::{info, warn};

use crate::{
    config::{OnRefusedRow, Values},
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, Loaded},
    starrocks::{
        dead_letter::row::{self, Refused},
        load::loader::{Failure, Loader},
    },
    table::Table,
};

/// More refused rows than this in one batch mean that the target is wrong, not the rows.
const MOST_REFUSED: usize = 100;

impl Loader {
    /// Loads the rows that StarRocks accepts of a batch that it refused, and treats the others by the job's policy.
    pub(crate) async fn isolate_refused(&self, batch: &Batch, fault: Fault) -> Result<Loaded, Fault> {
        let (mut parts, mut refused) = (Vec::new(), Vec::new());
        self.divide(batch, fault, &mut parts, &mut refused)?;
        self.load_parts(batch.table(), parts, refused).await
    }

    /// Loads a batch of a table that has dead letters. A change with only some columns of such a row becomes a dead letter
    /// too.
    pub(crate) async fn load_beside_dead_letters(&self, batch: &Batch) -> Result<Loaded, Fault> {
        self.load_parts(batch.table(), vec![batch.clone()], Vec::new()).await
    }

    async fn load_parts(
        &self,
        table: &Table,
        mut parts: Vec<Batch>,
        mut refused: Vec<Refused>,
    ) -> Result<Loaded, Fault> {
        let (mut loaded, mut resolved) = (Loaded::default(), Vec::new());
        while let Some(part) = parts.pop() {
            if self.dead_letters.is_partly_changed_by(&part) {
                self.divide(&part, partial_change(table), &mut parts, &mut refused)?;
                continue;
            }
            match self.load_whole(&part, self.sink.values).await {
                Ok(more) => {
                    loaded = Loaded { rows: loaded.rows + more.rows, bytes: loaded.bytes + more.bytes };
                    resolved.extend(self.dead_letters.resolve(&part));
                }
                Err(Failure::Table(fault)) => return Err(fault),
                Err(Failure::Rows(fault)) => self.divide(&part, fault, &mut parts, &mut refused)?,
            }
        }
        self.store_dead_letters(table, &refused).await?;
        self.resolve_dead_letters(table, row::resolved(&resolved, SystemTime::now())).await?;
        Ok(loaded)
    }

    /// Marks the dead letters of rows that have been loaded since.
    async fn resolve_dead_letters(&self, table: &Table, resolved: Option<Batch>) -> Result<(), Fault> {
        let Some(resolved) = resolved else { return Ok(()) };
        self.load_whole(&resolved, Values::default()).await.map_err(|failure| not_stored(table, failure))?;
        info!(table = %table.name, rows = resolved.row_count(), "dead letters resolved");
        Ok(())
    }

    /// Splits a refused batch into halves; a single row is a refused row.
    fn divide(
        &self,
        batch: &Batch,
        fault: Fault,
        parts: &mut Vec<Batch>,
        refused: &mut Vec<Refused>,
    ) -> Result<(), Fault> {
        match batch.halves() {
            Some(halves) => parts.extend(halves),
            None if self.sink.on_refused_row == OnRefusedRow::Halt => return Err(halted(batch, fault)),
            None if refused.len() == MOST_REFUSED => return Err(too_many(batch.table(), &fault)),
            None => refused.push(self.refused(batch, &fault)),
        }
        Ok(())
    }

    fn refused(&self, row: &Batch, fault: &Fault) -> Refused {
        Refused::new(row, self.sink.deletes, self.sink.values, fault.message.clone())
    }

    async fn store_dead_letters(&self, table: &Table, refused: &[Refused]) -> Result<(), Fault> {
        let Some(batch) = row::dead_letters(&self.job, table, refused) else { return Ok(()) };
        // With the default rules for values, because the job's rules could alter what a dead letter contains.
        self.load_whole(&batch, Values::default()).await.map_err(|failure| not_stored(table, failure))?;
        let name = table.name.to_string();
        refused.iter().for_each(|row| self.dead_letters.add(&name, &row.key, row::id(&self.job, table, row)));
        self.progress.dead_letters_stored(&table.name, refused.len() as u64);
        warn!(table = %table.name, rows = refused.len(), "refused rows stored as dead letters");
        Ok(())
    }
}

fn partial_change(table: &Table) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::RowsRefused,
        "StarRocks refused an earlier change of this row, and this change has only some of its columns",
        "change the whole row at the source",
    )
}

fn halted(row: &Batch, fault: Fault) -> Fault {
    let lsn = row.rows().next().map_or(Lsn(0), |row| row.version);
    let message = format!("{} (a row of {}, committed at {lsn})", fault.message, row.table().name);
    let fix = format!("{}; or set sink.starrocks.onRefusedRow to DeadLetter to park such rows", fault.fix);
    Fault { message, fix, ..fault }
}

fn too_many(table: &Table, fault: &Fault) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::RowsRefused,
        format!("StarRocks refused more than {MOST_REFUSED} rows of one load: {}", fault.message),
        "look at the columns of the target table: they may be narrower than those of the source",
    )
}

fn not_stored(table: &Table, failure: Failure) -> Fault {
    let (Failure::Rows(fault) | Failure::Table(fault)) = failure;
    Fault {
        part: Part::Table(table.name.clone()),
        message: format!("the dead letters of {} could not be written: {}", table.name, fault.message),
        ..fault
    }
}
