//! Fencing: at most one worker of a job loads for a slot, and it loads only when no load of a predecessor can still commit.
//!
//! ```text
//! claim of the slot ─┬─ none, or ended in order ─────────────────────┐
//!                    ├─ names our journal ─► end its labels ─────────┼─► our claim ─► loads
//!                    └─ names another ─► wait until none can commit ─┘
//! ```
//!
//! This worker has the slot by then: a predecessor begins no load when its lease has expired. A load that it began may
//! still commit, and would overwrite newer rows with older ones. A label in the journal is cancelled, or waited for,
//! within milliseconds. Where the predecessor's journal is on another machine, the worker waits until its loads have
//! timed out, unless the claim says that it shut down in order.
//!
//! Whenever this worker gets the slot again it reads the claim again: another worker may have had the slot in between,
//! and is then the predecessor.

pub(crate) mod grant;
pub(crate) mod holder;
pub(crate) mod predecessor;
mod prior_run;

use std::{
    fs::File,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::{sleep, timeout};
use tracing::warn;

use self::{
    grant::LoadGrant,
    holder::{ClaimHolder, Position, Tenure},
    predecessor::Wait,
};
use crate::{
    backoff::Backoff,
    config::SinkConfig,
    fault::{Fault, Part},
    lsn::Lsn,
    pipeline::{Batch, Load},
    progress::Progress,
    schema_history::SchemaHistory,
    slot_lease::LoadPermit,
    starrocks::{
        bookkeeping::{
            checkpoint::Checkpoint,
            claim::{Claim, SlotIdentity, Standing, new_moment},
            owners::Claimant,
            schema_histories,
        },
        load::{
            journal::{Journal, unusable},
            loader::Loader,
        },
    },
};

/// Time limit for the last claim at shutdown.
const LAST_CLAIM_TIMEOUT: Duration = Duration::from_secs(10);

/// Grants loading for a slot, and keeps the claim while it is granted.
#[derive(Debug)]
pub struct Fencing {
    sink: SinkConfig,
    job: String,
    /// Contains a journal directory for each slot.
    state_directory: Option<PathBuf>,
    progress: Arc<Progress>,
    held: Option<ClaimHolder>,
    wins: u64,
    /// The locked journal directory, and its lock file.
    lock: Option<(PathBuf, File)>,
    /// The journal where there is no state directory.
    in_memory: Arc<Journal>,
    /// Required for every load, claims included.
    permit: Option<LoadPermit>,
    /// Histories that have to be stored before the slot is claimed.
    before_claim: Option<Batch>,
}

impl Fencing {
    pub fn new(
        sink: SinkConfig,
        job: String,
        state_directory: Option<PathBuf>,
        progress: Arc<Progress>,
    ) -> Self {
        let in_memory = Arc::new(Journal::in_memory());
        let (held, lock, permit, wins) = (None, None, None, 0);
        Self { sink, job, state_directory, progress, held, wins, lock, in_memory, permit, before_claim: None }
    }

    /// From now on nothing is loaded without this permit.
    pub fn load_by(&mut self, permit: LoadPermit) {
        self.permit = Some(permit);
    }

    /// Sets the histories that have to be stored before the slot is claimed: those of tables that are taken anew because
    /// the slot that was claimed before is lost.
    pub fn store_before_claim(&mut self, histories: &[(String, SchemaHistory)]) {
        self.before_claim = schema_histories::batch_of(&self.job, histories, SystemTime::now());
    }

    /// Grants loading when no load of another worker can commit any more; retries without limit. The caller drops the
    /// future and calls again when the slot is lost meanwhile, because another worker may load then.
    pub async fn run(&mut self, slot: SlotIdentity, position: Position) -> LoadGrant {
        if self.held.as_ref().is_some_and(|held| held.slot != slot) {
            self.held = None;
        }
        let (mut attempt, mut wait) = (0, Wait::default());
        let (journal, dead_letters, reached) = loop {
            let fault = match self.try_once(&slot, position, &mut wait).await {
                Ok(ready) => break ready,
                Err(fault) => fault,
            };
            if self.progress.raise(fault.clone()) {
                warn!(slot = %slot.slot, reason = %fault.reason, error = %fault.message, "could not claim the slot, retrying");
            }
            attempt += 1;
            sleep(Backoff::USUAL.wait(attempt, &slot.slot)).await;
        };
        if attempt > 0 {
            self.progress.clear(&Part::Sink);
        }
        let claimant = Claimant { job: self.job.clone(), slot: slot.clone() };
        let loader = self.loader(&journal).with_dead_letters(dead_letters).owning(claimant);
        LoadGrant { loader, checkpoint: Checkpoint::new(slot.key(), &self.job), reached }
    }

    /// Records `durable` in the journal. Only then may it be confirmed to PostgreSQL, so that a successor knows of it.
    pub async fn reached(&mut self, durable: Lsn) {
        let Some(held) = &mut self.held else { return };
        let mut attempt = 0;
        while let Err(error) = held.journal.durable(durable) {
            attempt += 1;
            self.progress.raise(unusable(&error, Part::Job));
            sleep(Backoff::PERSON.wait(attempt, &held.slot.slot)).await;
        }
        if attempt > 0 {
            self.progress.clear(&Part::Job);
        }
        held.position.durable = durable;
    }

    /// Changes when another worker may have loaded in between.
    pub fn tenure(&self) -> Tenure {
        Tenure { wins: self.wins, timeline: self.timeline() }
    }

    /// The timeline that the claim records.
    pub fn timeline(&self) -> Option<u32> {
        Some(self.held.as_ref()?.position.timeline)
    }

    /// Whether no other worker has claimed the slot since this one did. Checked whenever the slot lock is acquired again.
    pub async fn is_unchallenged(&self) -> Result<bool, Fault> {
        match &self.held {
            Some(held) => self.is_ours(held).await,
            None => Ok(true),
        }
    }

    /// Records the timeline of a promoted server, from which the stream continues. The claim is written before any
    /// position of the new timeline is confirmed.
    pub async fn promoted(&mut self, timeline: u32) {
        let Some(held) = &mut self.held else { return };
        (held.position.timeline, held.moment) = (timeline, new_moment());
        // A load retries without limit, and the same load was possible before the promotion, so a failure here is rare.
        if let Some(held) = &self.held
            && let Err(fault) = self.claim(held, Standing::Loading).await
        {
            warn!(slot = %held.slot.slot, error = %fault, "could not record the server's new timeline in StarRocks");
        }
    }

    /// Everything received has been loaded: nothing was loaded beyond the position.
    pub fn drained(&mut self) {
        if let Some(held) = &mut self.held {
            held.drained = true;
        }
    }

    /// Writes the last claim, which says that no load is in flight, if that is so and no other worker can have claimed the
    /// slot. If this fails, a successor without our journal has to wait.
    pub async fn end(&mut self) {
        let Some(held) = &mut self.held else { return };
        if !held.journal.labels().is_empty() || !self.permit.as_ref().is_some_and(LoadPermit::is_granted) {
            return;
        }
        let last = std::mem::replace(&mut held.moment, new_moment());
        let Some(held) = &self.held else { return };
        let last_claim = async {
            let claim = Claim::find(&self.sink, &held.slot).await.map_err(|error| error.fault())?;
            let is_ours = claim.is_some_and(|claim| claim.moment == last);
            if is_ours { self.claim(held, held.standing_at_the_end()).await } else { Ok(()) }
        };
        if !matches!(timeout(LAST_CLAIM_TIMEOUT, last_claim).await, Ok(Ok(()))) {
            warn!(slot = %held.slot.slot, "could not record the shutdown in StarRocks");
        }
    }

    async fn claim(&self, held: &ClaimHolder, standing: Standing) -> Result<(), Fault> {
        self.write(&held.slot.key(), &held.claim(standing), &held.journal).await
    }

    async fn write(&self, key: &str, claim: &Claim, journal: &Arc<Journal>) -> Result<(), Fault> {
        match claim.batch(key, &self.job, SystemTime::now()) {
            Some(batch) => self.loader(journal).load(&batch).await.map(|_| ()),
            None => Ok(()),
        }
    }

    fn loader(&self, journal: &Arc<Journal>) -> Loader {
        let loader = Loader::new(&self.sink, &self.job, Arc::clone(&self.progress), Arc::clone(journal));
        match &self.permit {
            Some(permit) => loader.with_permit(permit.clone()),
            None => loader,
        }
    }
}

#[cfg(test)]
mod tests;
