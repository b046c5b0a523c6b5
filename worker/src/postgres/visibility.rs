//! Which transactions were visible to a query of the catalogue.
//!
//! Pure. The stream sends a transaction as soon as its commit is in the WAL. Other sessions see it a moment later, and
//! much later when the commit waits for a synchronous standby. A catalogue read that did not see a transaction may be
//! older than the rows of that transaction.

/// Returns a snapshot; later reads of the session see at least as much.
pub(super) const ASK: &str = "SELECT pg_catalog.txid_current_snapshot()";

/// A snapshot, as `txid_current_snapshot` prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visibility {
    /// Every transaction below this number is visible.
    oldest: u64,
    /// No transaction from this number on is visible.
    next: u64,
    /// Transactions in between that are not visible.
    running: Vec<u64>,
}

impl Visibility {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (oldest, next, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|xid| !xid.is_empty()).map(str::parse);
        Some(Self {
            oldest: oldest.parse().ok()?,
            next: next.parse().ok()?,
            running: running.collect::<Result<_, _>>().ok()?,
        })
    }

    /// The visibility on a standby, which does not tell the transactions in between.
    #[must_use]
    pub(super) fn on_standby(self) -> Self {
        Self { next: self.oldest, running: Vec::new(), ..self }
    }

    /// Whether a transaction is visible, given its whole number.
    fn sees_whole(&self, xid: u64) -> bool {
        xid < self.next && (xid < self.oldest || !self.running.contains(&xid))
    }

    /// Whether a transaction is visible, given the low 32 bits of its number, as the stream sends them.
    pub fn sees(&self, xid: u32) -> bool {
        // The nearest number with these low bits: two billion transactions are never in use at once.
        let behind = (self.next as u32).wrapping_sub(xid).cast_signed();
        let Ok(behind) = u64::try_from(behind) else { return false };
        let whole = self.next.saturating_sub(behind);
        behind > 0 && self.sees_whole(whole)
    }
}

/// Transactions that were in progress at some time, and that a snapshot has to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier {
    /// The low 32 bits of their numbers.
    transactions: Vec<u32>,
    /// Every transaction below this number.
    before: u64,
}

impl Earlier {
    /// Of the transactions that hold the locks of writers, given the low 32 bits of their numbers, those that were not
    /// visible. A snapshot does not name them all as running: it ends at the last transaction that has ended, and one that
    /// began after that may be in the WAL already.
    pub(crate) fn among(seen: &Visibility, writers: &[u32]) -> Self {
        let transactions = writers.iter().copied().filter(|xid| !seen.sees(*xid)).collect();
        Self { transactions, before: 0 }
    }

    /// Every transaction that had begun: a standby does not tell which of them are in progress.
    pub(super) fn all_before(seen: &Visibility) -> Self {
        Self { transactions: Vec::new(), before: seen.next }
    }

    pub fn is_seen_by(&self, visibility: &Visibility) -> bool {
        self.before <= visibility.oldest
            && self.transactions.iter().all(|transaction| visibility.sees(*transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_visible_when_it_has_ended_before() {
        let visibility = Visibility::parse("10:20:10,14").unwrap();
        for (xid, seen) in
            [(9, true), (10, false), (11, true), (14, false), (19, true), (20, false), (21, false)]
        {
            assert_eq!(visibility.sees(xid), seen, "{xid}");
        }
        assert!(!Visibility::default().sees(1));
    }

    #[test]
    fn on_a_standby_only_what_is_older_than_every_transaction_in_progress_is_visible() {
        let seen = Visibility::parse("10:20:").unwrap();
        let earlier = Earlier::all_before(&seen);
        let standby = seen.on_standby();
        assert!(standby.sees(9) && !standby.sees(10) && !standby.sees(19));
        assert!(!earlier.is_seen_by(&standby));
        assert!(earlier.is_seen_by(&Visibility::parse("20:25:").unwrap().on_standby()));
    }

    #[test]
    fn what_was_in_progress_is_seen_when_it_has_ended() {
        let before = Visibility::parse("10:16:10,12,14").unwrap();
        let earlier = Earlier::among(&before, &[9, 12, 14]);
        for (seen, expected) in
            [("10:20:12,14", false), ("10:20:14", false), ("10:20:13", true), ("15:20:", true)]
        {
            assert_eq!(earlier.is_seen_by(&Visibility::parse(seen).unwrap()), expected, "{seen}");
        }
    }

    #[test]
    fn a_writer_that_is_newer_than_every_transaction_that_has_ended_is_waited_for() {
        let before = Visibility::parse("12:12:").unwrap();
        let earlier = Earlier::among(&before, &[12]);
        assert!(!earlier.is_seen_by(&before));
        assert!(!earlier.is_seen_by(&Visibility::parse("12:15:12").unwrap()));
        assert!(earlier.is_seen_by(&Visibility::parse("13:13:").unwrap()));
    }

    #[test]
    fn numbers_go_round() {
        let next = (7u64 << 32) + 5;
        let visibility = Visibility::parse(&format!("{}:{next}:{}", next - 10, next - 3)).unwrap();
        assert!(visibility.sees(u32::MAX) && visibility.sees(4));
        assert!(!visibility.sees(2) && !visibility.sees(5) && !visibility.sees(1000));
    }

    #[test]
    fn what_is_no_snapshot_is_none() {
        for text in ["", "1", "1:2", "a:b:c", "1:2:x", "1:2:3,,"] {
            let parsed = Visibility::parse(text);
            assert_eq!(parsed.is_some(), text == "1:2:3,,", "{text}");
        }
    }
}
