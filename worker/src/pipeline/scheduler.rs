//! Decides how many tables are loaded at once, and which table blocks all others.
//!
//! Pure; the clock is passed in. One buffer holds the changes of all tables. A table whose load does not end fills the
//! buffer, and then nothing is read for the other tables either. Such a table falls behind: see [`Lane::fall_behind`].

use std::time::{Duration, Instant};

use super::lane::Lane;

/// Tasks in flight that are not stuck, of all tables. A backend serves about 48 requests at a time, each as long as its
/// load takes.
pub(super) const AT_ONCE: usize = 32;
/// Tasks in flight including stuck ones, which mostly wait and do not load.
const MOST_IN_FLIGHT: usize = 256;
/// A task that has been in flight for longer is stuck: it is not expected to end soon.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(30);
/// The limit where no task of any table has completed since: the whole sink may be down for a while.
const OUTAGE: Duration = Duration::from_secs(300);

/// Counts of the tasks in flight at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    active: usize,
    stuck: usize,
    /// When the next active task becomes stuck.
    next_stuck: Option<Instant>,
}

impl Traffic {
    pub(super) fn of(lanes: &[Lane], now: Instant) -> Self {
        let since = || lanes.iter().filter_map(Lane::in_flight_since);
        let is_stuck = |since: &Instant| is_over(*since, STUCK_AFTER, now);
        let active = since().filter(|since| !is_stuck(since));
        Self {
            active: active.clone().count(),
            stuck: since().filter(is_stuck).count(),
            next_stuck: active.min().map(|since| since + STUCK_AFTER),
        }
    }

    /// Whether one more task may begin.
    pub(super) fn has_room(&self) -> bool {
        self.active < AT_ONCE && self.active + self.stuck < MOST_IN_FLIGHT
    }

    pub(super) fn began(&mut self) {
        self.active += 1;
    }

    /// Whether a task is in flight that is not stuck.
    pub(super) fn makes_room_soon(&self) -> bool {
        self.active > 0
    }

    pub(super) fn next_stuck(&self) -> Option<Instant> {
        self.next_stuck
    }
}

/// The table that blocks all others while the buffer is full: its task is stuck, and it holds at least its share of the
/// buffer. Where no task of any table has completed since, the limit is [`OUTAGE`]. The last table that takes changes
/// is never chosen, so that reading stops while nothing can be loaded at all.
pub(super) fn blocking_lane(
    lanes: &[Lane],
    buffer: usize,
    last_completed: Option<Instant>,
    now: Instant,
) -> Option<usize> {
    let flowing = || lanes.iter().enumerate().filter(|(_, lane)| lane.flows());
    if flowing().count() < 2 {
        return None;
    }
    let share = buffer / lanes.len();
    let blocks = |lane: &Lane| {
        let since = lane.in_flight_since();
        let limit = if last_completed >= since { STUCK_AFTER } else { OUTAGE };
        lane.held_bytes() >= share && since.is_some_and(|since| is_over(since, limit, now))
    };
    let blocking = flowing().filter(|(_, lane)| blocks(lane));
    blocking.max_by_key(|(_, lane)| lane.held_bytes()).map(|(place, _)| place)
}

fn is_over(since: Instant, limit: Duration, now: Instant) -> bool {
    now.saturating_duration_since(since) >= limit
}
