//! The speed of a copy over its last chunks, and the time that is left. Pure: the time is passed in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::CopyFigures;

/// Chunks, of about two seconds each.
const NOTES: usize = 16;
/// A copy without a new chunk for so long is slower than its last ones were.
const STANDS: Duration = Duration::from_secs(10);

/// The figures of the last chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct CopyRate(VecDeque<(Instant, CopyFigures)>);

impl CopyRate {
    pub(super) fn note(&mut self, now: Instant, figures: CopyFigures) {
        // Rows that have moved are copied again.
        if self.0.back().is_some_and(|(_, last)| figures.blocks_done < last.blocks_done) {
            self.0.clear();
        }
        if self.0.len() == NOTES {
            self.0.pop_front();
        }
        self.0.push_back((now, figures));
    }

    pub(super) fn rows_per_second(&self, now: Instant) -> f64 {
        self.per_second(now, |figures| figures.rows)
    }

    /// None while nothing is copied.
    pub(super) fn seconds_left(&self, figures: CopyFigures, now: Instant) -> Option<u64> {
        let blocks_per_second = self.per_second(now, |figures| figures.blocks_done);
        let left = figures.blocks.saturating_sub(figures.blocks_done) as f64;
        (blocks_per_second > 0.0).then(|| (left / blocks_per_second).ceil() as u64)
    }

    fn per_second(&self, now: Instant, count: fn(&CopyFigures) -> u64) -> f64 {
        let (Some((began, first)), Some((at, last))) = (self.0.front(), self.0.back()) else { return 0.0 };
        let stands = now.saturating_duration_since(*at) > STANDS;
        let seconds = (if stands { now } else { *at }).saturating_duration_since(*began).as_secs_f64();
        if seconds > 0.0 { count(last).saturating_sub(count(first)) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(start: Instant, chunks: u64) -> CopyRate {
        let mut rate = CopyRate::default();
        for chunk in 0..=chunks {
            rate.note(start + Duration::from_secs(chunk * 2), figures(chunk));
        }
        rate
    }

    fn figures(chunk: u64) -> CopyFigures {
        CopyFigures { blocks: 1000, blocks_done: chunk * 20, rows: chunk * 600, bytes: 0 }
    }

    #[test]
    fn a_speed_is_that_of_the_last_chunks() {
        let start = Instant::now();
        let (rate, now) = (copied(start, 40), start + Duration::from_secs(80));
        assert_eq!(rate.0.len(), NOTES);
        assert_eq!(rate.rows_per_second(now), 300.0);
        assert_eq!(rate.seconds_left(figures(40), now), Some(20));
    }

    #[test]
    fn before_the_first_chunk_and_where_rows_have_moved_no_speed_is_known() {
        let start = Instant::now();
        let mut rate = copied(start, 0);
        assert_eq!((rate.rows_per_second(start), rate.seconds_left(figures(0), start)), (0.0, None));
        rate.note(start + Duration::from_secs(2), figures(5));
        rate.note(start + Duration::from_secs(4), figures(1));
        assert_eq!(rate.seconds_left(figures(1), start + Duration::from_secs(4)), None);
    }

    #[test]
    fn a_copy_that_stands_gets_slower() {
        let start = Instant::now();
        let rate = copied(start, 5);
        assert_eq!(rate.rows_per_second(start + Duration::from_secs(20)), 300.0);
        assert_eq!(rate.rows_per_second(start + Duration::from_secs(100)), 30.0);
    }
}
