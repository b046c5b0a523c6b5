//! The API server's time, as it was told last and counted on since.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// Then it is asked again: clocks drift, and are set.
const TRUSTED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct Clock(Mutex<Option<(Instant, Timestamp)>>);

impl Clock {
    /// None when it was told too long ago, or never.
    pub(super) fn now(&self) -> Option<Timestamp> {
        let told = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, then) = told.filter(|(at, _)| at.elapsed() < TRUSTED_FOR)?;
        then.checked_add(at.elapsed()).ok()
    }

    pub(super) fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), now));
    }
}
