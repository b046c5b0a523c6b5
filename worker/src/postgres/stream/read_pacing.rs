//! How long to let bytes gather before the next read.
//!
//! Every read that finds the server in the middle of sending costs the server more than it costs us: it sends
//! a message at a time, and wakes whoever waits for it. A pause lets it work undisturbed, and a long one lets the
//! window fill up, behind which its messages are put together before they are sent.

use std::time::{Duration, Instant};

/// For a stream that trickles: one wake-up of ours for the messages of a transaction.
const SHORT: Duration = Duration::from_micros(300);
/// For a stream in full flow: far less than a load takes, and a server fills the window in a fraction of it.
const LONG: Duration = Duration::from_millis(10);
/// How fast it flows is judged so often.
const BETWEEN_JUDGEMENTS: Duration = Duration::from_millis(50);
/// Bytes a second of a stream in full flow: some ten thousand small changes.
const FULL_FLOW: u128 = 2_000_000;
/// A read of so many bytes took what had been put together, and more of it is there or comes at once. What a network
/// brings first of it may be one packet.
const LARGE: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct ReadPacing {
    pause: Duration,
    judged: Instant,
    /// Bytes since then, and since the last pause.
    brought: usize,
    burst: usize,
}

impl ReadPacing {
    pub(super) fn new(now: Instant) -> Self {
        Self { pause: SHORT, judged: now, brought: 0, burst: 0 }
    }

    /// A read gave so many bytes where there was room for so many: how long to pause before the next.
    pub(super) fn after(&mut self, bytes: usize, room: usize, now: Instant) -> Option<Duration> {
        self.brought += bytes;
        self.burst += bytes;
        self.judge(now);
        if bytes >= LARGE || bytes == room {
            return None;
        }
        Some(if std::mem::take(&mut self.burst) >= LARGE { SHORT } else { self.pause })
    }

    fn judge(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.judged);
        if elapsed >= BETWEEN_JUDGEMENTS {
            let is_full = self.brought as u128 * 1_000_000 >= FULL_FLOW * elapsed.as_micros();
            (self.pause, self.judged, self.brought) = (if is_full { LONG } else { SHORT }, now, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 128 << 10;

    /// The pause after a second of reads of so many bytes, a millisecond apart.
    fn pause(bytes: usize) -> Option<Duration> {
        let begun = Instant::now();
        let mut pacing = ReadPacing::new(begun);
        let mut pause = None;
        (0..1000).for_each(|at| pause = pacing.after(bytes, ROOM, begun + Duration::from_millis(at)));
        pause
    }

    #[test]
    fn a_full_flow_is_given_long_pauses_and_a_trickle_short_ones() {
        assert_eq!(pause(2100), Some(LONG));
        assert_eq!(pause(1900), Some(SHORT));
    }

    #[test]
    fn a_flow_that_ends_is_given_short_ones_again() {
        let begun = Instant::now();
        let mut pacing = ReadPacing::new(begun);
        assert_eq!(pacing.after(LARGE * 32, ROOM, begun + BETWEEN_JUDGEMENTS), None);
        assert_eq!(
            pacing.after(1, ROOM, begun + BETWEEN_JUDGEMENTS),
            Some(SHORT),
            "the next window comes at once"
        );
        assert_eq!(pacing.after(1, ROOM, begun + BETWEEN_JUDGEMENTS), Some(LONG));
        assert_eq!(pacing.after(1, ROOM, begun + BETWEEN_JUDGEMENTS * 2), Some(SHORT));
    }

    #[test]
    fn a_window_that_comes_in_packets_is_read_to_its_end() {
        let (begun, packet) = (Instant::now(), 1448);
        let (mut pacing, mut now) = (ReadPacing::new(begun), begun + BETWEEN_JUDGEMENTS);
        for _ in 0..100 {
            assert_eq!(pacing.after(9 * packet, ROOM, now), None);
            assert_eq!(pacing.after(packet, ROOM, now), Some(SHORT));
            now += Duration::from_micros(500);
        }
        assert_eq!(pacing.after(packet, ROOM, now), Some(LONG), "the server had no more to put together");
    }

    #[test]
    fn what_was_put_together_is_read_without_a_pause() {
        let now = Instant::now();
        assert_eq!(ReadPacing::new(now).after(LARGE, ROOM, now), None);
        assert_eq!(ReadPacing::new(now).after(100, 100, now), None, "there was no room for more");
    }
}
