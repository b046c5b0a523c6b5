//! The API server's time: last read from it, advanced by the local clock since.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;

use crate::cadence::CLOCK_FRESH;

#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<(Instant, Timestamp)>>);

impl Clock {
    /// `None` when it was never read, or too long ago.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, then) = reading.filter(|(at, _)| at.elapsed() < CLOCK_FRESH)?;
        then.checked_add(at.elapsed()).ok()
    }

    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), now));
    }
}
