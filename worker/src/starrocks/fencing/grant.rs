//! The load grant: what fencing gives to a worker that may load, and when it gives it.

use std::{path::Path, sync::Arc};

use super::{
    Fencing,
    holder::{ClaimHolder, Position},
    predecessor::{self, Wait},
};
use crate::{
    config::{Consistency, OnRefusedRow},
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::Load,
    starrocks::{
        bookkeeping::{
            checkpoint::Checkpoint,
            claim::{CLAIMS, Claim, SlotIdentity, Standing, new_moment},
        },
        dead_letter::table::DeadLetters,
        load::{
            journal::{Journal, in_use, unusable},
            loader::Loader,
        },
        schema::Targets,
        transaction::TransactionLoader,
    },
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

impl Fencing {
    pub(super) async fn try_once(
        &mut self,
        slot: &SlotIdentity,
        position: Position,
        wait: &mut Wait,
    ) -> Result<(Arc<Journal>, DeadLetters, Lsn), Fault> {
        let (journal, reached) = self.acquire(slot, position, wait).await?;
        let dead_letters = match self.sink.on_refused_row {
            OnRefusedRow::DeadLetter => {
                DeadLetters::find(&self.sink, &self.job).await.map_err(|error| error.fault())?
            }
            OnRefusedRow::Halt => DeadLetters::default(),
        };
        Ok((journal, dead_letters, reached))
    }

    /// Returns the journal, and the position before which everything is in StarRocks.
    async fn acquire(
        &mut self,
        slot: &SlotIdentity,
        position: Position,
        wait: &mut Wait,
    ) -> Result<(Arc<Journal>, Lsn), Fault> {
        let again = match &self.held {
            Some(held) if self.is_ours(held).await? => Some(held.again(position)),
            _ => None,
        };
        match again {
            Some(again) => self.go_on(again, position).await,
            None => self.begin(slot, position, wait).await,
        }
    }

    /// Whether the claim of `held` is still the last one of its slot.
    pub(super) async fn is_ours(&self, held: &ClaimHolder) -> Result<bool, Fault> {
        let claim = Claim::find(&self.sink, &held.slot).await.map_err(|error| error.of_reading(CLAIMS))?;
        Ok(claim.is_some_and(|claim| claim.moment == held.moment))
    }

    /// Continues a grant that no other worker has taken over. The claim is written again only when the timeline has
    /// changed; `held` is stored only after that, so that a failed attempt writes it again.
    pub(super) async fn go_on(
        &mut self,
        mut held: ClaimHolder,
        position: Position,
    ) -> Result<(Arc<Journal>, Lsn), Fault> {
        let journal = Arc::clone(&held.journal);
        predecessor::settle(&self.sink, &journal).await?;
        if self.timeline() != Some(held.position.timeline) {
            held.moment = new_moment();
            self.claim(&held, Standing::Loading).await?;
        }
        let reached = self.checkpoint(&held.slot, position, false, &journal).await?;
        self.held = Some(held);
        Ok((journal, reached))
    }

    async fn begin(
        &mut self,
        slot: &SlotIdentity,
        position: Position,
        wait: &mut Wait,
    ) -> Result<(Arc<Journal>, Lsn), Fault> {
        let journal = self.journal(slot)?;
        predecessor::settle(&self.sink, &journal).await?;
        let claim = Claim::find(&self.sink, slot).await.map_err(|error| error.fault())?;
        if claim.as_ref().is_some_and(|claim| predecessor::may_be_loading(claim, journal.name())) {
            wait.out(slot, &self.progress).await;
        }
        let is_anew = |claim: Claim| matches!(claim.standing, Standing::Released | Standing::Lost);
        let anew = claim.is_none_or(is_anew);
        let reached = self.checkpoint(slot, position, anew, &journal).await?;
        // Before the claim, because a successor relies on the journal that the claim names.
        journal.durable(position.durable).map_err(|error| unusable(&error, Part::Sink))?;
        // Before the claim too: with it the slot counts as continued.
        if let Some(histories) = self.before_claim.clone() {
            self.loader(&journal).load(&histories).await?;
            self.before_claim = None;
        }
        let (slot, moment) = (slot.clone(), new_moment());
        let held = ClaimHolder { slot, journal: Arc::clone(&journal), position, drained: false, moment };
        self.claim(&held, Standing::Loading).await?;
        self.held = Some(held);
        self.wins += 1;
        Ok((journal, reached))
    }

    /// Ends the loads of the slot's last worker, or waits until none of them can commit any more.
    pub(super) async fn end_predecessor(&mut self, slot: &SlotIdentity) -> Result<(), Fault> {
        let journal = self.journal(slot)?;
        predecessor::settle(&self.sink, &journal).await?;
        let claim = Claim::find(&self.sink, slot).await.map_err(|error| error.of_reading(CLAIMS))?;
        if claim.as_ref().is_some_and(|claim| predecessor::may_be_loading(claim, journal.name())) {
            Wait::default().out(slot, &self.progress).await;
        }
        Ok(())
    }

    /// How far transactions are committed beyond the slot's position. `anew` means that the checkpoint is of an earlier
    /// slot with this name and does not count.
    pub(super) async fn checkpoint(
        &self,
        slot: &SlotIdentity,
        position: Position,
        anew: bool,
        journal: &Arc<Journal>,
    ) -> Result<Lsn, Fault> {
        if self.sink.consistency == Consistency::Row {
            return Ok(position.durable);
        }
        let checkpoint = Checkpoint::new(slot.key(), &self.job);
        let known = checkpoint.read(&self.sink).await?;
        if anew
            && known.is_some()
            && let Some(batch) = checkpoint.batch(position.durable)
        {
            self.loader(journal).load(&batch).await?;
            return Ok(position.durable);
        }
        Ok(known.map_or(position.durable, |known| known.max(position.durable)))
    }

    /// Opens the journal anew, because another worker may have written to the same directory meanwhile.
    fn journal(&mut self, slot: &SlotIdentity) -> Result<Arc<Journal>, Fault> {
        let Some(directory) = &self.state_directory else { return Ok(Arc::clone(&self.in_memory)) };
        let directory = directory.join(slot.key());
        self.lock(&directory)?;
        let journal = Journal::open(&directory);
        journal.map(Arc::new).map_err(|error| unusable(&error, Part::Sink))
    }

    fn lock(&mut self, directory: &Path) -> Result<(), Fault> {
        if self.lock.as_ref().is_some_and(|(locked, _)| locked == directory) {
            return Ok(());
        }
        let lock = Journal::lock(directory).map_err(|error| unusable(&error, Part::Sink))?;
        let lock = lock.ok_or_else(|| in_use(directory))?;
        self.lock = Some((directory.to_owned(), lock));
        Ok(())
    }
}
