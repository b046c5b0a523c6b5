//! The copy of existing rows: against plain `COPY … TO STDOUT` of the same tables, on one connection and on two; its
//! memory; changes beside it; and how soon it goes on after a crash.

mod beside;
mod readers;

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::Result;
use system::source::Source;
use testbed::{postgres::Postgres, progress};

use self::readers::Copy;
use crate::report::{Findings, MIB};

/// Seven columns, with a key that grows, and with a random one.
const EVENTS: [&str; 2] = ["copied", "copied_by_uuid"];

/// What is read in one run, by both readers.
struct Work {
    name: &'static str,
    tables: &'static [&'static str],
    goal: &'static str,
}

const WORKS: [Work; 3] = [
    Work { name: "bigint key, one connection", tables: &["copied"], goal: "≥ 0.90" },
    Work { name: "uuid key, one connection", tables: &["copied_by_uuid"], goal: "≥ 0.90" },
    Work { name: "both, two connections", tables: &EVENTS, goal: "≥ 0.75" },
];

pub(crate) async fn measure(
    postgres: &Postgres,
    rows: u64,
    pairs: usize,
    findings: &mut Findings,
) -> Result<()> {
    progress::say(format!("making tables of {rows} rows"));
    let source = Source::connect(&postgres.url("postgres")).await?;
    source.run(&tables(rows)).await?;
    for work in WORKS {
        compare(postgres, &work, rows, pairs, findings).await?;
    }
    readers::wide(postgres, &source, findings).await?;
    beside::measure(postgres, rows, findings).await
}

fn tables(rows: u64) -> String {
    let table = |name: &str, key: &str, value: &str| {
        format!(
            "DROP TABLE IF EXISTS {name};
             CREATE TABLE {name} (
                id {key} PRIMARY KEY, account integer NOT NULL, kind varchar(20), amount numeric(12,2),
                happened timestamptz NOT NULL, active boolean, note text
             );
             INSERT INTO {name} SELECT {value}, id % 1000, 'kind-' || id % 7, id % 100000 / 100.0,
                timestamptz '2026-01-01 00:00+00' + id * interval '1 second', id % 2 = 0, 'note of event ' || id
                FROM generate_series(1, {rows}) id;"
        )
    };
    let [by_number, by_uuid] = EVENTS;
    table(by_number, "bigint", "id") + &table(by_uuid, "uuid", "md5(id::text)::uuid")
}

async fn compare(
    postgres: &Postgres,
    work: &Work,
    rows: u64,
    pairs: usize,
    findings: &mut Findings,
) -> Result<()> {
    // Frozen, so that no reader writes to the blocks that it reads.
    let source = Source::connect(&postgres.url("postgres")).await?;
    for table in work.tables {
        source.run(&format!("VACUUM (FREEZE, ANALYZE) {table}")).await?;
    }
    source.run("CHECKPOINT").await?;
    let million = (rows * work.tables.len() as u64) as f64 / 1e6;
    let mut rounds = Vec::new();
    for pair in 1..=pairs {
        progress::say(format!("{}, round {pair} of {pairs}", work.name));
        let plain = readers::plain(postgres, work.tables).await?;
        let worker = readers::worker(postgres, work.tables).await?;
        rounds.push((plain, worker));
    }
    print(work, million, &rounds)?;
    let ratio = median(rounds.iter().map(|(plain, worker)| worker.ratio_to(plain)));
    let cpu = median(rounds.iter().map(|(_, worker)| worker.cpu.as_secs_f64() / million));
    let peak = rounds.iter().map(|(_, worker)| worker.peak_memory).max().unwrap_or_default();
    findings.add(format!("copy, {}: ratio to plain COPY", work.name), &format!("{ratio:.2}"), work.goal);
    findings.add("the same: CPU of the worker, a million rows", &format!("{cpu:.2} s"), "≤ 0.7 s");
    let peak = crate::crowd::mib(peak);
    findings.add("the same: peak resident memory, buffer 32 MiB", &peak, "≤ 42 MiB");
    Ok(())
}

fn print(work: &Work, million: f64, rounds: &[(Duration, Copy)]) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\ncopy of {million} million rows, {}", work.name)?;
    writeln!(
        out,
        "| plain COPY, rows/s | worker, rows/s | ratio | CPU s per million | peak resident MiB | versions/s of a table | body bytes per row |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for (plain, worker) in rounds {
        let rate = |elapsed: Duration| million * 1e6 / elapsed.as_secs_f64();
        let (cpu, peak) = (worker.cpu.as_secs_f64() / million, worker.peak_memory as f64 / MIB);
        let versions = worker.loads as f64 / work.tables.len() as f64 / worker.elapsed.as_secs_f64();
        let bytes = worker.bytes as f64 / (million * 1e6);
        writeln!(
            out,
            "| {:.0} | {:.0} | {:.2} | {cpu:.2} | {peak:.1} | {versions:.2} | {bytes:.0} |",
            rate(*plain),
            rate(worker.elapsed),
            worker.ratio_to(plain)
        )?;
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
