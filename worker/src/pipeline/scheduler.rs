//! Whose turn it is: how many tables are loaded at once, and which table keeps all others waiting.
//!
//! Pure; the clock is passed in. One buffer holds the changes of all tables. A table whose load is refused without
//! end fills it, and then nothing is read for the others either. Such a table falls behind: see
//! [`Lane::fall_behind`].

use std::time::{Duration, Instant};

use super::lane::Lane;

/// Loads at once, of all tables. A backend serves some 48 requests at a time, each for as long as its load takes.
pub(super) const AT_ONCE: usize = 32;
/// With those that are stuck, which mostly wait and do not load.
const MOST_UNDER_WAY: usize = 256;
/// What is under way for longer does not come to an end by itself soon.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(30);
/// A sink that has taken nothing meanwhile may be down altogether, and come back.
const OUTAGE: Duration = Duration::from_secs(300);

/// The tasks of all lanes at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    young: usize,
    stuck: usize,
    /// When the next of the young ones is stuck.
    next_stuck: Option<Instant>,
}

impl Traffic {
    pub(super) fn of(lanes: &[Lane], now: Instant) -> Self {
        let since = || lanes.iter().filter_map(Lane::under_way_since);
        let is_stuck = |since: &Instant| is_over(*since, STUCK_AFTER, now);
        let young = since().filter(|since| !is_stuck(since));
        Self {
            young: young.clone().count(),
            stuck: since().filter(is_stuck).count(),
            next_stuck: young.min().map(|since| since + STUCK_AFTER),
        }
    }

    /// One more may begin.
    pub(super) fn has_room(&self) -> bool {
        self.young < AT_ONCE && self.young + self.stuck < MOST_UNDER_WAY
    }

    pub(super) fn began(&mut self) {
        self.young += 1;
    }

    /// Something is under way that is not stuck.
    pub(super) fn makes_room_soon(&self) -> bool {
        self.young > 0
    }

    pub(super) fn next_stuck(&self) -> Option<Instant> {
        self.next_stuck
    }
}

/// The table for which all others wait, while the buffer is full: what it has under way is stuck, and it holds more
/// than its share of the buffer. Where the sink may take nothing of anybody, that is waited out for longer. One table
/// always stays, so that reading stops while nothing can be loaded at all.
pub(super) fn in_the_way(
    lanes: &[Lane],
    buffer: usize,
    last_landed: Option<Instant>,
    now: Instant,
) -> Option<usize> {
    let flowing = || lanes.iter().enumerate().filter(|(_, lane)| lane.flows());
    if flowing().count() < 2 {
        return None;
    }
    let share = buffer / lanes.len();
    let blocks = |lane: &Lane| {
        let since = lane.under_way_since();
        let limit = if last_landed >= since { STUCK_AFTER } else { OUTAGE };
        lane.held_bytes() >= share && since.is_some_and(|since| is_over(since, limit, now))
    };
    let blocking = flowing().filter(|(_, lane)| blocks(lane));
    blocking.max_by_key(|(_, lane)| lane.held_bytes()).map(|(place, _)| place)
}

fn is_over(since: Instant, limit: Duration, now: Instant) -> bool {
    now.saturating_duration_since(since) >= limit
}
