//! The results as lines of text.

use std::io::{self, Write};

use anyhow::Result;

use crate::measure::Run;

pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// The backlog, read by each reader in turn.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) stream: Run,
    pub(crate) catch_up: Run,
    pub(crate) reference: Run,
}

#[derive(Debug)]
pub(crate) struct Report {
    changes: f64,
    server: u32,
    rounds: Vec<Round>,
}

impl Report {
    pub(crate) fn new(changes: u64, server: u32) -> Self {
        Self { changes: changes as f64, server, rounds: Vec::new() }
    }

    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\nbacklog of {} changes, PostgreSQL {}", self.changes, self.server)?;
        writeln!(
            out,
            "| reader | changes/s | ratio to pg_recvlogical | CPU s per million | peak resident MiB | loads/s |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for Round { stream, catch_up, reference } in &self.rounds {
            for (name, run) in
                [("worker, streaming", stream), ("worker, catch-up", catch_up), ("pg_recvlogical", reference)]
            {
                let ratio = self.rate(run) / self.rate(reference);
                let (rate, cpu, peak) = (self.rate(run), self.cpu(run), run.peak_memory as f64 / MIB);
                let loads = run.loads_of_a_table();
                writeln!(out, "| {name} | {rate:.0} | {ratio:.2} | {cpu:.2} | {peak:.1} | {loads:.1} |")?;
            }
        }
        self.summary(&mut out)
    }

    fn summary(&self, out: &mut impl Write) -> Result<()> {
        let stream = self.median_ratio(|round| &round.stream);
        let catch_up = self.median_ratio(|round| &round.catch_up);
        writeln!(out, "ratio, median: streaming {stream:.2}, catch-up {catch_up:.2}")?;
        let runs = self.rounds.iter().flat_map(|round| [&round.stream, &round.catch_up]);
        let (bytes, rows) =
            runs.fold((0, 0), |sum, run| (sum.0 + run.taken.body_bytes, sum.1 + run.taken.rows));
        writeln!(out, "body bytes per row loaded: {:.0}", bytes as f64 / (rows as f64).max(1.0))?;
        Ok(())
    }

    fn median_ratio(&self, run: impl Fn(&Round) -> &Run) -> f64 {
        let ratio = |round: &Round| self.rate(run(round)) / self.rate(&round.reference);
        let mut ratios: Vec<_> = self.rounds.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or_default()
    }

    fn rate(&self, run: &Run) -> f64 {
        self.changes / run.elapsed.as_secs_f64()
    }

    fn cpu(&self, run: &Run) -> f64 {
        run.cpu.as_secs_f64() / (self.changes / 1e6)
    }
}

/// Single figures with their goals.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    pub(crate) fn add(&mut self, what: impl Into<String>, value: &str, goal: &str) {
        self.0.push(format!("| {} | {value} | {goal} |", what.into()));
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n| what | measured | goal |\n|---|---|---|")?;
        Ok(self.0.iter().try_for_each(|line| writeln!(out, "{line}"))?)
    }
}
