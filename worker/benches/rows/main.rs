//! What one row costs on its way through the worker, step by step, against the plain way to do the same.
//!
//! Both take turns within one run, so what else the machine does falls on both, and the ratio means something.
//! The row is that of the backlog in docs/benchmarks.md: seven columns.

mod ours;
mod plain;
mod stream;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use anyhow::Result;

const ROWS: u64 = 20_000;
const ROUNDS: usize = 15;

fn main() -> Result<()> {
    let frames = stream::inserts(ROWS);
    let (blocks, rows) = (ours::decode(&frames), plain::decode(&frames));
    let (batches, map) = (ours::gather(&blocks), plain::gather(rows.clone()));
    let mut out = io::stdout().lock();
    writeln!(out, "\n| one row of {} bytes | worker | plain way | ratio |", frames.len() as u64 / ROWS)?;
    writeln!(out, "|---|---|---|---|")?;
    let mut say = |step: &str, [ours, plain]: [Duration; 2]| {
        let (ours, plain) = (each(ours), each(plain));
        writeln!(out, "| {step} | {ours:.0} ns | {plain:.0} ns | {:.1} |", plain / ours)
    };
    say("decode", in_turn(|| ours::decode(&frames), || plain::decode(&frames)))?;
    say(
        "find its key, keep its last state",
        in_turn(|| ours::gather(&blocks), || plain::gather(rows.clone())),
    )?;
    say("encode", in_turn(|| ours::encode(&batches), || plain::encode(&map)))?;
    say("check and count, then encode", in_turn(|| ours::load(&batches), || plain::encode(&map)))?;
    Ok(())
}

fn each(whole: Duration) -> f64 {
    whole.as_nanos() as f64 / ROWS as f64
}

/// The median time of each, taken in turn.
fn in_turn<A, B>(mut ours: impl FnMut() -> A, mut plain: impl FnMut() -> B) -> [Duration; 2] {
    let rounds = (0..ROUNDS).map(|_| (timed(&mut ours), timed(&mut plain)));
    let (ours, plain) = rounds.unzip();
    [median(ours), median(plain)]
}

/// Without the time it takes to let go of what was made.
fn timed<A>(work: &mut impl FnMut() -> A) -> Duration {
    let began = Instant::now();
    let made = std::hint::black_box(work());
    let took = began.elapsed();
    drop(made);
    took
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
