//! Keys that differed at the first check, and whether the difference is real.
//!
//! Pure. On a live job a row may be in flight, so a key in doubt is read again: from PostgreSQL, then StarRocks, then
//! PostgreSQL. StarRocks is right when it has PostgreSQL's values of before or after. It is wrong where PostgreSQL did
//! not change between the two reads and StarRocks has other values; where PostgreSQL did change, the doubt remains.

use std::collections::HashMap;

use super::{key::Key, rows::Row, value::Digest};

/// One side's values for a key, or no live row.
pub(super) type Seen = Option<Box<[Digest]>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) key: Key,
    /// PostgreSQL's values at the last read.
    pub(super) source: Seen,
    pub(super) finding: Finding,
}

/// The difference of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// Not in StarRocks.
    Missing,
    /// Not in PostgreSQL.
    Extra,
    /// The values at these positions differ.
    Differ(Vec<usize>),
    /// The row changes too often to be compared.
    Restless,
}

impl Doubt {
    pub(super) fn new(key: Key, source: Seen, sink: &Seen) -> Self {
        let finding = finding(&source, sink, &source);
        Self { key, finding, source }
    }

    /// Compares another read; `None` when the doubt is resolved.
    pub(super) fn again(self, sink: &Seen, now: Seen) -> Option<Self> {
        if *sink == self.source || *sink == now {
            return None;
        }
        let finding = finding(&self.source, sink, &now);
        Some(Self { finding, source: now, ..self })
    }
}

fn finding(before: &Seen, sink: &Seen, now: &Seen) -> Finding {
    match (before, sink, now) {
        (Some(_), None, Some(_)) => Finding::Missing,
        (None, Some(_), None) => Finding::Extra,
        (Some(before), Some(sink), Some(now)) => {
            let steady = before.iter().zip(sink).zip(now).enumerate();
            let wrong = steady.filter(|(_, ((before, sink), now))| before == now && sink != now);
            let wrong: Vec<_> = wrong.map(|(place, _)| place).collect();
            if wrong.is_empty() { Finding::Restless } else { Finding::Differ(wrong) }
        }
        _ => Finding::Restless,
    }
}

/// The live rows of one read, by their keys.
pub(super) fn by_key(rows: Vec<Row>) -> HashMap<Key, Box<[Digest]>> {
    let live = rows.into_iter().filter(|row| !row.deleted);
    live.map(|row| (row.key, row.digests)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::key::Part, *};

    fn seen(values: &[Digest]) -> Seen {
        Some(values.into())
    }

    fn doubt(source: Seen, sink: &Seen) -> Doubt {
        Doubt::new(Key(vec![Part::Number(1)]), source, sink)
    }

    #[test]
    fn what_differs_is_named() {
        for (source, sink, expected) in [
            (seen(&[1, 2]), None, Finding::Missing),
            (None, seen(&[1, 2]), Finding::Extra),
            (seen(&[1, 2, 3]), seen(&[1, 0, 0]), Finding::Differ(vec![1, 2])),
        ] {
            assert_eq!(doubt(source, &sink).finding, expected);
        }
    }

    #[test]
    fn a_row_on_its_way_is_no_difference() {
        let late = || doubt(seen(&[2]), &seen(&[1]));
        assert_eq!(late().again(&seen(&[2]), seen(&[3])), None, "it has what was there before");
        assert_eq!(late().again(&seen(&[3]), seen(&[3])), None, "it has what is there now");
        assert_eq!(doubt(seen(&[2]), &None).again(&None, None), None, "it was deleted meanwhile");
    }

    #[test]
    fn a_row_that_changes_is_judged_by_the_values_that_do_not() {
        let doubt = || doubt(seen(&[1, 7]), &seen(&[0, 7]));
        assert_eq!(doubt().again(&seen(&[2, 7]), seen(&[3, 7])).unwrap().finding, Finding::Restless);
        assert_eq!(doubt().again(&seen(&[2, 0]), seen(&[3, 7])).unwrap().finding, Finding::Differ(vec![1]));
        assert_eq!(doubt().again(&None, None), None);
        assert_eq!(doubt().again(&seen(&[0, 7]), None).unwrap().finding, Finding::Restless);
    }

    #[test]
    fn a_row_that_stays_wrong_stays_in_doubt() {
        let wrong = doubt(seen(&[1]), &None).again(&None, seen(&[1])).unwrap();
        assert_eq!(wrong.again(&None, seen(&[1])).unwrap().finding, Finding::Missing);
    }
}
