//! The stream of one connection: reads, passes on, confirms, and ends in order.
//!
//! One loop, one step at a time; each step waits at most [`TICK`], so that status updates are never late.

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

/// The longest wait of a step, and so the delay until a new durable position, a pause or a drain is noticed.
const TICK: Duration = Duration::from_millis(100);
/// The longest that an event waits for others in a block.
const GATHERING_LIMIT: Duration = Duration::from_millis(5);
/// Limit for reading the rest of an open transaction when draining.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Limit for the server to process the last position.
const FINAL_CONFIRM_LIMIT: Duration = Duration::from_secs(3);

pub(super) struct Session<'a> {
    reader: &'a mut Reader,
    connection: Connection,
    frames: FrameBuffer,
    updates: StatusUpdates,
    pacing: ReadPacing,
    closing_since: Option<Instant>,
    /// The commits that arrive are old, and catch-up is faster.
    behind: bool,
}

/// Why a stream ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Job,
    /// The stream is so far behind that catch-up may be faster.
    Behind,
}

/// The next step of the loop.
enum Step {
    Read,
    /// Downstream is full.
    AwaitRoom,
    /// Paused, or drained: only confirm.
    Idle,
    Send,
    CloseSender,
    EndBehind,
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
        // What was received before a connection broke is still valid.
        self.send_block();
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
                Step::Idle => self.idle(),
                Step::Send => self.send_block(),
                Step::CloseSender => self.reader.sender.close(),
                Step::End => return Ok(Ended::Job),
                Step::EndBehind => return Ok(Ended::Behind),
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
            Intake::Open if self.behind => Step::EndBehind,
            Intake::Open => Step::Read,
            _ if self.frames.has_events() && !self.is_cut_short(intake) => Step::Send,
            Intake::Paused => Step::Idle,
            Intake::Closed => self.closing_step(),
        }
    }

    /// Draining in the middle of a transaction: the rest of it is read first.
    fn is_cut_short(&self, intake: Intake) -> bool {
        intake == Intake::Closed && self.reader.router.in_transaction()
    }

    fn closing_step(&mut self) -> Step {
        let since = *self.closing_since.get_or_insert_with(Instant::now);
        if self.reader.sender.is_closed() {
            Step::Idle
        } else if self.reader.router.in_transaction() && since.elapsed() < DRAIN_LIMIT {
            Step::Read
        } else if self.frames.has_events() {
            Step::Send
        } else {
            Step::CloseSender
        }
    }

    fn read(&mut self) -> Result<(), SourceError> {
        if self.frames.awaits_room().is_some() && self.frames.has_events() {
            // Events before a large row do not wait with it.
            self.send_block();
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
                    self.send_block();
                }
                self.pacing.after(count, room, Instant::now()).into_iter().for_each(thread::sleep);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.await_more(),
            Err(error) => Err(SourceError::Lost(error)),
        }
    }

    /// The socket is empty: sends the events that there are, or waits for the server.
    fn await_more(&mut self) -> Result<(), SourceError> {
        if self.frames.has_events() {
            self.send_block();
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

    fn send_block(&mut self) {
        self.reader.progress.changes_received(self.reader.router.take_changes());
        if let Some(block) = self.frames.take() {
            self.reader.sender.offer(block);
        }
    }

    /// Confirms the durable position to PostgreSQL when a status update is due.
    fn confirm(&mut self) -> Result<(), SourceError> {
        let durable = *self.reader.durable.borrow();
        if let Some(update) = self.updates.due(durable) {
            self.connection.send(&update)?;
            self.reader.confirmed = durable;
            self.reader.progress.confirmed(durable);
        }
        Ok(())
    }

    fn idle(&mut self) {
        let Reader { durable, intake, .. } = &mut *self.reader;
        let (durable, intake) = (pin!(durable.changed()), pin!(intake.changed()));
        if let Some(Either::Right((Err(_), _))) = blocking_wait::wait_for(select(durable, intake), TICK) {
            // The sender of the intake is dropped, so `changed` returns at once: wait here instead.
            thread::sleep(TICK);
        }
    }

    /// Sends the last position and then the end of the stream: when the server answers the end, it has processed the
    /// position.
    fn finish(mut self) {
        let durable = *self.reader.durable.borrow();
        let update = self.updates.update(durable);
        let told = self.connection.send(&update);
        let ended =
            told.and_then(|()| self.connection.end_copy(self.frames.into_unread(), FINAL_CONFIRM_LIMIT));
        match ended {
            Ok(()) => {
                self.reader.confirmed = durable;
                self.reader.progress.confirmed(durable);
                self.connection.close();
            }
            // Nothing is lost: the next start reads a little again.
            Err(error) => tracing::warn!(lsn = %durable, error = %error, "last position was not confirmed"),
        }
    }
}
