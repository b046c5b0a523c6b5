//! Status updates: when they are due and what they contain.
//!
//! In a stream only they let PostgreSQL remove WAL: `write` is the received position, `flush` and `apply` are the
//! durable position.

use std::time::{Duration, Instant, SystemTime};

use crate::{
    lsn::Lsn,
    postgres::{
        connection::{Connection, message},
        error::SourceError,
        pgoutput::postgres_micros,
    },
};

/// A server with nothing to send is asked for an answer at this interval, so that a dead connection is noticed.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// The least time between two updates of a durable position that moves all the time.
const BETWEEN_MOVES: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct StatusUpdates {
    interval: Duration,
    sent: Option<Instant>,
    received: Lsn,
    durable: Lsn,
    asked: bool,
}

/// A third of `wal_sender_timeout`, and at most 3 s.
pub(super) fn interval(connection: &mut Connection) -> Result<Duration, SourceError> {
    let rows =
        connection.query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'")?;
    let millis = rows.first().map(|row| row.parse::<u64>(0)).transpose()?.unwrap_or_default();
    // Zero stands for no time-out.
    let third = Duration::from_millis(if millis == 0 { u64::MAX } else { millis / 3 });
    Ok(third.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL))
}

impl StatusUpdates {
    pub(super) fn new(interval: Duration) -> Self {
        let (received, durable) = (Lsn::default(), Lsn::default());
        Self { interval, sent: None, received, durable, asked: false }
    }

    pub(super) fn received(&mut self, lsn: Lsn) {
        self.received = self.received.max(lsn);
    }

    /// The server requested an update at once.
    pub(super) fn asked(&mut self) {
        self.asked = true;
    }

    /// The update to send now, if any.
    pub(super) fn due(&mut self, durable: Lsn) -> Option<Vec<u8>> {
        let quiet = self.sent.map_or(Duration::MAX, |sent| sent.elapsed());
        let moved = durable != self.durable && quiet >= BETWEEN_MOVES;
        let wants_answer = quiet >= self.interval;
        (self.asked || moved || wants_answer).then(|| self.written(durable, wants_answer))
    }

    /// The update, due or not.
    pub(super) fn update(&mut self, durable: Lsn) -> Vec<u8> {
        self.written(durable, false)
    }

    fn written(&mut self, durable: Lsn, wants_answer: bool) -> Vec<u8> {
        (self.sent, self.durable, self.asked) = (Some(Instant::now()), durable, false);
        // PostgreSQL expects write to be at least flush.
        let received = self.received.max(durable);
        message(b'd', |body| {
            body.push(b'r');
            for lsn in [received, durable, durable] {
                body.extend(lsn.0.to_be_bytes());
            }
            body.extend(postgres_micros(SystemTime::now()).to_be_bytes());
            body.push(u8::from(wants_answer));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_says_what_is_durable_and_no_more() {
        let mut updates = StatusUpdates::new(LONGEST_INTERVAL);
        updates.received(Lsn(0x50));
        let update = updates.update(Lsn(0x30));
        let lsn = |at: usize| u64::from_be_bytes(update[at..at + 8].try_into().unwrap());
        assert_eq!((lsn(6), lsn(14), lsn(22)), (0x50, 0x30, 0x30));
        assert_eq!(update.len(), 1 + 4 + 34);
    }

    #[test]
    fn it_is_due_by_the_clock_when_asked_and_when_the_position_moved() {
        let mut updates = StatusUpdates::new(LONGEST_INTERVAL);
        assert!(updates.due(Lsn(1)).is_some());
        assert!(updates.due(Lsn(1)).is_none());
        updates.asked();
        assert!(updates.due(Lsn(1)).is_some());
        updates.sent = Instant::now().checked_sub(BETWEEN_MOVES);
        assert!(updates.due(Lsn(1)).is_none());
        assert!(updates.due(Lsn(2)).is_some());
        updates.sent = Instant::now().checked_sub(LONGEST_INTERVAL);
        let update = updates.due(Lsn(2)).unwrap();
        assert_eq!(update.last(), Some(&1), "a quiet server is asked to answer");
        updates.asked();
        assert_eq!(updates.due(Lsn(2)).unwrap().last(), Some(&0));
    }
}
