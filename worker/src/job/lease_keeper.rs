//! Grants, renews and withdraws the slot lease, and records the durable position before it is confirmed to PostgreSQL.
//!
//! The slot lease is granted when the session holds the slot and fencing is complete. It is renewed while PostgreSQL
//! confirms the session's lock on the slot. When the slot is acquired again, it is granted again only if no other
//! worker has claimed the slot in the meantime.
//!
//! ```text
//! reader ──SlotHold──► held ──► fencing: claim, wait ──────────┐
//!                       └─────► held again: claim unchanged? ──┴─► session ──► keep: ask the server ──lease──► loads
//! ```

use std::{sync::Arc, time::Duration};

use crds::Reason;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
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

/// Pause before the claim is read again after a failure.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// A session ends this long after its lease expired without an answer of the server.
const WITHOUT_LEASE: Duration = Duration::from_secs(15);

/// The slot lease of one stream, and the PostgreSQL session whose lock renews it.
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

    /// Starts the lease: no other worker has loaded since `tenure` began.
    fn grant(&self, tenure: HeldSlot) {
        self.lease.renew(tenure.since);
        self.session.send_replace(Some(tenure.session));
    }

    fn withdraw(&self) {
        self.session.send_replace(None);
        self.lease.end();
    }

    /// Renews the lease while PostgreSQL confirms that the session holds the lock on the slot. Returns the fault when it
    /// has not confirmed for long: the session is to end. A server that shuts down refuses new connections and waits
    /// for this session, which confirms nothing as long as a table is halted.
    pub(super) async fn keep(&self, source: SourceConfig) -> Fault {
        let mut witness = Witness::new(source.clone());
        let mut expired: Option<Instant> = None;
        let mut granted = self.session.subscribe();
        loop {
            let session = *granted.borrow_and_update();
            if let Some(session) = session {
                let (asked, refused) = self.ask(witness, session).await;
                witness = asked.unwrap_or_else(|| Witness::new(source.clone()));
                match refused.filter(|_| self.lease.has_ended()) {
                    Some(fault) if expired.is_some_and(|since| since.elapsed() > WITHOUT_LEASE) => {
                        return fault;
                    }
                    Some(_) => drop(expired.get_or_insert_with(Instant::now)),
                    None => expired = None,
                }
            }
            tokio::select! {
                () = sleep(RENEWAL) => {}
                _ = granted.changed() => {}
            }
        }
    }

    /// Returns the witness for the next request, unless its thread panicked, and the fault of an unanswered request.
    async fn ask(&self, mut witness: Witness, session: Session) -> (Option<Witness>, Option<Fault>) {
        let asked = Moment::now();
        let ask = move || {
            let seen = witness.sees(session);
            (witness, seen)
        };
        let Ok((witness, seen)) = tokio::task::spawn_blocking(ask).await else { return (None, None) };
        match seen {
            Ok(true) if *self.session.borrow() == Some(session) => {
                self.lease.renew(asked);
                self.progress.clear_of(Owner::SlotLease, &Part::Source);
            }
            // A lost lock means that the stream's session ended; the stream reports why.
            Ok(_) => {}
            Err(fault) => {
                self.not_renewed(&fault);
                return (Some(witness), Some(fault));
            }
        }
        (Some(witness), None)
    }

    fn not_renewed(&self, fault: &Fault) {
        if self.lease.has_ended() && self.progress.raise_of(Owner::SlotLease, lease_expired(fault)) {
            warn!(error = %fault, "slot lease not renewed; loads paused");
        }
    }
}

fn lease_expired(fault: &Fault) -> Fault {
    let message = format!(
        "loads are paused: the slot lease expired, because PostgreSQL did not confirm this worker's lock on the slot \
         (asked on a second connection): {}",
        fault.message
    );
    Fault::retry(Part::Source, fault.reason, message, fault.fix.clone())
}

/// Resolves when this worker holds the slot and no load of a predecessor can commit any more; with `None` when the
/// reader ended before that. If the slot is lost in the meantime, fencing starts again with its whole wait.
pub(super) async fn acquire_grant(
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

/// Forwards the durable position to the reader after it has been recorded in StarRocks, until the pipeline ends. So
/// PostgreSQL never confirms a position that a successor cannot find, and a slot that is further ahead was moved by
/// another client. When the slot is acquired again, the lease continues only if no other worker has claimed the slot
/// in the meantime; otherwise the session ends with a fault.
pub(super) async fn record_durable(
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
        let mut retry_at = None;
        if let SlotHold::Held(tenure) = hold
            && tenure != known
        {
            match reacquired(fencing, tenure, keeper).await? {
                true => known = tenure,
                false => retry_at = Some(tokio::time::Instant::now() + BETWEEN_TRIES),
            }
        }
        if lsn != *noted.borrow() {
            fencing.reached(lsn).await;
            noted.send_replace(lsn);
        }
        tokio::select! {
            changed = durable.changed() => if changed.is_err() { return Ok(()) },
            Ok(()) = held.changed() => {}
            () = sleep_until(retry_at.unwrap_or_else(tokio::time::Instant::now)), if retry_at.is_some() => {}
        }
    }
}

/// Grants the lease to the new tenure. Returns false when the claim could not be read; fails when another worker has
/// claimed the slot.
async fn reacquired(fencing: &mut Fencing, tenure: HeldSlot, keeper: &Keeper) -> Result<bool, Fault> {
    match fencing.is_unchallenged().await {
        Ok(true) => {}
        Ok(false) => {
            keeper.withdraw();
            return Err(fenced());
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

fn fenced() -> Fault {
    let message =
        "another worker of this job acquired the slot and claimed it in dbmazz_jobs; this worker is fenced";
    let fix = "see that only one worker of the job runs; this one begins again by itself, after the other's last load";
    Fault::retry(Part::Source, Reason::SlotInUse, message, fix)
}
