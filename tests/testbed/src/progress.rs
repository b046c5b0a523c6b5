//! What a person at the terminal sees: one short line when something long begins, one when it has ended.
//! Everything verbose goes to log files.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// Says `text` on a line of its own. A closed terminal is no reason to stop.
pub fn say(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "==> {text}"));
}

/// Says how the step that was announced last is doing.
pub fn detail(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "    {text}"));
}

/// Says what begins, does it, and says how long it took when that was noticeable.
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

/// A duration as people say it: `4.2 s`, `7 min 05 s`.
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
