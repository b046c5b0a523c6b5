//! The reader: a plain blocking thread between the socket and the pipeline.
//!
//! ```text
//! socket ─► gather ─► outlet ═► blocks
//! socket ◄─ feedback ◄═ durable
//!
//! catch_up: the same from chunks, while far behind
//! ```
//!
//! In: WAL of the slot, the durable position, what the job wants of the intake. Out: blocks of routed events,
//! whole and in order, and status updates. The rules:
//!
//! - PostgreSQL is told exactly what `durable` says, and nothing else is ever confirmed.
//! - Status updates go out by the clock, also while everything downstream is full, and while paused.
//! - A lost connection is made again, for ever; the slot stays. The stream continues after the last whole
//!   transaction that was handed on, so a transaction comes whole or again from its start.

mod admission;
mod backoff;
mod block_sender;
mod blocking_wait;
mod catalogue;
mod catch_up;
mod frame_buffer;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod read_pacing;
mod session;
mod status_update;
mod unsendable;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::Reason;
use tokio::sync::watch;

use self::{
    backoff::Backoff,
    block_sender::BlockSender,
    catch_up::{CatchUp, Place, Refusals},
    frame_buffer::{FrameBuffer, FrameEvents},
    session::{Ended, Session},
};
pub use super::slot::lock::Witness;
use super::{
    connection::Connection,
    error::{ServerError, SourceError, is_invalid_text},
    route::Router,
    slot::{
        continuity,
        lock::{self, Locked},
    },
};
use crate::{
    change::ChannelSender,
    config::SourceConfig,
    fault::{Course, Fault, Part},
    lsn::Lsn,
    postgres::server::{Origin, identify},
    progress::Progress,
    slot_lease::{HeldSlot, SlotHold},
};

/// What the job wants of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Read.
    Open,
    /// Stop reading; keep the connection.
    Paused,
    /// Finish the open transaction, then hand on nothing more; confirm until `durable` is dropped.
    Closed,
}

/// What ties the reader to the job and its pipeline.
#[derive(Debug)]
pub struct ReaderEnds {
    pub blocks: ChannelSender,
    pub durable: watch::Receiver<Lsn>,
    pub intake: watch::Receiver<Intake>,
    /// Told whether the slot is ours.
    pub hold: watch::Sender<SlotHold>,
}

/// Before another session's hold on the slot is reported: our own last session may need a moment to end.
const SLOT_IN_USE_PATIENCE: Duration = Duration::from_secs(10);
/// A stream this far behind the server may have a long backlog before it.
const FAR_BEHIND: Duration = Duration::from_secs(30);
/// To confirm the last position, when everything else has ended and the connection is gone.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

/// Reads the slot until the job ends.
#[derive(Debug)]
pub struct Reader {
    config: SourceConfig,
    router: Router,
    start: Lsn,
    sender: BlockSender,
    durable: watch::Receiver<Lsn>,
    intake: watch::Receiver<Intake>,
    hold: watch::Sender<SlotHold>,
    progress: Arc<Progress>,
    /// The server of the last stream; none before the first.
    origin: Option<Origin>,
    /// The last position that PostgreSQL was told.
    told: Lsn,
    slot_in_use_since: Option<Instant>,
    refusals: Refusals,
    /// What the server had written when a stream ended by an error of its own: nothing is well before that is passed.
    failing: Option<Lsn>,
    /// The last text that could not be sent, named.
    unsendable: Option<(ServerError, Fault)>,
    ended_since: Option<Instant>,
}

impl Reader {
    pub fn new(
        config: SourceConfig,
        router: Router,
        start: Lsn,
        ends: ReaderEnds,
        progress: Arc<Progress>,
    ) -> Self {
        let ReaderEnds { blocks, durable, intake, hold } = ends;
        Self {
            config,
            router,
            start,
            sender: BlockSender::new(blocks),
            durable,
            intake,
            hold,
            progress,
            origin: None,
            told: Lsn::default(),
            slot_in_use_since: None,
            refusals: Refusals::none(),
            failing: None,
            unsendable: None,
            ended_since: None,
        }
    }

    /// Blocks until the job has ended, until something stands in the way that only a person can mend, or until the
    /// slot has to be judged again.
    pub fn run(mut self) -> Result<(), Fault> {
        let mut backoff = Backoff::new();
        let ended = loop {
            let before = self.router.committed();
            match self.stream(&mut backoff) {
                Ok(Ended::Job) => break Ok(()),
                Ok(Ended::Behind) if self.is_over() => break Ok(()),
                Ok(Ended::Behind) => continue,
                Err(error) => {
                    if let Err(fault) = self.report(error) {
                        break Err(fault);
                    }
                }
            }
            if self.router.committed() > before {
                backoff.reset();
            }
            self.wait(backoff.next(self.failing.is_some()));
            if self.is_over() {
                break Ok(());
            }
        };
        self.progress.set_streaming(false);
        ended
    }

    /// One connection, from its start to its end.
    fn stream(&mut self, backoff: &mut Backoff) -> Result<Ended, SourceError> {
        let mut connection = Connection::open_for_stream(&self.config)?;
        let interval = status_update::interval(&mut connection)?;
        let locked = lock::take(&mut connection, &self.config.slot)?;
        let origin = self.check_continuity(&mut connection)?;
        let slot = catch_up::place(&mut connection, &self.config.slot)?;
        if self.wants_to_read() && self.catch_up_pays(slot, origin.flushed) {
            self.origin = Some(origin);
            self.reading(origin, locked, backoff);
            let Some(session) = self.catch_up(connection, slot)? else { return Ok(Ended::Behind) };
            connection = session;
        }
        self.start_replication(&mut connection)?;
        self.origin = Some(origin);
        self.reading(origin, locked, backoff);
        let ended = Session::new(self, connection, interval).run();
        if let Err(SourceError::Server(error)) = ended {
            self.failing = error.is_of_the_stream().then_some(origin.flushed);
            return Err(SourceError::Stream(error));
        }
        ended
    }

    fn catch_up_pays(&self, slot: Place, server: Lsn) -> bool {
        let is_refused = self.refusals.stand(Instant::now());
        !is_refused && catch_up::pays(slot, self.position(), server, self.config.catch_up)
    }

    /// Gives the session back for the stream; nothing when another has to be opened.
    fn catch_up(&mut self, connection: Connection, slot: Place) -> Result<Option<Connection>, SourceError> {
        match CatchUp::new(self, connection, slot).run() {
            Ok(catch_up::Ended::Near(connection)) => {
                self.refusals = Refusals::none();
                Ok(Some(connection))
            }
            Ok(catch_up::Ended::Left) => Ok(None),
            Ok(catch_up::Ended::TooSlow(connection)) => {
                self.refused("the server decodes too much for every chunk");
                Ok(Some(connection))
            }
            Err(SourceError::Server(error)) if catch_up::is_refusal(&error.code) => {
                self.refused(&error.to_string());
                Ok(None)
            }
            Err(SourceError::Lost(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                self.refused(&error.to_string());
                Err(SourceError::Lost(error))
            }
            Err(error) => Err(error),
        }
    }

    fn refused(&mut self, why: &str) {
        let pause = self.refusals.add(Instant::now());
        tracing::warn!(slot = %self.config.slot, error = why, ?pause, "catch-up was given up, streaming instead");
    }

    /// Whether what is received is old, and the server was last seen so far ahead that catch-up pays.
    fn fell_behind(&self) -> bool {
        let age = self.router.commit_time().and_then(|time| time.elapsed().ok());
        if age.is_none_or(|age| age < FAR_BEHIND) {
            return false;
        }
        let seen = self.progress.slot_place();
        seen.is_some_and(|(restart, confirmed, server)| {
            self.catch_up_pays(Place { restart, confirmed }, server)
        })
    }

    /// Something has come: whatever the server failed at is passed.
    fn heard(&mut self, received: Lsn) {
        if self.failing.is_some_and(|failing| received >= failing) {
            self.failing = None;
            self.progress.clear(&Part::Source);
        }
    }

    fn wants_to_read(&self) -> bool {
        let is_over = self.is_pipeline_gone() || self.sender.is_abandoned();
        !is_over && *self.intake.borrow() == Intake::Open
    }

    fn start_replication(&mut self, connection: &mut Connection) -> Result<(), SourceError> {
        let command = continuity::start_command(&self.config, self.position());
        match connection.start_copy(&command) {
            Err(error) if error.code() == Some("42704") => {
                Err(SourceError::SlotLost("it does not exist any more".to_owned()))
            }
            started => started,
        }
    }

    /// Everything before it has been handed on, or was durable before.
    fn position(&self) -> Lsn {
        self.start.max(*self.durable.borrow()).max(self.router.committed())
    }

    fn check_continuity(&self, connection: &mut Connection) -> Result<Origin, SourceError> {
        let origin = identify(connection)?;
        let confirmed = continuity::confirmed(connection, &self.config)?;
        let Some(known) = self.origin else {
            // It was judged where it was; another worker, or somebody else, has held it since.
            return if confirmed > self.start { Err(SourceError::Moved(confirmed)) } else { Ok(origin) };
        };
        self.progress.reconnected();
        let position = self.position().max(self.router.reached());
        continuity::check_origin(connection, &self.config, known, origin, position)?;
        continuity::check_slot(confirmed, self.start.max(*self.durable.borrow()))?;
        Ok(origin)
    }

    fn reading(&mut self, origin: Origin, locked: Locked, backoff: &mut Backoff) {
        self.router.reconnected();
        self.slot_in_use_since = None;
        let Locked { session, since } = locked;
        let held = SlotHold::Held(HeldSlot { timeline: origin.timeline, session, since });
        // After catch-up the session is the one that it was.
        self.hold.send_if_modified(|hold| std::mem::replace(hold, held) != held);
        self.progress.set_streaming(true);
        // A server that fails at a position lets every stream begin, and fails there again.
        if self.failing.is_none() {
            backoff.reset();
            self.progress.clear(&Part::Source);
        }
        tracing::info!(slot = %self.config.slot, lsn = %self.position(), "stream started");
    }

    fn lost(&self) {
        let is_held = |hold: &SlotHold| matches!(hold, SlotHold::Held(_));
        self.hold.send_if_modified(|hold| is_held(hold) && is_held(&std::mem::replace(hold, SlotHold::Lost)));
    }

    /// Makes a fault known that may pass; gives back one that does not.
    fn report(&mut self, error: SourceError) -> Result<(), Fault> {
        self.lost();
        self.progress.set_streaming(false);
        // What was there has to be looked at, or made, again.
        let judge_again = matches!(error, SourceError::Moved(_)) || error.is_missing_publication();
        let fault = self.named(error);
        if fault.course == Course::Halt || judge_again {
            return Err(fault);
        }
        if fault.reason == Reason::SlotInUse {
            let since = *self.slot_in_use_since.get_or_insert_with(Instant::now);
            if since.elapsed() < SLOT_IN_USE_PATIENCE {
                return Ok(());
            }
        } else {
            self.slot_in_use_since = None;
        }
        if self.progress.raise(fault.clone()) {
            tracing::warn!(slot = %self.config.slot, error = %fault, "stream interrupted, retrying");
        }
        Ok(())
    }

    fn named(&mut self, error: SourceError) -> Fault {
        let error = match error {
            SourceError::Stream(error) if is_invalid_text(&error) => error,
            other => return other.fault(&self.config),
        };
        if let Some((known, fault)) = &self.unsendable
            && *known == error
        {
            return fault.clone();
        }
        let fault = unsendable::name(&error, &self.config);
        self.unsendable = Some((error, fault.clone()));
        fault
    }

    /// Routes every whole frame, and looks at the catalogue where the router has to know more.
    fn digest(&mut self, frames: &mut FrameBuffer) -> Result<FrameEvents, SourceError> {
        let mut heard = frames.digest(&mut self.router)?;
        while heard.wants_a_look {
            catalogue::look(&mut self.router, &self.config)?;
            heard = heard.and(frames.digest(&mut self.router)?);
        }
        Ok(heard)
    }

    /// Between two connections: what was received is still handed on, and a drain is noticed.
    fn wait(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !self.is_over() {
            if *self.intake.borrow_and_update() == Intake::Closed && self.sender.is_empty() {
                // The rest of a transaction that was cut will not come any more.
                self.sender.close();
            }
            let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
            if self.sender.is_empty() {
                blocking_wait::wait_for(self.intake.changed(), left);
            } else {
                self.sender.wait_for_room(left);
            }
        }
    }

    /// Whether there is nobody left to read for, and nothing left to confirm.
    fn is_over(&mut self) -> bool {
        if self.sender.is_abandoned() {
            return true;
        }
        if !self.is_pipeline_gone() {
            return false;
        }
        let since = *self.ended_since.get_or_insert_with(Instant::now);
        self.told >= *self.durable.borrow() || since.elapsed() > FAREWELL_LIMIT
    }

    /// The pipeline has dropped its end of the durable position: it will not move any more.
    fn is_pipeline_gone(&self) -> bool {
        self.durable.has_changed().is_err()
    }
}
