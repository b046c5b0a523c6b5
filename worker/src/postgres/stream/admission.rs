//! Decides whether there is room for a large row, before it is read.
//!
//! Rows are counted against the buffer when the pipeline has them; a row larger than the buffer would be held on top of
//! a full buffer. So it waits until little is held. A row that does not fit the memory limit of the process is left
//! out and its table halts; otherwise the process would run out of memory at the same row after every restart.

use std::{
    thread,
    time::{Duration, Instant},
};

use crds::Reason;

use super::{Reader, frame_buffer::FrameBuffer};
use crate::{
    change::Room,
    config::CopyMemory,
    fault::{Fault, Part},
    table::Table,
};

/// Bytes that may be held beside a row that is larger than the buffer.
const SMALL_REST: u64 = 4 << 20;
/// After this wait a row may come on top of a buffer that is not full: a table that cannot be loaded may hold it.
const SHORT_WAIT: Duration = Duration::from_secs(10);
/// After this wait a row that does not fit the memory limit beside what is held is left out.
const LONG_WAIT: Duration = Duration::from_secs(300);
/// Interval at which the check is repeated.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Now,
    Wait,
    Never,
}

/// The decision for a row of `row` bytes while `held` bytes are held, after waiting for `waited`.
fn admission(row: u64, held: u64, room: Room, waited: Duration) -> Admission {
    let fits = |held: u64| room.memory.is_none_or(|limit| needed(row) + held <= limit);
    let has_room = held + row <= room.buffer as u64
        || held <= SMALL_REST
        || waited >= SHORT_WAIT && held <= room.buffer as u64;
    match (fits(held), has_room) {
        (true, true) => Admission::Now,
        (false, _) if !fits(0) || waited >= LONG_WAIT => Admission::Never,
        _ => Admission::Wait,
    }
}

/// Memory of the process with a row of `row` bytes.
fn needed(row: u64) -> u64 {
    row + row / 8 + CopyMemory::PROGRAM
}

impl Reader {
    /// Whether the rest of the current frame may be read. Sleeps for [`POLL_INTERVAL`] when it may not yet.
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
            // Only a change of a row can be left out; this frame is none.
            Admission::Never => frames.admit(),
            Admission::Wait => {
                thread::sleep(POLL_INTERVAL);
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
    let asked = mebibytes(needed(row) + SMALL_REST);
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
        let (none, long) = (Duration::ZERO, LONG_WAIT);
        for (row, held, waited, expected) in [
            (6, 10, none, Admission::Now),
            (60, 0, none, Admission::Now),
            (60, 10, none, Admission::Wait),
            (60, 10, SHORT_WAIT, Admission::Now),
            (60, 60, SHORT_WAIT, Admission::Wait),
            (90, 24, SHORT_WAIT, Admission::Wait),
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
            admission(900 * MIB, 60 * MIB, room, LONG_WAIT),
            Admission::Wait,
            "a large one is being loaded"
        );
        assert_eq!(admission(900 * MIB, 3 * MIB, room, Duration::ZERO), Admission::Now);
    }

    #[test]
    fn the_remedy_is_enough() {
        for row in [10, 110, 900] {
            let room = Room { memory: Some((needed(row * MIB) + SMALL_REST).div_ceil(MIB) * MIB), ..ROOM };
            assert_eq!(admission(row * MIB, SMALL_REST, room, Duration::ZERO), Admission::Now);
        }
    }
}
