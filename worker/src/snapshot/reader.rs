//! A session that reads rows, used from the runtime: each use runs on a thread of its own.

use crds::Reason;

use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    postgres::copy::CopySession,
};

/// Opens the session when it is needed. After a fault the next use has a new one.
#[derive(Debug)]
pub(super) struct Reader {
    config: SourceConfig,
    session: Option<CopySession>,
}

impl Reader {
    pub(super) fn new(config: SourceConfig) -> Self {
        Self { config, session: None }
    }

    /// Runs `work` with the session. Dropping the future does not end the work.
    pub(super) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut CopySession) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (session, config) = (self.session.take(), self.config.clone());
        let worked = tokio::task::spawn_blocking(move || {
            let mut session = session.map_or_else(|| CopySession::open(&config), Ok)?;
            work(&mut session).map(|done| (session, done))
        });
        let (session, done) = worked.await.map_err(|_| panicked())??;
        self.session = Some(session);
        Ok(done)
    }

    /// Ends the session.
    pub(super) fn end(&mut self) {
        self.session = None;
    }
}

fn panicked() -> Fault {
    Fault::retry(
        Part::Job,
        Reason::InternalDefect,
        "a thread that copies rows panicked",
        "report it with the worker's log; the worker tries again by itself",
    )
}
