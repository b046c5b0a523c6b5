//! The state that both servers share: the job's progress, its constants, and the sender of requests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Answer, Command, JobInfo, Request, rate::Rate, words};
use crate::{
    progress::{Progress, View},
    table::TableName,
};

/// A session ends in order and another begins within this time, unless something is in the way.
const UNTIL_RECORDED: Duration = Duration::from_secs(25);

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

    /// Asks for copies of tables. A request that is not recorded in time is not taken up, as far as that is known.
    pub(super) async fn ask_for_copies(
        &self,
        tables: Vec<TableName>,
        request: String,
    ) -> Result<Answer, Ended> {
        match timeout(UNTIL_RECORDED, self.ask(Command::Snapshot { tables, request })).await {
            Ok(answered) => answered,
            Err(_) => Ok(Answer { success: false, message: self.not_recorded() }),
        }
    }

    fn not_recorded(&self) -> String {
        let view = self.view();
        let why = words::worst_fault(&view).map(|fault| format!(" ({}: {})", fault.reason, fault.message));
        format!(
            "the request could not be recorded within {} s{}; ask again, best with the same name",
            UNTIL_RECORDED.as_secs(),
            why.unwrap_or_default()
        )
    }
}
