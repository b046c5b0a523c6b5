//! Health of the replication slot.

use crate::lsn::Lsn;

/// The last state of the slot and its WAL, as PostgreSQL shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotHealth {
    /// `reserved`, `extended`, `unreserved` or `lost`; empty before PostgreSQL 13.
    pub wal_status: String,
    /// WAL that can still be written before the slot loses WAL that it needs; `None` without a limit.
    pub safe_wal_bytes: Option<u64>,
    /// WAL that the server keeps for the slot.
    pub retained_wal_bytes: u64,
    /// Seconds since the slot was last in use (PostgreSQL 17); `None` while it is.
    pub inactive_seconds: Option<u64>,
    /// Empty for a slot that is valid.
    pub invalidation_reason: String,
    /// The server decodes from here.
    pub restart: Option<Lsn>,
    /// Transactions that committed before are not sent any more.
    pub confirmed: Option<Lsn>,
    /// The end of the WAL that the server has written.
    pub server: Option<Lsn>,
}

impl SlotHealth {
    /// WAL that the slot needs may be removed, or more than three quarters of what it may keep are used.
    pub fn is_at_risk(&self) -> bool {
        let is_going = matches!(self.wal_status.as_str(), "unreserved" | "lost");
        is_going || self.safe_wal_bytes.is_some_and(|safe| safe < self.retained_wal_bytes / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_at_risk_when_its_wal_is_going_or_most_of_what_it_may_keep_is_used() {
        let health = |wal_status: &str, safe_wal_bytes, retained_wal_bytes| SlotHealth {
            wal_status: wal_status.to_owned(),
            safe_wal_bytes,
            retained_wal_bytes,
            ..SlotHealth::default()
        };
        for (health, at_risk) in [
            (health("reserved", None, u64::MAX), false),
            (health("extended", Some(25), 75), false),
            (health("extended", Some(24), 76), true),
            (health("unreserved", None, 1), true),
            (health("lost", None, 1), true),
            (health("", None, 0), false),
        ] {
            assert_eq!(health.is_at_risk(), at_risk, "{health:?}");
        }
    }
}
