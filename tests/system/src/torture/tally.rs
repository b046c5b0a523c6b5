//! The strokes and results of rounds, as numbers, and as Markdown.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::stroke::Stroke;

/// The numbers of one round, or the sum of many.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub rounds: u64,
    pub kills: u64,
    /// SIGTERMs that led to an orderly end.
    pub drains: u64,
    /// The number of strokes by kind.
    pub strokes: BTreeMap<String, u64>,
    pub transactions: u64,
    /// Committed loads.
    pub loads: u64,
    pub rows_compared: u64,
    pub tables_compared: u64,
    /// Tables that were halted, by reason, and taken anew.
    pub halts: BTreeMap<String, u64>,
    /// Rounds that ended with a difference.
    pub different: u64,
    /// How often a row had an older version than before.
    pub version_falls: u64,
    pub versions_seen: u64,
    /// The highest resident memory of a worker, bytes.
    pub peak_memory: u64,
    pub seeds: Vec<u64>,
}

impl Tally {
    pub(super) fn count(&mut self, stroke: &Stroke) {
        self.kills += u64::from(stroke.is_kill());
        *self.strokes.entry(name(stroke)).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        self.drains += other.drains;
        self.transactions += other.transactions;
        self.loads += other.loads;
        self.rows_compared += other.rows_compared;
        self.tables_compared += other.tables_compared;
        self.different += other.different;
        self.version_falls += other.version_falls;
        self.versions_seen += other.versions_seen;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.seeds.extend(&other.seeds);
        for (reason, count) in &other.halts {
            *self.halts.entry(reason.clone()).or_default() += count;
        }
        for (name, count) in &other.strokes {
            *self.strokes.entry(name.clone()).or_default() += count;
        }
    }

    /// The report of a soak of this duration.
    pub fn markdown(&self, elapsed: Duration, circumstances: &str) -> String {
        let mut text = format!("# Soak report\n\n{circumstances}\n\n| | |\n|---|---:|\n");
        let minutes = format!("{:.1} min", elapsed.as_secs_f64() / 60.0);
        let megabytes = format!("{:.1} MiB", self.peak_memory as f64 / f64::from(1 << 20));
        for (name, value) in [
            ("rounds, each with a seed of its own", self.rounds.to_string()),
            ("**kills of a worker (`kill -9`) survived**", format!("**{}**", self.kills)),
            ("ends in order after SIGTERM", self.drains.to_string()),
            ("strokes in all", self.strokes.values().sum::<u64>().to_string()),
            ("transactions written", self.transactions.to_string()),
            ("loads committed", self.loads.to_string()),
            ("tables compared, value by value", self.tables_compared.to_string()),
            ("rows compared", self.rows_compared.to_string()),
            (
                "tables halted with a reason, and taken anew as it says",
                self.halts.values().sum::<u64>().to_string(),
            ),
            ("**rounds with a difference**", format!("**{}**", self.different)),
            ("versions of rows looked at while it went on", self.versions_seen.to_string()),
            ("versions seen to fall for a moment (replays after a crash)", self.version_falls.to_string()),
            ("versions lower in the end than before", "0".to_owned()),
            ("highest resident memory of a worker", megabytes),
            ("time", minutes),
        ] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {name} | {value} |");
        }
        text.push_str("\n| stroke | times |\n|---|---:|\n");
        for (name, count) in &self.strokes {
            let _ = writeln!(text, "| {name} | {count} |");
        }
        text.push_str("\n| halted with | tables |\n|---|---:|\n");
        for (reason, count) in &self.halts {
            let _ = writeln!(text, "| {reason} | {count} |");
        }
        let seeds: Vec<_> = self.seeds.iter().map(u64::to_string).collect();
        let _ = writeln!(text, "\nSeeds: {}", seeds.join(" "));
        text
    }
}

fn name(stroke: &Stroke) -> String {
    let end = |source: bool| if source { "PostgreSQL" } else { "StarRocks" };
    match stroke {
        Stroke::Kill { after_load: false } => "kill at any moment".to_owned(),
        Stroke::Kill { after_load: true } => "kill just after a load".to_owned(),
        Stroke::KillAt { stage, .. } => {
            format!("kill while a load is held up at `{stage}`, which then goes on")
        }
        Stroke::Overtake { .. } => "kill with a second worker waiting".to_owned(),
        Stroke::Terminate => "SIGTERM".to_owned(),
        Stroke::Cut { source } => format!("connections reset to {}", end(*source)),
        Stroke::Shut { source, .. } => format!("nobody answers for {}", end(*source)),
        Stroke::Slow { source, .. } => format!("slow connections to {}", end(*source)),
        Stroke::EndWalsender => "walsender terminated".to_owned(),
        Stroke::Restart { crash: true } => "PostgreSQL crashed and recovered".to_owned(),
        Stroke::Restart { crash: false } => "PostgreSQL restarted".to_owned(),
        Stroke::SinkDown { part, .. } => format!("StarRocks' {part} down"),
        Stroke::CopyAnew { table: None } => "copy of all tables asked for".to_owned(),
        Stroke::CopyAnew { table: Some(_) } => "copy of one table asked for".to_owned(),
        Stroke::Seam { seam, .. } => seam.name().to_owned(),
        Stroke::Freeze => "worker stopped while a successor takes over, then woken".to_owned(),
        Stroke::SetBack { .. } => "PostgreSQL set back in time on its timeline".to_owned(),
        Stroke::Fault(fault) => {
            let action = &fault["action"];
            let action = action.as_str().or_else(|| action.as_object()?.keys().next().map(String::as_str));
            format!(
                "StarRocks: `{}` at `{}`",
                action.unwrap_or_default(),
                fault["stage"].as_str().unwrap_or_default()
            )
        }
    }
}
