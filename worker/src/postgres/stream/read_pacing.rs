//! Pauses between reads, during which bytes gather in the kernel.
//!
//! A read while the server is sending costs the server more than it costs this worker: it sends one message at a time,
//! and each send wakes the waiting reader. A pause avoids these wake-ups, and a long pause lets the TCP window fill up,
//! so that the kernel of the server combines further messages before it sends them.

use std::time::{Duration, Instant};

/// For a slow stream: one wake-up of the reader for the messages of a transaction.
const SHORT: Duration = Duration::from_micros(300);
/// For a stream in full flow: far less than a load takes, and a server fills the window in a fraction of it (10 ms).
const LONG: Duration = Duration::from_millis(10);
/// Interval at which the rate is measured.
const RATE_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes per second from which a stream is in full flow: about 10,000 small changes.
const FULL_FLOW: u128 = 2_000_000;
/// A read of at least this many bytes returned combined messages, and more of them follow at once. The first read of
/// them may return a single packet.
const LARGE: usize = 4 << 10;

#[derive(Debug)]
pub(super) struct ReadPacing {
    pause: Duration,
    measured: Instant,
    /// Bytes since then, and since the last pause.
    brought: usize,
    burst: usize,
}

impl ReadPacing {
    pub(super) fn new(now: Instant) -> Self {
        Self { pause: SHORT, measured: now, brought: 0, burst: 0 }
    }

    /// The pause before the next read, after a read of `bytes` into `room`.
    pub(super) fn after(&mut self, bytes: usize, room: usize, now: Instant) -> Option<Duration> {
        self.brought += bytes;
        self.burst += bytes;
        self.measure(now);
        if bytes >= LARGE || bytes == room {
            return None;
        }
        Some(if std::mem::take(&mut self.burst) >= LARGE { SHORT } else { self.pause })
    }

    fn measure(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.measured);
        if elapsed >= RATE_INTERVAL {
            let is_full = self.brought as u128 * 1_000_000 >= FULL_FLOW * elapsed.as_micros();
            (self.pause, self.measured, self.brought) = (if is_full { LONG } else { SHORT }, now, 0);
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
        assert_eq!(pacing.after(LARGE * 32, ROOM, begun + RATE_INTERVAL), None);
        assert_eq!(
            pacing.after(1, ROOM, begun + RATE_INTERVAL),
            Some(SHORT),
            "the next window comes at once"
        );
        assert_eq!(pacing.after(1, ROOM, begun + RATE_INTERVAL), Some(LONG));
        assert_eq!(pacing.after(1, ROOM, begun + RATE_INTERVAL * 2), Some(SHORT));
    }

    #[test]
    fn a_window_that_comes_in_packets_is_read_to_its_end() {
        let (begun, packet) = (Instant::now(), 1448);
        let (mut pacing, mut now) = (ReadPacing::new(begun), begun + RATE_INTERVAL);
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
