//! All parts of one round, and the strokes against them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;
use testbed::postgres::{Postgres, PostgresOptions};
use tokio::{
    sync::RwLock,
    time::{Instant, sleep, timeout},
};

use super::{
    conditions::Conditions,
    proxy::Proxy,
    schema, set_back,
    settle::look,
    stroke::Stroke,
    tally::Tally,
    traffic::{Switches, Traffic},
};
use crate::{
    sink::Sink,
    source::Source,
    wait,
    worker::{Settings, Worker},
};

pub(super) const DATABASE: &str = "app";

/// How long a stroke waits for its condition before it is carried out anyway.
const MOMENT: Duration = Duration::from_secs(3);
/// A successor without its predecessor's journal waits until no load of it can commit any more.
const TAKEOVER: Duration = Duration::from_secs(600);
/// A worker that does not end within this after SIGTERM is killed.
const DRAIN: Duration = Duration::from_secs(10);
/// Transactions before the job begins.
const EARLIER: usize = 200;

pub(super) struct Arena {
    pub(super) postgres: Postgres,
    pub(super) sink: Sink,
    /// Settings with the real addresses of both ends, without proxies, for observers.
    pub(super) direct: Settings,
    source_proxy: Proxy,
    sink_proxies: [Proxy; 3],
    worker: Worker,
    /// The worker's settings, through the proxies; also for a second worker.
    through: Settings,
    /// The output of workers that have ended.
    pub(super) said: String,
    pub(super) tally: Tally,
    /// One halted table halts all: `consistency: Transaction`.
    pub(super) in_one_step: bool,
    /// Held by each writer for one transaction, and by a stroke that needs no writes.
    pub(super) gate: Arc<RwLock<()>>,
}

impl Arena {
    pub(super) async fn set(conditions: &Conditions, seed: u64) -> Result<Self> {
        let postgres = Postgres::start(PostgresOptions::default())?;
        let sink = Sink::with(&conditions.sink.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let source = Source::connect(&postgres.url("postgres")).await?;
        source.run(&schema::schema()).await?;
        if conditions.in_one_step {
            source.run(&schema::whole_rows()).await?;
        }
        fill(&source, seed).await?;
        let source_proxy = Proxy::before(postgres.port()).await?;
        let be = Proxy::before(sink.backend_port()).await?;
        let fe = Proxy::before_frontend(sink.http_port(), sink.backend_port(), &be).await?;
        let sql = Proxy::before(sink.query_port()).await?;
        let direct = Settings::new(&postgres.url("postgres"), &sink, DATABASE, &schema::tables())?;
        let (at, behind) = (format!(":{}/", postgres.port()), format!(":{}/", source_proxy.port()));
        let mut through = direct
            .clone()
            .with("SOURCE_URL", &postgres.url("postgres").replace(&at, &behind))
            .with("SINK_URL", &format!("127.0.0.1:{}", fe.port()))
            .with("SINK_PORT", &sql.port().to_string());
        for (name, value) in &conditions.variables {
            through = through.with(name, value);
        }
        let worker = Worker::ready(&through).await?;
        let (said, tally) = Default::default();
        Ok(Self {
            postgres,
            sink,
            direct,
            source_proxy,
            sink_proxies: [fe, be, sql],
            worker,
            through,
            said,
            tally,
            in_one_step: conditions.in_one_step,
            gate: Arc::default(),
        })
    }

    pub(super) async fn strike(&mut self, stroke: &Stroke) -> Result<()> {
        self.tally.count(stroke);
        self.said.push_str(&format!("=== {} {stroke:?}\n", now()));
        match stroke {
            Stroke::Kill { after_load: false } => self.kill().await,
            Stroke::Kill { after_load: true } => {
                self.until_loaded().await?;
                self.kill().await
            }
            Stroke::KillAt { stage, held } => self.kill_at(stage, *held).await,
            Stroke::Overtake { beside } => self.overtake(*beside).await,
            Stroke::Terminate => self.terminate().await,
            Stroke::Cut { source } => {
                self.proxies(*source).iter().for_each(Proxy::cut);
                Ok(())
            }
            Stroke::Shut { source, length } => {
                self.proxies(*source).iter().for_each(Proxy::close);
                self.heal_after(*source, *length).await
            }
            Stroke::Slow { source, delay, length } => {
                self.proxies(*source).iter().for_each(|proxy| proxy.delay(*delay));
                self.heal_after(*source, *length).await
            }
            Stroke::EndWalsender => self.end_walsender().await,
            Stroke::Restart { crash } => self.restart(*crash),
            Stroke::SinkDown { part, length } => {
                self.sink.down_of(&[part])?;
                sleep(*length).await;
                self.sink.up()
            }
            Stroke::Fault(fault) => self.sink.inject(fault),
            Stroke::Seam { seam, table } => seam.strike(*table, self).await,
            Stroke::CopyAnew { table } => {
                self.ask_for_a_copy(*table).await;
                Ok(())
            }
            Stroke::Freeze => self.freeze().await,
            Stroke::SetBack { later, killed } => {
                let gate = Arc::clone(&self.gate);
                set_back::strike(self, &gate, *later, *killed).await
            }
        }
    }

    /// The next stroke may kill the worker before the request is recorded: then nothing is copied.
    async fn ask_for_a_copy(&mut self, table: Option<u32>) {
        let all = super::schema::tables();
        let names: Vec<_> = all.split(',').map(super::schema::full_name).collect();
        let chosen = table.and_then(|table| names.get(table as usize % names.len()));
        let tables: Vec<_> = chosen.into_iter().map(String::as_str).collect();
        let answer = timeout(MOMENT, self.worker.start_snapshot(&tables, "")).await;
        self.said.push_str(&format!("=== {} asked for copies of {tables:?}: {answer:?}\n", now()));
    }

    fn proxies(&self, source: bool) -> &[Proxy] {
        if source { std::slice::from_ref(&self.source_proxy) } else { &self.sink_proxies }
    }

    async fn heal_after(&self, source: bool, length: Duration) -> Result<()> {
        sleep(length).await;
        self.proxies(source).iter().for_each(Proxy::heal);
        Ok(())
    }

    async fn kill(&mut self) -> Result<()> {
        self.keep_what_was_said();
        self.worker.crash()
    }

    /// The held load is released after its sender was killed and another worker runs.
    async fn kill_at(&mut self, stage: &str, held: Duration) -> Result<()> {
        let waiting = self.sink.waiting_faults()?;
        let delay = json!({"delay": {"millis": held.as_millis() as u64}});
        self.sink.inject(&json!({"stage": stage, "action": delay, "count": 1}))?;
        let begun = Instant::now();
        while self.sink.waiting_faults()? > waiting && begun.elapsed() < MOMENT {
            sleep(Duration::from_millis(5)).await;
        }
        self.kill().await
    }

    async fn overtake(&mut self, beside: Duration) -> Result<()> {
        let second = Worker::start(&self.through.clone().on_free_ports()?)?;
        sleep(beside).await;
        self.keep_what_was_said();
        // Dropping the first worker kills it.
        self.worker = second;
        Ok(())
    }

    /// The first worker is suspended with whatever it was about to send, and resumes beside its successor. Writers run
    /// for a moment before and after the wait, not during it: it takes minutes, and the changes would have to be loaded.
    async fn freeze(&mut self) -> Result<()> {
        self.keep_what_was_said();
        self.worker.process().freeze()?;
        sleep(MOMENT).await;
        let quiet = Arc::clone(&self.gate).write_owned().await;
        let elsewhere = self.through.clone().on_free_ports()?.elsewhere()?;
        let mut second = Worker::start(&elsewhere)?;
        let came = self.until_loaded_by(&second).await;
        drop(quiet);
        self.worker.process().wake()?;
        if came.is_err() {
            self.said.push_str(&format!("--- successor\n{}", second.process().said()));
        }
        came?;
        sleep(MOMENT).await;
        self.keep_what_was_said();
        std::mem::swap(&mut self.worker, &mut second);
        self.through = elsewhere;
        Ok(())
    }

    /// One wait is shorter than what a successor may need. A worker that is suspended while it prepares its targets, or in
    /// the middle of a chunk, keeps the slot until it resumes; then the remedy of its successor's fault is followed.
    async fn until_loaded_by(&self, successor: &Worker) -> Result<()> {
        let begun = Instant::now();
        loop {
            match look(self, successor).await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > TAKEOVER => {
                    return Err(error.context("the successor never came to load"));
                }
                Err(_) => self.end_who_has_the_slot(successor).await?,
            }
        }
    }

    /// As the fault says: the session is ended by the number of its process.
    async fn end_who_has_the_slot(&self, successor: &Worker) -> Result<()> {
        let faults = successor.status().await?.faults;
        let Some(fault) = faults.iter().find(|fault| fault.reason == "SlotInUse") else { return Ok(()) };
        // As this worker names it, or PostgreSQL ("is active for PID").
        let Some(process) = fault.message.rsplit(' ').next().and_then(|process| process.parse::<u32>().ok())
        else {
            return Ok(());
        };
        let source = Source::connect(&self.postgres.url("postgres")).await?;
        source.run(&format!("SELECT pg_terminate_backend({process})")).await
    }

    async fn terminate(&mut self) -> Result<()> {
        // One that does not end in time is killed; a new one is started in either case.
        let ended = timeout(DRAIN, self.worker.process().terminate()).await;
        self.tally.drains += u64::from(matches!(ended, Ok(Ok(status)) if status.success()));
        self.kill().await
    }

    async fn until_loaded(&self) -> Result<()> {
        let (before, begun) = (self.loads()?, Instant::now());
        while self.loads()? == before && begun.elapsed() < MOMENT {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) fn loads(&self) -> Result<u64> {
        let stats = self.sink.stats()?;
        let tables = stats["tables"].as_object().context("the stand-in's tables")?;
        Ok(tables.values().filter_map(|table| table["loads"].as_u64()).sum())
    }

    async fn end_walsender(&self) -> Result<()> {
        let source = Source::connect(&self.postgres.url("postgres")).await?;
        source.run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication").await
    }

    fn restart(&mut self, crash: bool) -> Result<()> {
        if crash {
            self.postgres.stop_immediate()?
        } else {
            self.postgres.stop()?
        }
        self.postgres.start_again()
    }

    pub(super) fn end_worker(&mut self) -> Result<()> {
        self.keep_what_was_said();
        self.worker.process().kill()
    }

    pub(super) fn start_worker(&mut self) -> Result<()> {
        self.worker = Worker::start(&self.through)?;
        Ok(())
    }

    /// The WAL position after everything that was written so far.
    pub(super) async fn until_confirmed(&self) -> Result<()> {
        let source = Source::connect(&self.postgres.url("postgres")).await?;
        let now = source.value("SELECT pg_current_wal_insert_lsn()").await?.unwrap_or_default();
        let confirmed = format!("SELECT bool_and(confirmed_flush_lsn >= '{now}') FROM pg_replication_slots");
        wait::until("everything is confirmed", async || {
            Ok((source.value(&confirmed).await?.as_deref() == Some("t")).then_some(()))
        })
        .await
    }

    fn keep_what_was_said(&mut self) {
        if let Ok((_, peak)) = self.worker.memory() {
            self.tally.peak_memory = self.tally.peak_memory.max(peak);
        }
        let process = self.worker.process();
        let (pid, said) = (process.pid(), process.said());
        self.said.push_str(&format!("--- worker {pid}\n{said}"));
    }

    /// Removes every fault.
    pub(super) async fn heal(&mut self) -> Result<()> {
        self.sink.heal()?;
        self.sink.up()?;
        self.source_proxy.heal();
        self.sink_proxies.iter().for_each(Proxy::heal);
        Ok(())
    }

    pub(super) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The rows of both sides, for the analysis of a difference.
    pub(super) async fn rows(&self) -> Result<Vec<(String, String)>> {
        let source = Source::connect(&self.postgres.url("postgres")).await?;
        let mut files = Vec::new();
        for table in schema::tables().split(',') {
            let target = format!("{DATABASE}.{}", table.replace('.', "__"));
            let expected = source.rows(&format!("SELECT * FROM {table} ORDER BY 1")).await?;
            let found = self.sink.rows(&format!("SELECT * FROM {target} ORDER BY 1")).await?;
            files.push((format!("{table}.postgres"), lines(&expected)));
            files.push((format!("{table}.starrocks"), lines(&found)));
        }
        Ok(files)
    }

    /// Collects the output of the running worker, and its memory.
    pub(super) fn look(&mut self) {
        self.keep_what_was_said();
    }
}

/// Rows that exist before the job: some that the traffic changes, and many that it does not.
async fn fill(source: &Source, seed: u64) -> Result<()> {
    source.run(schema::EXISTING).await?;
    let mut traffic = Traffic::new(seed, Switches::default());
    for _ in 0..EARLIER {
        if source.run(&traffic.transaction()).await.is_err() {
            source.run("ROLLBACK").await?;
        }
    }
    Ok(())
}

/// In the form of the workers' logs.
fn now() -> String {
    let clock = std::process::Command::new("date").args(["--utc", "+%FT%T.%6NZ"]).output();
    clock.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn lines(rows: &[Vec<Option<String>>]) -> String {
    let line = |row: &Vec<Option<String>>| {
        let short =
            |value: &Option<String>| value.as_ref().map(|text| text.chars().take(60).collect::<String>());
        format!("{:?}\n", row.iter().map(short).collect::<Vec<_>>())
    };
    rows.iter().map(line).collect()
}
