//! Progress on the terminal: one short line when a long step begins and one when it has ended. Verbose output goes to
//! log files.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// Prints `text` on a line of its own; ignores a closed terminal.
pub fn say(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "==> {text}"));
}

/// Prints the progress of the current step.
pub fn detail(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "    {text}"));
}

/// Prints the name of a step, runs it, and prints its duration if it was long.
pub fn step<T, E>(text: impl std::fmt::Display, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    say(&text);
    let begun = Instant::now();
    let outcome = work()?;
    let elapsed = begun.elapsed();
    if elapsed > Duration::from_secs(1) {
        detail(format!("{text}: done in {}", Elapsed(elapsed)));
    }
    Ok(outcome)
}

/// A duration as text: `4.2 s`, `7 min 05 s`.
#[derive(Debug, Clone, Copy)]
pub struct Elapsed(pub Duration);

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_secs() {
            0..60 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            seconds => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_is_written_as_people_say_it() {
        assert_eq!(Elapsed(Duration::from_millis(4_230)).to_string(), "4.2 s");
        assert_eq!(Elapsed(Duration::from_secs(425)).to_string(), "7 min 05 s");
    }
}
