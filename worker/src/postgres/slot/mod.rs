//! The replication slot: found, checked, and created when it is missing. This module never drops it.

pub(crate) mod check;
pub(crate) mod continuity;
pub(crate) mod gap;
pub mod health;
pub(crate) mod lock;

use crds::Reason;

use super::{
    connection::Connection,
    error::{SourceError, slot_lost},
    sql,
};
use crate::{
    config::SourceConfig,
    fault::{Fault, Part},
    lsn::Lsn,
};

/// PostgreSQL 13 shows whether a slot still has its WAL.
const WAL_STATUS_SINCE: u32 = 130_000;
const FAILOVER_SINCE: u32 = 170_000;
/// PostgreSQL 17 shows why a slot was invalidated, and whether it follows a slot of the primary.
const REASON_SINCE: u32 = 170_000;

/// A slot as `pg_replication_slots` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    plugin: String,
    database: String,
    wal_lost: bool,
    /// Why the server invalidated the slot; empty when it did not, or does not show it.
    invalidated: String,
    /// The slot follows a slot of the primary, and cannot be read before this server is promoted.
    follows: bool,
    /// The slot is synchronised to standbys.
    fails_over: bool,
    /// The process of the session that uses the slot.
    pub(super) holder: Option<String>,
    /// The confirmed position; `None` for a slot that is not logical or not ready.
    confirmed: Option<Lsn>,
}

impl Slot {
    pub(super) fn find(
        connection: &mut Connection,
        name: &str,
        version: u32,
    ) -> Result<Option<Self>, SourceError> {
        let wal_status = if version < WAL_STATUS_SINCE { "'reserved'" } else { "wal_status" };
        let failover = if version < FAILOVER_SINCE { "false" } else { "failover" };
        let told = if version < REASON_SINCE {
            "NULL, false"
        } else {
            "invalidation_reason, synced AND pg_catalog.pg_is_in_recovery()"
        };
        let name = sql::literal(name);
        let rows = connection.query(&format!(
            "SELECT plugin, database, {wal_status}, active_pid, confirmed_flush_lsn, {failover}, {told} \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = {name}"
        ))?;
        Ok(rows.first().map(|row| Self {
            plugin: row.text(0).to_owned(),
            database: row.text(1).to_owned(),
            wal_lost: row.text(2) == "lost",
            holder: row.value(3).map(str::to_owned),
            confirmed: row.text(4).parse().ok(),
            fails_over: row.flag(5),
            invalidated: row.text(6).to_owned(),
            follows: row.flag(7),
        }))
    }

    /// Whether a failover of this server would lose the slot.
    pub(super) fn lost_by_failover(&self, version: u32) -> bool {
        version >= FAILOVER_SINCE && !self.fails_over
    }

    /// The confirmed position of a slot that this job can use.
    pub(super) fn usable(&self, config: &SourceConfig) -> Result<Lsn, Fault> {
        if self.plugin != "pgoutput" || self.database != config.database {
            return Err(foreign(self, config));
        }
        if self.wal_lost {
            return Err(slot_lost(config, &self.why_lost()));
        }
        if self.follows {
            let slot = &config.slot;
            return Err(Fault::retry(
                Part::Source,
                Reason::SlotInUse,
                format!(
                    "this server is a standby, and replication slot {slot} of it follows that of the primary"
                ),
                "nothing, if this server is about to be promoted; else give the address of the primary",
            ));
        }
        self.confirmed.ok_or_else(|| {
            let slot = &config.slot;
            Fault::retry(
                Part::Source,
                Reason::SlotInUse,
                format!("replication slot {slot} is still being created"),
                "wait for the session that creates it, or end that session",
            )
        })
    }
}

impl Slot {
    fn why_lost(&self) -> String {
        match self.invalidated.as_str() {
            "" | "wal_removed" => {
                "its WAL was removed, because the slot kept more than max_slot_wal_keep_size".to_owned()
            }
            reason => format!("PostgreSQL has given it up: {reason}"),
        }
    }
}

/// Creates the slot; the server waits for the transactions that are open now. From PostgreSQL 17 on the slot is created
/// with FAILOVER, so that it is synchronised to standbys; on a standby that is not possible.
pub(super) fn create(
    connection: &mut Connection,
    name: &str,
    version: u32,
    is_standby: bool,
) -> Result<Lsn, SourceError> {
    let slot = sql::identifier(name);
    let options = if version >= FAILOVER_SINCE && !is_standby {
        "(SNAPSHOT 'nothing', FAILOVER true)"
    } else {
        "NOEXPORT_SNAPSHOT"
    };
    let rows = connection.query(&format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput {options}"))?;
    rows.first().ok_or_else(|| SourceError::protocol("creating a slot gave no position"))?.parse(1)
}

fn foreign(slot: &Slot, config: &SourceConfig) -> Fault {
    let kind = if slot.plugin.is_empty() { "physical" } else { &slot.plugin };
    Fault::halt(
        Part::Source,
        Reason::BadConfiguration,
        format!(
            "replication slot {} exists and does not belong to this job: its plugin is {kind} and its database {:?}",
            config.slot, slot.database
        ),
        "give this job the name of another slot, or of none that exists",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::error::tests::config;

    fn slot() -> Slot {
        let (plugin, database) = ("pgoutput".into(), "app".into());
        Slot {
            plugin,
            database,
            wal_lost: false,
            invalidated: String::new(),
            follows: false,
            fails_over: false,
            holder: None,
            confirmed: Some(Lsn(7)),
        }
    }

    #[test]
    fn only_a_whole_slot_of_ours_is_usable() {
        let reason = |slot: Slot| slot.usable(&config()).map_err(|fault| fault.reason);
        assert_eq!(reason(slot()), Ok(Lsn(7)));
        assert_eq!(reason(Slot { wal_lost: true, ..slot() }), Err(Reason::SlotLost));
        let idle = Slot { wal_lost: true, invalidated: "idle_timeout".into(), ..slot() };
        assert!(idle.usable(&config()).unwrap_err().message.ends_with("given it up: idle_timeout"));
        assert_eq!(reason(Slot { follows: true, ..slot() }), Err(Reason::SlotInUse));
        assert_eq!(reason(Slot { confirmed: None, ..slot() }), Err(Reason::SlotInUse));
        for foreign in [Slot { plugin: String::new(), ..slot() }, Slot { database: "other".into(), ..slot() }]
        {
            assert_eq!(reason(foreign), Err(Reason::BadConfiguration));
        }
    }
}
