//! Decides between catch-up and the stream.

use std::time::{Duration, Instant};

use super::{CatchUp, Ended, Place};
use crate::{
    lsn::Lsn,
    postgres::{connection::Connection, error::SourceError, stream::Reader},
};

/// Age of a commit from which the stream may have a long backlog.
const FAR_BEHIND: Duration = Duration::from_secs(30);
/// Backlog below which a stream is as fast, because a chunk begins with a pause.
pub(super) const NEAR: u64 = 16 << 20;
/// The server decodes from the slot's restart position to its confirmed position again for every chunk. Above this many
/// bytes the stream is faster, which does it once: a transaction that was open for long holds the restart position back.
pub(super) const MOST_DECODED_AGAIN: u64 = 1 << 30;

impl Reader {
    pub(in crate::postgres::stream) fn catch_up_pays(&self, slot: Place, server: Lsn) -> bool {
        let is_refused = self.refusals.stand(Instant::now());
        !is_refused && pays(slot, self.position(), server, self.config.catch_up)
    }

    /// Returns the session for the stream; `None` when a new one has to be opened.
    pub(in crate::postgres::stream) fn catch_up(
        &mut self,
        connection: Connection,
        slot: Place,
    ) -> Result<Option<Connection>, SourceError> {
        match CatchUp::new(self, connection, slot).run() {
            Ok(Ended::Near(connection)) => {
                self.refusals = Refusals::none();
                Ok(Some(connection))
            }
            Ok(Ended::Left) => Ok(None),
            Ok(Ended::TooSlow(connection)) => {
                self.refused("the server decodes too much for every chunk");
                Ok(Some(connection))
            }
            Err(SourceError::Server(error)) if is_refusal(&error.code) => {
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
        tracing::warn!(slot = %self.config.slot, error = why, ?pause, "catch-up failed, streaming instead");
    }

    /// Whether the received commits are old, and the server was last seen so far ahead that catch-up is faster.
    pub(in crate::postgres::stream) fn fell_behind(&self) -> bool {
        let age = self.router.commit_time().and_then(|time| time.elapsed().ok());
        if age.is_none_or(|age| age < FAR_BEHIND) {
            return false;
        }
        let seen = self.progress.slot_place();
        seen.is_some_and(|(restart, confirmed, server)| {
            self.catch_up_pays(Place { restart, confirmed }, server)
        })
    }
}

/// Whether the error means that the server cannot do catch-up, or cannot finish it. The stream then continues as far as
/// possible, and reports the error there.
fn is_refusal(code: &str) -> bool {
    let is_cut = ["08", "57P"].iter().any(|class| code.starts_with(class));
    !is_cut && !matches!(code, "55006" | "42704")
}

/// Whether catch-up is faster than the stream: the backlog is long enough, and little of it is decoded repeatedly.
fn pays(slot: Place, position: Lsn, server: Lsn, above: Option<u64>) -> bool {
    let is_long = |above: u64| server.0.saturating_sub(position.0) > above.max(NEAR);
    let reached = Place { confirmed: position.max(slot.confirmed), ..slot };
    above.is_some_and(is_long) && reached.decoded_again() <= MOST_DECODED_AGAIN
}

/// After catch-up failed or was too slow, it is not tried for 5 min, doubling to 1 h; the backlog is streamed.
#[derive(Debug)]
pub(in crate::postgres::stream) struct Refusals {
    pause: Duration,
    until: Option<Instant>,
}

const FIRST_PAUSE: Duration = Duration::from_secs(300);

const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Refusals {
    pub(in crate::postgres::stream) fn none() -> Self {
        Self { pause: FIRST_PAUSE, until: None }
    }

    /// Records a failure; returns how long catch-up is not tried from now on.
    pub(in crate::postgres::stream) fn add(&mut self, now: Instant) -> Duration {
        let pause = self.pause;
        self.until = Some(now + pause);
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    pub(in crate::postgres::stream) fn stand(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(restart: u64, confirmed: u64) -> Place {
        Place { restart: Lsn(restart), confirmed: Lsn(confirmed) }
    }

    #[test]
    fn only_a_long_backlog_is_caught_up_with_and_only_when_asked_for() {
        let (slot, behind) = (at(900, 1000), Lsn(1000 + NEAR * 2));
        assert!(pays(slot, Lsn(1000), behind, Some(0)));
        assert!(!pays(slot, Lsn(1000), behind, Some(NEAR * 2)));
        assert!(!pays(slot, Lsn(1000), Lsn(1000 + NEAR), Some(0)));
        assert!(!pays(slot, Lsn(1000), Lsn(u64::MAX), None));
        assert!(!pays(slot, behind, Lsn(1000), Some(0)));
    }

    #[test]
    fn a_slot_that_begins_far_behind_is_streamed() {
        let reached = MOST_DECODED_AGAIN + 1000;
        for (slot, position, expected) in [
            (at(1000, reached), reached, true),
            (at(999, reached), reached, false),
            // Read and not confirmed counts too: the copy is advanced over it.
            (at(1000, 2000), reached, true),
            (at(1000, 2000), reached + 1, false),
            (at(1000, reached + 1), 0, false),
        ] {
            assert_eq!(pays(slot, Lsn(position), Lsn(u64::MAX), Some(0)), expected, "{slot:?} {position}");
        }
    }

    #[test]
    fn whatever_the_server_cannot_do_is_a_refusal_and_a_cut_session_is_none() {
        assert!(["53400", "53100", "42501", "22021", "57014", "XX000"].iter().all(|code| is_refusal(code)));
        assert!(!["57P01", "57P05", "08006", "55006", "42704"].iter().any(|code| is_refusal(code)));
    }

    #[test]
    fn after_every_refusal_the_stream_has_a_longer_turn() {
        let (mut refusals, now) = (Refusals::none(), Instant::now());
        assert!(!refusals.stand(now));
        let pauses: Vec<_> = (0..6).map(|_| refusals.add(now)).collect();
        assert_eq!(
            pauses.iter().map(Duration::as_secs).collect::<Vec<_>>(),
            [300, 600, 1200, 2400, 3600, 3600]
        );
        assert!(refusals.stand(now + LONGEST_PAUSE - Duration::from_secs(1)));
        assert!(!refusals.stand(now + LONGEST_PAUSE));
    }
}
