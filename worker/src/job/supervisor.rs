//! Turns requests and signals into an open, paused or closed intake, and ends the job in order.
//!
//! Order of a stop: stop reading, load what is held, confirm it, end the session loop; then, if requested, drop the
//! slot.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};
use tracing::{info, warn};

use super::{
    Removal, claims, completion, remove,
    requests::{Asked, Inputs, Requests},
    session_loop,
};
use crate::{
    config::{BatchChange, BatchConfig, JobConfig},
    control::{Answer, Command, Request},
    postgres::{self, DropObjects, Intake},
    progress::{Progress, Sizes, State},
    table::TableName,
};

/// Interval at which the supervisor reports that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Serves requests until a signal ends the job. A job that was stopped by request keeps running to answer requests:
/// if the process ended, Kubernetes would restart it.
pub(super) async fn run(
    config: JobConfig,
    progress: Arc<Progress>,
    mut requests: mpsc::Receiver<Request>,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut supervisor = Supervisor::open(config, progress);
    let mut heartbeat = interval(HEARTBEAT);
    loop {
        supervisor.progress.beat();
        match supervisor.completion {
            // In a pod the process would be started again.
            Completion::Done if supervisor.config.listen.http_commands => return Ok(()),
            Completion::Failed => {
                anyhow::bail!(
                    "not everything that was copied could be loaded to its end; start again to continue"
                )
            }
            _ => {}
        }
        tokio::select! {
            _ = heartbeat.tick() => supervisor.look_for_completion().await,
            () = either(&mut terminate, &mut interrupt) => break,
            Some(request) = requests.recv() => supervisor.serve(request),
            Some(ended) = supervisor.session_loop.join_next() => {
                supervisor.end = End::of(ended.unwrap_or(false));
                supervisor.stopped().await;
            }
            () = sleep_until(supervisor.deadline) => supervisor.give_up().await,
        }
    }
    info!("SIGTERM or SIGINT received, draining");
    supervisor.shut_down().await;
    Ok(())
}

/// How a job that copies once comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completion {
    /// Not a job of this kind, or not everything is copied.
    No,
    /// It drains because everything is copied.
    Draining,
    /// Everything is durable; it is to be recorded, and the slot dropped.
    Due,
    Done,
    /// The drain has not loaded everything.
    Failed,
}

/// How the session loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Everything received is durable and confirmed.
    Whole,
    /// Some received changes cannot be loaded now: a table is halted, or source or sink has a fault.
    Incomplete,
    /// The drain took too long.
    GivenUp,
}

impl End {
    fn of(is_whole: bool) -> Self {
        if is_whole { Self::Whole } else { Self::Incomplete }
    }
}

struct Supervisor {
    config: JobConfig,
    progress: Arc<Progress>,
    intake: watch::Sender<Intake>,
    batch: watch::Sender<BatchConfig>,
    tables: watch::Sender<Vec<TableName>>,
    requests: Requests,
    session_loop: JoinSet<bool>,
    /// When a drain is given up; a year away while there is none.
    deadline: Instant,
    end: End,
    completion: Completion,
    pending: Vec<(Option<Removal>, oneshot::Sender<Answer>)>,
}

impl Supervisor {
    fn open(config: JobConfig, progress: Arc<Progress>) -> Self {
        let first = if config.paused { Intake::Paused } else { Intake::Open };
        progress.set_state(if config.paused { State::Paused } else { State::Running });
        let (intake, taken) = watch::channel(first);
        let (batch, sizes) = watch::channel(config.batch);
        let (tables, selected) = watch::channel(config.source.tables.clone());
        show(config.batch, &progress);
        let (mut session_loop, requests) = (JoinSet::new(), Requests::default());
        let inputs = Inputs { batch: sizes, tables: selected, requests: requests.clone() };
        session_loop.spawn(session_loop::run(config.clone(), taken, inputs, Arc::clone(&progress)));
        let deadline = far_away();
        let (end, pending, completion) = (End::Whole, Vec::new(), Completion::No);
        Self {
            config,
            progress,
            intake,
            batch,
            tables,
            requests,
            session_loop,
            deadline,
            end,
            completion,
            pending,
        }
    }

    async fn look_for_completion(&mut self) {
        match self.completion {
            Completion::No if completion::is_due(&self.config, &self.progress) => {
                info!("every table is copied, and the job does nothing else: draining");
                self.completion = Completion::Draining;
                self.begin_drain();
            }
            Completion::Due => self.complete().await,
            _ => {}
        }
    }

    async fn complete(&mut self) {
        match completion::complete(&self.config, &self.progress).await {
            Ok(()) => {
                info!("complete: every table is copied, and the slot is dropped");
                self.progress.clear_all();
                self.progress.set_completed();
                self.completion = Completion::Done;
            }
            Err(fault) => {
                warn!(reason = %fault.reason, fix = %fault.fix, "could not end the job, trying again: {}", fault.message);
                self.progress.raise(fault);
            }
        }
    }

    fn serve(&mut self, request: Request) {
        let Request { command, answer } = request;
        match command {
            Command::Pause => self.switch(State::Running, State::Paused, Intake::Paused, answer),
            Command::Resume => self.switch(State::Paused, State::Running, Intake::Open, answer),
            Command::Reload { batch, tables } => self.reload(batch, tables, answer),
            Command::Snapshot { tables, request } => self.copy_anew(tables, request, answer),
            Command::DrainAndStop => self.drain(None, answer),
            Command::Stop { keep_slot, keep_publication, release_past } => {
                let objects = DropObjects { slot: !keep_slot, publication: !keep_slot && !keep_publication };
                self.drain(Some(Removal { objects, release_past }), answer);
            }
        }
    }

    fn switch(&mut self, from: State, to: State, intake: Intake, answer: oneshot::Sender<Answer>) {
        let state = self.progress.state();
        if state != from {
            return reply(answer, false, format!("the job is {state}, not {from}"));
        }
        self.progress.set_state(to);
        self.intake.send_replace(intake);
        info!(state = %to, "state changed");
        reply(answer, true, format!("the job is {to}"));
    }

    /// The session in progress ends; the next one records the request and answers it.
    fn copy_anew(&self, tables: Vec<TableName>, name: String, answer: oneshot::Sender<Answer>) {
        let state = self.progress.state();
        if matches!(state, State::Draining | State::Stopped) {
            return reply(answer, false, format!("the job is {state}"));
        }
        if let Some(unknown) = tables.iter().find(|table| !self.config.source.tables.contains(table)) {
            return reply(answer, false, format!("{unknown} is no table of this job"));
        }
        if !name.is_empty() && self.progress.view().snapshot_request == name {
            let message = "this request was taken up before, and nothing is begun again";
            return reply(answer, true, message.to_owned());
        }
        self.requests.put(Asked { name, tables, answer });
    }

    /// Changes batch sizes and selected tables; the session loop applies them at once, in any state.
    fn reload(
        &mut self,
        change: BatchChange,
        tables: Option<Vec<TableName>>,
        answer: oneshot::Sender<Answer>,
    ) {
        let before = *self.batch.borrow();
        let batch = match before.changed(change) {
            Ok(batch) => batch,
            Err(error) => return reply(answer, false, error.to_string()),
        };
        if batch != before {
            self.batch.send_replace(batch);
            show(batch, &self.progress);
            info!(max_rows = batch.max_rows, max_bytes = batch.max_bytes, min_interval = ?batch.min_interval, "batch limits changed");
        }
        if let Some(tables) = tables {
            self.select(tables);
        }
        reply(answer, true, "the new settings are in force".to_owned());
    }

    /// The session in progress loads what it holds; then a new session begins with these tables.
    fn select(&mut self, tables: Vec<TableName>) {
        let is_known = |table: &TableName| self.config.source.tables.contains(table);
        if tables.len() == self.config.source.tables.len() && tables.iter().all(is_known) {
            return; // a different order is no change
        }
        info!(tables = tables.len(), "tables changed");
        self.progress.set_tables(&tables);
        self.config.source.tables.clone_from(&tables);
        self.tables.send_replace(tables);
    }

    fn drain(&mut self, removal: Option<Removal>, answer: oneshot::Sender<Answer>) {
        if self.progress.state() == State::Stopped && removal.is_none() {
            return reply(answer, false, "the job is stopped already".to_owned());
        }
        self.pending.push((removal, answer));
        self.begin_drain();
    }

    fn begin_drain(&mut self) {
        if self.intake.send_replace(Intake::Closed) != Intake::Closed {
            self.progress.set_state(State::Draining);
            self.deadline = Instant::now() + self.config.drain_timeout;
        } else if self.session_loop.is_empty() {
            self.deadline = Instant::now();
        }
    }

    /// The session loop has ended: nothing is held any more, or the drain was given up. Answers pending requests.
    async fn stopped(&mut self) {
        self.deadline = far_away();
        // The loop ends by itself where an earlier worker has recorded that the job is complete.
        let is_completed = self.completion == Completion::Draining || *self.intake.borrow() != Intake::Closed;
        if is_completed && self.config.snapshot.only {
            self.completion = if self.end == End::Whole { Completion::Due } else { Completion::Failed };
        }
        self.progress.set_streaming(false);
        self.progress.set_state(State::Stopped);
        for (removal, answer) in std::mem::take(&mut self.pending) {
            let (success, message) = self.finish(removal).await;
            info!(success, "stopped: {message}");
            reply(answer, success, message);
        }
    }

    async fn finish(&self, removal: Option<Removal>) -> (bool, String) {
        match removal {
            None => self.drained(),
            Some(removal) => match remove(Arc::clone(&self.progress), self.config.clone(), removal).await {
                Ok(()) if removal.loses_changes() => (true, self.slot_lost().await),
                Ok(()) => (true, "stopped, and dropped what was asked for".to_owned()),
                Err(fault) => (false, fault.to_string()),
            },
        }
    }

    fn drained(&self) -> (bool, String) {
        let message = match self.end {
            End::Whole => "everything received is loaded and confirmed",
            End::Incomplete => {
                "stopped; not everything received could be loaded (see the faults), and the slot keeps it for the next start"
            }
            End::GivenUp => "the drain took too long; what is missing is read again at the next start",
        };
        (self.end == End::Whole, message.to_owned())
    }

    /// Raises the fault of a job whose slot was dropped: changes from now on are lost to it.
    async fn slot_lost(&self) -> String {
        let mut source = self.config.source.clone();
        source.claims = claims(&self.progress, &self.config).await;
        let fault = postgres::slot_dropped(&source);
        let message = format!("stopped, and dropped what was asked for; {fault}");
        self.progress.raise(fault);
        message
    }

    /// Gives up a drain that took too long. Nothing is lost: PostgreSQL keeps what was not confirmed.
    async fn give_up(&mut self) {
        if !self.session_loop.is_empty() {
            warn!(elapsed = ?self.config.drain_timeout, "the drain took too long and was given up");
            self.end = End::GivenUp;
            self.session_loop.shutdown().await;
        }
        self.stopped().await;
    }

    async fn shut_down(mut self) {
        self.begin_drain();
        tokio::select! {
            Some(ended) = self.session_loop.join_next() => self.end = End::of(ended.unwrap_or(false)),
            () = sleep_until(self.deadline), if !self.session_loop.is_empty() => {}
            else => {}
        }
        if !self.session_loop.is_empty() {
            self.end = End::GivenUp;
            warn!("ended before everything held was loaded; it is read again at the next start");
        }
        self.stopped().await;
    }
}

fn show(batch: BatchConfig, progress: &Progress) {
    progress.set_sizes(Sizes {
        max_rows: batch.max_rows as u64,
        max_bytes: batch.max_bytes as u64,
        min_interval_ms: batch.min_interval.as_millis() as u64,
    });
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365)
}

fn reply(answer: oneshot::Sender<Answer>, success: bool, message: String) {
    // The requester may have disconnected; the state shows the outcome.
    let _ = answer.send(Answer { success, message });
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
