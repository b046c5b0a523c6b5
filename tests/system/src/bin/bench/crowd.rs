//! Idle workers: one, and forty on one machine.

use std::time::Duration;

use anyhow::{Context, Result};
use system::{sink::Sink, source::Source, worker::Worker};
use testbed::postgres::Postgres;

use crate::{backlog, measure, report::Findings};

const WORKERS: usize = 40;
const WATCHED: Duration = Duration::from_secs(20);

pub(crate) async fn measure(postgres: &Postgres, sink: &Sink, findings: &mut Findings) -> Result<()> {
    let source = Source::connect(&postgres.url("postgres")).await?;
    source
        .run("CREATE TABLE idle (id int PRIMARY KEY); CREATE PUBLICATION bench_idle FOR TABLE idle")
        .await?;
    let one = Crowd::of(1, postgres, sink).await?;
    findings.add("idle worker: resident memory", &mib(one.resident()?), "≤ 8 MiB");
    findings.add("idle worker: CPU", &format!("{:.2} millicores", one.millicores().await?), "< 2 millicores");
    let forty = Crowd::of(WORKERS, postgres, sink).await?;
    findings.add("forty idle workers: resident memory, sum", &mib(forty.resident()?), "");
    findings.add(
        "forty idle workers: memory with shared pages counted once",
        &mib(forty.proportional()?),
        "",
    );
    findings.add("forty idle workers: CPU", &format!("{:.1} millicores", forty.millicores().await?), "");
    Ok(())
}

struct Crowd(Vec<Worker>);

impl Crowd {
    async fn of(count: usize, postgres: &Postgres, sink: &Sink) -> Result<Self> {
        let mut workers = Vec::new();
        for place in 0..count {
            let slot = format!("bench_crowd_{count}_{place}");
            let settings = backlog::settings_for(postgres, sink, &slot, "idle")?;
            workers.push(Worker::ready(&settings.with("SOURCE_PUBLICATION_NAME", "bench_idle")).await?);
        }
        // Waits until the work after a start is done.
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(Self(workers))
    }

    fn resident(&self) -> Result<u64> {
        self.0.iter().map(|worker| Ok(worker.memory()?.0)).sum()
    }

    fn proportional(&self) -> Result<u64> {
        self.0.iter().map(|worker| proportional(worker.pid())).sum()
    }

    async fn millicores(&self) -> Result<f64> {
        let before = self.cpu();
        tokio::time::sleep(WATCHED).await;
        Ok((self.cpu() - before).as_secs_f64() / WATCHED.as_secs_f64() * 1000.0)
    }

    fn cpu(&self) -> Duration {
        self.0.iter().filter_map(|worker| measure::usage(worker.pid())).map(|(cpu, _)| cpu).sum()
    }
}

fn proportional(pid: u32) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("the kernel tells shares")?;
    let kilobytes: u64 = line.split_whitespace().next().context("a number")?.parse()?;
    Ok(kilobytes * 1024)
}

pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}
