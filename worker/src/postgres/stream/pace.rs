//! How long to let bytes gather before the next read.
//!
//! Every read that finds the server in the middle of sending costs the server more than it costs us: it sends
//! a message at a time, and wakes whoever waits for it. A pause lets it work undisturbed, and a long one lets the
//! window fill up, behind which its messages are put together before they are sent.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_micros(300);
/// Far less than a load takes, and enough for a server in full flow to fill the window.
const LONGEST: Duration = Duration::from_millis(5);
/// A pause that brought so many bytes is followed by one twice as long, another by one half as long.
const MUCH: usize = 1 << 10;
/// A read of so many bytes took what had been put together, and more of it is likely to be there.
const LARGE: usize = 16 << 10;

#[derive(Debug)]
pub(super) struct Pace {
    pause: Duration,
    brought: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { pause: SHORTEST, brought: 0 }
    }

    /// A read gave so many bytes where there was room for so many: how long to pause before the next.
    pub(super) fn after(&mut self, bytes: usize, room: usize) -> Option<Duration> {
        self.brought += bytes;
        if bytes >= LARGE || bytes == room {
            return None;
        }
        let next = if std::mem::take(&mut self.brought) < MUCH { self.pause / 2 } else { self.pause * 2 };
        self.pause = next.clamp(SHORTEST, LONGEST);
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 128 << 10;

    fn pauses(reads: &[usize]) -> Vec<u128> {
        let mut pace = Pace::new();
        let pauses = reads.iter().filter_map(|bytes| pace.after(*bytes, ROOM));
        pauses.map(|pause| pause.as_micros()).collect()
    }

    #[test]
    fn a_full_flow_is_given_ever_longer_pauses_up_to_a_limit() {
        assert_eq!(pauses(&[MUCH; 6]), [600, 1200, 2400, 4800, 5000, 5000]);
    }

    #[test]
    fn a_trickle_is_given_ever_shorter_ones() {
        assert_eq!(pauses(&[MUCH, MUCH, 1, 1, 1, MUCH - 1]), [600, 1200, 600, 300, 300, 300]);
    }

    #[test]
    fn what_was_put_together_is_read_without_a_pause() {
        assert_eq!(pauses(&[LARGE, LARGE, 1]), [600], "what large reads brought counts, too");
        assert_eq!(Pace::new().after(100, 100), None, "there was no room for more");
    }
}
