//! How many blocks a chunk has: as many as are copied in little more than a second, and at most so many rows.
//!
//! Pure; the time that a chunk took is passed in.

use std::time::Duration;

/// Time of a chunk: changes of its table wait for so long, and then are loaded, so that there is about one version of a
/// chunk in two seconds.
const TARGET: Duration = Duration::from_millis(1250);
/// Blocks of the first chunk at most: 8 MiB where blocks have their usual 8 KiB.
const FIRST: u32 = 1024;
/// Rows of a block, as long as none was read.
const ROWS_OF_A_BLOCK: u64 = 100;
/// A chunk grows by this factor at most.
const GROWTH: f64 = 4.0;

/// The size of the next chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    blocks: u32,
    most_rows: u64,
}

impl Pace {
    pub(super) fn new(most_rows: u64) -> Self {
        let blocks = (most_rows / ROWS_OF_A_BLOCK).clamp(1, u64::from(FIRST)) as u32;
        Self { blocks, most_rows }
    }

    pub(super) fn blocks(self) -> u32 {
        self.blocks
    }

    /// A chunk of `blocks` blocks with these rows took so long.
    pub(super) fn took(&mut self, blocks: u32, rows: u64, elapsed: Duration) {
        let by_time = TARGET.as_secs_f64() / elapsed.as_secs_f64().max(0.001);
        let wanted = f64::from(blocks) * by_time.min(GROWTH);
        let rows_per_block = (rows as f64 / f64::from(blocks.max(1))).max(0.001);
        let most = self.most_rows as f64 / rows_per_block;
        // The cast saturates.
        self.blocks = (wanted.min(most) as u32).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(blocks: u32, rows: u64, millis: u64) -> u32 {
        let mut pace = Pace::new(500_000);
        pace.took(blocks, rows, Duration::from_millis(millis));
        pace.blocks()
    }

    #[test]
    fn a_chunk_grows_or_shrinks_to_its_time() {
        assert_eq!(after(1000, 1000, 625), 2000);
        assert_eq!(after(1000, 1000, 5000), 250);
        assert_eq!(after(1000, 1000, 1), 4000, "by a factor of four at most");
        assert_eq!(after(1, 0, 3_600_000), 1);
    }

    #[test]
    fn a_chunk_has_no_more_rows_than_asked_for() {
        assert_eq!(after(1000, 1_000_000, 1250), 500);
    }
}
