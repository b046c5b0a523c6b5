//! Records in a table's schema history how far the copy of its existing rows has come.

use std::sync::Arc;

use super::Loader;
use crate::{
    fault::{Fault, Part},
    pipeline::{Batch, Doubt, RecordCopy},
    schema_history::{CopyState, SchemaHistory},
    starrocks::{bookkeeping::schema_histories, doubtful},
    table::Table,
};

impl RecordCopy for Loader {
    async fn record_copy(&self, table: &Table, state: &CopyState) -> Result<(), Fault> {
        let copy = Some(state.clone());
        self.record(table, |history| SchemaHistory { copy, whole: Some(false), ..history }).await
    }

    async fn record_whole(&self, table: &Table) -> Result<(), Fault> {
        self.record(table, |history| SchemaHistory { copy: None, whole: Some(true), ..history }).await
    }

    async fn doubtful(&self, table: &Arc<Table>, doubt: Doubt) -> Result<Option<Batch>, Fault> {
        self.still_permitted().await;
        doubtful::find(&self.sink, table, doubt).await
    }
}

impl Loader {
    /// Changes the history. A barrier of the table excludes its reshapes and truncates, which change it too.
    async fn record(
        &self,
        table: &Table,
        change: impl FnOnce(SchemaHistory) -> SchemaHistory,
    ) -> Result<(), Fault> {
        self.still_permitted().await;
        match schema_histories::kept_of(&self.sink, &self.job, table).await? {
            Some(history) => self.keep(&table.target, &change(history)).await,
            None => Err(without_history(table)),
        }
    }
}

fn without_history(table: &Table) -> Fault {
    let message =
        format!("dbmazz_tables has no row of {} any more, so its copy cannot be continued", table.target);
    let fix = "nothing: the job notices within seconds that its row was deleted, and begins the table anew";
    Fault::retry(Part::Table(table.name.clone()), crds::Reason::TargetLost, message, fix)
}
