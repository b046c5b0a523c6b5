//! Writes the schema histories of targets before the first load into them, and finds jobs that have written one for the
//! same target.

use std::time::SystemTime;

use tokio::time::{Instant, sleep};

use super::Loader;
use crate::{
    fault::Fault,
    pipeline::Load,
    schema_history::{Owner, SchemaHistory},
    starrocks::{
        bookkeeping::{
            owners::{self, Claimant, LONGEST_WRITE, Rival, SETTLING},
            schema_histories,
        },
        schema::Targets,
        sql::Session,
    },
    table::{Table, TableId},
};

/// After so many slow writes the last one counts; a rival that it missed is found by the halt watch.
const MOST_WRITES: u32 = 5;

impl Loader {
    /// Writes the histories that differ from the stored ones. Called before the first load. Returns the tables whose
    /// target another job has begun meanwhile.
    pub async fn keep_all(
        &self,
        targets: &Targets,
        tables: &[Table],
    ) -> Result<Vec<(TableId, Fault)>, Fault> {
        self.beginnings().clone_from(&targets.beginnings);
        let (mut begun, mut owned) = (Vec::new(), Vec::new());
        for table in tables.iter().filter(|table| targets.unkept.contains(&table.id)) {
            let Some(history) = targets.history(table.id).cloned() else { continue };
            let begins = SchemaHistory { request: None, ..history.clone() };
            let owner = self.keep_owned(table, &begins).await?;
            if owner.is_none() || history.request.is_some() {
                let owner = owner.clone().or_else(|| history.owner.clone());
                owned.push((table.target.clone(), SchemaHistory { owner, ..history }));
            }
            begun.extend(owner.map(|owner| (table, owner)));
        }
        // In one load, so that a request is recorded for all of its tables or for none.
        owned.extend(targets.left.iter().cloned());
        self.keep_together(&owned).await?;
        self.shared_meanwhile(&begun).await
    }

    /// The same for one table.
    pub(crate) async fn keep_begun(&self, table: &Table, history: &SchemaHistory) -> Result<(), Fault> {
        let Some(owner) = self.keep_owned(table, history).await? else {
            return self.keep(&table.target, history).await;
        };
        let mut shared = self.shared_meanwhile(&[(table, owner)]).await?;
        shared.pop().map_or(Ok(()), |(_, fault)| Err(fault))
    }

    async fn keep_together(&self, histories: &[(String, SchemaHistory)]) -> Result<(), Fault> {
        match schema_histories::batch_of(&self.job, histories, SystemTime::now()) {
            Some(batch) => self.load(&batch).await.map(drop),
            None => Ok(()),
        }
    }

    /// If the history has no owner, this job becomes the owner from now on: the history is written, and the owner returned.
    async fn keep_owned(&self, table: &Table, history: &SchemaHistory) -> Result<Option<Owner>, Fault> {
        let claimant = self.claimant.as_ref().filter(|_| history.owner.is_none());
        let Some(claimant) = claimant else { return Ok(None) };
        let mut writes = 0;
        loop {
            let (owner, began) = (claimant.beginning_now(), Instant::now());
            self.keep(&table.target, &SchemaHistory { owner: Some(owner.clone()), ..history.clone() })
                .await?;
            writes += 1;
            if began.elapsed() < LONGEST_WRITE || writes == MOST_WRITES {
                return Ok(Some(owner));
            }
        }
    }

    /// Of the tables that this job has just begun, those whose target another job began earlier.
    async fn shared_meanwhile(&self, begun: &[(&Table, Owner)]) -> Result<Vec<(TableId, Fault)>, Fault> {
        let claimant = self.claimant.as_ref().filter(|_| !begun.is_empty());
        let Some(claimant) = claimant else { return Ok(Vec::new()) };
        let mut session = Session::open(&self.sink).await.map_err(|error| error.fault())?;
        let rivals = self.rivals(&mut session, claimant, begun).await;
        session.close().await;
        let rivals = rivals?;
        let shared = |(table, owner): &(&Table, Owner)| {
            owners::shared(table, Some(owner), &rivals).map(|fault| (table.id, fault))
        };
        Ok(begun.iter().filter_map(shared).collect())
    }

    async fn rivals(
        &self,
        session: &mut Session,
        claimant: &Claimant,
        begun: &[(&Table, Owner)],
    ) -> Result<Vec<Rival>, Fault> {
        // A job writes its claim before it begins a target. Where there is no other claim, a later job sees this one.
        if owners::claims(session, &self.sink, claimant).await?.is_empty() {
            return Ok(Vec::new());
        }
        sleep(SETTLING).await;
        let targets: Vec<_> = begun.iter().map(|(table, _)| table.target.as_str()).collect();
        owners::find(session, &self.sink, claimant, &targets).await
    }
}
