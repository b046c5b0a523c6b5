//! The reader: a plain blocking thread between the socket and the pipeline.
//!
//! ```text
//! socket ─► frame_buffer ─► block_sender ═► blocks
//! socket ◄─ status_update ◄═ durable
//!
//! catch_up: the same from chunks, while far behind
//! ```
//!
//! In: WAL of the slot, the durable position, the state of the intake. Out: blocks of routed events, whole and in
//! order, and status updates. The rules:
//!
//! - Exactly the durable position is confirmed to PostgreSQL.
//! - Status updates are sent by the clock, also while everything downstream is full, and while paused.
//! - A lost connection is opened again, without limit; the slot stays. The stream continues after the last whole
//!   transaction that was passed on, so a transaction comes whole or again from its start.

mod admission;
mod block_sender;
mod blocking_wait;
mod catalogue_look;
mod catch_up;
mod frame_buffer;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod interruption;
mod read_pacing;
mod session;
mod status_update;
mod unsendable;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use self::{
    block_sender::BlockSender,
    catch_up::decision::Refusals,
    frame_buffer::{FrameBuffer, FrameEvents},
    session::{Ended, Session},
};
pub use super::slot::lock::Witness;
use super::{
    connection::Connection,
    error::{ServerError, SourceError},
    route::Router,
    slot::{
        continuity,
        lock::{self, Locked},
    },
};
use crate::{
    backoff::Backoff,
    change::ChannelSender,
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
    postgres::server::{Origin, identify},
    progress::Progress,
    slot_lease::{HeldSlot, SlotHold},
};

/// Whether the reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Read.
    Open,
    /// Stop reading; keep the connection.
    Paused,
    /// Finish the open transaction, then pass on nothing more; confirm until `durable` is dropped.
    Closed,
}

/// The channels between the reader, the job and its pipeline.
#[derive(Debug)]
pub struct ReaderEnds {
    pub blocks: ChannelSender,
    pub durable: watch::Receiver<Lsn>,
    pub intake: watch::Receiver<Intake>,
    /// Receives whether this worker holds the slot.
    pub hold: watch::Sender<SlotHold>,
}

/// Limit to confirm the last position on a new connection, after everything else has ended.
const FINAL_CONFIRM_LIMIT: Duration = Duration::from_secs(5);

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
    /// The last position that was confirmed to PostgreSQL.
    confirmed: Lsn,
    slot_in_use_since: Option<Instant>,
    refusals: Refusals,
    /// The end of the server's WAL when a stream ended with an error of the server: the fault stands until the stream
    /// has passed this position.
    failing: Option<Lsn>,
    /// The last error for a text that could not be sent, and its fault.
    unsendable: Option<(ServerError, Fault)>,
    ended_since: Option<Instant>,
    /// Connections since the last one that brought the stream forward.
    attempts: u32,
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
            confirmed: Lsn::default(),
            slot_in_use_since: None,
            refusals: Refusals::none(),
            failing: None,
            unsendable: None,
            ended_since: None,
            attempts: 0,
        }
    }

    /// Blocks until the job has ended, a fault occurs that only a person can resolve, or the slot has to be checked
    /// again.
    pub fn run(mut self) -> Result<(), Fault> {
        let ended = loop {
            let before = self.router.committed();
            match self.stream() {
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
                self.attempts = 0;
            }
            self.attempts = self.attempts.saturating_add(1);
            self.wait(self.pause());
            if self.is_over() {
                break Ok(());
            }
        };
        self.progress.set_streaming(false);
        ended
    }

    fn pause(&self) -> Duration {
        let is_failing = self.failing.is_some();
        let backoff = if is_failing { Backoff::RECONNECT_WHILE_FAILING } else { Backoff::RECONNECT };
        backoff.wait(self.attempts, &self.config.slot)
    }

    /// One connection, from its start to its end.
    fn stream(&mut self) -> Result<Ended, SourceError> {
        let mut connection = Connection::open_for_stream(&self.config)?;
        let interval = status_update::interval(&mut connection)?;
        let locked = lock::take(&mut connection, &self.config.slot)?;
        let origin = self.check_continuity(&mut connection)?;
        let slot = catch_up::place(&mut connection, &self.config.slot)?;
        if self.wants_to_read() && self.catch_up_pays(slot, origin.flushed) {
            self.origin = Some(origin);
            self.reading(origin, locked);
            let Some(session) = self.catch_up(connection, slot)? else { return Ok(Ended::Behind) };
            connection = session;
        }
        self.start_replication(&mut connection)?;
        self.origin = Some(origin);
        self.reading(origin, locked);
        let ended = Session::new(self, connection, interval).run();
        if let Err(SourceError::Server(error)) = ended {
            self.failing = error.is_of_the_stream().then_some(origin.flushed);
            return Err(SourceError::Stream(error));
        }
        ended
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
        }?;
        // Until now another client could use the slot; the server skips what it took, without an error.
        let mut second = Connection::open_for_sql(&self.config)?;
        self.check_confirmed(continuity::confirmed(&mut second, &self.config)?)
    }

    /// What the slot has confirmed must be durable.
    fn check_confirmed(&self, confirmed: Lsn) -> Result<(), SourceError> {
        if self.origin.is_none() && confirmed > self.start {
            // The slot was checked before at an earlier position; another client has used it since.
            return Err(SourceError::Moved(confirmed));
        }
        continuity::check_slot(confirmed, self.start.max(*self.durable.borrow()))
    }

    /// The position up to which everything has been passed on or was durable before.
    fn position(&self) -> Lsn {
        self.start.max(*self.durable.borrow()).max(self.router.committed())
    }

    fn check_continuity(&self, connection: &mut Connection) -> Result<Origin, SourceError> {
        let origin = identify(connection)?;
        let confirmed = continuity::confirmed(connection, &self.config)?;
        if let Some(known) = self.origin {
            self.progress.reconnected();
            let position = self.position().max(self.router.reached());
            continuity::check_origin(connection, &self.config, known, origin, position)?;
        }
        self.check_confirmed(confirmed)?;
        Ok(origin)
    }

    fn reading(&mut self, origin: Origin, locked: Locked) {
        self.router.reconnected();
        self.slot_in_use_since = None;
        let Locked { session, since } = locked;
        let held = SlotHold::Held(HeldSlot { timeline: origin.timeline, session, since });
        // After catch-up the session is the same, so nothing is sent.
        self.hold.send_if_modified(|hold| std::mem::replace(hold, held) != held);
        self.progress.set_streaming(true);
        // A server that fails at a position starts every stream, and fails there again.
        if self.failing.is_none() {
            self.attempts = 0;
            self.progress.clear(&Part::Source);
        }
        tracing::info!(slot = %self.config.slot, lsn = %self.position(), "stream started");
    }

    /// Routes every whole frame, and queries the catalogue where the router requests it.
    fn digest(&mut self, frames: &mut FrameBuffer) -> Result<FrameEvents, SourceError> {
        let mut heard = frames.digest(&mut self.router)?;
        while heard.wants_a_look {
            catalogue_look::look(&mut self.router, &self.config)?;
            heard = heard.and(frames.digest(&mut self.router)?);
        }
        Ok(heard)
    }

    /// Waits between two connections; passes on what was received, and reacts to a drain.
    fn wait(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !self.is_over() {
            if *self.intake.borrow_and_update() == Intake::Closed && self.sender.is_empty() {
                // The rest of an interrupted transaction does not come any more.
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

    /// Whether the pipeline has ended and its last position is confirmed, or the limit for that has passed.
    fn is_over(&mut self) -> bool {
        if self.sender.is_abandoned() {
            return true;
        }
        if !self.is_pipeline_gone() {
            return false;
        }
        let since = *self.ended_since.get_or_insert_with(Instant::now);
        self.confirmed >= *self.durable.borrow() || since.elapsed() > FINAL_CONFIRM_LIMIT
    }

    /// The pipeline has dropped the sender of the durable position, which will not change any more.
    fn is_pipeline_gone(&self) -> bool {
        self.durable.has_changed().is_err()
    }
}
