//! The load grant: what fencing gives to a worker that may load.

use super::super::{
    bookkeeping::checkpoint::Checkpoint, load::loader::Loader, schema::Targets,
    transaction::TransactionLoader,
};
use crate::{
    fault::Fault,
    lsn::Lsn,
    table::{Table, TableId},
};

/// Permission to load for a slot, with the loader that does it.
#[derive(Debug)]
pub struct LoadGrant {
    pub(crate) loader: Loader,
    pub(crate) checkpoint: Checkpoint,
    /// Everything before this position is in StarRocks.
    pub reached: Lsn,
}

impl LoadGrant {
    /// Writes the schema histories of the targets; returns the tables whose target another job has begun meanwhile.
    pub async fn keep_all(
        &self,
        targets: &Targets,
        tables: &[Table],
    ) -> Result<Vec<(TableId, Fault)>, Fault> {
        self.loader.keep_all(targets, tables).await
    }

    /// Loads each table by itself.
    pub fn loader(self) -> Loader {
        self.loader
    }

    /// Loads all tables in one transaction; `buffer` is the size in bytes of the pipeline's buffer.
    pub fn transaction_loader(self, buffer: usize) -> TransactionLoader {
        TransactionLoader::new(self.loader, self.checkpoint).with_buffer(buffer)
    }
}
