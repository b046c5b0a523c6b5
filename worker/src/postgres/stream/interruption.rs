//! What an interrupted stream reports: a fault that is retried, or the end of the reader.

use std::time::{Duration, Instant};

use crds::Reason;

use super::{Reader, unsendable};
use crate::{
    fault::{Course, Fault, Part},
    lsn::Lsn,
    postgres::error::{SourceError, is_invalid_text},
    slot_lease::SlotHold,
};

/// A slot in use is reported after this time: this worker's previous session may need a moment to end.
const SLOT_IN_USE_GRACE: Duration = Duration::from_secs(10);

impl Reader {
    /// Clears the fault of a failing server once the stream has passed the position.
    pub(super) fn heard(&mut self, received: Lsn) {
        if self.failing.is_some_and(|failing| received >= failing) {
            self.failing = None;
            self.progress.clear(&Part::Source);
        }
    }

    fn lost(&self) {
        let is_held = |hold: &SlotHold| matches!(hold, SlotHold::Held(_));
        self.hold.send_if_modified(|hold| is_held(hold) && is_held(&std::mem::replace(hold, SlotHold::Lost)));
    }

    /// Reports a retryable fault; returns any other as an error.
    pub(super) fn report(&mut self, error: SourceError) -> Result<(), Fault> {
        self.lost();
        self.progress.set_streaming(false);
        // The slot has to be checked, or the publication created, by a new setup.
        let needs_setup = matches!(error, SourceError::Moved(_)) || error.is_missing_publication();
        let fault = self.named(error);
        if fault.course == Course::Halt || needs_setup {
            return Err(fault);
        }
        if fault.reason == Reason::SlotInUse {
            let since = *self.slot_in_use_since.get_or_insert_with(Instant::now);
            if since.elapsed() < SLOT_IN_USE_GRACE {
                return Ok(());
            }
        } else {
            self.slot_in_use_since = None;
        }
        if self.progress.raise(fault.clone()) {
            tracing::warn!(slot = %self.config.slot, error = %fault, "stream interrupted, retrying");
        }
        Ok(())
    }

    fn named(&mut self, error: SourceError) -> Fault {
        let error = match error {
            SourceError::Stream(error) if is_invalid_text(&error) => error,
            other => return other.fault(&self.config),
        };
        if let Some((known, fault)) = &self.unsendable
            && *known == error
        {
            return fault.clone();
        }
        let fault = unsendable::name(&error, &self.config);
        self.unsendable = Some((error, fault.clone()));
        fault
    }
}
