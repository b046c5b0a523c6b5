//! Ends one session in order, so that another begins: closes the intake of that session only.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::watch;

use crate::postgres::Intake;

/// Forwards the supervisor's intake to one session, and can close it for that session only.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) seen: watch::Sender<Intake>,
    pub(super) restarts: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn new(intake: &watch::Receiver<Intake>) -> Self {
        Self { seen: watch::Sender::new(*intake.borrow()), restarts: Arc::default() }
    }

    /// Runs as long as the session does; never returns.
    pub(super) async fn run(
        &self,
        mut intake: watch::Receiver<Intake>,
        restart_due: impl Future<Output = ()>,
    ) {
        tokio::pin!(restart_due);
        loop {
            tokio::select! {
                changed = intake.changed() => {
                    let now = *intake.borrow_and_update();
                    self.seen.send_replace(if changed.is_ok() { now } else { Intake::Closed });
                    if changed.is_err() {
                        break;
                    }
                }
                () = &mut restart_due => {
                    self.restarts.store(true, Relaxed);
                    self.seen.send_replace(Intake::Closed);
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}
