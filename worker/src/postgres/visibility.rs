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
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (oldest, next, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|xid| !xid.is_empty()).map(str::parse);
        Some(Self {
            oldest: oldest.parse().ok()?,
            next: next.parse().ok()?,
            running: running.collect::<Result<_, _>>().ok()?,
        })
    }

    /// Whether a transaction is visible, given the low 32 bits of its number, as the stream sends them.
    pub fn sees(&self, xid: u32) -> bool {
        // The nearest number with these low bits: two billion transactions are never in use at once.
        let behind = (self.next as u32).wrapping_sub(xid).cast_signed();
        let Ok(behind) = u64::try_from(behind) else { return false };
        let whole = self.next.saturating_sub(behind);
        behind > 0 && (whole < self.oldest || !self.running.contains(&whole))
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
