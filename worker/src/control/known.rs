//! The state that both servers share: the job's progress, its constants, and the sender of requests.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use super::{Answer, Command, JobInfo, Request, rate::Rate};
use crate::progress::{Progress, View};

#[derive(Debug)]
pub(super) struct Known {
    pub(super) info: JobInfo,
    progress: Arc<Progress>,
    commands: mpsc::Sender<Request>,
    rate: Rate,
}

/// The job has ended and takes no requests any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

impl Known {
    pub(super) fn new(progress: Arc<Progress>, info: JobInfo, commands: mpsc::Sender<Request>) -> Self {
        Self { info, progress, commands, rate: Rate::default() }
    }

    pub(super) fn view(&self) -> View {
        self.progress.view()
    }

    /// Changes per second that became durable, over the last ten seconds.
    pub(super) fn changes_per_second(&self) -> f64 {
        self.rate.per_second()
    }

    pub(super) fn measure(&self) {
        self.rate.note(Instant::now(), self.progress.view().changes_done);
    }

    /// Sends a request to the job and waits for its answer until the caller drops the future.
    pub(super) async fn ask(&self, command: Command) -> Result<Answer, Ended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Request { command, answer }).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}
