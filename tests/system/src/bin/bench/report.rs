//! What was measured, as lines that a README can quote.

use std::io::{self, Write};

use anyhow::Result;

use crate::measure::Run;

const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug)]
pub(crate) struct Report {
    changes: f64,
    server: u32,
    idle_memory: u64,
    pairs: Vec<(Run, Run)>,
}

impl Report {
    pub(crate) fn new(changes: u64, server: u32) -> Self {
        Self { changes: changes as f64, server, idle_memory: 0, pairs: Vec::new() }
    }

    pub(crate) fn idle(&mut self, memory: u64) {
        self.idle_memory = memory;
    }

    pub(crate) fn add(&mut self, worker: Run, reference: Run) {
        self.pairs.push((worker, reference));
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\nbacklog of {} changes, PostgreSQL {}", self.changes, self.server)?;
        writeln!(
            out,
            "| pair | worker changes/s | pg_recvlogical changes/s | ratio | worker CPU s/M | pg_recvlogical CPU s/M |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for (number, (worker, reference)) in self.pairs.iter().enumerate() {
            let row = [
                (number + 1).to_string(),
                format!("{:.0}", self.rate(worker)),
                format!("{:.0}", self.rate(reference)),
                format!("{:.2}", self.rate(worker) / self.rate(reference)),
                format!("{:.2}", self.cpu(worker)),
                format!("{:.2}", self.cpu(reference)),
            ];
            writeln!(out, "| {} |", row.join(" | "))?;
        }
        self.summary(&mut out)
    }

    fn summary(&self, out: &mut impl Write) -> Result<()> {
        let ratio = |(worker, reference): &(Run, Run)| self.rate(worker) / self.rate(reference);
        let mut ratios: Vec<_> = self.pairs.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let peak = self.pairs.iter().map(|(worker, _)| worker.peak_memory).max().unwrap_or(0);
        let (bytes, rows) = self
            .pairs
            .iter()
            .fold((0, 0), |(bytes, rows), (worker, _)| (bytes + worker.body_bytes, rows + worker.rows));
        writeln!(out, "ratio, median: {:.2}", ratios[ratios.len() / 2])?;
        writeln!(
            out,
            "worker resident memory: idle {:.1} MiB, peak {:.1} MiB",
            self.idle_memory as f64 / MIB,
            peak as f64 / MIB
        )?;
        writeln!(out, "body bytes per row loaded: {:.0}", bytes as f64 / (rows as f64).max(1.0))?;
        Ok(())
    }

    fn rate(&self, run: &Run) -> f64 {
        self.changes / run.elapsed.as_secs_f64()
    }

    fn cpu(&self, run: &Run) -> f64 {
        run.cpu.as_secs_f64() / (self.changes / 1e6)
    }
}
