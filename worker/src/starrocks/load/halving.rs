//! Rows that StarRocks refuses: found by halving the batch until they stand alone, then halting the table
//! or parked, by the job's policy. None is ever left out in silence.
//!
//! The halves that StarRocks takes are loaded on the way: no key is in two of them, so their order means
//! nothing. The batch as a whole counts as durable only after its refused rows are parked durably. If the
//! worker dies in between, the whole batch comes again, and both the rows and their letters are the same.
//!
//! A row that is parked keeps its place in the order of its key: a later change that carries the whole row is
//! loaded and answers the letter; one that carries a part of it only is parked behind it.

use std::time::SystemTime;

use crds::Reason;
use tracing::{info, warn};

use crate::{
    config::{OnRefusedRow, Values},
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, Loaded},
    starrocks::{
        dead_letter::row::{self, Refused, letters},
        load::loader::{Failure, Loader},
    },
    table::Table,
};

/// More refused rows in one batch are no rows gone wrong: the target is.
const MOST_REFUSED: usize = 100;

impl Loader {
    /// Loads what StarRocks takes of a batch that it refused, and deals with the rest.
    pub(crate) async fn sift(&self, batch: &Batch, fault: Fault) -> Result<Loaded, Fault> {
        let (mut parts, mut refused) = (Vec::new(), Vec::new());
        self.divide(batch, fault, &mut parts, &mut refused)?;
        self.load_parts(batch.table(), parts, refused).await
    }

    /// Loads a batch of a table of which rows are parked: what would make half a row of one is parked, too.
    pub(crate) async fn load_beside_parked(&self, batch: &Batch) -> Result<Loaded, Fault> {
        self.load_parts(batch.table(), vec![batch.clone()], Vec::new()).await
    }

    async fn load_parts(
        &self,
        table: &Table,
        mut parts: Vec<Batch>,
        mut refused: Vec<Refused>,
    ) -> Result<Loaded, Fault> {
        let (mut loaded, mut answered) = (Loaded::default(), Vec::new());
        while let Some(part) = parts.pop() {
            if self.dead_letters.is_halved_by(&part) {
                self.divide(&part, halved(table), &mut parts, &mut refused)?;
                continue;
            }
            match self.load_whole(&part, self.sink.values).await {
                Ok(more) => {
                    loaded = Loaded { rows: loaded.rows + more.rows, bytes: loaded.bytes + more.bytes };
                    answered.extend(self.dead_letters.heal(&part));
                }
                Err(Failure::Table(fault)) => return Err(fault),
                Err(Failure::Rows(fault)) => self.divide(&part, fault, &mut parts, &mut refused)?,
            }
        }
        self.park(table, &refused).await?;
        self.answer(table, row::answered(&answered, SystemTime::now())).await?;
        Ok(loaded)
    }

    /// Marks letters whose rows have arrived since.
    async fn answer(&self, table: &Table, letters: Option<Batch>) -> Result<(), Fault> {
        let Some(letters) = letters else { return Ok(()) };
        self.load_whole(&letters, Values::default()).await.map_err(|failure| not_parked(table, failure))?;
        info!(table = %table.name, rows = letters.row_count(), "rows that were parked have arrived since");
        Ok(())
    }

    /// The halves of a refused batch; a single row is what was looked for.
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

    async fn park(&self, table: &Table, refused: &[Refused]) -> Result<(), Fault> {
        let Some(letters) = letters(&self.job, table, refused) else { return Ok(()) };
        // A letter is whole or it is none: the rules for other tables do not hold for it.
        self.load_whole(&letters, Values::default()).await.map_err(|failure| not_parked(table, failure))?;
        let name = table.name.to_string();
        refused.iter().for_each(|row| self.dead_letters.add(&name, &row.key, row::id(&self.job, table, row)));
        self.progress.rows_parked(&table.name, refused.len() as u64);
        warn!(table = %table.name, rows = refused.len(), "StarRocks refused rows; they are parked as dead letters");
        Ok(())
    }
}

fn halved(table: &Table) -> Fault {
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::RowsRefused,
        "StarRocks refused an earlier change of this row, and this one carries a part of it only",
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

fn not_parked(table: &Table, failure: Failure) -> Fault {
    let (Failure::Rows(fault) | Failure::Table(fault)) = failure;
    Fault {
        part: Part::Table(table.name.clone()),
        message: format!("a row of {} was refused and could not be parked: {}", table.name, fault.message),
        ..fault
    }
}
