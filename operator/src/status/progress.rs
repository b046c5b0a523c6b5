//! How far replication is, and when a new figure is worth a write. Pure.
//!
//! The worker's metrics have the exact figures. In the status a figure is written at once when there was none, when the
//! job's state changed, or when the lag has begun or doubled; otherwise only when it moved enough, at most once a
//! minute. An unknown figure is left out: an old one would be taken for a new one.

use crds::status::Replication;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proto::StatusResponse;

use crate::cadence::FIGURES_AT_MOST_EVERY;

/// 1 MiB of WAL.
const ENOUGH_BYTES: u64 = 1 << 20;
const ENOUGH_SECONDS: i64 = 10;
/// A lag from this on is shown at once.
const MUCH_SECONDS: i64 = 3;

/// The figures to show: the new ones if they are worth a write, else those shown already.
pub(super) fn progress(
    shown: Option<&Replication>,
    report: Option<&StatusResponse>,
    now: Timestamp,
    urgent: bool,
) -> Option<Replication> {
    let seen = seen(report?, now)?;
    let Some(shown) = shown else { return Some(seen) };
    let due = now.duration_since(shown.observed_at.0) >= FIGURES_AT_MOST_EVERY && moved_enough(shown, &seen);
    let at_once = urgent && differs(shown, &seen) || has_grown(shown, &seen);
    Some(if at_once || due { seen } else { shown.clone() })
}

/// Whether the lag has begun or doubled, so that the figure shown is misleading.
fn has_grown(shown: &Replication, seen: &Replication) -> bool {
    let seconds = seen.lag_seconds >= MUCH_SECONDS.max(shown.lag_seconds.saturating_mul(2));
    let enough = i64::try_from(ENOUGH_BYTES).unwrap_or(i64::MAX);
    seconds || seen.lag_bytes >= enough.max(shown.lag_bytes.saturating_mul(2))
}

fn seen(report: &StatusResponse, now: Timestamp) -> Option<Replication> {
    // Zero means that the worker has not read the slot yet.
    (report.confirmed_lsn > 0).then(|| Replication {
        confirmed_lsn: format_lsn(report.confirmed_lsn),
        lag_seconds: (report.lag_ms / 1000) as i64,
        lag_bytes: i64::try_from(report.lag_bytes).unwrap_or(i64::MAX),
        observed_at: Time(super::whole_seconds(now)),
    })
}

fn differs(shown: &Replication, seen: &Replication) -> bool {
    Replication { observed_at: seen.observed_at.clone(), ..shown.clone() } != *seen
}

fn moved_enough(shown: &Replication, seen: &Replication) -> bool {
    let confirmed = parse_lsn(&seen.confirmed_lsn).abs_diff(parse_lsn(&shown.confirmed_lsn));
    let seconds = (seen.lag_seconds - shown.lag_seconds).abs();
    // A small lag that has ended must not stay in the status.
    let lag_ended =
        seen.lag_seconds == 0 && shown.lag_seconds > 0 || seen.lag_bytes == 0 && shown.lag_bytes > 0;
    // The thresholds grow with the lag: one minute more is not significant for a lag of hours.
    confirmed >= ENOUGH_BYTES
        || seconds >= ENOUGH_SECONDS.max(shown.lag_seconds / 4)
        || lag_ended
        || seen.lag_bytes.abs_diff(shown.lag_bytes) >= ENOUGH_BYTES.max(shown.lag_bytes.unsigned_abs() / 4)
}

/// As PostgreSQL writes it: `16/B374D848`.
fn format_lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// An unreadable position counts as 0, so that every new one has moved enough.
fn parse_lsn(text: &str) -> u64 {
    let halves = text.split_once('/').and_then(|(high, low)| {
        Some((u64::from_str_radix(high, 16).ok()?, u64::from_str_radix(low, 16).ok()?))
    });
    halves.map_or(0, |(high, low)| high << 32 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn report(confirmed_lsn: u64, lag_ms: u64) -> StatusResponse {
        StatusResponse { confirmed_lsn, lag_ms, ..StatusResponse::default() }
    }

    #[test]
    fn the_first_figure_is_written_at_once_and_an_unknown_one_never() {
        assert_eq!(progress(None, Some(&report(0, 0)), at(0), true), None);
        let first = progress(None, Some(&report(0x16_B374_D848, 2_500)), at(0), false).unwrap();
        assert_eq!((first.confirmed_lsn.as_str(), first.lag_seconds), ("16/B374D848", 2));
    }

    #[test]
    fn a_figure_waits_for_its_minute_and_for_a_movement() {
        let shown = progress(None, Some(&report(1 << 30, 6_000)), at(0), false);
        let cases = [
            (report(1 << 31, 6_000), 59, false, false),
            (report(1 << 31, 6_000), 60, false, true),
            (report((1 << 30) + 8, 6_000), 600, false, false),
            (report((1 << 30) + 8, 6_000), 1, true, true),
            (report(1 << 30, 6_000), 600, true, false),
            (report(1 << 30, 11_000), 59, false, false),
            (report(1 << 30, 0), 59, false, false),
        ];
        for (report, second, urgent, written) in cases {
            let next = progress(shown.as_ref(), Some(&report), at(second), urgent);
            assert_eq!(next != shown, written, "{report:?} after {second} s");
        }
    }

    #[test]
    fn a_lag_that_begins_or_doubles_is_shown_at_once() {
        let shown = progress(None, Some(&report(1 << 30, 0)), at(0), false);
        let next = |shown: &Option<Replication>, report: StatusResponse| {
            progress(shown.as_ref(), Some(&report), at(1), false).unwrap()
        };
        assert_eq!(next(&shown, report(1 << 30, 2_000)).lag_seconds, 0);
        let three = Some(next(&shown, report(1 << 30, 3_000)));
        assert_eq!(three.as_ref().map(|shown| shown.lag_seconds), Some(3));
        assert_eq!(next(&three, report(1 << 30, 5_000)).lag_seconds, 3);
        assert_eq!(next(&three, report(1 << 30, 6_000)).lag_seconds, 6);
        let megabytes = StatusResponse { lag_bytes: 5 << 20, ..report(1 << 30, 0) };
        assert_eq!(next(&shown, megabytes).lag_bytes, 5 << 20);
    }

    #[test]
    fn a_lag_that_ended_does_not_stay_on_show() {
        let shown = progress(None, Some(&report(1 << 30, 3_000)), at(0), false);
        let next = progress(shown.as_ref(), Some(&report(1 << 30, 0)), at(61), false).unwrap();
        assert_eq!(next.lag_seconds, 0);
    }

    #[test]
    fn where_nobody_knows_there_is_no_figure() {
        let shown = progress(None, Some(&report(9, 0)), at(0), false);
        assert_eq!(progress(shown.as_ref(), None, at(1), true), None, "no worker answers");
        assert_eq!(
            progress(shown.as_ref(), Some(&report(0, 0)), at(1), true),
            None,
            "a worker that has read nothing"
        );
    }
}
