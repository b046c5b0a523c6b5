//! Which transactions a look at the catalogue could see.
//!
//! Pure. The stream hands on a transaction as soon as its commit is in the WAL; others see it a moment later, and
//! much later when the commit waits for a synchronous standby. A catalogue that was read without seeing a
//! transaction may be older than the rows of that transaction.

/// Gives a snapshot; what is read after it sees no less.
pub(super) const ASK: &str = "SELECT pg_catalog.txid_current_snapshot()";

/// A snapshot, as `txid_current_snapshot` prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visibility {
    /// Every transaction below is visible.
    oldest: u64,
    /// None from here on is.
    next: u64,
    /// Those between that are not.
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

    /// Whether the transaction is visible, of whose number the stream says the low half.
    pub fn sees(&self, xid: u32) -> bool {
        // The nearest number with this half: two billion transactions are never in use at once.
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
