//! One load, stage by stage: checks, begin, plan, `100 Continue`, body, write, commit, answer (§3.2).
//!
//! A fault of the test bed may strike at each stage. Whatever ends a load before its commit aborts the
//! transaction; after the commit nothing does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Ending,
    answer::{Answer, LoadStatus},
    headers::{BeginHeaders, Format, LoadHeaders},
};
use crate::{
    Rights,
    cluster::{Cluster, Publication},
    fault::{Action, Stage},
    http::{Body, BodyError, Connection, Request},
    locked,
    plan::{Converted, LoadPlan, convert_body},
    stats::LoadRecord,
    transaction::BeginError,
};

const MAX_BUFFERED: usize = 4 * 1024 * 1024 * 1024;

/// Why a load stops before its commit.
enum Stop {
    /// The client is told.
    Answered { status: LoadStatus, message: String, existing: Option<&'static str> },
    /// The connection just ends.
    Silent,
}

impl Stop {
    fn fail(message: impl Into<String>) -> Self {
        Self::Answered { status: LoadStatus::Fail, message: message.into(), existing: None }
    }
}

struct Load<'a> {
    cluster: &'a Arc<Cluster>,
    request: &'a Request,
    database: &'a str,
    table: &'a str,
    label: String,
    transaction: Option<u64>,
    started: Instant,
    rows: Counters,
    times: Times,
    error_url: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    total: u64,
    loaded: u64,
    filtered: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    begin: Duration,
    plan: Duration,
    read: Duration,
    write: Duration,
    commit: Duration,
}

/// What the body came to.
enum Content {
    Converted(Box<LoadPlan>, Converted),
    /// Discard mode: only counted.
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
    let mut load = Load {
        cluster,
        request,
        database,
        table,
        label: request.header("label").unwrap_or_default(),
        transaction: None,
        started: Instant::now(),
        rows: Counters::default(),
        times: Times::default(),
        error_url: None,
    };
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

impl Load<'_> {
    /// Up to and including the commit.
    async fn run(&mut self, connection: &mut Connection, body: &mut Body) -> Result<LoadStatus, Stop> {
        let format = self.begin().await?;
        let plan = self.plan(format).await?;
        self.strike(Stage::Continue).await?;
        if self.request.expects_continue() {
            connection.send_continue().await.map_err(|_| Stop::Silent)?;
        }
        let content = self.read(connection, body, plan).await?;
        self.commit(content).await
    }

    async fn strike(&self, stage: Stage) -> Result<(), Stop> {
        match self.meet(stage).await {
            None => Ok(()),
            Some(action) => Err(self.stop_for(action)),
        }
    }

    async fn meet(&self, stage: Stage) -> Option<Action> {
        let table = format!("{}.{}", self.database, self.table);
        self.cluster.faults.meet(stage, &table, &self.label).await
    }

    fn stop_for(&self, action: Action) -> Stop {
        match action {
            Action::Fail { message } => Stop::fail(message),
            Action::RunningTransactionLimit => Stop::fail(self.too_many_running(1000)),
            Action::TooManyVersions => Stop::fail(
                "Failed to load data into tablet 10007, because of too many versions, current/limit: 1001/1000. \
                 You can reduce the loading job concurrency, or increase loading data batch size.",
            ),
            _ => Stop::Silent,
        }
    }

    fn too_many_running(&self, running: usize) -> String {
        let id = locked(&self.cluster.catalog).databases.get(self.database).map_or(0, |database| database.id);
        format!("current running txns on db {id} is {running}, larger than limit 1000")
    }

    /// The checks before a transaction, then the transaction.
    async fn begin(&mut self) -> Result<Format, Stop> {
        if self.request.credentials().is_err() {
            return Err(Stop::fail("no valid Basic authorization"));
        }
        let headers = BeginHeaders::read(self.request).map_err(Stop::fail)?;
        self.label = headers.label.clone().unwrap_or_else(|| self.make_label());
        self.strike(Stage::Begin).await?;
        let started = Instant::now();
        self.check_rights().map_err(Stop::fail)?;
        let timeout =
            u32::try_from(headers.timeout_seconds).ok().filter(|seconds| (1..=259_200).contains(seconds));
        let timeout = timeout.ok_or_else(|| {
            Stop::fail(format!(
                "Invalid timeout: '{}'. Expected values should be between 1 and 259200 seconds",
                headers.timeout_seconds
            ))
        })?;
        check_label(&self.label).map_err(Stop::fail)?;
        self.transaction = Some(self.begin_transaction(timeout)?);
        self.times.begin = started.elapsed();
        Ok(headers.format)
    }

    fn make_label(&self) -> String {
        let number = locked(&self.cluster.transactions).next_id();
        format!("{number:08x}-{:012x}", self.cluster.clock.now())
    }

    /// User, database, table, privilege, in this order (recording).
    fn check_rights(&self) -> Result<(), String> {
        let credentials =
            self.request.credentials().map_err(|_| "no valid Basic authorization".to_owned())?;
        let user = self.cluster.user(&credentials.user).filter(|user| user.password == credentials.password);
        let user = user.ok_or_else(|| {
            let using = if credentials.password.is_empty() { "NO" } else { "YES" };
            format!("Access denied for user '{}' (using password: {using})", credentials.user)
        })?;
        let catalog = locked(&self.cluster.catalog);
        let database = catalog.databases.get(self.database);
        let database = database.ok_or_else(|| format!("unknown database, database={}", self.database))?;
        if !database.tables.contains_key(self.table) {
            return Err(format!("unknown table \"{}.{}\"", self.database, self.table));
        }
        match user.rights {
            Rights::All => Ok(()),
            Rights::None => {
                Err("Access denied; you need (at least one of) the INSERT privilege(s) for this operation"
                    .to_owned())
            }
        }
    }

    fn begin_transaction(&self, timeout: u32) -> Result<u64, Stop> {
        let now = self.cluster.clock.now();
        let begun = locked(&self.cluster.transactions).begin(self.database, &self.label, timeout, now);
        let id = begun.map_err(|error| match error {
            BeginError::LabelExists { is_finished } => Stop::Answered {
                status: LoadStatus::LabelAlreadyExists,
                message: format!("Label [{}] has already been used.", self.label),
                existing: Some(if is_finished { "FINISHED" } else { "RUNNING" }),
            },
            BeginError::TooManyRunning { running } => Stop::fail(self.too_many_running(running)),
        })?;
        locked(&self.cluster.stats).begun += 1;
        Ok(id)
    }

    async fn plan(&mut self, format: Format) -> Result<LoadPlan, Stop> {
        self.strike(Stage::Plan).await?;
        let started = Instant::now();
        let headers = LoadHeaders::read(self.request).map_err(Stop::fail)?;
        if format == Format::Csv && !self.cluster.options.discard {
            return Err(Stop::fail("CSV is not served by this stand-in"));
        }
        let catalog = locked(&self.cluster.catalog);
        let table = catalog.table(self.database, self.table);
        let table =
            table.ok_or_else(|| Stop::fail(format!("unknown table \"{}.{}\"", self.database, self.table)))?;
        let plan = LoadPlan::new(table, &headers).map_err(Stop::fail)?;
        self.times.plan = started.elapsed();
        Ok(plan)
    }

    /// Takes the body, and converts it unless rows are only counted. Once reading has begun, the whole body is
    /// read even if nothing can come of it.
    async fn read(
        &mut self,
        connection: &mut Connection,
        body: &mut Body,
        plan: LoadPlan,
    ) -> Result<Content, Stop> {
        let started = Instant::now();
        let is_counted = self.cluster.options.discard;
        let mut kept = Vec::new();
        let (mut newlines, mut last, mut struck) = (0u64, b'\n', false);
        let half = body.length.unwrap_or(0) / 2;
        loop {
            if !struck && self.rows.bytes >= half.max(1) {
                struck = true;
                self.strike(Stage::Body).await?;
            }
            let piece = match body.next(connection).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(BodyError::Malformed) => return Err(Stop::fail("the chunked body is malformed")),
                Err(BodyError::Lost(_)) => return Err(Stop::Silent),
            };
            self.rows.bytes += piece.len() as u64;
            if is_counted {
                newlines += memchr::memchr_iter(b'\n', &piece).count() as u64;
                last = piece.last().copied().unwrap_or(last);
            } else if kept.len() + piece.len() <= MAX_BUFFERED {
                kept.extend_from_slice(&piece);
            } else {
                return Err(Stop::fail("the JSON body is larger than 4 GB"));
            }
        }
        self.times.read = started.elapsed();
        if is_counted {
            self.rows.total = newlines + u64::from(last != b'\n');
            self.rows.loaded = self.rows.total;
            return Ok(Content::Counted);
        }
        self.convert(kept, plan).await
    }

    /// Parsing is work for a thread that may be busy.
    async fn convert(&mut self, body: Vec<u8>, plan: LoadPlan) -> Result<Content, Stop> {
        let started = Instant::now();
        let profile = self.cluster.profile();
        let work = tokio::task::spawn_blocking(move || {
            let converted = convert_body(&plan, &body, profile);
            (plan, converted)
        });
        let (plan, converted) = work.await.map_err(|_| Stop::Silent)?;
        let converted = converted.map_err(Stop::fail)?;
        self.times.write = started.elapsed();
        Ok(Content::Converted(Box::new(plan), converted))
    }

    async fn commit(&mut self, content: Content) -> Result<LoadStatus, Stop> {
        let action = self.meet(Stage::Commit).await;
        let (refused, late) = match action {
            None => (None, None),
            Some(Action::RefuseRow { reason }) => (Some(reason), None),
            Some(Action::PublishTimeout { visible_after_millis }) => (None, Some(visible_after_millis)),
            Some(action) => return Err(self.stop_for(action)),
        };
        let started = Instant::now();
        let content = self.check_quality(content, refused)?;
        let publication = self.publication(content, late.unwrap_or(0))?;
        let now = self.cluster.clock.now();
        let id = publication.transaction;
        let committed = locked(&self.cluster.transactions).commit(self.database, id, now);
        committed.map_err(|reason| Stop::fail(format!("fail to execute commit task: {reason}")))?;
        let cluster = Arc::clone(self.cluster);
        let published = tokio::task::spawn_blocking(move || cluster.publish(publication)).await;
        published.map_err(|_| Stop::Silent)?;
        self.times.commit = started.elapsed();
        Ok(if late.is_some() { LoadStatus::PublishTimeout } else { LoadStatus::Success })
    }

    /// Filtered rows against the ratio, and loads without a row (§5.1, §5.5).
    fn check_quality(&mut self, mut content: Content, refused: Option<String>) -> Result<Content, Stop> {
        let mut max_ratio = 0.0;
        if let Content::Converted(plan, converted) = &mut content {
            max_ratio = plan.max_filter_ratio;
            if let Some(reason) = &refused {
                converted.changes.pop();
                converted.refuse(reason, "");
            }
            self.rows = Counters {
                total: converted.total,
                loaded: converted.loaded(),
                filtered: converted.filtered,
                bytes: self.rows.bytes,
            };
            if converted.filtered > 0 {
                let file = self.cluster.keep_error_log(std::mem::take(&mut converted.log));
                let address = self.cluster.backend_address();
                self.error_url = Some(format!("http://{address}/api/_load_error_log?file={file}"));
            }
        } else if refused.is_some() {
            (self.rows.loaded, self.rows.filtered) = (self.rows.total.saturating_sub(1), 1);
        }
        if self.rows.filtered > 0 && self.rows.filtered as f64 > max_ratio * self.rows.total as f64 {
            return Err(Stop::fail("too many filtered rows"));
        }
        if self.rows.loaded == 0 {
            return Err(Stop::fail(self.cluster.profile().empty_load_message()));
        }
        Ok(content)
    }

    fn publication(&self, content: Content, delay_millis: u64) -> Result<Publication, Stop> {
        let transaction = self.transaction.ok_or(Stop::Silent)?;
        let due_millis = self.cluster.clock.now() + i64::try_from(delay_millis).unwrap_or(i64::MAX / 4);
        let mut publication = Publication {
            database: self.database.to_owned(),
            transaction,
            table_id: 0,
            epoch: 0,
            columns: Vec::new(),
            changes: Vec::new(),
            is_partial: false,
            due_millis,
        };
        let Content::Converted(plan, converted) = content else { return Ok(publication) };
        self.check_partial(&plan, &converted)?;
        publication.table_id = plan.table_id;
        publication.epoch = plan.epoch;
        publication.is_partial = plan.is_partial;
        publication.columns = plan.columns;
        publication.changes = converted.changes;
        Ok(publication)
    }

    /// What a partial update can only know from its rows (§10).
    fn check_partial(&self, plan: &LoadPlan, converted: &Converted) -> Result<(), Stop> {
        if !plan.is_partial {
            return Ok(());
        }
        let mut upserts = converted.changes.iter().filter(|change| !change.is_delete);
        if plan.lacks_sort_columns && upserts.clone().next().is_some() {
            return Err(Stop::fail(
                "partial update on table with sort key must provide all sort key columns",
            ));
        }
        let catalog = locked(&self.cluster.catalog);
        let Some(table) = catalog.table(self.database, self.table) else { return Ok(()) };
        let Some(column) = table.column_without_value(&plan.columns) else { return Ok(()) };
        if upserts.all(|change| table.holds(&plan.columns, change)) {
            return Ok(());
        }
        Err(Stop::fail(format!("NULL value in non-nullable column '{}'", column.name)))
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
            number_unselected_rows: 0,
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

fn check_label(label: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=128).contains(&label.len()) && label.bytes().all(is_word) {
        return Ok(());
    }
    Err(format!(
        "Getting analyzing error. Detail message: Label format error. regex: ^[-\\w]{{1,128}}$, label: {label}."
    ))
}
