//! The right to load: won with the slot, kept while the server says that the slot is ours, and what is noted under it.
//!
//! ```text
//! reader ──hold──► won ──► takeover: claim, wait ─────────┐
//!                   └────► won again: claim still ours? ──┴─► session ──► keep: ask the server ──lease──► loads
//! ```

use std::{sync::Arc, time::Duration};

use crds::Reason;
use tokio::{
    sync::watch,
    time::{sleep, sleep_until},
};
use tracing::warn;

use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
    postgres::Witness,
    progress::{Owner, Progress},
    slot_lease::{HeldSlot, Moment, RENEWAL, Session, SlotHold, SlotLease},
    starrocks::{Fencing, LoadGrant, Position, SlotIdentity},
};

/// Until the claim is asked for again.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// The lease of one stream, and the session whose life renews it.
#[derive(Debug)]
pub(super) struct Keeper {
    lease: SlotLease,
    session: watch::Sender<Option<Session>>,
    progress: Arc<Progress>,
}

impl Keeper {
    pub(super) fn new(lease: SlotLease, progress: Arc<Progress>) -> Self {
        Self { lease, session: watch::Sender::new(None), progress }
    }

    /// Nobody else has loaded since this tenure began.
    fn grant(&self, tenure: HeldSlot) {
        self.lease.renew(tenure.since);
        self.session.send_replace(Some(tenure.session));
    }

    fn withdraw(&self) {
        self.session.send_replace(None);
        self.lease.end();
    }

    /// Renews the lease as long as the server says that the session has the lock of the slot. Never ends by itself.
    pub(super) async fn keep(&self, source: SourceConfig) {
        let mut witness = Witness::new(source.clone());
        let mut granted = self.session.subscribe();
        loop {
            let session = *granted.borrow_and_update();
            if let Some(session) = session {
                let asked = self.ask(witness, session).await;
                witness = asked.unwrap_or_else(|| Witness::new(source.clone()));
            }
            tokio::select! {
                () = sleep(RENEWAL) => {}
                _ = granted.changed() => {}
            }
        }
    }

    /// Gives the witness back, unless its thread has ended by a defect.
    async fn ask(&self, mut witness: Witness, session: Session) -> Option<Witness> {
        let asked = Moment::now();
        let ask = move || {
            let seen = witness.sees(session);
            (witness, seen)
        };
        let (witness, seen) = tokio::task::spawn_blocking(ask).await.ok()?;
        match seen {
            Ok(true) if *self.session.borrow() == Some(session) => {
                self.lease.renew(asked);
                self.progress.clear_of(Owner::SlotLease, &Part::Source);
            }
            // The stream says why it broke.
            Ok(_) => {}
            Err(fault) => self.not_renewed(&fault),
        }
        Some(witness)
    }

    fn not_renewed(&self, fault: &Fault) {
        if self.lease.has_ended() && self.progress.raise_of(Owner::SlotLease, unproven(fault)) {
            warn!(error = %fault, "nobody confirms that the slot is still ours; loads wait");
        }
    }
}

fn unproven(fault: &Fault) -> Fault {
    let message = format!(
        "loads wait, because PostgreSQL does not confirm on a second connection that this worker still has the slot: {}",
        fault.message
    );
    Fault::retry(Part::Source, fault.reason, message, fault.fix.clone())
}

/// Resolves when the slot is ours and nothing of a predecessor can commit any more; without a loader when the reader
/// ended before. A slot that is lost meanwhile has to be won anew, with the whole wait.
pub(super) async fn right_to_load(
    fencing: &mut Fencing,
    slot: SlotIdentity,
    durable: Lsn,
    mut held: watch::Receiver<SlotHold>,
    keeper: &Keeper,
) -> Option<(LoadGrant, HeldSlot)> {
    loop {
        let tenure = next_tenure(&mut held).await?;
        keeper.grant(tenure);
        let position = Position { timeline: tenure.timeline, durable };
        tokio::select! {
            grant = fencing.run(slot.clone(), position) => return Some((grant, tenure)),
            reader = held.wait_for(|hold| *hold != SlotHold::Held(tenure)) => drop(reader.ok()?),
        }
    }
}

async fn next_tenure(held: &mut watch::Receiver<SlotHold>) -> Option<HeldSlot> {
    loop {
        if let SlotHold::Held(tenure) = *held.borrow_and_update() {
            return Some(tenure);
        }
        held.changed().await.ok()?;
    }
}

/// Passes on what is durable when a successor would find it noted, until the pipeline ends. So PostgreSQL is never
/// told a position that nobody knows of, and a slot that is further was moved by somebody else. When the slot was won
/// again, the lease goes on only if nobody has claimed it meanwhile; otherwise everything has to begin again.
pub(super) async fn note(
    fencing: &mut Fencing,
    mut durable: watch::Receiver<Lsn>,
    noted: watch::Sender<Lsn>,
    mut held: watch::Receiver<SlotHold>,
    keeper: &Keeper,
    mut known: HeldSlot,
) -> Result<(), Fault> {
    loop {
        let lsn = *durable.borrow_and_update();
        let hold = *held.borrow_and_update();
        let mut again = None;
        if let SlotHold::Held(tenure) = hold
            && tenure != known
        {
            match won_again(fencing, tenure, keeper).await? {
                true => known = tenure,
                false => again = Some(tokio::time::Instant::now() + BETWEEN_TRIES),
            }
        }
        if lsn != *noted.borrow() {
            fencing.reached(lsn).await;
            noted.send_replace(lsn);
        }
        tokio::select! {
            changed = durable.changed() => if changed.is_err() { return Ok(()) },
            Ok(()) = held.changed() => {}
            () = sleep_until(again.unwrap_or_else(tokio::time::Instant::now)), if again.is_some() => {}
        }
    }
}

/// Grants the lease to the new tenure; says whether that is done. Fails when another worker was here.
async fn won_again(fencing: &mut Fencing, tenure: HeldSlot, keeper: &Keeper) -> Result<bool, Fault> {
    match fencing.is_unchallenged().await {
        Ok(true) => {}
        Ok(false) => {
            keeper.withdraw();
            return Err(overtaken());
        }
        Err(fault) => {
            keeper.progress.raise_of(Owner::SlotLease, fault);
            return Ok(false);
        }
    }
    keeper.progress.clear_of(Owner::SlotLease, &Part::Sink);
    keeper.grant(tenure);
    if fencing.timeline() != Some(tenure.timeline) {
        fencing.promoted(tenure.timeline).await;
    }
    Ok(true)
}

fn overtaken() -> Fault {
    let message = "another worker of this job had the slot meanwhile, and has loaded";
    let fix = "see that only one worker of the job runs; this one begins again by itself, after the other's last load";
    Fault::retry(Part::Source, Reason::SlotInUse, message, fix)
}
