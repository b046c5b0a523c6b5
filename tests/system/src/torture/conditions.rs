//! The conditions of a seed: the settings of the job, and the version and options of StarRocks.

use fastrand::Rng;

/// The conditions of one round.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// Variables of the worker.
    pub variables: Vec<(String, String)>,
    /// Arguments of the stand-in.
    pub sink: Vec<String>,
    /// Whether all tables are loaded in one transaction.
    pub in_one_step: bool,
}

impl Conditions {
    /// Random values for everything that users set.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed.wrapping_add(1 << 32));
        let mut one_of = |choices: &[&'static str]| random.choice(choices).copied().unwrap_or_default();
        let variables = [
            ("DBMAZZ_DELETES", one_of(&["Soft", "Soft", "Hard"])),
            ("DBMAZZ_BUFFER", one_of(&["32Mi", "4Mi"])),
            // Streaming only, chunks for every backlog, and both alternately.
            ("DBMAZZ_CATCH_UP", one_of(&["256Mi", "Never", "0", "256Ki"])),
            ("FLUSH_INTERVAL_MS", one_of(&["50", "10", "300"])),
            ("FLUSH_SIZE", one_of(&["10000", "100"])),
            // Rows that exist before are copied while everything breaks: a block at a time, or a table at once.
            ("DO_SNAPSHOT", "true"),
            ("SNAPSHOT_CHUNK_SIZE", one_of(&["1", "100", "500000"])),
            ("SNAPSHOT_PARALLEL_WORKERS", one_of(&["1", "2", "8"])),
        ];
        let sink = [
            "--profile",
            one_of(&["3.3", "3.4", "3.5", "4.0", "4.1"]),
            "--mode",
            one_of(&["nothing", "nothing", "data"]),
        ];
        Self {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            sink: sink.map(str::to_owned).to_vec(),
            in_one_step: false,
        }
    }

    /// The same with `consistency: Transaction`, and a StarRocks version that supports it.
    pub fn in_one_step(mut self) -> Self {
        self.variables.push(("DBMAZZ_CONSISTENCY".to_owned(), "Transaction".to_owned()));
        let hard = self.variables.iter().any(|(name, value)| name == "DBMAZZ_DELETES" && value == "Hard");
        for argument in &mut self.sink {
            match argument.as_str() {
                "3.3" | "3.4" | "3.5" | "4.0" => *argument = "4.0.7".to_owned(),
                "data" if hard => *argument = "nothing".to_owned(),
                _ => {}
            }
        }
        Self { in_one_step: true, ..self }
    }
}
