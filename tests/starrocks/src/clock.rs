//! The server's clock: the machine's clock plus the time that a test has added.
//!
//! Labels are kept for days and loads time out after hours (§6.2); a test advances the clock instead of waiting.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_millis: AtomicI64,
}

impl Clock {
    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        Timestamp::now().as_millisecond().saturating_add(self.ahead_millis.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        self.ahead_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

/// `2026-11-22 14:53:08`, as SHOW statements print it.
pub(crate) fn print_seconds(millis: i64) -> String {
    let moment = Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned(TimeZone::UTC);
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
