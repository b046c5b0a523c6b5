//! Whether there is room for a large row, before it is read.
//!
//! Rows are counted against the buffer when the pipeline has them; a row that is larger than the buffer would come on
//! top of what is held. So it waits until little is held, and one that the memory limit of the process cannot hold at
//! all is left out: its table halts, instead of the process dying of it, and then again of the same row.

use std::{
    thread,
    time::{Duration, Instant},
};

use crds::Reason;

use super::{Reader, frame_buffer::FrameBuffer};
use crate::{
    change::Room,
    fault::{Fault, Part},
    table::Table,
};

/// Beside rows the process takes so much: its program, connections, pieces of bodies.
const PROGRAM: u64 = 20 << 20;
/// As much as may be held beside a row that is larger than the buffer.
const LITTLE: u64 = 4 << 20;
/// What is held then may be of a table that cannot be loaded.
const PATIENCE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(300);
/// How often it is looked whether there is room.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Now,
    Wait,
    Never,
}

/// For a row of so many bytes, while so many are held, after so long a wait.
fn admission(row: u64, held: u64, room: Room, waited: Duration) -> Admission {
    let fits = |held: u64| room.memory.is_none_or(|limit| needed(row) + held <= limit);
    let has_room = held + row <= room.buffer as u64
        || held <= LITTLE
        || waited >= PATIENCE && held <= room.buffer as u64;
    match (fits(held), has_room) {
        (true, true) => Admission::Now,
        (false, _) if !fits(0) || waited >= LONG => Admission::Never,
        _ => Admission::Wait,
    }
}

/// What the process takes with a row of so many bytes.
fn needed(row: u64) -> u64 {
    row + row / 8 + PROGRAM
}

impl Reader {
    /// Whether the frame that has begun may be read on. Waits a little when it may not yet.
    pub(super) fn admits(&mut self, frames: &mut FrameBuffer) -> bool {
        let Some(row) = frames.awaits_room().map(|bytes| bytes as u64) else { return true };
        let since = *self.sender.waiting_since.get_or_insert_with(Instant::now);
        let (room, held) = (self.sender.room_behind(), self.progress.held());
        let decided = match admission(row, held, room, since.elapsed()) {
            Admission::Now if !self.sender.is_clear() => Admission::Wait,
            decided => decided,
        };
        match decided {
            Admission::Now => frames.admit(),
            Admission::Never if frames.leave_out(&mut self.router, |table| too_large(table, row, room)) => {}
            // It is no change of a row, and nobody can leave it out.
            Admission::Never => frames.admit(),
            Admission::Wait => {
                thread::sleep(LOOK);
                return false;
            }
        }
        self.sender.waiting_since = None;
        true
    }
}

fn too_large(table: &Table, row: u64, room: Room) -> Fault {
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let (size, limit) = (mebibytes(row), mebibytes(room.memory.unwrap_or_default()));
    let asked = mebibytes(needed(row) + LITTLE);
    Fault::halt(
        Part::Table(table.name.clone()),
        Reason::RowTooLarge,
        format!(
            "a change of {} is {size} MiB large, and the worker may take {limit} MiB of memory in all",
            table.name
        ),
        format!("give the worker a memory limit of {asked} MiB or more (worker.resources.limits.memory)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ROOM: Room = Room { buffer: 24 << 20, memory: Some(128 * MIB) };

    #[test]
    fn a_large_row_waits_for_what_is_held_and_one_beyond_the_limit_never_comes() {
        let (none, long) = (Duration::ZERO, LONG);
        for (row, held, waited, expected) in [
            (6, 10, none, Admission::Now),
            (60, 0, none, Admission::Now),
            (60, 10, none, Admission::Wait),
            (60, 10, PATIENCE, Admission::Now),
            (60, 60, PATIENCE, Admission::Wait),
            (90, 24, PATIENCE, Admission::Wait),
            (90, 24, long, Admission::Never),
            (110, 0, none, Admission::Never),
        ] {
            assert_eq!(admission(row * MIB, held * MIB, ROOM, waited), expected, "{row} {held} {waited:?}");
        }
    }

    #[test]
    fn without_a_limit_every_row_comes_in_the_end() {
        let room = Room { memory: None, ..ROOM };
        assert_eq!(
            admission(900 * MIB, 60 * MIB, room, LONG),
            Admission::Wait,
            "a large one is being loaded"
        );
        assert_eq!(admission(900 * MIB, 3 * MIB, room, Duration::ZERO), Admission::Now);
    }

    #[test]
    fn the_remedy_is_enough() {
        for row in [10, 110, 900] {
            let room = Room { memory: Some((needed(row * MIB) + LITTLE).div_ceil(MIB) * MIB), ..ROOM };
            assert_eq!(admission(row * MIB, LITTLE, room, Duration::ZERO), Admission::Now);
        }
    }
}
