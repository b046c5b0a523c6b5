//! The checkpoint: how far a slot is loaded, in a row of `dbmazz_checkpoints` that each step writes in its own
//! transaction. So everything before its position is in the tables, and nothing after it.

use std::time::SystemTime;

use crds::Reason;

use crate::{
    config::SinkConfig,
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::Batch,
    starrocks::{
        bookkeeping::own_table::{OwnRows, own_table, short_text},
        sql::{Session, SqlError, literal, quoted},
    },
    table::Table,
};

/// The table of checkpoints, in the target database.
pub(in crate::starrocks) const CHECKPOINTS: &str = "dbmazz_checkpoints";

/// The checkpoint of one slot.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    slot: String,
    job: String,
    table: Table,
}

impl Checkpoint {
    /// `slot` is the key of the slot's claim.
    pub(in crate::starrocks) fn new(slot: String, job: &str) -> Self {
        Self { slot, job: job.to_owned(), table: table() }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// The row, as a batch to load.
    pub(in crate::starrocks) fn batch(&self, reached: Lsn) -> Option<Batch> {
        let mut rows = OwnRows::of(table());
        rows.put(&[&self.slot, &self.job, &reached.to_string()], reached)?;
        rows.batch(SystemTime::now())
    }

    /// The position before which every transaction of the source is in the tables, and after which none is; none when
    /// no step was ever loaded.
    pub(in crate::starrocks) async fn read(&self, config: &SinkConfig) -> Result<Option<Lsn>, Fault> {
        let text = self.text(config).await.map_err(|error| error.of_reading(CHECKPOINTS))?;
        text.map(|text| text.parse().map_err(|_| self.illegible())).transpose()
    }

    async fn text(&self, config: &SinkConfig) -> Result<Option<String>, SqlError> {
        let mut session = Session::open(config).await?;
        let (database, table, slot) = (quoted(&config.database), quoted(CHECKPOINTS), literal(&self.slot));
        let select = format!("SELECT `lsn` FROM {database}.{table} WHERE `slot` = {slot}");
        let found = session.run(&select, "read the checkpoint of the slot").await;
        session.close().await;
        Ok(found?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Retried and never ignored: without the position, transactions would be applied twice.
    fn illegible(&self) -> Fault {
        Fault::retry(
            Part::Sink,
            Reason::TargetIncompatible,
            format!("the row of slot {} in {CHECKPOINTS} contains no valid position", self.slot),
            format!(
                "restore the position that the worker wrote there; or run DELETE FROM `{CHECKPOINTS}` WHERE `slot` = '{}' in \
                 the target database and take the job's tables anew",
                self.slot
            ),
        )
    }
}

/// The definition of the table of checkpoints.
pub(in crate::starrocks) fn table() -> Table {
    own_table(CHECKPOINTS, vec![short_text("slot", 32), short_text("job", 512), short_text("lsn", 32)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Value;

    #[test]
    fn a_checkpoint_is_one_row_that_tells_the_position() {
        let checkpoint = Checkpoint::new("1-s".to_owned(), "job");
        let batch = checkpoint.batch(Lsn(0x1_0000_0007)).unwrap();
        let rows: Vec<Vec<_>> = batch.rows().map(|row| row.values.values().collect()).collect();
        assert_eq!(rows, [[Value::Text(b"1-s"), Value::Text(b"job"), Value::Text(b"1/7")]]);
        assert_eq!("1/7".parse(), Ok(Lsn(0x1_0000_0007)));
    }
}
