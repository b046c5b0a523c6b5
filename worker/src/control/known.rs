//! What both servers know: the job's progress, what never changes, and where requests go.

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

/// The job has ended; nobody is left to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

impl Known {
    pub(super) fn new(progress: Arc<Progress>, info: JobInfo, commands: mpsc::Sender<Request>) -> Self {
        Self { info, progress, commands, rate: Rate::default() }
    }

    pub(super) fn view(&self) -> View {
        self.progress.view()
    }

    /// Changes a second that became durable, over the last ten seconds.
    pub(super) fn changes_per_second(&self) -> f64 {
        self.rate.per_second()
    }

    pub(super) fn measure(&self) {
        self.rate.note(Instant::now(), self.progress.view().changes_done);
    }

    /// Asks the job, and waits for its answer as long as the one who asks does.
    pub(super) async fn ask(&self, command: Command) -> Result<Answer, Ended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Request { command, answer }).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}
