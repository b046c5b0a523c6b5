//! One connection's stream: reads, hands on, confirms, and ends in order.
//!
//! One loop, one step at a time; each step is bounded by [`TICK`], so that status updates are never late.

use std::{
    io::ErrorKind,
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use futures::future::{Either, select};

use super::{
    Intake, Reader, blocking_wait, frame_buffer::FrameBuffer, read_pacing::ReadPacing,
    status_update::StatusUpdates,
};
use crate::postgres::{connection::Connection, error::SourceError};

/// The longest that a step waits: how late a moved durable position, a pause or a drain is noticed.
const TICK: Duration = Duration::from_millis(100);
/// The longest that an event waits for others in a block.
const GATHERING_LIMIT: Duration = Duration::from_millis(5);
/// For the rest of an open transaction, when draining.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// For the server to take note of the last position.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);

pub(super) struct Session<'a> {
    reader: &'a mut Reader,
    connection: Connection,
    frames: FrameBuffer,
    updates: StatusUpdates,
    pacing: ReadPacing,
    closing_since: Option<Instant>,
    /// What arrives was committed long ago.
    behind: bool,
}

/// Why a stream ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Job,
    /// It fell so far behind that there may be a faster way.
    Behind,
}

/// What the next step is.
enum Step {
    Read,
    /// Downstream is full.
    AwaitRoom,
    /// Paused, or drained: only confirm.
    SlotHold,
    HandOn,
    CloseOutlet,
    LookBehind,
    End,
}

impl<'a> Session<'a> {
    pub(super) fn new(reader: &'a mut Reader, mut connection: Connection, interval: Duration) -> Self {
        let frames = FrameBuffer::starting_with(connection.take_inbox());
        Self {
            reader,
            connection,
            frames,
            updates: StatusUpdates::new(interval),
            pacing: ReadPacing::new(Instant::now()),
            closing_since: None,
            behind: false,
        }
    }

    /// Streams until there is a reason to stop (`Ok`) or the connection ends.
    pub(super) fn run(mut self) -> Result<Ended, SourceError> {
        let ended = self.stream();
        // What was received before a connection broke is as good as ever.
        self.hand_on();
        let ended = ended?;
        if ended == Ended::Job {
            self.finish();
        }
        Ok(ended)
    }

    fn stream(&mut self) -> Result<Ended, SourceError> {
        self.digest()?;
        loop {
            self.confirm()?;
            match self.next_step() {
                Step::Read => self.read()?,
                Step::AwaitRoom => self.reader.sender.wait_for_room(TICK),
                Step::SlotHold => self.hold(),
                Step::HandOn => self.hand_on(),
                Step::CloseOutlet => self.reader.sender.close(),
                Step::End => return Ok(Ended::Job),
                Step::LookBehind => return Ok(Ended::Behind),
            }
        }
    }

    fn next_step(&mut self) -> Step {
        if self.reader.is_pipeline_gone() || self.reader.sender.is_abandoned() {
            return Step::End;
        }
        if !self.reader.sender.is_empty() {
            return Step::AwaitRoom;
        }
        let intake = *self.reader.intake.borrow();
        match intake {
            Intake::Open if self.behind => Step::LookBehind,
            Intake::Open => Step::Read,
            _ if self.frames.has_events() && !self.is_cut_short(intake) => Step::HandOn,
            Intake::Paused => Step::SlotHold,
            Intake::Closed => self.closing_step(),
        }
    }

    /// Draining, with the rest of a transaction still to come: that is read first.
    fn is_cut_short(&self, intake: Intake) -> bool {
        intake == Intake::Closed && self.reader.router.in_transaction()
    }

    fn closing_step(&mut self) -> Step {
        let since = *self.closing_since.get_or_insert_with(Instant::now);
        if self.reader.sender.is_closed() {
            Step::SlotHold
        } else if self.reader.router.in_transaction() && since.elapsed() < DRAIN_LIMIT {
            Step::Read
        } else if self.frames.has_events() {
            Step::HandOn
        } else {
            Step::CloseOutlet
        }
    }

    fn read(&mut self) -> Result<(), SourceError> {
        if self.frames.awaits_room().is_some() && self.frames.has_events() {
            // What came before a large row does not wait with it.
            self.hand_on();
            return Ok(());
        }
        if !self.reader.admits(&mut self.frames) {
            return Ok(());
        }
        let space = self.frames.space();
        let room = space.len();
        match self.connection.read(space) {
            Ok(0) => Err(SourceError::Lost(std::io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))),
            Ok(count) => {
                self.frames.filled(count);
                self.digest()?;
                if self.frames.is_full() || self.frames.age() > GATHERING_LIMIT {
                    self.hand_on();
                }
                self.pacing.after(count, room, Instant::now()).into_iter().for_each(thread::sleep);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.await_more(),
            Err(error) => Err(SourceError::Lost(error)),
        }
    }

    /// The socket is empty: hand on what there is, then wait for the server.
    fn await_more(&mut self) -> Result<(), SourceError> {
        if self.frames.has_events() {
            self.hand_on();
            return Ok(());
        }
        self.connection.wait(TICK).map_err(SourceError::Lost)
    }

    fn digest(&mut self) -> Result<(), SourceError> {
        let before = self.reader.router.committed();
        let heard = self.reader.digest(&mut self.frames)?;
        // A quiet stream is not behind, however old its last commit.
        self.behind |= self.reader.router.committed() > before && self.reader.fell_behind();
        self.reader.heard(heard.received);
        self.reader.progress.received(heard.received);
        self.updates.received(heard.received);
        if heard.asked {
            self.updates.asked();
        }
        Ok(())
    }

    fn hand_on(&mut self) {
        self.reader.progress.changes_received(self.reader.router.take_changes());
        if let Some(block) = self.frames.take() {
            self.reader.sender.offer(block);
        }
    }

    /// Tells PostgreSQL what is durable, when it is time to.
    fn confirm(&mut self) -> Result<(), SourceError> {
        let durable = *self.reader.durable.borrow();
        if let Some(update) = self.updates.due(durable) {
            self.connection.send(&update)?;
            self.reader.told = durable;
            self.reader.progress.confirmed(durable);
        }
        Ok(())
    }

    fn hold(&mut self) {
        let Reader { durable, intake, .. } = &mut *self.reader;
        let (durable, intake) = (pin!(durable.changed()), pin!(intake.changed()));
        if let Some(Either::Right((Err(_), _))) = blocking_wait::wait_for(select(durable, intake), TICK) {
            // Nobody can change the intake any more: that alone is no reason to hurry.
            thread::sleep(TICK);
        }
    }

    /// The last position, and the end of the stream behind it: the server has processed the one when it answers the
    /// other.
    fn finish(mut self) {
        let durable = *self.reader.durable.borrow();
        let update = self.updates.update(durable);
        let told = self.connection.send(&update);
        let ended = told.and_then(|()| self.connection.end_copy(self.frames.into_unread(), FAREWELL_LIMIT));
        match ended {
            Ok(()) => {
                self.reader.told = durable;
                self.reader.progress.confirmed(durable);
                self.connection.close();
            }
            // Nothing is lost by it: the next start replays a little.
            Err(error) => tracing::warn!(lsn = %durable, error = %error, "last position was not confirmed"),
        }
    }
}
