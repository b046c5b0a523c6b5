//! One load, stage by stage: checks, begin, plan, `100 Continue`, body, write, commit, answer (§3.2).
//!
//! Each stage may meet a fault that a test has asked for. Whatever ends a load before its commit aborts the
//! transaction; after the commit the transaction stands.

mod begin;
mod body;
mod commit;
mod quality;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Ending,
    answer::{Answer, LoadStatus},
    codec::Codec,
    headers::{Format, LoadHeaders},
};
use crate::{
    cluster::Cluster,
    fault::{Action, Stage},
    http::{Body, Connection, Request},
    loaded::Rows,
    locked,
    plan::{Converted, LoadPlan},
    stats::LoadRecord,
};

/// Why a load stops before its commit.
pub(super) enum Stop {
    /// The client receives the error in the answer.
    Answered { status: LoadStatus, message: String, existing: Option<&'static str> },
    /// The connection is closed without an answer.
    Silent,
}

impl Stop {
    pub(super) fn fail(message: impl Into<String>) -> Self {
        Self::Answered { status: LoadStatus::Fail, message: message.into(), existing: None }
    }
}

pub(super) struct Load<'a> {
    cluster: &'a Arc<Cluster>,
    request: &'a Request,
    database: &'a str,
    table: &'a str,
    label: String,
    transaction: Option<u64>,
    in_transaction: bool,
    codec: Option<Codec>,
    started: Instant,
    rows: Rows,
    times: Times,
    error_url: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    begin: Duration,
    pub(super) plan: Duration,
    pub(super) read: Duration,
    write: Duration,
    commit: Duration,
}

/// What was read from the body.
pub(super) enum Content {
    Converted(Box<LoadPlan>, Converted),
    /// Discard mode: the rows are only counted.
    Counted,
}

pub(super) async fn serve(
    cluster: &Arc<Cluster>,
    connection: &mut Connection,
    request: &Request,
    database: &str,
    table: &str,
) -> Ending {
    cluster.settle();
    let label = request.header("label").unwrap_or_default();
    let mut load = Load::new(cluster, request, (database, table), label);
    let mut body = Body::of(request);
    match load.run(connection, &mut body).await {
        Ok(status) => load.finish(connection, status).await,
        Err(Stop::Silent) => {
            load.abort("the connection was lost");
            Ending::Crash
        }
        Err(Stop::Answered { status, message, existing }) => {
            load.abort(&message);
            let answer = load.answer(status, message, existing);
            load.record(&answer);
            let _ = connection.send(&answer.response().closing()).await;
            Ending::Close
        }
    }
}

impl<'a> Load<'a> {
    pub(super) fn new(
        cluster: &'a Arc<Cluster>,
        request: &'a Request,
        (database, table): (&'a str, &'a str),
        label: String,
    ) -> Self {
        Self {
            cluster,
            request,
            database,
            table,
            label,
            transaction: None,
            in_transaction: false,
            codec: None,
            started: Instant::now(),
            rows: Rows::default(),
            times: Times::default(),
            error_url: None,
        }
    }
}

impl Load<'_> {
    /// A load of the transaction interface, which ignores some headers.
    pub(super) fn in_transaction(self) -> Self {
        Self { in_transaction: true, ..self }
    }

    /// Runs the load up to and including the commit.
    async fn run(&mut self, connection: &mut Connection, body: &mut Body) -> Result<LoadStatus, Stop> {
        let format = self.begin().await?;
        let content = self.take_body(connection, body, format).await?;
        self.commit(content).await
    }

    /// Plans the load, sends `100 Continue`, and reads the body.
    pub(super) async fn take_body(
        &mut self,
        connection: &mut Connection,
        body: &mut Body,
        format: Format,
    ) -> Result<Content, Stop> {
        let plan = self.plan(format).await?;
        self.strike(Stage::Continue).await?;
        if self.request.expects_continue() {
            connection.send_continue().await.map_err(|_| Stop::Silent)?;
        }
        self.read(connection, body, plan).await
    }

    pub(super) fn transaction(&self) -> Option<u64> {
        self.transaction
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    pub(super) async fn strike(&self, stage: Stage) -> Result<(), Stop> {
        match self.meet(stage).await {
            None => Ok(()),
            Some(action) => Err(self.stop_for(action)),
        }
    }

    async fn meet(&self, stage: Stage) -> Option<Action> {
        let table = format!("{}.{}", self.database, self.table);
        self.cluster.meet_at_backend(stage, &table, &self.label).await
    }

    fn stop_for(&self, action: Action) -> Stop {
        match action {
            Action::Fail { message } => Stop::fail(message),
            Action::RunningTransactionLimit => Stop::fail(self.too_many_running(1000)),
            Action::TooManyVersions => Stop::fail(quality::too_many_versions(10_007, 1001, 1000)),
            Action::LabelRunning => self.label_exists(false),
            _ => Stop::Silent,
        }
    }

    async fn plan(&mut self, format: Format) -> Result<LoadPlan, Stop> {
        self.strike(Stage::Plan).await?;
        let started = Instant::now();
        let headers = LoadHeaders::read(self.request, self.table, format, self.in_transaction);
        let headers = headers.map_err(Stop::fail)?;
        self.codec = LoadHeaders::compression(self.request, format).map_err(Stop::fail)?;
        let catalog = locked(&self.cluster.catalog);
        let table = catalog.table(self.database, self.table);
        let table =
            table.ok_or_else(|| Stop::fail(format!("unknown table \"{}.{}\"", self.database, self.table)))?;
        let plan = LoadPlan::new(table, &headers).map_err(Stop::fail)?;
        self.times.plan = started.elapsed();
        Ok(plan)
    }

    fn abort(&self, reason: &str) {
        if let Some(id) = self.transaction {
            locked(&self.cluster.transactions).abort(self.database, id, reason, self.cluster.clock.now());
        }
    }

    async fn finish(&self, connection: &mut Connection, status: LoadStatus) -> Ending {
        let message = match status {
            LoadStatus::PublishTimeout => "Publish timeout. The data will be visible after a while, ",
            _ => "OK",
        };
        let answer = self.answer(status, message.to_owned(), None);
        self.record(&answer);
        let response = answer.response();
        match self.meet(Stage::Answer).await {
            None => match connection.send(&response).await {
                Ok(()) => Ending::KeepAlive,
                Err(_) => Ending::Crash,
            },
            Some(Action::Fail { message }) => {
                // The rows are committed, but the answer says `Fail` (§5.3).
                let answer = self.answer(LoadStatus::Fail, message, None);
                let _ = connection.send(&answer.response().closing()).await;
                Ending::Close
            }
            Some(Action::CutAnswer) => {
                let bytes = response.bytes();
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                let _ = connection.send_bytes(half).await;
                Ending::Close
            }
            Some(_) => Ending::Crash,
        }
    }

    fn answer(&self, status: LoadStatus, message: String, existing: Option<&'static str>) -> Answer {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let names = self.cluster.profile() >= crate::Profile::V3_4;
        Answer {
            txn_id: self.transaction.and_then(|id| i64::try_from(id).ok()).unwrap_or(-1),
            label: self.label.clone(),
            db: names.then(|| self.database.to_owned()),
            table: names.then(|| self.table.to_owned()),
            status,
            existing_job_status: existing,
            message,
            number_total_rows: self.rows.total,
            number_loaded_rows: self.rows.loaded,
            number_filtered_rows: self.rows.filtered,
            number_unselected_rows: self.rows.unselected,
            load_bytes: self.rows.bytes,
            load_time_ms: millis(self.started.elapsed()),
            begin_txn_time_ms: millis(self.times.begin),
            stream_load_plan_time_ms: millis(self.times.plan),
            read_data_time_ms: millis(self.times.read),
            write_data_time_ms: millis(self.times.write),
            commit_and_publish_time_ms: millis(self.times.commit),
            error_url: self.error_url.clone(),
        }
    }

    fn record(&self, answer: &Answer) {
        locked(&self.cluster.stats).record(LoadRecord {
            table: format!("{}.{}", self.database, self.table),
            label: answer.label.clone(),
            status: answer.status.name().to_owned(),
            message: answer.message.clone(),
            rows: answer.number_loaded_rows,
            bytes: answer.load_bytes,
        });
    }
}
