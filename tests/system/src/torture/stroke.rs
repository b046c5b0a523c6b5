//! The faults of a round, chosen from a seed.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value as Json, json};

use super::seam::Seam;

/// One fault of a round.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stroke {
    /// `kill -9` of the worker, at any moment; or just after something was loaded.
    Kill { after_load: bool },
    /// `kill -9` while a load is held at a stage; the load then continues without its sender.
    KillAt { stage: &'static str, held: Duration },
    /// Another worker starts while the first still runs, and gets the slot when that is killed.
    Overtake { beside: Duration },
    /// SIGTERM, as Kubernetes sends it.
    Terminate,
    /// Every connection to PostgreSQL or to StarRocks is reset.
    Cut { source: bool },
    /// Connections to it are closed for a while.
    Shut { source: bool, length: Duration },
    /// Every chunk of bytes is delayed for a while.
    Slow { source: bool, delay: Duration, length: Duration },
    /// `pg_terminate_backend` of the walsender.
    EndWalsender,
    /// PostgreSQL is restarted, in order or as in a crash.
    Restart { crash: bool },
    /// Listeners and connections of the stand-in are closed for a while.
    SinkDown { part: &'static str, length: Duration },
    /// A fault of the stand-in for the next loads.
    Fault(Json),
    /// A table, its publication or its target is replaced, without a change in the stream.
    Seam { seam: Seam, table: u32 },
    /// Somebody asks for a copy of every table, or of one, whether it can be answered or not.
    CopyAnew { table: Option<u32> },
    /// SIGSTOP of the worker while a successor without its journal gets the slot; then SIGCONT.
    Freeze,
    /// PostgreSQL's data is set back by a moment, on the same timeline; the worker runs on, or is killed meanwhile.
    SetBack { later: Duration, killed: bool },
}

/// The kinds of strokes that a round may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Workers are killed.
    pub kills: bool,
    /// PostgreSQL is restarted.
    pub restarts: bool,
    /// Loads continue after their sender was killed.
    pub orphans: bool,
    /// Tables, publications and targets are replaced without a change in the stream.
    pub seams: bool,
    /// Workers are suspended for as long as a successor needs, which is minutes.
    pub freezes: bool,
    /// Strokes that take minutes, or begin all tables anew, are frequent.
    pub rare_often: bool,
}

impl Means {
    pub const ALL: Self =
        Self { kills: true, restarts: true, orphans: true, seams: true, freezes: true, rare_often: false };
    pub const NONE: Self = Self {
        kills: false,
        restarts: false,
        orphans: false,
        seams: false,
        freezes: false,
        rare_often: false,
    };
}

/// Stages of a load at which a worker is killed.
const STAGES: [&str; 5] = ["redirect", "plan", "body", "commit", "answer"];

impl Stroke {
    /// Whether the stroke kills a worker.
    pub(super) fn is_kill(&self) -> bool {
        matches!(self, Self::Kill { .. } | Self::KillAt { .. } | Self::Overtake { .. })
    }

    /// The next stroke: two of three are kills, where kills are allowed.
    pub(super) fn next(random: &mut Rng, means: Means) -> Self {
        if means.rare_often
            && random.u8(..6) == 0
            && let Some(rare) = Self::rare(random, means)
        {
            return rare;
        }
        if means.kills && random.u8(..3) < 2 { Self::kill(random, means) } else { Self::other(random, means) }
    }

    fn kill(random: &mut Rng, means: Means) -> Self {
        match random.u8(..8) {
            0 if means.orphans => {
                let stage = random.choice(STAGES).unwrap_or("commit");
                Self::KillAt { stage, held: millis(random, 50, 1500) }
            }
            1 => Self::Overtake { beside: millis(random, 0, 700) },
            place => Self::Kill { after_load: place % 2 == 0 },
        }
    }

    /// The strokes that take long, or begin all tables anew.
    fn rare(random: &mut Rng, means: Means) -> Option<Self> {
        match random.bool() {
            true => means.freezes.then_some(Self::Freeze),
            false => means.restarts.then(|| Self::SetBack {
                later: millis(random, 500, 3000),
                killed: means.kills && random.bool(),
            }),
        }
    }

    fn other(random: &mut Rng, means: Means) -> Self {
        let source = random.bool();
        match random.u8(..26) {
            21..26 => Self::CopyAnew { table: random.bool().then(|| random.u32(..)) },
            16..20 if means.seams => {
                let (seam, table) = Seam::next(random);
                Self::Seam { seam, table }
            }
            20 => match random.u8(..3) {
                0 => Self::rare(random, means).unwrap_or_else(|| Self::Fault(fault(random))),
                _ => Self::Fault(fault(random)),
            },
            0 if means.restarts => Self::Restart { crash: random.bool() },
            1 if means.kills => Self::Terminate,
            2 | 3 => Self::EndWalsender,
            4 | 5 => Self::Cut { source },
            6 => Self::Shut { source, length: millis(random, 50, 1200) },
            7 => Self::Slow { source, delay: millis(random, 1, 40), length: millis(random, 200, 1200) },
            8 => {
                let part = random.choice(["fe", "be", "sql"]).unwrap_or("be");
                Self::SinkDown { part, length: millis(random, 50, 1200) }
            }
            _ => Self::Fault(fault(random)),
        }
    }
}

/// A fault of the stand-in for one to three loads.
fn fault(random: &mut Rng) -> Json {
    let millis = random.u16(10..800);
    let faults = [
        ("redirect", json!("server_error")),
        ("redirect", json!("no_backend")),
        ("redirect", json!("close")),
        ("begin", json!("close")),
        ("begin", json!("running_transaction_limit")),
        ("plan", json!({"fail": {"message": "timeout"}})),
        ("plan", json!("close")),
        ("continue", json!("close")),
        ("body", json!("close")),
        ("body", json!({"delay": {"millis": millis}})),
        ("commit", json!("close")),
        ("commit", json!("too_many_versions")),
        ("commit", json!({"delay": {"millis": millis}})),
        ("commit", json!({"publish_timeout": {"visible_after_millis": millis}})),
        ("answer", json!("close")),
        ("answer", json!("cut_answer")),
        ("answer", json!({"delay": {"millis": millis}})),
        ("begin", json!("label_running")),
        ("commit", json!({"commit_later": {"millis": millis}})),
        ("commit", json!({"abort_later": {"millis": millis}})),
        ("state", json!("server_error")),
        ("state", json!("close")),
        ("redirect", json!("restart_frontend")),
        ("commit", json!("restart_frontend")),
        ("state", json!("restart_frontend")),
        ("statement", json!("close")),
        ("result", json!("close")),
    ];
    let (stage, action) = random.choice(faults).unwrap_or(("answer", json!("close")));
    json!({"stage": stage, "action": action, "count": random.u8(1..4)})
}

fn millis(random: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.u64(least..=most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_makes_one_row_of_strokes() {
        let of = |seed| {
            let mut random = Rng::with_seed(seed);
            (0..100).map(|_| Stroke::next(&mut random, Means::ALL)).collect::<Vec<_>>()
        };
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn means_that_are_not_given_are_not_used() {
        let mut random = Rng::with_seed(1);
        for _ in 0..1000 {
            let stroke = Stroke::next(&mut random, Means::NONE);
            let is_unwanted = matches!(
                stroke,
                Stroke::Restart { .. }
                    | Stroke::Terminate
                    | Stroke::Seam { .. }
                    | Stroke::Freeze
                    | Stroke::SetBack { .. }
            );
            assert!(!stroke.is_kill() && !is_unwanted, "{stroke:?}");
        }
    }
}
