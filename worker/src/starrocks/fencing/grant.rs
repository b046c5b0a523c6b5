//! The right to load, and what is loaded with.

use super::super::{
    load::loader::Loader,
    schema::Targets,
    transaction::{TransactionLoader, checkpoint::Checkpoint},
};
use crate::{
    fault::Fault,
    lsn::Lsn,
    table::{Table, TableId},
};

/// The right to load.
#[derive(Debug)]
pub struct LoadGrant {
    pub(crate) loader: Loader,
    pub(crate) checkpoint: Checkpoint,
    /// Everything before this is in StarRocks.
    pub reached: Lsn,
}

impl LoadGrant {
    /// Notes what was found of the targets; gives the tables that another job began meanwhile.
    pub async fn keep_all(
        &self,
        targets: &Targets,
        tables: &[Table],
    ) -> Result<Vec<(TableId, Fault)>, Fault> {
        self.loader.keep_all(targets, tables).await
    }

    /// To load each table by itself.
    pub fn loader(self) -> Loader {
        self.loader
    }

    /// To load all tables in one step, where so many bytes of changes gather.
    pub fn together(self, buffer: usize) -> TransactionLoader {
        TransactionLoader::new(self.loader, self.checkpoint).with_buffer(buffer)
    }
}
