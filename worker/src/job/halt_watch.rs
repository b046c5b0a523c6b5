//! A session is ended in order so that another begins, as if its intake were closed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::watch;

use crate::postgres::Intake;

/// Passes the intake on to one session, and closes it for that session alone.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) seen: watch::Sender<Intake>,
    pub(super) again: Arc<AtomicBool>,
}

impl Relay {
    pub(super) fn new(intake: &watch::Receiver<Intake>) -> Self {
        Self { seen: watch::Sender::new(*intake.borrow()), again: Arc::default() }
    }

    /// Runs as long as the session; never ends by itself.
    pub(super) async fn run(&self, mut intake: watch::Receiver<Intake>, mended: impl Future<Output = ()>) {
        tokio::pin!(mended);
        loop {
            tokio::select! {
                changed = intake.changed() => {
                    let now = *intake.borrow_and_update();
                    self.seen.send_replace(if changed.is_ok() { now } else { Intake::Closed });
                    if changed.is_err() {
                        break;
                    }
                }
                () = &mut mended => {
                    self.again.store(true, Relaxed);
                    self.seen.send_replace(Intake::Closed);
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}
