//! Lets a table fall behind that blocks all others, and has its changes read again.

use std::time::{Duration, Instant};

use tracing::warn;

use super::{Pipeline, now};
use crate::pipeline::{
    Load,
    fault::behind,
    lane::Lane,
    scheduler::{STUCK_AFTER, blocking_lane},
};

/// A table whose load was aborted to make room is read and loaded again after this time.
pub(super) const UNTIL_READ_AGAIN: Duration = Duration::from_secs(300);

impl<L: Load> Pipeline<L> {
    /// Marks tables as behind that block all others.
    pub(super) fn unblock_others(&mut self) {
        let now = now();
        if self.read_again_at.is_some_and(|at| at <= now) {
            self.read_again_at = None;
            self.read_again.notify_one();
        }
        while !self.has_room()
            && let Some(place) = blocking_lane(&self.lanes, self.buffer, self.last_completed, now)
        {
            self.fall_behind(place, now);
        }
    }

    fn fall_behind(&mut self, place: usize, now: Instant) {
        let Some(lane) = self.lanes.get_mut(place) else { return };
        let fault = behind(lane.table(), STUCK_AFTER);
        warn!(table = %lane.table().name, held = lane.held_bytes(), "table fell behind; other tables continue");
        lane.fall_behind(&mut self.ledger);
        let id = lane.table().id;
        self.progress.raise(fault);
        let kept = self.lanes.iter().filter(|lane| lane.is_behind()).map(Lane::in_flight_bytes);
        if kept.sum::<usize>() > self.buffer / 2 {
            // Tasks of tables that are behind take more than half of the buffer: abort this one, and read it again
            // later with the changes that were discarded.
            self.tasks.give_up(id);
            self.read_again_at.get_or_insert(now + UNTIL_READ_AGAIN);
        }
    }
}
