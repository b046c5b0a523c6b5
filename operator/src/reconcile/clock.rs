//! The API server's time, as it was told last and counted on since.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;

use crate::cadence::CLOCK_FRESH;

#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<(Instant, Timestamp)>>);

impl Clock {
    /// None when it was told too long ago, or never.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, then) = told.filter(|(at, _)| at.elapsed() < CLOCK_FRESH)?;
        then.checked_add(at.elapsed()).ok()
    }

    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), now));
    }
}
