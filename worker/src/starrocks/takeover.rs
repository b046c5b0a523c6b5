//! Nothing is loaded before every load of a predecessor has come to an end.
//!
//! ```text
//! claim of the slot ─┬─ none, or ended in order ─────────────────────┐
//!                    ├─ by a journal that is at hand ─► its labels ───┼─► our claim ─► loads
//!                    └─ by another ─► wait until none can commit ─────┘
//! ```
//!
//! The slot is ours by then: who held it before can begin no load any more. What it began may still
//! commit, and would put older rows over newer ones. A noted label is cancelled, or waited for, in
//! milliseconds. A predecessor whose notes are on another machine is waited out, unless it ended in order.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crds::Reason;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::{
    answer::Trouble,
    claim::{CLAIMS, Claim, SlotIdentity, Standing},
    journal::Journal,
    label::Label,
    load::{Frontend, LOAD_TIMEOUT},
    loader::Loader,
    parked::Parked,
    patience::Patience,
    schema::Targets,
    state::LoadState,
    together::{
        TogetherLoader,
        checkpoint::{CHECKPOINTS, Checkpoint},
    },
};
use crate::{
    config::{Consistency, OnRefusedRow, SinkConfig},
    fault::{Fault, Part},
    hold::{GRACE, Right},
    lsn::Lsn,
    past::Past,
    pipeline::Load,
    progress::Progress,
    table::Table,
};

/// StarRocks looks for loads that ran out of time so often.
const ABORTER: Duration = Duration::from_secs(30);
/// What passes until a worker knows that its connection is gone.
const NOTICED: Duration = Duration::from_secs(40);
/// After this no load of a lost worker can commit any more.
const WAIT: Duration =
    Duration::from_secs(GRACE.as_secs() + NOTICED.as_secs() + LOAD_TIMEOUT.as_secs() + ABORTER.as_secs());
/// To say that the job ended in order.
const FAREWELL: Duration = Duration::from_secs(10);

/// The right to load for a slot, as far as it has been won.
#[derive(Debug)]
pub struct Takeover {
    sink: SinkConfig,
    job: String,
    /// Under which there is a directory for each slot.
    state_directory: Option<PathBuf>,
    progress: Arc<Progress>,
    held: Option<Held>,
    waiting_until: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    slot: SlotIdentity,
    journal: Arc<Journal>,
    position: Position,
    /// Whether everything that was loaded is below the position.
    drained: bool,
}

impl Held {
    /// The right was won before, and is kept. Says whether the server is on another timeline.
    fn again(&mut self, position: Position) -> bool {
        let promoted = self.position.timeline != position.timeline;
        let durable = self.position.durable.max(position.durable);
        (self.position, self.drained) = (Position { durable, ..position }, false);
        promoted
    }
}

/// The right to load.
#[derive(Debug)]
pub struct Won {
    loader: Loader,
    checkpoint: Checkpoint,
    /// Everything before this is in StarRocks.
    pub reached: Lsn,
}

impl Won {
    #[must_use]
    pub fn with_right(self, right: Right) -> Self {
        Self { loader: self.loader.with_right(right), ..self }
    }

    /// Notes what was found of the targets.
    pub async fn keep_all(&self, targets: &Targets, tables: &[Table]) -> Result<(), Fault> {
        self.loader.keep_all(targets, tables).await
    }

    /// To load each table by itself.
    pub fn loader(self) -> Loader {
        self.loader
    }

    /// To load all tables in one step.
    pub fn together(self) -> TogetherLoader {
        TogetherLoader::new(self.loader, self.checkpoint)
    }
}

/// Where the stream of a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub timeline: u32,
    /// Everything before this is in StarRocks.
    pub durable: Lsn,
}

impl Takeover {
    pub fn new(
        sink: SinkConfig,
        job: String,
        state_directory: Option<PathBuf>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { sink, job, state_directory, progress, held: None, waiting_until: None }
    }

    /// What earlier workers of this job have left behind for slots of this name.
    pub async fn past(&self, slot: &str) -> Result<Vec<Past>, Fault> {
        let claims = Claim::of_job(&self.sink, &self.job).await.map_err(|error| error.of_reading(CLAIMS))?;
        let notes = self.state_directory.as_deref();
        Ok(claims.iter().filter_map(|(key, claim)| claim.past(key, slot, notes)).collect())
    }

    /// The slot is dropped on request: its past counts no more.
    pub async fn release(&self, slot: &str) -> Result<(), Fault> {
        let claims = Claim::of_job(&self.sink, &self.job).await.map_err(|error| error.of_reading(CLAIMS))?;
        let past = claims.into_iter().filter(|(key, claim)| claim.past(key, slot, None).is_some());
        for (key, claim) in past {
            let released = Claim { standing: Standing::Released, ..claim };
            self.write(&key, &released, &Arc::new(Journal::in_memory())).await?;
        }
        Ok(())
    }

    /// Gives the right to load when no load but its own can commit any more. Tries again, however long it takes.
    pub async fn run(&mut self, slot: SlotIdentity, position: Position) -> Won {
        if self.held.as_ref().is_some_and(|held| held.slot != slot) {
            (self.held, self.waiting_until) = (None, None);
        }
        let mut attempt = 0;
        let (journal, parked, reached) = loop {
            let fault = match self.try_once(&slot, position).await {
                Ok(ready) => break ready,
                Err(fault) => fault,
            };
            if self.progress.raise(fault.clone()) {
                warn!(slot = %slot.slot, reason = %fault.reason, "cannot take over yet: {}", fault.message);
            }
            attempt += 1;
            sleep(Patience::USUAL.wait(attempt, &slot.slot)).await;
        };
        if attempt > 0 {
            self.progress.clear(&Part::Sink);
        }
        let loader = self.loader(&journal).with_parked(parked);
        Won { loader, checkpoint: Checkpoint::new(slot.key(), &self.job), reached }
    }

    /// PostgreSQL is told `durable` after this: not before a successor would know of it.
    pub async fn reached(&mut self, durable: Lsn) {
        let Some(held) = &mut self.held else { return };
        let mut attempt = 0;
        while let Err(error) = held.journal.durable(durable) {
            attempt += 1;
            self.progress.raise(Fault { part: Part::Job, ..unusable(&error) });
            sleep(Patience::PERSON.wait(attempt, &held.slot.slot)).await;
        }
        if attempt > 0 {
            self.progress.clear(&Part::Job);
        }
        held.position.durable = durable;
    }

    /// The timeline that the claim speaks of.
    pub fn timeline(&self) -> Option<u32> {
        Some(self.held.as_ref()?.position.timeline)
    }

    /// The stream goes on with a server that was promoted. Said in StarRocks before anything of it is confirmed.
    pub async fn promoted(&mut self, timeline: u32) {
        let Some(held) = &mut self.held else { return };
        held.position.timeline = timeline;
        // Loading tries as long as it takes, and halts only on what was possible a moment before.
        if let Some(held) = &self.held
            && let Err(fault) = self.claim(held, Standing::Loading).await
        {
            warn!(slot = %held.slot.slot, error = %fault, "could not note the server's new timeline");
        }
    }

    /// Nothing is held any more: what was loaded is what was reached.
    pub fn drained(&mut self) {
        if let Some(held) = &mut self.held {
            held.drained = true;
        }
    }

    /// Says that nothing is in the air any more, if that is so. A farewell that fails costs the successor a wait.
    pub async fn end(&self) {
        let Some(held) = &self.held else { return };
        if !held.journal.labels().is_empty() {
            return;
        }
        let farewell = self.claim(held, Standing::Ended);
        if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
            warn!(slot = %held.slot.slot, "could not note in StarRocks that the job ended in order");
        }
    }

    async fn try_once(
        &mut self,
        slot: &SlotIdentity,
        position: Position,
    ) -> Result<(Arc<Journal>, Parked, Lsn), Fault> {
        let (journal, reached) = self.take_over(slot, position).await?;
        let parked = match self.sink.on_refused_row {
            OnRefusedRow::DeadLetter => {
                Parked::find(&self.sink, &self.job).await.map_err(|error| error.fault())?
            }
            OnRefusedRow::Halt => Parked::default(),
        };
        Ok((journal, parked, reached))
    }

    /// With the position up to which everything is in StarRocks.
    async fn take_over(
        &mut self,
        slot: &SlotIdentity,
        position: Position,
    ) -> Result<(Arc<Journal>, Lsn), Fault> {
        let again = self.held.as_mut().map(|held| held.again(position));
        if let (Some(promoted), Some(held)) = (again, &self.held) {
            self.settle(&held.journal).await?;
            if promoted {
                self.claim(held, Standing::Loading).await?;
            }
            let reached = self.checkpoint(slot, position, false, &held.journal).await?;
            return Ok((Arc::clone(&held.journal), reached));
        }
        let journal = Arc::new(self.journal(slot)?);
        self.settle(&journal).await?;
        let claim = Claim::find(&self.sink, slot).await.map_err(|error| error.fault())?;
        if claim.as_ref().is_some_and(|claim| may_be_loading(claim, journal.name())) {
            self.wait_out(slot).await;
        }
        let anew = claim.is_none_or(|claim| claim.standing == Standing::Released);
        let reached = self.checkpoint(slot, position, anew, &journal).await?;
        // Before the claim: from then on the note is believed.
        journal.durable(position.durable).map_err(|error| unusable(&error))?;
        let held = Held { slot: slot.clone(), journal: Arc::clone(&journal), position, drained: false };
        self.claim(&held, Standing::Loading).await?;
        self.held = Some(held);
        Ok((journal, reached))
    }

    /// What steps have reached beyond the slot's position. Of an earlier slot of this name it tells nothing.
    async fn checkpoint(
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
        let known = checkpoint.read(&self.sink).await.map_err(|error| error.of_reading(CHECKPOINTS))?;
        if anew
            && known.is_some()
            && let Some(batch) = checkpoint.batch(position.durable)
        {
            self.loader(journal).load(&batch).await?;
            return Ok(position.durable);
        }
        Ok(known.map_or(position.durable, |known| known.max(position.durable)))
    }

    fn journal(&self, slot: &SlotIdentity) -> Result<Journal, Fault> {
        let Some(directory) = &self.state_directory else { return Ok(Journal::in_memory()) };
        Journal::open(&directory.join(slot.key())).map_err(|error| unusable(&error))
    }

    /// Brings every noted load to its end.
    async fn settle(&self, journal: &Journal) -> Result<(), Fault> {
        for label in journal.labels() {
            let ended = self.bring_to_an_end(&label).await;
            ended.map_err(|trouble| Fault { part: Part::Sink, ..trouble.fault(&super::claim::table()) })?;
            journal.ended(&label);
            info!(%label, "a load of the predecessor has ended");
        }
        Ok(())
    }

    async fn bring_to_an_end(&self, label: &Label) -> Result<(), Trouble> {
        let frontend = Frontend::new(&self.sink);
        if label.is_of_step() {
            return frontend.end(label).await.map(drop);
        }
        for attempt in 1.. {
            if frontend.state(label).await? != LoadState::Running {
                break;
            }
            frontend.cancel(label).await?;
            sleep(Patience::ASKING.wait(attempt, label.as_str())).await;
        }
        Ok(())
    }

    /// Once is enough: the predecessor does not come back while the slot is ours.
    async fn wait_out(&mut self, slot: &SlotIdentity) {
        let until = *self.waiting_until.get_or_insert_with(|| Instant::now() + WAIT);
        warn!(slot = %slot.slot, wait = ?WAIT, "waiting for the last loads of a predecessor that did not end in order");
        self.progress.raise(Fault::retry(
            Part::Sink,
            Reason::PredecessorLoading,
            "the worker before this one did not end in order, and its notes are not here: its last loads may still commit",
            "wait: loading begins within four minutes; a state directory that outlives the worker \
             (DBMAZZ_STATE_DIR) spares the wait",
        ));
        tokio::time::sleep_until(until).await;
        self.progress.clear(&Part::Sink);
    }

    async fn claim(&self, held: &Held, standing: Standing) -> Result<(), Fault> {
        let Position { timeline, durable } = held.position;
        let timeline = (standing == Standing::Loading || held.drained).then_some(timeline);
        let claim = Claim { journal: held.journal.name().to_owned(), standing, timeline, durable };
        self.write(&held.slot.key(), &claim, &held.journal).await
    }

    async fn write(&self, key: &str, claim: &Claim, journal: &Arc<Journal>) -> Result<(), Fault> {
        match claim.batch(key, &self.job, SystemTime::now()) {
            Some(batch) => self.loader(journal).load(&batch).await.map(|_| ()),
            None => Ok(()),
        }
    }

    fn loader(&self, journal: &Arc<Journal>) -> Loader {
        Loader::new(&self.sink, &self.job, Arc::clone(&self.progress), Arc::clone(journal))
    }
}

fn may_be_loading(claim: &Claim, journal: &str) -> bool {
    claim.standing == Standing::Loading && claim.journal != journal
}

pub(super) fn unusable(error: &std::io::Error) -> Fault {
    let message = format!("the worker's state directory cannot be used ({error})");
    let fix = "make it a directory that the worker may write to, or name another in DBMAZZ_STATE_DIR";
    Fault::retry(Part::Sink, Reason::BadConfiguration, message, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Deletes, Secret};

    fn takeover() -> Takeover {
        let sink = SinkConfig {
            host: "127.0.0.1".to_owned(),
            http_port: 1,
            query_port: 1,
            database: "d".to_owned(),
            user: "u".to_owned(),
            password: Secret::new("p"),
            deletes: Deletes::Soft,
            consistency: Default::default(),
            values: Default::default(),
            on_refused_row: Default::default(),
        };
        Takeover::new(sink, "job".to_owned(), None, Arc::new(Progress::new(&[])))
    }

    fn slot() -> SlotIdentity {
        SlotIdentity { system_identifier: 1, slot: "s".to_owned() }
    }

    #[tokio::test]
    async fn rule_10_a_predecessor_is_waited_out_once_and_until_none_of_its_loads_can_commit() {
        const { assert!(WAIT.as_secs() >= LOAD_TIMEOUT.as_secs() + ABORTER.as_secs() + GRACE.as_secs()) };
        let mut takeover = takeover();
        let until = Instant::now() + Duration::from_millis(50);
        takeover.waiting_until = Some(until);
        takeover.wait_out(&slot()).await;
        assert!(Instant::now() >= until);
        takeover.wait_out(&slot()).await;
        assert_eq!(takeover.waiting_until, Some(until));
    }

    #[test]
    fn rule_10_only_a_claim_without_an_end_and_without_our_notes_is_waited_out() {
        for (journal, standing, expected) in [
            ("theirs", Standing::Loading, true),
            ("theirs", Standing::Ended, false),
            ("ours", Standing::Loading, false),
        ] {
            let claim = Claim { journal: journal.to_owned(), standing, timeline: None, durable: Lsn(0) };
            assert_eq!(may_be_loading(&claim, "ours"), expected, "{claim:?}");
        }
    }
}
